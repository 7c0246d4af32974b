"""A case's clocks as rows: started, met, missed; with the reminders that go with each."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework.plan import plan
from intake_bot.casework.practice import Practice
from intake_bot.casework.targets import Due, due, explain
from intake_bot.casework.vocabulary import DeadlineState, ReminderState
from storage import audit
from storage.ids import new_id
from storage.tables import Case, Deadline, Reminder


def start(
    session: Session, practice: Practice, case: Case, target: str, *, started_at: datetime, now: datetime
) -> Deadline:
    """Start a clock and plan its reminders. A late decision may start one that is already missed: it says so at once."""
    reached = due(practice.rules[target], started_at, practice.calendar)
    deadline = Deadline(
        id=new_id(now),
        case_id=case.id,
        target=target,
        rule=reached.rule,
        calendar=reached.calendar,
        started_at=started_at,
        due_at=reached.due_at,
        state=DeadlineState.MISSED if reached.due_at < now else DeadlineState.RUNNING,
        steps=reached.to_json(),
    )
    session.add(deadline)
    session.flush()
    for planned in plan(reached, practice.plans[target], now):
        session.add(
            Reminder(
                id=new_id(now),
                case_id=case.id,
                deadline_id=deadline.id,
                kind=planned.kind,
                recipient=planned.to,
                due_at=planned.due_at,
                state=ReminderState.WAITING,
            )
        )
    return deadline


def meet(session: Session, case: Case, target: str, *, at: datetime, actor: str, because: str) -> None:
    """The target is met: note when, and cancel what would still have nudged. What was met too late stays missed.

    What was done in time is met, even where it is only noted after the time: a press that waited, a backdated decision.
    """
    deadline = session.exec(
        select(Deadline).where(col(Deadline.case_id) == case.id, col(Deadline.target) == target)
    ).one_or_none()
    if deadline is None or deadline.met_at is not None:
        return
    deadline.met_at = at
    deadline.state = DeadlineState.MISSED if at > deadline.due_at else DeadlineState.MET
    session.add(deadline)
    cancelled = cancel_reminders(session, deadline, because=because)
    audit.record(
        session,
        case.id,
        at=at,
        actor=actor,
        act="target_met",
        code=target,
        detail={"state": deadline.state, "reminders_cancelled": cancelled},
    )


def cancel_reminders(session: Session, deadline: Deadline, *, because: str) -> int:
    """Cancel what still waits, for a recorded reason; how many that was."""
    waiting = session.exec(
        select(Reminder)
        .where(col(Reminder.deadline_id) == deadline.id, col(Reminder.state) == ReminderState.WAITING)
        .with_for_update()
    ).all()
    for reminder in waiting:
        reminder.state, reminder.cancelled_because = ReminderState.CANCELLED, because
        session.add(reminder)
    return len(waiting)


def of_case(session: Session, case_id: str) -> list[Deadline]:
    """The case's deadlines, soonest first."""
    return list(
        session.exec(select(Deadline).where(col(Deadline.case_id) == case_id).order_by(col(Deadline.due_at))).all()
    )


def explained(deadline: Deadline) -> list[str]:
    """How the due time was reached, in sentences, from what was stored when it was."""
    return explain(Due.from_json(deadline.steps))
