"""The scores of a suggestion on labelled examples, beside the plainest baseline.

Labels that say "suitability" join *conduct* and *private_life*; where two readers labelled an example, the first is the
yardstick and the second is scored against the first in the same way, which is the ceiling.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from triage.suggestion import Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

SUITABILITY = "suitability"


@dataclass(frozen=True, slots=True)
class Labels:
    """What a reader, a suggestion or a baseline says of a text. None: it says nothing on that."""

    category: str
    threshold: str
    criteria: frozenset[int]
    flags: frozenset[str] | None = None
    missing: frozenset[str] | None = None
    ranking: tuple[str, ...] = ()
    """The likeliest categories, the first first."""
    confidence: float | None = None
    """How sure of the threshold."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text, and what a second reader said of it where there was one."""

    id: str
    subject: str
    body: str
    sender: str | None
    expected: Labels
    second: Labels | None = None


def report(file: Path | None, model: Path | None = None) -> dict[str, Any]:
    """The scores of the pipeline on a file of examples, or on the corpus's test split; by default with the shipped model.

    Raises OSError, ValueError or KeyError where the file is unreadable or has another shape.
    """
    from triage import engine, pipeline
    from triage.learned.suggester import LearnedSuggester

    loaded, rules = engine.load(model), pipeline.load()
    examples = from_corpus() if file is None else read(file)

    def by_rules(example: Example) -> Suggestion:
        return rules.suggest(example.body, subject=example.subject, sender=example.sender)

    others: dict[str, Callable[[Example], Labels]] = {"rules": lambda example: labels_of(by_rules(example))}
    if isinstance(loaded, LearnedSuggester) and loaded.counts:
        others["counting"] = lambda example: counted(loaded.counted(example.body, subject=example.subject))
    return {"version": loaded.version} | evaluate(
        examples,
        lambda example: loaded.suggest(example.body, subject=example.subject, sender=example.sender),
        others,
    )


def counted(logits: Mapping[str, Any]) -> Labels:
    """What counting words alone says of a text: the likeliest category and threshold, and what is likelier than not."""
    categories = [list(Category)[int(number)] for number in logits["category"].argsort()[::-1]]

    def over(name: str, every: Iterable[Any]) -> list[Any]:
        return [label for label, logit in zip(every, logits[name], strict=True) if logit > 0]

    return Labels(
        category=joined(categories[0]),
        threshold=list(Threshold)[int(logits["threshold"].argmax())].value,
        criteria=frozenset(int(one) for one in over("criteria", Criterion)),
        flags=frozenset(one.value for one in over("flags", Flag)),
        missing=frozenset(one.value for one in over("missing", MissingDatum)),
        ranking=tuple(joined(one) for one in categories),
    )


def from_corpus() -> tuple[Example, ...]:
    """The texts of the training corpus that are set apart for the test. Raises CorpusFaulty."""
    from triage.training import texts

    return tuple(
        Example(
            id=text.id,
            subject=text.subject,
            body=text.body,
            sender=text.sender,
            expected=Labels(
                category=joined(text.category),
                threshold=text.threshold.value,
                criteria=frozenset(int(criterion) for criterion in text.criteria),
                flags=frozenset(flag.value for flag in text.flags),
                missing=frozenset(datum.value for datum in text.missing),
            ),
        )
        for text in texts.read()
        if text.is_test
    )


