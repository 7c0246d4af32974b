"""The learned layer over the rules: one suggestion, with the words that moved it and a sentence an officer would say."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from triage import pipeline
from triage.learned.judging import Calibration, Judgement, judge
from triage.learned.model import MODEL, Answers, Floats, Model
from triage.suggestion import RULES_ALONE, Evidence, Polarity, Suggestion
from triage.vocabulary import Category, Flag, Threshold
from triage.weighing import CATEGORY_SAYS, CONFUSER_SAYS, Verdict

ENGINE = "learned"

SPEAKS = 0.5
"""From this likelihood a word is shown as evidence."""
MAX_GAP = 2
"""Words between two marked ones that are shown with them."""
MAX_SPANS = 12
READ_QUICKLY = " Many messages were waiting, so the rules alone read this one: take it as a first look."


class LearnedSuggester:
    """Rules and model together. Callers on several threads wait for each other.

    Raises ModelMissing or ModelFaulty where the model's files are not there or not the named ones.
    """

    def __init__(self, rules: pipeline.Pipeline, folder: Path = MODEL) -> None:
        self._rules = rules
        self._model = Model(folder)
        self._calibration = Calibration.from_json(self._model.manifest["calibration"])
        self._lock = threading.Lock()
        self.version = f"{self._model.version}+{rules.version}"

    def suggest(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion:
        """As :meth:`triage.pipeline.Pipeline.suggest`."""
        verdict, found = self._rules.judge(text, subject=subject, sender=sender)
        with self._lock:
            answers = self._model.answer(subject, text, verdict.measures)
        judged = judge(answers.logits, self._calibration, verdict, words=len(text.split()))
        evidence = [*_spans(text, answers, judged), *_from_rules(found, judged)]
        return Suggestion(
            category=judged.category,
            secondary_categories=judged.secondary,
            category_confidence=_confidence(judged.categories, list(Category).index(judged.category)),
            threshold=judged.threshold,
            threshold_confidence=_confidence(judged.thresholds, list(Threshold).index(judged.threshold)),
            criteria=judged.criteria,
            flags=judged.flags,
            missing=judged.missing,
            evidence=tuple(sorted(evidence, key=lambda one: (one.start, one.end))),
            reason=reason(judged, verdict, against=any(one.polarity is Polarity.AGAINST for one in evidence))
            + ("" if answers.whole else " Only the first and last part of this long text was read."),
            engine=ENGINE,
            version=self.version,
            ranking=_ranking(judged),
            meets_confidence=_confidence(judged.thresholds, list(Threshold).index(Threshold.MEETS)),
        )

    @property
    def counts(self) -> bool:
        """Whether the model counts words beside reading them."""
        return self._model.counts

    def counted(self, text: str, *, subject: str = "") -> Mapping[str, Floats]:
        """What counting alone says, as logits by head: the plain baseline that everything else is to beat."""
        with self._lock:
            return self._model.counted(subject, text)

    def suggest_by_rules(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion:
        """The rules' suggestion, which takes a tenth of the time and says that it is no more than that."""
        made = self._rules.suggest(text, subject=subject, sender=sender)
        return replace(made, engine=RULES_ALONE, reason=made.reason + READ_QUICKLY)


def _confidence(probabilities: Floats, chosen: int) -> float:
    return float(min(0.99, probabilities[chosen]))


def _ranking(judged: Judgement) -> tuple[Category, ...]:
    likely = [list(Category)[int(number)] for number in np.argsort(-judged.categories)]
    return (judged.category, *(one for one in likely if one is not judged.category))[:3]


