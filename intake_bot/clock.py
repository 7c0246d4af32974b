"""The ticking: APScheduler in memory, ticks only. What is due is in our own rows, never in a job store.

APScheduler plans by the wall's clock, which may be set. So no more than the next tick is ever planned, and a look that comes
by the time that passes sees to it that none is planned for later than one may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger


class _Next(BaseTrigger):  # type: ignore[misc]
    """Each tick from the one before. APScheduler's own counts out all that it missed: millions, after a clock set ahead."""

    def __init__(self, every: timedelta) -> None:
        self._every = every

    def get_next_fire_time(self, _before: datetime | None, now: datetime) -> datetime:
        return now + self._every


class Ticker:
    """Calls ``sweep`` every ``seconds``; a tick that comes while one is running is left out, not queued.

    Where the wall's clock is set, the next tick comes within twice ``seconds`` of time that passes.
    """

    def __init__(self, sweep: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        self._every = timedelta(seconds=seconds)
        # Ticks need no calendar, so UTC spares the scheduler a look at the machine's zone.
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._job = self._scheduler.add_job(
            sweep, _Next(self._every), max_instances=1, coalesce=True, misfire_grace_time=None
        )
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._scheduler.start()
        self._watch = asyncio.create_task(self._keep_near())

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._scheduler.shutdown(wait=False)

    async def _keep_near(self) -> None:
        """A clock set back leaves the next tick as far off as it was set: then it comes now."""
        while True:
            await asyncio.sleep(self._every.total_seconds())
            now = datetime.now(UTC)
            if self._job.next_run_time - now > self._every:
                self._job.modify(next_run_time=now)
