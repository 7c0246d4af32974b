"""What an officer puts on a case's record as it goes: notes, meetings, actions owed, other bodies' strands, regulators told.

The words are sealed as notes; beside them stand codes and times only, which lists, chasers and figures need.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework import chasing, deadlines, desk_queue, knowing, matching
from intake_bot.casework.acts import (
    CloseAction,
    CorrectReceipt,
    Done,
    EndClock,
    NameAdult,
    Note,
    RecordAction,
    RecordMeeting,
    Refused,
    SetFacts,
    SetStrand,
    StopChasing,
    TellRegulator,
)
from intake_bot.casework.clocks import Start
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import ENDED_BY_ACTS, FIRST_MEETING, Practice
from intake_bot.casework.retention import add_note
from intake_bot.casework.views import latest_decision
from intake_bot.casework.vocabulary import CLOSED, ActionState, ClockEnd, DeadlineState, MeetingKind, Status, StrandKind
from storage import audit
from storage.ids import new_id
from storage.tables import Action, Case, Meeting, Participant, Regulator, Strand
from triage import names

MAX_WORDS = 100_000
"""Characters of one note."""
MAX_THEMES = 20
_WORKED_ON = frozenset({Status.DECIDED, Status.IN_PROGRESS})


def note(session: Session, practice: Practice, case: Case, act: Note, *, now: datetime) -> Done | Refused:
    if not act.words.strip():
        return Refused("Write the note.")
    if len(act.words) > MAX_WORDS:
        return Refused(f"The note has more than {MAX_WORDS:,} characters.")
    _put(session, practice, case, "noted", by=act.by, words=act.words, now=now)
    return Done(f"The note is on {case.reference}.")


def meeting(session: Session, practice: Practice, case: Case, act: RecordMeeting, *, now: datetime) -> Done | Refused:
    """A meeting that was held. The first that is not another body's meets the target for it."""
    if act.held_at > now:
        return Refused("The meeting lies ahead: record it when it has been held.")
    if act.held_at < case.received_at:
        return Refused("The meeting lies before the receipt: correct the time of receipt first.")
    note_id = _put(
        session,
        practice,
        case,
        "meeting_recorded",
        by=act.by,
        words=act.note,
        code=act.kind,
        detail={"held_at": act.held_at.isoformat()},
        now=now,
    )
    session.add(
        Meeting(
            id=new_id(now),
            case_id=case.id,
            kind=act.kind,
            held_at=act.held_at,
            by=str(act.by),
            recorded_at=now,
            note_id=note_id,
        )
    )
    if act.kind in (MeetingKind.INITIAL, MeetingKind.RECONVENED):
        deadlines.meet(session, case, FIRST_MEETING, at=act.held_at, actor=str(act.by), because="met")
    _in_progress(session, practice, case, now=now)
    return Done(f"The meeting is on {case.reference}.")


def action(session: Session, practice: Practice, case: Case, act: RecordAction, *, now: datetime) -> Done | Refused:
    """Something that somebody owes by a time; with an address they are reminded of it there."""
    if not act.words.strip():
        return Refused("Say what is to be done.")
    if case.status in CLOSED:
        return Refused(f"{case.reference} is closed: open it again first.")
    address_key = None
    if act.address.strip():
        address_key = practice.address_key(act.address)
        if session.get(Participant, (case.id, address_key)) is None:
            return Refused("That address takes no part in the case: write to it first, with advise.")
    row = Action(
        id=new_id(now),
        case_id=case.id,
        owner=act.owner,
        due_at=act.due_at,
        state=ActionState.OPEN,
        by=str(act.by),
        recorded_at=now,
        address_key=address_key,
        note_id="",
    )
    row.note_id = (
        _put(
            session,
            practice,
            case,
            "action_recorded",
            by=act.by,
            words=act.words,
            code=act.owner,
            detail={"action": row.id, "due_at": act.due_at.isoformat()},
            now=now,
        )
        or ""
    )
    session.add(row)
    chasing.start(session, practice, row, now=now)
    if case.status == Status.PAUSED:
        chasing.stop_action(session, row, because="paused")
    _in_progress(session, practice, case, now=now)
    return Done(f"The action is on {case.reference}.")


def close_action(
    session: Session, practice: Practice, case: Case, act: CloseAction, *, now: datetime
) -> Done | Refused:
    row = session.exec(
        select(Action).where(col(Action.id) == act.action_id, col(Action.case_id) == case.id).with_for_update()
    ).one_or_none()
    if row is None:
        return Refused(f"{case.reference} has no such action.")
    state = ActionState.DONE if act.done else ActionState.CANCELLED
    if row.state != ActionState.OPEN:
        if row.state == state:
            return Done("The action is closed already.", changed=False)
        return Refused("The action is closed already.")
    row.state, row.closed_at = state, now
    session.add(row)
    chasing.stop_action(session, row, because=state)
    audit.record(
        session, case.id, at=now, actor=str(act.by), act="action_closed", code=state, detail={"action": row.id}
    )
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"The action on {case.reference} is {'done' if act.done else 'cancelled'}.")


