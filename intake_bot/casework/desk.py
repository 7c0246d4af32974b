"""The duty desk as casework sees it: what is shown there, and the port that a real desk (Slack, a terminal) fills.

A :class:`CaseCard` and a :class:`Notice` may be read over a shoulder or on a locked telephone's screen, so they hold
codes, times and the reference only. A :class:`CaseView` holds content and goes to one officer who asked for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from intake_bot.casework.vocabulary import DeadlineState, DecisionKind, Escalation, Remark, SignOff, Status
from triage.suggestion import Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: ``kind`` is ``slack``, ``terminal`` or ``system``; ``id`` is ``TEAM/USER`` for Slack, else a name."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Actor:
        kind, _, identity = text.partition(":")
        return cls(kind, identity)


SYSTEM = Actor("system", "intake-bot")
TERMINAL = "terminal"
"""The channel of what stands on a desk that is a terminal."""


@dataclass(frozen=True, slots=True)
class DueTime:
    """A target of a case as a card shows it. Times are aware UTC."""

    target: str
    due_at: datetime
    state: DeadlineState
    met_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseCard:
    """One glance at a case. No person's name, no quotation, no subject line: safe for the duty channel."""

    case_id: str
    reference: str
    revision: int
    """Counts up with each change, so that two renderings can be told apart."""
    status: Status
    channel: str
    received_at: datetime
    sector: str | None
    officer: Actor | None
    category: Category | None
    category_confidence: float
    threshold: Threshold | None
    threshold_confidence: float
    flags: tuple[Flag, ...]
    missing: tuple[MissingDatum, ...]
    due: tuple[DueTime, ...]
    decision: DecisionKind | None
    decided_by: Actor | None
    remarks: tuple[Remark, ...]
    messages: int
    """How many messages are on the case."""
    no_names: bool
    restricted: bool
    organisation: str | None = None
    """Who writes from the sender's mail domain, as the imported lists say."""
    sender_trust: str = "none"
    """Of the message that opened the case."""
    sign_off: SignOff | None = None
    escalated: Escalation | None = None
    transferred_to: str | None = None
    actions_open: int = 0
    suggestion_version: str | None = None
    on_duty: tuple[Actor, ...] = ()
    """Who is called upon, while nobody has it."""
    proposed: Actor | None = None
    """For whom it is by the routing rules. Nothing is claimed by that."""

    @property
    def setting(self) -> str:
        """The sector alone: what a card may say where several people see it."""
        return self.sector or "Sector not known"

    @property
    def came_from(self) -> str:
        """Sector and organisation, and on what evidence, for one officer's eyes: with the category, the organisation may
        tell who is meant. Where no names are wanted it is not said at all.
        """
        sector = self.setting
        if self.organisation is None or self.no_names:
            return sector
        proof = "whose sender is proven" if self.sender_trust == "pass" else "whose sender is not proven"
        return f"{sector}: {self.organisation}, going by the mail domain, {proof}"


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as an officer reads it. ``evidence`` of the suggestion points into ``text`` where ``is_evidence_text``."""

    id: str
    direction: str
    sender: str
    sender_trust: str
    machine_sent: str | None
    received_at: datetime
    subject: str
    text: str
    full_text: str
    attachments: tuple[str, ...]
    is_evidence_text: bool
    recipients: tuple[str, ...] = ()
    read_whole: bool = False
    """``text`` is all of the message, for that is what triage read: not every word of it need be the sender's."""
    suggestion: Suggestion | None = None
    """What triage made of a message that joined the case later. Its evidence points into ``text``."""


@dataclass(frozen=True, slots=True)
class DecisionView:
    decision: DecisionKind
    category: Category
    criteria: tuple[Criterion, ...]
    reason: str
    by: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with its content, for one officer's eyes."""

    card: CaseCard
    messages: tuple[MessageView, ...]
    suggestion: Suggestion | None
    decision: DecisionView | None
    explanations: tuple[str, ...]
    """How each deadline was reached, in sentences."""
    proposed_links: tuple[str, ...]
    """References of cases that this one may belong to."""
    record: tuple[tuple[str, str], ...] = ()
    """What officers noted, recorded and wait for, each with its words, oldest first."""
    history: tuple[str, ...] = ()
    """What was done with the case, a sentence each, oldest first."""
    earlier: tuple[str, ...] = ()
    """Contacts that may concern the same adult or setting, a sentence each, the surest first. They hold no name."""


READ_WHOLE = "Triage read all of this message, what it answers too: not every word is the sender's."