def read(file: Path) -> tuple[Example, ...]:
    """Examples from JSON Lines: {"id","text",labels} or {"id","from","subject","body","reader1","reader2"}.

    Raises OSError, ValueError or KeyError where the file is unreadable or has another shape.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(_example(json.loads(line)) for line in lines if line.strip())


def evaluate(
    examples: Sequence[Example],
    suggest: Callable[[Example], Suggestion],
    others: Mapping[str, Callable[[Example], Labels]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Scores of the suggestions, of the baselines and of the second reader, and the confusions.

    Raises ValueError where there is no example.
    """
    if not examples:
        raise ValueError("there is no example to score")
    expected = [example.expected for example in examples]
    said = [labels_of(suggest(example)) for example in examples]
    pairs = [(example.expected, example.second) for example in examples if example.second is not None]
    return {
        "examples": len(examples),
        "scores": scores(expected, said),
        "baseline_majority": scores(expected, [_majority(expected)] * len(examples)),
        **{
            f"baseline_{name}": scores(expected, [other(example) for example in examples])
            for name, other in others.items()
        },
        "second_reader": scores([first for first, _ in pairs], [second for _, second in pairs]) if pairs else None,
        "thresholds": dict(Counter(f"{e.threshold} as {s.threshold}" for e, s in zip(expected, said, strict=True))),
        "categories": dict(Counter(f"{e.category} as {s.category}" for e, s in zip(expected, said, strict=True))),
        "reliability": reliability(expected, said),
        "abstention": abstention(expected, said),
    }


def scores(expected: Sequence[Labels], said: Sequence[Labels]) -> dict[str, float | None]:
    """The measures, each between 0 and 1, or None where the examples hold nothing to measure it on.

    ``sensitivity``: of the texts that meet the harm threshold, those called so; ``caught``: those called so or unclear.
    ``specificity``: of the texts that do not meet it (unclear ones aside), those not called so.
    ``missed_among_below``: of the texts called low-level or not LADO, those that truly meet the threshold.
    The F1 are over all labels of all texts together (micro).
    """
    pairs = list(zip(expected, said, strict=True))
    meets = [s.threshold for e, s in pairs if e.threshold == Threshold.MEETS]
    below = [s.threshold for e, s in pairs if e.threshold in (Threshold.LOW_LEVEL, Threshold.NOT_LADO)]
    called_below = [e.threshold for e, s in pairs if s.threshold in (Threshold.LOW_LEVEL, Threshold.NOT_LADO)]
    return {
        "sensitivity": _share(threshold == Threshold.MEETS for threshold in meets),
        "caught": _share(threshold in (Threshold.MEETS, Threshold.UNCLEAR) for threshold in meets),
        "specificity": _share(threshold != Threshold.MEETS for threshold in below),
        "missed_among_below": _share(threshold == Threshold.MEETS for threshold in called_below),
        "threshold_accuracy": _share(e.threshold == s.threshold for e, s in pairs),
        "category_top1": _share(e.category == s.category for e, s in pairs),
        "category_top2": _share(e.category in _first_two(s) for e, s in pairs),
        "category_macro_f1": _macro_f1([(e.category, s.category) for e, s in pairs]),
        "calibration_error": _calibration_error(expected, said),
        "criteria_f1": _f1((e.criteria, s.criteria) for e, s in pairs),
        "flags_f1": _f1((e.flags, s.flags) for e, s in pairs if e.flags is not None and s.flags is not None),
        "missing_f1": _f1((e.missing, s.missing) for e, s in pairs if e.missing is not None and s.missing is not None),
    }


def reliability(expected: Sequence[Labels], said: Sequence[Labels], bins: int = 10) -> list[dict[str, float]]:
    """Of the suggestions of each tenth of confidence: how many, how sure, and how often right on the threshold."""
    placed: dict[int, list[tuple[float, bool]]] = {}
    for e, s in zip(expected, said, strict=True):
        if s.confidence is not None:
            placed.setdefault(min(bins - 1, int(s.confidence * bins)), []).append(
                (s.confidence, e.threshold == s.threshold)
            )
    return [
        {
            "texts": len(held),
            "confidence": round(sum(sure for sure, _ in held) / len(held), 3),
            "right": round(sum(right for _, right in held) / len(held), 3),
        }
        for _, held in sorted(placed.items())
    ]


