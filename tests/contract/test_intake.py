"""What the worker between acceptance and the desk asks triage about: whatever an officer is to read, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlmodel import col, func, select

from conftest import FRIDAY_1640
from intake_bot.casework import full_reading, officer, views
from intake_bot.casework.acts import Decide
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import DecisionKind, Remark
from intake_bot.catching_up import LOOK_AGAIN, PUT_OFF, CatchingUp
from intake_bot.intake import IntakeWorker
from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import Reading, read
from intake_bot.sandbox import SandboxFailed
from storage import spool
from storage.engine import Database
from storage.spool import Channel, Offer
from storage.tables import Case, Message, Outgoing, SuggestionRow
from storage.vault import Place
from triage.suggestion import RULES_ALONE, Suggestion
from triage.vocabulary import Category, Threshold

LADO = "lado@elmshire.example"


class InProcess:
    """Reads at once."""

    async def read(self, raw: bytes, envelope: dict[str, Any]) -> Reading:
        return read(
            raw,
            envelope_from=envelope["from"],
            envelope_to=envelope["to"],
            authserv_id=None,
            own_addresses=[LADO],
            limits=Limits(),
        )


class Listening:
    """A triage that notes what it is given."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.by_rules: list[str] = []
        self.fails = False

    async def suggest(self, text: str, *, subject: str, sender: str | None, rules_alone: bool = False) -> Suggestion:
        (self.by_rules if rules_alone else self.read).append(text)
        if self.fails:
            raise SandboxFailed("timeout")
        engine, threshold = (RULES_ALONE, Threshold.LOW_LEVEL) if rules_alone else ("test", Threshold.UNCLEAR)
        return Suggestion(Category.CONDUCT, (), 0.5, threshold, 0.5, (), (), (), (), "None.", engine, "test")


class Intake:
    """The worker with its arrivals."""

    def __init__(self, database: Database, practice: Practice) -> None:
        self.database = database
        self.vault = practice.vault
        practice = replace(practice, recipients=(LADO, "allegations@elmshire.example"))
        self.triage = Listening()
        self._worker = IntakeWorker(
            database=database,
            practice=practice,
            reader=InProcess(),
            triager=self.triage,
            interpret=lambda raw: pytest.fail("no act"),
            clock=lambda: FRIDAY_1640,
            lease=timedelta(minutes=1),
            name="test",
            rules_alone_beyond=2,
        )
        self.now = FRIDAY_1640
        self.practice = practice

    def catching_up(self) -> CatchingUp:
        """As a service has it that was just started."""
        return CatchingUp(database=self.database, practice=self.practice, triager=self.triage, clock=lambda: self.now)

    async def arrive(self, words: str, sender: str = "dsl@school.example", to: str = LADO, **headers: str) -> None:
        self.accept(words, sender, to, **headers)
        assert await self.step()

    async def step(self) -> bool:
        return await self._worker.step()

    def accept(self, words: str, sender: str = "dsl@school.example", to: str = LADO, **headers: str) -> None:
        message = EmailMessage()
        message["From"], message["To"] = sender, to
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        message.set_content(words)
        offer = Offer(Channel.EMAIL, message.as_bytes(), {"from": sender, "to": [to]}, FRIDAY_1640)
        spool.accept(self.database, self.vault, [offer])

    def cases(self) -> list[dict[str, Any]]:
        """As an officer is shown them, in the order of their mail."""
        with self.database.read() as session:
            cases = session.exec(select(Case)).all()
            shown = [views.show_json(session, self.practice, case) for case in cases]
        return sorted(shown, key=lambda case: case["messages"][0]["body_text"])

    def decide(self, case_id: str) -> None:
        act = Decide(case_id, Actor("terminal", "amina"), DecisionKind.CONSULTATION, Category.CONDUCT, (), "Advice.")
        with self.database.write() as session:
            assert isinstance(officer.perform(session, self.practice, act, now=self.now), officer.Done)

    def count(self, of: Any, *where: Any) -> int:
        with self.database.read() as session:
            return session.exec(select(func.count()).select_from(of).where(*where)).one()


@pytest.fixture
def intake(database: Database, practice: Practice) -> Intake:
    return Intake(database, practice)


