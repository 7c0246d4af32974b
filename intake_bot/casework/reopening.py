"""What is no consultation is set aside, and what was closed too soon is opened again: each undoes the other's clocks."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework import chasing, deadlines, desk_queue
from intake_bot.casework.acts import Done, NotAConsultation, Refused, Reopen
from intake_bot.casework.conclude import BECAUSE, MET_BY_CONCLUDING
from intake_bot.casework.moving import MERGED
from intake_bot.casework.practice import TRIAGE, Practice
from intake_bot.casework.retention import add_note, review_at
from intake_bot.casework.vocabulary import UNDECIDED, SetAside, Status
from storage import audit
from storage.tables import Case, Link

_ASIDE = "not_a_consultation"
_DECIDED = frozenset({Status.DECIDED, Status.IN_PROGRESS})


def set_aside(
    session: Session, practice: Practice, case: Case, act: NotAConsultation, *, now: datetime
) -> Done | Refused:
    """End the clocks of what is no consultation. It is kept as long as what was decided below the threshold."""
    if act.why is SetAside.MERGED:
        return Refused("Say into which case: use merge.")
    if act.why is SetAside.OTHER and not act.note.strip():
        return Refused("Say what it is.")
    if case.status == Status.NOT_A_CONSULTATION:
        return Done(f"{case.reference} is set aside already.", changed=False)
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is already decided: open the decision again first.")
    case.status, case.set_aside, case.concluded_at = Status.NOT_A_CONSULTATION, act.why, now
    case.review_at = review_at(practice.calendar, now, practice.retention.years(None))
    session.add(case)
    deadlines.cancel(session, case, at=now, actor=str(act.by), because=_ASIDE)
    chasing.stop_case(session, case, because=_ASIDE)
    note = (
        add_note(session, practice, case, "set_aside", by=act.by, words=act.note, now=now) if act.note.strip() else None
    )
    audit.record(session, case.id, at=now, actor=str(act.by), act="set_aside", code=act.why, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is set aside as no consultation.")


def reopen(session: Session, practice: Practice, case: Case, act: Reopen, *, now: datetime) -> Done | Refused:
    """One step back: from concluded to what was decided, from set aside or decided to undecided."""
    if not act.reason.strip():
        return Refused("Give the reason for opening it again.")
    if case.purged_at is not None:
        return Refused(f"{case.reference} was purged: nothing is left to go on with.")
    match case.status:
        case Status.CONCLUDED:
            _unconclude(session, practice, case, act, now=now)
        case Status.NOT_A_CONSULTATION:
            _take_up(session, practice, case, act, now=now)
        case status if status in _DECIDED:
            undecide(session, case, now=now, actor=str(act.by))
        case Status.PAUSED:
            return Refused(f"{case.reference} is paused: let it go on first.")
        case _:
            return Done(f"{case.reference} is open.", changed=False)
    session.add(case)
    chasing.start_all(session, practice, case, now=now)
    note = add_note(session, practice, case, "reopened", by=act.by, words=act.reason, now=now)
    audit.record(session, case.id, at=now, actor=str(act.by), act="reopened", code=case.status, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is open again.")


def undecide(session: Session, case: Case, *, now: datetime, actor: str) -> None:
    """The decision stands no longer; when it was first made stays on its clock, which was met by it."""
    case.status = Status.CLAIMED if case.officer else Status.NEW
    case.decision = case.sign_off = case.transferred_to = None
    session.add(case)
    deadlines.cancel(session, case, at=now, actor=actor, because="reopened", but=frozenset({TRIAGE}))


def _unconclude(session: Session, practice: Practice, case: Case, act: Reopen, *, now: datetime) -> None:
    ended = case.concluded_at
    case.status, case.outcome, case.employer_action = Status.IN_PROGRESS, None, None
    case.concluded_at = case.review_at = None
    # What the conclusion met or ended has its point again; what was met or ended before it keeps that.
    met = [
        deadline
        for deadline in deadlines.of_case(session, case.id)
        if deadline.target in MET_BY_CONCLUDING and deadline.met_at is not None and deadline.met_at == ended
    ]
    for deadline in (*met, *deadlines.ended_because(session, case, frozenset({BECAUSE}))):
        deadlines.restart(session, practice, case, deadline, now=now, actor=str(act.by))


def _take_up(session: Session, practice: Practice, case: Case, act: Reopen, *, now: datetime) -> None:
    if case.merged_into is not None:
        pair = session.exec(
            select(Link).where(col(Link.case_id) == case.id, col(Link.other_case_id) == case.merged_into)
        ).first()
        if pair is not None:
            session.delete(pair)
    case.status = Status.CLAIMED if case.officer else Status.NEW
    case.set_aside = case.merged_into = case.concluded_at = case.review_at = None
    for deadline in deadlines.ended_because(session, case, frozenset({_ASIDE, MERGED})):
        deadlines.restart(session, practice, case, deadline, now=now, actor=str(act.by))
    if case.officer is None:
        deadlines.watch_unclaimed(session, practice, case, now=now)
