"""The record of acts: each change to it shows (invariant 10)."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from conftest import FRIDAY_1640
from storage import audit
from storage.engine import Database


def record(database: Database, chain: str, act: str) -> None:
    with database.write() as session:
        audit.record(session, chain, at=FRIDAY_1640, actor="terminal:amina", act=act, detail={"n": 1})


def broken(database: Database) -> list[str]:
    with database.read() as session:
        return list(audit.broken_links(session))


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
