"""Chasers and digests on both databases: when, to whom, how often, and what ends them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from contract.test_acts import WORDS, done, refused
from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk, referral
from intake_bot.casework import chasing, desk_queue, digest, imported, reminders, views
from intake_bot.casework.acts import (
    Advise,
    CloseAction,
    Conclude,
    Merge,
    PauseCase,
    RecordAction,
    Reopen,
    Restrict,
    ResumeCase,
    StopChasing,
)
from intake_bot.casework.desk import NoticeKind
from intake_bot.casework.letters import LetterProblem
from intake_bot.casework.practice import ChaserRules, DigestRules
from intake_bot.casework.vocabulary import CaseOutcome, Owner, PauseReason
from intake_bot.mail.compose import automatic_answer
from storage import shredding
from storage.outbox import Kind
from storage.spool import Outcome
from storage.tables import Action, AuditEntry, Case, Chaser, Outgoing
from storage.vault import Place
from storage.verify import faults

__all__ = ["desk"]

DSL = "dsl@school.example"
MONDAY = FRIDAY_1640 + timedelta(days=3)
"""Monday 30 November 2026, 16:40."""
NINE = MONDAY - timedelta(hours=7, minutes=40)
CANARY = "tamarisk hinge"


def days(count: int) -> timedelta:
    return timedelta(days=count)


def owed(desk: Desk, due_at: datetime, *, address: str = DSL, owner: Owner = Owner.EMPLOYER, **facts: Any) -> str:
    """A case with something owed on it; the case's id."""
    case_id = desk.opened(**facts).case_id or ""
    done(desk, RecordAction(case_id, AMINA, owner, due_at, f"{WORDS} {CANARY}", address), now=FRIDAY_1640)
    return case_id


def sweep(desk: Desk, now: datetime) -> list[tuple[str, str]]:
    with desk.database.write() as session:
        return [(one.kind, one.state) for one in chasing.send_due(session, desk.practice, now=now).sent]


@dataclass
class Letter:
    id: str
    mail_id: str
    content: dict[str, Any]


def letters(desk: Desk, kind: Kind = Kind.CHASER) -> list[Letter]:
    with desk.database.read() as session:
        rows = session.exec(select(Outgoing).where(col(Outgoing.kind) == kind).order_by(col(Outgoing.id))).all()
        return [
            Letter(
                row.id,
                row.mail_id or "",
                desk.practice.vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content),
            )
            for row in rows
        ]


def planned(desk: Desk, case_id: str) -> list[tuple[str, str, str]]:
    with desk.database.read() as session:
        shown = views.show_json(session, desk.practice, session.get_one(Case, case_id))
    return [(one["kind"], one["due_at"], one["state"]) for one in shown["reminders"] if one["deadline"] == "action"]


def told(desk: Desk, *kinds: NoticeKind) -> list[Any]:
    with desk.database.read() as session:
        rows = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.NOTICE).order_by(col(Outgoing.id))).all()
        found = [
            desk_queue.notice_from_json(
                desk.practice.vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content)
            )
            for row in rows
        ]
    return [notice for notice in found if notice.kind in kinds]


