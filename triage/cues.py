"""The lexicon: cues that people edit, read from TOML, linted, and found in texts.

A file holds ``[[cue]]`` entries and ``[words]`` lists; ``lexicon/words.toml`` explains how a phrase is written.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.vocab import Vocab

from triage.reading import words_of
from triage.vocabulary import Category, Criterion, Flag, MissingDatum

LEXICON = Path(__file__).parent / "lexicon"

MAX_FORMS = 2000
"""Into so many plain word sequences one part of a phrase may unfold; more is a slip of the pen."""

SHORT_GAP, LONG_GAP = 3, 8
"""How many words ``..`` and ``...`` may span, within one sentence."""


class Kind(StrEnum):
    """What a cue is for: the part of its label before the colon."""

    CATEGORY = "category"
    FLAG = "flag"
    CONFUSER = "confuser"
    GIVEN = "given"  # minimum data that the writer gives, so that it is not missing
    IDIOM = "idiom"  # harm words that mean nothing: what they cover is not read as a cue


class Level(StrEnum):
    """What a category cue speaks for by itself."""

    HARM = "harm"
    DOUBT = "doubt"
    LOW = "low"


class Confuser(StrEnum):
    """What makes harm words mean something else, or makes the matter somebody else's."""

    LAWFUL_RESTRAINT = "lawful_restraint"
    POLICY_QUESTION = "policy_question"
    RECRUITMENT = "recruitment"
    ADMINISTRATION = "administration"
    CHILD_ON_CHILD = "child_on_child"
    HIT_BY_CHILD = "hit_by_child"
    PARENT_AT_HOME = "parent_at_home"
    ADULT_ONLY = "adult_only"
    ACCIDENT = "accident"
    SERVICE_COMPLAINT = "service_complaint"
    ELSEWHERE = "elsewhere"  # already held by another authority, already closed, or the adult has died


LABELS: Mapping[Kind, frozenset[str]] = {
    Kind.CATEGORY: frozenset(category.value for category in Category if category is not Category.NONE),
    Kind.FLAG: frozenset(flag.value for flag in Flag),
    Kind.CONFUSER: frozenset(confuser.value for confuser in Confuser),
    Kind.GIVEN: frozenset(datum.value for datum in MissingDatum),
    Kind.IDIOM: frozenset({"harmless"}),
}

WORD_LISTS = """
    child peer worker role parent partner writer pronoun report negator far_negator not_negator stop
    after_negator hypothesis real_doubt plan
    """.split()
"""The word lists that the code itself asks for (``context.py``); an editor may add others for use in phrases."""

_CUE_KEYS = frozenset({"name", "label", "weight", "level", "criteria", "act", "phrases"})
_LIST = re.compile(r"<([a-z_]+)>")
_SPLIT = re.compile(r"\s+(\.{2,3})\s+")


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in the lexicon: in which file, at which entry, what is wrong."""

    file: str
    entry: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.entry}: {self.problem}"


class LexiconFaulty(ValueError):
    """The lexicon cannot be used as it is; ``faults`` says where. It is shipped data, so its text is no secret."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Phrase:
    """Parts that follow each other in a sentence; ``gaps[i]`` is how many words may stand before part i + 1."""

    parts: tuple[frozenset[tuple[str, ...]], ...]
    gaps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cue:
    """An entry of the lexicon. ``act`` marks deeds, for which it matters who did them to whom."""

    name: str
    kind: Kind
    label: str
    weight: float
    level: Level
    criteria: tuple[Criterion, ...]
    act: bool
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A cue found: tokens ``start`` to ``end`` (exclusive) of the document."""

    cue: Cue
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All cues and word lists, and a hash over the files' content."""

    cues: tuple[Cue, ...]
    words: Mapping[str, frozenset[tuple[str, ...]]]
    digest: str


def load(folder: Path = LEXICON) -> Lexicon:
    """The lexicon in a folder of TOML files. Raises LexiconFaulty with every fault, OSError where it is unreadable."""
    lexicon, faults = _read(folder)
    if faults:
        raise LexiconFaulty(faults)
    return lexicon


def lint(folder: Path = LEXICON) -> tuple[Fault, ...]:
    """Every fault of a lexicon, file by file; empty where it can be used."""
    return tuple(_read(folder)[1])


