"""What an officer does with a case: take it, give it back, decide, advise. The same functions serve Slack and terminal."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework import deadlines, desk_queue
from intake_bot.casework.acts import Act, Advise, Claim, Conclude, Decide, Done, Refused, Release
from intake_bot.casework.advise import advise
from intake_bot.casework.conclude import conclude
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import ONE_MONTH, TRIAGE, Practice
from intake_bot.casework.views import latest_decision, suggestions
from intake_bot.casework.vocabulary import UNDECIDED, DecisionKind, Status
from storage import audit
from storage.ids import new_id
from storage.tables import Case, DecisionRow
from storage.vault import Place
from triage.vocabulary import Threshold

__all__ = ["UNDECIDED", "Done", "Refused", "perform", "problems"]


def perform(
    session: Session, practice: Practice, act: Act, *, now: datetime, at: datetime | None = None
) -> Done | Refused:
    """Perform an act in the caller's transaction. ``at`` is when it was really done, where that is not ``now``."""
    case = session.exec(select(Case).where(col(Case.id) == act.case_id).with_for_update()).one_or_none()
    if case is None:
        return Refused("there is no such case")
    match act:
        case Claim(by=by):
            return _claim(session, practice, case, by, now=now)
        case Release(by=by):
            return _release(session, practice, case, by, now=now)
        case Decide():
            return _decide(session, practice, case, act, now=now, at=at or now)
        case Conclude():
            return conclude(session, practice, case, act, now=now, at=at or now)
        case Advise():
            return advise(session, practice, case, act, now=now)


def problems(act: Decide) -> dict[str, str]:
    """What is wrong with a decision before anything is looked up: field name to a plain sentence."""
    found = {}
    if not act.reason.strip():
        found["reason"] = "Give the reasons: they are the record of why."
    if act.decision is DecisionKind.REFERRAL and not act.criteria:
        found["criteria"] = "A referral meets at least one criterion."
    return found


def _claim(session: Session, practice: Practice, case: Case, by: Actor, *, now: datetime) -> Done | Refused:
    if case.officer == str(by):
        return Done(f"{case.reference} is already with you.", changed=False)
    if case.officer is not None:
        return Refused(f"{case.reference} is with another officer.")
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is already decided.")
    case.officer, case.status = str(by), Status.CLAIMED
    audit.record(session, case.id, at=now, actor=str(by), act="claimed")
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is with you.")


def _release(session: Session, practice: Practice, case: Case, by: Actor, *, now: datetime) -> Done | Refused:
    if case.officer is None:
        return Done(f"{case.reference} is with nobody.", changed=False)
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is already decided.")
    audit.record(session, case.id, at=now, actor=str(by), act="released", detail={"from": case.officer})
    case.officer, case.status = None, Status.NEW
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is with nobody now.")


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
    if act.decision is DecisionKind.REFERRAL:
        deadlines.start(session, practice, case, ONE_MONTH, started_at=case.received_at, now=now)
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
