"""Sending what is due: claimed and put in the outbox in one transaction, so each fires once and none is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from intake_bot.casework import desk_queue, rota
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.plan import UNCLAIMED, Moment, of_what
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import DeadlineState, ReminderState
from storage import audit, outbox
from storage.outbox import Kind, Via
from storage.tables import Case, Deadline, Reminder

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


def mark_missed(
    session: Session, practice: Practice, *, now: datetime, queued_at: datetime | None = None, limit: int = BATCH
) -> int:
    """Deadlines whose time has passed become missed, and their cards say so; how many there were.

    ``queued_at`` is the real time, where ``now`` is only the time to look as at.
    """
    rows = session.exec(
        select(Deadline, Case)
        .where(
            col(Deadline.state) == DeadlineState.RUNNING,
            col(Deadline.due_at) < now,
            col(Case.id) == col(Deadline.case_id),
        )
        .order_by(col(Deadline.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
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
    rows = session.exec(
        select(Reminder, Deadline, Case)
        .where(
            col(Reminder.state) == ReminderState.WAITING,
            col(Reminder.due_at) <= now,
            col(Deadline.id) == col(Reminder.deadline_id),
            col(Case.id) == col(Reminder.case_id),
        )
        .order_by(col(Reminder.due_at), col(Reminder.id))
        .limit(limit)
        # The case is locked with its reminder: while an officer decides, nothing about that case is sent.
        .with_for_update(skip_locked=True)
    ).all()
    sent, notices, acts = [], [], []
    on_duty = rota.on_duty(session, practice, now) if rows else ()
    for reminder, deadline, case in rows:
        late = now - reminder.due_at > LATE_AFTER
        reminder.state = ReminderState.LATE if late else ReminderState.SENT
        reminder.sent_at = now
        session.add(reminder)
        notice = Notice(
            kind=NoticeKind.REMINDER,
            reference=case.reference,
            target=deadline.target,
            moment=_said(reminder.kind, now, deadline.due_at),
            to=reminder.recipient,
            due_at=deadline.due_at,
            late=late,
            owner=Actor.parse(case.officer) if case.officer else None,
            on_duty=() if case.officer or case.restricted else on_duty,
        )
        notices.append((notice_key(reminder.id), case.id, desk_queue.notice_to_json(notice)))
        code = f"{of_what(reminder.kind, deadline.target)}/{reminder.kind}"
        acts.append(audit.Act(case.id, "reminder_sent", code, {"reminder": reminder.id, "late": late}))
        sent.append(
            Sent(
                key=notice_key(reminder.id),
                case=case.reference,
                deadline=of_what(reminder.kind, deadline.target),
                kind=reminder.kind,
                to=reminder.recipient,
                due_at=reminder.due_at,
                state=ReminderState(reminder.state),
                sent_at=now,
            )
        )
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
