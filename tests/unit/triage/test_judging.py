"""From logits to labels: abstaining where it must, and never less urgent than the rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from triage import pipeline
from triage.learned.judging import Calibration, Judgement, judge
from triage.learned.model import Floats
from triage.training.calibrate import MISSED, SENSITIVITY, bounds, temperature
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold
from triage.weighing import Verdict

CALIBRATION = Calibration(
    category_temperature=1.0,
    threshold_temperature=1.0,
    raised=0.4,
    doubt=0.1,
    cuts={
        "secondary": (0.5,) * len(Category),
        "criteria": (0.5,) * len(Criterion),
        "flags": (0.5,) * len(Flag),
        "missing": (0.5,) * len(MissingDatum),
    },
)
QUIET, GRAVE = (
    pipeline.load().judge(text, subject="", sender=None)[0]
    for text in (
        "The caretaker painted the shed.",
        "The teacher punched a pupil, Year 4, in the face and he is still in danger tonight.",
    )
)


def logits(threshold: dict[Threshold, float], category: Category = Category.PHYSICAL) -> dict[str, Floats]:
    """``threshold``: probabilities."""
    return {
        "threshold": np.log(np.array([threshold.get(one, 1e-4) for one in Threshold], dtype=np.float32)),
        "category": np.array([5.0 if one is category else 0.0 for one in Category], dtype=np.float32),
        "secondary": np.full(len(Category), -5.0, dtype=np.float32),
        "criteria": np.full(len(Criterion), -5.0, dtype=np.float32),
        "flags": np.full(len(Flag), -5.0, dtype=np.float32),
        "missing": np.full(len(MissingDatum), 5.0, dtype=np.float32),
    }


def judged(threshold: dict[Threshold, float], rules: Verdict | None = QUIET) -> Judgement:
    return judge(logits(threshold), CALIBRATION, rules)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({Threshold.MEETS: 0.45, Threshold.NOT_LADO: 0.55}, Threshold.MEETS),
        ({Threshold.MEETS: 0.2, Threshold.NOT_LADO: 0.8}, Threshold.UNCLEAR),
        ({Threshold.MEETS: 0.05, Threshold.NOT_LADO: 0.95}, Threshold.NOT_LADO),
        ({Threshold.MEETS: 0.05, Threshold.LOW_LEVEL: 0.95}, Threshold.LOW_LEVEL),
        ({Threshold.MEETS: 0.05, Threshold.UNCLEAR: 0.5, Threshold.LOW_LEVEL: 0.45}, Threshold.UNCLEAR),
    ],
)
def test_doubt_goes_to_the_officer(probabilities: dict[Threshold, float], expected: Threshold) -> None:
    assert judged(probabilities).threshold is expected


def test_the_rules_raise_and_never_lower() -> None:
    below = {Threshold.MEETS: 0.05, Threshold.NOT_LADO: 0.95}
    assert GRAVE.threshold is Threshold.MEETS
    assert judged(below, replace(GRAVE, threshold_confidence=0.9)).threshold is Threshold.UNCLEAR
    meets = {Threshold.MEETS: 0.9, Threshold.NOT_LADO: 0.1}
    assert judged(meets, QUIET).threshold is Threshold.MEETS
    danger = replace(GRAVE, flags=(Flag.IMMEDIATE_DANGER,))
    assert Flag.IMMEDIATE_DANGER in judged(meets, danger).flags
    assert Flag.IMMEDIATE_DANGER not in judged(meets, QUIET).flags


def test_the_rules_ask_for_a_name_that_they_do_not_find_unless_the_model_is_sure_of_it() -> None:
    told = logits({Threshold.UNCLEAR: 0.99})
    rules = replace(QUIET, missing=(MissingDatum.SUBJECT_NAME, MissingDatum.SUBJECT_ROLE), given=frozenset())
    for surely, expected in ((-1.0, (MissingDatum.SUBJECT_NAME,)), (-5.0, ())):
        told["missing"] = np.full(len(MissingDatum), surely, dtype=np.float32)
        assert judge(told, CALIBRATION, rules).missing == expected


def test_the_rules_raise_a_flag_that_the_model_overlooks_unless_it_is_sure() -> None:
    told = logits({Threshold.NOT_LADO: 0.99})
    rules = replace(QUIET, flags=(Flag.DISABLED_CHILD, Flag.MEDIA_INTEREST))
    for likely, expected in ((-3.0, (Flag.DISABLED_CHILD,)), (-5.0, ())):
        told["flags"] = np.full(len(Flag), likely, dtype=np.float32)
        assert judge(told, CALIBRATION, rules).flags == expected


def test_what_is_no_matter_asks_for_nothing() -> None:
    nothing = judged({Threshold.NOT_LADO: 0.99})
    assert nothing.missing == nothing.criteria == ()
    assert judged({Threshold.MEETS: 0.99}).missing == tuple(MissingDatum)


def test_a_suggestion_that_the_threshold_is_met_names_a_criterion_and_a_category() -> None:
    found = judge(logits({Threshold.MEETS: 0.99}, Category.NONE), CALIBRATION, None)
    assert found.criteria
    assert found.category is not Category.NONE


def test_the_bounds_keep_the_promises_they_are_set_for() -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, 2_000)
    spread = random.dirichlet((1, 1, 1, 1), 2_000)
    told = 0.5 * spread + 0.5 * np.eye(4)[labels]
    raised, doubt = bounds(told, labels)
    meets = told[:, 0]
    assert (meets[labels == 0] >= raised).mean() >= SENSITIVITY
    below = meets < doubt
    assert (labels[below] == 0).mean() <= MISSED


def test_the_temperature_undoes_what_was_too_sure() -> None:
    random = np.random.default_rng(4)
    honest = random.normal(size=(4_000, 3))
    chances = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    labels = np.array([random.choice(3, p=p) for p in chances])
    assert temperature(honest * 2, labels) == pytest.approx(2.0, abs=0.15)
