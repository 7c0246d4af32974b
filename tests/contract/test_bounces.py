"""A letter that comes back: it finds its row and its case, and the desk is told to telephone, once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import col, select

from conftest import FRIDAY_1640
from contract.test_casework import Desk
from intake_bot.casework import desk_queue
from intake_bot.casework.desk import Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed
from storage import audit
from storage.engine import Database
from storage.outbox import Kind
from storage.spool import Outcome
from storage.tables import AuditEntry, Outgoing
from storage.vault import Place


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    return Desk(database, practice)


def letter(desk: Desk, filed: Filed) -> Outgoing:
    with desk.database.read() as session:
        return session.exec(
            select(Outgoing).where(col(Outgoing.case_id) == filed.case_id, col(Outgoing.channel) == "mail")
        ).one()


def bounce(desk: Desk, reason: str = "dsn", **facts: Any) -> Filed:
    machine = {"machine_reason": reason, "machine_opens_case": reason == "null_sender", "answer_to": None}
    machine["null_sender"] = True
    return desk.file(desk.incoming(**(machine | {"sender": "mailer-daemon@school.example"} | facts)), None)


def notices(desk: Desk) -> list[Notice]:
    vault = desk.practice.vault
    with desk.database.read() as session:
        return [
            desk_queue.notice_from_json(vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content))
            for row in session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.NOTICE))
        ]


@pytest.mark.parametrize("reason", ["dsn", "bounce", "mailer_daemon", "null_sender"])
def test_a_bounce_to_a_letter_s_own_address_marks_that_letter_and_tells_the_desk_once(reason: str, desk: Desk) -> None:
    first, other = desk.opened(), desk.opened(sender="head@oak.example")
    sent = letter(desk, first)
    assert sent.bounce_tag is not None
    address = desk.practice.bounce_address(sent.bounce_tag)
    assert len(address.partition("@")[0]) <= 64
    for _ in range(2):
        filed = bounce(desk, reason, recipients=(address.upper(),))
        assert (filed.outcome, filed.case_id) == (Outcome.JOINED, first.case_id)
    assert letter(desk, first).bounced_at == FRIDAY_1640
    assert letter(desk, other).bounced_at is None
    assert notices(desk) == [Notice(NoticeKind.DELIVERY_FAILED, reference=first.reference, code="bounced")]
    assert "not_delivered" in desk.show(first)["remarks"]
    with desk.database.read() as session:
        acts = session.exec(
            select(AuditEntry.code).where(
                col(AuditEntry.chain) == first.case_id, col(AuditEntry.act) == "delivery_failed"
            )
        ).all()
        assert acts == ["bounced"]
        assert list(audit.broken_links(session)) == []


def test_a_bounce_that_only_returns_our_message_id_finds_its_letter(desk: Desk) -> None:
    first = desk.opened()
    sent = letter(desk, first)
    assert bounce(desk, answers=("<other@x.example>", sent.mail_id)).case_id == first.case_id
    assert letter(desk, first).bounced_at is not None


def test_a_bounce_to_the_case_s_address_is_about_its_newest_letter(desk: Desk) -> None:
    first = desk.opened()
    assert bounce(desk, recipients=(desk.show(first)["reply_address"],)).case_id == first.case_id
    assert letter(desk, first).bounced_at is not None


@pytest.mark.parametrize(
    "facts",
    [
        {"still_trying": True},  # delayed: whoever has it goes on trying
        {"reason": "auto_replied", "machine_for_a_person": True, "sender": "dsl@school.example"},
        {"reason": "mdn"},
        {"recipients": ("lado+b-aaaaaaaaaaaaaaaa@elmshire.example",)},
    ],
)
def test_what_says_nothing_of_a_failure_marks_none(facts: dict[str, Any], desk: Desk) -> None:
    first = desk.opened()
    sent = letter(desk, first)
    assert sent.bounce_tag is not None
    bounce(desk, **({"recipients": (desk.practice.bounce_address(sent.bounce_tag),)} | facts))
    assert letter(desk, first).bounced_at is None
    assert "not_delivered" not in desk.show(first)["remarks"]
    assert NoticeKind.DELIVERY_FAILED not in {notice.kind for notice in notices(desk)}


def test_an_unsigned_report_to_a_letter_s_own_address_is_believed(desk: Desk) -> None:
    first = desk.opened()
    address = desk.practice.bounce_address(letter(desk, first).bounce_tag or "")
    assert bounce(desk, recipients=(address,), sender_trust="fail").case_id == first.case_id
    assert letter(desk, first).bounced_at is not None


@pytest.mark.parametrize("reason", ["dsn", "bounce", "mailer_daemon", "mdn", "arf"])
@pytest.mark.parametrize("by_id", [True, False])
def test_a_stranger_joins_no_case_in_the_shape_of_a_report(reason: str, by_id: bool, desk: Desk) -> None:
    """Our Message-ID and the case's reply address are known to everybody in a reply to all."""
    first = desk.opened()
    sent = letter(desk, first)
    known = {"answers": (sent.mail_id,)} if by_id else {"recipients": (desk.show(first)["reply_address"],)}
    filed = bounce(desk, reason, sender="stranger@elsewhere.example", null_sender=False, **known)
    assert (filed.outcome, filed.case_id) == (Outcome.UNFILED, None)
    assert letter(desk, first).bounced_at is None
    assert "not_delivered" not in desk.show(first)["remarks"]


def test_an_unknown_machine_at_an_address_of_no_letter_opens_no_case_and_is_seen(desk: Desk) -> None:
    filed = bounce(desk, "null_sender", recipients=("lado+b-aaaaaaaaaaaaaaaa@elmshire.example",))
    assert filed.outcome is Outcome.UNFILED
    assert [notice.kind for notice in notices(desk)] == [NoticeKind.UNFILED]


def test_a_person_who_answers_a_letter_s_own_address_is_in_its_case_as_a_participant_only(desk: Desk) -> None:
    first = desk.opened()
    sent = letter(desk, first)
    assert sent.bounce_tag is not None
    address = desk.practice.bounce_address(sent.bounce_tag)
    assert desk.file(desk.incoming(recipients=(address,))).case_id == first.case_id
    stranger = desk.file(desk.incoming(recipients=(address,), sender="stranger@elsewhere.example"))
    assert stranger.outcome is Outcome.OPENED
    assert letter(desk, first).bounced_at is None
