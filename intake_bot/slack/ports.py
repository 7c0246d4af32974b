"""What the desk in Slack asks of the rest of the house: the composition root provides it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.desk import Actor, CaseCard, CaseView
from intake_bot.casework.files import CaseFile
from intake_bot.casework.queue import Overview, Queued, Which
from intake_bot.casework.rota import DutyDay


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """The desk's settings. ``officers`` and the other roles hold user ids, TEAM/USER or user groups; ``zone`` is for texts
    without date tokens."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    channel: str
    officers: frozenset[str]
    zone: ZoneInfo
    api_url: str = ""
    """Another Web API than Slack's own."""
    managers: frozenset[str] = frozenset()
    support: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()
    signing_secret: str = field(default="", repr=False)
    """Set for HTTP; empty for Socket Mode."""
    show_content: bool = True
    """False: a desk without content. Nothing of a case but its codes is sent to Slack, and no words are asked for there."""
    thread_notes: bool = False
    """What an officer types under a card becomes a note on its case."""
    send_files: bool = False
    """Officers may have a file of a case sent to their own conversation with the app, for an hour."""
    address: str = ""
    """Where people write where no content is taken in Slack."""
    http_host: str = "127.0.0.1"
    http_port: int = 3000


@dataclass(frozen=True, slots=True)
class WriteTo:
    """An address that an officer may write to from a form. ``key`` names it without saying it."""

    key: str
    address: str
    label: str
    trust: str


@dataclass(frozen=True, slots=True)
class Writing:
    """What the form of a letter begins from. The addresses are content."""

    recipients: tuple[WriteTo, ...]
    words: str
    asks_by: datetime
    refused: str | None = None
    """Why nobody may write on the case, where that is so."""


SoFar = tuple[str, list[str]]
"""A period in words, and its figures in sentences."""
Lists = dict[Which, list[Queued]]


@dataclass(frozen=True, slots=True)
class Board:
    """What stands on the desk: counts, the lists that were asked for, the sectors to choose from, who is on duty."""

    overview: Overview
    lists: Lists
    sectors: tuple[str, ...] = ()
    on_duty: tuple[Actor, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """References of cases in which the words stand, newest first, and whether all of the record was looked through."""

    references: tuple[str, ...]
    whole: bool


class Ports(Protocol):
    """The way in. What these raise is a fault of ours: nothing is acknowledged then, and Slack shows a warning sign."""

    async def accept(self, key: str, payload: bytes, case_id: str) -> bool:
        """Keep ``payload``, about a case, for good (committed and synced) under ``key``; False where it was kept before."""
        ...

    async def waits(self, key: str) -> bool:
        """Whether what was kept under ``key`` is still to be performed."""
        ...

    async def open_case(self, case_id: str, actor: Actor, page: int = 1) -> CaseView | None:
        """The case with its content, the opening of this page of it by ``actor`` audited; None where there is none."""
        ...

    async def card(self, case_id: str, actor: Actor) -> CaseCard | None:
        """The card; None where there is no such case for ``actor``."""
        ...

    async def case_called(self, reference: str, actor: Actor) -> str | None:
        """The id of the case of that reference; None where there is none for ``actor``."""
        ...

    async def case_of_card(self, channel: str, ts: str, actor: Actor) -> str | None:
        """The id of the case whose card stands there; None where there is none for ``actor``."""
        ...

    async def heard_until(self) -> datetime | None:
        """Until when all that was said in Slack is known to be kept; None where that was never so."""
        ...

    async def writing(self, case_id: str, actor: Actor) -> Writing | None:
        """Who takes part in the case and the usual question, the looking audited; None where there is no such case."""
        ...

    async def files(self, case_id: str, actor: Actor) -> tuple[CaseFile, ...]:
        """The files that came with the case, the looking audited; none where there is no such case for ``actor``."""
        ...

    async def open_actions(self, case_id: str, actor: Actor) -> tuple[tuple[str, str], ...]:
        """Ids of the open actions with what is to be done, for one officer's eyes; the looking audited."""
        ...

    async def consult(self, key: str, payload: bytes) -> bool:
        """Keep a consultation that was filled in, as :meth:`accept` keeps an act."""
        ...

    async def talk(self, key: str, payload: bytes) -> bool:
        """Keep what somebody wrote to the service, as :meth:`accept` keeps an act."""
        ...

    async def board(
        self, actor: Actor, lists: tuple[Which, ...], limit: int, *, offset: int = 0, sector: str | None = None
    ) -> Board:
        """The counts for ``actor`` and ``limit`` cases of each of ``lists`` from ``offset`` on, of one sector or of all."""
        ...

    async def rota(self) -> tuple[DutyDay, ...]:
        """Who is on duty in the days to come; empty where no rota is kept."""
        ...

    async def away(self, by: Actor, who: Actor, *, first: date, last: date, cover: Actor | None) -> Done | Refused:
        """Put on the rota, for good, that somebody is away. The same again changes nothing."""
        ...

    async def back(self, by: Actor, who: Actor) -> Done | Refused:
        """Put on the rota that somebody is there again."""
        ...

    async def figures(self, actor: Actor) -> list[SoFar]:
        """The month and the year so far, the asking on the record. Numbers alone."""
        ...

    async def search(self, words: list[str], actor: Actor) -> Found | None:
        """Look for words in the record, for some seconds, the looking audited; None where there is nothing to look for."""
        ...

    async def refuse(self, actor: Actor, what: str) -> None:
        """Put on the record that ``actor`` was refused ``what`` (a fixed word)."""
        ...

    def now(self) -> datetime:
        """Aware UTC."""
        ...
