"""The rows. Times are aware UTC; columns named ``content`` or ``data`` hold what the vault sealed and nothing else does.

Everything else is codes, times, counts, keyed hashes and the setting's name: what the lists, clocks and figures need.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, Table, UniqueConstraint, text
from sqlmodel import Field, SQLModel

LAST_SLACK_PING = "last_slack_ping"
SLACK_HEARD_UNTIL = "slack_heard_until"
SIMULATED = "simulated"
"""The mark in ``meta`` of a record that nothing real is in."""


TICKING = "deadlines.met_at IS NULL AND deadlines.state IN ('running', 'missed')"
"""What waits to be met, word for word as the index of it has it: with bound values SQLite would not take that index."""


def rows_of(model: type[SQLModel]) -> Table:
    """The table behind a model: for statements about rows, which cost far less than objects on the way of every message."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


class Meta(SQLModel, table=True):
    """Facts about this database: the fingerprint of the key it was made with."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True, max_length=64)
    value: str


class Raw(SQLModel, table=True):
    """The bytes of a message exactly as they came, sealed under the data key ``key_id``."""

    __tablename__ = "raw"
    id: str = Field(primary_key=True, max_length=26)
    key_id: str = Field(max_length=32)
    size: int
    sha256: str = Field(max_length=64)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Spooled(SQLModel, table=True):
    """Something accepted, before (and after) it is dealt with. Committed and synced before the other side is answered.

    ``available_at`` is when a worker may take it next (a lease that runs out makes it available again); it is null when
    nothing is left to do. ``claims`` counts takings, ``tries`` counts failures.
    """

    __tablename__ = "spool"
    id: str = Field(primary_key=True, max_length=26)
    channel: str = Field(max_length=16)
    key: str | None = Field(default=None, unique=True, max_length=255)
    received_at: datetime
    raw_id: str = Field(foreign_key="raw.id", index=True, max_length=26)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(default="waiting", max_length=16)
    available_at: datetime | None = Field(default=None, index=True)
    lease_by: str | None = Field(default=None, max_length=64)
    claims: int = 0
    tries: int = 0
    error: str | None = Field(default=None, max_length=64)
    outcome: str | None = Field(default=None, max_length=32)
    message_id: str | None = Field(default=None, max_length=26)
    case_id: str | None = Field(default=None, index=True, max_length=26)
    done_at: datetime | None = None
    __table_args__ = (Index("ix_spool_state", "state"),)


class Case(SQLModel, table=True):
    """One consultation. ``category`` and ``threshold`` are the suggestion's until ``category_by`` says officer.

    ``source`` is who brought it, in the figures' words; ``themes`` are tags that an officer adds for them.
    ``restricted_to`` are those who may see a restricted case, beside the officer who has it; ``set_aside`` is why it is no
    consultation; ``sign_off`` is whether the decision that stands waits for a second officer, or had one.

    ``employer_knew_at`` is when the adult's employer first knew, as it is told: noon, where only the day is.
    ``proposed`` is whom the routing rules would have take it, which claims nothing.
    ``desk_ts`` is where its card stands; ``desk_told`` the last entry of its audit that the card's thread has told.

    ``key_id`` is the data key of all its content; what arrived later has keys of its own, found over ``raw``.
    """

    __tablename__ = "cases"
    id: str = Field(primary_key=True, max_length=26)
    key_id: str = Field(max_length=32)
    reference: str = Field(unique=True, max_length=32)
    reply_tag: str = Field(unique=True, max_length=32)
    status: str = Field(max_length=24)
    channel: str = Field(max_length=16)
    received_at: datetime
    organisation: str | None = None
    sector: str | None = Field(default=None, max_length=64)
    elsewhere: bool | None = None
    officer: str | None = Field(default=None, max_length=128)
    no_names: bool = False
    restricted: bool = False
    category: str | None = Field(default=None, max_length=24)
    threshold: str | None = Field(default=None, max_length=32)
    category_by: str | None = Field(default=None, max_length=16)
    decision: str | None = Field(default=None, max_length=32)
    outcome: str | None = Field(default=None, max_length=32)
    concluded_at: datetime | None = Field(default=None, index=True)
    review_at: datetime | None = Field(default=None, index=True)
    hold: bool = False
    strip_names: bool = False
    purged_at: datetime | None = Field(default=None, index=True)
    remarks: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    sub_sector: str | None = Field(default=None, max_length=64)
    source: str | None = Field(default=None, max_length=32)
    themes: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    restricted_to: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    employer_action: str | None = Field(default=None, max_length=32)
    employer_knew_at: datetime | None = None
    transferred_to: str | None = Field(default=None, max_length=100)
    escalated: str | None = Field(default=None, max_length=32)
    set_aside: str | None = Field(default=None, max_length=32)
    merged_into: str | None = Field(default=None, index=True, max_length=26)
    sign_off: str | None = Field(default=None, max_length=16)
    proposed: str | None = Field(default=None, max_length=128)
    revision: int = 1
    desk_channel: str | None = Field(default=None, max_length=64)
    desk_ts: str | None = Field(default=None, max_length=64)
    desk_told: int = 0
    __table_args__ = (
        Index("ix_cases_desk_ts", "desk_ts"),
        Index("ix_cases_status_received", "status", "received_at"),
        Index("ix_cases_organisation", "organisation", "received_at"),
    )


class Message(SQLModel, table=True):
    """A message of a case, in or out; without a case it is on the unfiled list.

    ``identity`` is what makes two arrivals the same message (invariant 2), ``rfc_key`` the keyed hash of its Message-ID,
    ``root_key`` that of the message that its thread begins with, as it says itself.
    """

    __tablename__ = "messages"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str | None = Field(default=None, foreign_key="cases.id", index=True, max_length=26)
    channel: str = Field(max_length=16)
    direction: str = Field(max_length=4)
    received_at: datetime = Field(index=True)
    identity: str = Field(unique=True, max_length=64)
    rfc_key: str | None = Field(default=None, index=True, max_length=64)
    root_key: str | None = Field(default=None, index=True, max_length=64)
    sender_key: str | None = Field(default=None, index=True, max_length=64)
    opened_case: bool = False
    machine_sent: str | None = Field(default=None, max_length=64)
    sender_trust: str = Field(default="none", max_length=8)
    version_of: str | None = Field(default=None, max_length=26)
    parked: bool = False
    raw_id: str | None = Field(default=None, foreign_key="raw.id", index=True, max_length=26)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Participant(SQLModel, table=True):
    """An address whose messages may join the case: it wrote, an officer wrote to it, or an officer added it."""

    __tablename__ = "participants"
    case_id: str = Field(primary_key=True, foreign_key="cases.id", max_length=26)
    address_key: str = Field(primary_key=True, index=True, max_length=64)
    source: str = Field(max_length=16)
    added_at: datetime
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Subject(SQLModel, table=True):
    """A name on a case, sealed: one that stands in a message, or the adult's as an officer gives it."""

    __tablename__ = "subjects"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    source: str = Field(max_length=16)
    created_at: datetime
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SubjectKey(SQLModel, table=True):
    """A keyed hash under which a name meets those that are written like it."""

    __tablename__ = "subject_keys"
    subject_id: str = Field(primary_key=True, foreign_key="subjects.id", max_length=26)
    key: str = Field(primary_key=True, index=True, max_length=64)
    case_id: str = Field(index=True, max_length=26)


