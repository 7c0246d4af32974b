"""What the learned layer reads: the same words, whoever is called what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import neutral

USING = neutral.neutral(
    "the a grabbed pupil teacher said that at in on school primary is for and years old coach helps".split()
)


def words(text: str) -> list[str]:
    return [word.read for word in neutral.read(text, USING)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom Hale grabbed the pupil", "Ayesha Rahman grabbed the pupil"),
        ("He said that his mum grabbed him", "She said that her dad grabbed her"),
        ("Mr O'Neill", "Mrs Smith-Jones"),
        ("the imam at the mosque", "the vicar at the church"),
        ("Father Hoyle said", "Rabbi Cohen said"),
        ("a Polish boy", "a Nigerian girl"),
        ("a black boy", "a white girl"),
        ("Oak Hill Primary School", "Larkrise Primary School"),
        ("Ring 01632 960123", "Ring 07700 900456"),
        ("jo@oak.example", "dsl.sam@hill.example"),
        ("Tom's coach", "Ayesha's coach"),
        ("he'd said, he'll, he's", "she'd said, she'll, she's"),
    ],
)
def test_who_somebody_is_changes_no_word(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom grabbed the pupil", "Tom Hale grabbed the pupil"),  # a first name alone is a missing name
        ("a boy", "a man"),  # who is a child and who an adult decides
        ("his mum", "his brother"),
        ("the pupil grabbed the teacher", "the teacher grabbed the pupil"),
        ("at 14", "at 24"),
    ],
)
def test_what_decides_is_still_read(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_a_word_that_texts_write_small_is_no_name() -> None:
    assert words("Grabbed. Pupil") == ["grabbed", ".", "pupil"]
    assert words("Snapchat on Friday, LADO") == ["snapchat", "on", "friday", ",", "lado"]


@given(st.text())
def test_any_text_is_read_and_every_word_has_its_place(text: str) -> None:
    found = neutral.read(text, USING)
    assert all(0 <= word.start < word.end <= len(text) for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)