def test_they_are_planned_with_the_action_and_seen_before_they_come(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    assert planned(desk, case_id) == [
        ("before", "2026-12-03T09:00:00Z", "waiting"),
        ("at", "2026-12-04T09:00:00Z", "waiting"),
        ("after", "2026-12-08T09:00:00Z", "waiting"),
        ("telephone", "2026-12-10T09:00:00Z", "waiting"),
    ]


@pytest.mark.parametrize(
    ("due", "kinds"),
    [
        # A Sunday: the Friday before at opening is behind already (16:40), so Monday is the day.
        (days(2), ["at 30", "after 2", "telephone 4"]),
        # Recorded on Friday at 16:40, owed that day at 17:00.
        (timedelta(minutes=20), ["after 1", "telephone 3"]),
        # Owed a week ago: one at the next opening, then the telephone.
        (-days(7), ["after 30", "telephone 1"]),
    ],
)
def test_what_is_behind_is_not_planned(desk: Desk, due: timedelta, kinds: list[str]) -> None:
    shown = planned(desk, owed(desk, FRIDAY_1640 + due))
    assert [f"{kind} {int(at[8:10])}" for kind, at, _ in shown] == kinds


def test_a_letter_says_what_reference_and_when_and_never_what(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    assert sweep(desk, FRIDAY_1640 + days(6) - timedelta(hours=8)) == []
    nine = FRIDAY_1640 + days(6) - timedelta(hours=7, minutes=40)
    assert sweep(desk, nine) == [("before", "sent")]
    assert sweep(desk, nine) == []
    (letter,) = letters(desk)
    case = show(desk, case_id)
    assert (letter.content["to"], letter.content["reply_to"]) == (DSL, case["reply_address"])
    for form in ("subject", "text", "html"):
        assert case["case"] in letter.content[form]
        assert CANARY not in letter.content[form]
    assert "please answer by Friday 4 December 2026 at 16:40" in letter.content["text"]
    raw = automatic_answer(
        letter.content,
        mail_id=letter.mail_id,
        from_name="LADO",
        from_address="lado@elmshire.example",
        date=nine,
        row_id=letter.id,
    )
    assert b"Auto-Submitted: auto-generated\r\n" in raw
    assert [one["subject"] for one in case["messages"] if one["direction"] == "out"][-1] == letter.content["subject"]


def show(desk: Desk, case_id: str) -> dict[str, Any]:
    with desk.database.read() as session:
        return views.show_json(session, desk.practice, session.get_one(Case, case_id))


def test_one_person_has_one_letter_a_day_about_all_that_they_owe(desk: Desk) -> None:
    first = owed(desk, FRIDAY_1640 + days(4))
    second = owed(desk, FRIDAY_1640 + days(4))
    done(desk, RecordAction(second, AMINA, Owner.REFERRER, FRIDAY_1640 + days(4), WORDS, DSL), now=FRIDAY_1640)
    other = owed(desk, FRIDAY_1640 + days(4), sender="head@other.example", address="head@other.example")
    assert sweep(desk, NINE) == [("before", "sent")] * 4
    assert sorted(letter.content["to"] for letter in letters(desk)) == [DSL, "head@other.example"]
    merged = next(letter for letter in letters(desk) if letter.content["to"] == DSL)
    for case_id in (first, second):
        case = show(desk, case_id)
        assert case["case"] in merged.content["text"]
        assert case["reply_address"] in merged.content["text"]
    assert show(desk, other)["case"] not in merged.content["text"]
    # Something more that falls due the same day waits for the next.
    done(desk, RecordAction(first, AMINA, Owner.OTHER, MONDAY - days(1), WORDS, DSL), now=NINE - timedelta(hours=1))
    assert sweep(desk, NINE + timedelta(minutes=1)) == []
    assert planned(desk, first).count(("at", "2026-12-01T09:00:00Z", "waiting")) == 2
    left(desk)
    assert sweep(desk, NINE + days(1)) == [("at", "sent")] * 5
    assert [letter.content["to"] for letter in letters(desk)].count(DSL) == 2


def test_they_come_in_office_hours_and_late_ones_say_so(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    night = FRIDAY_1640 + days(6) + timedelta(hours=4)
    assert sweep(desk, night) == []
    assert sweep(desk, FRIDAY_1640 + days(7)) == [("before", "late"), ("at", "late")]
    assert len(letters(desk)) == 1
    assert [state for _, _, state in planned(desk, case_id)] == ["late", "late", "waiting", "waiting"]


def test_three_letters_unanswered_become_a_task_to_telephone(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    for day in (6, 7, 11):
        sweep(desk, FRIDAY_1640 + days(day))
        left(desk)
    assert len(letters(desk)) == 3
    assert "it was due by Friday 4 December" in letters(desk)[-1].content["text"]
    assert sweep(desk, FRIDAY_1640 + days(13)) == [("telephone", "late")]
    assert len(letters(desk)) == 3
    (notice,) = told(desk, NoticeKind.TELEPHONE)
    assert notice.reference == show(desk, case_id)["case"]
    task = show(desk, case_id)["actions"][-1]
    assert (task["owner"], task["due_at"], task["state"]) == ("officer", "2026-12-10T17:00:00Z", "open")
    assert "Telephone" in task["text"]
    with desk.database.read() as session:
        assert list(faults(session, desk.practice.vault)) == []
    # And of the task the desk is reminded.
    assert sweep(desk, FRIDAY_1640 + days(17)) == [("after", "late")]
    assert [one.code for one in told(desk, NoticeKind.ACTION)] == ["officer"]


def test_what_nobody_is_written_to_about_the_desk_is_told_of(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7), address="", owner=Owner.POLICE)
    assert [kind for kind, _, _ in planned(desk, case_id)] == ["at", "after"]
    assert sweep(desk, FRIDAY_1640 + days(7)) == [("at", "late")]
    (notice,) = told(desk, NoticeKind.ACTION)
    assert (notice.code, notice.moment, notice.late) == ("police", "at", True)
    assert letters(desk) == []


def answer(desk: Desk, case_id: str, **facts: Any) -> None:
    plain = {"recipients": (show(desk, case_id)["reply_address"],)} | facts
    assert desk.file(desk.incoming(**plain)).outcome is Outcome.JOINED


def test_an_answer_ends_them_and_what_a_machine_sends_does_not(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    answer(desk, case_id, machine_reason="vacation")
    assert {state for _, _, state in planned(desk, case_id)} == {"waiting"}
    answer(desk, case_id)
    assert {state for _, _, state in planned(desk, case_id)} == {"cancelled"}
    with desk.database.read() as session:
        acts = session.exec(select(AuditEntry.act, AuditEntry.code).where(col(AuditEntry.chain) == case_id)).all()
        assert ("chasers_stopped", "answered") in [tuple(one) for one in acts]
        # Whether it is an answer to what was asked, an officer says.
        assert session.exec(select(Action.state).where(col(Action.case_id) == case_id)).all() == ["open"]


def test_an_answer_to_the_letter_comes_to_its_case(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    sweep(desk, FRIDAY_1640 + days(6))
    (letter,) = letters(desk)
    filed = desk.file(desk.incoming(in_reply_to=(letter.mail_id,)))
    assert (filed.outcome, filed.case_id) == (Outcome.JOINED, case_id)
    assert "waiting" not in {state for _, _, state in planned(desk, case_id)}


def test_a_question_by_email_is_chased_where_it_was_asked(desk: Desk) -> None:
    case_id = desk.opened().case_id or ""
    done(desk, Advise(case_id, AMINA, DSL, "none", WORDS, asks_by=FRIDAY_1640 + days(4)), now=FRIDAY_1640)
    sweep(desk, NINE)
    (letter,) = letters(desk)
    (question,) = letters(desk, Kind.ADVICE)
    assert letter.content["in_reply_to"] == question.mail_id


def test_closing_pausing_and_a_word_by_hand_end_them(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    (action,) = show(desk, case_id)["actions"]
    done(desk, StopChasing(case_id, AMINA, action["id"]))
    assert {state for _, _, state in planned(desk, case_id)} == {"cancelled"}
    refused(desk, StopChasing(case_id, AMINA, "0" * 26))
    desk.perform(referral(case_id))
    done(desk, RecordAction(case_id, AMINA, Owner.EMPLOYER, FRIDAY_1640 + days(9), WORDS, DSL))
    second = show(desk, case_id)["actions"][-1]["id"]

    def still(case_id: str) -> int:
        return sum(state == "waiting" for _, _, state in planned(desk, case_id))

    assert still(case_id) == 4
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS))
    assert still(case_id) == 0
    done(desk, ResumeCase(case_id, AMINA))
    # What was stopped by hand stays so.
    assert still(case_id) == 4
    done(desk, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, WORDS))
    assert still(case_id) == 0
    done(desk, Reopen(case_id, AMINA, WORDS))
    assert still(case_id) == 4
    done(desk, CloseAction(case_id, AMINA, second))
    assert still(case_id) == 0
    assert sweep(desk, FRIDAY_1640 + days(20)) == []
    assert letters(desk) == []


def test_one_letter_that_cannot_be_made_does_not_hold_up_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(4))
    owed(desk, FRIDAY_1640 + days(4), sender="head@other.example", address="head@other.example")
    make = desk.practice.letters.chaser

    def unfit(items: Any) -> Any:
        if items[0].reference == show(desk, case_id)["case"]:
            raise LetterProblem("no")
        return make(items)

    monkeypatch.setattr(type(desk.practice.letters), "chaser", lambda _, items: unfit(items))
    sweep(desk, NINE)
    assert [letter.content["to"] for letter in letters(desk)] == ["head@other.example"]
    assert [one.code for one in told(desk, NoticeKind.TELEPHONE)] == ["not_renderable"]


def test_a_fault_in_one_is_undone_and_said_and_the_others_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(4))
    owed(desk, FRIDAY_1640 + days(4), sender="head@other.example", address="head@other.example")
    put = chasing.outbox.put

    def broken(*args: Any, **kept: Any) -> Any:
        made = put(*args, **kept)
        if kept.get("case_id") == case_id and kept["kind"] is Kind.CHASER:
            raise ZeroDivisionError
        return made

    monkeypatch.setattr(chasing.outbox, "put", broken)
    assert sweep(desk, NINE) == [("before", "sent")]
    assert [letter.content["to"] for letter in letters(desk)] == ["head@other.example"]
    told_of = [(one.reference, one.code) for one in told(desk, NoticeKind.TELEPHONE)]
    assert told_of == [(show(desk, case_id)["case"], "fault")]
    assert planned(desk, case_id)[0][2] == "cancelled"


def left(desk: Desk) -> None:
    """The relay has taken what waits."""
    with desk.database.write() as session:
        for row in session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.CHASER)).all():
            row.state = "done"
            session.add(row)


