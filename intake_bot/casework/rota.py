"""The duty rota: the week as the settings have it, and rows for the days on which somebody is away.

It decides who is mentioned, and nothing else: everybody at the desk may still do everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlmodel import Session, col, select

from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.desk import Actor, CaseCard, Notice, NoticeKind
from intake_bot.casework.duty import among, same
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import Status
from storage import audit
from storage.ids import new_id
from storage.tables import Absence, Case

SHOWN_DAYS = 14
LONGEST = timedelta(days=366)
_COVERS = 5
"""How many covers of covers are followed."""
_MENTIONING = frozenset({NoticeKind.REMINDER, NoticeKind.JOINED, NoticeKind.MORE_URGENT, NoticeKind.TELEPHONE})
"""Notices about a case that are for whoever is on duty, where nobody has it."""


@dataclass(frozen=True, slots=True)
class DutyDay:
    """One day of the rota. ``usual`` is the week's; ``away`` are those of them who are, each with their cover."""

    day: date
    begins: datetime
    begins_local: datetime
    on_duty: tuple[Actor, ...]
    usual: tuple[Actor, ...]
    away: tuple[tuple[Actor, Actor | None], ...]


def on_duty(session: Session, practice: Practice, now: datetime) -> tuple[Actor, ...]:
    """Who is on duty; nobody where no rota is kept."""
    if not practice.week.is_kept:
        return ()
    day = practice.week.day_at(practice.calendar, now)
    return _day(practice, day, _absences(session, day, day)).on_duty


def days(session: Session, practice: Practice, now: datetime, count: int = SHOWN_DAYS) -> list[DutyDay]:
    """The rota from the day that is on."""
    first = practice.week.day_at(practice.calendar, now)
    wanted = [first + timedelta(days=number) for number in range(count)]
    absences = _absences(session, wanted[0], wanted[-1])
    return [_day(practice, day, absences) for day in wanted]


def present(session: Session, practice: Practice, people: Sequence[Actor], now: datetime) -> tuple[Actor, ...]:
    """Of these people those who are there today, with the cover of those who are not."""
    day = practice.week.day_at(practice.calendar, now)
    return _there(people, day, _absences(session, day, day))


def known(practice: Practice) -> tuple[Actor, ...]:
    """Everybody whom the rota, the routing rules or the allocation name, each once."""
    named: list[Actor] = []
    routing = practice.routing
    for group in (*practice.week.days, *(rule.people for rule in routing.rules), routing.share_among):
        named += [one for one in group if not among(one, named)]
    return tuple(named)


def away(
    session: Session,
    practice: Practice,
    who: Actor,
    *,
    first: date,
    last: date,
    cover: Actor | None,
    by: Actor,
    now: datetime,
) -> Done | Refused:
    """Say that somebody is away on some duty days, the first and the last among them. The same again changes nothing."""
    named = next((one for one in known(practice) if same(one, who)), None)
    if named is None:
        return Refused(f"{who.id} is not on the rota: the settings name who is.")
    if last < first:
        return Refused("The last day lies before the first.")
    if last < practice.week.day_at(practice.calendar, now):
        return Refused("Those days are over.")
    if last - first > LONGEST:
        return Refused("That is more than a year: take them out of the settings instead.")
    if cover is not None and same(cover, named):
        return Refused("Nobody covers for themselves.")
    # What was said last holds: an older row that says the same has been overtaken by whatever came after it.
    newest = next((row for row in _absences(session, first, last) if same(Actor.parse(row.person), named)), None)
    said = (first.isoformat(), last.isoformat(), str(cover) if cover else None)
    if newest is not None and (newest.first, newest.last, newest.cover) == said:
        return Done("That is on the rota already.", changed=False)
    session.add(
        Absence(
            id=new_id(now),
            person=str(named),
            first=first.isoformat(),
            last=last.isoformat(),
            cover=str(cover) if cover else None,
            by=str(by),
            recorded_at=now,
        )
    )
    detail = {"person": str(named), "first": first.isoformat(), "last": last.isoformat(), "cover": str(cover or "")}
    audit.record(session, audit.SERVICE_CHAIN, at=now, actor=str(by), act="rota_changed", code="away", detail=detail)
    session.flush()
    empty = [one for one in _days_between(session, practice, first, last) if one.usual and not one.on_duty]
    if empty:
        return Done(
            f"It is on the rota. Nobody is on duty on {len(empty)} of these days, from {empty[0].day:%A %d %B}."
        )
    return Done("It is on the rota.")


