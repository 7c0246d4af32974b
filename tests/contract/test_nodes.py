"""What several nodes of one PostgreSQL know of each other: who is there, and whose turn it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from conftest import PostgresCluster
from contract.test_failing_well import Machine, ready
from intake_bot import doctor
from storage import spool
from storage.engine import Database
from storage.seats import Seat, Seated, seated
from storage.tables import Spooled

LOCK = 0x7E57


@pytest.fixture
def two(postgres: PostgresCluster) -> Iterator[tuple[Database, Database]]:
    url = postgres.new_database()
    databases = Database(url), Database(url)
    yield databases
    for database in databases:
        database.dispose()


def cut_off(database: Database) -> None:
    """Every connection but this one's ends, as it does when a line is cut or a node dies."""
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_a_name_is_one_node_s_while_it_lives(two: tuple[Database, Database]) -> None:
    one, other = two
    first, second = Seat(one, "mx1", "all"), Seat(other, "mx1", "all")
    assert first.take()
    assert not second.take()
    unit = Seat(other, "mx1", "worker")  # another unit of the same host
    assert unit.take()
    assert seated(one) == [Seated("mx1", "all"), Seated("mx1", "all"), Seated("mx1", "worker")]
    unit.leave()
    second.leave()
    first.leave()
    assert until(second.take)
    second.leave()


def test_a_seat_that_was_lost_is_taken_again(two: tuple[Database, Database]) -> None:
    one, other = two
    seat = Seat(one, "mx1", "mail,worker")
    seat.take()
    cut_off(other)
    assert seated(other) == []
    seat.keep()
    assert seated(other) == [Seated("mx1", "mail,worker")]
    seat.keep()
    assert len(seated(other)) == 1
    seat.leave()


def test_one_leads_and_who_is_cut_off_gives_way(two: tuple[Database, Database]) -> None:
    one, other = two
    with one.leadership(LOCK) as leads, other.leadership(LOCK) as leads_too:
        assert (leads, leads_too) == (True, False)
        cut_off(other)
        with other.leadership(LOCK) as leads_now:
            assert leads_now
    # It ended without a word of complaint, and left nothing held.
    with one.leadership(LOCK) as leads:
        assert leads


def test_who_fails_gives_way(two: tuple[Database, Database]) -> None:
    one, other = two
    with pytest.raises(DBAPIError), one.leadership(LOCK), one.read() as session:
        session.connection().execute(text("SELECT nothing"))
    with other.leadership(LOCK) as leads:
        assert leads


def test_who_stands_still_gives_way(two: tuple[Database, Database]) -> None:
    one, other = two

    def leads_now() -> bool:
        with other.leadership(LOCK) as leads:
            return leads

    with one.leadership(LOCK, at_most=timedelta(milliseconds=100)) as leads:
        assert leads
        assert until(leads_now)


async def test_who_has_not_its_name_alone_gives_nothing_back_under_it(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    machine = Machine()
    service = ready(postgres.new_database(), tmp_path, machine, INTAKE_BOT_SERVICE_NODE="mx1")
    house = service.house
    first = Seat(house.database, "mx1", "all")
    assert first.take()
    (kept,) = spool.accept(
        house.database, house.practice.vault, [spool.Offer(spool.Channel.EMAIL, b"in hand", {}, machine.now)]
    )
    spool.take(house.database, house.practice.vault, now=machine.now, lease=timedelta(hours=1), worker="mx1", limit=1)
    await service.start()
    await service.stop()
    with house.database.read() as session:
        row = session.get_one(Spooled, kept)
        assert (row.state, row.lease_by, row.available_at) == ("leased", "mx1", machine.now + timedelta(hours=1))
    first.leave()
    house.close()


def test_doctor_passes_over_connections_that_only_look_like_ours(tmp_path: Path, postgres: PostgresCluster) -> None:
    service = ready(postgres.new_database(), tmp_path, Machine())
    database = service.house.database
    another, node = Seat(database, "report", "nightly"), Seat(database, "mx1", "mail,newer")
    another.take()
    assert [finding.level for finding in doctor._nodes(service.house)] == ["note"]
    node.take()
    says = [(finding.level, finding.says) for finding in doctor._nodes(service.house)]
    assert says == [
        ("ok", "mx1 does mail,newer"),
        ("bad", "nobody does worker,clock: start a node with intake-bot serve --only worker,clock"),
    ]
    for seat in (another, node):
        seat.leave()
    service.house.close()


def test_on_sqlite_one_process_has_everything(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    seat = Seat(database, "mx1", "all")
    assert seat.take()
    seat.keep()
    seat.leave()
    assert seated(database) == []
    with database.leadership(LOCK, at_most=timedelta(seconds=1)) as leads:
        assert leads
    database.dispose()


def until(holds) -> bool:
    """Whether it holds before long: the server sees to it, not this process."""
    ends = time.monotonic() + 10
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True
