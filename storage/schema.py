"""Bringing a database to this version's schema, and refusing one that is newer."""

from __future__ import annotations

from pathlib import Path

import alembic.command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlmodel import Session

from storage.engine import Database
from storage.tables import Meta
from storage.vault import Vault, WrongKey

_MIGRATION_LOCK = 0x1A7A_B07  # any number, the same on every node
_FINGERPRINT = "key_fingerprint"
_MIGRATIONS = Path(__file__).parent / "migrations"


class NewerSchema(Exception):
    """The database was written by a later version of intake-bot."""


def upgrade(database: Database, revision: str | None = None) -> str:
    """Bring the schema to ``revision`` (the head, if none is named), in one transaction under a lock; gives the revision.

    Raises NewerSchema where the database is at a revision that this version does not know.
    """
    with database.engine.connect() as connection, connection.begin():
        if not database.is_sqlite:
            # Several nodes may start at once; SQLite's write lock does the same by itself.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config = _config(connection)
        script = ScriptDirectory.from_config(config)
        known = _known(script)
        wanted = revision or known[-1]
        now = current(connection)
        if now == wanted:
            return wanted
        if (now is not None and now not in known) or wanted not in known:
            raise NewerSchema("the database was written by a later version of intake-bot: install that version")
        alembic.command.upgrade(config, wanted)
        return wanted


def revisions() -> tuple[str, ...]:
    """Every revision that this version knows, oldest first."""
    return _known(ScriptDirectory(str(_MIGRATIONS)))


def current(connection: Connection) -> str | None:
    """The revision that the database is at, or None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def check_key(session: Session, vault: Vault) -> None:
    """Note which key this database belongs to on the first start; afterwards raise WrongKey for any other."""
    row = session.get(Meta, _FINGERPRINT)
    if row is None:
        session.add(Meta(name=_FINGERPRINT, value=vault.fingerprint()))
    elif row.value != vault.fingerprint():
        raise WrongKey("this is not the master key that the database was made with")


def fingerprint(database: Database) -> str | None:
    """Names the key store that the database belongs to; None before the first start."""
    with database.read() as session:
        if not inspect(session.connection()).has_table(str(Meta.__tablename__)):
            return None
        row = session.get(Meta, _FINGERPRINT)
        return row.value if row is not None else None


def _known(script: ScriptDirectory) -> tuple[str, ...]:
    return tuple(revision.revision for revision in reversed(list(script.walk_revisions())))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
