"""Who does what, as the settings say: the week's rota, whom a new case is proposed to, which senior managers are told.

Pure: rules and their reading. Who is away, and who has how much on, stands in rows (:mod:`rota`, :mod:`routing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.desk import Actor

MAIL = "mail"
"""The kind of somebody who is written to and does nothing here: the id is an address."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SUNDAY = 6
_SLACK = re.compile(r"(?:[TE][A-Z0-9]+/)?[UW](?=[A-Z0-9]*\d)[A-Z0-9]{4,}")
_ADDRESS = re.compile(r"[^@\s<>\"]+@[^@\s<>\"]+")
_NAME = re.compile(r"[^\x00-\x1f\x7f;]{1,100}")
_RULE = re.compile(r"(?P<sector>[^:]+?)(?P<urgent> urgent)?: *(?P<people>.+)")
ANY = "any"
"""In place of a sector: whatever it is, and where it is not known."""


def person(text: str) -> Actor:
    """A user id (U...), ``TEAM/USER``, or a name at the terminal. Raises ValueError, saying the form."""
    named = text.strip()
    kind, colon, rest = named.partition(":")
    if colon and kind in ("slack", "terminal") and rest:
        return Actor(kind, rest)
    if not _NAME.fullmatch(named) or ":" in named:
        raise ValueError("names nobody: write a user id (U...), TEAM/USER, or a name at the terminal")
    return Actor("slack" if _SLACK.fullmatch(named) else "terminal", named)


def reachable(text: str) -> Actor:
    """A user id (U...) or ``TEAM/USER``, or a mail address. Raises ValueError, saying the form."""
    named = text.strip()
    if _ADDRESS.fullmatch(named):
        return Actor(MAIL, named)
    if not _SLACK.fullmatch(named):
        raise ValueError("names nobody who can be told: write a user id (U...), TEAM/USER, or a mail address")
    return Actor("slack", named)


def same(one: Actor, other: Actor) -> bool:
    """Whether both are one person. Settings may name a Slack user without the team."""
    if one.kind != other.kind:
        return False
    if one.kind == "slack":
        return one.id.rpartition("/")[2] == other.id.rpartition("/")[2]
    return one.id.casefold() == other.id.casefold()


def among(who: Actor, people: Iterable[Actor]) -> bool:
    return any(same(who, one) for one in people)


@dataclass(frozen=True, slots=True)
class Week:
    """Who is on duty on each day of the week, Monday first, from the ``handover`` of that day to that of the next."""

    days: tuple[tuple[Actor, ...], ...] = ((),) * 7
    handover: time = time(9, 0)

    @property
    def is_kept(self) -> bool:
        return any(self.days)

    def day_at(self, calendar: WorkingCalendar, moment: datetime) -> date:
        """The duty day that ``moment`` lies in, by the local clock: before the handover it is still yesterday's."""
        local = calendar.local(moment)
        return local.date() if local.time() >= self.handover else local.date() - timedelta(days=1)

    def begins(self, calendar: WorkingCalendar, day: date) -> datetime:
        """When the duty of a day begins, in UTC."""
        return calendar.instant_at(day, self.handover)

    def usual(self, calendar: WorkingCalendar, day: date) -> tuple[Actor, ...]:
        """Who is on duty that day, if nobody is away. A day in the week on which the office is closed goes by Sunday's."""
        weekday = day.weekday()
        closed = weekday < DAYS.index("saturday") and not calendar.is_working_day(day)
        return self.days[_SUNDAY if closed else weekday]


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom the cases of a sector (of any, where it is None) go to; with ``urgent`` only those that are."""

    sector: str | None
    urgent: bool
    people: tuple[Actor, ...]

    @classmethod
    def parse(cls, text: str) -> Rule:
        """``Education: U0SAM``, ``Education urgent: U0SAM; U0ALEX``, ``any urgent: U0BOSS``. Raises ValueError."""
        found = _RULE.fullmatch(" ".join(text.split()))
        if found is None:
            raise ValueError("is no rule; write SECTOR: PERSON or SECTOR urgent: PERSON; PERSON (SECTOR may be any)")
        sector = found["sector"]
        people = tuple(person(one) for one in found["people"].split(";") if one.strip())
        return cls(None if sector.casefold() == ANY else sector, bool(found["urgent"]), people)

    def fits(self, sectors: Iterable[str | None], *, urgent: bool) -> bool:
        known = {sector.casefold() for sector in sectors if sector}
        return (self.sector is None or self.sector.casefold() in known) and (urgent or not self.urgent)


@dataclass(frozen=True, slots=True)
class Routing:
    """Whom a new case is proposed to. It is theirs only once they claim it."""

    rules: tuple[Rule, ...] = ()
    share_among: tuple[Actor, ...] = ()
    most_open: int = 0
    """Whoever has so many open cases has no room; 0: no limit."""

    @property
    def is_kept(self) -> bool:
        return bool(self.rules or self.share_among)

    def people(self, sectors: Iterable[str | None], *, urgent: bool) -> tuple[Actor, ...]:
        """Those of the first rule that fits; where none does, those among whom cases are shared."""
        named = tuple(sectors)
        return next((rule.people for rule in self.rules if rule.fits(named, urgent=urgent)), self.share_among)


@dataclass(frozen=True, slots=True)
class ServiceManagers:
    """The managers of a service, by its sector or sub-sector."""

    sector: str
    people: tuple[Actor, ...]

    @classmethod
    def parse(cls, text: str) -> ServiceManagers:
        """``Fostering: U0HEAD; head.of.fostering@council.example``. Raises ValueError."""
        sector, colon, people = " ".join(text.split()).partition(":")
        if not colon or not sector.strip() or not people.strip():
            raise ValueError("is no service; write SECTOR: PERSON, or SECTOR: PERSON; PERSON")
        return cls(sector.strip(), tuple(reachable(one) for one in people.split(";") if one.strip()))


@dataclass(frozen=True, slots=True)
class SeniorManagers:
    """Who is told, without content, that a case was escalated, or that one is about children in their service."""

    escalated: tuple[Actor, ...] = ()
    services: tuple[ServiceManagers, ...] = ()

    @property
    def are_named(self) -> bool:
        return bool(self.escalated or self.services)

    def of(self, sectors: Iterable[str | None]) -> Iterator[Actor]:
        known = {sector.casefold() for sector in sectors if sector}
        for service in self.services:
            if service.sector.casefold() in known:
                yield from service.people
