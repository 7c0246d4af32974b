"""From the model's logits to labels: calibrated, abstaining, and never below what the rules say must be looked at.

Plain functions over numbers, so that calibration, evaluation and the service judge alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from triage.learned.model import Floats, sigmoid, softmax
from triage.vocabulary import URGENT_FLAGS, Category, Criterion, Flag, MissingDatum, Threshold
from triage.weighing import Verdict

CATEGORIES, THRESHOLDS, CRITERIA, FLAGS, DATA = (
    list(Category),
    list(Threshold),
    list(Criterion),
    list(Flag),
    list(MissingDatum),
)
_MEETS, _LOW, _NOT, _UNCLEAR = (
    THRESHOLDS.index(one) for one in (Threshold.MEETS, Threshold.LOW_LEVEL, Threshold.NOT_LADO, Threshold.UNCLEAR)
)
_CONCERNS = (Threshold.MEETS, Threshold.UNCLEAR)

FULL_TRUST_WORDS = 60
"""The model learned from emails: of a text with fewer words than this the rules have a say, the more the fewer it has."""

_FOUND_BY_SHAPE = frozenset({MissingDatum.CHILD_NAME_OR_AGE, MissingDatum.REFERRER_CONTACT, MissingDatum.WORKPLACE})
"""Data whose shape the rules find more surely than the model does: what they found is not asked for."""

_LACKED_BY_SHAPE = frozenset({MissingDatum.SUBJECT_NAME, MissingDatum.WORKPLACE, MissingDatum.DATE_OF_INCIDENT})
"""Data whose lack the rules tell well: what they did not find is asked for, unless the model is sure that it is there."""
SURE_IT_IS_THERE = 0.05

_SEEN_BY_RULES = frozenset({Flag.ONLINE, Flag.DISABLED_CHILD, Flag.PARENT_COMPLAINT})
"""Flags that the rules see where the model overlooks them, and mostly rightly: raised, unless it is sure of none."""
SURE_THERE_IS_NONE = 0.03

_Label = TypeVar("_Label")

RULES_SURE = 0.75
"""From this confidence the rules' "meets" forbids the model's "below": an officer reads it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Set on answers that no fold had learned from. ``raised``: at least so likely to meet the threshold, and it is
    suggested; ``doubt``: at least so likely, and nothing below *unclear* is. ``cuts`` are probabilities by head and label.
    """

    category_temperature: float
    threshold_temperature: float
    raised: float
    doubt: float
    cuts: Mapping[str, tuple[float, ...]]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        return cls(
            category_temperature=float(data["category_temperature"]),
            threshold_temperature=float(data["threshold_temperature"]),
            raised=float(data["raised"]),
            doubt=float(data["doubt"]),
            cuts={name: tuple(values) for name, values in data["cuts"].items()},
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The labels, and the probabilities of every category and threshold in the vocabulary's order."""

    category: Category
    secondary: tuple[Category, ...]
    categories: Floats
    threshold: Threshold
    thresholds: Floats
    criteria: tuple[Criterion, ...]
    flags: tuple[Flag, ...]
    missing: tuple[MissingDatum, ...]
    raised_by_rules: bool


def judge(
    logits: Mapping[str, Floats], calibration: Calibration, rules: Verdict | None, *, words: int = FULL_TRUST_WORDS
) -> Judgement:
    """The labels of one text of so many words. ``rules``: their verdict on the same text. Where they are sure of harm they
    can raise what is suggested, never lower it.
    """
    categories = softmax(logits["category"] / calibration.category_temperature)
    thresholds = softmax(logits["threshold"] / calibration.threshold_temperature)
    if rules is not None and words < FULL_TRUST_WORDS:
        trust = words / FULL_TRUST_WORDS
        categories = trust * categories + (1 - trust) * _spread(CATEGORIES, rules.category, rules.category_confidence)
        thresholds = trust * thresholds + (1 - trust) * _spread(THRESHOLDS, rules.threshold, rules.threshold_confidence)
    threshold = _threshold(thresholds, calibration)
    by_rules = (
        rules is not None
        and rules.threshold is Threshold.MEETS
        and rules.threshold_confidence >= RULES_SURE
        and threshold not in _CONCERNS
    )
    if by_rules:
        threshold = Threshold.UNCLEAR
    category = CATEGORIES[int(categories.argmax())]
    if threshold in (Threshold.MEETS, Threshold.LOW_LEVEL) and category is Category.NONE:
        category = CATEGORIES[int(np.argsort(-categories)[1])]
    flags = set(_over(FLAGS, logits["flags"], calibration.cuts["flags"]))
    if category is Category.PRIVATE_LIFE:
        flags.add(Flag.PRIVATE_LIFE)
    if rules is not None:
        seen = set(rules.flags)
        could_be = {flag for flag, p in zip(FLAGS, sigmoid(logits["flags"]), strict=True) if p >= SURE_THERE_IS_NONE}
        flags |= _SEEN_BY_RULES & could_be & seen
        if threshold in _CONCERNS:
            flags |= URGENT_FLAGS & seen
    criteria = _over(CRITERIA, logits["criteria"], calibration.cuts["criteria"])
    if not criteria and threshold is Threshold.MEETS:
        criteria = [CRITERIA[int(logits["criteria"].argmax())]]
    vague = threshold is Threshold.UNCLEAR and category is Category.NONE
    return Judgement(
        category=category,
        secondary=tuple(
            one
            for one in _over(CATEGORIES, logits["secondary"], calibration.cuts["secondary"])
            if one not in (category, Category.NONE) and category is not Category.NONE
        ),
        categories=categories,
        threshold=threshold,
        thresholds=thresholds,
        criteria=() if threshold not in _CONCERNS or vague else tuple(criteria),
        flags=tuple(flag for flag in Flag if flag in flags),
        missing=() if threshold is Threshold.NOT_LADO else tuple(_missing(logits["missing"], calibration, rules)),
        raised_by_rules=by_rules,
    )


def _threshold(probabilities: Floats, calibration: Calibration) -> Threshold:
    meets = float(probabilities[_MEETS])
    if meets >= calibration.raised:
        return Threshold.MEETS
    if meets >= calibration.doubt or probabilities[_UNCLEAR] >= max(probabilities[_LOW], probabilities[_NOT]):
        return Threshold.UNCLEAR
    return Threshold.LOW_LEVEL if probabilities[_LOW] >= probabilities[_NOT] else Threshold.NOT_LADO


def _spread(labels: Sequence[Category] | Sequence[Threshold], said: Category | Threshold, sure: float) -> Floats:
    """A verdict as probabilities: what is not said of the one label is shared by the others."""
    return np.array([sure if one is said else (1 - sure) / (len(labels) - 1) for one in labels], dtype=np.float32)


def _missing(logits: Floats, calibration: Calibration, rules: Verdict | None) -> list[MissingDatum]:
    lacking = set(_over(DATA, logits, calibration.cuts["missing"]))
    if rules is not None:
        could_lack = {datum for datum, p in zip(DATA, sigmoid(logits), strict=True) if float(p) >= SURE_IT_IS_THERE}
        lacking = (lacking - (_FOUND_BY_SHAPE & rules.given)) | (_LACKED_BY_SHAPE & could_lack & set(rules.missing))
    return [datum for datum in DATA if datum in lacking]


def _over(labels: list[_Label], logits: Floats, cuts: tuple[float, ...]) -> list[_Label]:
    return [label for label, p, cut in zip(labels, sigmoid(logits), cuts, strict=True) if float(p) >= cut]
