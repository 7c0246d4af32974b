"""The month and the year so far in a few sentences of numbers: what a manager asks for between two reports."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from intake_bot.casework.practice import Practice
from intake_bot.reports import figures
from intake_bot.reports.documents import headlines
from intake_bot.reports.periods import Kind, Period


def so_far(session: Session, practice: Practice, *, now: datetime) -> list[tuple[str, list[str]]]:
    """Each period with its sentences: this calendar month, and this year from April, up to and with today."""
    today = practice.calendar.local(now).date()
    year = today.year if today.month >= 4 else today.year - 1
    until = today + timedelta(days=1)
    periods = (Period(today.replace(day=1), until), Period(today.replace(year=year, month=4, day=1), until))
    # The monthly report has all that is said here, and none of the long tables of a year's.
    made = [figures.make(session, practice, Kind.MONTHLY, one, now=now) for one in periods]
    return [(one.period.label, headlines(one)) for one in made]
