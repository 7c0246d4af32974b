"""When an employer first knew of what they then told us, and whether they told it within a working day.

That working day is the employer's to keep, and no clock of ours: it is over when the message comes. It is reported.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time

from intake_bot.casework.calendar import WorkingCalendar

NOON = time(12)
"""What a day without a time stands for."""


class NoMoment(ValueError):
    """The text names no day. It says how to write one."""

    def __init__(self) -> None:
        super().__init__("Write the day as 2026-11-27, with the time behind it where it is known: 2026-11-27 16:40.")


def moment(text: str, calendar: WorkingCalendar) -> datetime:
    """A day of the office, with or without a time of it, in UTC. British order is read too. Raises NoMoment."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise NoMoment
    try:
        day = date(*(int(found[f"{part}1"] or found[f"{part}2"]) for part in ("year", "month", "day")))
        at = time(int(found["hour"]), int(found["minute"])) if found["hour"] else NOON
        return calendar.instant_at(day, at)
    except (ValueError, OverflowError):
        raise NoMoment from None


_MOMENT = re.compile(
    r"(?:(?P<year1>\d{4})-(?P<month1>\d\d)-(?P<day1>\d\d)|(?P<day2>\d{1,2})/(?P<month2>\d{1,2})/(?P<year2>\d{4}))"
    r"(?:(?:T|,? )(?P<hour>\d\d):(?P<minute>\d\d))?"
)


def told_in_time(knew_at: datetime, received_at: datetime, calendar: WorkingCalendar) -> bool | None:
    """Whether we were told no later than on the next working day; None where we knew before the employer did."""
    knew, told = calendar.local(knew_at).date(), calendar.local(received_at).date()
    return None if told < knew else told <= calendar.working_day_after(knew)
