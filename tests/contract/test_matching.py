"""Earlier contacts about the same adult or setting, on both databases: found, sure in measure, shown without a name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select

from contract.test_acts import WORDS, done, refused
from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk
from intake_bot.casework import matching, views
from intake_bot.casework.acts import Merge, NameAdult, Restrict, SetFacts
from storage import shredding
from storage.tables import Case, Outgoing, Subject, SubjectKey
from storage.vault import Place
from storage.verify import faults

__all__ = ["desk"]


def contact(desk: Desk, body: str = "Please advise about a colleague.", *, days: int = 0, **facts: Any) -> str:
    at = FRIDAY_1640 + timedelta(days=days)
    return desk.file(desk.incoming(at=at, body_text=body, **facts), now=at).case_id or ""


def shown(desk: Desk, case_id: str) -> dict[str, Any]:
    with desk.database.read() as session:
        return views.show_json(session, desk.practice, session.get_one(Case, case_id))


def reference(desk: Desk, case_id: str) -> str:
    return str(shown(desk, case_id)["case"])


def test_a_name_in_a_message_finds_an_earlier_contact_and_the_card_says_so(desk: Desk) -> None:
    first = contact(desk, "Our coach Thomas Whitfield shouted at a pupil.")
    second = contact(desk, "I am worried about Mr Tom Whitfield, who works at the club.", days=40)
    (found,) = shown(desk, second)["earlier"]
    assert (found["case"], found["why"].startswith("the same surname, a short form")) == (reference(desk, first), True)
    assert 0.6 <= found["sure"] < 0.8
    assert "a name in a message" in found["why"]
    assert "earlier_contact" in shown(desk, second)["remarks"]
    assert "earlier_contact" not in shown(desk, first)["remarks"]
    # Whoever opens the first one later sees the second.
    assert [one["case"] for one in shown(desk, first)["earlier"]] == [reference(desk, second)]


def test_neither_the_writer_nor_a_pupil_is_taken_for_the_adult(desk: Desk) -> None:
    contact(
        desk,
        "A pupil, Amelia Stone, told me about it.\n\nKind regards\nJoanne Farrier\nHeadteacher",
        sender_name="Joanne Farrier",
    )
    with desk.database.read() as session:
        assert session.exec(select(func.count()).select_from(Subject)).one() == 0


def test_an_officer_s_word_is_surer_and_replaced_by_the_next(desk: Desk) -> None:
    first, second = contact(desk), contact(desk, days=3)
    done(desk, NameAdult(first, AMINA, "Anne Whitfield", "teaching assistant"))
    told = desk.perform(NameAdult(second, AMINA, "Ann Whitfeild"))
    assert "earlier contacts that may concern them: 1" in told.said
    (found,) = shown(desk, second)["earlier"]
    assert found["sure"] >= 0.6
    assert "message" not in found["why"]
    done(desk, NameAdult(second, AMINA, "Peter Moss"))
    assert shown(desk, second)["earlier"] == []
    assert "earlier_contact" not in shown(desk, second)["remarks"]
    refused(desk, NameAdult(second, AMINA, "?"))
    with desk.database.read() as session:
        assert list(faults(session, desk.practice.vault)) == []


def test_a_name_that_an_officer_takes_back_leaves_no_hash_in_the_file(desk: Desk, tmp_path: Path) -> None:
    if not desk.database.is_sqlite:
        pytest.skip("what PostgreSQL deletes stays until VACUUM: docs/adr/0005")
    case_id = contact(desk)
    done(desk, NameAdult(case_id, AMINA, "Anne Whitfield"))
    with desk.database.read() as session:
        before = {key.encode() for key in session.exec(select(SubjectKey.key)).all()}
    done(desk, NameAdult(case_id, AMINA, "Peter Moss"))
    assert desk.database.empty_log()
    files = b"".join(path.read_bytes() for path in tmp_path.glob("test.db*"))
    with desk.database.read() as session:
        assert all(key.encode() in files for key in session.exec(select(SubjectKey.key)).all())
    assert [key for key in before if key in files] == []


def test_the_same_setting_makes_it_surer_and_four_in_ninety_days_are_a_flag(desk: Desk) -> None:
    cases = [contact(desk, days=20 * number) for number in range(6)]
    for case_id in cases:
        done(desk, SetFacts(case_id, AMINA, organisation="Oakfield Primary School"))
    counts = [shown(desk, case_id)["setting_contacts"] for case_id in cases]
    # Of the sixth, the first lies a hundred days before.
    assert counts == [1, 2, 3, 4, 5, 5]
    assert ["setting_pattern" in shown(desk, case_id)["remarks"] for case_id in cases] == [False] * 3 + [True] * 3
    for case_id in cases[:2]:
        done(desk, NameAdult(case_id, AMINA, "Tom Hale"))
    assert shown(desk, cases[0])["earlier"][0]["sure"] == 0.98


def test_a_no_names_consultation_has_the_setting_alone(desk: Desk) -> None:
    earlier = contact(desk, "Our coach Thomas Whitfield shouted at a pupil.")
    case_id = contact(desk, "On a no-names basis: what if Thomas Whitfield did that?", days=1)
    refused(desk, NameAdult(case_id, AMINA, "Thomas Whitfield"))
    for each in (earlier, case_id):
        done(desk, SetFacts(each, AMINA, organisation="Oakfield"))
    assert (shown(desk, case_id)["earlier"], shown(desk, case_id)["setting_contacts"]) == ([], 2)
    with desk.database.read() as session:
        assert session.exec(select(Subject.case_id)).all() == [earlier]


def test_restricted_merged_and_purged_cases(desk: Desk) -> None:
    body = "Our coach Thomas Whitfield shouted at a pupil."
    restricted, merged, purged, last = (contact(desk, f"{body} {number}", days=number) for number in range(4))
    done(desk, Restrict(restricted, AMINA, (AMINA,), WORDS))
    done(desk, Merge(merged, AMINA, last, WORDS))
    with desk.database.write() as session:
        shredding.shred(session, desk.practice.vault, session.get_one(Case, purged), now=FRIDAY_1640)
    found = shown(desk, last)["earlier"]
    # That there is something is said, and not what.
    assert [(one["case"], one["decision"]) for one in found] == [(None, None)]
    with desk.database.read() as session:
        assert purged not in session.exec(select(SubjectKey.case_id)).all()


def test_no_name_is_on_a_card_in_a_row_or_in_what_is_said_of_a_match(desk: Desk) -> None:
    contact(desk, "Our coach Thomas Whitfield shouted at a pupil.")
    second = contact(desk, "It is about Thomas Whitfield again.", days=1)
    with desk.database.read() as session:
        case = session.get_one(Case, second)
        said = str(views.card(session, case)) + str(matching.earlier(session, desk.practice, case))
        said += str(views.whole(session, desk.practice, case).earlier)
        for row in session.exec(select(Outgoing).where(col(Outgoing.channel) == "desk")):
            said += str(desk.practice.vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content))
        for subject in session.exec(select(Subject)):
            said += str(subject.content)
        said += str(session.exec(select(SubjectKey.key)).all())
    assert "whitfield" not in said.lower()
