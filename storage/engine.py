"""The database: SQLite for one machine, PostgreSQL for several, the same promises on both.

SQLite runs with WAL, ``synchronous=FULL`` (a commit is on the disk before it returns) and foreign keys on. Writers begin
with ``BEGIN IMMEDIATE``: a deferred transaction that reads and then writes fails at once when another has written.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    String,
    any_,
    create_engine,
    event,
    literal,
    make_url,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlmodel import Session

SQLITE_BUSY_SECONDS = 15
LOG_BUSY_MS = 250
WAL_TRIES, WAL_PAUSE_SECONDS = 100, 0.02
POSTGRES_LOCK_TIMEOUT_MS = 15_000
LOST_SECONDS = 15
"""A PostgreSQL that is silent for so long on a line that may be cut is lost: mail is answered with 451, and comes again."""
_KEEPALIVES = {"idle": LOST_SECONDS, "interval": 5, "count": 3}
"""And a node is lost to PostgreSQL after twice that: what it had locked is free then. (Linux waits for two hours.)"""
_READ_ONLY = "intake_bot_read_only"


class Database:
    """Sessions on one database. Safe to use from several threads; each session belongs to one."""

    def __init__(self, url: str) -> None:
        """``url`` is ``sqlite:///PATH`` or ``postgresql://...``. Nothing is opened until the first session."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            self.engine = _sqlite_engine(url)
        elif parsed.get_backend_name() == "postgresql":
            self.engine = _postgres_engine(parsed.set(drivername="postgresql+psycopg").render_as_string(False))
        else:
            raise ValueError("the database url must begin with sqlite:/// or postgresql://")
        self._reading = self.engine.execution_options(**{_READ_ONLY: True})
        # SQLite has one writer at a time and lets the others poll; waiting here instead is fair and wakes at once.
        self._turn: AbstractContextManager[object] = threading.Lock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed (and synced) when the block ends, rolled back when it raises."""
        with self._turn, Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write_rows(self) -> Iterator[Connection]:
        """As :meth:`write`, for rows alone: without a session's objects, which cost more than the rows."""
        with self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view that blocks no writer."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def leadership(self, lock: int, *, at_most: timedelta | None = None) -> Iterator[bool]:
        """Whether this process alone holds ``lock`` (any number) among the nodes; on SQLite there is one anyway.

        Who dies gives it up by dying, who is cut off after half a minute. ``at_most``: who stands still gives it up after so
        long (PostgreSQL 14 and newer), which is for what may be done by two at once without harm.
        """
        if self.is_sqlite:
            yield True
            return
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # A connection of its own: wherever this ends, the lock ends with it, and no pool keeps either.
        connection.detach()
        try:
            if at_most is not None and (connection.dialect.server_version_info or ()) >= (14,):
                milliseconds = at_most // timedelta(milliseconds=1)
                connection.exec_driver_sql(f"SET idle_session_timeout = {milliseconds:d}")
            leads = bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({lock:d})").scalar())
            yield leads
        finally:
            with suppress(SQLAlchemyError):
                # Closing alone frees it too, but only when the server has noticed.
                connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            with suppress(SQLAlchemyError):
                connection.close()

    def among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Whether ``column`` is one of many values; for PostgreSQL one parameter, not one for each, which costs less."""
        return column.in_(values) if self.is_sqlite else column == any_(literal(list(values), ARRAY(String)))

    def empty_log(self) -> bool:
        """Empty SQLite's write-ahead log; False where somebody reads from it. PostgreSQL's log is its server's affair."""
        if not self.is_sqlite:
            return True
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={LOG_BUSY_MS}")
            (busy, *_), *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
            cursor.close()
        finally:
            connection.close()
        return not busy

    def dispose(self) -> None:
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def memory_url() -> str:
    """A new SQLite in this process's memory, for what must not touch the disk; it is gone when it is disposed of."""
    return f"sqlite:///file:{secrets.token_hex(8)}?mode=memory&cache=shared&uri=true"


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        # An error's text would carry the parameters, and they are content.
        hide_parameters=True,
        # SQLAlchemy gives a SQLite in memory one connection a thread; sessions within each other need several.
        poolclass=QueuePool,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # The driver must leave transactions to us, or it begins deferred ones of its own.
        connection.isolation_level = None
        cursor = connection.cursor()
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # Keys and keyed hashes are no ciphertext: what is deleted must not lie about in freed space.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch a new file to WAL. While another process does the same, SQLite says "locked" without waiting its timeout."""
    for _ in range(WAL_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            time.sleep(WAL_PAUSE_SECONDS)
    cursor.execute("PRAGMA journal_mode=WAL")


def _postgres_engine(url: str) -> Engine:
    watched = " ".join(f"-c tcp_keepalives_{name}={value}" for name, value in _KEEPALIVES.items())
    usual = {f"keepalives_{name}": value for name, value in _KEEPALIVES.items()}
    usual |= {"connect_timeout": LOST_SECONDS, "tcp_user_timeout": LOST_SECONDS * 1000}
    # Who sets one of these in the url knows the line better.
    usual = {name: value for name, value in usual.items() if name not in make_url(url).query}
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args=usual | {"options": f"-c lock_timeout={POSTGRES_LOCK_TIMEOUT_MS} -c timezone=UTC {watched}"},
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READ_ONLY, False):
            # One snapshot for the whole session, as SQLite gives.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    return engine
