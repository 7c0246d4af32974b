"""A desk at work for tests: real slack-bolt on a real socket against the fake Slack, and casework as plain lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, APP_TOKEN, BOT_TOKEN, DUTY, GUEST, SAM, STRANGER, FakeSlack
from intake_bot.casework.desk import Actor, CaseCard, CaseView, Posted
from intake_bot.casework.files import CaseFile
from intake_bot.slack.app import build_app
from intake_bot.slack.connection import SlackConnection
from intake_bot.slack.desk import SlackDesk
from intake_bot.slack.ports import SlackSettings, WriteTo, Writing

OFFICERS = frozenset({ALEX, f"T0TEAM/{SAM}", GUEST, STRANGER})
"""A guest and a stranger are named too: that must not make them officers."""


LETTERS = Writing(
    (WriteTo("k1", "dsl@school.example", "J Farrier <dsl@school.example>", "none"),),
    "Please tell us where the adult works.",
    datetime(2026, 11, 30, 17, 0, tzinfo=UTC),
)


@dataclass
class Casework:
    """The ports, in memory. ``kept`` is the spool; ``happened`` is everything in its order."""

    cards: dict[str, CaseCard] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    happened: list[tuple[Any, ...]] = field(default_factory=list)
    accept_raises: Exception | None = None
    open_raises: Exception | None = None
    accept_seconds: float = 0.0
    open_seconds: float = 0.0
    view: CaseView | None = field(default_factory=cases.view)
    time: datetime = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
    called: dict[str, str] = field(default_factory=dict)
    card_at: dict[tuple[str, str], str] = field(default_factory=dict)
    heard: datetime | None = None
    said: dict[str, bytes] = field(default_factory=dict)
    attached: tuple[CaseFile, ...] = (
        CaseFile("M1/1", 1, "Statement of Daniel Hartwell.DOCX", 2048, fits=True),
        CaseFile("M1/2", 2, "film.mov", 900 * 1024 * 1024, fits=False),
    )
    letters: Writing = field(default_factory=lambda: LETTERS)

    async def accept(self, key: str, payload: bytes, case_id: str) -> bool:
        self.happened.append(("accepting", key))
        await asyncio.sleep(self.accept_seconds)
        if self.accept_raises is not None:
            raise self.accept_raises
        new = key not in self.kept
        self.kept[key] = payload
        self.happened.append(("accepted", key, new))
        return new

    async def waits(self, key: str) -> bool:
        return False

    async def open_case(self, case_id: str, actor: Actor, page: int = 1) -> CaseView | None:
        self.happened.append(("opened", case_id, str(actor)) + ((page,) if page > 1 else ()))
        await asyncio.sleep(self.open_seconds)
        if self.open_raises is not None:
            raise self.open_raises
        return self.view if case_id == cases.CASE else None

    async def card(self, case_id: str, actor: Actor) -> CaseCard | None:
        return self.cards.get(case_id)

    async def case_called(self, reference: str, actor: Actor) -> str | None:
        return self.called.get(reference)

    async def case_of_card(self, channel: str, ts: str, actor: Actor) -> str | None:
        return self.card_at.get((channel, ts))

    async def heard_until(self) -> datetime | None:
        return self.heard

    async def writing(self, case_id: str, actor: Actor) -> Writing | None:
        self.happened.append(("writing", case_id, str(actor)))
        return self.letters

    async def files(self, case_id: str, actor: Actor) -> tuple[CaseFile, ...]:
        self.happened.append(("files", case_id, str(actor)))
        return self.attached

    async def open_actions(self, case_id: str, actor: Actor) -> tuple[tuple[str, str], ...]:
        return (("A1", "employer by Monday: the statement"),)

    async def figures(self, actor: Actor) -> list[tuple[str, list[str]]]:
        self.happened.append(("figures", str(actor)))
        return [("1 to 27 November 2026", ["7 contacts were received."])]

    async def talk(self, key: str, payload: bytes) -> bool:
        new = key not in self.said
        self.said[key] = payload
        return new

    async def refuse(self, actor: Actor, what: str) -> None:
        self.happened.append(("refused", str(actor), what))

    def now(self) -> datetime:
        return self.time

    @property
    def payloads(self) -> list[bytes]:
        return list(self.kept.values())


@dataclass
class Work:
    slack: FakeSlack
    casework: Casework
    desk: SlackDesk
    connection: SlackConnection
    posted: Posted


def settings_for(slack: FakeSlack, **changes: Any) -> SlackSettings:
    facts = {
        "bot_token": BOT_TOKEN,
        "app_token": APP_TOKEN,
        "channel": DUTY,
        "officers": OFFICERS,
        "zone": ZoneInfo("Europe/London"),
        "api_url": slack.api_url,
    }
    return SlackSettings(**facts | changes)


@asynccontextmanager
async def at_work(slack: FakeSlack, *, ping_seconds: float = 0.2, **changes: Any) -> AsyncIterator[Work]:
    """A connected desk with one card on it; ``changes`` are of its settings."""
    settings, casework = settings_for(slack, **changes), Casework(cards={cases.CASE: cases.card()})
    desk = SlackDesk(settings)
    posted = await desk.post_card(cases.card(), "POST1", look_first=False)
    connection = SlackConnection(build_app(settings, casework), settings, casework.now, ping_seconds=ping_seconds)
    await connection.start()
    try:
        await slack.wait_connected()
        yield Work(slack, casework, desk, connection, posted)
    finally:
        await connection.stop()


async def until(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)
