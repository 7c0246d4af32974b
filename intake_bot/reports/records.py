"""What the figures count: one record for each consultation, of codes and times. Nothing here opens any content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy import select as select_rows
from sqlmodel import Session, col, select

from intake_bot.casework.vocabulary import Status, StrandKind
from storage.tables import (
    Case,
    Deadline,
    DecisionRow,
    Feedback,
    Meeting,
    Pause,
    Regulator,
    Strand,
    SuggestionRow,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How a clock of a case stands."""

    due_at: datetime
    state: str
    met_at: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """One consultation as the figures see it. Times are aware UTC; codes are the vocabulary's."""

    case_id: str
    reference: str
    status: str
    channel: str
    received_at: datetime
    sector: str | None
    sub_sector: str | None
    source: str | None
    category: str | None
    decision: str | None
    decided_at: datetime | None
    criteria: tuple[int, ...]
    outcome: str | None
    employer_action: str | None
    concluded_at: datetime | None
    employer_knew_at: datetime | None
    themes: tuple[str, ...]
    suggested: str | None
    """The threshold that triage suggested first."""
    suggested_category: str | None
    has_police: bool
    clocks: Mapping[str, Kept] = field(default_factory=dict)
    pauses: tuple[tuple[str, datetime, datetime | None], ...] = ()

    def paused(self, until: datetime) -> timedelta:
        """For how long it had stood still by ``until``."""
        return sum(
            (max(timedelta(), min(end or until, until) - begin) for _, begin, end in self.pauses if begin < until),
            timedelta(),
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A meeting that was held, or a regulator that was told: what it was and when."""

    kind: str
    at: datetime


def received(session: Session, since: datetime, until: datetime) -> list[Record]:
    """The consultations received in a time, oldest first. What was set aside as none, or merged, is none."""
    return _records(session, and_(col(Case.received_at) >= since, col(Case.received_at) < until))


def open_at(session: Session, moment: datetime) -> list[Record]:
    """The consultations that were received and not concluded by then, oldest first."""
    return _records(
        session,
        and_(col(Case.received_at) < moment, or_(col(Case.concluded_at).is_(None), col(Case.concluded_at) >= moment)),
    )


def meetings(session: Session, since: datetime, until: datetime) -> list[Held]:
    rows = session.exec(
        select(Meeting.kind, Meeting.held_at).where(col(Meeting.held_at) >= since, col(Meeting.held_at) < until)
    )
    return [Held(kind, at) for kind, at in rows]


def regulators(session: Session, since: datetime, until: datetime) -> list[Held]:
    rows = session.exec(
        select(Regulator.body, Regulator.told_at).where(col(Regulator.told_at) >= since, col(Regulator.told_at) < until)
    )
    return [Held(body, at) for body, at in rows]


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody who was asked what they think of the service, and what they answered; None where they did not."""

    role: str
    answers: Mapping[str, str] | None


def feedback(session: Session, since: datetime, until: datetime) -> list[Asked]:
    """The surveys that were sent in a time."""
    rows = session.exec(
        select(Feedback.role, Feedback.answers).where(col(Feedback.asked_at) >= since, col(Feedback.asked_at) < until)
    )
    return [Asked(role, answers) for role, answers in rows]


_CASE: tuple[Any, ...] = (
    Case.id,
    Case.reference,
    Case.status,
    Case.channel,
    Case.received_at,
    Case.sector,
    Case.sub_sector,
    Case.source,
    Case.category,
    Case.decision,
    Case.outcome,
    Case.employer_action,
    Case.concluded_at,
    Case.employer_knew_at,
    Case.themes,
)


def _records(session: Session, which: ColumnElement[bool]) -> list[Record]:
    which = and_(which, col(Case.status) != Status.NOT_A_CONSULTATION)
    connection = session.connection()

    def rows(*columns: Any, order: Any) -> Any:
        """Columns of a table of the cases that are wanted: rows, not objects, for there may be a hundred thousand."""
        table = order.class_
        statement = select_rows(*columns).join(Case, col(Case.id) == table.case_id).where(which).order_by(order)
        return connection.execute(statement)

    decided: dict[str, tuple[datetime, tuple[int, ...]]] = {}
    for case_id, at, criteria in rows(DecisionRow.case_id, DecisionRow.at, DecisionRow.criteria, order=DecisionRow.id):
        first = decided.get(case_id)
        # When it was first decided is what the clock measures; by which criteria, the last decision says.
        decided[case_id] = (first[0] if first else at, tuple(criteria))
    suggested: dict[str, tuple[str, str]] = {}
    for case_id, threshold, category in rows(
        SuggestionRow.case_id, SuggestionRow.threshold, SuggestionRow.category, order=SuggestionRow.id
    ):
        suggested.setdefault(case_id, (threshold, category))
    clocks: dict[str, dict[str, Kept]] = defaultdict(dict)
    for case_id, target, due_at, state, met_at in rows(
        Deadline.case_id, Deadline.target, Deadline.due_at, Deadline.state, Deadline.met_at, order=Deadline.id
    ):
        clocks[case_id][target] = Kept(due_at, state, met_at)
    pauses: dict[str, list[tuple[str, datetime, datetime | None]]] = defaultdict(list)
    for case_id, reason, begin, end in rows(
        Pause.case_id, Pause.reason, Pause.started_at, Pause.ended_at, order=Pause.id
    ):
        pauses[case_id].append((reason, begin, end))
    police = {
        case_id
        for case_id, strand in rows(Strand.case_id, Strand.strand, order=Strand.case_id)
        if strand == StrandKind.POLICE
    }
    cases = connection.execute(select_rows(*_CASE).where(which).order_by(col(Case.received_at), col(Case.id)))
    return [
        Record(
            case_id=case_id,
            reference=reference,
            status=status,
            channel=channel,
            received_at=received_at,
            sector=sector,
            sub_sector=sub_sector,
            source=source,
            category=category,
            decision=decision,
            decided_at=decided[case_id][0] if decision and case_id in decided else None,
            criteria=decided[case_id][1] if decision and case_id in decided else (),
            outcome=outcome,
            employer_action=employer_action,
            concluded_at=concluded_at,
            employer_knew_at=employer_knew_at,
            themes=tuple(themes or ()),
            suggested=suggested.get(case_id, (None, None))[0],
            suggested_category=suggested.get(case_id, (None, None))[1],
            has_police=case_id in police or any(reason in _POLICE for reason, _, _ in pauses.get(case_id, ())),
            clocks=clocks.get(case_id, {}),
            pauses=tuple(pauses.get(case_id, ())),
        )
        for (
            case_id,
            reference,
            status,
            channel,
            received_at,
            sector,
            sub_sector,
            source,
            category,
            decision,
            outcome,
            employer_action,
            concluded_at,
            employer_knew_at,
            themes,
        ) in cases
    ]


_POLICE = frozenset({"police", "cps", "court"})
