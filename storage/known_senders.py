"""The directory of known senders: rows replaced list by list, found by mail domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert
from sqlmodel import Session, col, select

from storage.batches import batches
from storage.tables import KnownSender

ROWS_AT_ONCE = 1_000


def replace(session: Session, source: str, rows: Sequence[dict[str, Any]]) -> None:
    """Put ``rows`` (dictionaries of columns) in place of all that ``source`` had, in the caller's transaction."""
    connection = session.connection()
    connection.execute(delete(KnownSender).where(col(KnownSender.source) == source))
    for some in batches(rows, ROWS_AT_ONCE):
        connection.execute(insert(KnownSender), list(some))


_AT = select(KnownSender).where(col(KnownSender.domain) == bindparam("domain")).order_by(col(KnownSender.organisation))


def at(session: Session, domain: str) -> Sequence[KnownSender]:
    """Who writes from exactly this domain."""
    return session.exec(_AT, params={"domain": domain}).all()


def every(session: Session) -> Iterator[KnownSender]:
    """All of them, by domain."""
    yield from session.exec(
        select(KnownSender)
        .order_by(col(KnownSender.domain), col(KnownSender.organisation), col(KnownSender.source))
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
