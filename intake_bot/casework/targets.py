"""Named clocks: when something is due, and how that was reached, step by step.

A rule is written in settings as a few words, is versioned, and is counted over a calendar. What comes out is stored with
the deadline and explains itself for ever, whatever becomes of the rule and the calendar. Which reading each rule takes,
with worked examples that are run as tests, is in docs/targets.md.
"""

from __future__ import annotations

import calendar as months
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from intake_bot.casework.calendar import MIDNIGHT, WorkingCalendar, aware_utc


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """So many hours, by day and night, of working days; other days stand still."""

    hours: int


@dataclass(frozen=True, slots=True)
class ElapsedHours:
    """So many real hours, whatever the day."""

    hours: int


@dataclass(frozen=True, slots=True)
class NextWorkingDay:
    """By the close of the first working day after the day of receipt.

    ``cut_off`` is a local time of day. Alone it is said in the explanation and moves nothing: "the end of the next working
    day, or Monday if sent on Friday after 4pm" is Monday on either side of it. With ``day_more``, what comes after it (or
    on a day that is not worked) counts as received on the next working day.
    """

    cut_off: time | None = None
    day_more: bool = False


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """By the close of the so-many-th working day; the day of receipt is not one of them."""

    days: int


@dataclass(frozen=True, slots=True)
class CalendarMonths:
    """The same day of the month and time of day, so many months on; where there is no such day, the month's last."""

    months: int


@dataclass(frozen=True, slots=True)
class ElapsedDays:
    """The same time of day, so many days on, whatever the day."""

    days: int


Count = WorkingHours | ElapsedHours | NextWorkingDay | WorkingDays | CalendarMonths | ElapsedDays


@dataclass(frozen=True, slots=True)
class Rule:
    """A way of counting, as settings name it."""

    count: Count

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that the words of a setting mean, such as ``working_24h`` or ``next_working_day 16:00``.

        Raises ValueError, listing the forms that are allowed, for any other words.
        """
        words = " ".join(text.split())
        for pattern, make in _FORMS:
            if match := pattern.fullmatch(words):
                return cls(make(match))
        raise ValueError(f"is not a rule; the rules are: {', '.join(ALLOWED_FORMS)}")

    @property
    def words(self) -> str:
        """What to write in settings for this rule."""
        match self.count:
            case WorkingHours(hours):
                return f"working_{hours}h"
            case ElapsedHours(hours):
                return f"elapsed_{hours}h"
            case NextWorkingDay(cut_off, day_more):
                after = f" {cut_off:%H:%M}" if cut_off else ""
                return f"next_working_day{after}{' +1' if day_more else ''}"
            case WorkingDays(days):
                return f"working_days {days}"
            case CalendarMonths(number):
                return f"calendar_months {number}"
            case ElapsedDays(days):
                return f"elapsed_days {days}"
            case unknown:
                assert_never(unknown)

    @property
    def name(self) -> str:
        """The words and the version of the way they are counted, such as ``working_24h/1``."""
        return f"{self.words}/{VERSION}"

    @property
    def meaning(self) -> str:
        """The rule as an officer would say it."""
        match self.count:
            case WorkingHours(hours):
                return f"{_number(hours, 'hour')}, not counting weekends, bank holidays and other days off"
            case ElapsedHours(hours):
                return f"{_number(hours, 'hour')}, counting every day"
            case NextWorkingDay(cut_off, day_more):
                more = f"; after {cut_off:%H:%M} it counts as received on the next working day" if cut_off else ""
                return f"by the close of the next working day{more if day_more else ''}"
            case WorkingDays(days):
                return f"by the close of working day {days} after the day of receipt"
            case CalendarMonths(number):
                return f"{_number(number, 'calendar month')}, to the same time of day"
            case ElapsedDays(days):
                return f"{_number(days, 'day')}, to the same time of day, counting every day"
            case unknown:
                assert_never(unknown)


class StepKind(StrEnum):
    """What a step of the count did."""

    COUNTED = "counted"
    SKIPPED = "skipped"
    CUT_OFF = "cut_off"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of the way from receipt to the due time, both ends UTC; a remark on one instant has no length.

    ``counted`` is what a rule that counts hours took from it, and None otherwise.
    """

    kind: StepKind
    start: datetime
    end: datetime
    counted: timedelta | None
    why: str


