"""The ticking: APScheduler in memory, ticks only. What is due is in our own rows, never in a job store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler


class Ticker:
    """Calls ``sweep`` every ``seconds``; a tick that comes while one is running is left out, not queued."""

    def __init__(self, sweep: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        # Ticks need no calendar, so UTC spares the scheduler a look at the machine's zone.
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._scheduler.add_job(
            sweep, "interval", seconds=seconds, max_instances=1, coalesce=True, misfire_grace_time=None
        )

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
