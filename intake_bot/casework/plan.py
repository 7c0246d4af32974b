"""When nudges are planned for a deadline, and to whom. Pure: rows and sending are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from intake_bot.casework.calendar import WorkingCalendar, aware_utc
from intake_bot.casework.targets import Due


class Moment(StrEnum):
    """Where a reminder stands to its deadline, which is what its text says."""

    BEFORE = "before"
    AT = "at"
    AFTER = "after"


UNCLAIMED = "unclaimed"
"""The kind of a reminder that nobody has taken a case."""
CLAIM = "claim"
"""What that one is of, where reminders are listed: no clock of its own, but the first hour of the first response."""


def of_what(kind: str, target: str) -> str:
    """What a reminder is of, in lists."""
    return CLAIM if kind == UNCLAIMED else target


class Recipient(StrEnum):
    """Whom a reminder is for; who that is at the time is settled when it is sent."""

    DUTY = "duty"
    OWNER = "owner"
    MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class Offset:
    """One nudge: ``days`` local calendar days and ``exact`` real time from the due time, negative before it."""

    days: int
    exact: timedelta
    to: Recipient

    @classmethod
    def parse(cls, text: str) -> Offset:
        """``-4h``, ``0``, ``+1h``, ``-7d``, ``+30m``; ``+1h manager`` names another recipient than the duty desk.

        Raises ValueError, saying the form, for anything else.
        """
        found = _FORM.fullmatch(" ".join(text.split()))
        if found is None:
            raise ValueError(
                "is not a reminder; write 0, or - or + with a number and m, h or d (minutes, hours, days), "
                "then, if it is not for the duty desk, owner or manager: -4h, 0, +1h manager, -7d owner"
            )
        to = Recipient(found["to"] or Recipient.DUTY)
        number = int((found["sign"] or "") + (found["number"] or "0"))
        match found["unit"]:
            case "d":
                return cls(number, timedelta(), to)
            case "h":
                return cls(0, timedelta(hours=number), to)
            case _:
                return cls(0, timedelta(minutes=number), to)

    @property
    def moment(self) -> Moment:
        length = timedelta(days=self.days) + self.exact
        if not length:
            return Moment.AT
        return Moment.AFTER if length > timedelta() else Moment.BEFORE

    def from_due(self, due: Due) -> datetime:
        """The nudge's instant, in UTC. Days keep the local time of day over a night on which the clocks change."""
        if not self.days:
            return due.due_at + self.exact
        calendar = WorkingCalendar(zone=ZoneInfo(due.zone))
        wall = calendar.wall_clock(due.due_at) + timedelta(days=self.days)
        return calendar.instant_at(wall.date(), wall.time())


@dataclass(frozen=True, slots=True)
class ReminderPlan:
    """The nudges for one target."""

    offsets: tuple[Offset, ...]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> ReminderPlan:
        """From a setting's strings. Raises ValueError for a string that is no reminder, or for the same one twice."""
        offsets = tuple(Offset.parse(text) for text in texts)
        if len(set(offsets)) < len(offsets):
            raise ValueError("names the same reminder twice")
        return cls(offsets)


@dataclass(frozen=True, slots=True)
class PlannedReminder:
    """A nudge with its time, in UTC."""

    kind: Moment
    to: Recipient
    due_at: datetime


def plan(
    due: Due,
    reminders: ReminderPlan,
    now: datetime,
    office: WorkingCalendar | None = None,
    *,
    sent: Collection[tuple[str, str]] = (),
) -> tuple[PlannedReminder, ...]:
    """The reminders to wait for, soonest first, as seen at ``now``.

    What lies ahead of ``now`` is planned as it is. A late start (a referral decided after three weeks, mail read after an
    outage) leaves some behind; of those each recipient gets at most one, at once, the nearest that still tells the truth:

    - The deadline is ahead: the last "before", unless a later "before" still comes to the same recipient.
    - The deadline is reached or missed: "at", or where the plan has none, the last "after" that is behind. No "before".

    With ``office`` they come when people can act (:func:`when_somebody_is_there`); without, for what cannot wait, by day and
    by night. What is brought forward and what comes to the same recipient within an hour of it fall together, at the earlier
    time; of those that fall together each recipient gets the one that tells the truth at that time.

    ``sent`` are kinds and recipients that were told before: of what lies behind, these are not said again.

    Raises ValueError for a ``now`` without a zone.
    """
    now = aware_utc(now)
    planned = _at_their_times(due, reminders, now, sent)
    if office is not None:
        planned = _together(due, [(one, _moved(one, due, office, now)) for one in planned])
    order = list(Moment)
    return tuple(sorted(planned, key=lambda one: (one.due_at, order.index(one.kind), one.to)))


