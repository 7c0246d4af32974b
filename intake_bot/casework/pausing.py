"""A case waits for the police or a court: its long clocks stand still, and what they stood is reported beside the rest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from intake_bot.casework import chasing, deadlines, desk_queue
from intake_bot.casework.acts import Done, PauseCase, Refused, ResumeCase
from intake_bot.casework.letters import say_time
from intake_bot.casework.practice import ADVICE, SIGN_OFF, TRIAGE, Practice
from intake_bot.casework.retention import add_note
from intake_bot.casework.vocabulary import DeadlineState, Status
from storage import audit
from storage.ids import new_id
from storage.tables import Case, Deadline, Pause

NEVER_PAUSED = frozenset({TRIAGE, ADVICE, SIGN_OFF})
"""What we owe somebody whatever the police do."""
_PAUSABLE = frozenset({Status.DECIDED, Status.IN_PROGRESS})


def pause(session: Session, practice: Practice, case: Case, act: PauseCase, *, now: datetime) -> Done | Refused:
    if not act.note.strip():
        return Refused("Say what the case waits for.")
    if case.status == Status.PAUSED:
        return Done(f"{case.reference} is paused already.", changed=False)
    if case.status not in _PAUSABLE:
        return Refused(f"{case.reference} cannot be paused: only a decided case that is not concluded can.")
    session.add(Pause(id=new_id(now), case_id=case.id, reason=act.why, started_at=now))
    case.status = Status.PAUSED
    session.add(case)
    keep_still(session, case)
    chasing.stop_case(session, case, because="paused")
    note = add_note(session, practice, case, "paused", by=act.by, words=act.note, now=now)
    audit.record(session, case.id, at=now, actor=str(act.by), act="paused", code=act.why, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is paused.")


def resume(session: Session, practice: Practice, case: Case, act: ResumeCase, *, now: datetime) -> Done | Refused:
    """Let the clocks run on, each due later by as long as it stood."""
    if case.status != Status.PAUSED:
        return Done(f"{case.reference} is not paused.", changed=False)
    end_pause(session, practice, case, now=now)
    case.status = Status.IN_PROGRESS
    session.add(case)
    note = (
        add_note(session, practice, case, "resumed", by=act.by, words=act.note, now=now) if act.note.strip() else None
    )
    audit.record(session, case.id, at=now, actor=str(act.by), act="resumed", note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is no longer paused.")


_RUNNING = select(Pause).where(col(Pause.case_id) == bindparam("case_id"), col(Pause.ended_at).is_(None))


def end_pause(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Close the pause that runs, if one does, and let what it stopped run on."""
    row = session.exec(_RUNNING, params={"case_id": case.id}).first()
    if row is None:
        return
    row.ended_at = now
    session.add(row)
    chasing.start_all(session, practice, case, now=now)
    zone = practice.calendar.zone
    for deadline in deadlines.of_case(session, case.id):
        if _stands_still(deadline, DeadlineState.PAUSED):
            # One that was started in the pause stood from then on.
            since = max(row.started_at, deadline.started_at)
            why = (
                f"paused ({row.reason.replace('_', ' ')}) from {say_time(since, zone)} to {say_time(now, zone)}: "
                "due later by as long"
            )
            deadlines.resume(session, practice, deadline, paused_at=since, why=why, now=now)


def keep_still(session: Session, case: Case) -> None:
    """While a case is paused its clocks stand, whatever is done with it: those too that are started or counted anew."""
    if case.status != Status.PAUSED:
        return
    pause_ = session.exec(_RUNNING, params={"case_id": case.id}).one()
    for deadline in deadlines.of_case(session, case.id):
        if _stands_still(deadline, DeadlineState.RUNNING):
            if deadline.due_at >= pause_.started_at:
                deadline.state = DeadlineState.RUNNING  # what falls due in a pause is not missed by it
            deadlines.pause(session, deadline, because="paused")


def _stands_still(deadline: Deadline, state: DeadlineState) -> bool:
    """Whether a pause is about it: a clock in this state, or one that is missed and not met, whose nudges would go on."""
    if deadline.target in NEVER_PAUSED or deadline.met_at is not None:
        return False
    return deadline.state in (state, DeadlineState.MISSED)