@dataclass(frozen=True, slots=True)
class Due:
    """When something is due, and why then. All times are UTC; nothing in it is content.

    The steps join up: the first begins at ``started_at``, each where the one before it ended, the last ends at
    ``due_at``. Under a rule that counts hours, what they counted adds up to the rule's length exactly.
    """

    due_at: datetime
    started_at: datetime
    rule: str
    meaning: str
    calendar: str
    zone: str
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """What is stored with a deadline; times as RFC 3339 UTC, lengths in seconds."""
        return {
            "due_at": _rfc3339(self.due_at),
            "started_at": _rfc3339(self.started_at),
            "rule": self.rule,
            "meaning": self.meaning,
            "calendar": self.calendar,
            "zone": self.zone,
            "steps": [
                {
                    "kind": step.kind.value,
                    "start": _rfc3339(step.start),
                    "end": _rfc3339(step.end),
                    "counted_seconds": None if step.counted is None else step.counted.total_seconds(),
                    "why": step.why,
                }
                for step in self.steps
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Due:
        """An equal Due. Raises ValueError for anything that :meth:`to_json` would not have written."""
        try:
            return cls(
                due_at=_instant(data["due_at"]),
                started_at=_instant(data["started_at"]),
                rule=data["rule"],
                meaning=data["meaning"],
                calendar=data["calendar"],
                zone=data["zone"],
                steps=tuple(
                    Step(
                        kind=StepKind(step["kind"]),
                        start=_instant(step["start"]),
                        end=_instant(step["end"]),
                        counted=None if step["counted_seconds"] is None else timedelta(seconds=step["counted_seconds"]),
                        why=step["why"],
                    )
                    for step in data["steps"]
                ),
            )
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"this is no stored due time ({type(fault).__name__})") from None


def due(rule: Rule, started_at: datetime, calendar: WorkingCalendar) -> Due:
    """When what started at ``started_at`` is due by ``rule``.

    A later start is never due earlier, with one exception that the calendar itself makes: a month that is too short for
    the day gives its last day, at the start's own time of day (docs/targets.md). Raises ValueError for a start without a
    zone, and where the count leaves the years for which bank holidays are known.
    """
    started_at = aware_utc(started_at)
    match rule.count:
        case WorkingHours(hours):
            steps = _hours(started_at, timedelta(hours=hours), calendar, calendar.why_not_working, "working day")
        case ElapsedHours(hours):
            steps = _hours(started_at, timedelta(hours=hours), calendar, _never_skipped, "every hour counts")
        case NextWorkingDay(cut_off, day_more):
            steps = _next_working_day(started_at, cut_off, calendar, day_more=day_more)
        case WorkingDays(days):
            first = calendar.local(started_at).date()
            steps = _to_close_of_working_day(started_at, days, first, "day of receipt", calendar)
        case CalendarMonths(number):
            steps = _calendar_months(started_at, number, calendar)
        case ElapsedDays(days):
            wall = calendar.wall_clock(started_at)
            steps = _to_wall_clock(started_at, wall.date() + timedelta(days=days), f"{_number(days, 'day')}", calendar)
        case unknown:
            assert_never(unknown)
    return Due(
        due_at=steps[-1].end,
        started_at=started_at,
        rule=rule.name,
        meaning=rule.meaning,
        calendar=calendar.version,
        zone=str(calendar.zone),
        steps=tuple(steps),
    )


def moved(due: Due, by: timedelta, why: str) -> Due:
    """The same, due later by so much real time, for a reason that is no content."""
    later = due.due_at + by
    return replace(due, due_at=later, steps=(*due.steps, Step(StepKind.MOVED, due.due_at, later, None, why)))


def explain(due: Due) -> list[str]:
    """How the due time was reached, in plain sentences in local time, from what is stored alone.

    Times are shown to the second where they have seconds; the lengths shown add up as shown.
    """
    zone = ZoneInfo(due.zone)
    sentences = [f"Started {_full(due.started_at, zone)}. The rule is {due.meaning}."]
    so_far = timedelta()
    for step in due.steps:
        # Cut to the second at both ends, so that an officer who adds the lengths up gets the whole.
        length = step.end.replace(microsecond=0) - step.start.replace(microsecond=0)
        match step.kind:
            case StepKind.COUNTED if step.counted is not None:
                so_far += length
                sentences.append(
                    f"{_span(step, zone)}: {_length(length)} counted ({step.why}), {_length(so_far)} so far."
                )
            case StepKind.COUNTED:
                sentences.append(f"{_span(step, zone)}: counted ({step.why}).")
            case StepKind.SKIPPED:
                sentences.append(f"{_span(step, zone)}: not counted ({step.why}).")
            case StepKind.CUT_OFF | StepKind.MOVED:
                sentences.append(f"{step.why[0].upper()}{step.why[1:]}.")
            case unknown:
                assert_never(unknown)
    local = due.due_at.astimezone(zone)
    midnight = ""
    if local.time() == MIDNIGHT:
        midnight = f", that is midnight at the end of {local.date() - _DAY:%A}"
    return [*sentences, f"Due {_full(due.due_at, zone)}{midnight}. The calendar is {due.calendar}."]


VERSION = 1
"""Of the way rules are counted. Whoever changes a due time for any rule raises it, so that old deadlines say which."""

ALLOWED_FORMS = (
    "working_24h",
    "elapsed_24h",
    "next_working_day",
    "next_working_day 16:00",
    "next_working_day 16:00 +1",
    "working_days 5",
    "calendar_months 1",
    "elapsed_days 21",
)
"""One example of each form, with numbers that may be others."""

_DAY = timedelta(days=1)

# The numbers are bounded so that a slip of the keyboard is refused rather than counted for a century.
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Count]], ...] = (
    (re.compile(r"working_([1-9]\d{0,2})h"), lambda found: WorkingHours(int(found[1]))),
    (re.compile(r"elapsed_([1-9]\d{0,2})h"), lambda found: ElapsedHours(int(found[1]))),
    (
        re.compile(r"next_working_day(?: ((?:[01]\d|2[0-3]):[0-5]\d)( \+1)?)?"),
        lambda found: NextWorkingDay(time.fromisoformat(found[1]) if found[1] else None, day_more=bool(found[2])),
    ),
    (re.compile(r"working_days ([1-9]\d{0,2})"), lambda found: WorkingDays(int(found[1]))),
    (re.compile(r"calendar_months ([1-9]\d?)"), lambda found: CalendarMonths(int(found[1]))),
    (re.compile(r"elapsed_days ([1-9]\d{0,2})"), lambda found: ElapsedDays(int(found[1]))),
)