def test_the_last_letter_does_not_go_once_it_was_answered_while_it_waited(desk: Desk) -> None:
    desk.practice = replace(desk.practice, chasers=ChaserRules(telephone_days=0))
    case_id = owed(desk, FRIDAY_1640 + days(4))
    for day in (3, 4, 6):
        sweep(desk, FRIDAY_1640 + days(day))
        letter = letters(desk)[-1]
        with desk.database.read() as session:
            assert chasing.still_owed(session, letter.content["actions"]) == set(letter.content["actions"])
        if day < 6:
            left(desk)
    answer(desk, case_id)
    assert {state for _, _, state in planned(desk, case_id)} == {"late"}
    with desk.database.read() as session:
        assert chasing.still_owed(session, letter.content["actions"]) == set()
    desk.perform(referral(case_id))
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS))
    done(desk, ResumeCase(case_id, AMINA))
    assert "waiting" not in {state for _, _, state in planned(desk, case_id)}


def test_while_a_letter_waits_for_the_relay_no_other_is_made(desk: Desk) -> None:
    owed(desk, FRIDAY_1640 + days(4))
    for day in (3, 4, 5, 6):
        sweep(desk, FRIDAY_1640 + days(day))
    assert len(letters(desk)) == 1
    left(desk)
    sweep(desk, FRIDAY_1640 + days(7))
    assert len(letters(desk)) == 2


