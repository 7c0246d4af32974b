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
from typing import Any

from triage.suggestion import Suggestion
from triage.vocabulary import Category, Threshold

SUITABILITY = "suitability"


@dataclass(frozen=True, slots=True)
class Labels:
    """What a reader, a suggestion or a baseline says of a text. None: it says nothing on that."""

    category: str
    threshold: str
    criteria: frozenset[int]
    flags: frozenset[str] | None = None
    missing: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text, and what a second reader said of it where there was one."""

    id: str
    subject: str
    body: str
    sender: str | None
    expected: Labels
    second: Labels | None = None


def report(file: Path) -> dict[str, Any]:
    """The scores of the shipped pipeline on a file of examples.

    Raises OSError, ValueError or KeyError where the file is unreadable or has another shape.
    """
    from triage import pipeline

    loaded = pipeline.load()
    examples = read(file)
    return {"version": loaded.version} | evaluate(
        examples, lambda example: loaded.suggest(example.body, subject=example.subject, sender=example.sender)
    )


def read(file: Path) -> tuple[Example, ...]:
    """Examples from JSON Lines: {"id","text",labels} or {"id","from","subject","body","reader1","reader2"}.

    Raises OSError, ValueError or KeyError where the file is unreadable or has another shape.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(_example(json.loads(line)) for line in lines if line.strip())


def evaluate(examples: Sequence[Example], suggest: Callable[[Example], Suggestion]) -> dict[str, Any]:
    """Scores of the suggestions, of the majority baseline and of the second reader, and the confusion of thresholds.

    Raises ValueError where there is no example.
    """
    if not examples:
        raise ValueError("there is no example to score")
    expected = [example.expected for example in examples]
    said = [_labels_of(suggest(example)) for example in examples]
    pairs = [(example.expected, example.second) for example in examples if example.second is not None]
    return {
        "examples": len(examples),
        "scores": scores(expected, said),
        "baseline_majority": scores(expected, [_majority(expected)] * len(examples)),
        "second_reader": scores([first for first, _ in pairs], [second for _, second in pairs]) if pairs else None,
        "thresholds": dict(Counter(f"{e.threshold} as {s.threshold}" for e, s in zip(expected, said, strict=True))),
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
        "criteria_f1": _f1((e.criteria, s.criteria) for e, s in pairs),
        "flags_f1": _f1((e.flags, s.flags) for e, s in pairs if e.flags is not None and s.flags is not None),
        "missing_f1": _f1((e.missing, s.missing) for e, s in pairs if e.missing is not None and s.missing is not None),
    }


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
        category=_joined(data["category"]),
        threshold=threshold,
        criteria=frozenset(data["criteria"]),
        flags=frozenset(data["flags"]) if "flags" in data else None,
        missing=frozenset(data["missing"]) if "missing" in data else None,
    )


def _labels_of(suggestion: Suggestion) -> Labels:
    return Labels(
        category=_joined(suggestion.category),
        threshold=suggestion.threshold.value,
        criteria=frozenset(int(criterion) for criterion in suggestion.criteria),
        flags=frozenset(flag.value for flag in suggestion.flags),
        missing=frozenset(datum.value for datum in suggestion.missing),
    )


def _joined(category: str) -> str:
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
