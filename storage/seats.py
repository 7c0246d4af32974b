"""The nodes of one PostgreSQL: each holds a seat under its name while it lives, and whoever asks can see who is there.

A seat is an advisory lock and the name of a connection, so that it ends with the process and nothing is left to be cleaned
up. It decides one thing only: whether what is leased under a name may be given back at the start, because nobody else who
lives has that name. On SQLite one process serves, and has all seats.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from storage.engine import Database

_CLASS = 0x5EA7
_SHOWN = "intake-bot"
_MOST = 63
"""What PostgreSQL keeps of a connection's name."""
_HOLD = text("SELECT pg_try_advisory_lock(:class, hashtext(:name))")
_SHOW = text("SELECT set_config('application_name', :shown, false)")
_SEATED = text(
    "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE :shown"
    " ORDER BY application_name"
)


@dataclass(frozen=True, slots=True)
class Seated:
    """A node that lives: its name, cut to what fits, and what it does."""

    name: str
    roles: str


class Seat:
    """One node's. Safe to use from several threads."""

    def __init__(self, database: Database, name: str, roles: str) -> None:
        """``roles`` is what the node does, in one word; the same name with other roles is another seat."""
        self._database, self._name, self._roles = database, name, roles
        self._connection: Connection | None = None
        self._wanted = self._alone = False
        self._turn = threading.Lock()

    @property
    def is_ours(self) -> bool:
        """Whether the name was this node's alone when it last sat down."""
        return self._alone

    def take(self) -> bool:
        """Sit down; whether the name is this node's alone. Raises what the database raises."""
        if self._database.is_sqlite:
            self._alone = True
            return True
        with self._turn:
            self._wanted = True
            return self._sit_down()

    def keep(self) -> None:
        """Sit down again where the connection was lost. Raises what the database raises."""
        with self._turn:
            if self._connection is not None:
                try:
                    self._connection.execute(text("SELECT 1"))
                except SQLAlchemyError:
                    self._stand_up()
            if self._wanted and self._connection is None:
                self._sit_down()

    def leave(self) -> None:
        with self._turn:
            self._wanted = False
            self._stand_up()

    def _sit_down(self) -> bool:
        self._stand_up()
        self._alone = False
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # Not of the pool, which would lend it to others once it is closed.
        connection.detach()
        try:
            connection.execute(_SHOW, {"shown": f"{_SHOWN} {self._roles} {self._name}"[:_MOST]})
            alone = bool(connection.execute(_HOLD, {"class": _CLASS, "name": f"{self._roles} {self._name}"}).scalar())
        except SQLAlchemyError:
            connection.close()
            raise
        self._connection, self._alone = connection, alone
        return alone

    def _stand_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing one that is lost already has nothing to say.
            with suppress(SQLAlchemyError):
                connection.close()


def seated(database: Database) -> list[Seated]:
    """The nodes that live, by the names of their connections; none on SQLite. One name may be there more than once."""
    if database.is_sqlite:
        return []
    with database.read() as session:
        names = session.connection().execute(_SEATED, {"shown": f"{_SHOWN} %"}).scalars()
        parts = [name.split(" ", 2) for name in names]
    return [Seated(part[2], part[1]) for part in parts if len(part) == 3]
