"""How far officers agree with triage: counts only, nothing of any text.

An officer's *referral* stands for "meets the harm threshold"; every other decision stands for "does not". A suggestion
that left it open counts apart, and neither for nor against. The last decision on a case counts, beside the suggestion
that stood when it was made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from intake_bot.casework.vocabulary import DecisionKind
from storage.tables import DecisionRow, Message, SuggestionRow
from triage.suggestion import RULES_ALONE
from triage.vocabulary import Threshold


@dataclass(frozen=True, slots=True)
class Pair:
    """What was suggested and what was decided, of one case. ``at`` is an aware time."""

    at: datetime
    version: str
    suggested: str
    suggested_category: str
    decision: str
    category: str

    @property
    def open(self) -> bool:
        return self.suggested == Threshold.UNCLEAR

    @property
    def agrees(self) -> bool:
        return (self.suggested == Threshold.MEETS) == (self.decision == DecisionKind.REFERRAL)

    @property
    def missed(self) -> bool:
        """The officer referred what triage called less: the fault that matters most."""
        return self.decision == DecisionKind.REFERRAL and self.suggested in (Threshold.LOW_LEVEL, Threshold.NOT_LADO)


def pairs(session: Session) -> list[Pair]:
    """Every decided case that had a suggestion, in the order of the decisions."""
    last: dict[str, DecisionRow] = {}
    for row in session.exec(select(DecisionRow).order_by(col(DecisionRow.at), col(DecisionRow.id))):
        last[row.case_id] = row
    found = []
    for case_id, decided in last.items():
        suggestion = session.exec(
            select(SuggestionRow)
            .join(Message, col(Message.id) == col(SuggestionRow.message_id))
            .where(col(Message.opened_case))
            .where(col(SuggestionRow.case_id) == case_id, col(SuggestionRow.created_at) <= decided.at)
            .order_by(col(SuggestionRow.engine) == RULES_ALONE, col(SuggestionRow.id).desc())
            .limit(1)
        ).first()
        if suggestion is not None and decided.decision != DecisionKind.TRANSFERRED:
            found.append(
                Pair(
                    at=decided.at,
                    version=suggestion.version,
                    suggested=suggestion.threshold,
                    suggested_category=suggestion.category,
                    decision=decided.decision,
                    category=decided.category,
                )
            )
    return sorted(found, key=lambda pair: pair.at)


def review(session: Session, zone: ZoneInfo) -> dict[str, Any]:
    """Agreement in all, by month of the decision, by version and by category; the overrides of each category."""
    every = pairs(session)
    months: dict[str, list[Pair]] = defaultdict(list)
    versions: dict[str, list[Pair]] = defaultdict(list)
    categories: dict[str, list[Pair]] = defaultdict(list)
    for pair in every:
        months[pair.at.astimezone(zone).strftime("%Y-%m")].append(pair)
        versions[pair.version].append(pair)
        categories[pair.category].append(pair)
    return {
        **_counts(every),
        "by_month": {month: _counts(held) for month, held in sorted(months.items())},
        "by_version": {version: _counts(held) for version, held in versions.items()},
        "by_category": {category: _counts(held) for category, held in sorted(categories.items())},
        "categories_changed": dict(
            Counter(
                f"{pair.suggested_category} to {pair.category}"
                for pair in every
                if pair.suggested_category != pair.category
            ).most_common()
        ),
    }


def _counts(held: Iterable[Pair]) -> dict[str, Any]:
    of = list(held)
    said = [pair for pair in of if not pair.open]
    return {
        "decided": len(of),
        "left_open": len(of) - len(said),
        "threshold_agreement": _share(pair.agrees for pair in said),
        "category_agreement": _share(pair.suggested_category == pair.category for pair in of),
        "referred_though_called_less": sum(pair.missed for pair in of),
    }


def _share(answers: Iterable[bool]) -> float | None:
    counted = list(answers)
    return round(sum(counted) / len(counted), 3) if counted else None