def abstention(expected: Sequence[Labels], said: Sequence[Labels]) -> list[dict[str, float]]:
    """What is left when only the surer suggestions are given: the share of texts answered, and of those the right."""
    sure = sorted(
        ((s.confidence, e.threshold == s.threshold) for e, s in zip(expected, said, strict=True) if s.confidence),
        reverse=True,
    )
    kept = [sure[: max(1, round(len(sure) * share / 10))] for share in range(10, 0, -1)] if sure else []
    return [
        {"answered": round(len(part) / len(sure), 3), "right": round(sum(right for _, right in part) / len(part), 3)}
        for part in kept
    ]


def _calibration_error(expected: Sequence[Labels], said: Sequence[Labels]) -> float | None:
    """Expected calibration error of the threshold, over ten bins of equal width."""
    tenths = reliability(expected, said)
    texts = sum(tenth["texts"] for tenth in tenths)
    if not texts:
        return None
    return round(sum(tenth["texts"] * abs(tenth["confidence"] - tenth["right"]) for tenth in tenths) / texts, 3)


def _first_two(said: Labels) -> tuple[str, ...]:
    return tuple(dict.fromkeys((said.category, *said.ranking)))[:2]


def _macro_f1(pairs: Sequence[tuple[str, str]]) -> float | None:
    every = sorted({expected for expected, _ in pairs})
    parts = []
    for label in every:
        hits = sum(1 for expected, said in pairs if expected == said == label)
        named = sum((expected == label) + (said == label) for expected, said in pairs)
        parts.append(2 * hits / named)
    return round(sum(parts) / len(parts), 3) if parts else None


def _example(data: Mapping[str, Any]) -> Example:
    if "reader1" in data:
        return Example(
            id=str(data["id"]),
            subject=data["subject"],
            body=data["body"],
            sender=data.get("from"),
            expected=_labels(data["reader1"]),
            second=_labels(data["reader2"]) if data.get("reader2") else None,
        )
    return Example(id=str(data["id"]), subject="", body=data["text"], sender=None, expected=_labels(data))


def _labels(data: Mapping[str, Any]) -> Labels:
    threshold = Threshold(data["threshold"]).value
    return Labels(
        category=joined(data["category"]),
        threshold=threshold,
        criteria=frozenset(data["criteria"]),
        flags=frozenset(data["flags"]) if "flags" in data else None,
        missing=frozenset(data["missing"]) if "missing" in data else None,
    )


def labels_of(suggestion: Suggestion) -> Labels:
    """What a suggestion says, as it is scored."""
    return Labels(
        category=joined(suggestion.category),
        threshold=suggestion.threshold.value,
        criteria=frozenset(int(criterion) for criterion in suggestion.criteria),
        flags=frozenset(flag.value for flag in suggestion.flags),
        missing=frozenset(datum.value for datum in suggestion.missing),
        ranking=tuple(joined(category) for category in suggestion.ranking),
        confidence=suggestion.threshold_confidence,
    )


def joined(category: str) -> str:
    """The category as it is scored: two that readers tell apart by what they know beside the text are one."""
    if category == SUITABILITY:
        return SUITABILITY
    known = Category(category)
    return SUITABILITY if known in (Category.CONDUCT, Category.PRIVATE_LIFE) else known.value


def _majority(expected: Sequence[Labels]) -> Labels:
    """Always the commonest answer to each question; no flag and no missing datum is in most texts, so none."""
    return Labels(
        category=Counter(labels.category for labels in expected).most_common(1)[0][0],
        threshold=Counter(labels.threshold for labels in expected).most_common(1)[0][0],
        criteria=Counter(labels.criteria for labels in expected).most_common(1)[0][0],
        flags=frozenset(),
        missing=frozenset(),
    )


def _share(answers: Iterable[bool]) -> float | None:
    counted = list(answers)
    return round(sum(counted) / len(counted), 3) if counted else None


def _f1(pairs: Iterable[tuple[frozenset[Any] | None, frozenset[Any] | None]]) -> float | None:
    hits = expected_count = said_count = 0
    for expected, said in pairs:
        if expected is None or said is None:
            continue
        hits += len(expected & said)
        expected_count += len(expected)
        said_count += len(said)
    return round(2 * hits / (expected_count + said_count), 3) if expected_count + said_count else None