def stop_chasing(
    session: Session, practice: Practice, case: Case, act: StopChasing, *, now: datetime
) -> Done | Refused:
    """It is still owed, and no more is sent about it."""
    row = session.exec(
        select(Action).where(col(Action.id) == act.action_id, col(Action.case_id) == case.id)
    ).one_or_none()
    if row is None:
        return Refused(f"{case.reference} has no such action.")
    session.flush()
    count = chasing.stop_action(session, row, because=chasing.BY_HAND)
    if not count:
        return Done("Nothing more was to be sent about it.", changed=False)
    detail = {"action": row.id, "chasers": count}
    audit.record(
        session, case.id, at=now, actor=str(act.by), act="chasers_stopped", code=chasing.BY_HAND, detail=detail
    )
    return Done(f"Nothing more is sent about that action on {case.reference}.")


def strand(session: Session, practice: Practice, case: Case, act: SetStrand, *, now: datetime) -> Done | Refused:
    row = session.get(Strand, (case.id, act.strand))
    if (row is not None and row.closed_at is None) is act.is_open:
        return Done(f"It is so already on {case.reference}.", changed=False)
    if row is None and not act.is_open:
        return Refused(f"{case.reference} has no such strand.")
    if row is None:
        row = Strand(case_id=case.id, strand=act.strand, opened_at=now)
    row.closed_at = None if act.is_open else now
    session.add(row)
    if act.strand is StrandKind.EMPLOYER:
        _employers_clocks(session, practice, case, act, now=now)
    _put(
        session,
        practice,
        case,
        "strand_opened" if act.is_open else "strand_closed",
        by=act.by,
        words=act.note,
        code=act.strand,
        now=now,
    )
    _in_progress(session, practice, case, now=now)
    return Done(f"The strand is {'open' if act.is_open else 'closed'} on {case.reference}.")


def _employers_clocks(session: Session, practice: Practice, case: Case, act: SetStrand, *, now: datetime) -> None:
    """The employer's inquiry opens and starts its clocks, or ends and meets them."""
    if act.is_open:
        deadlines.start_all(session, practice, case, Start.EMPLOYER, now=now, actor=str(act.by))
        return
    for target in (*practice.started_by(Start.EMPLOYER), *practice.started_by(Start.FOSTER)):
        deadlines.meet(session, case, target, at=now, actor=str(act.by), because="inquiry_ended")


def end_clock(session: Session, practice: Practice, case: Case, act: EndClock, *, now: datetime) -> Done | Refused:
    """One clock ended by hand. What a decision or a sign-off answers is ended by these alone."""
    if not act.note.strip():
        return Refused("Say why: it is the record of what the clock did.")
    if act.target in ENDED_BY_ACTS:
        return Refused("That clock is ended by deciding, or by signing off.")
    if case.status in CLOSED:
        return Refused(f"{case.reference} is closed.")
    deadline = next((one for one in deadlines.of_case(session, case.id) if one.target == act.target), None)
    if deadline is None:
        return Refused(f"{case.reference} has no such clock.")
    ended = deadline.met_at is not None or deadline.state == DeadlineState.CANCELLED
    if ended is not (act.why is ClockEnd.RESTART):
        return Done(f"That clock {'is ended' if ended else 'runs'} already.", changed=False)
    by = str(act.by)
    match act.why:
        case ClockEnd.MET:
            deadlines.meet(session, case, act.target, at=now, actor=by, because="by_hand")
        case ClockEnd.NO_CLOCK:
            deadlines.end(session, case, deadline, at=now, actor=by, because="no_clock")
        case ClockEnd.RESTART:
            deadlines.restart(session, practice, case, deadline, now=now, actor=by)
    _put(session, practice, case, "clock_ended", by=act.by, words=act.note, now=now, code=f"{act.target}/{act.why}")
    return Done(f"That clock {'runs again' if act.why is ClockEnd.RESTART else 'is ended'} on {case.reference}.")


def regulator(session: Session, practice: Practice, case: Case, act: TellRegulator, *, now: datetime) -> Done | Refused:
    if act.told_at > now:
        return Refused("Record it when they have been told.")
    if session.get(Regulator, (case.id, act.body)) is not None:
        return Done(f"That is on {case.reference} already.", changed=False)
    session.add(Regulator(case_id=case.id, body=act.body, told_at=act.told_at, by=str(act.by)))
    detail = {"told_at": act.told_at.isoformat()}
    _put(session, practice, case, "regulator_told", by=act.by, words=act.note, code=act.body, detail=detail, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"It is on {case.reference} that they were told.")


