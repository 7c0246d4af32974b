"""What waits for whom, without content: the lists of the desk's Home and of its commands, and the counts beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, exists, false, func, or_, true
from sqlmodel import Session, col, select

from intake_bot.casework.calendar import MIDNIGHT
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import TRIAGE, Practice
from intake_bot.casework.vocabulary import CLOSED, ActionState, DeadlineState, Status
from storage.claims import PARKED
from storage.tables import Action, Case, Deadline, Message, Spooled, SuggestionRow
from triage.vocabulary import URGENT_FLAGS, Flag

_TICKING = (DeadlineState.RUNNING, DeadlineState.MISSED)


class Which(StrEnum):
    """A list of open cases."""

    UNCLAIMED = "unclaimed"
    MINE = "mine"
    OVERDUE = "overdue"
    DUE_TODAY = "due_today"
    WAITING = "waiting"
    OPEN = "open"

    @property
    def label(self) -> str:
        return {
            Which.UNCLAIMED: "Unclaimed",
            Which.MINE: "With you",
            Which.OVERDUE: "Overdue",
            Which.DUE_TODAY: "Due today",
            Which.WAITING: "Waiting for others",
            Which.OPEN: "All open cases",
        }[self]


@dataclass(frozen=True, slots=True)
class Queued:
    """A case in a list. Safe for the duty channel; ``due_at`` is its next target that is not met."""

    case_id: str
    reference: str
    status: Status
    received_at: datetime
    sector: str | None
    officer: Actor | None
    urgent: tuple[Flag, ...]
    target: str | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Month:
    """The month so far: how many came, and of the first responses that fell due how many were in time."""

    received: int
    answered: int
    in_time: int


@dataclass(frozen=True, slots=True)
class Overview:
    counts: Mapping[Which, int]
    parked: int
    unfiled: int
    month: Month


def queued(
    session: Session, practice: Practice, which: Which, actor: Actor, *, now: datetime, limit: int, offset: int = 0
) -> list[Queued]:
    """The cases of a list, the soonest due first; of restricted ones those that ``actor`` may see."""
    next_due = (
        select(col(Deadline.case_id).label("case_id"), func.min(Deadline.due_at).label("due_at"))
        .where(col(Deadline.state).in_(_TICKING), col(Deadline.met_at).is_(None))
        .group_by(col(Deadline.case_id))
        .subquery()
    )
    rows = session.exec(
        select(Case, next_due.c.due_at)
        .outerjoin(next_due, next_due.c.case_id == col(Case.id))
        .where(_is(which, practice, actor, now), _seen_by(actor))
        .order_by(next_due.c.due_at.is_(None), next_due.c.due_at, col(Case.received_at), col(Case.id))
        .offset(offset)
        .limit(limit)
    ).all()
    ids = [case.id for case, _ in rows]
    urgent, targets = _urgent(session, ids), _targets(session, ids)
    return [
        Queued(
            case_id=case.id,
            reference=case.reference,
            status=Status(case.status),
            received_at=case.received_at,
            sector=case.sector,
            officer=Actor.parse(case.officer) if case.officer else None,
            urgent=urgent.get(case.id, ()),
            target=targets.get((case.id, due_at)),
            due_at=due_at,
        )
        for case, due_at in rows
    ]


def overview(
    session: Session, practice: Practice, actor: Actor, *, now: datetime, restricted_too: bool = False
) -> Overview:
    """How long each list is, what is parked and unfiled, and the month so far. Of restricted cases those that ``actor`` may
    see are counted, or all of them.
    """
    seen = true() if restricted_too else _seen_by(actor)

    def count(statement: Any) -> int:
        return int(session.exec(statement).one())

    counts = {
        which: count(select(func.count()).select_from(Case).where(_is(which, practice, actor, now), seen))
        for which in Which
    }
    return Overview(
        counts=counts,
        parked=count(select(func.count()).select_from(Spooled).where(col(Spooled.state) == PARKED)),
        unfiled=count(select(func.count()).select_from(Message).where(col(Message.case_id).is_(None))),
        month=_month(session, practice, now=now),
    )


def _is(which: Which, practice: Practice, actor: Actor, now: datetime) -> ColumnElement[bool]:
    is_open = col(Case.status).not_in(CLOSED)
    match which:
        case Which.UNCLAIMED:
            return col(Case.status) == Status.NEW
        case Which.MINE:
            return and_(is_open, col(Case.officer) == str(actor))
        case Which.OVERDUE:
            return and_(is_open, _has_due(col(Deadline.due_at) < now))
        case Which.DUE_TODAY:
            day = practice.calendar.local(now).date()
            end = practice.calendar.instant_at(day + timedelta(days=1), MIDNIGHT)
            return and_(is_open, _has_due(and_(col(Deadline.due_at) >= now, col(Deadline.due_at) < end)))
        case Which.WAITING:
            owed = exists().where(col(Action.case_id) == col(Case.id), col(Action.state) == ActionState.OPEN)
            return and_(is_open, or_(col(Case.status) == Status.PAUSED, owed))
        case Which.OPEN:
            return is_open


def _has_due(when: ColumnElement[bool]) -> ColumnElement[bool]:
    due = select(Deadline.case_id).where(col(Deadline.state).in_(_TICKING), col(Deadline.met_at).is_(None), when)
    return col(Case.id).in_(due)


def _seen_by(actor: Actor) -> ColumnElement[bool]:
    """Restricted cases are few, and their readers are in a JSON list: they are told apart by its text, quoted."""
    named = cast(col(Case.restricted_to), String).contains(f'"{actor}"', autoescape=True)
    return or_(col(Case.restricted).is_(False), col(Case.officer) == str(actor), func.coalesce(named, false()))


def _urgent(session: Session, ids: list[str]) -> dict[str, tuple[Flag, ...]]:
    found: dict[str, set[str]] = {}
    if ids:
        for case_id, flags in session.exec(
            select(SuggestionRow.case_id, SuggestionRow.flags).where(col(SuggestionRow.case_id).in_(ids))
        ):
            found.setdefault(case_id, set()).update(flags)
    return {
        case_id: tuple(flag for flag in Flag if flag in URGENT_FLAGS and flag in flags)
        for case_id, flags in found.items()
    }


def _targets(session: Session, ids: list[str]) -> dict[tuple[str, datetime], str]:
    if not ids:
        return {}
    rows = session.exec(
        select(Deadline.case_id, Deadline.due_at, Deadline.target).where(
            col(Deadline.case_id).in_(ids), col(Deadline.state).in_(_TICKING), col(Deadline.met_at).is_(None)
        )
    )
    return {(case_id, due_at): target for case_id, due_at, target in rows}


def _month(session: Session, practice: Practice, *, now: datetime) -> Month:
    first = practice.calendar.local(now).date().replace(day=1)
    since = practice.calendar.instant_at(first, MIDNIGHT)
    received = session.exec(
        select(func.count())
        .select_from(Case)
        .where(col(Case.received_at) >= since, col(Case.status) != Status.NOT_A_CONSULTATION)
    ).one()
    rows = session.exec(
        select(Deadline.state, func.count())
        .where(
            col(Deadline.target) == TRIAGE,
            col(Deadline.due_at) >= since,
            or_(col(Deadline.state) == DeadlineState.MET, col(Deadline.state) == DeadlineState.MISSED),
        )
        .group_by(col(Deadline.state))
    ).all()
    states = dict(rows)
    in_time = states.get(DeadlineState.MET, 0)
    return Month(received, in_time + states.get(DeadlineState.MISSED, 0), in_time)
