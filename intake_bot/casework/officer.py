"""What an officer does with a case: take it, hand it on, decide. The same functions serve Slack and terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from intake_bot.casework import (
    chasing,
    conversation,
    deadlines,
    desk_queue,
    files,
    moving,
    pausing,
    record,
    reopening,
    seniors,
)
from intake_bot.casework.acts import (
    Accept,
    Act,
    Advise,
    Claim,
    CloseAction,
    Conclude,
    CorrectReceipt,
    Decide,
    Done,
    EndClock,
    Escalate,
    GiveSignOff,
    HandOver,
    LinkCases,
    Merge,
    NameAdult,
    NotAConsultation,
    Note,
    PauseCase,
    RecordAction,
    RecordMeeting,
    Refused,
    Release,
    Reopen,
    Reply,
    Restrict,
    ResumeCase,
    SendFile,
    SetFacts,
    SetStrand,
    Split,
    StopChasing,
    TellRegulator,
    Transfer,
)
from intake_bot.casework.advise import advise
from intake_bot.casework.clocks import Start
from intake_bot.casework.conclude import conclude
from intake_bot.casework.practice import SIGN_OFF, TRIAGE, Practice
from intake_bot.casework.retention import add_note
from intake_bot.casework.sectors import FOSTERING
from intake_bot.casework.views import latest_decision, may_see, opened_suggestion, suggestions
from intake_bot.casework.vocabulary import CLOSED, UNDECIDED, DecisionKind, SignOff, Status
from storage import audit
from storage.ids import new_id
from storage.tables import Case, DecisionRow, SuggestionRow
from storage.vault import Place
from triage.vocabulary import Category, Flag, Threshold

__all__ = ["UNDECIDED", "Done", "Refused", "perform", "problems"]


_HOLD = select(Case).where(col(Case.id) == bindparam("case_id")).with_for_update()


def perform(
    session: Session, practice: Practice, act: Act, *, now: datetime, at: datetime | None = None
) -> Done | Refused:
    """Perform an act in the caller's transaction. ``at`` is when it was really done, where that is not ``now``.

    To whoever may not see a restricted case there is no such case.
    """
    case = session.exec(_HOLD, params={"case_id": act.case_id}).one_or_none()
    if case is None or not may_see(case, act.by):
        return Refused("there is no such case")
    if case.purged_at is not None and not isinstance(act, Claim | Release | Decide | Conclude | Advise | SetFacts):
        return Refused(f"{case.reference} was purged: nothing can be added to it.")
    result = _BY_KIND[type(act)](
        session, practice, case, act, now=now, **({"at": at or now} if type(act) in _DATED else {})
    )
    if isinstance(result, Done) and result.changed:
        pausing.keep_still(session, case)
        seniors.tell(session, practice, case, now=now)
    return result


def problems(act: Decide) -> dict[str, str]:
    """What is wrong with a decision before anything is looked up: field name to a plain sentence."""
    found = {}
    if not act.reason.strip():
        found["reason"] = "Give the reasons: they are the record of why."
    if act.decision is DecisionKind.REFERRAL and not act.criteria:
        found["criteria"] = "A referral meets at least one criterion."
    return found


def _claim(session: Session, practice: Practice, case: Case, act: Claim, *, now: datetime) -> Done | Refused:
    by = act.by
    if case.officer == str(by):
        return Done(f"{case.reference} is already with you.", changed=False)
    if case.officer is not None:
        return Refused(f"{case.reference} is with another officer.")
    if case.status in CLOSED:
        return Refused(f"{case.reference} is {'concluded' if case.status == Status.CONCLUDED else 'set aside'}.")
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is already decided.")
    deadlines.somebody_has_it(session, case)
    case.officer, case.status = str(by), Status.CLAIMED
    audit.record(session, case.id, at=now, actor=str(by), act="claimed")
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is with you.")


def _release(session: Session, practice: Practice, case: Case, act: Release, *, now: datetime) -> Done | Refused:
    by = act.by
    if case.officer is None:
        return Done(f"{case.reference} is with nobody.", changed=False)
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is already decided.")
    audit.record(session, case.id, at=now, actor=str(by), act="released", detail={"from": case.officer})
    case.officer, case.status = None, Status.NEW
    deadlines.watch_unclaimed(session, practice, case, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is with nobody now.")


def _starts(case: Case, act: Decide, suggestion: SuggestionRow | None) -> Iterator[Start]:
    """What a decision starts."""
    if act.decision is DecisionKind.CONSULTATION:
        yield Start.CONSULTATION
    if act.decision is DecisionKind.REFERRAL:
        yield Start.REFERRAL
        flags = suggestion.flags if suggestion is not None else ()
        if case.sector == FOSTERING or Flag.FOSTER_CARER in flags:
            yield Start.FOSTER


_BELOW = frozenset({DecisionKind.CONSULTATION, DecisionKind.NO_FURTHER_ACTION})


def _hand_over(session: Session, practice: Practice, case: Case, act: HandOver, *, now: datetime) -> Done | Refused:
    if case.status in CLOSED:
        return Refused(f"{case.reference} is closed.")
    if case.officer == str(act.to):
        return Done(f"{case.reference} is with that officer already.", changed=False)
    was, case.officer = case.officer, str(act.to)
    if case.status == Status.NEW:
        case.status = Status.CLAIMED
    session.add(case)
    deadlines.somebody_has_it(session, case)
    note = None
    if act.note.strip():
        note = add_note(session, practice, case, "handed_over", by=act.by, words=act.note, now=now)
    detail = {"from": was, "to": case.officer}
    audit.record(session, case.id, at=now, actor=str(act.by), act="handed_over", detail=detail, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    if act.to.kind != "terminal" and act.to != act.by:
        text = f"{case.reference} was handed to you."
        desk_queue.tell(session, practice, act.to, text, key=f"handed:{case.id}:{case.revision}", now=now)
    return Done(f"{case.reference} is handed over.")


def _accept(
    session: Session, practice: Practice, case: Case, act: Accept, *, now: datetime, at: datetime
) -> Done | Refused:
    row, _ = suggestions(session, case.id)
    if row is None:
        return Refused(f"{case.reference} has no suggestion: decide it.")
    if row.version != act.version:
        return Refused("The suggestion has changed: look at it again.")
    suggested = opened_suggestion(practice, row)
    kind = _SUGGESTED.get(suggested.threshold)
    if kind is None:
        return Refused("The suggestion leaves the threshold open: an officer has to decide it.")
    decide = Decide(
        case.id,
        act.by,
        kind,
        suggested.category,
        suggested.criteria if kind is DecisionKind.REFERRAL else (),
        f"As suggested ({row.version}): {suggested.reason}",
    )
    return _decide(session, practice, case, decide, now=now, at=at)


_SUGGESTED = {
    Threshold.MEETS: DecisionKind.REFERRAL,
    Threshold.LOW_LEVEL: DecisionKind.CONSULTATION,
    Threshold.NOT_LADO: DecisionKind.NO_FURTHER_ACTION,
}


def _transfer(
    session: Session, practice: Practice, case: Case, act: Transfer, *, now: datetime, at: datetime
) -> Done | Refused:
    """Another authority's officer takes the case: that is the decision on it, and ends its clocks here."""
    authority = act.authority.strip()
    if not authority or len(authority) > 100:
        return Refused("Name the authority, in at most 100 characters.")
    if case.status in CLOSED or case.status == Status.PAUSED:
        return Refused(f"{case.reference} is closed or paused.")
    if case.status not in UNDECIDED:
        if case.decision == DecisionKind.TRANSFERRED:
            return Done(f"{case.reference} is transferred already.", changed=False)
        if not act.reason.strip():
            return Refused("Give the reasons: they are the record of why.")
        reopening.undecide(session, case, now=now, actor=str(act.by))
    suggestion, _ = suggestions(session, case.id)
    category = case.category or (suggestion.category if suggestion else Category.NONE.value)
    decide = Decide(case.id, act.by, DecisionKind.TRANSFERRED, Category(category), (), act.reason)
    done = _decide(session, practice, case, decide, now=now, at=at)
    if isinstance(done, Refused):
        return done
    case.transferred_to = authority
    session.add(case)
    deadlines.cancel(session, case, at=now, actor=str(act.by), because="transferred")
    chasing.stop_case(session, case, because="transferred")
    return Done(f"{case.reference} is transferred to {authority}.")


