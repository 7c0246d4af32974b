"""Asking for what is missing: the words to begin from, and the action that remembers who owes the answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.letters import say_time
from triage.vocabulary import NAMING_DATA, MissingDatum

ANSWER_DAYS = 2
"""Working days that a referrer has for an answer, where the officer says nothing else."""


def answer_by(calendar: WorkingCalendar, now: datetime) -> datetime:
    """The close of the second working day from now."""
    day = calendar.local(now).date()
    for _ in range(ANSWER_DAYS):
        day = calendar.working_day_after(day)
    return calendar.instant_at(day, calendar.closes)


def words(missing: Iterable[MissingDatum], *, no_names: bool, by: datetime, zone: ZoneInfo) -> str:
    """The letter's words, for the officer to edit. Nothing in them comes from the case but which data seem missing."""
    wanted = [datum for datum in missing if not (no_names and datum in NAMING_DATA)] or [MissingDatum.WHAT_HAPPENED]
    lines = [f"- {datum.label}" for datum in wanted]
    return (
        "To advise you, we need to know a little more. Please tell us, by answering this email:\n\n"
        + "\n".join(lines)
        + f"\n\nPlease answer by {say_time(by, zone)}. If you do not know something, say so: do not ask the child or the "
        "adult about it."
    )
