"""What a suggestion promises: its shape, its evidence, its caution. How good it is, ``model evaluate`` tells."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage import pipeline
from triage.suggestion import Polarity, Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

PIPELINE = pipeline.load()


def suggest(text: str, subject: str = "", sender: str | None = "dsl@hillside.example") -> Suggestion:
    return PIPELINE.suggest(text, subject=subject, sender=sender)


@pytest.mark.parametrize(
    ("text", "category", "threshold"),
    [
        ("A teaching assistant slapped a pupil on the hand.", Category.PHYSICAL, Threshold.MEETS),
        ("Our coach has been messaging a girl of 14 at night and asked her for photos.", Category.SEXUAL, Threshold.MEETS),
        ("A pupil slapped another pupil in the dinner queue.", Category.NONE, Threshold.NOT_LADO),
        ("We are reviewing our safeguarding policy. Could you check the wording?", Category.NONE, Threshold.NOT_LADO),
        ("Can somebody ring me about one of our volunteers?", Category.NONE, Threshold.UNCLEAR),
        ("", Category.NONE, Threshold.UNCLEAR),
    ],
)  # fmt: skip
def test_plain_matters(text: str, category: Category, threshold: Threshold) -> None:
    found = suggest(text)
    assert (found.category, found.threshold) == (category, threshold)


def test_a_referral_names_its_criteria_flags_and_gaps() -> None:
    found = suggest("A nursery worker grabbed a child by the arm on Monday and left a bruise.")
    assert found.threshold is Threshold.MEETS
    assert Criterion.HARMED in found.criteria
    assert Flag.INJURY in found.flags
    assert MissingDatum.SUBJECT_NAME in found.missing
    assert MissingDatum.WHAT_HAPPENED not in found.missing


@pytest.mark.parametrize(
    "text",
    [
        "The teacher did not hit the child.",
        "There is no suggestion that he hit the child.",
        "If a teacher hit a child, whom would we tell?",
    ],
)
def test_what_is_negated_or_supposed_is_no_allegation(text: str) -> None:
    found = suggest(text)
    assert found.threshold is not Threshold.MEETS
    assert {e.polarity for e in found.evidence if e.label == Category.PHYSICAL} <= {Polarity.AGAINST}


def test_a_denial_is_not_an_absence() -> None:
    """ "He says he did not" is the adult's account, and clears nothing."""
    assert (
        suggest("A pupil says the teacher hit him. The teacher says he did not hit him.").threshold is Threshold.MEETS
    )


def test_harm_that_something_speaks_against_is_left_to_the_officer() -> None:
    """A confuser never outvotes a standing cue of harm: together they give unclear, never "not a matter"."""
    found = suggest("A teacher slapped a pupil. It may have been an accident; we are also reviewing our policy.")
    assert found.threshold in (Threshold.MEETS, Threshold.UNCLEAR)


def test_an_adult_s_private_violence_has_no_child_victim() -> None:
    found = suggest("One of our teachers was arrested at the weekend for assaulting his partner.")
    assert found.category is Category.PRIVATE_LIFE
    assert found.criteria == (Criterion.NOT_SUITABLE,)
    assert MissingDatum.CHILD_NAME_OR_AGE not in found.missing


def test_an_immediate_danger_is_never_taken_off() -> None:
    """Urgency can only be raised: whatever the matter turns out to be, somebody must look now."""
    found = suggest("A pupil slapped another pupil. The boy is in immediate danger and goes home at 3pm today.")
    assert Flag.IMMEDIATE_DANGER in found.flags


def test_a_disclaimer_about_danger_is_no_danger() -> None:
    text = "We are reviewing our policy. If a child is in immediate danger, call 999. This mailbox is not monitored."
    assert Flag.IMMEDIATE_DANGER not in suggest(text).flags


def test_evidence_points_into_the_text_as_given() -> None:
    text = "Dear LADO,\r\n\r\nToday a teacher\u00a0“grabbed”\nthe boy’s arm.\x00 He was 7."
    found = suggest(text)
    assert found.evidence
    assert all(text[e.start : e.end] == e.text for e in found.evidence)


def test_the_reason_quotes_nothing() -> None:
    found = suggest("Zylophantine marmalade: Mr Quillfeather slapped a pupil called Ottoline.")
    assert not {"zylophantine", "quillfeather", "ottoline", "slapped"} & set(found.reason.lower().split())
    assert found.reason.endswith(".")


def test_the_subject_line_alone_gives_no_evidence() -> None:
    found = suggest("Please ring me.", subject="A teacher slapped a pupil")
    assert found.evidence == ()
    assert found.category is Category.PHYSICAL


def test_a_long_text_is_read_in_its_first_and_last_part_and_says_so() -> None:
    middle = "Nothing of note happened on that day at all. " * 2000
    text = f"A teacher slapped a pupil. {middle} There is a bruise."
    found = suggest(text)
    assert "only the first and last part" in found.reason
    assert found.threshold is Threshold.MEETS
    assert all(text[e.start : e.end] == e.text for e in found.evidence)


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "(" * 200_000, "\n" * 200_000, "Mr " * 100_000, "\ud800\x00\u202e" * 1000]
)
def test_junk_is_bounded(text: str) -> None:
    assert suggest(text, subject=text).threshold is Threshold.UNCLEAR


WORDS = st.sampled_from(
    [*"a the teacher pupil slapped not if he she said arm policy bruise at home , . ; Mr Smith".split(), "\n", "\x00"]
)


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=60).map(" ".join)))
def test_any_text_gives_a_suggestion_whose_evidence_stands_and_which_survives_json(text: str) -> None:
    found = suggest(text, subject=text[:50])
    assert all(text[e.start : e.end] == e.text for e in found.evidence)
    assert 0 <= found.category_confidence <= 1
    assert 0 <= found.threshold_confidence <= 1
    again = json.loads(json.dumps(found.to_json()))
    assert Suggestion.from_json(again).to_json() == again


def test_the_same_text_gives_the_same_suggestion() -> None:
    text = "A coach shouted at a child and pushed her. The child is 8."
    assert suggest(text) == suggest(text) == pipeline.load().suggest(text, sender="dsl@hillside.example")