def test_a_joint_letter_that_is_no_longer_true_does_not_go_and_the_rest_comes_again(desk: Desk) -> None:
    first, second = owed(desk, FRIDAY_1640 + days(4)), owed(desk, FRIDAY_1640 + days(4))
    sweep(desk, NINE)
    (letter,) = letters(desk)
    answer(desk, first)
    with desk.database.write() as session:
        still = chasing.still_owed(session, letter.content["actions"])
        assert len(still) == 1
        chasing.withdraw(session, desk.practice, still, now=NINE + timedelta(hours=1))
    left(desk)
    assert ("before", "2026-12-01T09:00:00Z", "waiting") in planned(desk, second)
    sweep(desk, NINE + days(1))
    assert show(desk, first)["case"] not in letters(desk)[-1].content["text"]
    assert show(desk, second)["case"] in letters(desk)[-1].content["text"]


def test_what_ended_in_a_task_to_telephone_is_not_taken_up_again(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(4))
    desk.practice = replace(desk.practice, advice=replace(desk.practice.advice, can_write_to=lambda _: False))
    sweep(desk, NINE)
    desk.perform(referral(case_id))
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS))
    done(desk, ResumeCase(case_id, AMINA))
    sweep(desk, NINE + days(9))
    assert [one.code for one in told(desk, NoticeKind.TELEPHONE)] == ["no_address"]


