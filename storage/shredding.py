"""Destroying the content of a case for good, over two stores, so that a crash between them leaves nothing alive.

:func:`shred` works in the transaction that decides it: it empties the rows and orders the destruction of every data key of
the case. :func:`finish` carries out what was ordered, in the key store, and notes that it is done; until then it is called
again: at the start, and with each sweep. What is left is a tombstone: codes, times and the setting, which figures need, and
the audit chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from storage import audit
from storage.batches import batches
from storage.claims import CANCELLED, LEASED, PARKED, WAITING
from storage.engine import Database
from storage.keys import KeyProblem
from storage.keystore import KeyGone, KeyStore, KeyUnknown
from storage.outbox import Kind, Via
from storage.tables import (
    Action,
    Case,
    Chaser,
    DecisionRow,
    Destruction,
    Feedback,
    Link,
    Message,
    NoteRow,
    Outgoing,
    Participant,
    Raw,
    Spooled,
    Subject,
    SubjectKey,
    SuggestionRow,
)
from storage.vault import UNOPENABLE, Place, Tampered, Vault, key_of

EMPTY = b""
"""What stands in a content column after a purge. Nothing sealed is ever as short."""
PROPOSED = "proposed"
BATCH = 500
STRAGGLING = timedelta(days=1)
"""How long after a purge something that was under way at that moment is still looked for."""


def shred(session: Session, vault: Vault, case: Case, *, now: datetime) -> int:
    """Empty a case of its content and order the destruction of its keys; how many keys. The caller holds the case's row.

    Gone are the raw bytes, texts, names, attachments, reasons and notes, whoever took part, what was accepted for it, and
    every keyed hash by which a person or a message could be found again. From here on nothing can be sealed for the case.
    """
    session.flush()
    connection = session.connection()
    keys = _keys_of_words(session, vault, case) | _destroy_arrivals(session, vault, [case.id])
    _order(session, case.id, keys - {"", vault.keys.service_key}, now=now)

    of_case = col(Message.case_id) == case.id
    connection.execute(
        update(Message)
        .where(of_case)
        .values(identity="purged:" + col(Message.id), rfc_key=None, root_key=None, sender_key=None, content=EMPTY)
    )
    for table in (SuggestionRow, DecisionRow, NoteRow):
        connection.execute(update(table).where(col(table.case_id) == case.id).values(content=EMPTY))
    connection.execute(delete(Participant).where(col(Participant.case_id) == case.id))
    for named in (SubjectKey, Subject):
        connection.execute(delete(named).where(col(named.case_id) == case.id))
    for owed in (Action, Chaser, Feedback):
        connection.execute(update(owed).where(col(owed.case_id) == case.id).values(address_key=None))
    connection.execute(
        update(Chaser)
        .where(col(Chaser.case_id) == case.id, col(Chaser.state) == WAITING)
        .values(state=CANCELLED, cancelled_because="purged")
    )
    connection.execute(
        delete(Link).where(
            (col(Link.case_id) == case.id) | (col(Link.other_case_id) == case.id), col(Link.state) == PROPOSED
        )
    )
    _empty_letters(session, vault, case.id)
    # What the session remembers of these rows is no longer so.
    session.expire_all()

    case.purged_at = now
    # A late reply finds no tombstone, and a worker that is just about to add something to the case cannot seal it.
    case.reply_tag = vault.tag("purged", case.id)
    case.key_id = ""
    session.add(case)
    session.flush()
    return len(keys)


def shred_unfiled(session: Session, vault: Vault, message: Message, *, now: datetime) -> int:
    """Take a message of no case out of the record, and order the destruction of its keys; how many keys."""
    key = _key_if_ours(vault, Place("messages", message.id, "content"), message.content)
    arrivals = select(Spooled.raw_id).where(col(Spooled.message_id) == message.id, col(Spooled.case_id).is_(None))
    raw_ids = {*session.exec(arrivals).all(), message.id}
    session.delete(message)
    session.flush()
    keys = _destroy_raw(session, vault, raw_ids) | ({key} if key else set())
    _order(session, "", keys - {"", vault.keys.service_key}, now=now)
    return len(keys)


def finish(database: Database, keys: KeyStore, *, now: datetime) -> int:
    """Carry out every destruction that was ordered; how many keys. Safe at any time, and any number of times."""
    keys.forget_destroyed()
    _sweep_up(database, Vault(keys), now=now)
    count = 0
    while ordered := _ordered(database):
        keys.destroy(ordered, now=now)
        if not keys.scrubbed:
            # Somebody is reading the key store, and its log still holds what was destroyed: the next time will do.
            return count
        with database.write() as session:
            session.connection().execute(
                update(Destruction).where(col(Destruction.key_id).in_(ordered)).values(done_at=now)
            )
        count += len(ordered)
    if count:
        # Leave no keyed hash behind in the log either; where somebody is reading it, it goes with what is written next.
        database.empty_log()
    return count


def bury(database: Database, vault: Vault, *, now: datetime) -> int:
    """Purge the cases whose key is destroyed although their rows say nothing of it; how many.

    That is what a restored backup holds that was made before they were purged: nothing of them opens any more.
    """
    count = 0
    for some in batches((key_id for key_id, _ in vault.keys.destroyed()), BATCH):
        with database.write() as session:
            for case in session.exec(
                select(Case).where(col(Case.key_id).in_(some), col(Case.purged_at).is_(None)).with_for_update()
            ).all():
                if _anything_opens(session, vault, case):
                    # Its row names another case's key. It is not ours to destroy, and verify names it.
                    continue
                shred(session, vault, case, now=now)
                audit.record(session, case.id, at=now, actor="system:intake-bot", act="purged", code="restored")
                count += 1
    finish(database, vault.keys, now=now)
    return count


def _order(session: Session, case_id: str, keys: Iterable[str], *, now: datetime) -> None:
    for some in batches(sorted(keys), BATCH):
        known = set(session.exec(select(Destruction.key_id).where(col(Destruction.key_id).in_(some))).all())
        session.add_all(Destruction(key_id=key, case_id=case_id, ordered_at=now) for key in some if key not in known)
    session.flush()


def _anything_opens(session: Session, vault: Vault, case: Case) -> bool:
    rows = session.exec(
        select(Message.id, Message.content, Raw.id, Raw.data)
        .outerjoin(Raw, col(Raw.id) == col(Message.raw_id))
        .where(col(Message.case_id) == case.id)
    )
    values = (
        value
        for message_id, content, raw_id, data in rows
        for value in (
            (Place("messages", message_id, "content", case.id), content),
            (Place("raw", raw_id, "data"), data),
        )
    )
    return any(sealed and _opens(vault, place, sealed) for place, sealed in values)


def _opens(vault: Vault, place: Place, sealed: bytes) -> bool:
    try:
        vault.open(place, sealed)
    except UNOPENABLE:
        return False
    return True


def _keys_of_words(session: Session, vault: Vault, case: Case) -> set[str]:
    """The data keys that the case's messages are really sealed under.

    Not what ``cases.key_id`` says: whoever changed that column would choose whose content is destroyed. A value that was
    moved here from another case does not open here, and its key is not ours to destroy.
    """
    contents = session.exec(select(Message.id, Message.content).where(col(Message.case_id) == case.id)).all()
    return {
        key
        for message_id, content in contents
        if (key := _key_if_ours(vault, Place("messages", message_id, "content", case.id), content))
    }


def _key_if_ours(vault: Vault, place: Place, sealed: bytes) -> str | None:
    try:
        vault.open(place, sealed)
    except KeyGone:
        pass  # Destroyed before: after a restore, say. Ordering it again does no harm.
    except (Tampered, KeyUnknown, KeyProblem):
        return None
    return key_of(sealed)


def _destroy_arrivals(session: Session, vault: Vault, case_ids: list[str]) -> set[str]:
    """Delete what was accepted for cases, duplicates included; the ids of the data keys it was really sealed under."""
    connection = session.connection()
    raw_ids = set(session.exec(select(Spooled.raw_id).where(col(Spooled.case_id).in_(case_ids))).all())
    of_messages = select(Message.raw_id).where(col(Message.case_id).in_(case_ids), col(Message.raw_id).is_not(None))
    raw_ids |= {raw_id for raw_id in session.exec(of_messages).all() if raw_id is not None}
    connection.execute(delete(Spooled).where(col(Spooled.case_id).in_(case_ids)))
    connection.execute(update(Message).where(col(Message.case_id).in_(case_ids)).values(raw_id=None))
    return _destroy_raw(session, vault, raw_ids)


def _destroy_raw(session: Session, vault: Vault, raw_ids: set[str]) -> set[str]:
    """Delete raw bytes with what was accepted with them; the ids of the data keys they were really sealed under."""
    connection = session.connection()
    keys: set[str] = set()
    for some in batches(sorted(raw_ids), BATCH):
        for raw_id in some:
            raw = session.get(Raw, raw_id)
            if raw is None:
                continue
            key = _key_if_ours(vault, Place("raw", raw_id, "data"), raw.data) or _key_of_damaged(session, raw)
            if key:
                keys.add(key)
            session.expunge(raw)
        # Messages that were filed without their spool row naming the case keep it from nothing any more.
        connection.execute(delete(Spooled).where(col(Spooled.raw_id).in_(some)))
        connection.execute(delete(Raw).where(col(Raw.id).in_(some)))
    return keys


def _key_of_damaged(session: Session, raw: Raw) -> str | None:
    """The key of bytes that do not open any more, where all that says which it was agrees and nothing else is under it.

    An older backup may hold the same bytes whole: with the key alive, they would open there after the purge.
    """
    try:
        key = key_of(raw.data)
    except Tampered:
        return None
    others = select(Raw.id).where(col(Raw.key_id) == key, col(Raw.id) != raw.id)
    cases = select(Case.id).where(col(Case.key_id) == key)
    shared = session.exec(others).first() is not None or session.exec(cases).first() is not None
    return key if key == raw.key_id and not shared else None


_WORDS = or_(col(Outgoing.channel) == Via.MAIL, col(Outgoing.kind) == Kind.DIRECT)
"""What is sealed under a case's key on its way out: letters, and what is said to somebody in Slack."""


