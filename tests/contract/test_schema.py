"""Migrations and the key: a database fits this version and this key, or the start is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel

from storage import schema
from storage.engine import Database
from storage.keys import FixedSource
from storage.keystore import KeyStore
from storage.vault import Vault, WrongKey


def test_the_migrations_make_the_tables_that_the_code_names(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_files_of_the_migrations_are_named_by_their_revisions() -> None:
    chain = [revision.revision for revision in ScriptDirectory(str(schema._MIGRATIONS)).walk_revisions()]
    assert list(reversed(chain)) == list(schema.revisions())


def test_starting_again_changes_nothing(database: Database) -> None:
    assert schema.upgrade(database) == schema.upgrade(database)


def test_a_newer_database_is_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.NewerSchema):
        schema.upgrade(database)


def test_another_key_store_is_refused(database: Database, vault: Vault, tmp_path: Path) -> None:
    keys = KeyStore(Database(f"sqlite:///{tmp_path / 'other.db'}"), FixedSource("0f" * 32))
    keys.open()
    for _ in range(2):
        with database.write() as session:
            schema.check_key(session, vault)
    with pytest.raises(WrongKey), database.write() as session:
        schema.check_key(session, Vault(keys))
    keys.database.dispose()


def test_several_nodes_may_start_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(3)]
    faults: list[Exception] = []

    def start(database: Database) -> None:
        try:
            schema.upgrade(database)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=start, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.dispose()
    assert faults == []
