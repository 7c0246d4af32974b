"""A case's clocks as rows: started, met, missed; with the reminders that go with each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, update
from sqlmodel import Session, col, select

from intake_bot.casework.clocks import Start
from intake_bot.casework.plan import UNCLAIMED, Recipient, plan
from intake_bot.casework.practice import ADVICE, FIRST_MEETING, TRIAGE, Practice
from intake_bot.casework.targets import Due, Rule, due, explain, moved
from intake_bot.casework.vocabulary import DeadlineState, ReminderState
from storage import audit
from storage.ids import new_id
from storage.tables import AuditEntry, Case, Deadline, Reminder, SuggestionRow, rows_of
from triage.vocabulary import URGENT_FLAGS

_REMINDERS = rows_of(Reminder)
_ADD_REMINDERS = insert(_REMINDERS)
_CANCEL = update(_REMINDERS).values(state=ReminderState.CANCELLED, cancelled_because=bindparam("because"))
_CANCEL_OF_CLOCK = _CANCEL.where(
    _REMINDERS.c.deadline_id == bindparam("clock"),
    _REMINDERS.c.state == ReminderState.WAITING,
    _REMINDERS.c.kind != bindparam("but"),
)
_CANCEL_UNCLAIMED = _CANCEL.where(
    _REMINDERS.c.case_id == bindparam("case"),
    _REMINDERS.c.kind == UNCLAIMED,
    _REMINDERS.c.state == ReminderState.WAITING,
)
_OF_CASE = select(Deadline).where(col(Deadline.case_id) == bindparam("case_id")).order_by(col(Deadline.due_at))
_ONE = select(Deadline).where(
    col(Deadline.case_id) == bindparam("case_id"), col(Deadline.target) == bindparam("target")
)
"""Made once: building a question takes longer than asking it."""


def start(
    session: Session,
    practice: Practice,
    case: Case,
    target: str,
    *,
    started_at: datetime,
    now: datetime,
) -> Deadline:
    """Start a clock and plan its reminders; one that the case had before, and that was ended, is started anew.

    A late decision may start one that is already missed: it says so at once.
    """
    return _start(session, practice, case, target, _one(session, case, target), started_at=started_at, now=now)


def _start(
    session: Session,
    practice: Practice,
    case: Case,
    target: str,
    there: Deadline | None,
    *,
    started_at: datetime,
    now: datetime,
) -> Deadline:
    reached = due(practice.clocks[target].rule, started_at, practice.calendar)
    deadline = _counted(there or _unset(case, target, now), reached, started_at=started_at, now=now)
    session.add(deadline)
    session.flush()
    _plan_reminders(session, practice, deadline, reached, now=now, first=there is None)
    return deadline


def _unset(case: Case, target: str, now: datetime) -> Deadline:
    return Deadline(
        id=new_id(now), case_id=case.id, target=target, rule="", calendar="", started_at=now, due_at=now, state=""
    )


def _counted(deadline: Deadline, reached: Due, *, started_at: datetime, now: datetime) -> Deadline:
    deadline.rule, deadline.calendar, deadline.steps = reached.rule, reached.calendar, reached.to_json()
    deadline.started_at, deadline.due_at, deadline.met_at = started_at, reached.due_at, None
    deadline.state = DeadlineState.MISSED if reached.due_at < now else DeadlineState.RUNNING
    return deadline


def start_first(session: Session, practice: Practice, case: Case, *, urgent: bool, now: datetime) -> Deadline:
    """Start the first response's clock of a case that is new, from its receipt, with the word to the manager where nobody
    takes it: as :func:`start` and :func:`watch_unclaimed` do, without looking for what cannot be there yet.
    """
    clock = practice.clocks[TRIAGE]
    reached = due(clock.rule, case.received_at, practice.calendar)
    deadline = _counted(_unset(case, TRIAGE, now), reached, started_at=case.received_at, now=now)
    session.add(deadline)
    office = practice.calendar if practice.nudges_in_office_hours and not urgent else None
    made = [
        _row(deadline, planned.kind, planned.to, planned.due_at, now)
        for planned in plan(reached, clock.plan, now, office)
    ]
    if practice.unclaimed_after is not None:
        unclaimed_at = practice.calendar.office_time_after(now, practice.unclaimed_after)
        made.append(_row(deadline, UNCLAIMED, Recipient.MANAGER, unclaimed_at, now))
    session.flush()
    if made:
        session.connection().execute(_ADD_REMINDERS, made)
    return deadline


def start_all(session: Session, practice: Practice, case: Case, why: Start, *, now: datetime, actor: str) -> None:
    """Start every clock that something starts; one that was met already, by what was done before, is not started again."""
    targets = practice.started_by(why)
    had = {deadline.target: deadline for deadline in of_case(session, case.id)} if targets else {}
    for target in targets:
        there = had.get(target)
        if there is not None and there.state != DeadlineState.CANCELLED:
            continue
        started_at = case.received_at if why.runs_from_receipt else now
        _start(session, practice, case, target, there, started_at=started_at, now=now)
        done_at = _done_before(session, case, target)
        if done_at is not None:
            meet(session, case, target, at=done_at, actor=actor, because="done_before")


_DONE_BY: Mapping[str, tuple[str, ...]] = {ADVICE: ("advised", "replied"), FIRST_MEETING: ("meeting_recorded",)}
"""The acts on the record that meet a target, where it is started after them."""


def _done_before(session: Session, case: Case, target: str) -> datetime | None:
    acts = _DONE_BY.get(target)
    if acts is None:
        return None
    entry = session.exec(
        select(AuditEntry)
        .where(col(AuditEntry.chain) == case.id, col(AuditEntry.act).in_(acts))
        .order_by(col(AuditEntry.seq))
        .limit(1)
    ).first()
    if entry is None:
        return None
    held = entry.detail.get("held_at")
    return datetime.fromisoformat(held) if held else entry.at


def meet(session: Session, case: Case, target: str, *, at: datetime, actor: str, because: str) -> None:
    """The target is met: note when, and cancel what would still have nudged. What was met too late stays missed.

    What was done in time is met, even where it is only noted after the time: a press that waited, a backdated decision.
    """
    deadline = _one(session, case, target)
    if deadline is not None:
        _meet(session, case, deadline, at=at, actor=actor, because=because)


def _one(session: Session, case: Case, target: str) -> Deadline | None:
    return session.exec(_ONE, params={"case_id": case.id, "target": target}).one_or_none()


def _meet(session: Session, case: Case, deadline: Deadline, *, at: datetime, actor: str, because: str) -> None:
    if deadline.met_at is not None or deadline.state == DeadlineState.CANCELLED:
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
        code=deadline.target,
        detail={"state": deadline.state, "reminders_cancelled": cancelled},
    )


def cancel(
    session: Session, case: Case, *, at: datetime, actor: str, because: str, but: frozenset[str] = frozenset()
) -> None:
    """End every clock that still runs or stands, but those named: what they were for has lost its point."""
    _cancel(session, case, of_case(session, case.id), at=at, actor=actor, because=because, but=but)


def close(session: Session, case: Case, *, met: Collection[str], at: datetime, actor: str, because: str) -> None:
    """The case ends: these targets are met by that, and every other clock of it has lost its point."""
    clocks = of_case(session, case.id)
    for deadline in clocks:
        if deadline.target in met:
            _meet(session, case, deadline, at=at, actor=actor, because=because)
    _cancel(session, case, clocks, at=at, actor=actor, because=because)


def _cancel(
    session: Session,
    case: Case,
    clocks: Collection[Deadline],
    *,
    at: datetime,
    actor: str,
    because: str,
    but: frozenset[str] = frozenset(),
) -> None:
    for deadline in clocks:
        if deadline.target in but or deadline.met_at is not None:
            continue
        if deadline.state in (DeadlineState.RUNNING, DeadlineState.PAUSED):
            end(session, case, deadline, at=at, actor=actor, because=because)
        else:
            cancel_reminders(session, deadline, because=because)


def end(session: Session, case: Case, deadline: Deadline, *, at: datetime, actor: str, because: str) -> None:
    """End one clock that is not met, for a recorded reason."""
    cancel_reminders(session, deadline, because=because)
    deadline.state = DeadlineState.CANCELLED
    session.add(deadline)
    audit.record(
        session,
        case.id,
        at=at,
        actor=actor,
        act="target_cancelled",
        code=deadline.target,
        detail={"because": because},
    )


def ended_because(session: Session, case: Case, reasons: frozenset[str]) -> list[Deadline]:
    """The clocks that were ended, where the last reason for it was one of these."""
    last: dict[str | None, str] = {}
    for code, detail in session.exec(
        select(AuditEntry.code, AuditEntry.detail)
        .where(col(AuditEntry.chain) == case.id, col(AuditEntry.act) == "target_cancelled")
        .order_by(col(AuditEntry.seq))
    ):
        last[code] = detail.get("because", "")
    return [
        deadline
        for deadline in of_case(session, case.id)
        if deadline.state == DeadlineState.CANCELLED and last.get(deadline.target) in reasons
    ]


def restart(session: Session, practice: Practice, case: Case, deadline: Deadline, *, now: datetime, actor: str) -> None:
    """Let a clock run again that was met or cancelled, to the time that it was due: its point has come back."""
    deadline.met_at = None
    deadline.state = DeadlineState.MISSED if deadline.due_at < now else DeadlineState.RUNNING
    session.add(deadline)
    _plan_reminders(session, practice, deadline, Due.from_json(deadline.steps), now=now)
    audit.record(session, case.id, at=now, actor=actor, act="target_restarted", code=deadline.target)


def pause(session: Session, deadline: Deadline, *, because: str) -> None:
    """Stop a clock. It nudges nobody until :func:`resume`; one that was missed before stays missed."""
    if deadline.state == DeadlineState.RUNNING:
        deadline.state = DeadlineState.PAUSED
        session.add(deadline)
    cancel_reminders(session, deadline, because=because)


def resume(
    session: Session, practice: Practice, deadline: Deadline, *, paused_at: datetime, why: str, now: datetime
) -> None:
    """Let a paused clock run on: it is due later by as long as it stood. ``why`` is in fixed words.

    One that had been missed before is due when it was: what is still to come of its nudges comes.
    """
    if deadline.state == DeadlineState.MISSED:
        _plan_reminders(session, practice, deadline, Due.from_json(deadline.steps), now=now, not_again=True)
        return
    reached = moved(Due.from_json(deadline.steps), now - paused_at, why)
    deadline.due_at, deadline.steps = reached.due_at, reached.to_json()
    deadline.state = DeadlineState.MISSED if deadline.due_at < now else DeadlineState.RUNNING
    session.add(deadline)
    _plan_reminders(session, practice, deadline, reached, now=now)


def recount(session: Session, practice: Practice, deadline: Deadline, *, started_at: datetime, now: datetime) -> None:
    """Count a clock anew from another start, by today's rule, and plan its reminders anew. Pauses are not counted again."""
    clock = practice.clocks.get(deadline.target)
    rule = clock.rule if clock else Rule.parse(deadline.rule.rpartition("/")[0])
    reached = due(rule, started_at, practice.calendar)
    cancel_reminders(session, deadline, because="receipt_corrected", but=UNCLAIMED)
    deadline.started_at, deadline.due_at, deadline.steps = started_at, reached.due_at, reached.to_json()
    deadline.rule, deadline.calendar = reached.rule, reached.calendar
    match deadline.state:
        case DeadlineState.MET | DeadlineState.MISSED if deadline.met_at is not None:
            late = deadline.met_at > deadline.due_at
            deadline.state = DeadlineState.MISSED if late else DeadlineState.MET
        case DeadlineState.RUNNING | DeadlineState.MISSED:
            deadline.state = DeadlineState.MISSED if deadline.due_at < now else DeadlineState.RUNNING
            _plan_reminders(session, practice, deadline, reached, now=now)
        case _:
            pass
    session.add(deadline)


