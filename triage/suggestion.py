"""What triage hands out: a frozen suggestion, with its evidence and its doubts.

Nothing here decides anything. The shape is the one that other systems read (``Suggestion.to_json``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

RULES_ALONE = "rules-alone"
"""The ``engine`` of a suggestion by the rules where the whole engine was there, and too many texts waited for it."""


class Polarity(StrEnum):
    """Whether a piece of evidence speaks for its label or against it (negated, lawful, explained away)."""

    FOR = "for"
    AGAINST = "against"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Words that moved the suggestion. ``start`` and ``end`` are character offsets into the text that was read."""

    start: int
    end: int
    text: str
    label: str
    polarity: Polarity


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion for an officer. Confidences lie between 0 and 1; ``reason`` is one sentence without quotations."""

    category: Category
    secondary_categories: tuple[Category, ...]
    category_confidence: float
    threshold: Threshold
    threshold_confidence: float
    criteria: tuple[Criterion, ...]
    flags: tuple[Flag, ...]
    missing: tuple[MissingDatum, ...]
    evidence: tuple[Evidence, ...]
    reason: str
    engine: str
    version: str
    ranking: tuple[Category, ...] = ()
    """The likeliest categories, the first first; empty where nothing is named."""
    meets_confidence: float = 0.0
    """How likely the harm threshold is met, whatever is suggested."""

    def to_json(self) -> dict[str, Any]:
        """The published shape, ready for ``json.dumps``."""
        return {
            "category": self.category.value,
            "secondary_categories": [category.value for category in self.secondary_categories],
            "category_confidence": round(self.category_confidence, 3),
            "threshold": self.threshold.value,
            "threshold_confidence": round(self.threshold_confidence, 3),
            "criteria": [int(criterion) for criterion in self.criteria],
            "flags": [flag.value for flag in self.flags],
            "missing": [datum.value for datum in self.missing],
            "evidence": [
                {"start": e.start, "end": e.end, "text": e.text, "label": e.label, "polarity": e.polarity.value}
                for e in self.evidence
            ],
            "reason": self.reason,
            "engine": self.engine,
            "version": self.version,
            "ranking": [category.value for category in self.ranking],
            "meets_confidence": round(self.meets_confidence, 3),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Suggestion:
        """The inverse of :meth:`to_json`. Raises KeyError or ValueError where the shape is another."""
        return cls(
            category=Category(data["category"]),
            secondary_categories=tuple(Category(value) for value in data["secondary_categories"]),
            category_confidence=float(data["category_confidence"]),
            threshold=Threshold(data["threshold"]),
            threshold_confidence=float(data["threshold_confidence"]),
            criteria=tuple(Criterion(value) for value in data["criteria"]),
            flags=tuple(Flag(value) for value in data["flags"]),
            missing=tuple(MissingDatum(value) for value in data["missing"]),
            evidence=tuple(
                Evidence(int(e["start"]), int(e["end"]), str(e["text"]), str(e["label"]), Polarity(e["polarity"]))
                for e in data["evidence"]
            ),
            reason=str(data["reason"]),
            engine=str(data["engine"]),
            version=str(data["version"]),
            ranking=tuple(Category(value) for value in data.get("ranking", ())),
            meets_confidence=float(data.get("meets_confidence", 0.0)),
        )
