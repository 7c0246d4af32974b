"""What an officer can ask for, as plain data: the same acts come from Slack and from the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import DecisionKind
from triage.vocabulary import Category, Criterion


@dataclass(frozen=True, slots=True)
class Claim:
    case_id: str
    by: Actor


@dataclass(frozen=True, slots=True)
class Release:
    case_id: str
    by: Actor


@dataclass(frozen=True, slots=True)
class Decide:
    """``reason`` is content: it goes on the record, never to a log or a channel."""

    case_id: str
    by: Actor
    decision: DecisionKind
    category: Category
    criteria: tuple[Criterion, ...]
    reason: str


Act = Claim | Release | Decide
