"""Things on their way out: put in by the transaction that causes them, delivered later, at least once.

A row's ``key`` makes its effect happen under one identity: the same acknowledgement is one row with one Message-ID, a card
is one row whose id travels with the post.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, col, func, select

from storage.claims import CANCELLED, DONE, PARKED, WAITING, claim
from storage.engine import Database
from storage.ids import new_id
from storage.tables import Outgoing, rows_of
from storage.vault import UNOPENABLE, Place, Vault

BACKOFF = tuple(timedelta(seconds=s) for s in (2, 5, 15, 60, 300, 900, 1800))
"""Waits between tries; the last repeats until :data:`GIVE_UP_AFTER`."""
GIVE_UP_AFTER = timedelta(days=5)
"""As long as a mail server keeps trying (RFC 5321 section 4.5.4.1: at least 4-5 days); then parked, never dropped."""

BOUNCED = "bounced"
ADVICE_KEY = "advice:"
"""What the key of a letter of an officer's begins with; its message's id follows."""


class Via(StrEnum):
    MAIL = "mail"
    DESK = "desk"


class Kind(StrEnum):
    ACKNOWLEDGEMENT = "acknowledgement"
    ADVICE = "advice"
    CARD = "card"
    CARD_UPDATE = "card_update"
    NOTICE = "notice"
    TELL = "tell"
    DIRECT = "direct"
    CHASER = "chaser"
    FEEDBACK = "feedback"
    SENIOR = "senior"
    EVENT = "event"
    FILE = "file"
    ERASE = "erase"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something to deliver. ``look_first`` says that an earlier attempt may have arrived."""

    id: str
    via: Via
    kind: Kind
    case_id: str | None
    mail_id: str | None
    bounce_tag: str | None
    created_at: datetime
    content: dict[str, Any]
    tries: int
    look_first: bool


_OUTBOX = rows_of(Outgoing)
_ADD_EACH = {
    dialect: insert(_OUTBOX).on_conflict_do_nothing(index_elements=[_OUTBOX.c.key])
    for dialect, insert in (("sqlite", sqlite_insert), ("postgresql", postgresql_insert))
}
_ADD = {dialect: statement.returning(_OUTBOX.c.id) for dialect, statement in _ADD_EACH.items()}


def put(
    session: Session,
    vault: Vault,
    *,
    key: str,
    via: Via,
    kind: Kind,
    now: datetime,
    content: dict[str, Any],
    sealed_by: str | None = None,
    case_id: str | None = None,
    mail_id: str | None = None,
    address_key: str | None = None,
    words_key: str | None = None,
    not_before: datetime | None = None,
) -> str | None:
    """Add a row in the caller's transaction. Gives its id, or None where ``key`` is there already.

    ``sealed_by`` is the data key of the case whose content this holds; without one the service's own key seals it, which is
    for codes and our own words only.
    """
    # What it belongs to must be there before it.
    session.flush()
    row = _row(vault, key=key, via=via, kind=kind, now=now, content=content, sealed_by=sealed_by, case_id=case_id) | {
        "available_at": not_before or now,
        "mail_id": mail_id,
        "address_key": address_key,
        "words_key": words_key,
    }
    connection = session.connection()
    return connection.execute(_ADD[connection.dialect.name], row).scalar_one_or_none()


def put_each(
    session: Session,
    vault: Vault,
    rows: Sequence[tuple[str, str, dict[str, Any]]],
    *,
    via: Via,
    kind: Kind,
    now: datetime,
) -> None:
    """Add many rows of our own words at once: each a key, a case's id and what it says. A key that is there adds nothing."""
    if not rows:
        return
    session.flush()
    connection = session.connection()
    made = [
        _row(vault, key=key, via=via, kind=kind, now=now, content=content, case_id=case_id)
        for key, case_id, content in rows
    ]
    connection.execute(_ADD_EACH[connection.dialect.name], made)


def _row(
    vault: Vault,
    *,
    key: str,
    via: Via,
    kind: Kind,
    now: datetime,
    content: dict[str, Any],
    sealed_by: str | None = None,
    case_id: str | None,
) -> dict[str, Any]:
    identity = new_id(now)
    return {
        "id": identity,
        "key": key,
        "channel": via,
        "kind": kind,
        "case_id": case_id,
        "created_at": now,
        "state": WAITING,
        "available_at": now,
        "claims": 0,
        "tries": 0,
        "uncertain": False,
        "bounce_tag": vault.tag("bounce", identity) if via is Via.MAIL else None,
        "content": vault.seal_json(
            Place("outbox", identity, "content", case_id), content, key=sealed_by or vault.keys.service_key
        ),
    }


