"""The periods that figures are made of: local days from one up to another, and the last whole ones."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Kind(StrEnum):
    ANNUAL = "annual"
    QUARTERLY = "quarterly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Period:
    """Local days from ``since`` up to, but not with, ``until``."""

    since: date
    until: date

    @property
    def label(self) -> str:
        last = self.until - timedelta(days=1)
        return f"{self.since.day} {self.since:%B %Y} to {last.day} {last:%B %Y}"

    @property
    def short(self) -> str:
        """``2025-26``, or the month or months, for the head of a column."""
        last = self.until - timedelta(days=1)
        if (self.since.day, self.since.month) == (1, 4) and self.until == self.since.replace(year=self.since.year + 1):
            return f"{self.since:%Y}-{self.until:%y}"
        if (self.since.year, self.since.month) == (last.year, last.month):
            return f"{self.since:%b %Y}"
        return f"{self.since:%b %Y} to {last:%b %Y}"

    def years_before(self, number: int) -> Period:
        return Period(months_after(self.since, -12 * number), months_after(self.until, -12 * number))

    def months(self) -> list[Period]:
        """The calendar months that it touches, the first and the last as far as they lie in it."""
        found = []
        begin = self.since
        while begin < self.until:
            end = min(months_after(begin.replace(day=1), 1), self.until)
            found.append(Period(begin, end))
            begin = end
        return found


def last_whole(kind: Kind, today: date) -> Period:
    """The last month, quarter or year (from April) that has ended."""
    length = {Kind.ANNUAL: 12, Kind.QUARTERLY: 3, Kind.MONTHLY: 1}[kind]
    begin = date(today.year - 2, 4, 1)
    while months_after(begin, 2 * length) <= today:
        begin = months_after(begin, length)
    return Period(begin, months_after(begin, length))


def months_after(day: date, number: int) -> date:
    """The same day of a later (or earlier) month, or its last where it has none."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + number, 12)
    return date(year, month0 + 1, min(day.day, calendar.monthrange(year, month0 + 1)[1]))