def _hours(
    started_at: datetime,
    length: timedelta,
    calendar: WorkingCalendar,
    why_skipped: Callable[[date], str | None],
    why_counted: str,
) -> list[Step]:
    """Count ``length`` of real time, local day by local day, standing still on the days that are skipped."""
    steps: list[Step] = []
    cursor, left, day = started_at, length, calendar.local(started_at).date()
    while left:
        midnight = calendar.instant_at(day + _DAY, MIDNIGHT)
        skipped = why_skipped(day)
        if skipped is not None:
            steps.append(Step(StepKind.SKIPPED, cursor, midnight, None, skipped))
            cursor = midnight
        else:
            counted = min(left, midnight - cursor)
            end = cursor + counted
            why = why_counted + _clock_change_remark(cursor, end, calendar.zone)
            steps.append(Step(StepKind.COUNTED, cursor, end, counted, why))
            cursor, left = end, left - counted
        day += _DAY
    return steps


def _never_skipped(_day: date) -> None:
    return None


def _next_working_day(
    started_at: datetime, cut_off: time | None, calendar: WorkingCalendar, *, day_more: bool
) -> list[Step]:
    local = calendar.local(started_at)
    received = local.date()
    is_after = cut_off is not None and calendar.is_working_day(received) and local.time() > cut_off
    if not day_more:
        steps = _to_close_of_working_day(started_at, 1, received, "day of receipt", calendar)
        if is_after:
            remark = f"received after the {cut_off:%H:%M} cut-off: still due by the close of the next working day"
            steps.insert(0, Step(StepKind.CUT_OFF, started_at, started_at, None, remark))
        return steps
    if not is_after and calendar.is_working_day(received):
        return _to_close_of_working_day(started_at, 1, received, "day of receipt", calendar)
    counts_as = calendar.working_day_after(received)
    because = f"received after the {cut_off:%H:%M} cut-off" if is_after else "received on a day that is not worked"
    remark = f"{because}: counts as received on {_day_name(counts_as)}"
    return [
        Step(StepKind.CUT_OFF, started_at, started_at, None, remark),
        *_to_close_of_working_day(started_at, 1, counts_as, "counts as the day of receipt", calendar),
    ]