def back(session: Session, practice: Practice, who: Actor, *, by: Actor, now: datetime) -> Done | Refused:
    """Somebody is there again: what was said of their days from now on does not hold. Past days stay on the rota."""
    today = practice.week.day_at(practice.calendar, now)
    rows = session.exec(
        select(Absence).where(col(Absence.ended_at).is_(None), col(Absence.last) >= today.isoformat()).with_for_update()
    ).all()
    ended = [row for row in rows if same(Actor.parse(row.person), who)]
    if not ended:
        return Done(f"{who.id} is not away.", changed=False)
    for row in ended:
        if row.first < today.isoformat():
            row.last = (today - timedelta(days=1)).isoformat()
        else:
            row.ended_at = now
        session.add(row)
    detail = {"person": ended[0].person, "rows": len(ended)}
    audit.record(session, audit.SERVICE_CHAIN, at=now, actor=str(by), act="rota_changed", code="back", detail=detail)
    return Done("It is on the rota.")


def addressed(session: Session, practice: Practice, case: Case, card: CaseCard, *, now: datetime) -> CaseCard:
    """A card with whom it is for, while nobody has the case. Of a restricted one nobody is called upon."""
    if card.status is not Status.NEW or card.officer is not None or case.restricted:
        return card
    proposed = Actor.parse(case.proposed) if case.proposed else None
    return replace(card, on_duty=on_duty(session, practice, now), proposed=proposed)


def mention(session: Session, practice: Practice, notice: Notice, *, now: datetime) -> Notice:
    """A notice with who is on duty, where it is about a case that nobody has."""
    if notice.kind not in _MENTIONING or notice.owner is not None or notice.reference is None:
        return notice
    return replace(notice, on_duty=on_duty(session, practice, now))


def _days_between(session: Session, practice: Practice, first: date, last: date) -> Iterator[DutyDay]:
    absences = _absences(session, first, last)
    for number in range((last - first).days + 1):
        yield _day(practice, first + timedelta(days=number), absences)


def _absences(session: Session, first: date, last: date) -> list[Absence]:
    """Newest first: what was said last of a day holds."""
    return list(
        session.exec(
            select(Absence)
            .where(
                col(Absence.first) <= last.isoformat(),
                col(Absence.last) >= first.isoformat(),
                col(Absence.ended_at).is_(None),
            )
            .order_by(col(Absence.id).desc())
        ).all()
    )


def _day(practice: Practice, day: date, absences: Sequence[Absence]) -> DutyDay:
    usual = practice.week.usual(practice.calendar, day)
    begins = practice.week.begins(practice.calendar, day)
    gone = [(one, row) for one in usual if (row := _absence(one, day, absences)) is not None]
    return DutyDay(
        day=day,
        begins=begins,
        begins_local=practice.calendar.local(begins),
        on_duty=_there(usual, day, absences),
        usual=usual,
        away=tuple((one, Actor.parse(row.cover) if row.cover else None) for one, row in gone),
    )


def _there(people: Sequence[Actor], day: date, absences: Sequence[Absence]) -> tuple[Actor, ...]:
    there: list[Actor] = []
    for one in people:
        who: Actor | None = one
        for _ in range(_COVERS):
            row = _absence(who, day, absences) if who is not None else None
            if row is None:
                break
            who = Actor.parse(row.cover) if row.cover else None
        else:
            who = None  # they cover for each other in a ring
        if who is not None and not among(who, there):
            there.append(who)
    return tuple(there)


def _absence(who: Actor, day: date, absences: Sequence[Absence]) -> Absence | None:
    on = day.isoformat()
    return next((row for row in absences if row.first <= on <= row.last and same(Actor.parse(row.person), who)), None)
