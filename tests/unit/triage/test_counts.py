"""Counting words beside reading them: what is counted, how it is weighed, and how much it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triage.learned.counts import Counts, terms_of, weighed
from triage.learned.model import softmax
from triage.training.calibrate import surprise, weight

HEADS = {"threshold": 2, "flags": 1}


def counts(terms: dict[int, tuple[float, float, float]]) -> Counts:
    """``terms``: the weights of each, for the two thresholds and the flag."""
    numbers = sorted(terms)
    return Counts(
        {
            "terms": np.array(numbers),
            "rarity": np.ones(len(numbers)),
            "weights": np.array([terms[number] for number in numbers], dtype=np.float16),
            "bias": np.array([0.0, 0.0, -1.0]),
        },
        HEADS,
    )


def test_pieces_and_their_neighbours_are_counted_and_order_tells() -> None:
    terms, often = terms_of([5, 7, 5])
    assert list(often[:2]) == [2, 1]
    assert len(terms) == 4
    assert set(terms_of([5, 7])[0]) != set(terms_of([7, 5])[0])


def test_a_longer_text_of_the_same_words_says_no_more() -> None:
    held = counts({5: (2.0, 0.0, 0.0), 9: (0.0, 3.0, 4.0)})
    once, often = held.answer([5]), held.answer([5] * 50)
    assert once["threshold"] == pytest.approx(often["threshold"])
    assert list(once["threshold"]) == [2.0, 0.0]
    assert list(once["flags"]) == [-1.0]


def test_what_was_never_learned_says_nothing() -> None:
    held = counts({5: (2.0, 0.0, 0.0)})
    assert list(held.answer([6, 6])["threshold"]) == list(held.answer([])["threshold"]) == [0.0, 0.0]
    assert len(weighed([30_000], np.array([5]), np.ones(1))[0]) == 0


def test_a_file_of_counts_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "counts.npz"
    np.savez(file, terms=[5], rarity=[1.0], weights=[[1.0, 0.0, 0.0]], bias=[0.0, 0.0, 0.0])
    assert list(Counts.load(file, HEADS).answer([5])["threshold"]) == [1.0, 0.0]


def test_counting_is_mixed_in_as_far_as_it_helps() -> None:
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 3_000)
    told = np.eye(2)[labels] * 2.0
    noise = random.normal(size=(3_000, 2))
    helped = weight(noise, told + random.normal(size=(3_000, 2)), labels)
    assert helped > 1.0
    assert weight(told, noise * 5, labels) < 0.2
    assert surprise(softmax(told), labels) < surprise(softmax(noise), labels)
