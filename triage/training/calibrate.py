"""Setting the calibration on answers of folds that had not learned from the texts they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from triage.learned.model import sigmoid, softmax
from triage.training.prepare import HEADS
from triage.vocabulary import Threshold

SENSITIVITY = 0.95
"""Of the texts that meet the threshold, so many are to be called so: where, on what was held back from learning, the goals
of 0.97 for it and of 0.85 for the specificity were missed by about as much. To be raised as the model learns to tell them
apart. What it does not call so it leaves open, until few enough are missed."""
MISSED = 0.02
"""Of the texts called low level or not a matter, at most so many may meet it."""
MARGIN = 0.5
"""How much of the bound that keeps this is used: some hundred texts do not tell it closer, and missed harm is the worst."""

_MEETS = list(Threshold).index(Threshold.MEETS)
_UNCLEAR = list(Threshold).index(Threshold.UNCLEAR)

Array = np.ndarray[Any, Any]


def calibrate(
    encoded: Mapping[str, Array], counted: Mapping[str, Array], labels: Mapping[str, Array]
) -> dict[str, Any]:
    """What ``Calibration.from_json`` reads, and how much counting weighs beside the encoder.

    ``encoded`` and ``counted`` are logits by head, ``labels`` as prepared, text by text.
    """
    mix = {name: weight(encoded[name], counted[name], labels[name]) for name in encoded}
    answers = {name: encoded[name] + mix[name] * counted[name] for name in encoded}
    category_temperature = temperature(answers["category"], labels["category"])
    threshold_temperature = temperature(answers["threshold"], labels["threshold"])
    thresholds = softmax(answers["threshold"] / threshold_temperature)
    concerned = np.isin(labels["threshold"], (_MEETS, _UNCLEAR))
    told = labels["threshold"] != list(Threshold).index(Threshold.NOT_LADO)
    every = np.ones(len(told), dtype=bool)
    raised, doubt = bounds(thresholds, labels["threshold"])
    return {
        "mix": mix,
        "category_temperature": category_temperature,
        "threshold_temperature": threshold_temperature,
        "raised": raised,
        "doubt": doubt,
        "cuts": {
            name: cuts(sigmoid(answers[name][of]), labels[name][of])
            for name, of in (("secondary", every), ("criteria", concerned), ("flags", every), ("missing", told))
        },
    }


def weight(encoded: Array, counted: Array, labels: Array) -> float:
    """How much of the counts' logits is to be added to the encoder's: that under which the labels are likeliest."""

    def likely(much: float) -> float:
        mixed = encoded + much * counted
        if labels.ndim == 1:
            return -min(surprise(softmax(mixed / divisor), labels) for divisor in (0.5, 0.7, 1.0, 1.4, 2.0, 2.8))
        yes, so = sigmoid(mixed), labels > 0.5
        return float(np.log(np.clip(np.where(so, yes, 1.0 - yes), 1e-9, 1)).mean())

    return best([float(one) for one in np.linspace(0.0, 4.0, 41)], likely)


def surprise(probabilities: Array, labels: Array) -> float:
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-9, 1)).mean())


def temperature(logits: Array, labels: Array) -> float:
    """The divisor of the logits under which the labels are likeliest."""

    steps = [float(one) for one in np.linspace(0.4, 6.0, 113)]
    return best(steps, lambda divisor: -surprise(softmax(logits / divisor), labels))


def bounds(thresholds: Array, labels: Array) -> tuple[float, float]:
    """From which probability of meeting the threshold it is suggested, and from which nothing below *unclear* is.

    The highest first bound that keeps the sensitivity, so that the specificity is the best that goes with it; then the
    highest second one under which few enough of those called below meet the threshold.
    """
    meets = thresholds[:, _MEETS]
    steps = np.linspace(0.02, 0.9, 89)
    held = [step for step in steps if (meets[labels == _MEETS] >= step).mean() >= SENSITIVITY]
    raised = float(min(max(held, default=0.1), 0.5))
    for doubt in reversed(steps[steps <= raised]):
        below = (meets < doubt) & (thresholds[:, _UNCLEAR] < np.delete(thresholds, (_MEETS, _UNCLEAR), 1).max(1))
        if below.sum() and (labels[below] == _MEETS).mean() <= MISSED:
            return raised, float(doubt) * MARGIN
    return raised, float(steps[0])


def cuts(probabilities: Array, labels: Array) -> list[float]:
    """For each label the probability from which it is said: the best F1, drawn to 0.5 where few texts tell."""
    found = []
    for number in range(labels.shape[1]):
        p, truth = probabilities[:, number], labels[:, number] > 0.5

        def f1(cut: float, p: Array = p, truth: Array = truth) -> float:
            said = p >= cut
            prior = 4  # as many texts as if the cut of a half had been right for them
            hits = (said & truth).sum() + prior * (1 - abs(cut - 0.5))
            return float(2 * hits / (said.sum() + truth.sum() + 2 * prior))

        found.append(best([float(one) for one in np.linspace(0.2, 0.8, 25)], f1))
    return found


def best(candidates: Sequence[float], score: Callable[[float], Any]) -> float:
    """The candidate with the highest score, rounded; the first of equal ones."""
    return round(float(max(candidates, key=score)), 4)


def sizes() -> dict[str, int]:
    """How many answers each head gives, in their order."""
    return dict(HEADS)