def _plan_reminders(
    session: Session,
    practice: Practice,
    deadline: Deadline,
    reached: Due,
    *,
    now: datetime,
    first: bool = False,
    not_again: bool = False,
) -> None:
    """Plan what is to come. One that was cancelled and comes again at the same time waits once more, as the same row.

    ``not_again``: what is behind and has been sent before is left out.
    """
    there: dict[tuple[str, str, datetime], Reminder] = {}
    if not first:
        # As the rows say: what was cancelled was cancelled there.
        rows = session.exec(
            select(Reminder).where(col(Reminder.deadline_id) == deadline.id),
            execution_options={"populate_existing": True},
        )
        there = {(row.kind, row.recipient, row.due_at): row for row in rows}
    clock = practice.clocks.get(deadline.target)
    # A clock that the settings no longer keep runs to its end, and nudges nobody anew.
    office = None if not practice.nudges_in_office_hours or _is_urgent(session, deadline) else practice.calendar
    sent = {(row.kind, row.recipient) for row in there.values() if not_again and row.sent_at is not None}
    made: list[dict[str, Any]] = []
    for planned in plan(reached, clock.plan, now, office, sent=sent) if clock else ():
        row = there.get((planned.kind, planned.to, planned.due_at))
        if row is None:
            made.append(_row(deadline, planned.kind, planned.to, planned.due_at, now))
        elif row.state == ReminderState.CANCELLED:
            row.state, row.cancelled_because = ReminderState.WAITING, None
            session.add(row)
    if made:
        # Rows and not objects: every case that opens has some.
        session.flush()
        session.connection().execute(_ADD_REMINDERS, made)


