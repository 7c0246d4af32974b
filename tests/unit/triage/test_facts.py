"""Minimum data by shape: what a letter would ask for again, and what it would not."""

from __future__ import annotations

import pytest

from triage import facts
from triage.no_names import asks_for_no_names
from triage.vocabulary import MissingDatum

SCHOOL = "office@hillside.example"


def given(text: str, subject: str = "", sender: str | None = SCHOOL) -> frozenset[MissingDatum]:
    return facts.find(text, subject, sender).given()


@pytest.mark.parametrize(
    ("text", "datum", "there"),
    [
        ("It concerns Mr Daniel Hartwell.", MissingDatum.SUBJECT_NAME, True),
        ("It concerns Mrs Pell.", MissingDatum.SUBJECT_NAME, True),
        ("It concerns Dan.", MissingDatum.SUBJECT_NAME, False),
        ("It concerns DH.", MissingDatum.SUBJECT_NAME, False),
        ("Dear Children's Services, please help.", MissingDatum.SUBJECT_NAME, False),
        ("The child is aged 7.", MissingDatum.CHILD_NAME_OR_AGE, True),
        ("A boy in Year 4.", MissingDatum.CHILD_NAME_OR_AGE, True),
        ("A six-year-old girl.", MissingDatum.CHILD_NAME_OR_AGE, True),
        ("A pupil was upset.", MissingDatum.CHILD_NAME_OR_AGE, False),
        ("It was on 26 November.", MissingDatum.DATE_OF_INCIDENT, True),
        ("It was on 26/11/2026.", MissingDatum.DATE_OF_INCIDENT, True),
        ("It was a while ago.", MissingDatum.DATE_OF_INCIDENT, False),
        ("Ring me on 01632 960 114.", MissingDatum.REFERRER_CONTACT, True),
        ("Please ring.", MissingDatum.REFERRER_CONTACT, False),
        ("Thanks,\nJoanne Farrier\nDeputy Head", MissingDatum.REFERRER_CONTACT, True),
        ("He works at Hillside Primary School.", MissingDatum.WORKPLACE, True),
        ("One of our volunteers.", MissingDatum.WORKPLACE, True),
    ],
)
def test_what_is_given(text: str, datum: MissingDatum, there: bool) -> None:
    assert (datum in given(text)) is there


def test_our_volunteer_from_a_private_address_names_no_workplace() -> None:
    assert MissingDatum.WORKPLACE not in given("One of our volunteers.", sender="sam@gmail.com")


def test_the_writer_s_own_name_is_not_the_adult_s() -> None:
    text = "Something came up about a volunteer.\n\nKind regards,\nJoanne Farrier\nDeputy Head"
    assert MissingDatum.SUBJECT_NAME not in given(text, sender="joanne.farrier@hillside.example")


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Could I have advice on a no-names basis?", True),
        ("I would like an anonymous consultation.", True),
        ("May I ask without naming anyone?", True),
        ("An anonymous letter came to the school.", False),
        ("No names were written on the board.", False),
    ],
)
def test_a_no_names_consultation_is_noticed(text: str, asks: bool) -> None:
    assert asks_for_no_names(text) is asks
