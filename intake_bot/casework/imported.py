"""Consultations from before: a row of the old tracker becomes a case with what it says, and nothing that it does not.

Such a case has no message, nudges nobody and has no card until somebody takes it up. It counts in the figures as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import TRIAGE, Practice
from intake_bot.casework.retention import review_at
from intake_bot.casework.targets import due
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    DeadlineState,
    DecisionKind,
    EmployerAction,
    MeetingKind,
    Remark,
    Source,
    Status,
    StrandKind,
)
from storage import audit
from storage.ids import new_id
from storage.tables import Case, Deadline, DecisionRow, Meeting, Strand
from storage.vault import Place
from triage.vocabulary import Category, Criterion, Threshold

CHANNEL = "tracker"
PREFIX = "OLD-"
"""What references from the tracker begin with, so that none of them is ever one of ours."""


@dataclass(frozen=True, slots=True)
class Past:
    """A consultation as the tracker tells it. Times are aware UTC; None is what it does not tell."""

    reference: str
    received_at: datetime
    organisation: str | None = None
    sector: str | None = None
    sub_sector: str | None = None
    source: Source | None = None
    category: Category | None = None
    decision: DecisionKind | None = None
    criteria: tuple[Criterion, ...] = ()
    decided_at: datetime | None = None
    in_24_hours: bool | None = None
    meeting_at: datetime | None = None
    police: bool = False
    outcome: CaseOutcome | None = None
    employer_action: EmployerAction | None = None
    concluded_at: datetime | None = None
    themes: tuple[str, ...] = ()
    employer_knew_at: datetime | None = None


def known(session: Session, references: list[str]) -> set[str]:
    """Those of the references that are on record."""
    return set(session.exec(select(Case.reference).where(col(Case.reference).in_(references))).all())


def keep(session: Session, practice: Practice, past: Past, *, by: Actor, source: str, now: datetime) -> str:
    """Put a consultation from before on the record, in the caller's transaction; the case's id.

    ``source`` names the file it came from, by its hash.
    """
    case = Case(
        id=new_id(past.received_at),
        key_id=practice.vault.keys.new_key(),
        reference=past.reference,
        reply_tag="",
        status=_status(past),
        channel=CHANNEL,
        received_at=past.received_at,
        organisation=past.organisation,
        sector=past.sector,
        sub_sector=past.sub_sector,
        source=past.source,
        category=past.category,
        category_by="officer" if past.category else None,
        threshold=Threshold.MEETS if past.decision is DecisionKind.REFERRAL else None,
        decision=past.decision,
        outcome=past.outcome if past.decision is DecisionKind.REFERRAL else None,
        employer_action=past.employer_action,
        concluded_at=past.concluded_at,
        employer_knew_at=past.employer_knew_at,
        themes=sorted(set(past.themes)) or None,
        remarks=[Remark.FOLDED.value],
    )
    case.reply_tag = practice.vault.tag("reply", case.id)
    if past.concluded_at is not None:
        years = practice.retention.years(past.outcome if past.decision is DecisionKind.REFERRAL else None)
        case.review_at = review_at(practice.calendar, past.concluded_at, years)
    session.add(case)
    session.flush()
    if past.decision is not None:
        _decision(session, practice, case, past, by=by, now=now)
    if past.meeting_at is not None:
        session.add(
            Meeting(
                id=new_id(now),
                case_id=case.id,
                kind=MeetingKind.INITIAL,
                held_at=past.meeting_at,
                by=str(by),
                recorded_at=now,
            )
        )
    if past.police:
        session.add(
            Strand(case_id=case.id, strand=StrandKind.POLICE, opened_at=past.received_at, closed_at=past.concluded_at)
        )
    if past.in_24_hours is not None:
        _clock(session, practice, case, past)
    audit.record(session, case.id, at=now, actor=str(by), act="imported", code=CHANNEL, detail={"file": source})
    return case.id


def _status(past: Past) -> Status:
    if past.concluded_at is not None:
        return Status.CONCLUDED
    return Status.DECIDED if past.decision is not None else Status.NEW


def _decision(session: Session, practice: Practice, case: Case, past: Past, *, by: Actor, now: datetime) -> None:
    row = DecisionRow(
        id=new_id(now),
        case_id=case.id,
        decision=past.decision or "",
        category=past.category or Category.NONE,
        criteria=[int(criterion) for criterion in past.criteria],
        by=str(by),
        at=past.decided_at or past.received_at,
        content=b"",
    )
    reason = {"reason": "As the tracker says; its reasons were kept elsewhere."}
    place = Place("decisions", row.id, "content", case.id)
    row.content = practice.vault.seal_json(place, reason, key=case.key_id)
    session.add(row)


def _clock(session: Session, practice: Practice, case: Case, past: Past) -> None:
    """The first response as the tracker says it was: in time or not, for its times are days."""
    reached = due(practice.clocks[TRIAGE].rule, past.received_at, practice.calendar)
    met_at = past.decided_at or reached.due_at
    session.add(
        Deadline(
            id=new_id(past.received_at),
            case_id=case.id,
            target=TRIAGE,
            rule=reached.rule,
            calendar=reached.calendar,
            started_at=past.received_at,
            due_at=reached.due_at,
            state=DeadlineState.MET if past.in_24_hours else DeadlineState.MISSED,
            met_at=met_at,
            steps=reached.to_json(),
        )
    )
