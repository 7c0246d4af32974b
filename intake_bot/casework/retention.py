"""How long a concluded case is kept, who keeps it longer, and how its content is destroyed in the end.

A period that ends puts a case on the list for review; only a manager's word destroys it (or the setting that does without,
which is off). What is on legal hold or not concluded is never destroyed. The keys are destroyed after the commit, by
:func:`storage.shredding.finish`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework import desk_queue
from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.desk import SYSTEM, Actor
from intake_bot.casework.letters import say_time
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import CLOSED, DecisionKind, Remark, Status
from storage import audit, shredding
from storage.ids import new_id
from storage.tables import Case, Message, NoteRow
from storage.vault import Place

BATCH = 100
_LAST_YEAR = 9000
"""Nobody will be there to review it, but the arithmetic must not fail."""


class Why(StrEnum):
    """What a purge goes on the record under."""

    REVIEW = "review"
    EARLY = "early"
    UNATTENDED = "unattended"
    NO_NAMES = "no_names"
    STRIPPED = "stripped"


@dataclass(frozen=True, slots=True)
class DueForReview:
    """A concluded case whose period has ended. Nothing of its content."""

    case_id: str
    reference: str
    decision: str | None
    outcome: str | None
    concluded_at: datetime
    review_at: datetime
    hold: bool


def review_at(calendar: WorkingCalendar, concluded_at: datetime, years: int) -> datetime:
    """The same local day and time, so many calendar years on; of 29 February the 28th, where there is no 29th."""
    wall = calendar.wall_clock(concluded_at)
    year = min(wall.year + years, _LAST_YEAR)
    try:
        day = wall.date().replace(year=year)
    except ValueError:
        day = wall.date().replace(year=year, day=28)
    return calendar.instant_at(day, wall.time())


def due_for_review(session: Session, *, now: datetime) -> Iterator[DueForReview]:
    """Every concluded case whose period has ended, longest overdue first; what is on hold is among them, and says so."""
    statement = (
        select(Case)
        .where(
            col(Case.review_at) <= now,
            col(Case.purged_at).is_(None),
            col(Case.status).in_(CLOSED),
        )
        .order_by(col(Case.review_at), col(Case.id))
    )
    for case in session.exec(statement.execution_options(yield_per=200)):
        if case.concluded_at is not None and case.review_at is not None:
            yield DueForReview(
                case_id=case.id,
                reference=case.reference,
                decision=case.decision,
                outcome=case.outcome,
                concluded_at=case.concluded_at,
                review_at=case.review_at,
                hold=case.hold,
            )


def hold(
    session: Session, practice: Practice, case_id: str, *, by: Actor, reason: str, now: datetime
) -> Done | Refused:
    """Put a case on legal hold: nothing of it is destroyed until the hold is lifted."""
    if not reason.strip():
        return Refused("Give the reason for the hold.")
    case = _locked(session, case_id)
    if case is None:
        return Refused("there is no such case")
    if case.purged_at is not None:
        return Refused(f"{case.reference} is purged already.")
    if case.hold:
        return Done(f"{case.reference} is on hold already.", changed=False)
    case.hold = True
    note = add_note(session, practice, case, "held", by=by, words=reason, now=now)
    audit.record(session, case.id, at=now, actor=str(by), act="held", note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is on legal hold.")


def lift(
    session: Session, practice: Practice, case_id: str, *, by: Actor, reason: str, now: datetime
) -> Done | Refused:
    """Lift a legal hold. A concluded case that only the hold kept from losing its content loses it now."""
    if not reason.strip():
        return Refused("Give the reason for lifting the hold.")
    case = _locked(session, case_id)
    if case is None:
        return Refused("there is no such case")
    if not case.hold:
        return Done(f"{case.reference} is not on hold.", changed=False)
    case.hold = False
    note = add_note(session, practice, case, "hold_lifted", by=by, words=reason, now=now)
    audit.record(session, case.id, at=now, actor=str(by), act="hold_lifted", note=note)
    # By what was settled when it was concluded: a rule that came later is not for this case.
    if case.status == Status.CONCLUDED and (why := _settled(case)):
        destroy(session, practice, case, why, by=by, now=now)
        return Done(f"The hold on {case.reference} is lifted, and with it its content has gone.")
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"The hold on {case.reference} is lifted.")


def stripped(practice: Practice, case: Case) -> Why | None:
    """Why a case loses its content as soon as it is concluded, or None. A hold is not looked at here.

    Never a referral, whatever words it began with: it is a record about a named person, kept as its outcome demands.
    """
    by_rule = _below_threshold(case) and practice.retention.strip_below_threshold
    return _settled(case) or (Why.STRIPPED if by_rule else None)


def _settled(case: Case) -> Why | None:
    """:func:`stripped` by what stands on the case alone."""
    if not _below_threshold(case):
        return None
    if case.no_names:
        return Why.NO_NAMES
    return Why.STRIPPED if case.strip_names else None


def _below_threshold(case: Case) -> bool:
    return case.decision is not None and case.decision != DecisionKind.REFERRAL


def purge(
    session: Session,
    practice: Practice,
    case_id: str,
    *,
    by: Actor,
    reason: str | None,
    now: datetime,
    why: Why = Why.REVIEW,
) -> Done | Refused:
    """Destroy the content of a concluded case, on a manager's word. :attr:`Why.EARLY` alone does so before its time.

    ``reason`` says why, and nothing about the case: it is sealed under a key of its own and stays.
    """
    case = _locked(session, case_id)
    if case is None:
        return Refused("there is no such case")
    if case.purged_at is not None:
        return Done(f"{case.reference} is purged already.", changed=False)
    if case.hold:
        return Refused(f"{case.reference} is on legal hold.")
    if case.merged_into is not None:
        return Refused(f"{case.reference} goes with the case that it was merged into.")
    if case.status not in CLOSED or case.review_at is None:
        return Refused(f"{case.reference} is not concluded.")
    if case.review_at > now and why is not Why.EARLY:
        until = say_time(case.review_at, practice.calendar.zone)
        return Refused(f"{case.reference} is kept until {until}. Only a manager's express word purges it before.")
    if why is Why.EARLY and not (reason or "").strip():
        return Refused("Give the reason for purging early.")
    destroy(session, practice, case, why, by=by, reason=reason, now=now)
    return Done(f"{case.reference} is purged.")


def purge_due(
    session: Session,
    practice: Practice,
    *,
    now: datetime,
    by: Actor = SYSTEM,
    reason: str | None = None,
    limit: int = BATCH,
) -> list[str]:
    """Purge up to ``limit`` of what is due and not on hold; the references. Call it again while it gives ``limit``.

    By :data:`SYSTEM` only where the setting for it is on; else ``by`` is the manager who said so.
    """
    if by == SYSTEM and not practice.retention.unattended_purge:
        return []
    due = session.exec(
        select(Case)
        .where(
            col(Case.review_at) <= now,
            col(Case.purged_at).is_(None),
            col(Case.status).in_(CLOSED),
            col(Case.hold).is_(False),
        )
        .order_by(col(Case.review_at), col(Case.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    why = Why.UNATTENDED if by == SYSTEM else Why.REVIEW
    for case in due:
        destroy(session, practice, case, why, by=by, reason=reason, now=now)
    return [case.reference for case in due]


def unfiled_due(session: Session, practice: Practice, *, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Mail that belongs to no case and whose period has ended: ids and times of receipt, oldest first."""
    yield from session.exec(_unfiled_due(practice, Message.id, Message.received_at, now=now))