def _empty_letters(session: Session, vault: Vault, case_id: str) -> None:
    """Letters keep when they went, and lose everything else. One on its way just now may still arrive."""
    letters = session.exec(select(Outgoing).where(col(Outgoing.case_id) == case_id, _WORDS)).all()
    for letter in letters:
        # It must open for whoever takes it: a row that does not would hold up those behind it.
        place = Place("outbox", letter.id, "content", case_id)
        letter.content = vault.seal_json(place, {}, key=vault.keys.service_key)
        letter.mail_id = letter.address_key = letter.words_key = None
        if letter.kind == Kind.CHASER:
            # Its key was made of whom it was for.
            letter.key = f"purged:{letter.id}"
        if letter.state in (WAITING, LEASED, PARKED):
            letter.state, letter.available_at, letter.lease_by = CANCELLED, None, None
        session.add(letter)
    session.flush()


def _ordered(database: Database) -> list[str]:
    with database.read() as session:
        return list(
            session.exec(select(Destruction.key_id).where(col(Destruction.done_at).is_(None)).limit(BATCH)).all()
        )


def _sweep_up(database: Database, vault: Vault, *, now: datetime) -> None:
    """What another worker had in hand while its case was purged, and has put back or added since, goes too."""
    purged = select(Case.id).where(col(Case.purged_at) > now - STRAGGLING)
    arrived = select(Spooled.case_id).where(col(Spooled.case_id).in_(purged)).distinct()
    put_back = (col(Outgoing.case_id).in_(purged), _WORDS, col(Outgoing.state) == WAITING)
    with database.read() as session:
        late = session.exec(arrived).all()
        letters = session.exec(select(Outgoing.id).where(*put_back)).first()
    if not late and letters is None:
        return
    with database.write() as session:
        for case_id in late:
            if case_id is not None:
                _order(session, case_id, _destroy_arrivals(session, vault, [case_id]) - {""}, now=now)
        session.connection().execute(
            update(Outgoing).where(*put_back).values(state=CANCELLED, available_at=None, lease_by=None)
        )