def test_an_answer_or_a_word_by_hand_while_a_case_is_paused_holds_when_it_goes_on(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    desk.perform(referral(case_id))
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS))
    done(desk, RecordAction(case_id, AMINA, Owner.POLICE, FRIDAY_1640 + days(9), WORDS))
    police = show(desk, case_id)["actions"][-1]["id"]
    answer(desk, case_id)
    done(desk, StopChasing(case_id, AMINA, police))
    done(desk, ResumeCase(case_id, AMINA))
    assert {state for _, _, state in planned(desk, case_id)} == {"cancelled"}


def test_two_letters_about_one_thing_are_one_and_a_task_to_telephone_is_one(desk: Desk) -> None:
    owed(desk, FRIDAY_1640 + days(7))
    assert sweep(desk, FRIDAY_1640 + days(7)) == [("before", "late"), ("at", "late")]
    (letter,) = letters(desk)
    assert "and others" not in letter.content["subject"]
    late = owed(desk, FRIDAY_1640 + days(7), sender="head@other.example", address="head@other.example")
    assert ("telephone", "late") in sweep(desk, FRIDAY_1640 + days(13))
    assert [letter.content["to"] for letter in letters(desk)].count("head@other.example") == 0
    tasks = [action for action in show(desk, late)["actions"] if action["owner"] == "officer"]
    assert len(tasks) == 1


def test_a_restricted_case_has_its_day_too(desk: Desk) -> None:
    second = desk.opened().case_id or ""
    # The oldest goes first, and this is the oldest.
    act = RecordAction(second, AMINA, Owner.EMPLOYER, FRIDAY_1640 + days(4), WORDS, DSL)
    done(desk, act, now=FRIDAY_1640 - timedelta(hours=1))
    done(desk, Restrict(second, AMINA, (AMINA,), WORDS))
    for number in range(3):
        owed(desk, FRIDAY_1640 + days(4 + number))
    for day in range(2):
        sweep(desk, NINE + days(day))
        left(desk)
    assert any(show(desk, second)["case"] in letter.content["text"] for letter in letters(desk))


def test_a_restricted_case_stands_in_no_letter_with_another(desk: Desk) -> None:
    first = owed(desk, FRIDAY_1640 + days(4))
    second = owed(desk, FRIDAY_1640 + days(4))
    done(desk, Restrict(second, AMINA, (AMINA,), WORDS))
    sweep(desk, NINE)
    (letter,) = letters(desk)
    assert (show(desk, first)["case"] in letter.content["text"]) is not (
        show(desk, second)["case"] in letter.content["text"]
    )
    left(desk)
    sweep(desk, NINE + days(1))
    assert len(letters(desk)) == 2


def test_nothing_is_asked_on_a_closed_case_and_no_case_with_something_owed_is_merged(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(4))
    other = desk.opened().case_id or ""
    refused(desk, Merge(case_id, AMINA, other, WORDS))
    desk.perform(referral(other))
    done(desk, Conclude(other, AMINA, CaseOutcome.UNFOUNDED, WORDS))
    refused(desk, Advise(other, AMINA, DSL, "none", WORDS, asks_by=FRIDAY_1640 + days(4)))


def test_a_purge_leaves_no_trace_of_whom_a_letter_was_for(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(4))
    sweep(desk, NINE)
    with desk.database.write() as session:
        shredding.shred(session, desk.practice.vault, session.get_one(Case, case_id), now=MONDAY)
    with desk.database.read() as session:
        keys = session.exec(select(Outgoing.key).where(col(Outgoing.kind) == Kind.CHASER)).all()
    assert [key.partition(":")[0] for key in keys] == ["purged"]