def purge_unfiled(
    session: Session, practice: Practice, *, now: datetime, by: Actor = SYSTEM, limit: int = BATCH
) -> int:
    """Destroy up to ``limit`` of what :func:`unfiled_due` lists; how many. Who may say so is as for :func:`purge_due`."""
    if by == SYSTEM and not practice.retention.unattended_purge:
        return 0
    statement = _unfiled_due(practice, Message, now=now).limit(limit).with_for_update(skip_locked=True)
    due = session.exec(statement).all()
    why = Why.UNATTENDED if by == SYSTEM else Why.REVIEW
    for message in due:
        message_id = message.id
        keys = shredding.shred_unfiled(session, practice.vault, message, now=now)
        detail = {"message": message_id, "keys": keys}
        audit.record(session, audit.SERVICE_CHAIN, at=now, actor=str(by), act="unfiled_purged", code=why, detail=detail)
    return len(due)


def _unfiled_due(practice: Practice, *what: Any, now: datetime) -> Any:
    since = review_at(practice.calendar, now, -practice.retention.unfiled)
    return (
        select(*what)
        .where(col(Message.case_id).is_(None), col(Message.received_at) <= since)
        .order_by(col(Message.received_at), col(Message.id))
    )


def destroy(
    session: Session,
    practice: Practice,
    case: Case,
    why: Why,
    *,
    by: Actor,
    reason: str | None = None,
    now: datetime,
) -> None:
    """Empty the case and put that on the record, in the caller's transaction. Whether it may be is the caller's to know.

    What was merged into it goes with it: it is the same matter, and was kept for this one's sake.
    """
    merged = select(Case).where(col(Case.merged_into) == case.id, col(Case.purged_at).is_(None)).with_for_update()
    for other in session.exec(merged).all():
        if not other.hold:
            destroy(session, practice, other, why, by=by, reason=reason, now=now)
    keys = shredding.shred(session, practice.vault, case, now=now)
    case.remarks = [*case.remarks, Remark.PURGED.value]
    note = None
    if reason and reason.strip():
        # Why something was destroyed must be answered for afterwards: it is sealed under a key that stays.
        key = practice.vault.keys.new_key()
        note = add_note(session, practice, case, "purged", by=by, words=reason, now=now, key=key)
    audit.record(session, case.id, at=now, actor=str(by), act="purged", code=why, detail={"keys": keys}, note=note)
    desk_queue.update_card(session, practice, case, now=now)


def add_note(
    session: Session,
    practice: Practice,
    case: Case,
    act: str,
    *,
    by: Actor,
    words: str,
    now: datetime,
    key: str | None = None,
) -> audit.Note:
    """Keep the words behind an act, sealed under the case's key unless another is given; what to record of them."""
    row = NoteRow(id=new_id(now), case_id=case.id, act=act, by=str(by), at=now, content=b"")
    row.content = practice.vault.seal_json(
        Place("notes", row.id, "content", case.id), {"text": words}, key=key or case.key_id
    )
    session.add(row)
    session.flush()
    return audit.Note(row.id, row.content)


def _locked(session: Session, case_id: str) -> Case | None:
    """The case, locked and looked at anew: another may have put it on hold a moment ago."""
    return session.exec(
        select(Case).where(col(Case.id) == case_id).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