def amend(session: Session, vault: Vault, key: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """Change what a row of our own words says, while nobody has taken it. False where there is no such row to change."""
    row = session.exec(select(Outgoing).where(col(Outgoing.key) == key).with_for_update()).one_or_none()
    if row is None or row.claims:
        return False
    place = Place("outbox", row.id, "content", row.case_id)
    row.content = vault.seal_json(place, change(vault.open_json(place, row.content)), key=vault.keys.service_key)
    session.add(row)
    return True


def take(
    database: Database, vault: Vault, *, via: Via, now: datetime, lease: timedelta, worker: str, limit: int
) -> list[Parcel]:
    """The next parcels of one way out, leased to ``worker``. One taken before without an outcome may have arrived."""
    with database.write() as session:
        rows = claim(session, Outgoing, now=now, lease=lease, worker=worker, limit=limit, channel=via)
        parcels = []
        for row in rows:
            try:
                content = vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content)
            except (*UNOPENABLE, ValueError):
                # It must not stand in the way of what is behind it; ``parked`` shows it.
                row.state, row.available_at, row.lease_by, row.error = PARKED, None, None, "cannot_be_opened"
                session.add(row)
                continue
            parcels.append(
                Parcel(
                    id=row.id,
                    via=Via(row.channel),
                    kind=Kind(row.kind),
                    case_id=row.case_id,
                    mail_id=row.mail_id,
                    bounce_tag=row.bounce_tag,
                    created_at=row.created_at,
                    content=content,
                    tries=row.tries,
                    # Each outcome is written down; a taking that left none died between the sending and the mark.
                    look_first=row.uncertain or row.claims > row.tries + 1,
                )
            )
        return parcels


def delivered(session: Session, parcel_id: str, *, now: datetime) -> None:
    row = session.get_one(Outgoing, parcel_id)
    row.state, row.sent_at = DONE, now
    row.available_at = row.lease_by = row.error = None
    session.add(row)


def failed(
    session: Session,
    parcel_id: str,
    error: str,
    *,
    now: datetime,
    permanent: bool = False,
    uncertain: bool = False,
    retry_after: timedelta | None = None,
) -> bool:
    """Write down a failure under a fixed code: try again later, or park. True when parked."""
    row = session.get_one(Outgoing, parcel_id)
    row.tries += 1
    row.error = error
    row.uncertain = row.uncertain or uncertain
    row.lease_by = None
    if permanent or now - (row.give_up_from or row.created_at) > GIVE_UP_AFTER:
        row.state, row.available_at = PARKED, None
    else:
        row.state = WAITING
        row.available_at = now + (retry_after or BACKOFF[min(row.tries, len(BACKOFF)) - 1])
    session.add(row)
    return row.state == PARKED


def letter_of(session: Session, *, bounce_tags: Sequence[str], mail_ids: Sequence[str]) -> Outgoing | None:
    """The letter that a bounce is about: by the tag it was sent to, else by our Message-ID in what it returns."""
    for column, values in ((col(Outgoing.bounce_tag), bounce_tags), (col(Outgoing.mail_id), mail_ids)):
        if values:
            found = session.exec(select(Outgoing).where(column.in_(values))).first()
            if found is not None:
                return found
    return None


def newest_letter(session: Session, case_id: str) -> Outgoing | None:
    """The last letter about a case."""
    return session.exec(
        select(Outgoing)
        .where(col(Outgoing.case_id) == case_id, col(Outgoing.channel) == Via.MAIL)
        .order_by(col(Outgoing.id).desc())
        .limit(1)
    ).first()


def bounced(session: Session, letter: Outgoing, *, now: datetime) -> bool:
    """Note that a letter came back. False where that is known already."""
    if letter.bounced_at is not None:
        return False
    letter.bounced_at, letter.error = now, BOUNCED
    session.add(letter)
    return True


def count_failing(session: Session, keys: Sequence[str]) -> int:
    """How many of these rows have failed and are not delivered: parked, or waiting for another try."""
    return session.exec(
        select(func.count())
        .select_from(Outgoing)
        .where(col(Outgoing.key).in_(keys), col(Outgoing.state).in_((PARKED, WAITING)), col(Outgoing.tries) > 0)
    ).one()


def parked(session: Session) -> Sequence[Outgoing]:
    """What could not be delivered, oldest first."""
    return session.exec(
        select(Outgoing).where(col(Outgoing.state) == PARKED).order_by(col(Outgoing.created_at), col(Outgoing.id))
    ).all()


def replay(session: Session, parcel_id: str, *, now: datetime) -> bool:
    """Put a parked row back in the queue, for as long again. False where nothing is parked under that id."""
    row = session.exec(select(Outgoing).where(col(Outgoing.id) == parcel_id).with_for_update()).one_or_none()
    if row is None or row.state != PARKED:
        return False
    row.state, row.available_at, row.give_up_from = WAITING, now, now
    session.add(row)
    return True


def cancel(session: Session, parcel_id: str) -> None:
    """Take out a row that has become pointless (an update of a card that is gone)."""
    row = session.get_one(Outgoing, parcel_id)
    row.state, row.available_at, row.lease_by = CANCELLED, None, None
    session.add(row)
