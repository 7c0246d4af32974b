"""One transaction at a time about one thing, where a count decides what is done and two nodes could both count too few."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text
from sqlmodel import Session

_CLASS = 0x7042
_WAIT = text("SELECT pg_advisory_xact_lock(:class, hashtext(:about))")


def take_turn(session: Session, about: Collection[str]) -> None:
    """Wait for whoever is at work on one of these; what is read afterwards holds what they wrote. Ends with the transaction.

    On SQLite the one writer has all turns.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return
    # In one order everywhere, so that nobody waits for somebody who waits for them.
    for one in sorted(about):
        connection.execute(_WAIT, {"class": _CLASS, "about": one})
