"""Our own posts on the desk that do not stay there: remembered when they are delivered, taken back through the outbox.

An answer to a colleague holds content, and goes when the case closes. The events in a card's thread hold none, and go when
the case becomes restricted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, update
from sqlmodel import Session, col, select

from intake_bot.casework.desk import SYSTEM, Posted
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import CLOSED
from storage import audit, outbox
from storage.outbox import Kind, Via
from storage.tables import Case, DeskPost

ANSWER_STAYS = timedelta(days=1)
"""An answer that arrives when the case is closed already: as long as this, for somebody to read it."""


class Holds(StrEnum):
    """What a post is."""

    ANSWER = "answer"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Standing:
    """A post that stands on the desk; ``id`` is the outbox row that put it there."""

    id: str
    holds: Holds
    at: Posted


def remember(session: Session, practice: Practice, case: Case, post: Standing, *, now: datetime) -> None:
    """Note where a post stands; what came too late for its end is ended from here."""
    row = DeskPost(id=post.id, case_id=case.id, holds=post.holds, channel=post.at.channel, ts=post.at.ts, posted_at=now)
    session.merge(row)
    if post.holds is Holds.ANSWER and case.status in CLOSED:
        _order(session, practice, case, post.id, now=now, not_before=now + ANSWER_STAYS)
    elif post.holds is Holds.EVENT and case.restricted:
        _order(session, practice, case, post.id, now=now)


_STANDING = select(DeskPost.id).where(
    col(DeskPost.case_id) == bindparam("case_id"),
    col(DeskPost.holds) == bindparam("holds"),
    col(DeskPost.erased_at).is_(None),
)


def take_back(session: Session, practice: Practice, case: Case, holds: Holds, *, now: datetime) -> None:
    """Order all posts of a case that hold this to be deleted; what is ordered already is not ordered twice."""
    for post_id in session.exec(_STANDING, params={"case_id": case.id, "holds": holds}).all():
        _order(session, practice, case, post_id, now=now)


def move(session: Session, case: Case, into: Case) -> None:
    """The case goes on as another: what stands on the desk goes when that one closes."""
    session.flush()
    session.exec(update(DeskPost).where(col(DeskPost.case_id) == case.id).values(case_id=into.id))


def to_erase(session: Session, post_id: str) -> Posted | None:
    """Where a post stands; None where it is gone."""
    row = session.get(DeskPost, post_id)
    return Posted(row.channel, row.ts) if row is not None and row.erased_at is None else None


def erased(session: Session, post_id: str, *, now: datetime) -> None:
    """It is gone from the desk. Of what held content that goes on the record."""
    row = session.get_one(DeskPost, post_id)
    row.erased_at = now
    session.add(row)
    if row.holds != Holds.EVENT:
        detail = {"post": post_id}
        audit.record(session, row.case_id, at=now, actor=str(SYSTEM), act="erased", code=row.holds, detail=detail)


def _order(
    session: Session, practice: Practice, case: Case, post_id: str, *, now: datetime, not_before: datetime | None = None
) -> None:
    # A key for each time it may be ordered: at once, and later.
    outbox.put(
        session,
        practice.vault,
        key=f"erase:{post_id}{':later' if not_before else ''}",
        via=Via.DESK,
        kind=Kind.ERASE,
        now=now,
        content={"post": post_id},
        case_id=case.id,
        not_before=not_before,
    )