class Link(SQLModel, table=True):
    """Two cases that may belong together; only an officer makes it more than a proposal."""

    __tablename__ = "links"
    case_id: str = Field(primary_key=True, foreign_key="cases.id", max_length=26)
    other_case_id: str = Field(primary_key=True, foreign_key="cases.id", max_length=26)
    state: str = Field(default="proposed", max_length=16)
    why: str = Field(max_length=32)
    created_at: datetime


class SuggestionRow(SQLModel, table=True):
    """What triage suggested for a message, kept beside whatever the officer decides."""

    __tablename__ = "suggestions"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    message_id: str = Field(foreign_key="messages.id", max_length=26)
    created_at: datetime
    engine: str = Field(max_length=64)
    version: str = Field(max_length=64)
    category: str = Field(max_length=24)
    category_confidence: float
    threshold: str = Field(max_length=32)
    threshold_confidence: float
    flags: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    missing: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DecisionRow(SQLModel, table=True):
    """An officer's decision, with its reasons sealed."""

    __tablename__ = "decisions"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    decision: str = Field(max_length=32)
    category: str = Field(max_length=24)
    criteria: list[int] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    by: str = Field(max_length=128)
    at: datetime = Field(index=True)
    suggestion_version: str | None = Field(default=None, max_length=64)
    signed_off_by: str | None = Field(default=None, max_length=128)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NoteRow(SQLModel, table=True):
    """The words behind an act on a case, sealed; ``act`` is the audit's word for it."""

    __tablename__ = "notes"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    act: str = Field(max_length=48)
    by: str = Field(max_length=128)
    at: datetime
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Meeting(SQLModel, table=True):
    """A meeting about a case. What was said is in the note ``note_id``, if anything was noted."""

    __tablename__ = "meetings"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    kind: str = Field(max_length=32)
    held_at: datetime
    by: str = Field(max_length=128)
    recorded_at: datetime
    note_id: str | None = Field(default=None, max_length=26)