async def test_triage_is_asked_about_what_opens_or_joins_a_case_and_about_nothing_else(intake: Intake) -> None:
    first = {"words": "A coach shouted at a pupil.", "Message_ID": "<a@school.example>"}
    await intake.arrive(**first)
    await intake.arrive(**first)
    about_first = {"In_Reply_To": "<a@school.example>"}
    await intake.arrive("He has shouted again.", Message_ID="<b@school.example>", **about_first)
    await intake.arrive("A coach shouted at two pupils.", Message_ID="<a@school.example>")
    await intake.arrive("I am away.", Auto_Submitted="auto-replied", Message_ID="<c@school.example>", **about_first)
    assert [text.strip() for text in intake.triage.read] == [
        "A coach shouted at a pupil.",
        "He has shouted again.",
        "A coach shouted at two pupils.",
    ]
    assert (intake.count(Case), intake.count(SuggestionRow)) == (1, 3)


async def test_a_reply_to_our_letter_is_read_without_the_letter(intake: Intake) -> None:
    words = f"Thank you, his name is Sam.\n\nOn Fri, 27 Nov 2026 at 16:41, Officer <{LADO}> wrote:\n> Ring 999 if hurt."
    await intake.arrive(words, Subject="Re: Your message", Message_ID="<a@school.example>")
    await intake.arrive(words.replace(LADO, "s@home.example"), Subject="Re: My son", Message_ID="<b@school.example>")
    ours, theirs = intake.triage.read
    assert "999" not in ours
    assert "999" in theirs


@pytest.mark.parametrize(
    ("reply_to", "answered", "remark"),
    [
        ("office@school.example", "office@school.example", False),
        ("Allegations@elmshire.example", "dsl@school.example", True),
        (f"{LADO}, office@school.example", "dsl@school.example", True),
        ("lado+k3y@elmshire.example", "dsl@school.example", True),
    ],
)
async def test_a_reply_to_of_ours_has_the_sender_answered(
    intake: Intake, reply_to: str, answered: str, remark: bool
) -> None:
    await intake.arrive("A coach shouted at a pupil.", Message_ID="<a@school.example>", Reply_To=reply_to)
    with intake.database.read() as session:
        letter = session.exec(select(Outgoing).where(Outgoing.kind == "acknowledgement")).one()
        case = session.exec(select(Case)).one()
        content = intake.vault.open_json(Place("outbox", letter.id, "content", case.id), letter.content)
        assert content["to"] == answered
        assert ("reply_to_ours" in case.remarks) is remark


async def test_a_message_joins_although_triage_fails(intake: Intake) -> None:
    await intake.arrive("A coach shouted at a pupil.", Message_ID="<a@school.example>")
    intake.triage.fails = True
    await intake.arrive("Again.", Message_ID="<b@school.example>", In_Reply_To="<a@school.example>")
    assert intake.count(Message, col(Message.case_id).is_not(None), col(Message.direction) == "in") == 2
    assert intake.count(SuggestionRow) == 1


async def in_a_rush(intake: Intake, words: list[str]) -> None:
    """All of them arrive before the first is dealt with."""
    for number, text in enumerate(words):
        intake.accept(text, sender=f"dsl@school{number}.example", Message_ID=f"<{number}@school.example>")
    while await intake.step():
        pass


RUSH = ["A coach shouted.", "B coach shouted.", "C coach shouted.", "D coach shouted.", "E coach shouted."]


async def test_while_many_wait_the_rules_alone_read_and_the_card_says_so(intake: Intake) -> None:
    await in_a_rush(intake, RUSH)
    # Four and then three waited behind the one in hand, and two are not too many.
    assert [text.strip()[0] for text in (*intake.triage.by_rules, *intake.triage.read)] == list("ABCDE")
    assert len(intake.triage.by_rules) == 2
    assert [case["suggestion"]["engine"] for case in intake.cases()] == [RULES_ALONE] * 2 + ["test"] * 3
    assert [Remark.RULES_ALONE in case["remarks"] for case in intake.cases()] == [True] * 2 + [False] * 3


async def test_what_the_rules_alone_read_is_read_in_full_afterwards_and_after_a_restart(intake: Intake) -> None:
    await in_a_rush(intake, RUSH)
    revision = {case["id"]: case["suggestion"]["threshold"] for case in intake.cases()}
    assert set(revision.values()) == {Threshold.LOW_LEVEL, Threshold.UNCLEAR}
    assert await intake.catching_up().step()
    assert await intake.catching_up().step()
    assert not await intake.catching_up().step()
    assert [text.strip()[0] for text in intake.triage.read[3:]] == ["A", "B"]
    for case in intake.cases():
        assert (case["suggestion"]["engine"], case["threshold"], case["remarks"]) == ("test", Threshold.UNCLEAR, [])
        assert case["later_suggestions"] == []
    (first, *_) = intake.cases()
    (act,) = [entry for entry in first["audit"] if entry["act"] == "fully_read"]
    assert (act["code"], act["detail"]["threshold_before"]) == ("changed", Threshold.LOW_LEVEL)
    # The old suggestion is kept beside the new one, and each of the two cards is drawn again.
    assert intake.count(SuggestionRow) == 7
    assert intake.count(Outgoing, Outgoing.kind == "card_update") == 2


