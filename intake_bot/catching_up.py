"""Reading in full, when nothing waits any more, what the rules alone had read while too much did.

One message a step and only when no arrival can be taken, so that fresh mail never waits for it longer than for one text.
Nothing is kept here that the rows do not tell: after a restart it goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from intake_bot.casework import full_reading
from intake_bot.casework.full_reading import Due
from intake_bot.casework.practice import Practice
from intake_bot.casework.views import TextRead
from intake_bot.intake import Triager
from intake_bot.sandbox import SandboxFailed
from storage.engine import Database
from storage.vault import UNOPENABLE

log = logging.getLogger(__name__)

BATCH = 50
"""Messages looked up at once."""
LOOK_AGAIN = timedelta(seconds=15)
"""After nothing was due: another node may have died over its own."""
PUT_OFF = timedelta(hours=1)
"""After a reading that failed, until the same is tried again."""
MOST_PUT_OFF = 1000
"""Failures remembered; the oldest is forgotten, and tried again."""


class CatchingUp:
    """Reads in full what is due. For one task."""

    def __init__(
        self, *, database: Database, practice: Practice, triager: Triager, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._practice = practice
        self._triager = triager
        self._clock = clock
        self._next: deque[Due] = deque()
        self._look_at: datetime | None = None
        self._put_off: dict[str, datetime] = {}

    async def step(self) -> bool:
        """Read the next message in full; False where none is due."""
        if not self._next and not await asyncio.to_thread(self._look):
            return False
        one = self._next.popleft()
        try:
            to_read = await asyncio.to_thread(self._text, one)
            if to_read is None:
                self._postpone(one)
                return True
            suggestion = await self._triager.suggest(to_read.text, subject=to_read.subject, sender=to_read.sender)
        except (*UNOPENABLE, SandboxFailed) as failure:
            # What the rules said of it stands.
            log.warning("no full reading of %s: %s", one.message_id, getattr(failure, "code", "cannot_be_opened"))
            self._postpone(one)
            return True

        def keep() -> str | None:
            with self._database.write() as session:
                return full_reading.keep(session, self._practice, one, suggestion, read=to_read.read, now=self._clock())

        if await asyncio.to_thread(keep) is not None:
            log.info("read %s in full", one.message_id)
        return True

    def _look(self) -> bool:
        now = self._clock()
        if self._look_at is not None and now < self._look_at:
            return False
        self._put_off = {identity: until for identity, until in self._put_off.items() if until > now}
        with self._database.read() as session:
            self._next.extend(full_reading.due(session, limit=BATCH, put_off=self._put_off.keys()))
        self._look_at = None if self._next else now + LOOK_AGAIN
        return bool(self._next)

    def _text(self, one: Due) -> TextRead | None:
        with self._database.read() as session:
            return full_reading.text_of(session, self._practice, one)

    def _postpone(self, one: Due) -> None:
        if len(self._put_off) >= MOST_PUT_OFF:
            del self._put_off[next(iter(self._put_off))]
        self._put_off[one.suggestion_id] = self._clock() + PUT_OFF