class Action(SQLModel, table=True):
    """Something that somebody owes on a case by a day. What it is stands in the note ``note_id``, or in a letter of ours.

    ``owner`` is who in the field's words (the employer, the police); ``address_key`` the participant who is written to,
    ``asked_in`` the message that asked for it.
    """

    __tablename__ = "actions"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    owner: str = Field(max_length=32)
    due_at: datetime
    state: str = Field(max_length=16)
    by: str = Field(max_length=128)
    recorded_at: datetime
    closed_at: datetime | None = None
    address_key: str | None = Field(default=None, max_length=64)
    asked_in: str | None = Field(default=None, max_length=26)
    note_id: str = Field(max_length=26)
    __table_args__ = (Index("ix_actions_state_due", "state", "due_at"),)


class Chaser(SQLModel, table=True):
    """A planned reminder of an action that is owed: a letter to ``address_key``, or without one a notice to the desk.

    As with reminders, it leaves ``waiting`` in the transaction that puts it in the outbox, or that cancels it.
    """

    __tablename__ = "chasers"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    action_id: str = Field(foreign_key="actions.id", max_length=26)
    address_key: str | None = Field(default=None, max_length=64)
    kind: str = Field(max_length=16)
    due_at: datetime
    state: str = Field(max_length=16)
    sent_at: datetime | None = None
    cancelled_because: str | None = Field(default=None, max_length=32)
    __table_args__ = (
        UniqueConstraint("action_id", "kind"),
        Index("ix_chasers_state_due", "state", "due_at"),
    )


class Strand(SQLModel, table=True):
    """An inquiry beside ours: the police's, social care's, the employer's."""

    __tablename__ = "strands"
    case_id: str = Field(primary_key=True, foreign_key="cases.id", max_length=26)
    strand: str = Field(primary_key=True, max_length=32)
    opened_at: datetime
    closed_at: datetime | None = None


class Regulator(SQLModel, table=True):
    """A body that was told of a case, and when."""

    __tablename__ = "regulators"
    case_id: str = Field(primary_key=True, foreign_key="cases.id", max_length=26)
    body: str = Field(primary_key=True, max_length=32)
    told_at: datetime
    by: str = Field(max_length=128)


class Pause(SQLModel, table=True):
    """A time in which a case's clocks stood still, and why. ``ended_at`` is empty while they do."""

    __tablename__ = "pauses"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    reason: str = Field(max_length=32)
    started_at: datetime
    ended_at: datetime | None = None


