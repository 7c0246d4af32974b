"""Sees when the machine's clock moves otherwise than time passes: it was set, or the machine stood still.

A clock that is wrong for a minute must not send a year's reminders, for each is sent once, nor destroy what is due for
destruction in a year. So after a jump reminders wait a little, for somebody or the time service to set it right, and nothing
is destroyed unattended until the clock has run evenly for a day. Beyond that the clock is believed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

log = logging.getLogger(__name__)

JUMP = timedelta(minutes=5)
"""What a time service that keeps the clock right, or a slow look, never comes to."""
REMINDERS_WAIT = timedelta(minutes=10)
DESTRUCTION_WAITS = timedelta(days=1)
AWAY = timedelta(days=7)


class ClockWatch:
    """Compares ``clock`` (aware UTC) with ``passed`` (seconds that only go on, whatever the clock is set to).

    Whoever asks whether something may be done looks by asking. Safe to use from several threads.
    """

    def __init__(self, clock: Callable[[], datetime], passed: Callable[[], float]) -> None:
        self._clock, self._passed = clock, passed
        self._turn = threading.Lock()
        self._before = (clock(), passed())
        self._jumped_at: float | None = None
        self._doubted_at: float | None = None

    def look(self) -> timedelta | None:
        """How far the clock has moved since the last look beyond the time that passed; None where it ran evenly."""
        with self._turn:
            now, passed = self._clock(), self._passed()
            moved = now - self._before[0] - timedelta(seconds=passed - self._before[1])
            self._before = (now, passed)
            if abs(moved) < JUMP:
                return None
            self._jumped_at = self._doubted_at = passed
        log.warning("the clock moved by %d s beyond the time that passed: reminders wait", moved.total_seconds())
        return moved

    def compare(self, last_at: datetime) -> None:
        """At the start: ``last_at`` is when a service last did its daily work, by the clock of that time.

        Where it is long past none has run for a while, or one of the clocks is wrong; where it is to come, one is.
        """
        if not -JUMP < self._clock() - last_at < AWAY:
            self._doubted_at = self._passed()

    def may_remind(self) -> bool:
        self.look()
        return self._is_over(self._jumped_at, REMINDERS_WAIT)

    def may_destroy(self) -> bool:
        self.look()
        return self._is_over(self._doubted_at, DESTRUCTION_WAITS)

    def _is_over(self, since: float | None, wait: timedelta) -> bool:
        return since is None or self._passed() - since >= wait.total_seconds()
