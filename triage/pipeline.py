"""The pipeline: a text in, a suggestion out. No database, no clock, no network, and no memory of what was read.

The layers, each in its module: ``reading`` (what is read, as which words), ``cues`` (the lexicon), ``context`` (how a
cue stands), ``facts`` (minimum data by shape), ``weighing`` (the verdict). This engine is rules alone.
"""

from __future__ import annotations

import threading
from pathlib import Path

import spacy
from spacy.tokens import Doc

from triage import context, cues, facts, reading, weighing
from triage.context import Reading
from triage.cues import Kind
from triage.suggestion import Evidence, Polarity, Suggestion
from triage.vocabulary import Flag, MissingDatum, Threshold
from triage.weighing import Signal

ENGINE = "rules"
ENGINE_VERSION = "rules-1"

MAX_EVIDENCE = 60
MAX_SUBJECT_CHARACTERS = 500


def load(lexicon_dir: Path | None = None) -> Pipeline:
    """A pipeline with the lexicon in a folder, by default the shipped one. Raises LexiconFaulty or OSError."""
    return Pipeline(cues.load(lexicon_dir or cues.LEXICON))


class Pipeline:
    """Reads texts one at a time; callers on several threads wait for each other."""

    def __init__(self, lexicon: cues.Lexicon) -> None:
        self._nlp = spacy.blank("en")
        self._nlp.tokenizer = reading.PlacedTokenizer(self._nlp.vocab)
        self._nlp.max_length = 2**40  # the tokenizer reads in windows, so that length costs nothing here
        self._nlp.add_pipe("sentencizer")
        self._nlp.add_pipe("triage_lines")
        self._finder = cues.Finder(self._nlp.vocab, lexicon)
        self._lock = threading.Lock()
        self.version = f"{ENGINE_VERSION}+{lexicon.digest[:8]}"

    def suggest(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion:
        """The suggestion for a message's words. Any string is taken; nothing is raised for what it says.

        Evidence points into ``text`` as given: ``text[e.start:e.end] == e.text``. What stands in ``subject`` alone
        moves the scores at half weight, fills minimum data, and gives no evidence. ``sender`` tells the writer's own
        name from others'.
        """
        verdict, evidence = self.judge(text, subject=subject, sender=sender)
        return Suggestion(
            category=verdict.category,
            secondary_categories=verdict.secondary,
            category_confidence=verdict.category_confidence,
            threshold=verdict.threshold,
            threshold_confidence=verdict.threshold_confidence,
            criteria=verdict.criteria,
            flags=verdict.flags,
            missing=verdict.missing,
            evidence=evidence,
            reason=verdict.reason,
            engine=ENGINE,
            version=self.version,
            ranking=verdict.ranking,
            meets_confidence=verdict.threshold_confidence if verdict.threshold is Threshold.MEETS else 0.0,
        )

    def suggest_by_rules(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion:
        """As :meth:`suggest`: the rules are all there is."""
        return self.suggest(text, subject=subject, sender=sender)

    def judge(self, text: str, *, subject: str, sender: str | None) -> tuple[weighing.Verdict, tuple[Evidence, ...]]:
        """The rules' verdict, and the places of what moved it; as :meth:`suggest`."""
        subject = reading.plain(subject[:MAX_SUBJECT_CHARACTERS])
        # Words of a text are forgotten when the zone closes: a service that runs for months keeps none of them.
        with self._lock, self._nlp.memory_zone():
            doc = self._nlp(text)
            in_text, people = self._read(doc)
            in_subject, people_in_subject = self._read(self._nlp(subject))
            signals = [Signal(r) for r in in_text] + [Signal(r, in_subject_line=True) for r in in_subject]
            windows = doc.user_data["windows"]
            places: list[tuple[int, int]] = doc.user_data["places"]
            read_text = "\n\n".join(reading.plain(text[w.start : w.end]) for w in windows)
            found = facts.find(read_text, subject, sender)
            signature = windows[-1].end - len(read_text) + facts.signature_start(read_text)
            verdict = weighing.weigh(
                signals,
                found,
                roles=any(_names_role(signal, places, signature) for signal in signals),
                nobody=not (people or people_in_subject),
                windowed=len(windows) > 1,
            )
            return verdict, _evidence(text, in_text, places, verdict)

    def _read(self, doc: Doc) -> tuple[list[Reading], bool]:
        """The cues as they stand, and whether the text speaks of a child or of an adult at work."""
        hits, listed = self._finder.find(doc)
        return context.read(doc, hits, listed), any(listed[who] for who in ("child", "peer", "role", "worker"))


def _names_role(signal: Signal, places: list[tuple[int, int]], signature: int) -> bool:
    hit = signal.reading.hit
    if hit.cue.kind is not Kind.GIVEN or hit.cue.label != MissingDatum.SUBJECT_ROLE:
        return False
    return signal.in_subject_line or places[hit.start][0] < signature


def _evidence(
    text: str, readings: list[Reading], places: list[tuple[int, int]], verdict: weighing.Verdict
) -> tuple[Evidence, ...]:
    """The places of the weightiest readings, in the text's order, each place once for each label and polarity."""
    found: dict[tuple[int, int, str, Polarity], float] = {}
    for r in readings:
        cue = r.hit.cue
        if cue.kind is Kind.GIVEN and cue.label == MissingDatum.SUBJECT_ROLE:
            continue  # each word for an adult would be marked
        if cue.kind is Kind.GIVEN and verdict.threshold is Threshold.NOT_LADO:
            continue
        polarity = Polarity.FOR if r.counts else Polarity.AGAINST
        if cue.kind is Kind.FLAG and polarity is Polarity.FOR and Flag(cue.label) not in verdict.flags:
            continue
        start, end = places[r.hit.start][0], places[r.hit.end - 1][1]
        weight = cue.weight - (2 if cue.kind is Kind.GIVEN else 0)
        labels = [(cue.label, polarity)]
        if r.confuser is not None:
            labels.append((r.confuser.value, Polarity.FOR))
        for label, side in labels:
            key = (start, end, label, side)
            found[key] = max(weight, found.get(key, -9))
    heaviest = sorted(found, key=lambda key: (-found[key], key[:2]))[:MAX_EVIDENCE]
    return tuple(
        Evidence(start, end, text[start:end], label, polarity) for start, end, label, polarity in sorted(heaviest)
    )