LAST_HOUR = timedelta(hours=1)


def when_somebody_is_there(at: datetime, due_at: datetime, office: WorkingCalendar) -> datetime:
    """When a nudge that is meant for ``at`` comes, in UTC, for a target at ``due_at``.

    In office hours, then. Out of them, and before or at the target: an hour before the office last closed, where the target
    falls before it opens again, for there is no later time to act in; else when it opens. After the target: when it opens.
    """
    if office.office_open_at(at):
        return at
    opens = office.next_opening(at)
    return _last_hour(at, office) if at <= due_at <= opens else opens


def _last_hour(at: datetime, office: WorkingCalendar) -> datetime:
    """An hour before the last closing before ``at``, or that day's opening where the day is shorter."""
    day = office.local(at).date()
    while not office.is_working_day(day) or office.instant_at(day, office.closes) > at:
        day -= timedelta(days=1)
    return max(office.instant_at(day, office.opens), office.instant_at(day, office.closes) - LAST_HOUR)


def _moved(one: PlannedReminder, due: Due, office: WorkingCalendar, now: datetime) -> PlannedReminder:
    at = when_somebody_is_there(one.due_at, due.due_at, office)
    if at < now:
        # The time to bring it forward to has passed: then as soon as somebody is there.
        at = now if office.office_open_at(now) else office.next_opening(now)
    return replace(one, due_at=at)


def _together(due: Due, moved: Collection[tuple[PlannedReminder, PlannedReminder]]) -> set[PlannedReminder]:
    """One for what falls together: of each nudge as it was meant and as it comes."""
    at_once: dict[tuple[Recipient, datetime], list[Moment]] = {}
    for recipient in Recipient:
        theirs = [
            (comes.due_at, comes.kind, comes.due_at < meant.due_at) for meant, comes in moved if comes.to is recipient
        ]
        forward = [at for at, _, is_forward in theirs if is_forward]
        # What is brought forward would say the same again, within the hour.
        near = {at for at, _, _ in theirs if any(abs(at - other) < LAST_HOUR for other in forward)}
        for at, kind, _ in theirs:
            at_once.setdefault((recipient, min(near) if at in near else at), []).append(kind)
    return {PlannedReminder(_truest(kinds, missed=due.due_at <= at), to, at) for (to, at), kinds in at_once.items()}


def _truest(kinds: list[Moment], *, missed: bool) -> Moment:
    order = (Moment.AT, Moment.AFTER, Moment.BEFORE) if missed else (Moment.BEFORE, Moment.AT, Moment.AFTER)
    return min(kinds, key=order.index)


def _at_their_times(
    due: Due, reminders: ReminderPlan, now: datetime, sent: Collection[tuple[str, str]]
) -> set[PlannedReminder]:
    planned: set[PlannedReminder] = set()
    for recipient in Recipient:
        timed = sorted((offset.from_due(due), offset.moment) for offset in reminders.offsets if offset.to is recipient)
        ahead = [(at, moment) for at, moment in timed if at > now]
        planned.update(PlannedReminder(moment, recipient, at) for at, moment in ahead)
        behind = [moment for at, moment in timed if at <= now and (moment, recipient) not in sent]
        overdue = _still_true(behind, missed=due.due_at <= now)
        is_repeated = overdue is Moment.BEFORE and any(moment is Moment.BEFORE for _, moment in ahead)
        if overdue is not None and not is_repeated:
            planned.add(PlannedReminder(overdue, recipient, now))
    return planned


def _still_true(behind: list[Moment], *, missed: bool) -> Moment | None:
    if not missed:
        return Moment.BEFORE if Moment.BEFORE in behind else None
    return next((moment for moment in (Moment.AT, Moment.AFTER) if moment in behind), None)


_FORM = re.compile(r"(?:0|(?P<sign>[+-])(?P<number>[1-9]\d{0,3})(?P<unit>[mhd]))(?: (?P<to>duty|owner|manager))?")
