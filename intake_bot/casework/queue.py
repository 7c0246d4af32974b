"""What waits for whom, without content: the lists of the desk's Home and of its commands, and the counts beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, cast, exists, false, func, literal, or_, text, true, union_all
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from intake_bot.casework.calendar import MIDNIGHT
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import TRIAGE, Practice
from intake_bot.casework.vocabulary import OPEN, ActionState, DeadlineState, Status
from storage.claims import PARKED
from storage.tables import TICKING, Action, Case, Deadline, Message, Spooled, SuggestionRow
from triage.vocabulary import URGENT_FLAGS, Flag

UNKNOWN = "-"
"""In place of a sector: it is not known."""
PARKED_SHOWN = 5
_COUNTED = tuple(status for status in Status if status is not Status.NOT_A_CONSULTATION)


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
    proposed: Actor | None = None
    targets: Mapping[datetime, str] = field(default_factory=dict, repr=False)
    """What is due when, of all that waits to be met."""

    def target_at(self, due_at: datetime | None) -> str | None:
        return self.targets.get(due_at) if due_at is not None else None


@dataclass(frozen=True, slots=True)
class Month:
    """The month so far: how many came, and of what fell due how much was in time; of the first responses by themselves."""

    received: int
    answered: int
    in_time: int
    targets: tuple[tuple[str, int, int], ...] = ()
    """Each other target that fell due: how many were met in time, of how many."""


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """Something that came and could not be dealt with. ``error`` is a fixed word."""

    id: str
    channel: str
    received_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    counts: Mapping[Which, int]
    parked: int
    unfiled: int
    month: Month
    parked_items: tuple[ParkedItem, ...] = ()
    """The oldest of them."""


def queued(
    session: Session,
    practice: Practice,
    which: Which,
    actor: Actor,
    *,
    now: datetime,
    limit: int,
    offset: int = 0,
    sector: str | None = None,
) -> list[Queued]:
    """The cases of a list, the soonest due first; of restricted ones those that ``actor`` may see."""
    _, lists = board(session, practice, actor, {which: (limit, offset)}, now=now, sector=sector)
    return lists[which]


def board(
    session: Session,
    practice: Practice,
    actor: Actor,
    wanted: Mapping[Which, tuple[int, int]],
    *,
    now: datetime,
    sector: str | None = None,
    restricted_too: bool = False,
) -> tuple[dict[Which, int], dict[Which, list[Queued]]]:
    """How long each list is, and of those ``wanted`` the cases from an offset on (limit and offset), the soonest due first.

    One statement over the open cases, which are looked through once however many lists are asked for: closed ones are not
    touched. ``sector`` leaves out all cases of others; :data:`UNKNOWN` keeps those without one.
    """
    seen = true() if restricted_too else _seen_by(actor)
    of_sector = true() if sector is None else col(Case.sector) == (None if sector == UNKNOWN else sector)
    ticking = (col(Deadline.case_id) == col(Case.id), text(TICKING))
    begins, ends = _today(practice, now)
    owed = select(Action.case_id).where(col(Action.state) == ActionState.OPEN)
    rows = (
        select_columns(
            col(Case.id).label("id"),
            col(Case.status).label("status"),
            col(Case.officer).label("officer"),
            col(Case.received_at).label("received_at"),
            select(func.min(Deadline.due_at)).where(*ticking).scalar_subquery().label("due_at"),
            exists().where(*ticking, col(Deadline.due_at) >= begins, col(Deadline.due_at) < ends).label("today"),
            col(Case.id).in_(owed).label("owed"),
        )
        .where(col(Case.status).in_(OPEN), of_sector, seen)
        .cte("waiting")
    )
    listed = rows.c
    is_of = {
        Which.UNCLAIMED: listed.status == Status.NEW,
        Which.MINE: listed.officer == str(actor),
        Which.OVERDUE: listed.due_at < now,
        Which.DUE_TODAY: listed.today,
        Which.WAITING: or_(listed.status == Status.PAUSED, listed.owed),
        Which.OPEN: true(),
    }
    parts: list[Any] = [
        select_columns(literal(which.value), literal(None, String), literal(None, UTCDateTime()), func.count())
        .select_from(rows)
        .where(is_of[which])
        for which in Which
    ]
    for which, (limit, offset) in wanted.items():
        page = (
            select_columns(listed.id, listed.due_at)
            .where(is_of[which])
            .order_by(listed.due_at.is_(None), listed.due_at, listed.received_at, listed.id)
            .offset(offset)
            .limit(limit)
            .subquery()
        )
        parts.append(select_columns(literal(which.value), page.c.id, page.c.due_at, literal(0)))
    counts: dict[Which, int] = {}
    found: dict[Which, list[tuple[str, datetime | None]]] = {which: [] for which in wanted}
    for name, case_id, due_at, count in session.connection().execute(union_all(*parts)):
        if case_id is None:
            counts[Which(name)] = count
        else:
            found[Which(name)].append((case_id, due_at))
    known = _told(session, sorted({case_id for one in found.values() for case_id, _ in one}))
    # The parts of a union come in no promised order.
    return counts, {
        which: sorted(
            (
                replace(known[case_id], due_at=due_at, target=known[case_id].target_at(due_at))
                for case_id, due_at in one
            ),
            key=lambda case: (case.due_at is None, case.due_at, case.received_at, case.case_id),
        )
        for which, one in found.items()
    }


def sectors(session: Session, actor: Actor) -> list[str]:
    """The sectors of the open cases that ``actor`` may see; :data:`UNKNOWN` for those without one."""
    rows = session.exec(select(Case.sector).where(col(Case.status).in_(OPEN), _seen_by(actor)).distinct()).all()
    return sorted(sector or UNKNOWN for sector in rows)


def overview(
    session: Session,
    practice: Practice,
    actor: Actor,
    *,
    now: datetime,
    restricted_too: bool = False,
    counts: Mapping[Which, int] | None = None,
) -> Overview:
    """How long each list is, what is parked and unfiled, and the month so far. Of restricted cases those that ``actor`` may
    see are counted, or all of them. ``counts`` are those of :func:`board`, where it was asked already.
    """

    def count(statement: Any) -> int:
        return int(session.exec(statement).one())

    if counts is None:
        counts, _ = board(session, practice, actor, {}, now=now, restricted_too=restricted_too)
    is_parked = col(Spooled.state) == PARKED
    return Overview(
        counts=counts,
        parked=count(select(func.count()).select_from(Spooled).where(is_parked)),
        unfiled=count(select(func.count()).select_from(Message).where(col(Message.case_id).is_(None))),
        month=_month(session, practice, now=now),
        parked_items=tuple(
            ParkedItem(identity, channel, received_at, error)
            for identity, channel, received_at, error in session.exec(
                select(Spooled.id, Spooled.channel, Spooled.received_at, Spooled.error)
                .where(is_parked)
                .order_by(col(Spooled.received_at))
                .limit(PARKED_SHOWN)
            )
        ),
    )


def _today(practice: Practice, now: datetime) -> tuple[datetime, datetime]:
    """From now to midnight by the clock on the wall."""
    day = practice.calendar.local(now).date()
    return now, practice.calendar.instant_at(day + timedelta(days=1), MIDNIGHT)


def _told(session: Session, ids: list[str]) -> dict[str, Queued]:
    if not ids:
        return {}
    urgent, targets = _urgent(session, ids), _targets(session, ids)
    return {
        case.id: Queued(
            case_id=case.id,
            reference=case.reference,
            status=Status(case.status),
            received_at=case.received_at,
            sector=case.sector,
            officer=Actor.parse(case.officer) if case.officer else None,
            urgent=urgent.get(case.id, ()),
            target=None,
            due_at=None,
            proposed=Actor.parse(case.proposed) if case.proposed else None,
            targets=targets.get(case.id, {}),
        )
        for case in session.exec(select(Case).where(col(Case.id).in_(ids)))
    }


def _seen_by(actor: Actor) -> ColumnElement[bool]:
    """Restricted cases are few, and their readers are in a JSON list: they are told apart by its text, quoted and escaped
    as it is there. No LIKE, which takes no heed of case on SQLite.
    """
    readers = cast(col(Case.restricted_to), String)
    named = func.replace(readers, json.dumps(str(actor)), "") != readers
    return or_(col(Case.restricted).is_(False), col(Case.officer) == str(actor), func.coalesce(named, false()))


def _urgent(session: Session, ids: list[str]) -> dict[str, tuple[Flag, ...]]:
    found: dict[str, set[str]] = {}
    for case_id, flags in session.exec(
        select(SuggestionRow.case_id, SuggestionRow.flags).where(col(SuggestionRow.case_id).in_(ids))
    ):
        found.setdefault(case_id, set()).update(flags)
    return {
        case_id: tuple(flag for flag in Flag if flag in URGENT_FLAGS and flag in flags)
        for case_id, flags in found.items()
    }


def _targets(session: Session, ids: list[str]) -> dict[str, dict[datetime, str]]:
    """Of each case what is due when."""
    found: dict[str, dict[datetime, str]] = {}
    # The states are told apart here: named in the question, SQLite would look through all clocks that were ever in them.
    rows = session.exec(
        select(Deadline.case_id, Deadline.due_at, Deadline.target, Deadline.state).where(
            col(Deadline.case_id).in_(ids), col(Deadline.met_at).is_(None)
        )
    )
    for case_id, due_at, target, state in rows:
        if state in (DeadlineState.RUNNING, DeadlineState.MISSED):
            found.setdefault(case_id, {})[due_at] = target
    return found


def _month(session: Session, practice: Practice, *, now: datetime) -> Month:
    first = practice.calendar.local(now).date().replace(day=1)
    since = practice.calendar.instant_at(first, MIDNIGHT)
    received = session.exec(
        select(func.count()).select_from(Case).where(col(Case.status).in_(_COUNTED), col(Case.received_at) >= since)
    ).one()
    rows = session.exec(
        select(Deadline.target, Deadline.state, func.count())
        .where(
            col(Deadline.state).in_((DeadlineState.MET, DeadlineState.MISSED)),
            col(Deadline.due_at) >= since,
        )
        .group_by(col(Deadline.target), col(Deadline.state))
    ).all()
    kept = {(target, state): number for target, state, number in rows}

    def of(target: str) -> tuple[int, int]:
        met = kept.get((target, DeadlineState.MET), 0)
        return met, met + kept.get((target, DeadlineState.MISSED), 0)

    in_time, answered = of(TRIAGE)
    others = tuple((target, *of(target)) for target in practice.clocks if target != TRIAGE and of(target)[1])
    return Month(received, answered, in_time, others)
