"""At least once, recognisably the same: the outbox on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

from conftest import FRIDAY_1640
from storage import outbox
from storage.engine import Database
from storage.outbox import Kind, Via
from storage.tables import Outgoing
from storage.vault import Vault

LEASE = timedelta(seconds=60)


def put(database: Database, vault: Vault, key: str = "acknowledgement:1") -> str | None:
    with database.write() as session:
        return outbox.put(
            session,
            vault,
            key=key,
            via=Via.MAIL,
            kind=Kind.ACKNOWLEDGEMENT,
            now=FRIDAY_1640,
            content={"to": "a@b.example"},
        )


def take(database: Database, vault: Vault, now: datetime = FRIDAY_1640, via: Via = Via.MAIL) -> list[outbox.Parcel]:
    return outbox.take(database, vault, via=via, now=now, lease=LEASE, worker="one", limit=10)


def test_one_key_is_one_row(database: Database, vault: Vault) -> None:
    assert put(database, vault) is not None
    assert put(database, vault) is None
    (parcel,) = take(database, vault)
    assert parcel.content == {"to": "a@b.example"}


def test_each_way_out_takes_its_own(database: Database, vault: Vault) -> None:
    put(database, vault)
    assert take(database, vault, via=Via.DESK) == []
    assert len(take(database, vault)) == 1


def test_a_death_between_sending_and_marking_is_looked_into(database: Database, vault: Vault) -> None:
    put(database, vault)
    (first,) = take(database, vault)
    (again,) = take(database, vault, now=FRIDAY_1640 + LEASE)
    assert (first.look_first, again.look_first) == (False, True)


def test_a_plain_failure_is_tried_again_without_looking(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    with database.write() as session:
        assert not outbox.failed(session, parcel.id, "relay_unreachable", now=FRIDAY_1640)
    assert take(database, vault) == []
    (again,) = take(database, vault, now=FRIDAY_1640 + outbox.BACKOFF[0])
    assert not again.look_first


def test_an_unknown_outcome_is_looked_into_ever_after(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    now = FRIDAY_1640
    with database.write() as session:
        outbox.failed(session, parcel.id, "timeout", now=now, uncertain=True)
    for _ in range(3):
        now += timedelta(hours=1)
        (parcel,) = take(database, vault, now=now)
        assert parcel.look_first
        with database.write() as session:
            outbox.failed(session, parcel.id, "rate_limited", now=now)


def test_what_the_other_side_asks_to_wait_is_waited(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    with database.write() as session:
        outbox.failed(session, parcel.id, "rate_limited", now=FRIDAY_1640, retry_after=timedelta(seconds=90))
    assert take(database, vault, now=FRIDAY_1640 + timedelta(seconds=89)) == []
    assert len(take(database, vault, now=FRIDAY_1640 + timedelta(seconds=90))) == 1


def test_a_lasting_refusal_parks_it(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    with database.write() as session:
        assert outbox.failed(session, parcel.id, "recipient_refused", now=FRIDAY_1640, permanent=True)
    assert take(database, vault, now=FRIDAY_1640 + timedelta(days=30)) == []


def test_what_cannot_be_opened_is_parked_and_holds_nobody_up(database: Database, vault: Vault) -> None:
    spoilt, healthy = put(database, vault, "one"), put(database, vault, "two")
    with database.write() as session:
        row = session.get_one(Outgoing, spoilt)
        row.content = row.content[:-1] + bytes([row.content[-1] ^ 1])
        session.add(row)
    assert [parcel.id for parcel in take(database, vault)] == [healthy]
    with database.read() as session:
        assert [(row.id, row.error) for row in outbox.parked(session)] == [(spoilt, "cannot_be_opened")]


def test_what_is_parked_is_seen_and_can_be_sent_again(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    much_later = FRIDAY_1640 + outbox.GIVE_UP_AFTER * 2
    with database.write() as session:
        outbox.failed(session, parcel.id, "relay_refused", now=FRIDAY_1640, permanent=True)
        assert [row.id for row in outbox.parked(session)] == [parcel.id]
        assert outbox.replay(session, parcel.id, now=much_later)
        assert not outbox.replay(session, parcel.id, now=much_later)
        assert not outbox.failed(session, parcel.id, "relay_refused", now=much_later)
    (again,) = take(database, vault, now=much_later + LEASE)
    assert again.id == parcel.id


def test_days_of_trouble_park_it_and_drop_nothing(database: Database, vault: Vault) -> None:
    put(database, vault)
    (parcel,) = take(database, vault)
    late = FRIDAY_1640 + outbox.GIVE_UP_AFTER + timedelta(seconds=1)
    with database.write() as session:
        assert not outbox.failed(session, parcel.id, "relay_unreachable", now=late - timedelta(minutes=1))
    take(database, vault, now=late + timedelta(hours=1))
    with database.write() as session:
        assert outbox.failed(session, parcel.id, "relay_unreachable", now=late)