def _to_close_of_working_day(
    started_at: datetime, days: int, received: date, why_received: str, calendar: WorkingCalendar
) -> list[Step]:
    """Day by day to the close of the ``days``-th working day after the date ``received``, itself not before the start."""
    steps: list[Step] = []
    cursor, day, counted = started_at, calendar.local(started_at).date(), 0
    while counted < days:
        midnight = calendar.instant_at(day + _DAY, MIDNIGHT)
        skipped = calendar.why_not_working(day)
        if skipped is None and day == received:
            skipped = why_received
        elif skipped is None and day < received:
            skipped = "after the cut-off"
        if skipped is not None:
            steps.append(Step(StepKind.SKIPPED, cursor, midnight, None, skipped))
        else:
            counted += 1
            end = calendar.instant_at(day, calendar.closes) if counted == days else midnight
            steps.append(Step(StepKind.COUNTED, cursor, end, None, f"working day {counted} of {days}"))
        cursor, day = midnight, day + _DAY
    return steps


def _calendar_months(started_at: datetime, number: int, calendar: WorkingCalendar) -> list[Step]:
    start = calendar.wall_clock(started_at).date()
    year, month0 = divmod(start.year * 12 + start.month - 1 + number, 12)
    last = months.monthrange(year, month0 + 1)[1]
    day = date(year, month0 + 1, min(start.day, last))
    short = f"{day:%B %Y} has no day {start.day}: its last day is taken" if start.day > last else None
    return _to_wall_clock(started_at, day, _number(number, "calendar month"), calendar, remark=short)


def _to_wall_clock(
    started_at: datetime, day: date, what: str, calendar: WorkingCalendar, *, remark: str | None = None
) -> list[Step]:
    """One counted stretch to the start's time of day on ``day``, and a remark for each thing that moved it."""
    wall = calendar.wall_clock(started_at)
    due_at = calendar.instant_at(day, wall.time())
    local = calendar.local(due_at)
    remarks = [remark] if remark else []
    if calendar.local(started_at).fold:
        remarks.append(f"it started in the hour that came twice: counted as {wall:%H:%M}")
    if local.replace(tzinfo=None) != datetime.combine(day, wall.time()):
        remarks.append(f"the clocks skip {wall:%H:%M} on {_day_name(day)}: the first moment after is taken")
    elif local.replace(fold=1).utcoffset() != local.utcoffset():
        remarks.append(f"the clocks show {wall:%H:%M} twice on {_day_name(day)}: the first is taken")
    return [
        Step(StepKind.COUNTED, started_at, due_at, None, f"{what} to the same time of day"),
        *(Step(StepKind.MOVED, due_at, due_at, None, said) for said in remarks),
    ]


def _clock_change_remark(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    before, after = start.astimezone(zone).utcoffset(), end.astimezone(zone).utcoffset()
    assert before is not None and after is not None  # noqa: S101, PT018 (an aware time has an offset)
    if before == after:
        return ""
    return "; the clocks go forward" if after > before else "; the clocks go back"


def _span(step: Step, zone: ZoneInfo) -> str:
    """``Saturday 28 November``, ``Friday 27 November from 16:40``, ``Monday 30 November until 16:40`` and the like."""
    start, end = step.start.astimezone(zone), step.end.astimezone(zone)
    is_whole_start, is_whole_end = start.time() == MIDNIGHT, end.time() == MIDNIGHT
    last = end.date() - _DAY if is_whole_end else end.date()
    if start.date() != last:
        return f"{_full(step.start, zone)} to {_full(step.end, zone)}"
    day = _day_name(start.date())
    match is_whole_start, is_whole_end:
        case True, True:
            return day
        case True, False:
            return f"{day} until {_time(end)}"
        case False, True:
            return f"{day} from {_time(start)}"
        case _:
            return f"{day} from {_time(start)} until {_time(end)}"


def _full(instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    return f"{_day_name(local.date())} {local:%Y} at {_time(local)}"


def _day_name(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B}"


def _time(local: datetime) -> str:
    """The time of day; with its zone where the clocks show it twice."""
    said = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    is_twice = local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset()
    return f"{said} {local:%Z}" if is_twice else said


def _length(length: timedelta) -> str:
    """``7 h 20 min``; days are said in hours."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{seconds} s" if seconds else ""]
    return " ".join(filter(None, parts)) or "0 min"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return aware_utc(datetime.fromisoformat(text))
