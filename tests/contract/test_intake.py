"""What the worker between acceptance and the desk asks triage about: whatever an officer is to read, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlmodel import col, func, select

from conftest import FRIDAY_1640
from intake_bot.casework.practice import Practice
from intake_bot.intake import IntakeWorker
from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import Reading, read
from intake_bot.sandbox import SandboxFailed
from storage import spool
from storage.engine import Database
from storage.spool import Channel, Offer
from storage.tables import Case, Message, Outgoing, SuggestionRow
from storage.vault import Place
from triage.suggestion import Suggestion
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
        self.fails = False

    async def suggest(self, text: str, *, subject: str, sender: str | None) -> Suggestion:
        self.read.append(text)
        if self.fails:
            raise SandboxFailed("timeout")
        return Suggestion(Category.CONDUCT, (), 0.5, Threshold.UNCLEAR, 0.5, (), (), (), (), "None.", "test", "test")


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
        )

    async def arrive(self, words: str, sender: str = "dsl@school.example", to: str = LADO, **headers: str) -> None:
        message = EmailMessage()
        message["From"], message["To"] = sender, to
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        message.set_content(words)
        offer = Offer(Channel.EMAIL, message.as_bytes(), {"from": sender, "to": [to]}, FRIDAY_1640)
        spool.accept(self.database, self.vault, [offer])
        assert await self._worker.step()

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