def test_a_purged_case_chases_nobody(desk: Desk) -> None:
    case_id = owed(desk, FRIDAY_1640 + days(7))
    with desk.database.write() as session:
        shredding.shred(session, desk.practice.vault, session.get_one(Case, case_id), now=MONDAY)
    assert sweep(desk, FRIDAY_1640 + days(8)) == []
    with desk.database.read() as session:
        assert set(session.exec(select(Chaser.address_key)).all()) == {None}
        assert set(session.exec(select(Action.address_key)).all()) == {None}


def test_nobody_is_chased_where_the_setting_says_so(desk: Desk) -> None:
    desk.practice = replace(desk.practice, chasers=None)
    assert planned(desk, owed(desk, FRIDAY_1640 + days(7))) == []
    desk.practice = replace(desk.practice, chasers=ChaserRules(before_days=0, after_days=5, telephone_days=0))
    assert [kind for kind, _, _ in planned(desk, owed(desk, FRIDAY_1640 + days(7)))] == ["at", "after"]


class TestDigests:
    def post(self, desk: Desk, now: datetime) -> bool:
        with desk.database.write() as session:
            return digest.post_due(session, desk.practice, now=now)

    def test_each_working_morning_once_with_numbers_and_what_is_due(self, desk: Desk) -> None:
        case_id = owed(desk, FRIDAY_1640 + days(7))
        assert not self.post(desk, NINE - timedelta(minutes=1))
        assert self.post(desk, NINE)
        assert not self.post(desk, NINE + timedelta(hours=3))
        assert not self.post(desk, FRIDAY_1640 + days(1))
        (morning,) = told(desk, NoticeKind.DIGEST)
        assert dict(morning.figures) == {
            "new": 0,
            "unclaimed": 1,
            "due_today": 1,
            "overdue": 0,
            "waiting": 1,
            "parked": 0,
            "unfiled": 0,
        }
        assert [(one.reference, one.target) for one in morning.listed] == [(show(desk, case_id)["case"], "triage")]
        assert not morning.late

    def test_one_that_was_missed_is_made_up_once_and_says_so(self, desk: Desk) -> None:
        desk.opened()
        assert self.post(desk, MONDAY + days(3))
        (late,) = told(desk, NoticeKind.DIGEST)
        assert late.late
        assert dict(late.figures)["overdue"] == 1

    def test_the_managers_have_the_week_on_its_first_working_day(self, desk: Desk) -> None:
        first = desk.opened().case_id or ""
        desk.perform(referral(first), now=FRIDAY_1640 + timedelta(minutes=5))
        desk.opened()
        self.post(desk, NINE)
        (week,) = told(desk, NoticeKind.WEEK)
        assert (week.to, dict(week.figures)["received"], dict(week.figures)["decided"]) == ("manager", 2, 1)
        assert not any(name.startswith("met") for name, _ in week.figures)
        with desk.database.write() as session:
            reminders.mark_missed(session, desk.practice, now=MONDAY + days(1))
        self.post(desk, NINE + days(1))
        self.post(desk, NINE + days(7))
        figures = dict(told(desk, NoticeKind.WEEK)[-1].figures)
        assert (figures["met:triage"], figures["missed:triage"], figures["overdue"]) == (1, 1, 2)
        assert len(told(desk, NoticeKind.WEEK)) == 2

    def test_what_came_from_the_tracker_makes_no_digest_look_missed(self, desk: Desk) -> None:
        with desk.database.write() as session:
            past = imported.Past(reference="OLD-1", received_at=MONDAY - days(400))
            imported.keep(session, desk.practice, past, by=AMINA, source="t", now=MONDAY)
        assert not self.post(desk, MONDAY)

    def test_whoever_begins_today_has_missed_none_and_a_setting_ends_them(self, desk: Desk) -> None:
        desk.opened(at=MONDAY)
        assert not self.post(desk, MONDAY)
        desk.practice = replace(desk.practice, digests=DigestRules(daily=False, weekly=False))
        assert not self.post(desk, MONDAY + days(1))