def _spans(text: str, answers: Answers, judged: Judgement) -> Iterator[Evidence]:
    """Neighbouring words that speak the same way, the likeliest first where there are too many."""
    label = judged.category.value
    for column, polarity in ((0, Polarity.FOR), (1, Polarity.AGAINST)):
        spans: list[tuple[float, int, int]] = []
        run: list[int] = []
        quiet = 0
        for number, place in enumerate(answers.read.places):
            if place is None:
                continue
            if answers.speaks[number, column] >= SPEAKS:
                run.append(number)
                quiet = 0
            elif run and (quiet := quiet + 1) > MAX_GAP:
                spans.append(_span(answers, run, column))
                run, quiet = [], 0
        if run:
            spans.append(_span(answers, run, column))
        if not spans and polarity is Polarity.FOR and judged.threshold in (Threshold.MEETS, Threshold.LOW_LEVEL):
            spans = list(_likeliest(answers))
        for _, start, end in sorted(spans, reverse=True)[:MAX_SPANS]:
            yield Evidence(start, end, text[start:end], label, polarity)


def _span(answers: Answers, run: list[int], column: int) -> tuple[float, int, int]:
    first, last = answers.read.places[run[0]], answers.read.places[run[-1]]
    assert first is not None  # noqa: S101  # pieces without a place never enter a run
    assert last is not None  # noqa: S101
    return float(np.max(answers.speaks[run, column])), first[0], last[1]


def _likeliest(answers: Answers) -> Iterator[tuple[float, int, int]]:
    """The one word that speaks loudest and its neighbours: a suggestion never stands without a place to look at."""
    placed = [number for number, place in enumerate(answers.read.places) if place is not None]
    if not placed:
        return
    loudest = max(placed, key=lambda number: float(answers.speaks[number, 0]))
    at = placed.index(loudest)
    yield _span(answers, placed[max(0, at - 3) : at + 4], 0)


def _from_rules(found: Iterable[Evidence], judged: Judgement) -> Iterator[Evidence]:
    """What the rules found for the flags that are raised, and for the category where it is a concern."""
    flags = {flag.value for flag in judged.flags}
    for one in found:
        if (one.label in flags and one.polarity is Polarity.FOR) or (
            one.label == judged.category.value and judged.threshold is not Threshold.NOT_LADO
        ):
            yield one


def reason(judged: Judgement, rules: Verdict, *, against: bool) -> str:
    """One sentence for an officer, without a word of the text."""
    about = CATEGORY_SAYS[judged.category]
    which = _criteria(judged)
    match judged.threshold:
        case Threshold.MEETS:
            said = f"This reads as {about} by an adult who works with children{which}"
            said += ", though something is said against it" if against else ""
        case Threshold.LOW_LEVEL:
            said = (
                f"This reads as {about} that falls short of the expected standard, with no sign of harm or of a pattern"
            )
        case Threshold.NOT_LADO if Flag.CHILD_ON_CHILD in judged.flags:
            said = "This reads as behaviour between children, with no harm by an adult who works with them"
        case Threshold.NOT_LADO if Flag.RESTRAINT in judged.flags:
            said = "This reads as a physical intervention that nobody complains of and that stayed within its plan"
        case Threshold.NOT_LADO if Flag.OTHER_AUTHORITY in judged.flags and judged.category is not Category.NONE:
            said = f"This reads as {about} that another authority's officer holds"
        case Threshold.NOT_LADO if rules.confuser is not None and rules.threshold is Threshold.NOT_LADO:
            said = f"This reads as {CONFUSER_SAYS[rules.confuser]}, with no harm by an adult who works with children"
        case Threshold.NOT_LADO:
            said = "Nothing here says that an adult who works with children harmed a child or may be unsuitable"
        case _ if judged.raised_by_rules:
            said = f"The words point to {about}, while the text as a whole reads as less: an officer needs to read it"
        case _ if judged.category is Category.NONE:
            said = "No conduct is named clearly enough to place, so an officer needs to ask what happened"
        case _ if against:
            said = (
                f"There are signs of {about}{which} and words that speak against it, so an officer needs to weigh them"
            )
        case _:
            said = f"There are signs of {about}{which}, but not enough is told to place it against the threshold"
    return said + "."


def _criteria(judged: Judgement) -> str:
    if not judged.criteria:
        return ""
    numbers = [str(int(one)) for one in judged.criteria]
    if len(numbers) == 1:
        return f" (criterion {numbers[0]})"
    return f" (criteria {', '.join(numbers[:-1])} and {numbers[-1]})"
