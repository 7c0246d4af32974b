"""Sending what is due: claimed and put in the outbox in one transaction, so each fires once and none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy import select as select_rows
from sqlmodel import Session, col, select

from intake_bot.casework import desk_queue, rota
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.plan import UNCLAIMED, Moment, of_what
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import DeadlineState, ReminderState
from storage import audit, outbox
from storage.outbox import Kind, Via
from storage.tables import Case, Deadline, Reminder, rows_of

LATE_AFTER = timedelta(minutes=5)
BATCH = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """A reminder that was put in the outbox, as ``tick --json`` prints it."""

    key: str
    """Of the row in the outbox."""
    case: str
    deadline: str
    kind: str
    to: str
    due_at: datetime
    state: ReminderState
    sent_at: datetime


_REMINDERS, _DEADLINES, _CASES = rows_of(Reminder), rows_of(Deadline), rows_of(Case)
_DUE = (
    select_rows(
        *(_REMINDERS.c[name] for name in ("id", "case_id", "kind", "recipient", "due_at")),
        _DEADLINES.c.target,
        _DEADLINES.c.due_at.label("target_due_at"),
        _CASES.c.reference,
        _CASES.c.officer,
        _CASES.c.restricted,
    )
    .where(
        _REMINDERS.c.state == ReminderState.WAITING,
        _REMINDERS.c.due_at <= bindparam("now"),
        _DEADLINES.c.id == _REMINDERS.c.deadline_id,
        _CASES.c.id == _REMINDERS.c.case_id,
    )
    .order_by(_REMINDERS.c.due_at, _REMINDERS.c.id)
    .limit(bindparam("limit"))
    # The case is locked with its reminder: while an officer decides, nothing about that case is sent.
    .with_for_update(skip_locked=True)
)
"""What is due, oldest first: values and not objects, for after an outage there may be thousands."""
_MARK = (
    update(_REMINDERS)
    .where(_REMINDERS.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=bindparam("to"), sent_at=bindparam("at"))
)


_PASSED = (
    select(Deadline, Case)
    .where(
        col(Deadline.state) == DeadlineState.RUNNING,
        col(Deadline.due_at) < bindparam("now"),
        col(Case.id) == col(Deadline.case_id),
    )
    .order_by(col(Deadline.due_at))
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def mark_missed(
    session: Session, practice: Practice, *, now: datetime, queued_at: datetime | None = None, limit: int = BATCH
) -> int:
    """Deadlines whose time has passed become missed, and their cards say so; how many there were.

    ``queued_at`` is the real time, where ``now`` is only the time to look as at.
    """
    rows = session.exec(_PASSED, params={"now": now, "limit": limit}).all()
    for deadline, case in rows:
        deadline.state = DeadlineState.MISSED
        session.add(deadline)
        audit.record(session, case.id, at=now, actor=str(SYSTEM), act="target_missed", code=deadline.target)
        desk_queue.update_card(session, practice, case, now=queued_at or now)
    return len(rows)


def send_due(
    session: Session, practice: Practice, *, now: datetime, queued_at: datetime | None = None, limit: int = BATCH
) -> list[Sent]:
    """Put up to ``limit`` due reminders in the outbox, oldest first, and mark them sent, or late.

    ``queued_at`` as for :func:`mark_missed`.
    """
    session.flush()
    rows: Sequence[Any] = session.connection().execute(_DUE, {"now": now, "limit": limit}).all()
    sent, notices, acts = [], [], []
    on_duty = rota.on_duty(session, practice, now) if rows else ()
    for identity, case_id, kind, recipient, meant_for, target, due_at, reference, officer, restricted in rows:
        late = now - meant_for > LATE_AFTER
        what = of_what(kind, target)
        notice = Notice(
            kind=NoticeKind.REMINDER,
            reference=reference,
            target=target,
            moment=_said(kind, now, due_at),
            to=recipient,
            due_at=due_at,
            late=late,
            owner=Actor.parse(officer) if officer else None,
            on_duty=() if officer or restricted else on_duty,
        )
        key = notice_key(identity)
        notices.append((key, case_id, desk_queue.notice_to_json(notice)))
        acts.append(audit.Act(case_id, "reminder_sent", f"{what}/{kind}", {"reminder": identity, "late": late}))
        sent.append(
            Sent(
                key=key,
                case=reference,
                deadline=what,
                kind=kind,
                to=recipient,
                due_at=meant_for,
                state=ReminderState.LATE if late else ReminderState.SENT,
                sent_at=now,
            )
        )
    for state in (ReminderState.SENT, ReminderState.LATE):
        ids = [row[0] for row, one in zip(rows, sent, strict=True) if one.state is state]
        if ids:
            session.connection().execute(_MARK, {"ids": ids, "to": state, "at": now})
    # All together: after an outage there may be thousands.
    outbox.put_each(session, practice.vault, notices, via=Via.DESK, kind=Kind.NOTICE, now=queued_at or now)
    audit.record_each(session, acts, at=now, actor=str(SYSTEM))
    return sent


def _said(kind: str, now: datetime, due_at: datetime) -> str:
    """What a reminder says of the time: one that was moved to office hours, or comes late, says what is true by then."""
    if kind == UNCLAIMED:
        return kind
    if now < due_at:
        return Moment.BEFORE
    return Moment.AFTER if kind == Moment.BEFORE or now - due_at > LATE_AFTER else kind


def notice_key(reminder_id: str) -> str:
    """The outbox key of a reminder's notice: one reminder is one row."""
    return f"reminder:{reminder_id}"