def _sign_off(session: Session, practice: Practice, case: Case, act: GiveSignOff, *, now: datetime) -> Done | Refused:
    decision = latest_decision(session, case.id)
    if case.sign_off != SignOff.PENDING or decision is None:
        return Refused(f"{case.reference} waits for no sign-off.")
    if decision.by == str(act.by):
        return Refused("A second officer signs off, not the one who decided.")
    if not act.agreed and not act.note.strip():
        return Refused("Say why: the decision is opened again.")
    deadlines.meet(session, case, SIGN_OFF, at=now, actor=str(act.by), because="signed_off")
    note = None
    name = "signed_off" if act.agreed else "sign_off_refused"
    if act.note.strip():
        note = add_note(session, practice, case, name, by=act.by, words=act.note, now=now)
    if act.agreed:
        decision.signed_off_by, case.sign_off = str(act.by), SignOff.GIVEN
        session.add(decision)
    else:
        reopening.undecide(session, case, now=now, actor=str(act.by))
        case.sign_off = SignOff.REFUSED
    session.add(case)
    audit.record(session, case.id, at=now, actor=str(act.by), act=name, detail={"decision": decision.id}, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is {'signed off' if act.agreed else 'open again'}.")


def _decide(
    session: Session, practice: Practice, case: Case, act: Decide, *, now: datetime, at: datetime
) -> Done | Refused:
    wrong = problems(act)
    if wrong:
        return Refused(" ".join(wrong.values()))
    if at > now or at < case.received_at:
        return Refused("The time of the decision must lie between the receipt and now.")
    if case.status not in UNDECIDED:
        latest = latest_decision(session, case.id)
        if latest is not None and latest.by == str(act.by) and latest.decision == act.decision:
            return Done(f"{case.reference} is decided already, by you.", changed=False)
        return Refused(f"{case.reference} is already decided.")
    suggestion, _ = suggestions(session, case.id)
    row = DecisionRow(
        id=new_id(now),
        case_id=case.id,
        decision=act.decision,
        category=act.category,
        criteria=[int(criterion) for criterion in act.criteria],
        by=str(act.by),
        at=at,
        suggestion_version=suggestion.version if suggestion else None,
        content=b"",
    )
    row.content = practice.vault.seal_json(
        Place("decisions", row.id, "content", case.id), {"reason": act.reason}, key=case.key_id
    )
    session.add(row)
    case.status = Status.DECIDED
    case.decision = act.decision
    case.category, case.category_by = act.category, "officer"
    # Only a referral says something about the threshold: that an officer holds it met.
    case.threshold = Threshold.MEETS if act.decision is DecisionKind.REFERRAL else None
    case.officer = case.officer or str(act.by)
    session.add(case)
    deadlines.meet(session, case, TRIAGE, at=at, actor=str(act.by), because="decided")
    for why in _starts(case, act, suggestion):
        deadlines.start_all(session, practice, case, why, now=now, actor=str(act.by))
    case.sign_off = None
    if practice.sign_off_below_threshold and act.decision in _BELOW:
        case.sign_off = SignOff.PENDING
        for target in practice.started_by(Start.SIGN_OFF):
            deadlines.start(session, practice, case, target, started_at=now, now=now)
    audit.record(
        session,
        case.id,
        at=now,
        actor=str(act.by),
        act="decided",
        code=act.decision,
        detail={
            "decision": row.id,
            "category": act.category,
            "criteria": row.criteria,
            "at": at.isoformat(),
            "suggestion_version": row.suggestion_version,
            "suggested_category": suggestion.category if suggestion else None,
            "suggested_threshold": suggestion.threshold if suggestion else None,
        },
        note=audit.Note(row.id, row.content),
    )
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is decided.")


_BY_KIND: Mapping[type[Act], Callable[..., Done | Refused]] = {
    Claim: _claim,
    Release: _release,
    HandOver: _hand_over,
    Decide: _decide,
    Accept: _accept,
    GiveSignOff: _sign_off,
    Transfer: _transfer,
    Conclude: conclude,
    Reopen: reopening.reopen,
    NotAConsultation: reopening.set_aside,
    Note: record.note,
    RecordMeeting: record.meeting,
    RecordAction: record.action,
    CloseAction: record.close_action,
    StopChasing: record.stop_chasing,
    NameAdult: record.name_adult,
    SetStrand: record.strand,
    EndClock: record.end_clock,
    TellRegulator: record.regulator,
    CorrectReceipt: record.correct_receipt,
    SetFacts: record.set_facts,
    PauseCase: pausing.pause,
    ResumeCase: pausing.resume,
    Escalate: moving.escalate,
    Restrict: moving.restrict,
    LinkCases: moving.link,
    Merge: moving.merge,
    Split: moving.split,
    Advise: advise,
    Reply: conversation.reply,
    SendFile: files.send,
}
_DATED: frozenset[type[Act]] = frozenset({Decide, Accept, Transfer, Conclude})
"""Acts that may be recorded after they were done."""
