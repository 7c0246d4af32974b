"""What a redaction has left is found and named by its kind, and a careful redaction passes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.identifying import Kind, kinds_left

ORIGINAL = (
    "Dear LADO,\n\nOn Friday our coach Mr Tom Hale shouted at Amina, who is in Year 4 at Oakfield Primary School. "
    "Her uncle, Will Marsh, rang me. She said that he will be reported by her solicitor.\n\n"
    "Jane O'Archer, headteacher, 01632 960123"
)
HEADER = ("Jane O'Archer", "j.oarcher@oakfield-primary.example", "Oakfield Primary School")
CAREFUL = (
    "Dear LADO,\n\nOn Friday our coach [adult] shouted at [child], who is in Year 4 at [school]. Her uncle rang me. "
    "She said that he will be reported by her solicitor.\n\nThe headteacher of a primary school"
)


def left(redacted: str) -> tuple[Kind, ...]:
    return kinds_left(redacted, original=ORIGINAL, known_of=HEADER)


def test_a_careful_redaction_passes() -> None:
    assert left(CAREFUL) == ()
    assert left(CAREFUL.replace("[adult]", "Mr A").replace("[child]", "Child One")) == ()


def test_nothing_redacted_leaves_everything() -> None:
    assert left(ORIGINAL) == (Kind.NAME, Kind.TELEPHONE)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Tom", Kind.NAME),
        ("mr hale", Kind.NAME),
        ("HALE'S class", Kind.NAME),
        ("Amina", Kind.NAME),
        ("the Oakfield hall", Kind.NAME),
        ("oarcher", Kind.NAME),
        ("Mrs Archer", Kind.NAME),
        ("her uncle Will", Kind.NAME),
        # Not in the original, but a name by its shape.
        ("Mr Tamworth", Kind.NAME),
        ("Zosia Wilk", Kind.NAME),
        ("a.b@home.example", Kind.EMAIL),
        ("01632 960 456", Kind.TELEPHONE),
        ("+44 (0)7700 900123", Kind.TELEPHONE),
        ("ext. 2214", Kind.TELEPHONE),
        ("www.oak.example", Kind.WEB),
        ("his account @coach_t", Kind.ACCOUNT),
        ("EL4 2AB", Kind.ADDRESS),
        ("14 Long Meadow Road", Kind.ADDRESS),
        ("born 3rd May 2014", Kind.DATE_OF_BIRTH),
        ("QQ 12 34 56 C", Kind.NUMBER),
    ],
)
def test_what_is_left_is_named_by_its_kind(words: str, kind: Kind) -> None:
    assert kind in left(f"{CAREFUL}\n\nIt was {words} again.")


@pytest.mark.parametrize(
    "words",
    ["on 27/11/2026", "on 2026-11-27 at 16:40", "Year 10", "at 9.30 on the 4th", "[child]'s arm"],
)
def test_what_tells_nobody_is_let_through(words: str) -> None:
    assert left(f"{CAREFUL}\n\nIt was {words} again.") == ()


def test_without_a_list_of_words_the_original_s_own_small_words_serve() -> None:
    words = {"shouted", "coach", "friday", "dear"}
    assert Kind.NAME in kinds_left("It was Tom.", original=ORIGINAL, known_words=words)
    assert kinds_left("On friday a coach shouted.", original=ORIGINAL, known_words=words) == ()


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_taken(redacted: str, original: str) -> None:
    kinds_left(redacted, original=original, known_words=("a",))
