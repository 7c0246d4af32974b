"""Each revision is reached from the one before with data in it, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import alembic.command
import pytest
from sqlalchemy import MetaData, Table, insert, select

from storage import schema
from storage.engine import Database

WHEN = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)

# What a node of revision 0001 wrote: one row in every table that later revisions touch.
AT_0001 = {
    "raw": {"id": "R1", "size": 3, "sha256": "x", "data": b"\x01sealed"},
    "spool": {
        "id": "R1", "channel": "email", "received_at": WHEN, "raw_id": "R1", "content": b"\x01", "state": "done",
        "claims": 1, "tries": 0,
    },
    "cases": {
        "id": "C1", "reference": "LADO-26-AAAAAA", "reply_tag": "t", "status": "new", "channel": "email",
        "received_at": WHEN, "no_names": False, "restricted": False, "remarks": [], "revision": 1,
    },
    "outbox": {
        "id": "O1", "key": "card:C1", "channel": "desk", "kind": "card", "case_id": "C1", "created_at": WHEN,
        "state": "waiting", "claims": 0, "tries": 0, "uncertain": False, "content": b"\x01",
    },
    "audit_heads": {"chain": "C1", "seq": 1, "hash": "h"},
    "audit": {
        "chain": "C1", "seq": 1, "at": WHEN, "actor": "system:intake-bot", "act": "case_opened", "detail": {},
        "previous": "0", "hash": "h",
    },
}  # fmt: skip


@pytest.fixture
def empty(database_url: str) -> Database:
    return Database(database_url)


def fill(database: Database, rows: dict[str, dict[str, object]]) -> None:
    with database.engine.begin() as connection:
        for name, row in rows.items():
            connection.execute(insert(Table(name, MetaData(), autoload_with=connection)).values(row))


def to(database: Database, revision: str) -> None:
    with database.engine.connect() as connection, connection.begin():
        alembic.command.upgrade(schema._config(connection), revision)


def test_0002_keeps_what_0001_wrote_and_lets_its_nodes_go_on(empty: Database) -> None:
    to(empty, "0001")
    fill(empty, AT_0001)
    to(empty, "0002")
    with empty.engine.connect() as connection:
        for name, row in AT_0001.items():
            table = Table(name, MetaData(), autoload_with=connection)
            kept = connection.execute(select(table)).mappings().one()
            for column, value in row.items():
                got = kept[column]
                assert bytes(got) == value if isinstance(value, bytes) else str(got)[:16] == str(value)[:16], column
    # During a rolling upgrade a node of the old version writes rows without the new columns.
    again = {name: AT_0001[name] | ids for name, ids in {
        "raw": {"id": "R2"},
        "spool": {"id": "R2", "raw_id": "R2"},
        "cases": {"id": "C2", "reference": "LADO-26-BBBBBB", "reply_tag": "u"},
        "outbox": {"id": "O2", "key": "card:C2", "case_id": "C2"},
        "audit_heads": {"chain": "C2"},
    }.items()}  # fmt: skip
    fill(empty, again)
    empty.dispose()


def test_0003_keeps_the_outbox_and_lets_nodes_of_0002_go_on(empty: Database) -> None:
    to(empty, "0002")
    fill(empty, {"cases": AT_0001["cases"], "outbox": AT_0001["outbox"]})
    to(empty, "0003")
    # Rows without a tag: the unique index leaves any number of them be.
    fill(empty, {"outbox": AT_0001["outbox"] | {"id": "O2", "key": "card:2"}})
    with empty.engine.connect() as connection:
        table = Table("outbox", MetaData(), autoload_with=connection)
        rows = connection.execute(select(table)).mappings().all()
    assert [(row["id"], row["bounce_tag"], row["bounced_at"]) for row in rows] == [
        ("O1", None, None),
        ("O2", None, None),
    ]
    empty.dispose()


def test_0004_keeps_messages_and_lets_nodes_of_0003_go_on(empty: Database) -> None:
    to(empty, "0003")
    message = {
        "id": "M1", "channel": "email", "direction": "in", "received_at": WHEN, "identity": "i", "opened_case": False,
        "sender_trust": "none", "parked": False, "content": b"sealed",
    }  # fmt: skip
    fill(empty, {"messages": message})
    to(empty, "0004")
    fill(empty, {"messages": message | {"id": "M2", "identity": "j"}})
    with empty.engine.connect() as connection:
        rows = connection.execute(select(Table("messages", MetaData(), autoload_with=connection))).mappings().all()
    assert [(row["id"], bytes(row["content"]), row["root_key"]) for row in rows] == [
        ("M1", b"sealed", None),
        ("M2", b"sealed", None),
    ]
    empty.dispose()


def test_0005_keeps_cases_and_lets_nodes_of_0004_go_on(empty: Database) -> None:
    to(empty, "0004")
    case = {
        "id": "C1", "key_id": "k", "reference": "LADO-26-AAAAAA", "reply_tag": "t1", "status": "new", "channel": "email",
        "received_at": WHEN, "no_names": False, "restricted": False, "hold": False, "strip_names": False, "remarks": [],
        "revision": 1,
    }  # fmt: skip
    fill(empty, {"cases": case})
    to(empty, "0005")
    fill(empty, {"cases": case | {"id": "C2", "reference": "LADO-26-BBBBBB", "reply_tag": "t2"}})
    with empty.engine.connect() as connection:
        rows = connection.execute(select(Table("cases", MetaData(), autoload_with=connection))).mappings().all()
    assert [(row["id"], row["restricted_to"], row["sign_off"]) for row in rows] == [
        ("C1", None, None),
        ("C2", None, None),
    ]
    empty.dispose()


def test_starting_on_an_older_schema_brings_it_to_the_newest(empty: Database) -> None:
    to(empty, "0001")
    fill(empty, AT_0001)
    head = schema.upgrade(empty)
    with empty.engine.connect() as connection:
        assert schema.current(connection) == head != "0001"
    empty.dispose()
