"""When two writings of a name may be one person's, and when not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import names
from triage.names import Name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Tom Hale", Name("tom", "hale")),
        ("Mr Tom Hale", Name("tom", "hale")),
        ("HALE, Tom", Name("tom", "hale")),
        ("Mr Hale", Name("", "hale")),
        ("T. J. Hale", Name("t", "hale")),
        ("Sinéad O'Connor-Smith", Name("sinead", "oconnorsmith")),
        ("Hale", Name("", "hale")),
        ("", None),
        ("X", None),
        ("42", None),
    ],
)
def test_a_name_is_read_as_it_is_written(written: str, name: Name | None) -> None:
    assert names.parse(written) == name


def alike(one: str, other: str) -> float:
    first, second = names.parse(one), names.parse(other)
    assert first is not None
    assert second is not None
    likeness, back = names.compare(first, second), names.compare(second, first)
    assert likeness == back
    if likeness is not None:
        # What is alike must be found under a key that both have.
        assert names.keys(first) & names.keys(second), (one, other)
        assert first.last not in likeness.why
    return likeness.sure if likeness else 0.0


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("Tom Hale", "Tom Hale", 0.95, 0.95),
        ("Tom Hale", "Mr T. Hale", 0.6, 0.7),
        ("Tom Hale", "Thomas Hale", 0.8, 0.9),
        ("Tom Hale", "HALE, Tom", 0.95, 0.95),
        ("Tom Hale", "Hale Tom", 0.8, 0.9),
        ("Tom Hale", "Mr Hale", 0.4, 0.5),
        ("Anne-Marie Whitfield", "Annemarie Whitfield", 0.95, 0.95),
        ("Anne Whitfield", "Anne Whitefield", 0.75, 0.85),
        ("Anne Whitfield", "Anne Whitfeild", 0.75, 0.85),
        ("Sean Philips", "Sean Phillips", 0.75, 0.85),
        ("Jon Smyth", "Jon Smith", 0.65, 0.85),
        ("Muhammad Khan", "Mohammed Khan", 0.75, 0.85),
        ("Tom Hale", "Tina Hale", 0, 0),
        ("Tom Hale", "Tom Bale", 0, 0),
        ("T. Hale", "A. Hale", 0, 0),
        ("Tom Hale", "Tom Hargreaves", 0, 0),
    ],
)
def test_how_sure(one: str, other: str, least: float, most: float) -> None:
    assert least <= alike(one, other) <= most


words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=12)


@given(words, words, st.integers(0, 11))
def test_a_surname_with_one_letter_left_out_is_found(first: str, last: str, at: int) -> None:
    shorter = last[: at % len(last)] + last[at % len(last) + 1 :]
    whole, cut = Name(first, last), Name(first, shorter)
    assert names.keys(whole) & names.keys(cut) or len(shorter) < 5


@given(st.text(max_size=200))
def test_any_text_is_a_name_or_none(text: str) -> None:
    name = names.parse(text)
    if name is not None:
        assert names.compare(name, name) is not None
        assert len(names.keys(name)) < 100