class Feedback(SQLModel, table=True):
    """A survey that was sent about a concluded case, and what was answered: codes alone. A remark is in ``note_id``."""

    __tablename__ = "feedback"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", max_length=26)
    role: str = Field(max_length=16)
    address_key: str | None = Field(default=None, max_length=64)
    asked_at: datetime = Field(index=True)
    answered_at: datetime | None = None
    answers: dict[str, str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    note_id: str | None = Field(default=None, max_length=26)
    __table_args__ = (UniqueConstraint("case_id", "role"),)


class Absence(SQLModel, table=True):
    """Days on which somebody of the duty rota is away, the ``first`` and ``last`` among them (YYYY-MM-DD), and who covers.

    ``ended_at`` is when that was taken back. Why somebody is away is nobody's business here.
    """

    __tablename__ = "absences"
    id: str = Field(primary_key=True, max_length=26)
    person: str = Field(max_length=128)
    first: str = Field(max_length=10)
    last: str = Field(index=True, max_length=10)
    cover: str | None = Field(default=None, max_length=128)
    by: str = Field(max_length=128)
    recorded_at: datetime
    ended_at: datetime | None = None


class Deadline(SQLModel, table=True):
    """A running clock of a case. ``steps`` is how the due time was reached, counted day by counted day."""

    __tablename__ = "deadlines"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", max_length=26)
    target: str = Field(max_length=32)
    rule: str = Field(max_length=64)
    calendar: str = Field(max_length=64)
    started_at: datetime
    due_at: datetime
    state: str = Field(max_length=16)
    met_at: datetime | None = None
    steps: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    __table_args__ = (
        UniqueConstraint("case_id", "target"),
        Index("ix_deadlines_state_due", "state", "due_at"),
        Index(
            "ix_deadlines_ticking",
            "case_id",
            "due_at",
            sqlite_where=text(TICKING.replace("deadlines.", "")),
            postgresql_where=text(TICKING.replace("deadlines.", "")),
        ),
    )


class Reminder(SQLModel, table=True):
    """A planned nudge. It leaves ``waiting`` in the transaction that puts it in the outbox, or that cancels it."""

    __tablename__ = "reminders"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    deadline_id: str = Field(foreign_key="deadlines.id", max_length=26)
    kind: str = Field(max_length=32)
    recipient: str = Field(max_length=128)
    due_at: datetime
    state: str = Field(max_length=16)
    sent_at: datetime | None = None
    cancelled_because: str | None = Field(default=None, max_length=32)
    __table_args__ = (
        UniqueConstraint("deadline_id", "kind", "due_at", "recipient"),
        Index("ix_reminders_state_due", "state", "due_at"),
    )


class Outgoing(SQLModel, table=True):
    """Something to be delivered. ``key`` makes each effect one row, however often the cause comes round.

    ``mail_id`` is the Message-ID, one for the life of the row; ``uncertain`` is set when an attempt may have arrived.
    ``bounce_tag`` is in the envelope sender, where whoever cannot deliver it says so; ``bounced_at`` is when somebody did.
    """

    __tablename__ = "outbox"
    id: str = Field(primary_key=True, max_length=26)
    key: str = Field(unique=True, max_length=255)
    channel: str = Field(max_length=16)
    kind: str = Field(max_length=32)
    case_id: str | None = Field(default=None, foreign_key="cases.id", index=True, max_length=26)
    created_at: datetime
    state: str = Field(default="waiting", max_length=16)
    available_at: datetime | None = Field(default=None, index=True)
    lease_by: str | None = Field(default=None, max_length=64)
    claims: int = 0
    tries: int = 0
    uncertain: bool = False
    give_up_from: datetime | None = None
    error: str | None = Field(default=None, max_length=64)
    sent_at: datetime | None = None
    mail_id: str | None = Field(default=None, index=True, max_length=255)
    bounce_tag: str | None = Field(default=None, max_length=32)
    bounced_at: datetime | None = None
    address_key: str | None = Field(default=None, index=True, max_length=64)
    words_key: str | None = Field(default=None, max_length=64)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    __table_args__ = (
        Index("ix_outbox_state", "state"),
        Index("ix_outbox_bounce_tag", "bounce_tag", unique=True),
    )


class DeskPost(SQLModel, table=True):
    """A post of ours on the desk that is taken back one day: where it stands, and why it is remembered. No content.

    ``id`` is the outbox row that posted it, ``holds`` what it is: an answer, an event in a card's thread, or a file (``ts``
    is its id).
    """

    __tablename__ = "desk_posts"
    id: str = Field(primary_key=True, max_length=26)
    case_id: str = Field(foreign_key="cases.id", index=True, max_length=26)
    holds: str = Field(max_length=16)
    channel: str = Field(max_length=64)
    ts: str = Field(max_length=64)
    posted_at: datetime
    erased_at: datetime | None = None


class KnownSender(SQLModel, table=True):
    """An organisation that writes from a mail domain, as a list says. Public facts about organisations, no content.

    ``source`` is which list; ``trust`` is who runs it beside others; ``elsewhere`` is the list's own word on whether it is
    another authority's, and None leaves that to ``authority``.
    """

    __tablename__ = "known_senders"
    source: str = Field(primary_key=True, max_length=16)
    identity: str = Field(primary_key=True, max_length=64)
    domain: str = Field(primary_key=True, index=True, max_length=255)
    organisation: str = Field(max_length=200)
    kind: str | None = Field(default=None, max_length=100)
    trust: str | None = Field(default=None, max_length=200)
    sector: str | None = Field(default=None, max_length=64)
    authority: str | None = Field(default=None, max_length=100)
    elsewhere: bool | None = None
    imported_at: datetime


class Destruction(SQLModel, table=True):
    """A data key that is to be destroyed, noted in the transaction that purges its case; ``done_at`` once it is."""

    __tablename__ = "destructions"
    key_id: str = Field(primary_key=True, max_length=32)
    case_id: str = Field(index=True, max_length=26)
    ordered_at: datetime
    done_at: datetime | None = Field(default=None, index=True)


class SignedHead(SQLModel, table=True):
    """The audit chains' heads that changed since the last one, hashed to it and signed (Ed25519)."""

    __tablename__ = "audit_signed_heads"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime
    heads: list[Any] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    previous: str = Field(max_length=64)
    hash: str = Field(max_length=64)
    signature: str = Field(max_length=128)


class ChainHead(SQLModel, table=True):
    """The last entry of each audit chain; locked while an entry is added, so that a chain never forks."""

    __tablename__ = "audit_heads"
    chain: str = Field(primary_key=True, max_length=26)
    seq: int
    hash: str = Field(max_length=64)
    signed_seq: int = 0


class AuditEntry(SQLModel, table=True):
    """Who did what, when and why, by codes alone. Append-only; each entry holds the hash of the one before."""

    __tablename__ = "audit"
    chain: str = Field(primary_key=True, max_length=26)
    seq: int = Field(primary_key=True)
    at: datetime
    actor: str = Field(max_length=128)
    act: str = Field(max_length=48)
    code: str | None = Field(default=None, max_length=64)
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    previous: str = Field(max_length=64)
    hash: str = Field(max_length=64)
