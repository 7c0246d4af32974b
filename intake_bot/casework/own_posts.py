"""Our own posts on the desk that do not stay there: remembered when they are delivered, taken back through the outbox.

An answer to a colleague holds content, and goes when the case closes. A file that an officer asked for goes after an
hour, or when the case closes or becomes restricted before that. The events in a card's thread hold no content, and go when
the case becomes restricted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, update
from sqlmodel import Session, col, select

from intake_bot.casework.desk import SYSTEM, Posted
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import CLOSED
from storage import audit, outbox
from storage.outbox import Kind, Via
from storage.tables import Case, DeskPost, Outgoing

ANSWER_STAYS = timedelta(days=1)
"""An answer that arrives when the case is closed already: as long as this, for somebody to read it."""
FILE_STAYS = timedelta(hours=1)
"""A file that was sent to an officer, from when its sending began."""


class Holds(StrEnum):
    """What a post is."""

    ANSWER = "answer"
    EVENT = "event"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Standing:
    """A post that stands on the desk; ``id`` is the outbox row that put it there. Of a file ``at.ts`` is its id."""

    id: str
    holds: Holds
    at: Posted


def remember(session: Session, practice: Practice, case: Case, post: Standing, *, now: datetime) -> None:
    """Note where a post stands, or a file is about to; what came too late for its end is ended from here."""
    row = DeskPost(id=post.id, case_id=case.id, holds=post.holds, channel=post.at.channel, ts=post.at.ts, posted_at=now)
    row = session.merge(row)
    match post.holds:
        case Holds.ANSWER if case.status in CLOSED:
            _order(session, practice, row, now=now, not_before=now + ANSWER_STAYS)
        case Holds.EVENT if case.restricted:
            _order(session, practice, row, now=now)
        case Holds.FILE:
            # With the note: whatever comes of the sending, what it leaves in Slack is taken back.
            _order(session, practice, row, now=now, not_before=now + FILE_STAYS)
        case _:
            pass


_STANDING = select(DeskPost).where(
    col(DeskPost.case_id) == bindparam("case_id"),
    col(DeskPost.holds) == bindparam("holds"),
    col(DeskPost.erased_at).is_(None),
)


def take_back(session: Session, practice: Practice, case: Case, holds: Holds, *, now: datetime) -> None:
    """Order all posts of a case that hold this to be deleted; what is ordered already is not ordered twice."""
    for row in session.exec(_STANDING, params={"case_id": case.id, "holds": holds}).all():
        _order(session, practice, row, now=now)


def stands(session: Session, post_id: str) -> Posted | None:
    """Where that outbox row has put something, or begun to; None where nothing is known of, or it is gone."""
    row = session.get(DeskPost, post_id)
    return Posted(row.channel, row.ts) if row is not None and row.erased_at is None else None


def arrived(session: Session, practice: Practice, post_id: str, *, may_stay: bool, now: datetime) -> None:
    """A file stands now. What was to take it back while it was on its way may have found nothing: it is ordered anew."""
    row = session.get_one(DeskPost, post_id)
    was_ordered = session.exec(select(Outgoing.id).where(col(Outgoing.key) == _order_key(row))).first() is not None
    if may_stay and not was_ordered:
        return
    row.erased_at = None
    session.add(row)
    _order(session, practice, row, now=now, anew=True)


def move(session: Session, case: Case, into: Case) -> None:
    """The case goes on as another: what stands on the desk goes when that one closes."""
    session.flush()
    session.exec(update(DeskPost).where(col(DeskPost.case_id) == case.id).values(case_id=into.id))


def to_erase(session: Session, order: Mapping[str, Any]) -> Standing | None:
    """What an order to delete is about; None where it is gone.

    Of a file it is the one that was ordered, even where another try has put another in its place by now.
    """
    row = session.get(DeskPost, order["post"])
    if row is None or (row.erased_at is not None and "file" not in order):
        return None
    return Standing(row.id, Holds(row.holds), Posted(row.channel, order.get("file", row.ts)))


def erased(session: Session, order: Mapping[str, Any], *, now: datetime) -> None:
    """It is gone from the desk. Of what held content that goes on the record, once."""
    row = session.get_one(DeskPost, order["post"])
    if row.erased_at is not None or order.get("file", row.ts) != row.ts:
        return
    row.erased_at = now
    session.add(row)
    if row.holds != Holds.EVENT:
        detail = {"post": row.id}
        audit.record(session, row.case_id, at=now, actor=str(SYSTEM), act="erased", code=row.holds, detail=detail)


def _order(
    session: Session,
    practice: Practice,
    row: DeskPost,
    *,
    now: datetime,
    not_before: datetime | None = None,
    anew: bool = False,
) -> None:
    # A key for each time it may be ordered: at once, later, and once more for what came after the first.
    when = ":later" if not_before else ":anew" if anew else ""
    outbox.put(
        session,
        practice.vault,
        key=f"{_order_key(row)}{when}",
        via=Via.DESK,
        kind=Kind.ERASE,
        now=now,
        content={"post": row.id} | ({"file": row.ts} if row.holds == Holds.FILE else {}),
        case_id=row.case_id,
        not_before=not_before,
    )


def _order_key(row: DeskPost) -> str:
    """Of a file the order is about that one: another try may put another in its place."""
    return f"erase:{row.id}:{row.ts}" if row.holds == Holds.FILE else f"erase:{row.id}"