class Finder:
    """Finds cues and words of lists in documents with one spaCy PhraseMatcher: linear, whatever the lexicon's size."""

    def __init__(self, vocab: Vocab, lexicon: Lexicon) -> None:
        self._matcher = PhraseMatcher(vocab, attr="LOWER")
        self._vocab = vocab
        # A word sequence belongs to parts of phrases, as (cue, phrase, part), and to word lists.
        self._parts: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self._lists: dict[int, list[str]] = defaultdict(list)
        self._cues = lexicon.cues
        known: set[tuple[str, ...]] = set()
        for c, cue in enumerate(lexicon.cues):
            for p, phrase in enumerate(cue.phrases):
                for q, part in enumerate(phrase.parts):
                    for form in part:
                        self._parts[self._key(form)].append((c, p, q))
                    known |= part
        for name in WORD_LISTS:
            for form in lexicon.words[name]:
                self._lists[self._key(form)].append(name)
            known |= lexicon.words[name]
        for form in sorted(known):
            self._matcher.add(" ".join(form), [Doc(vocab, words=list(form))])

    def _key(self, form: tuple[str, ...]) -> int:
        return int(self._vocab.strings.add(" ".join(form)))

    def find(self, doc: Doc) -> tuple[list[Hit], dict[str, list[tuple[int, int]]]]:
        """The cues found, by their place, and the places of each word list's words."""
        places: dict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)
        listed: dict[str, list[tuple[int, int]]] = {name: [] for name in WORD_LISTS}
        for key, start, end in sorted(self._matcher(doc), key=lambda match: (match[1], match[2])):
            for part in self._parts.get(key, ()):
                places[part].append((start, end))
            for name in self._lists.get(key, ()):
                listed[name].append((start, end))
        sentence = _sentence_numbers(doc)
        hits = [
            Hit(self._cues[c], start, end)
            for (c, p, q), found in places.items()
            if q == 0
            for start, end in self._chains(self._cues[c].phrases[p], (c, p), found, places, sentence)
        ]
        return _longest(hits), {name: _outermost(spans) for name, spans in listed.items()}

    @staticmethod
    def _chains(
        phrase: Phrase,
        key: tuple[int, int],
        firsts: list[tuple[int, int]],
        places: Mapping[tuple[int, int, int], list[tuple[int, int]]],
        sentence: list[int],
    ) -> Iterator[tuple[int, int]]:
        """From each first part, the nearest next part within its gap and sentence, and so on to the last."""
        for start, first_end in firsts:
            end = first_end
            for number, gap in enumerate(phrase.gaps, 1):
                nexts = places.get((*key, number), [])
                at = bisect_left(nexts, (end, 0))
                if at == len(nexts) or nexts[at][0] - end > gap or sentence[nexts[at][0]] != sentence[start]:
                    break
                end = nexts[at][1]
            else:
                yield start, end


def _sentence_numbers(doc: Doc) -> list[int]:
    return list(itertools.accumulate(int(bool(token.is_sent_start)) for token in doc))


def _longest(hits: list[Hit]) -> list[Hit]:
    """One hit where several of one label and direction overlap: the heaviest, then the longest."""
    kept: list[Hit] = []
    last: dict[tuple[Kind, str], Hit] = {}
    for hit in sorted(hits, key=lambda h: (h.start, -h.end, -h.cue.weight)):
        key = (hit.cue.kind, hit.cue.label)
        before = last.get(key)
        if before is not None and hit.start < before.end:
            if (hit.cue.weight, hit.end - hit.start) <= (before.cue.weight, before.end - before.start):
                continue
            kept.remove(before)
        kept.append(hit)
        last[key] = hit
    return kept


