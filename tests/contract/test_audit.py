"""The record of acts: each change to it shows (invariant 10)."""

from __future__ import annotations

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from conftest import FRIDAY_1640
from storage import audit
from storage.engine import Database
from storage.tables import AuditEntry


def record(database: Database, chain: str, act: str) -> None:
    with database.write() as session:
        audit.record(session, chain, at=FRIDAY_1640, actor="terminal:amina", act=act, detail={"n": 1})


def broken(database: Database) -> list[str]:
    with database.read() as session:
        return list(audit.broken_links(session))


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def unguard(connection: Connection) -> None:
    """Take the database's own guard off, as whoever owns the file or the server can."""
    for table in ("audit", "audit_signed_heads"):
        if connection.dialect.name == "sqlite":
            for act in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER {table}_refuses_{act}"))
        else:
            connection.execute(text(f"DROP TRIGGER {table}_append_only ON {table}"))


def sign(database: Database) -> str:
    with database.write() as session:
        signed = audit.sign_heads(session, KEY, now=FRIDAY_1640)
        assert signed is not None
        return f"{signed.seq}:{signed.hash}"


def unsigned(database: Database, expected: str | None = None) -> list[str]:
    with database.read() as session:
        return list(audit.broken_signed_heads(session, KEY, expected=expected))


@pytest.fixture
def two_chains(database: Database) -> Database:
    for act in ("case_opened", "claimed", "decided"):
        record(database, "CASE1", act)
    record(database, "CASE2", "case_opened")
    return database


def test_untouched_chains_hold(two_chains: Database) -> None:
    assert broken(two_chains) == []


@pytest.mark.parametrize(
    ("tampering", "named"),
    [
        ("UPDATE audit SET actor = 'terminal:mallory' WHERE chain = 'CASE1' AND seq = 2", "CASE1/2"),
        ("DELETE FROM audit WHERE chain = 'CASE1' AND seq = 2", "CASE1/3"),
        ("DELETE FROM audit WHERE chain = 'CASE1' AND seq = 3", "CASE1/3"),
        ("DELETE FROM audit WHERE chain = 'CASE2'", "CASE2/1"),
        ("UPDATE audit SET chain = 'CASE2', seq = 2 WHERE chain = 'CASE1' AND seq = 3", "CASE2/2"),
    ],
)
def test_tampering_is_named(two_chains: Database, tampering: str, named: str) -> None:
    with two_chains.engine.begin() as connection:
        unguard(connection)
        connection.execute(text(tampering))
    assert any(fault.startswith(named) for fault in broken(two_chains))


def test_a_rolled_back_act_leaves_no_entry(two_chains: Database) -> None:
    with pytest.raises(RuntimeError), two_chains.write() as session:
        audit.record(session, "CASE1", at=FRIDAY_1640, actor="terminal:amina", act="released")
        raise RuntimeError
    record(two_chains, "CASE1", "concluded")
    assert broken(two_chains) == []


def test_entries_at_the_same_moment_do_not_fork_a_chain(two_chains: Database) -> None:
    barrier = threading.Barrier(3)

    def act() -> None:
        barrier.wait()
        for _ in range(10):
            record(two_chains, "CASE1", "content_seen")

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken(two_chains) == []
    with two_chains.read() as session:
        assert session.execute(text("SELECT max(seq) FROM audit WHERE chain = 'CASE1'")).scalar() == 33


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'terminal:mallory'",
        "DELETE FROM audit WHERE chain = 'CASE1'",
        "DELETE FROM audit_signed_heads",
        "UPDATE audit_signed_heads SET seq = 7",
    ],
)
def test_the_database_itself_refuses_to_change_the_record(two_chains: Database, statement: str) -> None:
    sign(two_chains)
    with pytest.raises(DBAPIError, match="append-only"), two_chains.engine.begin() as connection:
        connection.execute(text(statement))
    assert broken(two_chains) == []


def test_replacing_an_entry_is_refused_too(two_chains: Database) -> None:
    if not two_chains.is_sqlite:
        pytest.skip("PostgreSQL has no INSERT OR REPLACE")
    with pytest.raises(DBAPIError, match="append-only"), two_chains.engine.begin() as connection:
        connection.execute(text("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE chain = 'CASE1' AND seq = 1"))


