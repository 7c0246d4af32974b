"""What an officer can ask for and what comes of it, as plain data: the same acts come from Slack and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind
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


@dataclass(frozen=True, slots=True)
class Conclude:
    """``outcome`` is given for a referral and for nothing else. ``note`` is content, and says how it ended.

    ``strip_names``: the case loses its content at once, as a no-names consultation does.
    """

    case_id: str
    by: Actor
    outcome: CaseOutcome | None
    note: str
    strip_names: bool = False


@dataclass(frozen=True, slots=True)
class Advise:
    """Write to one address on a case. ``to`` and ``trust`` are what the officer saw and confirmed (:mod:`.advise`).

    ``words`` are content. ``with_original``: the message that opened the case goes along. ``despite_fail``: the officer
    has confirmed this very address although mail from it failed authentication.
    """

    case_id: str
    by: Actor
    to: str
    trust: str
    words: str
    with_original: bool = False
    despite_fail: bool = False


Act = Claim | Release | Decide | Conclude | Advise


@dataclass(frozen=True, slots=True)
class Done:
    """The act was performed, or had been by the same officer before: ``said`` tells which, without content."""

    said: str
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The act was not performed; ``said`` tells the officer why, without content."""

    said: str
