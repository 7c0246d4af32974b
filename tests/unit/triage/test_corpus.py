"""The training texts: as the annotation guide says, varied, and split so that near-copies never straddle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from triage.suggestion import Polarity
from triage.training import texts
from triage.vocabulary import Category, Flag, MissingDatum, Threshold

CORPUS = texts.read()

SCENARIO = """=== x-1 | sector: school | twin: x-2
category: physical | also: - | threshold: meets_harm_threshold | criteria: 1, 2 | flags: injury
why: A reason.

--- missing: subject_name
subject: About a coach
from: dsl@oak.example

He «grabbed a boy», ‹who was unhurt›.
"""


def read(folder: Path, text: str) -> list[texts.Text]:
    (folder / "x.txt").write_text(text, encoding="utf-8")
    return texts.read(folder)


def test_the_corpus_is_varied() -> None:
    found = texts.statistics(CORPUS)
    assert found["near_duplicates"] < 0.02
    assert found["distinct_openings"] > 0.95
    assert found["distinct_triples"] > 0.7


def test_every_label_is_learned_from_and_tested() -> None:
    for part in (True, False):
        held = [text for text in CORPUS if text.is_test is part]
        assert {text.category for text in held} == set(Category)
        assert {text.threshold for text in held} == set(Threshold)
        assert {flag for text in held for flag in text.flags} >= set(Flag) - {Flag.MEDIA_INTEREST}
        assert {datum for text in held for datum in text.missing} == set(MissingDatum)


def test_twins_are_on_one_side() -> None:
    sides: dict[str, set[bool]] = {}
    for text in CORPUS:
        sides.setdefault(text.group, set()).add(text.is_test)
    assert all(len(side) == 1 for side in sides.values())
    assert max(Counter(text.group for text in CORPUS).values()) < 20


def test_addresses_and_telephones_are_fictional() -> None:
    for text in CORPUS:
        assert text.sender.endswith(".example"), text.id


def test_marks_are_taken_off_and_their_places_kept(tmp_path: Path) -> None:
    (text,) = read(tmp_path, SCENARIO)
    assert text.body == "He grabbed a boy, who was unhurt."
    assert [(text.body[m.start : m.end], m.polarity) for m in text.marks] == [
        ("grabbed a boy", Polarity.FOR),
        ("who was unhurt", Polarity.AGAINST),
    ]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("category: physical", "category: phisical"),
        ("flags: injury", "flags: hurt"),
        ("missing: subject_name", "missing: name"),
        ("why: A reason.", "because: A reason."),
        ("threshold: meets_harm_threshold", "threshold: low_level_concern"),
        ("boy»", "boy"),
        ("from: dsl", "form: dsl"),
    ],
)
def test_a_fault_names_its_scenario(tmp_path: Path, right: str, wrong: str) -> None:
    with pytest.raises(texts.CorpusFaulty, match="x-1"):
        read(tmp_path, SCENARIO.replace(right, wrong))
