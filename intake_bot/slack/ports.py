"""What the desk in Slack asks of the rest of the house: the composition root provides it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from intake_bot.casework.desk import Actor, CaseCard, CaseView


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """The desk's settings. ``officers`` holds user ids or TEAM/USER; ``zone`` is for texts without date tokens."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    channel: str
    officers: frozenset[str]
    zone: ZoneInfo
    api_url: str = ""
    """Another Web API than Slack's own."""


class Ports(Protocol):
    """The way in. What these raise is a fault of ours: nothing is acknowledged then, and Slack shows a warning sign."""

    async def accept(self, key: str, payload: bytes, case_id: str) -> bool:
        """Keep ``payload``, about a case, for good (committed and synced) under ``key``; False where it was kept before."""
        ...

    async def open_case(self, case_id: str, actor: Actor) -> CaseView | None:
        """The case with its content, its opening by ``actor`` audited; None where there is none."""
        ...

    async def card(self, case_id: str) -> CaseCard | None: ...

    async def refuse(self, actor: Actor, what: str) -> None:
        """Put on the record that ``actor`` was refused ``what`` (a fixed word)."""
        ...

    def now(self) -> datetime:
        """Aware UTC."""
        ...
