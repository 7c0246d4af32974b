"""Accepted things on their way in: accept, take, finish, park, replay.

Accepting is all that stands between the other side's dot and our 250, so it does two inserts and one commit, for all that
comes at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, insert, update
from sqlalchemy import select as sqlalchemy_select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from storage.claims import DONE, LEASED, PARKED, WAITING, claim
from storage.engine import Database
from storage.ids import new_id
from storage.tables import Raw, Spooled, rows_of
from storage.vault import UNOPENABLE, Place, Tampered, Vault

MAX_TRIES = 3
"""Failures after which a thing is parked for an officer."""
MAX_CLAIMS = 12
"""Takings without an outcome (the process died each time) after which it is parked all the same."""
CANNOT_BE_OPENED = "cannot_be_opened"
TAKEN_TOO_OFTEN = "taken_too_often"
RETRY_AFTER = (timedelta(seconds=2), timedelta(seconds=15))


class Channel(StrEnum):
    EMAIL = "email"
    SLACK = "slack"
    FORM = "form"
    TALK = "talk"


class Outcome(StrEnum):
    """What became of something accepted."""

    OPENED = "opened"
    JOINED = "joined"
    VERSION = "version"
    DUPLICATE = "duplicate"
    UNFILED = "unfiled"
    ACTED = "acted"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something taken from the spool. ``envelope`` is what the edge knew besides the bytes."""

    id: str
    channel: Channel
    received_at: datetime
    raw_id: str
    key_id: str
    raw: bytes
    envelope: dict[str, Any]
    tries: int
    claims: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to accept. ``envelope`` is what the edge knows besides the bytes.

    ``key`` is what makes it the same as another; ``case`` is the id of the case that it belongs to and the id of that case's
    data key, where both are known already: else it is sealed under a data key of its own.
    """

    channel: Channel
    raw: bytes
    envelope: dict[str, Any]
    now: datetime
    key: str | None = None
    case: tuple[str, str] | None = None


def accept(database: Database, vault: Vault, offers: Sequence[Offer]) -> list[str | None]:
    """Keep all of them for good: committed and synced, in one transaction, when this returns.

    Gives a new id for each, or None where its ``key`` is known. Raises whatever the database raises; then nothing is kept,
    and the other side must be told to come again.
    """
    try:
        return _accept(database, vault, offers)
    except IntegrityError:
        # Another node was faster with one of them: it must not take the others with it.
        if len(offers) == 1:
            if offers[0].key is None:
                raise
            return [None]
        return [identity for offer in offers for identity in accept(database, vault, [offer])]


_SPOOL, _RAW = rows_of(Spooled), rows_of(Raw)
_INSERT_RAW, _INSERT_SPOOLED = insert(_RAW), insert(_SPOOL)
_RAW_OF = sqlalchemy_select(_RAW.c.key_id, _RAW.c.data).where(_RAW.c.id == bindparam("of"))
_FINISH = (
    update(_SPOOL)
    .where(_SPOOL.c.id == bindparam("which"), _SPOOL.c.state != DONE)
    .values(
        state=DONE,
        outcome=bindparam("outcome"),
        done_at=bindparam("done_at"),
        message_id=bindparam("message_id"),
        case_id=func.coalesce(bindparam("case_id", type_=_SPOOL.c.case_id.type), _SPOOL.c.case_id),
        available_at=None,
        lease_by=None,
        error=None,
    )
)


def _accept(database: Database, vault: Vault, offers: Sequence[Offer]) -> list[str | None]:
    identities: list[str | None] = []
    raws, spooled = [], []
    wanted = [offer.key for offer in offers if offer.key is not None]
    # Rows for the driver, not objects: this is what a client waits for.
    with database.write_rows() as connection:
        known = (
            set(connection.execute(select(Spooled.key).where(col(Spooled.key).in_(wanted))).scalars())
            if wanted
            else set()
        )
        for offer in offers:
            if offer.key is not None and offer.key in known:
                identities.append(None)
                continue
            known.add(offer.key)
            identity = new_id(offer.now)
            case_id, key_id = offer.case or (None, vault.keys.new_key())
            identities.append(identity)
            raws.append(
                {
                    "id": identity,
                    "key_id": key_id,
                    "size": len(offer.raw),
                    "sha256": hashlib.sha256(offer.raw).hexdigest(),
                    "data": vault.seal(Place("raw", identity, "data"), offer.raw, key=key_id),
                }
            )
            spooled.append(
                {
                    "id": identity,
                    "channel": offer.channel,
                    "key": offer.key,
                    "received_at": offer.now,
                    "raw_id": identity,
                    "case_id": case_id,
                    "content": vault.seal_json(Place("spool", identity, "content"), offer.envelope, key=key_id),
                    "state": WAITING,
                    "available_at": offer.now,
                    "claims": 0,
                    "tries": 0,
                }
            )
        if raws:
            connection.execute(_INSERT_RAW, raws)
            connection.execute(_INSERT_SPOOLED, spooled)
    return identities


OnPark = Callable[[Session, str, str], None]
"""Told of what is parked, by its id and a fixed code, in the transaction that parks it: an officer must see it."""


def take(
    database: Database,
    vault: Vault,
    *,
    now: datetime,
    lease: timedelta,
    worker: str,
    limit: int,
    on_park: OnPark | None = None,
) -> list[Arrival]:
    """The next things to deal with, leased to ``worker``. Those taken too often without an outcome are parked here."""
    with database.write() as session:
        rows = claim(session, Spooled, now=now, lease=lease, worker=worker, limit=limit)
        arrivals = []
        for row in rows:
            if row.claims > MAX_CLAIMS:
                _park(row, TAKEN_TOO_OFTEN, now)
                session.add(row)
                if on_park is not None:
                    on_park(session, row.id, TAKEN_TOO_OFTEN)
                continue
            try:
                arrivals.append(_arrival(session, vault, row))
            except (*UNOPENABLE, LookupError, ValueError):
                # It must not stand in the way of what is behind it.
                _park(row, CANNOT_BE_OPENED, now)
                session.add(row)
                if on_park is not None:
                    on_park(session, row.id, CANNOT_BE_OPENED)
        return arrivals


def finish(
    session: Session,
    spool_id: str,
    outcome: Outcome,
    *,
    now: datetime,
    message_id: str | None = None,
    case_id: str | None = None,
) -> bool:
    """Mark as dealt with, in the transaction that holds what it led to.

    False where another worker was faster, or a purge has taken the row away.

    ``case_id`` is the case that it belongs to from now on: its data key goes when the case's does.
    """
    session.flush()
    row = {"which": spool_id, "outcome": outcome, "done_at": now, "message_id": message_id, "case_id": case_id}
    return bool(session.connection().execute(_FINISH, row).rowcount)


def fail(session: Session, spool_id: str, error: str, *, now: datetime) -> bool:
    """Count a failure under a fixed code: try again later, or park after :data:`MAX_TRIES`. True when parked."""
    row = session.exec(select(Spooled).where(col(Spooled.id) == spool_id).with_for_update()).one_or_none()
    if row is None or row.state == DONE:
        return False
    row.tries += 1
    row.error = error
    if row.tries >= MAX_TRIES:
        _park(row, error, now)
    else:
        row.state, row.lease_by = WAITING, None
        row.available_at = now + RETRY_AFTER[min(row.tries, len(RETRY_AFTER)) - 1]
    session.add(row)
    return row.state == PARKED


def give_back(session: Session, spool_id: str, *, now: datetime) -> None:
    """Undo a taking that came to nothing through no fault of the thing taken."""
    row = session.exec(select(Spooled).where(col(Spooled.id) == spool_id).with_for_update()).one_or_none()
    if row is not None and row.state == LEASED:
        row.state, row.lease_by, row.claims = WAITING, None, max(0, row.claims - 1)
        row.available_at = now + RETRY_AFTER[0]
        session.add(row)


def replay(session: Session, spool_id: str, *, now: datetime) -> bool:
    """Put a parked thing back in the queue with a clean count. False where nothing is parked under that id."""
    row = session.exec(select(Spooled).where(col(Spooled.id) == spool_id).with_for_update()).one_or_none()
    if row is None or row.state != PARKED:
        return False
    row.state, row.available_at = WAITING, now
    row.tries = row.claims = 0
    session.add(row)
    return True


def parked(session: Session) -> Sequence[Spooled]:
    """What could not be dealt with, oldest first."""
    return session.exec(select(Spooled).where(col(Spooled.state) == PARKED).order_by(col(Spooled.received_at))).all()


def get(session: Session, vault: Vault, spool_id: str) -> Arrival | None:
    row = session.get(Spooled, spool_id)
    return None if row is None else _arrival(session, vault, row)


def state_of(session: Session, spool_id: str) -> str | None:
    """Where an arrival stands; None where there is none."""
    return session.exec(select(Spooled.state).where(col(Spooled.id) == spool_id)).first()


def waits(session: Session, key: str) -> bool:
    """Whether what was kept under a key is still to be dealt with. What is parked waits for somebody, not for a worker."""
    return session.exec(select(Spooled.state).where(col(Spooled.key) == key)).first() in waiting_states()


_KEY_OF = select(Raw.key_id).where(col(Raw.id) == bindparam("raw_id"))


def key_id_of(session: Session, raw_id: str) -> str:
    """The id of the data key that raw bytes are sealed under. Raises LookupError where there are none."""
    key_id = session.exec(_KEY_OF, params={"raw_id": raw_id}).first()
    if key_id is None:
        raise LookupError("no raw bytes under that id")
    return key_id


def raw_bytes(session: Session, vault: Vault, raw_id: str) -> bytes:
    """The bytes exactly as they came. Raises LookupError where there are none."""
    return _raw(session, vault, raw_id)[1]


def _raw(session: Session, vault: Vault, raw_id: str) -> tuple[str, bytes]:
    row = session.connection().execute(_RAW_OF, {"of": raw_id}).first()
    if row is None:
        raise LookupError("no raw bytes under that id")
    return row.key_id, vault.open(Place("raw", raw_id, "data"), row.data)


def more_wait_than(session: Session, count: int, *, now: datetime) -> bool:
    """Whether more than ``count`` messages could be taken now. Looks at no more rows than that says."""
    waiting = select(Spooled.id).where(col(Spooled.available_at) <= now, col(Spooled.channel) == Channel.EMAIL)
    return session.exec(waiting.offset(count).limit(1)).first() is not None


def waiting_states() -> tuple[str, ...]:
    return (WAITING, LEASED)


def _park(row: Spooled, error: str, now: datetime) -> None:
    row.state, row.error, row.done_at = PARKED, error, now
    row.available_at = row.lease_by = None


def _arrival(session: Session, vault: Vault, row: Spooled) -> Arrival:
    if row.raw_id != row.id:
        raise Tampered("the raw bytes of another arrival")
    key_id, raw = _raw(session, vault, row.raw_id)
    return Arrival(
        id=row.id,
        channel=Channel(row.channel),
        received_at=row.received_at,
        raw_id=row.raw_id,
        key_id=key_id,
        raw=raw,
        envelope=vault.open_json(Place("spool", row.id, "content"), row.content),
        tries=row.tries,
        claims=row.claims,
    )
