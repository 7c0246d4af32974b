"""Accepted means kept, on both databases: invariants 1 and 3 for the rows under them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import select

from conftest import FRIDAY_1640
from storage import spool
from storage.claims import bring_back, release_leases
from storage.engine import Database
from storage.spool import Channel, Offer, Outcome
from storage.tables import Raw, Spooled
from storage.vault import Vault

LEASE = timedelta(seconds=60)


def accept(database: Database, vault: Vault, raw: bytes = b"raw \x00 bytes", key: str | None = None) -> str | None:
    return spool.accept(database, vault, [offer(raw, key)])[0]


def offer(raw: bytes = b"raw \x00 bytes", key: str | None = None) -> Offer:
    envelope = {"from": "a@school.example", "to": ["lado@elmshire.example"]}
    return Offer(Channel.EMAIL, raw, envelope, FRIDAY_1640, key)


def take(database: Database, vault: Vault, now: datetime = FRIDAY_1640, worker: str = "one") -> list[spool.Arrival]:
    return spool.take(database, vault, now=now, lease=LEASE, worker=worker, limit=10)


def test_what_is_accepted_comes_back_whole(database: Database, vault: Vault) -> None:
    identity = accept(database, vault)
    (arrival,) = take(database, vault)
    assert (arrival.id, arrival.raw, arrival.received_at) == (identity, b"raw \x00 bytes", FRIDAY_1640)
    assert arrival.envelope["to"] == ["lado@elmshire.example"]


def test_the_same_key_is_kept_once(database: Database, vault: Vault) -> None:
    assert accept(database, vault, key="T1/C1/1.1") is not None
    assert accept(database, vault, key="T1/C1/1.1") is None
    assert len(take(database, vault)) == 1


def test_under_its_key_it_waits_until_it_is_dealt_with(database: Database, vault: Vault) -> None:
    accept(database, vault, key="T1/C1/1.1")

    def waits(key: str = "T1/C1/1.1") -> bool:
        with database.read() as session:
            return spool.waits(session, key)

    assert (waits(), waits("another")) == (True, False)
    (arrival,) = take(database, vault)
    assert waits()
    with database.write() as session:
        spool.finish(session, arrival.id, Outcome.ACTED, now=FRIDAY_1640)
    assert not waits()


def test_what_comes_at_once_is_kept_in_one_commit_and_the_same_key_once(database: Database, vault: Vault) -> None:
    commits: list[None] = []
    event.listen(database.engine, "commit", lambda _: commits.append(None))
    offers = [offer(b"%d" % number, "same" if number in {2, 4} else None) for number in range(6)]
    kept = spool.accept(database, vault, offers)
    assert len(commits) == 1
    assert [identity is None for identity in kept] == [False] * 4 + [True, False]
    assert {arrival.id: arrival.raw for arrival in take(database, vault)} == {
        identity: one.raw for identity, one in zip(kept, offers, strict=True) if identity is not None
    }
    assert spool.accept(database, vault, [offer(key="same"), offer(key="new")])[0] is None


def test_another_node_that_was_faster_with_one_takes_no_other_with_it(
    database: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal, raced = vault.seal, []

    def meanwhile(*arguments: Any, **named: Any) -> bytes:
        # Between our look for the key and our insert. (SQLite has one writer: there it cannot happen.)
        if not raced:
            raced.append(True)
            accept(database, vault, key="same")
        return seal(*arguments, **named)

    if not database.is_sqlite:
        monkeypatch.setattr(vault, "seal", meanwhile)
    kept = spool.accept(database, vault, [offer(b"1"), offer(b"2", "same"), offer(b"3")])
    assert [identity is not None for identity in kept] == [True, database.is_sqlite, True]
    assert [arrival.raw for arrival in take(database, vault)].count(b"1") == 1


def test_the_same_key_at_the_same_moment_is_kept_once(database: Database, vault: Vault) -> None:
    barrier = threading.Barrier(4)
    kept: list[str | None] = []

    def race() -> None:
        barrier.wait()
        kept.append(accept(database, vault, key="T1/C1/1.1"))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([identity for identity in kept if identity]) == 1


def test_taken_work_is_nobody_elses_until_its_lease_ends(database: Database, vault: Vault) -> None:
    accept(database, vault)
    assert len(take(database, vault, worker="one")) == 1
    assert take(database, vault, now=FRIDAY_1640 + LEASE - timedelta(seconds=1), worker="two") == []
    assert len(take(database, vault, now=FRIDAY_1640 + LEASE, worker="two")) == 1


def test_two_workers_share_without_overlap(database: Database, vault: Vault) -> None:
    for _ in range(40):
        accept(database, vault)
    barrier = threading.Barrier(4)
    taken: list[str] = []

    def work(name: str) -> None:
        barrier.wait()
        while batch := spool.take(database, vault, now=FRIDAY_1640, lease=LEASE, worker=name, limit=3):
            taken.extend(arrival.id for arrival in batch)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


def test_a_restart_gives_its_own_leases_back_at_once_and_nobody_elses(database: Database, vault: Vault) -> None:
    accept(database, vault)
    accept(database, vault)
    spool.take(database, vault, now=FRIDAY_1640, lease=LEASE, worker="one", limit=1)
    spool.take(database, vault, now=FRIDAY_1640, lease=LEASE, worker="two", limit=1)
    with database.write() as session:
        assert release_leases(session, worker="one", now=FRIDAY_1640) == 1
    assert len(take(database, vault)) == 1


def test_what_a_clock_ahead_put_far_off_comes_back_and_what_a_node_holds_within_the_hour(
    database: Database, vault: Vault
) -> None:
    ahead = FRIDAY_1640 + timedelta(days=400)
    put_back = accept(database, vault)
    assert len(take(database, vault, now=ahead)) == 1
    with database.write() as session:
        spool.give_back(session, str(put_back), now=ahead)
    (held,) = spool.accept(database, vault, [replace(offer(), now=ahead)])
    assert [arrival.id for arrival in take(database, vault, now=ahead, worker="another")] == [held]
    (came,) = spool.accept(database, vault, [replace(offer(), now=ahead)])
    assert bring_back(database, now=FRIDAY_1640) == 3
    assert bring_back(database, now=FRIDAY_1640) == 0
    assert {arrival.id for arrival in take(database, vault)} == {put_back, came}
    with database.read() as session:
        row = session.get_one(Spooled, held)
        assert (row.state, row.lease_by, row.available_at) == ("leased", "another", FRIDAY_1640 + timedelta(hours=1))
    # Where its holder is dead, another takes it then, and not in a year.
    assert held not in {arrival.id for arrival in take(database, vault, now=FRIDAY_1640 + timedelta(minutes=59))}
    assert held in {arrival.id for arrival in take(database, vault, now=FRIDAY_1640 + timedelta(hours=1))}
    # What came by that clock and fails by the right one waits between its tries as anything else does.
    with database.write() as session:
        spool.fail(session, str(came), "unreadable", now=FRIDAY_1640)
    assert bring_back(database, now=FRIDAY_1640) == 0


def test_three_failures_park_it_and_replay_brings_it_back(database: Database, vault: Vault) -> None:
    identity = accept(database, vault)
    assert identity is not None
    now = FRIDAY_1640
    for attempt in range(1, 4):
        now += timedelta(minutes=5)
        assert len(take(database, vault, now=now)) == 1
        with database.write() as session:
            assert spool.fail(session, identity, "reading_timeout", now=now) is (attempt == 3)
    assert take(database, vault, now=now + timedelta(days=1)) == []
    with database.write() as session:
        assert [row.error for row in spool.parked(session)] == ["reading_timeout"]
        assert spool.raw_bytes(session, vault, identity) == b"raw \x00 bytes"
        assert spool.replay(session, identity, now=now)
        assert not spool.replay(session, identity, now=now)
    assert len(take(database, vault, now=now)) == 1


def test_what_kills_the_process_each_time_is_parked_in_the_end(database: Database, vault: Vault) -> None:
    accept(database, vault)
    now = FRIDAY_1640
    taken = 0
    for _ in range(spool.MAX_CLAIMS + 3):
        taken += len(take(database, vault, now=now))
        now += LEASE
    assert taken == spool.MAX_CLAIMS
    with database.read() as session:
        assert [row.error for row in spool.parked(session)] == ["taken_too_often"]


def test_what_is_parked_for_being_taken_too_often_is_told_of_and_a_taking_given_back_does_not_count(
    database: Database, vault: Vault
) -> None:
    identity = accept(database, vault)
    told: list[tuple[str, str]] = []
    now = FRIDAY_1640
    for taking in range(spool.MAX_CLAIMS + 4):
        arrivals = spool.take(
            database,
            vault,
            now=now,
            lease=LEASE,
            worker="one",
            limit=1,
            on_park=lambda _session, parked, code: told.append((parked, code)),
        )
        if taking < 3:
            with database.write() as session:
                spool.give_back(session, arrivals[0].id, now=now)
        now += LEASE
    assert told == [(identity, "taken_too_often")]


def test_what_cannot_be_opened_is_parked_and_holds_nobody_up(database: Database, vault: Vault) -> None:
    spoilt, healthy = accept(database, vault), accept(database, vault)
    with database.write() as session:
        row = session.get_one(Raw, spoilt)
        row.data = row.data[:-1] + bytes([row.data[-1] ^ 1])
        session.add(row)
    told: list[tuple[str, str]] = []
    arrivals = spool.take(
        database,
        vault,
        now=FRIDAY_1640,
        lease=LEASE,
        worker="one",
        limit=10,
        on_park=lambda _session, parked, code: told.append((parked, code)),
    )
    assert [arrival.id for arrival in arrivals] == [healthy]
    assert told == [(spoilt, "cannot_be_opened")]


def test_finishing_happens_once(database: Database, vault: Vault) -> None:
    identity = accept(database, vault)
    assert identity is not None
    with database.write() as session:
        assert spool.finish(session, identity, Outcome.OPENED, now=FRIDAY_1640)
    with database.write() as session:
        assert not spool.finish(session, identity, Outcome.OPENED, now=FRIDAY_1640)


def test_a_rolled_back_finish_leaves_it_to_be_taken_again(database: Database, vault: Vault) -> None:
    identity = accept(database, vault)
    assert identity is not None
    take(database, vault)
    with pytest.raises(RuntimeError), database.write() as session:
        spool.finish(session, identity, Outcome.OPENED, now=FRIDAY_1640)
        raise RuntimeError
    assert len(take(database, vault, now=FRIDAY_1640 + LEASE)) == 1


def test_times_come_back_aware_and_in_utc(database: Database, vault: Vault) -> None:
    accept(database, vault)
    with database.read() as session:
        row = session.exec(select(Spooled)).one()
        assert row.received_at == FRIDAY_1640
        assert row.received_at.utcoffset() == timedelta(0)
