"""What an officer can ask for and what comes of it, as plain data: the same acts come from Slack and the terminal.

Everything named ``words``, ``reason``, ``note`` is content: it goes on the record, sealed, and never to a log or a channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    ClockEnd,
    DecisionKind,
    EmployerAction,
    Escalation,
    MeetingKind,
    Owner,
    PauseReason,
    RegulatorBody,
    SetAside,
    Source,
    StrandKind,
)
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
class HandOver:
    """Give a case to another officer, whoever has it now."""

    case_id: str
    by: Actor
    to: Actor
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decide:
    case_id: str
    by: Actor
    decision: DecisionKind
    category: Category
    criteria: tuple[Criterion, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Decide as triage suggests: a referral where it says that the threshold is met, else advice and no more.

    ``version`` is the version of the suggestion that the officer saw: another is not accepted unseen.
    """

    case_id: str
    by: Actor
    version: str


@dataclass(frozen=True, slots=True)
class GiveSignOff:
    """A second officer's word on a decision below the threshold. A refusal opens the decision again, and says why."""

    case_id: str
    by: Actor
    agreed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Conclude:
    """``outcome`` and ``employer_action`` are given for a referral and for nothing else. ``note`` says how it ended.

    ``strip_names``: the case loses its content at once, as a no-names consultation does.
    """

    case_id: str
    by: Actor
    outcome: CaseOutcome | None
    note: str
    strip_names: bool = False
    employer_action: EmployerAction | None = None


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open what was concluded, set aside or decided once more: it goes back by one such step."""

    case_id: str
    by: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class NotAConsultation:
    """Take something that is no consultation off the clocks and out of the figures. Opening it again undoes this."""

    case_id: str
    by: Actor
    why: SetAside
    note: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    case_id: str
    by: Actor
    words: str


@dataclass(frozen=True, slots=True)
class RecordMeeting:
    case_id: str
    by: Actor
    kind: MeetingKind
    held_at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class RecordAction:
    """Something that somebody owes by a time. ``address`` is where they are reminded by email: a participant's, or none."""

    case_id: str
    by: Actor
    owner: Owner
    due_at: datetime
    words: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class CloseAction:
    """``done`` or no longer wanted."""

    case_id: str
    by: Actor
    action_id: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class StopChasing:
    """Send no more about an action that is still owed."""

    case_id: str
    by: Actor
    action_id: str


@dataclass(frozen=True, slots=True)
class SetStrand:
    case_id: str
    by: Actor
    strand: StrandKind
    is_open: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class TellRegulator:
    case_id: str
    by: Actor
    body: RegulatorBody
    told_at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class PauseCase:
    case_id: str
    by: Actor
    why: PauseReason
    note: str


@dataclass(frozen=True, slots=True)
class ResumeCase:
    case_id: str
    by: Actor
    note: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand a case to another authority's officer: ``authority`` is its name, no person's."""

    case_id: str
    by: Actor
    authority: str
    reason: str


@dataclass(frozen=True, slots=True)
class Escalate:
    case_id: str
    by: Actor
    why: Escalation
    note: str


@dataclass(frozen=True, slots=True)
class Restrict:
    """Hide a case from all but the officer who has it and those named; with ``lift`` from nobody any more."""

    case_id: str
    by: Actor
    to: tuple[Actor, ...]
    reason: str
    lift: bool = False


@dataclass(frozen=True, slots=True)
class LinkCases:
    """Say that two cases belong together, or (``agreed`` false) that a proposed link is none."""

    case_id: str
    by: Actor
    other_id: str
    agreed: bool = True


@dataclass(frozen=True, slots=True)
class Merge:
    """Deal with a case under another one's reference: what still comes for it comes to that one."""

    case_id: str
    by: Actor
    into_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """Make a second case of the same contact, for another adult. Both keep what came."""

    case_id: str
    by: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class CorrectReceipt:
    """Say when a consultation really came in: its clocks are counted anew from then."""

    case_id: str
    by: Actor
    received_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class NameAdult:
    """Say who a case is about, so that earlier contacts are found. ``role`` is what they do, and where, if it is known."""

    case_id: str
    by: Actor
    name: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class SetFacts:
    """The coded facts that the figures need; None leaves one as it is. ``organisation`` is where the adult works.

    ``employer_knew`` is when the employer first knew: 2026-11-27, or 2026-11-27 16:40; empty, where it is not known.
    """

    case_id: str
    by: Actor
    organisation: str | None = None
    sector: str | None = None
    sub_sector: str | None = None
    source: Source | None = None
    themes: tuple[str, ...] | None = None
    employer_knew: str | None = None


@dataclass(frozen=True, slots=True)
class Advise:
    """Write to one address on a case. ``to`` and ``trust`` are what the officer saw and confirmed (:mod:`.advise`).

    ``with_original``: the message that opened the case goes along. ``despite_fail``: the officer has confirmed this very
    address although mail from it failed authentication. ``asks_by``: the letter asks for something, by this time.
    """

    case_id: str
    by: Actor
    to: str
    trust: str
    words: str
    with_original: bool = False
    despite_fail: bool = False
    asks_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer whoever asked in Slack, in their conversation with the service."""

    case_id: str
    by: Actor
    words: str


@dataclass(frozen=True, slots=True)
class SendFile:
    """Have a file of a case sent to oneself in Slack, for an hour. ``file`` is its key (:mod:`.files`)."""

    case_id: str
    by: Actor
    file: str


@dataclass(frozen=True, slots=True)
class EndClock:
    """End one clock by hand, or let it run again."""

    case_id: str
    by: Actor
    target: str
    why: ClockEnd
    note: str


Act = (
    Claim
    | Release
    | HandOver
    | Decide
    | Accept
    | GiveSignOff
    | Conclude
    | Reopen
    | NotAConsultation
    | Note
    | RecordMeeting
    | RecordAction
    | CloseAction
    | StopChasing
    | SetStrand
    | TellRegulator
    | PauseCase
    | ResumeCase
    | Transfer
    | Escalate
    | Restrict
    | LinkCases
    | Merge
    | Split
    | CorrectReceipt
    | SetFacts
    | NameAdult
    | Advise
    | Reply
    | SendFile
    | EndClock
)


@dataclass(frozen=True, slots=True)
class Done:
    """The act was performed, or had been by the same officer before: ``said`` tells which, without content."""

    said: str
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The act was not performed; ``said`` tells the officer why, without content."""

    said: str
