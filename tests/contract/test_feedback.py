"""The survey at conclusion on both databases: to whom it goes, to whom never, and what becomes of the answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlmodel import col, select

from contract.test_acts import WORDS, done
from contract.test_casework import AMINA, FRIDAY_1640, SUGGESTION, Desk, desk, referral
from contract.test_chasing import CANARY, DSL, letters, show, told
from intake_bot.casework import feedback, retention, views
from intake_bot.casework.acts import (
    Conclude,
    NotAConsultation,
    RecordAction,
    Reopen,
    Restrict,
    SetFacts,
)
from intake_bot.casework.conversation import address_of
from intake_bot.casework.desk import NoticeKind
from intake_bot.casework.history import history
from intake_bot.casework.practice import FeedbackRules
from intake_bot.casework.survey import LINES, REMARK
from intake_bot.casework.vocabulary import CaseOutcome, Owner, SetAside, Source, Status
from intake_bot.delivery import DeliveryWorker
from intake_bot.mail.compose import automatic_answer
from intake_bot.mail.outgoing import FolderPost
from intake_bot.reports import figures
from intake_bot.reports.periods import Kind as Report
from intake_bot.reports.periods import Period
from intake_bot.terminal import TerminalDesk
from storage import outbox
from storage.outbox import Kind, Via
from storage.spool import Outcome
from storage.tables import AuditEntry, Case, Deadline, Feedback, NoteRow, Outgoing, Participant
from storage.vault import Place
from storage.verify import faults
from triage.vocabulary import Flag

__all__ = ["desk"]

HEAD = "head@other.example"
LATER = FRIDAY_1640 + timedelta(days=3)


@pytest.fixture
def asking(desk: Desk) -> Desk:
    desk.practice = replace(desk.practice, feedback=FeedbackRules())
    return desk


def concluded(
    desk: Desk, *, employer: str = "", source: Source | None = None, now: datetime = LATER, **facts: Any
) -> str:
    """The id of a referral that came to its end."""
    suggestion = facts.pop("suggestion", SUGGESTION)
    case_id = desk.file(desk.incoming(**facts), suggestion).case_id or ""
    desk.perform(referral(case_id))
    if employer:
        done(desk, RecordAction(case_id, AMINA, Owner.EMPLOYER, FRIDAY_1640 + timedelta(days=5), WORDS, employer))
    if source is not None:
        done(desk, SetFacts(case_id, AMINA, source=source))
    done(desk, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, f"{WORDS} {CANARY}"), now=now)
    return case_id


def surveys(desk: Desk) -> list[str]:
    return [letter.content["to"] for letter in letters(desk, Kind.FEEDBACK)]


def reply(desk: Desk, case_id: str, text: str, **facts: Any) -> Any:
    plain = {"recipients": (show(desk, case_id)["reply_address"],), "body_text": "", "full_text": text} | facts
    plain = {"subject": f"Re: {letters(desk, Kind.FEEDBACK)[0].content['subject']}"} | plain
    return desk.file(desk.incoming(**plain), None, now=LATER + timedelta(days=1))


def filled(desk: Desk, *answers: str, remark: str = "") -> str:
    text = letters(desk, Kind.FEEDBACK)[0].content["text"]
    for line, answer in zip(LINES, answers, strict=False):
        text = text.replace(line, f"{line} {answer}")
    return "\n".join(f"> {line}" for line in text.replace(REMARK, f"{REMARK} {remark}").splitlines())


def test_nobody_is_asked_unless_the_settings_say_so(desk: Desk) -> None:
    concluded(desk)
    assert surveys(desk) == []


def test_whoever_consulted_us_is_asked_once_by_a_letter_that_holds_nothing(asking: Desk) -> None:
    case_id = concluded(asking)
    (letter,) = letters(asking, Kind.FEEDBACK)
    case = show(asking, case_id)
    assert (letter.content["to"], letter.content["reply_to"]) == (DSL, case["reply_address"])
    assert all(line in letter.content["text"] and line in letter.content["html"] for line in LINES)
    assert CANARY not in str(letter.content)
    raw = automatic_answer(
        letter.content, mail_id=letter.mail_id, from_name="L", from_address="l@e.example", date=LATER, row_id=letter.id
    )
    assert b"Auto-Submitted: auto-generated\r\n" in raw
    # When the office opens next, not at the minute in which somebody's case is closed.
    with asking.database.read() as session:
        row = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.FEEDBACK)).one()
        assert row.available_at == datetime(2026, 12, 1, 9, tzinfo=UTC)
        assert not session.exec(select(Deadline).where(col(Deadline.state) == "running")).all()
    # Opened again and concluded once more, a month later: never twice.
    done(asking, Reopen(case_id, AMINA, WORDS), now=LATER)
    with asking.database.read() as session:
        assert not feedback.still_wanted(session, case_id)
    done(asking, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, WORDS), now=LATER + timedelta(days=40))
    assert surveys(asking) == [DSL]


async def test_a_letter_withdrawn_before_it_left_was_never_sent_and_bars_no_other(asking: Desk, tmp_path: Path) -> None:
    case_id = concluded(asking)
    done(asking, Reopen(case_id, AMINA, WORDS), now=LATER)
    times = iter([LATER + timedelta(days=1), LATER + timedelta(days=5)])
    now = next(times)
    worker = DeliveryWorker(
        asking.database,
        asking.practice,
        Via.MAIL,
        FolderPost(tmp_path),
        TerminalDesk(Console(quiet=True), asking.practice.calendar.zone),
        "LADO",
        lambda: now,
        timedelta(minutes=5),
        "test",
    )
    while await worker.step():
        pass
    before = len(list(tmp_path.iterdir()))
    case = show(asking, case_id)
    assert case["feedback"] == []
    assert not any(LINES[0] in message["full_text"] for message in case["messages"])
    with asking.database.read() as session:
        sentences = history(session, session.get_one(Case, case_id), asking.practice.calendar.zone)
        assert list(faults(session, asking.practice.vault)) == []
    assert any("took back the letter" in sentence for sentence in sentences)
    # Concluded again: they are asked, by a letter that leaves.
    done(asking, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, WORDS), now=now)
    now = next(times)
    while await worker.step():
        pass
    assert len(list(tmp_path.iterdir())) == before + 1
    assert len(show(asking, case_id)["feedback"]) == 1


def test_an_employer_who_is_the_referrer_is_asked_once(asking: Desk) -> None:
    concluded(asking, employer=DSL)
    assert surveys(asking) == [DSL]


def test_an_employers_contact_other_than_the_referrer(asking: Desk) -> None:
    case_id = asking.opened(sender=HEAD).case_id or ""
    asking.perform(referral(case_id))
    # An officer has added them.
    with asking.database.write() as session:
        key = asking.practice.address_key(DSL)
        case = session.get_one(Case, case_id)
        sealed = asking.practice.vault.seal_json(Place("participants", key, "content", case_id), DSL, key=case.key_id)
        session.add(Participant(case_id=case_id, address_key=key, source="added", added_at=LATER, content=sealed))
    done(asking, RecordAction(case_id, AMINA, Owner.EMPLOYER, FRIDAY_1640 + timedelta(days=5), WORDS, DSL))
    done(asking, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, WORDS), now=LATER)
    assert surveys(asking) == [HEAD, DSL]
    assert [(one["role"], one["answered_at"]) for one in show(asking, case_id)["feedback"]] == [
        ("referrer", None),
        ("employer", None),
    ]


@pytest.mark.parametrize(
    "facts",
    [
        {"source": Source.PARENT_OR_CARER},
        {"source": Source.CHILD},
        {"suggestion": replace(SUGGESTION, flags=(Flag.PARENT_COMPLAINT,))},
        {"sender_trust": "fail"},
        {"machine_reason": "portal"},
        {"sender": "no-reply@school.example"},
        {"sender": "lado+tag@elmshire.example"},
        {"no_names": True},
        {"sender": address_of(AMINA)},
    ],
)
def test_to_whom_it_never_goes(asking: Desk, facts: dict[str, Any]) -> None:
    concluded(asking, **facts)
    assert surveys(asking) == []


def test_never_of_a_restricted_case_or_what_was_no_consultation(asking: Desk) -> None:
    case_id = asking.opened().case_id or ""
    asking.perform(referral(case_id))
    done(asking, Restrict(case_id, AMINA, (AMINA,), WORDS))
    done(asking, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, WORDS), now=LATER)
    aside = asking.opened().case_id or ""
    done(asking, NotAConsultation(aside, AMINA, SetAside.TEST), now=LATER)
    assert surveys(asking) == []
    # A case that is hidden once the letter waits.
    other = concluded(asking)
    done(asking, Restrict(other, AMINA, (AMINA,), WORDS), now=LATER)
    with asking.database.read() as session:
        assert not feedback.still_wanted(session, other)


def test_one_address_has_one_in_thirty_days(asking: Desk) -> None:
    concluded(asking)
    concluded(asking, now=LATER + timedelta(days=29))
    assert surveys(asking) == [DSL]
    concluded(asking, now=LATER + timedelta(days=31))
    assert surveys(asking) == [DSL, DSL]


def test_ticks_alone_are_kept_counted_and_ring_no_bell(asking: Desk) -> None:
    case_id = concluded(asking)
    filed = reply(asking, case_id, filled(asking, "4", "5", "yes", "partly"))
    assert (filed.outcome, filed.case_id) == (Outcome.JOINED, case_id)
    assert told(asking, NoticeKind.JOINED) == []
    case = show(asking, case_id)
    assert case["status"] == Status.CONCLUDED
    (row,) = case["feedback"]
    assert row["answers"] == {"reached": "4", "clear": "5", "in_time": "yes", "surer": "partly"}
    assert row["remark"] is None
    with asking.database.read() as session:
        view = views.whole(session, asking.practice, session.get_one(Case, case_id))
        sentences = history(session, session.get_one(Case, case_id), asking.practice.calendar.zone)
    assert any("Was our advice clear? 1 (unclear) to 5 (clear): 5" in words for _, words in view.record)
    assert any("kept what the referrer thinks of the service" in sentence for sentence in sentences)


def test_what_they_sign_with_is_no_news(asking: Desk) -> None:
    case_id = concluded(asking, signature_text="Designated safeguarding lead\nOakfield School")
    above = "Many thanks,\nJ Farrier\nDesignated safeguarding lead\nOakfield School"
    reply(asking, case_id, above + "\n\n" + filled(asking, "4"), body_text=above)
    assert show(asking, case_id)["feedback"][0]["remark"] is None
    assert told(asking, NoticeKind.JOINED) == []


def test_a_name_and_the_letters_own_subject_are_no_news(asking: Desk) -> None:
    case_id = concluded(asking)
    subject = f"AW: Re: {letters(asking, Kind.FEEDBACK)[0].content['subject']}"
    text = filled(asking, "4") + "\n-- \nJane Smith"
    reply(asking, case_id, text, subject=subject, sender_name="Jane Smith", signature_text="Jane Smith")
    assert told(asking, NoticeKind.JOINED) == []


def test_a_remark_is_content_and_rings(asking: Desk) -> None:
    case_id = concluded(asking)
    reply(asking, case_id, filled(asking, "1", remark=f"He did it again, {CANARY}."))
    assert [notice.code for notice in told(asking, NoticeKind.JOINED)] == ["concluded"]
    assert show(asking, case_id)["feedback"][0]["remark"] == f"He did it again, {CANARY}."
    with asking.database.read() as session:
        (note,) = session.exec(select(NoteRow).where(col(NoteRow.act) == "feedback_given")).all()
        assert CANARY.encode() not in note.content
        assert all(CANARY not in str(entry.detail) for entry in session.exec(select(AuditEntry)).all())
        assert list(faults(session, asking.practice.vault)) == []
    # The second reply is a message like any other.
    reply(asking, case_id, filled(asking, "5"))
    assert show(asking, case_id)["feedback"][0]["answers"] == {"reached": "1"}
    assert len(told(asking, NoticeKind.JOINED)) == 2


@pytest.mark.parametrize(
    "facts",
    [
        {"attachments": ({"filename": "a.pdf", "content_type": "x", "size": 1, "sha256": "0", "part_index": 1},)},
        {"body_text": "Please ring me."},
        {"subject": "Re: Mr Brown hit another child today"},
        {"signature_text": "Jane Smith\nMr Brown hit another child today"},
    ],
)
def test_whatever_comes_with_the_ticks_rings(asking: Desk, facts: dict[str, Any]) -> None:
    case_id = concluded(asking)
    text = facts.get("body_text", "") + "\n" + filled(asking, "4")
    reply(asking, case_id, text, **facts)
    assert show(asking, case_id)["feedback"][0]["answers"] == {"reached": "4"}
    assert len(told(asking, NoticeKind.JOINED)) == 1


def test_what_was_not_asked_of_the_sender_is_no_feedback(asking: Desk) -> None:
    case_id = concluded(asking)
    text = filled(asking, "1")
    assert reply(asking, case_id, text, sender="other@school.example").outcome is Outcome.OPENED
    assert reply(asking, case_id, text, machine_reason="vacation", machine_opens_case=False).case_id == case_id
    assert show(asking, case_id)["feedback"][0]["answered_at"] is None


def test_a_survey_that_bounces_has_nobody_telephone(asking: Desk) -> None:
    case_id = concluded(asking)
    with asking.database.read() as session:
        row = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.FEEDBACK)).one()
        back = asking.practice.bounce_address(row.bounce_tag or "")
    bounce = {"machine_reason": "dsn", "machine_opens_case": False, "null_sender": True, "recipients": (back,)}
    assert asking.file(asking.incoming(**bounce), None).case_id == case_id
    assert told(asking, NoticeKind.DELIVERY_FAILED) == []
    assert "not_delivered" not in show(asking, case_id)["remarks"]


def test_a_purge_leaves_the_codes_and_nobody_to_find(asking: Desk) -> None:
    case_id = concluded(asking)
    reply(asking, case_id, filled(asking, "4", remark=CANARY))
    with asking.database.write() as session:
        retention.purge(session, asking.practice, case_id, by=AMINA, reason=WORDS, now=LATER, why=retention.Why.EARLY)
    with asking.database.read() as session:
        row = session.exec(select(Feedback)).one()
        assert (row.address_key, row.answers) == (None, {"reached": "4"})
        assert outbox.newest_letter(session, case_id) is not None
    assert show(asking, case_id)["feedback"][0]["remark"] is None


def test_the_report_counts_them_and_hides_the_few(asking: Desk) -> None:
    for number in range(7):
        concluded(asking, sender=f"head@s{number}.example")
    with asking.database.write() as session:
        for number, row in enumerate(session.exec(select(Feedback).order_by(col(Feedback.id))).all()):
            if number < 6:
                row.answered_at, row.answers = LATER, {"reached": "5" if number else "2", "in_time": "yes"}
                session.add(row)

    def made(*, publish: bool) -> figures.Report:
        period = Period(date(2026, 4, 1), date(2027, 4, 1))
        with asking.database.read() as session:
            now = LATER + timedelta(days=200)
            return figures.make(session, asking.practice, Report.ANNUAL, period, now=now, publish=publish)

    plain = made(publish=False)
    assert plain.faults == ()
    sent, said = plain.table("feedback_sent"), plain.table("feedback")
    assert [row.values for row in sent.rows] == [(7, 6, 85.7), (0, 0, None)]
    assert [row.values for row in said.rows] == [(6, 5, 83.3), (0, 0, None), (6, 6, 100.0), (0, 0, None)]
    # One answered otherwise, and one not at all: who that was, a school would know.
    shown = made(publish=True)
    assert shown.table("feedback").to_json()["rows"][0]["values"] == [6, None, None]
    assert shown.table("feedback_sent").to_json()["rows"][0]["values"] == [7, None, None]
