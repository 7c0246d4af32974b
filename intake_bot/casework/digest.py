"""The digests: each working morning what the desk has before it, and each week how the targets were kept. Numbers, and the
references of what is due; never content.

One of a day is one row of the outbox, under the day's key: a run that was missed is made up once, marked late, by one node.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, func, select

from intake_bot.casework import desk_queue
from intake_bot.casework.calendar import MIDNIGHT
from intake_bot.casework.desk import SYSTEM, Listed, Notice, NoticeKind
from intake_bot.casework.imported import CHANNEL
from intake_bot.casework.plan import Recipient
from intake_bot.casework.practice import Practice
from intake_bot.casework.queue import Overview, Which, overview, queued
from intake_bot.casework.reminders import LATE_AFTER
from intake_bot.casework.vocabulary import DeadlineState, Status
from storage.claims import PARKED
from storage.tables import Case, Deadline, DecisionRow, Outgoing

LISTED = 10
"""References that one digest names at most, of each list."""
KEY = "digest:"
WEEK = "week:"


def post_due(session: Session, practice: Practice, *, now: datetime, queued_at: datetime | None = None) -> bool:
    """Put what is due of today's digests in the outbox; whether there was one. ``queued_at`` as for the reminders."""
    at = _today_at(practice, now)
    if at is None or at > now:
        return False
    today = practice.calendar.local(now).date()
    if not _anything_before(session, at):
        return False
    queued = queued_at or now
    late = now - at > LATE_AFTER
    posted = False
    if practice.digests.daily and not _is_there(session, key := f"{KEY}{today}"):
        notice = _morning(session, practice, today, now=now, late=late)
        posted |= desk_queue.post_notice(session, practice, notice, key=key, now=queued)
    monday = today - timedelta(days=today.weekday())
    if practice.digests.weekly and not _is_there(session, key := f"{WEEK}{monday}"):
        # Where nothing ran on the week's first working day, the next on which something does makes it up.
        first = monday if practice.calendar.is_working_day(monday) else practice.calendar.working_day_after(monday)
        began = practice.calendar.instant_at(first, practice.digests.at or practice.calendar.opens)
        if _anything_before(session, began):
            notice = _week(session, practice, today, now=now, late=now - began > LATE_AFTER)
            posted |= desk_queue.post_notice(session, practice, notice, key=key, now=queued)
    return posted


def _anything_before(session: Session, moment: datetime) -> bool:
    """Whoever begins with the program at noon has missed no digest; what came from the tracker was before its time."""
    before = select(Case.id).where(col(Case.received_at) < moment, col(Case.channel) != CHANNEL)
    return session.exec(before.limit(1)).first() is not None


def _today_at(practice: Practice, now: datetime) -> datetime | None:
    today = practice.calendar.local(now).date()
    if not practice.calendar.is_working_day(today):
        return None
    return practice.calendar.instant_at(today, practice.digests.at or practice.calendar.opens)


def _is_there(session: Session, key: str) -> bool:
    return session.exec(select(Outgoing.id).where(col(Outgoing.key) == key)).first() is not None


def _morning(session: Session, practice: Practice, today: date, *, now: datetime, late: bool) -> Notice:
    calendar = practice.calendar
    closed = calendar.instant_at(calendar.working_day_before(today), calendar.closes)
    seen: Overview = overview(session, practice, SYSTEM, now=now, restricted_too=True)
    fresh = _count(session, Case, and_(col(Case.received_at) >= closed, col(Case.status) != Status.NOT_A_CONSULTATION))
    letters = _count(session, Outgoing, col(Outgoing.state) == PARKED)
    counts = seen.counts
    # Of restricted cases the numbers tell, and no reference.
    listed = [
        Listed(case.reference, case.target, case.due_at)
        for which in (Which.OVERDUE, Which.DUE_TODAY)
        for case in queued(session, practice, which, SYSTEM, now=now, limit=LISTED)
        if case.target is not None and case.due_at is not None
    ]
    return Notice(
        NoticeKind.DIGEST,
        late=late,
        due_at=closed,
        figures=(
            ("new", fresh),
            (Which.UNCLAIMED.value, counts[Which.UNCLAIMED]),
            (Which.DUE_TODAY.value, counts[Which.DUE_TODAY]),
            (Which.OVERDUE.value, counts[Which.OVERDUE]),
            (Which.WAITING.value, counts[Which.WAITING]),
            ("parked", seen.parked + letters),
            ("unfiled", seen.unfiled),
        ),
        listed=tuple(listed),
    )


def _week(session: Session, practice: Practice, today: date, *, now: datetime, late: bool) -> Notice:
    """The seven days before this week's Monday."""
    calendar = practice.calendar
    monday = today - timedelta(days=today.weekday())
    since = calendar.instant_at(monday - timedelta(days=7), MIDNIGHT)
    until = calendar.instant_at(monday, MIDNIGHT)

    def within(column: Any) -> ColumnElement[bool]:
        return and_(col(column) >= since, col(column) < until)

    figures = [
        (
            "received",
            _count(session, Case, and_(within(Case.received_at), col(Case.status) != Status.NOT_A_CONSULTATION)),
        ),
        ("decided", _count(session, DecisionRow, within(DecisionRow.at))),
        ("concluded", _count(session, Case, and_(within(Case.concluded_at), col(Case.status) == Status.CONCLUDED))),
    ]
    rows = session.exec(
        select(Deadline.target, Deadline.state, func.count())
        .where(within(Deadline.due_at), col(Deadline.state).in_((DeadlineState.MET, DeadlineState.MISSED)))
        .group_by(col(Deadline.target), col(Deadline.state))
    ).all()
    kept = {(target, state): count for target, state, count in rows}
    for target in practice.clocks:
        met, missed = kept.get((target, DeadlineState.MET), 0), kept.get((target, DeadlineState.MISSED), 0)
        if met or missed:
            figures += [(f"met:{target}", met), (f"missed:{target}", missed)]
    seen = overview(session, practice, SYSTEM, now=now, restricted_too=True)
    figures += [("open", seen.counts[Which.OPEN]), ("overdue", seen.counts[Which.OVERDUE])]
    return Notice(NoticeKind.WEEK, late=late, due_at=since, to=Recipient.MANAGER, figures=tuple(figures))


def _count(session: Session, table: Any, which: ColumnElement[bool]) -> int:
    return int(session.exec(select(func.count()).select_from(table).where(which)).one())
