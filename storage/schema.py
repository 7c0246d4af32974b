"""Bringing a database to this version's schema, and refusing one that is newer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlmodel import Session

from storage.engine import Database
from storage.tables import Meta
from storage.vault import Vault, WrongKey

if TYPE_CHECKING:
    # Loaded only where there is something to migrate: every command looks whether there is.
    from alembic.config import Config

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
        known = revisions()
        wanted = revision or known[-1]
        now = current(connection)
        if now == wanted:
            return wanted
        if (now is not None and now not in known) or wanted not in known:
            raise NewerSchema("the database was written by a later version of intake-bot: install that version")
        import alembic.command

        alembic.command.upgrade(_config(connection), wanted)
        return wanted


def revisions() -> tuple[str, ...]:
    """Every revision that this version knows, oldest first: each file of a migration begins with its own."""
    return tuple(sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def current(connection: Connection) -> str | None:
    """The revision that the database is at, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


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


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
