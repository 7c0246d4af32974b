"""How far officers agree with triage: counts only, nothing of any text.

An officer's *referral* stands for "meets the harm threshold"; every other decision stands for "does not". A suggestion
that left it open counts apart, and neither for nor against. The last decision on a case counts, beside the suggestion
that stood when it was made.

Beside it stands what was suggested, month by month, decided or not: when the mail or the model drifts, it shows there first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_
from sqlmodel import Session, col, select

from intake_bot.casework.full_reading import read_in_full
from intake_bot.casework.vocabulary import DecisionKind
from storage.tables import DecisionRow, Message, SuggestionRow
from triage.suggestion import RULES_ALONE
from triage.vocabulary import Category, Threshold


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
        suggestion = stood_at(session, case_id, decided.at)
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


def stood_at(session: Session, case_id: str, at: datetime) -> SuggestionRow | None:
    """The suggestion for the message that opened the case, as it stood then: the last, and a full one before any other."""
    return session.exec(
        select(SuggestionRow)
        .join(Message, col(Message.id) == col(SuggestionRow.message_id))
        .where(col(Message.opened_case))
        .where(col(SuggestionRow.case_id) == case_id, col(SuggestionRow.created_at) <= at)
        .order_by(col(SuggestionRow.engine) == RULES_ALONE, col(SuggestionRow.id).desc())
        .limit(1)
    ).first()


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
        "suggested_by_month": suggested_by_month(session, zone),
        "by_category": {category: _counts(held) for category, held in sorted(categories.items())},
        "categories_changed": dict(
            Counter(
                f"{pair.suggested_category} to {pair.category}"
                for pair in every
                if pair.suggested_category != pair.category
            ).most_common()
        ),
    }


def suggested_by_month(session: Session, zone: ZoneInfo) -> dict[str, dict[str, Any]]:
    """How many messages were triaged in each month, and how often each threshold and each category was suggested.

    Every message counts once: where it was read again, by its full reading.
    """
    thresholds: dict[str, Counter[str]] = defaultdict(Counter)
    categories: dict[str, Counter[str]] = defaultdict(Counter)
    statement = select(SuggestionRow.created_at, SuggestionRow.threshold, SuggestionRow.category).where(
        or_(col(SuggestionRow.engine) != RULES_ALONE, ~read_in_full())
    )
    for at, threshold, category in session.exec(statement.execution_options(yield_per=1000)):
        month = at.astimezone(zone).strftime("%Y-%m")
        thresholds[month][threshold] += 1
        categories[month][category] += 1
    return {
        month: {
            "suggestions": counted.total(),
            "thresholds": {threshold.value: counted[threshold] for threshold in Threshold},
            "categories": {category.value: categories[month][category] for category in Category},
        }
        for month, counted in sorted(thresholds.items())
    }


def readable(found: Mapping[str, Any]) -> str:
    """What :func:`review` found, for people: Markdown tables that read as they are."""
    return "\n\n".join(
        (
            "# Suggestions and decisions",
            "## What was suggested, by month",
            _table(
                ("month", "messages", *(threshold.value.replace("_", " ") for threshold in Threshold)),
                [
                    (month, str(held["suggestions"]), *_shares(held["thresholds"], held["suggestions"]))
                    for month, held in found["suggested_by_month"].items()
                ],
            ),
            _table(
                ("month", "messages", *(category.value.replace("_", " ") for category in Category)),
                [
                    (month, str(held["suggestions"]), *_shares(held["categories"], held["suggestions"]))
                    for month, held in found["suggested_by_month"].items()
                ],
            ),
            "## What officers decided against it",
            _table(
                ("", "decided", "left open", "same threshold", "same category", "referred though called less"),
                [
                    _row("in all", found),
                    *(_row(name, held) for by in ("by_month", "by_version") for name, held in found[by].items()),
                    *(
                        _row(f"decided as {name.replace('_', ' ')}", held)
                        for name, held in found["by_category"].items()
                    ),
                ],
            ),
            _table(
                ("category changed", "cases"),
                [(name.replace("_", " "), str(count)) for name, count in found["categories_changed"].items()],
            ),
        )
    )


def _shares(counts: Mapping[str, int], of: int) -> Iterable[str]:
    return (f"{count / of:.0%}" for count in counts.values())


def _row(name: str, held: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        str(held["decided"]),
        str(held["left_open"]),
        *("-" if held[of] is None else f"{held[of]:.0%}" for of in ("threshold_agreement", "category_agreement")),
        str(held["referred_though_called_less"]),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column left, the others right; columns are as wide as what is in them."""
    widths = [max(len(line[number]) for line in (head, *rows)) for number in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return f"| {first[0]:<{first[1]}} |" + "".join(f" {cell:>{width}} |" for cell, width in others)

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((line(head), rule, *map(line, rows)))


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