def test_signed_heads_hold_what_has_moved_and_follow_each_other(two_chains: Database) -> None:
    sign(two_chains)
    with two_chains.write() as session:
        assert audit.sign_heads(session, KEY, now=FRIDAY_1640) is None
    record(two_chains, "CASE2", "claimed")
    newest = sign(two_chains)
    assert newest.startswith("2:")
    assert unsigned(two_chains, newest) == []


@pytest.mark.parametrize(
    ("tampering", "named"),
    [
        # A case taken away whole, with its head, shows in no chain of its own.
        (
            "DELETE FROM audit WHERE chain = 'CASE2'; DELETE FROM audit_heads WHERE chain = 'CASE2'",
            "CASE2/1 was signed",
        ),
        ("UPDATE audit SET hash = 'x' WHERE chain = 'CASE2'", "CASE2/1 is not what was signed"),
        ("DELETE FROM audit_signed_heads WHERE seq = 2", "signed head 2: is missing"),
        ("DELETE FROM audit_signed_heads WHERE seq = 1", "signed head 2: one before it is missing"),
        ("UPDATE audit_signed_heads SET heads = '[]' WHERE seq = 1", "signed head 1: was changed"),
        ("UPDATE audit_signed_heads SET signature = '00' WHERE seq = 1", "signed head 1: its signature"),
    ],
)
def test_tampering_with_signed_heads_is_named(two_chains: Database, tampering: str, named: str) -> None:
    sign(two_chains)
    record(two_chains, "CASE1", "released")
    newest = sign(two_chains)
    with two_chains.engine.begin() as connection:
        unguard(connection)
        for statement in tampering.split(";"):
            connection.execute(text(statement))
    assert any(named in fault for fault in unsigned(two_chains, newest))


def test_entries_added_together_are_those_that_would_be_added_one_by_one(database: Database) -> None:
    at = FRIDAY_1640
    chains = [f"chain-{number % 3}" for number in range(7)]
    with database.write() as session:
        audit.record(session, "chain-1", at=at, actor="system:x", act="before")
        acts = [audit.Act(chain, "reminder_sent", f"c/{at_}", {"late": False}) for at_, chain in enumerate(chains)]
        audit.record_each(session, acts, at=at, actor="system:x")
        audit.record(session, "chain-2", at=at, actor="system:x", act="after")
        audit.record_each(session, [], at=at, actor="system:x")
    with database.read() as session:
        assert list(audit.broken_links(session)) == []
        rows = session.exec(select(AuditEntry).order_by(col(AuditEntry.chain), col(AuditEntry.seq))).all()
    assert [(row.chain, row.seq, row.act) for row in rows if row.chain == "chain-1"] == [
        ("chain-1", 1, "before"),
        ("chain-1", 2, "reminder_sent"),
        ("chain-1", 3, "reminder_sent"),
    ]
    assert [row.code for row in rows if row.chain == "chain-0"] == ["c/0", "c/3", "c/6"]


def test_a_chain_goes_on_from_what_its_transaction_kept(database: Database) -> None:
    """A head is read once in a transaction; what a savepoint took back is not gone on from."""
    with database.write() as session:
        for act in ("case_opened", "claimed"):
            audit.record(session, "CASE1", at=FRIDAY_1640, actor="terminal:amina", act=act)
        with pytest.raises(LookupError), session.begin_nested():
            audit.record(session, "CASE1", at=FRIDAY_1640, actor="terminal:amina", act="taken_back")
            raise LookupError
        kept = [audit.Act("CASE1", "decided", None, {}), audit.Act("CASE2", "case_opened", None, {})]
        audit.record_each(session, kept, at=FRIDAY_1640, actor="terminal:amina")
        audit.record(session, "CASE1", at=FRIDAY_1640, actor="terminal:amina", act="concluded")
    record(database, "CASE1", "noted")
    assert not broken(database)
    with database.read() as session:
        acts = session.exec(
            select(AuditEntry.act).where(col(AuditEntry.chain) == "CASE1").order_by(col(AuditEntry.seq))
        )
        assert list(acts) == ["case_opened", "claimed", "decided", "concluded", "noted"]
