"""Taking work from a table under a lease: one function for the spool and the outbox, on both databases.

A row is free when its ``available_at`` has come. Taking it moves ``available_at`` to the end of the lease, so a worker
that dies gives it back by doing nothing. On PostgreSQL ``FOR UPDATE SKIP LOCKED`` keeps nodes out of each other's way; on
SQLite the write lock of ``BEGIN IMMEDIATE`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import and_, or_, update
from sqlmodel import Session, col, select

from storage.engine import Database
from storage.tables import Outgoing, Spooled

Row = TypeVar("Row", Spooled, Outgoing)

WAITING, LEASED, DONE, PARKED, CANCELLED = "waiting", "leased", "done", "parked", "cancelled"
FURTHEST = timedelta(hours=6)
"""No retry waits as long: what was taken once and is to be taken again later than this was put there by a clock ahead."""
AHEAD = timedelta(hours=1)
"""Longer than the longest of our waits between tries, and than nodes' clocks differ."""


def claim(
    session: Session,
    table: type[Row],
    *,
    now: datetime,
    lease: timedelta,
    worker: str,
    limit: int,
    channel: str | None = None,
) -> Sequence[Row]:
    """Take up to ``limit`` free rows, oldest first, for ``lease`` from ``now``. Commit before working on them.

    ``channel`` keeps to the rows of one channel, so that a slow one holds nobody else up.
    """
    free = (
        select(table)
        .where(col(table.available_at) <= now)
        .order_by(col(table.available_at), col(table.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if channel is not None:
        free = free.where(col(table.channel) == channel)
    rows = session.exec(free).all()
    for row in rows:
        row.state, row.lease_by, row.available_at = LEASED, worker, now + lease
        row.claims += 1
        session.add(row)
    session.flush()
    return rows


def release_leases(session: Session, *, worker: str, now: datetime) -> int:
    """Give back what this worker held when it was last stopped; how many rows that was."""
    count = 0
    for table in (Spooled, Outgoing):
        result = session.connection().execute(
            update(table)
            .where(col(table.state) == LEASED, col(table.lease_by) == worker)
            .values(state=WAITING, lease_by=None, available_at=now)
        )
        count += result.rowcount
    return count


def bring_back(database: Database, *, now: datetime) -> int:
    """Make free what a clock that ran ahead has put so far off that it would lie there unseen; how many rows.

    That is what came by that clock, and what was put back by it after a taking. What waits on purpose stays. What is leased
    may be in the hands of a node that lives: it has an hour more, which is longer than any lease, and is then free.
    """
    count = 0
    for table, came_at in ((Spooled, col(Spooled.received_at)), (Outgoing, col(Outgoing.created_at))):
        available_at = col(table.available_at)
        came_ahead = and_(came_at > now + AHEAD, available_at >= came_at)
        # Nothing is put off on purpose once it was taken, nor ever in the spool.
        put_back = available_at > now + FURTHEST
        if table is Outgoing:
            put_back = and_(put_back, col(Outgoing.claims) > 0)
        waits = and_(col(table.state) == WAITING, or_(came_ahead, put_back))
        held = and_(col(table.state) == LEASED, available_at > now + FURTHEST)
        with database.read() as session:
            if session.exec(select(table.id).where(or_(waits, held)).limit(1)).first() is None:
                continue
        with database.write() as session:
            for lost, free_at in ((waits, now), (held, now + AHEAD)):
                count += session.connection().execute(update(table).where(lost).values(available_at=free_at)).rowcount
    return count
