"""New words and old over labelled replies of many mail programs: the shares promised, and each dangerous case."""

from functools import cache

import pytest
from reply_styles import ADDRESS, Sample, Score, samples, score

from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import read

SAMPLES = samples()


@cache
def scored() -> tuple[tuple[Sample, Score], ...]:
    return tuple((sample, _score(sample)) for sample in SAMPLES)


def _score(sample: Sample) -> Score:
    reading = read(
        sample.raw(),
        envelope_from="head@oakfield.example",
        envelope_to=[ADDRESS],
        authserv_id=None,
        own_addresses=[ADDRESS],
        limits=Limits(),
    )
    return score(reading.body_text, sample.new, reading.full_text)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.must], ids=lambda sample: sample.name)
def test_an_account_that_looks_like_history_stays_whole(sample: Sample) -> None:
    assert _score(sample).exact


@pytest.mark.parametrize("held_out", [False, True])
def test_losses_stay_rare_and_most_are_told_apart(held_out: bool) -> None:
    scores = [found for sample, found in scored() if sample.held_out is held_out]
    assert sum(found.lost > 0.1 for found in scores) <= 0.03 * len(scores)
    assert sum(found.told_apart for found in scores) >= 0.70 * len(scores)


def test_there_are_enough_of_them_and_a_third_was_held_out() -> None:
    introduced = [sample for sample in SAMPLES if not sample.must]
    assert len(SAMPLES) >= 250
    assert sum(sample.held_out for sample in introduced) >= len(introduced) / 3.5
