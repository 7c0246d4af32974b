"""Bringing a database to this version's schema, and refusing one that is newer."""

from __future__ import annotations

from pathlib import Path

import alembic.command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlmodel import Session

from storage.engine import Database
from storage.tables import Meta
from storage.vault import Vault, WrongKey

_MIGRATION_LOCK = 0x1A7A_B07  # any number, the same on every node
_FINGERPRINT = "key_fingerprint"


class NewerSchema(Exception):
    """The database was written by a later version of intake-bot."""


def upgrade(database: Database) -> str:
    """Bring the schema to the head revision, in one transaction under a lock; gives the revision.

    Raises NewerSchema where the database is at a revision that this version does not know.
    """
    with database.engine.connect() as connection, connection.begin():
        if not database.is_sqlite:
            # Several nodes may start at once; SQLite's write lock does the same by itself.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config = _config(connection)
        script = ScriptDirectory.from_config(config)
        head = script.get_current_head()
        assert head is not None  # noqa: S101 (there is always a first migration)
        now = current(connection)
        if now == head:
            return head
        if now is not None and now not in {revision.revision for revision in script.walk_revisions()}:
            raise NewerSchema("the database was written by a later version of intake-bot: install that version")
        alembic.command.upgrade(config, "head")
        return head


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


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
