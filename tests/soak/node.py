"""A node of the simulated year: looks at the clocks and lets letters out, without pause, until it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from intake_bot.delivery import DeliveryWorker
from intake_bot.house import House, make_practice
from intake_bot.service import sweep
from intake_bot.settings import Settings
from intake_bot.terminal import TerminalDesk
from storage.engine import Database
from storage.keys import FixedSource
from storage.keystore import KeyStore
from storage.outbox import Via
from storage.vault import Vault

ADDRESS = "lado@elmshire.example"
KEYS_FILE = "keys.db"
PAUSE_SECONDS = 0.001
LOOK_SECONDS = 0.2
"""As long at most between two looks; one follows at once where the clock has moved."""


@dataclass(frozen=True)
class Place:
    """Where the year's rows and keys are: what every process opens for itself."""

    url: str
    folder: Path

    def open(self) -> House:
        keys = KeyStore(Database(f"sqlite:///{self.folder / KEYS_FILE}"), FixedSource("0f" * 32), ahead=64)
        keys.open()
        settings = Settings.model_validate({"mail": {"address": ADDRESS}})
        return House(settings, self.folder, Database(self.url), make_practice(settings, Vault(keys)))


class Shelf:
    """Takes every letter and keeps none: that they are put in the outbox once is what the year is about."""

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        """It has arrived."""

    async def close(self) -> None:
        """Nothing is held open."""


class Watch:
    """What a node does at each look: what is due goes to the outbox, and letters leave it."""

    def __init__(self, house: House, number: int, now: Callable[[], datetime]) -> None:
        self._house = house
        self._now = now
        self._letters = DeliveryWorker(
            database=house.database,
            practice=house.practice,
            via=Via.MAIL,
            post=Shelf(),
            desk=TerminalDesk(Console(quiet=True), ZoneInfo("Europe/London")),
            from_name="Elmshire LADO",
            clock=now,
            lease=timedelta(minutes=1),
            name=f"node-{number}",
        )

    async def look(self) -> None:
        # As in the service: what fails is tried again at the next look. What never succeeds is missed in the books.
        with contextlib.suppress(SQLAlchemyError):
            sweep(self._house, now=self._now())
            while await self._letters.step():
                pass


def live(place: Place, number: int, clock: MutableSequence[float], skew: MutableSequence[float]) -> None:
    """Work at the time that ``clock[0]`` tells, off by this node's skew (seconds), until killed or left without a parent."""

    def now() -> datetime:
        return datetime.fromtimestamp(clock[0] + skew[number], UTC)

    watch, parent = Watch(place.open(), number, now), multiprocessing.parent_process()
    with asyncio.Runner() as runner:
        while parent is None or parent.is_alive():
            began, seen = time.monotonic(), now()
            runner.run(watch.look())
            while now() == seen and time.monotonic() < began + LOOK_SECONDS:
                time.sleep(PAUSE_SECONDS)


class Killed(BaseException):
    """Ends a look in this process at a statement, as SIGKILL would: nothing that it had begun is committed."""


class Here:
    """A node in this process: it looks when it is told to, and dies at a statement. Quick, and repeatable."""

    def __init__(self, place: Place, number: int, now: Callable[[], datetime]) -> None:
        self._house = place.open()
        self._watch = Watch(self._house, number, now)
        self._runner = asyncio.Runner()
        self._left: int | None = None
        event.listen(self._house.database.engine, "before_cursor_execute", self._count)

    def look(self, *, dies_after: int | None = None) -> bool:
        """Whether it outlived the look. ``dies_after``: so many statements."""
        self._left = dies_after
        try:
            self._runner.run(self._watch.look())
        except Killed:
            return False
        finally:
            self._left = None
        return True

    def close(self) -> None:
        self._runner.close()
        self._house.close()

    def _count(self, *_: object) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Killed