async def test_a_case_that_was_decided_meanwhile_is_left_as_it_is(intake: Intake) -> None:
    await in_a_rush(intake, RUSH)
    first, second, *_ = intake.cases()
    intake.decide(first["id"])
    assert Remark.RULES_ALONE not in intake.cases()[0]["remarks"]
    catching_up = intake.catching_up()
    assert await catching_up.step()
    assert not await catching_up.step()
    shown = intake.cases()
    assert [shown[0]["suggestion"]["engine"], shown[1]["suggestion"]["engine"]] == [RULES_ALONE, "test"]
    # Decided between the reading and the keeping of it.
    one = full_reading.Due(second["id"], second["id"], second["messages"][0]["id"])
    with intake.database.write() as session:
        suggestion = await intake.triage.suggest("", subject="", sender=None)
        assert full_reading.keep(session, intake.practice, one, suggestion, read="new_words", now=intake.now) is None


async def test_what_joins_is_read_in_full_too_and_replaces_no_view_of_the_first(intake: Intake) -> None:
    await in_a_rush(intake, RUSH[:1])
    for number in range(4):
        intake.accept(
            f"Again, {number}.",
            sender="dsl@school0.example",
            In_Reply_To="<0@school.example>",
            Message_ID=f"<r{number}@s>",
        )
    while await intake.step():
        pass
    (case,) = intake.cases()
    assert case["suggestion"]["engine"] == "test"
    assert sorted(later["engine"] for later in case["later_suggestions"]) == [RULES_ALONE, "test", "test", "test"]
    assert Remark.RULES_ALONE in case["remarks"]
    assert await intake.catching_up().step()
    (case,) = intake.cases()
    assert [later["engine"] for later in case["later_suggestions"]] == ["test"] * 4
    assert case["remarks"] == []


async def test_what_joins_a_decided_case_is_read_in_full_at_once(intake: Intake) -> None:
    await in_a_rush(intake, RUSH[:1])
    intake.decide(intake.cases()[0]["id"])
    for number in range(4):
        intake.accept(
            f"Again, {number}.",
            sender="dsl@school0.example",
            In_Reply_To="<0@school.example>",
            Message_ID=f"<r{number}@s>",
        )
    while await intake.step():
        pass
    assert intake.triage.by_rules == []


async def test_a_full_reading_that_fails_leaves_what_the_rules_said_and_is_tried_again_later(intake: Intake) -> None:
    await in_a_rush(intake, RUSH)
    catching_up = intake.catching_up()
    intake.triage.fails = True
    assert [await catching_up.step() for _ in range(3)] == [True, True, False]
    intake.triage.fails = False
    intake.now += LOOK_AGAIN
    assert not await catching_up.step()
    assert intake.cases()[0]["suggestion"]["engine"] == RULES_ALONE
    intake.now += PUT_OFF
    assert await catching_up.step()
    assert intake.cases()[0]["suggestion"]["engine"] == "test"


async def test_a_folded_case_stays_folded_when_it_is_read_in_full(intake: Intake) -> None:
    await in_a_rush(intake, RUSH)
    with intake.database.write() as session:
        case = session.get_one(Case, intake.cases()[0]["id"])
        case.remarks = [*case.remarks, Remark.FOLDED.value]
        session.add(case)
    catching_up = intake.catching_up()
    while await catching_up.step():
        pass
    assert intake.cases()[0]["remarks"] == [Remark.FOLDED]
    assert intake.count(Outgoing, Outgoing.kind == "card") == 5
    assert intake.count(Outgoing, Outgoing.kind == "card_update") == 1


def test_what_is_due_is_found_without_going_over_the_record(intake: Intake) -> None:
    if not intake.database.is_sqlite:
        pytest.skip("an empty table's plan says nothing there")
    with intake.database.read() as session:
        connection = session.connection()
        sql = full_reading.due_statement().compile(connection, compile_kwargs={"literal_binds": True})
        steps = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    assert any("ix_cases_status_received" in step for step in steps)
    assert not [step for step in steps if step.startswith("SCAN")]