def _row(deadline: Deadline, kind: str, recipient: str, due_at: datetime, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(now),
        "case_id": deadline.case_id,
        "deadline_id": deadline.id,
        "kind": kind,
        "recipient": recipient,
        "due_at": due_at,
        "state": ReminderState.WAITING,
    }


def hurry(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """The case has turned urgent: from now on its first response is nudged for by day and by night."""
    session.flush()
    deadline = session.exec(
        select(Deadline).where(
            col(Deadline.case_id) == case.id,
            col(Deadline.target) == TRIAGE,
            col(Deadline.state) == DeadlineState.RUNNING,
            col(Deadline.met_at).is_(None),
        )
    ).one_or_none()
    if deadline is None or not practice.nudges_in_office_hours:
        return
    cancel_reminders(session, deadline, because="urgent", but=UNCLAIMED)
    _plan_reminders(session, practice, deadline, Due.from_json(deadline.steps), now=now, not_again=True)


def is_urgent(session: Session, case_id: str) -> bool:
    """Whether anything that came on the case is urgent."""
    found = session.exec(select(SuggestionRow.flags).where(col(SuggestionRow.case_id) == case_id)).all()
    return any(flag in URGENT_FLAGS for flags in found for flag in flags)


def _is_urgent(session: Session, deadline: Deadline) -> bool:
    """Whether a first response is wanted by day and by night. What is counted in weeks waits for the morning."""
    if deadline.target != TRIAGE:
        return False
    return is_urgent(session, deadline.case_id)


def watch_unclaimed(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Plan that the manager hears of it, where nobody takes the case."""
    if practice.unclaimed_after is None:
        return
    deadline = session.exec(
        select(Deadline).where(
            col(Deadline.case_id) == case.id, col(Deadline.target) == TRIAGE, col(Deadline.met_at).is_(None)
        )
    ).one_or_none()
    if deadline is None:
        return
    due_at = practice.calendar.office_time_after(now, practice.unclaimed_after)
    reminder = session.exec(
        select(Reminder).where(
            col(Reminder.deadline_id) == deadline.id, col(Reminder.kind) == UNCLAIMED, col(Reminder.due_at) == due_at
        ),
        execution_options={"populate_existing": True},
    ).one_or_none() or Reminder(
        id=new_id(now),
        case_id=case.id,
        deadline_id=deadline.id,
        kind=UNCLAIMED,
        recipient=Recipient.MANAGER,
        due_at=due_at,
        state=ReminderState.WAITING,
    )
    if reminder.state == ReminderState.CANCELLED:
        # Taken and given back out of hours: it comes at the same time as before.
        reminder.state, reminder.cancelled_because = ReminderState.WAITING, None
    session.add(reminder)


def somebody_has_it(session: Session, case: Case) -> None:
    """The case is taken: the manager need not hear that nobody has it."""
    session.flush()
    session.connection().execute(_CANCEL_UNCLAIMED, {"case": case.id, "because": "claimed"})


def cancel_reminders(session: Session, deadline: Deadline, *, because: str, but: str = "") -> int:
    """Cancel what still waits, save one kind, for a recorded reason; how many that was."""
    session.flush()
    facts = {"clock": deadline.id, "because": because, "but": but}
    return session.connection().execute(_CANCEL_OF_CLOCK, facts).rowcount


def of_case(session: Session, case_id: str) -> list[Deadline]:
    """The case's deadlines, soonest first."""
    return list(session.exec(_OF_CASE, params={"case_id": case_id}).all())


def explained(deadline: Deadline) -> list[str]:
    """How the due time was reached, in sentences, from what was stored when it was."""
    return explain(Due.from_json(deadline.steps))
