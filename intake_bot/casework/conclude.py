"""A case comes to its end: how it ended, until when it is kept, and what goes at once. An officer ends it, never a clock."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from intake_bot.casework import chasing, deadlines, desk_queue, feedback, pausing, retention
from intake_bot.casework.acts import Conclude, Done, Refused
from intake_bot.casework.practice import ADVICE, ONE_MONTH, Practice
from intake_bot.casework.views import latest_decision
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind, SignOff, Status
from storage import audit
from storage.tables import Case

CONCLUDABLE = frozenset({Status.DECIDED, Status.IN_PROGRESS, Status.PAUSED})
MET_BY_CONCLUDING = frozenset({ADVICE, ONE_MONTH, "three_months", "twelve_months"})
"""Targets for the conclusion itself; who consulted has an answer then at the latest. What else runs has lost its point."""
BECAUSE = "concluded"


def problems(act: Conclude) -> dict[str, str]:
    """What is wrong with a conclusion before anything is looked up: field name to a plain sentence."""
    return {} if act.note.strip() else {"note": "Say how it ended: it is the record of why the case was closed."}


def conclude(
    session: Session, practice: Practice, case: Case, act: Conclude, *, now: datetime, at: datetime
) -> Done | Refused:
    """Conclude a decided case, in the caller's transaction, which holds the case's row; ``at`` is when it really ended.

    A no-names consultation, and what is to lose its names otherwise, loses its content here; see :mod:`.retention`.
    """
    by = str(act.by)
    refusal = _refusal(session, case, act, now=now, at=at)
    if refusal is not None:
        return refusal
    # What stood still counts for the targets that the conclusion meets.
    pausing.end_pause(session, practice, case, now=now)
    note = retention.add_note(session, practice, case, "concluded", by=act.by, words=act.note, now=now)
    case.status, case.outcome, case.concluded_at = Status.CONCLUDED, act.outcome, at
    case.employer_action = act.employer_action
    case.review_at = retention.review_at(practice.calendar, at, practice.retention.years(act.outcome))
    case.strip_names = case.strip_names or act.strip_names
    session.add(case)
    _close_deadlines(session, case, at=at, actor=by)
    audit.record(
        session,
        case.id,
        at=now,
        actor=by,
        act="concluded",
        code=act.outcome or case.decision,
        detail={"at": at.isoformat(), "review_at": case.review_at.isoformat()},
        note=note,
    )
    why = retention.stripped(practice, case)
    if why is None:
        feedback.ask(session, practice, case, now=now)
        desk_queue.update_card(session, practice, case, now=now)
        return Done(f"{case.reference} is concluded.")
    if case.hold:
        # The rule may have changed by the time the hold is lifted: what it meant for this case is settled now.
        case.strip_names = True
        desk_queue.update_card(session, practice, case, now=now)
        return Done(f"{case.reference} is concluded. It is on legal hold: its content goes when the hold is lifted.")
    retention.destroy(session, practice, case, why, by=act.by, now=now)
    return Done(f"{case.reference} is concluded, and its content has gone.")


def _refusal(session: Session, case: Case, act: Conclude, *, now: datetime, at: datetime) -> Done | Refused | None:
    """Why the act is not performed, or that it was before; None where it can be."""
    wrong = problems(act)
    if wrong:
        return Refused(" ".join(wrong.values()))
    if case.status == Status.CONCLUDED:
        return _again(case, act)
    decision = latest_decision(session, case.id)
    if case.status not in CONCLUDABLE or decision is None:
        return Refused(f"{case.reference} is not decided yet: decide it first.")
    if at > now or at < decision.at:
        return Refused("The time of the conclusion must lie between the decision and now.")
    said = _unfit(case, act)
    return Refused(said) if said else None


def _unfit(case: Case, act: Conclude) -> str | None:
    """Why what is said of the ending does not go with what was decided."""
    if case.sign_off == SignOff.PENDING:
        return f"{case.reference} waits for a second officer's sign-off."
    if case.decision != DecisionKind.REFERRAL:
        if act.outcome is not None or act.employer_action is not None:
            return f"Only a referral has an outcome; {case.reference} was decided otherwise."
        return None
    if act.outcome is None:
        return f"A referral ends with an outcome: one of {', '.join(CaseOutcome)}."
    if act.strip_names:
        return "A referral is a record about a named person: its names are kept as long as its outcome demands."
    return None


def _again(case: Case, act: Conclude) -> Done | Refused:
    if case.outcome == act.outcome:
        return Done(f"{case.reference} is concluded already.", changed=False)
    return Refused(f"{case.reference} is already concluded.")


def _close_deadlines(session: Session, case: Case, *, at: datetime, actor: str) -> None:
    deadlines.close(session, case, met=MET_BY_CONCLUDING, at=at, actor=actor, because=BECAUSE)
    chasing.stop_case(session, case, because=BECAUSE)