def _outermost(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


@dataclass(slots=True)
class _Reading:
    """What is gathered while the files are read."""

    faults: list[Fault] = field(default_factory=list)
    words: dict[str, frozenset[tuple[str, ...]]] = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    phrases: dict[tuple[Kind, str, str], str] = field(default_factory=dict)


def _read(folder: Path) -> tuple[Lexicon, list[Fault]]:
    reading, digest = _Reading(), hashlib.sha256()
    tables: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(folder.glob("*.toml")):
        content = path.read_bytes()
        digest.update(path.name.encode() + b"\0" + content + b"\0")
        try:
            tables.append((path.name, tomllib.loads(content.decode("utf-8"))))
        except ValueError as fault:  # TOML or UTF-8: both say where, and the file is shipped data
            reading.faults.append(Fault(path.name, "file", f"is not TOML in UTF-8: {fault}"))
    for file, table in tables:
        for key in table.keys() - {"words", "cue"}:
            reading.faults.append(Fault(file, key, "is neither [words] nor [[cue]]"))
        for name, entries in table.get("words", {}).items():
            _read_words(reading, file, name, entries)
    for name in WORD_LISTS:
        if name not in reading.words:
            reading.faults.append(Fault("words.toml", f"[words] {name}", "is missing; the code asks for it"))
    for file, table in tables:
        for number, entry in enumerate(table.get("cue", []), 1):
            _read_cue(reading, file, number, entry)
    return Lexicon(tuple(reading.cues), reading.words, digest.hexdigest()), reading.faults


def _read_words(reading: _Reading, file: str, name: str, entries: Any) -> None:
    entry = f"[words] {name}"
    if name in reading.words:
        reading.faults.append(Fault(file, entry, "stands twice"))
    if not isinstance(entries, list) or not entries or not all(isinstance(word, str) for word in entries):
        reading.faults.append(Fault(file, entry, "is not a list of words"))
        entries = []
    forms: set[tuple[str, ...]] = set()
    for text in entries:
        unfolded = {form for form in _unfold(text, {}) if form} if not _LIST.search(text) else set()
        if not unfolded:
            reading.faults.append(Fault(file, entry, f'"{text}" is empty or names a list'))
        for form in sorted(unfolded & forms):
            reading.faults.append(Fault(file, entry, f'"{" ".join(form)}" stands twice'))
        forms |= unfolded
    reading.words[name] = frozenset(forms)


def _read_cue(reading: _Reading, file: str, number: int, entry: Mapping[str, Any]) -> None:
    name = entry.get("name")
    place = f'cue {number} "{name}"'
    faults: list[str] = []
    if not isinstance(name, str) or not name.strip():
        name = ""
        faults.append("has no name")
    elif name in reading.names:
        faults.append(f"has the name of another cue in {reading.names[name]}")
    reading.names.setdefault(name, file)
    faults += [f'has an unknown key "{key}"' for key in sorted(entry.keys() - _CUE_KEYS)]
    kind, label = _label(entry.get("label"), faults)
    weight = entry.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 5:
        faults.append("has a weight that is not above 0 and at most 5")
        weight = 1
    level = entry.get("level", "harm")
    if level not in list(Level) or ("level" in entry) is not (kind is Kind.CATEGORY):
        faults.append("has no level harm, doubt or low, or is no category and has one")
        level = "harm"
    criteria = entry.get("criteria", [])
    if not isinstance(criteria, list) or not set(criteria) <= set(Criterion) or (criteria and level == "low"):
        faults.append("has criteria that are not among 1 to 4, or is low and has criteria")
        criteria = []
    if kind is Kind.CATEGORY and level == "harm" and not criteria:
        faults.append("speaks for harm but names no criterion")
    phrases = _phrases(reading, file, entry.get("phrases"), (kind, label), faults)
    reading.faults += [Fault(file, place, problem) for problem in faults]
    reading.cues.append(
        Cue(
            name=name,
            kind=kind,
            label=label,
            weight=float(weight),
            level=Level(level),
            criteria=tuple(Criterion(value) for value in sorted(set(criteria))),
            act=entry.get("act") is True,
            phrases=phrases,
        )
    )


def _label(value: Any, faults: list[str]) -> tuple[Kind, str]:
    kind, _, label = str(value).partition(":")
    if kind in list(Kind) and label in LABELS[Kind(kind)]:
        return Kind(kind), label
    faults.append(f'has an unknown label "{value}"')
    return Kind.IDIOM, "harmless"


def _phrases(
    reading: _Reading, file: str, values: Any, label: tuple[Kind, str], faults: list[str]
) -> tuple[Phrase, ...]:
    if not isinstance(values, list) or not values:
        faults.append("has no phrases")
        return ()
    phrases = []
    for value in values:
        text = value if isinstance(value, str) else ""
        for unknown in set(_LIST.findall(text)) - reading.words.keys():
            faults.append(f'"{text}" names the list <{unknown}>, which does not exist')
        pieces = _SPLIT.split(text.strip())
        parts = [_unfold(piece, reading.words) for piece in pieces[::2]]
        if not all(parts) or not all(form for part in parts for form in part):
            faults.append(f'"{text}" is empty or has an empty part')
            continue
        if any(len(part) > MAX_FORMS for part in parts):
            faults.append(f'"{text}" unfolds into more than {MAX_FORMS} forms')
            continue
        key = (*label, " ".join(text.lower().split()))
        if key in reading.phrases:
            faults.append(f'"{text}" stands already in {reading.phrases[key]}')
        reading.phrases[key] = file
        gaps = tuple(SHORT_GAP if gap == ".." else LONG_GAP for gap in pieces[1::2])
        phrases.append(Phrase(tuple(frozenset(part) for part in parts), gaps))
    return tuple(phrases)


def _unfold(text: str, words: Mapping[str, frozenset[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    """Every plain word sequence that a part of a phrase stands for."""
    choices: list[list[tuple[str, ...]]] = []
    for piece in text.split():
        optional = piece.startswith("(") and piece.endswith(")") and len(piece) > 2
        named = _LIST.fullmatch(piece)
        if named:
            choices.append(sorted(words.get(named[1], frozenset({("\ufffc",)}))))
            continue
        options = [tuple(words_of(option)) for option in (piece[1:-1] if optional else piece).split("/")]
        if not all(options):
            return set()
        choices.append([*options, ()] if optional else options)
    if not choices:
        return set()
    forms: set[tuple[str, ...]] = set()
    for combination in itertools.product(*choices):
        forms.add(tuple(itertools.chain.from_iterable(combination)))
        if len(forms) > MAX_FORMS:
            break
    return forms