def correct_receipt(
    session: Session, practice: Practice, case: Case, act: CorrectReceipt, *, now: datetime
) -> Done | Refused:
    """Move the receipt, and every clock that ran from it. What was met stays met: in time, or late by the new count."""
    if not act.reason.strip():
        return Refused("Give the reason for the correction.")
    if act.received_at > now:
        return Refused("A receipt does not lie ahead.")
    decision = latest_decision(session, case.id)
    if decision is not None and act.received_at > decision.at:
        return Refused("It was decided before that.")
    if act.received_at == case.received_at:
        return Done(f"{case.reference} was received then already.", changed=False)
    was, case.received_at = case.received_at, act.received_at
    session.add(case)
    for deadline in deadlines.of_case(session, case.id):
        if deadline.started_at == was:
            deadlines.recount(session, practice, deadline, started_at=act.received_at, now=now)
    detail = {"from": was.isoformat(), "to": act.received_at.isoformat()}
    _put(session, practice, case, "receipt_corrected", by=act.by, words=act.reason, detail=detail, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"The receipt of {case.reference} is corrected, and its clocks with it.")


def name_adult(session: Session, practice: Practice, case: Case, act: NameAdult, *, now: datetime) -> Done | Refused:
    """Keep who it is about, sealed, and look for earlier contacts under that name."""
    if case.no_names:
        return Refused(f"{case.reference} is a no-names consultation: nobody is named on it.")
    if case.purged_at is not None:
        return Refused(f"{case.reference} was purged.")
    name = names.parse(act.name)
    if name is None:
        return Refused("Write the name as it is spoken, with the surname: Tom Hale, or Mr Hale.")
    if len(act.name) > names.MAX_NAME or len(act.role) > MAX_ROLE:
        return Refused(f"At most {names.MAX_NAME} characters for the name, and {MAX_ROLE} for the role.")
    matching.named_by_officer(session, practice, case, name, now=now)
    words = act.name.strip() + (f"; {act.role.strip()}" if act.role.strip() else "")
    _put(session, practice, case, "adult_named", by=act.by, words=words, now=now)
    matching.look(session, practice, case)
    desk_queue.update_card(session, practice, case, now=now)
    count = len(matching.earlier(session, practice, case))
    found = f"earlier contacts that may concern them: {count}" if count else "no earlier contact is like it"
    return Done(f"It is on {case.reference} who it is about; {found}.")


MAX_ROLE = 200


def set_facts(session: Session, practice: Practice, case: Case, act: SetFacts, *, now: datetime) -> Done | Refused:
    """Correct the coded facts. What was there before goes on the record with what is there now."""
    given = {
        "organisation": act.organisation,
        "sector": act.sector,
        "sub_sector": act.sub_sector,
        "source": act.source,
        "themes": None
        if act.themes is None
        else sorted({theme.strip().lower() for theme in act.themes if theme.strip()}),
    }
    changed: dict[str, dict[str, Any]] = {}
    if act.employer_knew is not None:
        try:
            knew = knowing.moment(act.employer_knew, practice.calendar) if act.employer_knew.strip() else None
        except knowing.NoMoment as wrong:
            return Refused(str(wrong))
        if knew is not None and practice.calendar.local(knew).date() > practice.calendar.local(now).date():
            return Refused("When the employer first knew does not lie ahead.")
        if knew != case.employer_knew_at:
            was, case.employer_knew_at = case.employer_knew_at, knew
            changed["employer_knew_at"] = {"from": was and was.isoformat(), "to": knew and knew.isoformat()}
    for name, value in given.items():
        if value is None:
            continue
        new = value.strip() or None if isinstance(value, str) else value
        limit = {"organisation": 200, "sector": 64, "sub_sector": 64}.get(name)
        if limit and isinstance(new, str) and len(new) > limit:
            return Refused(f"The {name.replace('_', '-')} has more than {limit} characters.")
        if isinstance(new, list) and (len(new) > MAX_THEMES or any(len(theme) > 40 for theme in new)):
            return Refused(f"At most {MAX_THEMES} themes, of at most 40 characters each.")
        if new != getattr(case, name):
            changed[name] = {"from": getattr(case, name), "to": new}
            setattr(case, name, new)
    if not changed:
        return Done(f"{case.reference} says so already.", changed=False)
    session.add(case)
    if "organisation" in changed:
        matching.look(session, practice, case)
    # An organisation is the setting's name, which the record may hold; a theme is an officer's word, and is only counted.
    detail = {name: value if name != "themes" else {"count": len(value["to"])} for name, value in changed.items()}
    audit.record(session, case.id, at=now, actor=str(act.by), act="facts_set", detail=detail)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is corrected.")


def _in_progress(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Work has begun on what was decided."""
    if case.status in _WORKED_ON:
        case.status = Status.IN_PROGRESS
        session.add(case)
    desk_queue.update_card(session, practice, case, now=now)


def _put(
    session: Session,
    practice: Practice,
    case: Case,
    act: str,
    *,
    by: Actor,
    words: str,
    now: datetime,
    code: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> str | None:
    """Put an act on the record, with its words sealed where there are any; the id of the note."""
    kept = add_note(session, practice, case, act, by=by, words=words.strip(), now=now) if words.strip() else None
    audit.record(session, case.id, at=now, actor=str(by), act=act, code=code, detail=dict(detail or {}), note=kept)
    return kept.id if kept else None
