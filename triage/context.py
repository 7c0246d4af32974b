"""How a cue stands in its sentence: as said, negated, supposed, or done by somebody else than the adult in question.

The words that decide stand in ``lexicon/words.toml``. A denial ("he denies hitting her") is no negation: that
something is denied does not make it not alleged. Where the grammar is unclear, a cue stands: missing harm is the
dangerous mistake.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from spacy.tokens import Doc

from triage.cues import Confuser, Hit, Kind

NEGATION_REACH = 7
AFTER_REACH = 5
ACTOR_REACH = 10
PATIENT_REACH = 4

Spans = list[tuple[int, int]]

_CLAUSE_ENDS = frozenset(";:")
_BARRIERS = frozenset(";:.\n")
_PART_OF = frozenset("one two three some both each none any all most another".split())
_PREPOSITIONS = frozenset(
    """
    with of to for in at from after towards near about around during past on into over
    """.split()
)
_BE = frozenset("was were is are been being be got gets getting get".split())


class Standing(StrEnum):
    """How a cue is to be read."""

    STANDS = "stands"
    WEAKLY = "weakly"  # a child may have done it, or a child may have been the one hurt: an officer reads it
    NEGATED = "negated"
    SUPPOSED = "supposed"
    EXPLAINED = "explained"  # by ``Reading.confuser``


@dataclass(frozen=True, slots=True)
class Reading:
    """A hit with how it stands."""

    hit: Hit
    standing: Standing
    confuser: Confuser | None = None
    private: bool = False  # done to a partner or at home: behaviour outside work

    @property
    def counts(self) -> bool:
        return self.standing in (Standing.STANDS, Standing.WEAKLY)


@dataclass(frozen=True, slots=True)
class _Person:
    start: int
    end: int
    who: str


def read(doc: Doc, hits: list[Hit], listed: Mapping[str, Spans]) -> list[Reading]:
    """How each hit stands; idioms and what they cover are left out."""
    return _Context(doc, listed).read(hits)


class _Context:
    def __init__(self, doc: Doc, listed: Mapping[str, Spans]) -> None:
        self._words = [token.lower_ for token in doc]
        self._listed = listed
        self._bounds: list[tuple[int, int]] = [(0, 0)] * len(doc)
        for sentence in doc.sents:
            for i in range(sentence.start, sentence.end):
                self._bounds[i] = (sentence.start, sentence.end)
        self._blocked = {i for start, end in listed["not_negator"] for i in range(start, end)}
        self._doubt = {i for start, end in listed["real_doubt"] for i in range(start, end)}
        self._reports = {start for start, _ in listed["report"]}
        self._stops = {start for start, _ in listed["stop"]}
        self._people = self._find_people()
        self._person_starts = [person.start for person in self._people]
        self._done_to: set[int] = set()  # those to whom an earlier deed of the text was done

    def _find_people(self) -> list[_Person]:
        """Mentions in order, without overlaps: the longest wins, then the order of these lists."""
        found = [
            _Person(start, end, "worker" if who == "role" else who)
            for who in ("peer", "child", "role", "worker", "parent", "partner", "writer", "pronoun")
            for start, end in self._listed[who]
        ]
        found.sort(key=lambda person: (person.start, person.start - person.end))
        people: list[_Person] = []
        for person in found:
            if not people or person.start >= people[-1].end:
                people.append(person)
        return people

    def read(self, hits: list[Hit]) -> list[Reading]:
        idle = {i for hit in hits if hit.cue.kind is Kind.IDIOM for i in range(hit.start, hit.end)}
        return [
            self._read(hit)
            for hit in sorted(hits, key=lambda hit: hit.start)
            if hit.cue.kind is not Kind.IDIOM and not (hit.start in idle and hit.end - 1 in idle)
        ]

    def _read(self, hit: Hit) -> Reading:
        if hit.cue.kind is Kind.GIVEN:
            return Reading(hit, Standing.STANDS)  # "nothing has been done" is an answer too
        if (hit.cue.kind is not Kind.CONFUSER or hit.cue.label == Confuser.LAWFUL_RESTRAINT) and self._negated(hit):
            return Reading(hit, Standing.NEGATED)
        if hit.cue.kind is Kind.CATEGORY and self._supposed(hit):
            return Reading(hit, Standing.SUPPOSED)
        return self._who_did_it(hit) if hit.cue.act else Reading(hit, Standing.STANDS)

    # ---- negation and supposition

    def _negated(self, hit: Hit) -> bool:
        start, end = self._bounds[hit.start]
        for at, last, far in self._negators_before(max(start, hit.start - NEGATION_REACH), hit.start):
            between = self._words[last : hit.start]
            if any(i in self._stops for i in range(last, hit.start)) or _CLAUSE_ENDS & set(between):
                continue
            if far and ({",", "and"} & set(between)):
                continue
            if not self._own_denial(start, at):
                return True
        return any(
            hit.end <= at <= hit.end + AFTER_REACH and at < end and "," not in self._words[hit.end : at]
            for at, _ in self._listed["after_negator"]
            if not any(i in self._stops for i in range(hit.end, at))
        )

    def _negators_before(self, first: int, end: int) -> Iterator[tuple[int, int, bool]]:
        for name in ("negator", "far_negator"):
            for at, last in self._listed[name]:
                if first <= at and last <= end and at not in self._blocked:
                    yield at, last, name == "far_negator"

    def _own_denial(self, start: int, negator: int) -> bool:
        """True for "he says he did not ...": the adult's own account, which negates nothing. A child's does."""
        for i in range(start, negator):
            if i in self._reports:
                who = self._nearest_before(i, start)
                if who is not None and who.who in ("worker", "pronoun"):
                    return True
        return False

    def _supposed(self, hit: Hit) -> bool:
        start, _ = self._bounds[hit.start]
        marks = [
            at
            for at, last in self._listed["hypothesis"]
            if start <= at and last <= hit.start and not any(i in self._doubt for i in range(at, last))
        ]
        if not marks:
            return False
        # A past event told in the same breath ("the policy says no, but on Monday he hit ...") is no supposition.
        return not any(i in self._stops for i in range(marks[-1] + 1, hit.start))

    # ---- who did what to whom

    def _nearest_before(self, at: int, first: int) -> _Person | None:
        i = bisect_left(self._person_starts, at) - 1
        if i >= 0 and self._people[i].start >= first and self._people[i].end <= at:
            return self._people[i]
        return None

    def _who_did_it(self, hit: Hit) -> Reading:
        sentence, end = self._bounds[hit.start]
        actor = self._actor(hit.start, max(sentence, hit.start - ACTOR_REACH))
        patient = self._patient(hit, end)
        verb = hit.start
        before = self._words[max(sentence, verb - 2) : verb]
        passive = bool(_BE & set(before)) and not self._words[verb].endswith("ing")
        if "being" in before or (before and before[-1] in ("got", "being")):
            passive = True
        if passive:
            doer = self._doer(hit.end, end) or self._doer(hit.start, hit.end)
            actor, patient = doer, actor or patient
        elif patient is not None and patient.who in ("child", "peer"):
            self._done_to.add(patient.start)
        return self._judge(hit, actor, patient)

    def _actor(self, verb: int, first: int) -> _Person | None:
        """Who stands before the verb, passing over "the pupil's ..." and "with a pupil", who are no doers.

        Nobody where a word of reporting stands between ("the pupil says X hit him"): X is then named, not described.
        """
        person = self._nearest_before(verb, first)
        while person is not None and self._is_no_doer(person):
            person = self._nearest_before(person.start, first)
        if person is None or any(i in self._reports or self._words[i] in _BARRIERS for i in range(person.end, verb)):
            return None
        return person

    def _is_no_doer(self, person: _Person) -> bool:
        if self._words[person.start] == "who":
            # "The pupil who hit ...": the pupil. Where nobody stands right before, the word itself is somebody.
            before = self._nearest_before(person.start, max(0, person.start - 6))
            return before is not None and person.start - before.end <= 1
        if person.who not in ("child", "peer"):
            return False
        if person.start in self._done_to:
            return True  # "he grabbed the pupil and pushed ...": the pupil did not push
        if self._words[person.end : person.end + 1] == ["'s"] or self._words[person.end - 1].endswith(("s'", "'s")):
            return True
        for i in range(max(0, person.start - 3), person.start):
            if self._words[i] in _PREPOSITIONS:
                return not (self._words[i] == "of" and i and self._words[i - 1] in _PART_OF)  # "one of the boys"
        return False

    def _patient(self, hit: Hit, end: int) -> _Person | None:
        i = bisect_left(self._person_starts, hit.start + 1)
        while i < len(self._people) and self._people[i].start < min(end, hit.end + PATIENT_REACH):
            person = self._people[i]
            between = self._words[hit.end : person.start]
            if {",", ".", ";", "by", "and", "when", "because", "as", "while", "\n"} & set(between):
                return None
            return person
        return None

    def _doer(self, first: int, end: int) -> _Person | None:
        """The agent after "by" in a passive."""
        for i in range(first, min(end, first + 6)):
            if self._words[i] == "by":
                j = bisect_left(self._person_starts, i + 1)
                if j < len(self._people) and self._people[j].start <= i + 4:
                    return self._people[j]
                return None
        return None

    def _judge(self, hit: Hit, actor: _Person | None, patient: _Person | None) -> Reading:
        doer = actor.who if actor else ""
        done_to = patient.who if patient else ""
        if doer == "partner" or done_to == "partner":
            return Reading(hit, Standing.STANDS, private=True)
        if doer in ("child", "peer"):
            if done_to in ("child", "peer"):
                return Reading(hit, Standing.EXPLAINED, Confuser.CHILD_ON_CHILD)
            if done_to in ("worker", "writer"):
                return Reading(hit, Standing.EXPLAINED, Confuser.HIT_BY_CHILD)
            return Reading(hit, Standing.WEAKLY, Confuser.CHILD_ON_CHILD)
        if doer == "parent" and done_to in ("child", "pronoun", "peer", ""):
            return Reading(hit, Standing.EXPLAINED, Confuser.PARENT_AT_HOME)
        if done_to in ("worker", "writer") and doer in ("worker", "pronoun", "writer", "parent"):
            return Reading(hit, Standing.WEAKLY)
        return Reading(hit, Standing.STANDS)
