"""When an employer first knew: how it is written, and what is within a working day."""

from __future__ import annotations

from datetime import datetime

import pytest

from intake_bot.casework.knowing import NoMoment, moment, told_in_time
from intake_bot.settings import Settings

CALENDAR = Settings().office.calendar()


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-27", "2026-11-27T12:00:00+00:00"),
        (" 27/11/2026 ", "2026-11-27T12:00:00+00:00"),
        ("3/7/2026 09:05", "2026-07-03T08:05:00+00:00"),
        ("2026-07-03T09:05", "2026-07-03T08:05:00+00:00"),
    ],
)
def test_a_day_with_or_without_a_time(text: str, when: str) -> None:
    assert moment(text, CALENDAR) == datetime.fromisoformat(when)


@pytest.mark.parametrize(
    "text", ["", "Friday", "31/02/2026", "2026-13-01", "11/27/2026", "2026-11-27 25:00", "27/11/26"]
)
def test_what_is_no_day_is_not_guessed_at(text: str) -> None:
    with pytest.raises(NoMoment, match="2026-11-27"):
        moment(text, CALENDAR)


@pytest.mark.parametrize(
    ("knew", "told", "in_time"),
    [
        ("2026-11-27 16:40", "2026-11-27 17:30", True),
        # Friday to Monday; and to Tuesday.
        ("2026-11-27", "2026-11-30 23:00", True),
        ("2026-11-27", "2026-12-01 00:30", False),
        # Over Christmas: Thursday the 24th to Tuesday the 29th, for Monday is the substitute day.
        ("2026-12-24", "2026-12-29", True),
        # The same day, whatever the hours: a day alone is known.
        ("2026-11-27", "2026-11-27 09:00", True),
        ("2026-11-28", "2026-11-27", None),
    ],
)
def test_within_one_working_day(knew: str, told: str, in_time: bool | None) -> None:
    assert told_in_time(moment(knew, CALENDAR), moment(told, CALENDAR), CALENDAR) is in_time