class NoticeKind(StrEnum):
    REMINDER = "reminder"
    PARKED = "parked"
    UNFILED = "unfiled"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_DELAYED = "delivery_delayed"
    FOLDED = "folded"
    JOINED = "joined"
    MORE_URGENT = "more_urgent"
    CAPPED = "capped"
    ESCALATED = "escalated"
    ACTION = "action"
    TELEPHONE = "telephone"
    DIGEST = "digest"
    WEEK = "week"
    STUCK = "stuck"
    RESTRICTED = "restricted"
    NOT_ERASED = "not_erased"


@dataclass(frozen=True, slots=True)
class Listed:
    """A case that a digest names, with its next target."""

    reference: str
    target: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A line to the duty desk, without content. ``target`` and ``due_at`` are set for reminders."""

    kind: NoticeKind
    reference: str | None = None
    target: str | None = None
    moment: str | None = None
    """``before``, ``at`` or ``after`` the due time, for reminders."""
    due_at: datetime | None = None
    late: bool = False
    owner: Actor | None = None
    count: int = 1
    code: str | None = None
    """A fixed word for what went wrong, for alerts."""
    urgent: tuple[Flag, ...] = ()
    """What a duty officer must see first of a message that joined."""
    to: str = "duty"
    """Whom a reminder is for: the duty desk, the owner of the case, or the manager."""
    figures: tuple[tuple[str, int], ...] = ()
    """The numbers of a digest, each under its name."""
    listed: tuple[Listed, ...] = ()
    on_duty: tuple[Actor, ...] = ()
    """Who is called upon, where nobody has the case."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a post stands on the desk: for Slack the channel and the message's ``ts``."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Direct:
    """Words to one person. ``form``: with a button to the form; ``holds_content``: an officer's words, about people."""

    text: str
    form: bool = False
    holds_content: bool = False


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file for one person, under a name of ours, and our words beside it. The bytes are content."""

    name: str
    text: str
    content: bytes = field(repr=False)


Begun = Callable[[Posted], Awaitable[None]]
"""Told of where something will stand, before there is anything to see."""


class DeliveryFailed(Exception):
    """Something could not be delivered. ``code`` is a fixed word, never the other side's text.

    ``permanent`` means that trying the same again cannot help. ``retry_after`` is in seconds, where the other side
    named one. ``uncertain`` means that it may have arrived all the same.
    """

    def __init__(
        self, code: str, *, permanent: bool = False, retry_after: float | None = None, uncertain: bool = False
    ) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent
        self.retry_after = retry_after
        self.uncertain = uncertain


class Desk(Protocol):
    """Where officers are shown what is new and due. Every method raises :class:`DeliveryFailed` when it fails.

    ``post_id`` is the outbox row's id and travels with the post; ``look_first`` is set after an unknown outcome and
    asks the desk to look for that id among what it already shows, and to adopt it instead of posting it twice.
    """

    async def post_card(self, card: CaseCard, post_id: str, *, look_first: bool) -> Posted: ...

    async def update_card(self, card: CaseCard, at: Posted) -> None: ...

    async def post_notice(self, notice: Notice, post_id: str, *, look_first: bool) -> Posted: ...

    async def direct(self, actor: Actor, said: Direct, post_id: str, *, look_first: bool) -> Posted:
        """Say something to somebody in their own conversation with the service."""
        ...

    async def post_event(self, said: tuple[str, ...], card: Posted, post_id: str, *, look_first: bool) -> Posted:
        """Say what has happened to a case under its card. The words are ours, without content.

        Where there are none any more, what an earlier try left there is found; else it fails for good.
        """
        ...

    async def erase(self, post: Posted) -> None:
        """Take a post of ours away; what is gone already is fine."""
        ...

    async def file_stands(self, file: Posted) -> bool:
        """Whether a file that was sent, or begun to be, can be seen there."""
        ...

    async def send_file(self, actor: Actor, file: FileToSend, begun: Begun, *, before: Posted | None) -> Posted:
        """Give a file to somebody in their own conversation with the service: its channel, and the file's id as ``ts``.

        ``begun`` is told of it first, so that nothing stands there that is not known of. ``before`` is what an earlier try
        began: where it arrived it is adopted, else taken away before another is begun.
        """
        ...

    async def erase_file(self, file: Posted) -> None:
        """Take a file of ours away; what is gone already is fine."""
        ...

    async def tell(self, actor: Actor, text: str) -> None:
        """Say something to one officer alone. ``text`` is ours and holds no content."""
        ...
