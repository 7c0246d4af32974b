"""Which days are worked, when the office is open, and what a wall-clock time means on the nights the clocks change.

England's bank holidays come from the ``holidays`` package; one-off days that are proclaimed late, or that one authority
closes on, are given beside them. Nothing here reads a clock, and instants without a zone are refused.
"""

from __future__ import annotations

import importlib.metadata
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from hashlib import sha256
from zoneinfo import ZoneInfo

MONDAY_TO_FRIDAY = frozenset(range(5))
UK = ZoneInfo("Europe/London")
MIDNIGHT = time(0)

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """The working days and office hours of one authority.

    ``weekdays`` are numbered as by :meth:`datetime.date.weekday`, Monday 0. A day in ``extra_days_on`` is worked whatever
    else is known of it; one in ``extra_days_off`` is not. Raises ValueError for a calendar that contradicts itself.
    """

    zone: ZoneInfo = UK
    weekdays: frozenset[int] = MONDAY_TO_FRIDAY
    opens: time = time(9)
    closes: time = time(17)
    extra_days_off: frozenset[date] = frozenset()
    extra_days_on: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= frozenset(range(7)):
            raise ValueError("the working weekdays must be some of 0 (Monday) to 6 (Sunday)")
        if self.opens >= self.closes:
            raise ValueError("the office must open before it closes")
        both = self.extra_days_off & self.extra_days_on
        if both:
            raise ValueError(f"{min(both).isoformat()} is named both as a day off and as a day on")

    @property
    def version(self) -> str:
        """What a deadline was counted by: the package's version, and a mark for whatever differs from plain England.

        Two calendars of one version count alike: ``england-holidays-0.109``, ``england-holidays-0.109+5f0c1a2b``.
        """
        plain = f"england-holidays-{_package_version()}"
        own = self._own_ways()
        return f"{plain}+{sha256(own.encode()).hexdigest()[:8]}" if own else plain

    def is_working_day(self, day: date) -> bool:
        """Whether ``day`` (a date in the calendar's zone) is worked. Raises ValueError outside 1872 to 2100."""
        return self.why_not_working(day) is None

    def why_not_working(self, day: date) -> str | None:
        """Why ``day`` is not worked, such as ``Saturday`` or ``bank holiday: Christmas Day``; None where it is."""
        if isinstance(day, datetime):
            raise ValueError("a working day is asked by its date, not by an instant")
        if day in self.extra_days_on:
            return None
        if day.weekday() not in self.weekdays:
            return f"{day:%A}"
        if day in self.extra_days_off:
            return "one-off day off"
        holiday = self.holiday_name(day)
        return f"bank holiday: {holiday}" if holiday else None

    def holiday_name(self, day: date) -> str | None:
        """The bank holiday on ``day``, worked or not, as GOV.UK names it; None on any other day.

        Raises ValueError outside 1872 to 2100, for which England's bank holidays are not known.
        """
        return _bank_holidays(day.year).get(day)

    def office_open_at(self, instant: datetime) -> bool:
        """Whether somebody is there: a working day, from opening up to, but not at, closing."""
        local = self.local(instant)
        return self.is_working_day(local.date()) and self.opens <= local.time() < self.closes

    def next_opening(self, instant: datetime) -> datetime:
        """The first opening at or after ``instant``, in UTC."""
        instant = aware_utc(instant)
        day = self.local(instant).date()
        while True:
            if self.is_working_day(day) and (opening := self.instant_at(day, self.opens)) >= instant:
                return opening
            day += _DAY

    def office_time_after(self, instant: datetime, length: timedelta) -> datetime:
        """When the office will have been open for ``length`` since ``instant``, in UTC."""
        at = instant if self.office_open_at(instant) else self.next_opening(instant)
        while True:
            closes = self.instant_at(self.local(at).date(), self.closes)
            if closes - at >= length:
                return aware_utc(at + length)
            length -= closes - at
            at = self.next_opening(closes)

    def answer_by(self, due_at: datetime) -> datetime:
        """By when a referrer is told that a person will answer, in UTC.

        That is ``due_at`` itself within office hours, the moment of closing included (a target "by close" is met then);
        otherwise an hour after the next opening, when those who come in have had time to act.
        """
        local = self.local(due_at)
        if self.is_working_day(local.date()) and self.opens <= local.time() <= self.closes:
            return aware_utc(due_at)
        return self.next_opening(due_at) + timedelta(hours=1)

    def local(self, instant: datetime) -> datetime:
        """``instant`` as the office's clocks show it. Raises ValueError for an instant without a zone."""
        return aware_utc(instant).astimezone(self.zone)

    def instant_at(self, day: date, at: time) -> datetime:
        """The instant, in UTC, at which the office's clocks show ``at`` on ``day``.

        A time that the clocks skip (01:30 on the last Sunday of March) is the first moment after the gap; of a time that
        they show twice (01:30 on the last Sunday of October) the first is meant, so that whoever keeps it is in time by
        either reading. A later wall-clock time is therefore never an earlier instant.
        """
        wall = datetime.combine(day, at.replace(fold=0), tzinfo=self.zone)
        instant = wall.astimezone(UTC)
        if instant.astimezone(self.zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
            return instant
        return _clock_change(self.zone, wall.replace(fold=1).astimezone(UTC), instant)

    def wall_clock(self, instant: datetime) -> datetime:
        """The date and time, without zone, to count whole days and months from.

        What the clocks show, save in the second pass of the hour that they show twice: there it is the end of that hour,
        since a later receipt must not seem an earlier one.
        """
        local = self.local(instant)
        wall = local.replace(tzinfo=None, fold=0)
        if not local.fold:
            return wall
        first_pass = local.replace(fold=0)
        offset = first_pass.utcoffset()
        assert offset is not None  # noqa: S101 (an aware time has an offset)
        change = _clock_change(self.zone, first_pass.astimezone(UTC), local.astimezone(UTC))
        return change.replace(tzinfo=None) + offset

    def working_day_after(self, day: date) -> date:
        """The first working day after ``day``."""
        day += _DAY
        while not self.is_working_day(day):
            day += _DAY
        return day

    def working_day_before(self, day: date) -> date:
        """The last working day before ``day``."""
        day -= _DAY
        while not self.is_working_day(day):
            day -= _DAY
        return day

    def _own_ways(self) -> str:
        """What differs from England's plain calendar, in one canonical line; empty where nothing does."""
        if self == _PLAIN:
            return ""
        return " ".join(
            [
                str(self.zone),
                "".join(map(str, sorted(self.weekdays))),
                f"{self.opens.isoformat()}-{self.closes.isoformat()}",
                *(f"-{day.isoformat()}" for day in sorted(self.extra_days_off)),
                *(f"+{day.isoformat()}" for day in sorted(self.extra_days_on)),
            ]
        )


def aware_utc(instant: datetime) -> datetime:
    """``instant`` in UTC. Raises ValueError where it has no zone, for then nobody can know when it is."""
    if instant.utcoffset() is None:
        raise ValueError("a time without a zone was given: every instant must be aware")
    return instant.astimezone(UTC)


_PLAIN = WorkingCalendar()

_GOV_UK_TITLES = {
    "May Day": "Early May bank holiday",
    "Spring Bank Holiday": "Spring bank holiday",
    "Late Summer Bank Holiday": "Summer bank holiday",
}


@cache
def _bank_holidays(year: int) -> Mapping[date, str]:
    """England's bank holidays of one year (Banking and Financial Dealings Act 1971, Schedule 1, and proclamations)."""
    # Put off, so that the service answers before it needs a holiday.
    import holidays

    # Without a subdivision the package leaves out Easter Monday and the summer bank holiday.
    found = holidays.country_holidays("GB", subdiv="ENG", years=year, expand=False, observed=True, language="en_GB")
    if not found.start_year <= year <= found.end_year:
        # The package answers "no holidays" for these, and a target would silently be counted wrong.
        raise ValueError(f"England's bank holidays are known from {found.start_year} to {found.end_year} only")
    return {day: _gov_uk_title(name) for day, name in found.items()}


def _gov_uk_title(name: str) -> str:
    """The package's name as GOV.UK puts it, so that an officer finds it there."""
    parts = (part.removesuffix(" (observed)") for part in name.split("; "))
    titles = " and ".join(_GOV_UK_TITLES.get(part, part) for part in parts)
    return f"{titles} (substitute day)" if name.endswith("(observed)") else titles


@cache
def _package_version() -> str:
    return importlib.metadata.version("holidays")


def _clock_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant, to the second, of the one clock change after ``before`` and not after ``after`` (both UTC)."""
    before = before.replace(microsecond=0)
    changed = after.astimezone(zone).utcoffset()
    seconds = range(int((after - before).total_seconds()) + 1)
    return before + timedelta(
        seconds=bisect_left(
            seconds,
            True,
            key=lambda second: (before + timedelta(seconds=second)).astimezone(zone).utcoffset() == changed,
        )
    )
