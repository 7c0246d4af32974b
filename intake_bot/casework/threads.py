"""What the thread of a card tells: the events of its case in fixed words, without content and without names.

An event is told once. What is queued is fixed then, so that a post whose outcome is unknown can be looked for. Of a
restricted case nothing is told, and what was told before is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework import own_posts
from intake_bot.casework.desk import SYSTEM, TERMINAL, Actor
from intake_bot.casework.history import words
from intake_bot.casework.own_posts import Holds
from intake_bot.casework.practice import Practice
from storage import outbox
from storage.batches import batches
from storage.outbox import Kind, Via
from storage.tables import AuditEntry, Case

AT_ONCE = 12
"""Events of one post; more than that is told in several."""
TOLD = frozenset(
    {"acknowledged", "not_acknowledged", "advice_sent", "reply_sent", "chased", "reminder_sent", "telephone_wanted"}
    | {"delivery_failed", "message_joined", "message_version", "asked", "action_recorded", "action_closed"}
    | {"claimed", "released", "handed_over", "decided", "signed_off", "sign_off_refused", "reopened", "set_aside"}
    | {"concluded", "paused", "resumed", "escalated", "restriction_lifted", "linked", "merged", "took_in", "split"}
    | {"split_from", "meeting_recorded", "strand_opened", "strand_closed", "regulator_told", "receipt_corrected"}
    | {"clock_ended", "target_missed", "noted", "purged"}
)
"""The acts that are events to whoever reads along; the rest of a case's history is in View."""


def tell(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Queue what has happened since the thread last told. Only where the desk has threads, and the case a card there."""
    if case.desk_ts is None or case.desk_channel == TERMINAL:
        return
    fresh = session.exec(
        select(AuditEntry.seq, AuditEntry.act)
        .where(col(AuditEntry.chain) == case.id, col(AuditEntry.seq) > case.desk_told)
        .order_by(col(AuditEntry.seq))
    ).all()
    if not fresh:
        return
    if case.restricted:
        own_posts.take_back(session, practice, case, Holds.EVENT, now=now)
    else:
        for told in batches([seq for seq, act in fresh if act in TOLD], AT_ONCE):
            outbox.put(
                session,
                practice.vault,
                key=f"event:{case.id}:{told[-1]}",
                via=Via.DESK,
                kind=Kind.EVENT,
                now=now,
                content={"entries": list(told)},
                case_id=case.id,
            )
    case.desk_told = fresh[-1][0]
    session.add(case)


def lines(session: Session, case: Case, entries: Sequence[int]) -> tuple[str, ...]:
    """The events in words, oldest first; none of a case that was restricted meanwhile."""
    if case.restricted:
        return ()
    rows = session.exec(
        select(AuditEntry)
        .where(col(AuditEntry.chain) == case.id, col(AuditEntry.seq).in_(entries))
        .order_by(col(AuditEntry.seq))
    )
    return tuple(f"{_who(row.actor)} {words(row.act, row.code)}." for row in rows)


def _who(actor: str) -> str:
    """By kind alone: a name here would ring somebody's bell each time, and who has the case is on its card."""
    return "The service" if Actor.parse(actor) == SYSTEM else "An officer"
