"""Backups: the content in one file, the key store in another, both sealed; and bringing them back, or not at all.

A backup of the content holds every row of the content tables as of one moment, in a form that both databases read, and no
key. Its file key is wrapped under a secret of the key store, so it opens as long as that store does, whatever the master key
is by then. A backup of the key store is wrapped by the master key, and holds that key sealed to the recovery key.

Restoring has two steps: :func:`examine` proves everything and touches nothing, :func:`restore` then fills the databases.
What was destroyed stays destroyed: it is left out before a key of the backup is written anywhere. With the content a note is
written that the restore is not finished; whoever finds it calls :func:`finish`, so that a crash leaves nothing out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Table, inspect, select, text, union
from sqlmodel import Session, SQLModel, col

from storage import audit, destroyed, keystore, schema, shredding
from storage.backup_file import (
    BackupProblem,
    Damaged,
    Head,
    NewerBackup,
    Sealed,
    SealedWriter,
    Stopping,
    digest,
    look,
    never,
    opened,
    written,
)
from storage.backup_rows import Row, Section, load, read_rows, write_rows
from storage.batches import batches
from storage.engine import Database
from storage.keys import KEY_BYTES, KeyProblem, name_of
from storage.keystore import BACKUP_ROOT, KEYS, NONCE_BYTES, SECRETS, KeyStore, recover_master
from storage.tables import Case, Destruction, Meta, Raw
from storage.vault import Vault
from storage.verify import signing_key

CONTENT, KEY_STORE = "content", "keys"
_KEYS_PURPOSE = "backup/keys"
_NO_HEAD = f"0:{'0' * 64}"
IDS_AT_ONCE = 500
UNFINISHED = "restore_unfinished"
"""In ``meta``, from the commit of the content until :func:`finish` is through: who restores, and what, as JSON."""


_NEEDED = union(select(col(Raw.key_id)), select(col(Case.key_id)).where(col(Case.purged_at).is_(None)))
"""The keys that the content is sealed under."""


class NotEmpty(BackupProblem):
    """There is something already where the backup was to be restored to."""


class WrongStore(BackupProblem):
    """The backup belongs to another key store."""


class KeysMissing(BackupProblem):
    """The content is sealed under keys that the key store's backup, or the key store, does not have."""


class WrongMaster(BackupProblem):
    """The master key, or the recovery key, is not the one that opens this backup."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is on the disk."""

    path: Path
    made_at: datetime
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A restore of which everything is proven and nothing is done. ``notes`` are sentences for the administrator.

    ``key_backup`` is None where the key store is alive.
    """

    content: Sealed
    content_key: bytes = field(repr=False)
    sha256: str
    database: Database
    keys: KeyStore
    key_backup: _KeyBackup | None
    destroyed: Mapping[str, datetime] = field(repr=False)
    notes: tuple[str, ...]
    stopping: Stopping


@dataclass(frozen=True, slots=True)
class KeysPlan:
    """The same for the key store alone, beside content that lives. ``key_backup`` is None where it lives too."""

    file: Sealed
    sha256: str
    database: Database
    keys: KeyStore
    key_backup: _KeyBackup | None
    destroyed: Mapping[str, datetime] = field(repr=False)
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. ``faults`` is what does not hold in it, named as ``verify`` names it.

    ``kept_destroyed`` is how many keys were left out, or taken out, because they had been destroyed; ``signed_head`` the
    newest signed head that the key store knew of before; ``buried`` how many cases of the backup had been purged since.
    """

    made_at: datetime
    rows: int
    sha256: str
    kept_destroyed: int
    signed_head: str | None
    buried: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _KeyBackup:
    sealed: Sealed
    key: bytes = field(repr=False)
    root: bytes = field(repr=False)
    ids: Set[str] = field(repr=False)
    destroyed: Mapping[str, datetime] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the content tells of keys: those whose destruction it orders, and since when; those that were; those it needs."""

    ordered: Mapping[str, datetime]
    destroyed: Set[str]
    needed: Set[str]


def write_content(database: Database, keys: KeyStore, path: Path, *, now: datetime, stopping: Stopping = never) -> Made:
    """Write every content row, as of one moment, while the service goes on. ``path`` must not be there yet.

    Raises BackupProblem; then there is no file. A backup of the keys that is to open it must be made after it.
    """
    file_key = secrets.token_bytes(KEY_BYTES)
    with _snapshot(database) as connection:
        revision = schema.current(connection)
        if revision != schema.revisions()[-1]:
            raise BackupProblem(
                "the database is not at this version's schema: take the backup with the version that it is at"
            )
        store = Vault(keys).fingerprint()
        wrapped = _wrap(keys.secret(BACKUP_ROOT), store, file_key).hex()
        head = Head(CONTENT, revision, now, store, wrapped)
        return _write(connection, SQLModel.metadata.sorted_tables, path, head, file_key, stopping=stopping)


def write_keys(keys: KeyStore, path: Path, *, now: datetime, stopping: Stopping = never) -> Made:
    """Write the whole key store, as of one moment. ``path`` must not be there yet.

    Raises BackupProblem; KeyProblem while a rotation of the master key is not finished. Then there is no file.
    """
    file_key = secrets.token_bytes(KEY_BYTES)
    with _snapshot(keys.database) as connection:
        wrapped = keys.wrap_for_backup(connection, _KEYS_PURPOSE, file_key)
        store = Vault(keys).fingerprint()
        head = Head(
            KEY_STORE, wrapped.version, now, store, wrapped.wrapped.hex(), wrapped.master, wrapped.recovery
        )  # fmt: skip
        return _write(connection, keystore.metadata.sorted_tables, path, head, file_key, stopping=stopping)


def recovered_master(keys_file: Path, recovery_key: str) -> bytes:
    """The master key of the moment when ``keys_file`` was made. Raises BackupProblem."""
    head = look(keys_file, KEY_STORE).head
    if not head.recovery:
        raise WrongMaster(f"{keys_file} was made before there was a recovery key: it needs the master key of that time")
    try:
        master = recover_master(recovery_key, head.recovery)
    except KeyProblem as problem:
        raise WrongMaster(str(problem)) from None
    if name_of(master) != head.master:
        raise Damaged(f"the head of {keys_file} is damaged")
    return master


def examine(
    content: Path,
    *,
    keys_file: Path | None,
    database: Database,
    keys: KeyStore,
    lists: Sequence[Path] = (),
    newer: Sequence[Path] = (),
    anyway: bool = False,
    stopping: Stopping = never,
) -> Plan:
    """Prove that ``content`` can be restored into ``database``, and ``keys_file`` into the key store where that is empty.

    ``keys`` is not open yet. Both files are read to their ends. Nothing is written but empty database files. ``lists`` are
    the lists of destroyed keys to heed; ``newer`` are other backups of the key store, of which only the destroyed keys are
    taken, as they are of ``keys_file`` where the key store is alive. What the content's own rows order is heeded too.
    ``anyway``: although keys are missing. ``stopping`` goes for the restore too.

    Raises NotEmpty, NewerBackup, WrongStore, WrongMaster, KeysMissing, Damaged or another BackupProblem.
    """
    sealed = look(content, CONTENT)
    if sealed.head.schema not in schema.revisions():
        raise NewerBackup(f"{content} was made by a later version of intake-bot: install that version")
    _check_empty(database, sealed.head.schema)
    lives = has_rows(keys.database, keystore.metadata.sorted_tables)
    key_backup = None
    if lives:
        newer = [*newer, keys_file] if keys_file else newer
        try:
            keys.open()
        except KeyProblem as problem:
            raise WrongMaster(str(problem)) from None
        store, root = Vault(keys).fingerprint(), keys.secret(BACKUP_ROOT)
    elif keys_file is not None:
        key_backup = _open_keys(keys_file, keys)
        store, root = key_backup.sealed.head.store, key_backup.root
    else:
        raise BackupProblem("the key store is empty: its own backup is needed too (--keys)")
    if sealed.head.store != store:
        raise WrongStore(f"{content} belongs to another key store: bring the backup of that store")

    content_key = _unwrap(root, store, sealed)
    told = _told(sealed, content_key, known=key_backup.ids if key_backup else frozenset(), stopping=stopping)
    gone, notes = _heeded(store, root, keys, told, key_backup=key_backup, lists=lists, newer=newer)
    missing = told.needed - gone.keys()
    if lives:
        missing -= _known(keys, missing)
    if missing:
        notes += _missing(missing, keys_file if key_backup else None, anyway=anyway)
    return Plan(sealed, content_key, digest(content), database, keys, key_backup, gone, tuple(notes), stopping)


def restore(plan: Plan, *, by: str, now: datetime) -> Restored:
    """Do what was planned: the key store without what was destroyed, then the content, then this version's schema.

    Each database is filled in one transaction. ``by`` is who restores, for the record. Raises BackupProblem where a file has
    changed since it was examined.
    """
    keys = plan.keys
    if plan.key_backup is None:
        kept_destroyed = _destroy(keys, plan.destroyed, now=now)
    else:
        _, kept_destroyed = _restore_keys(keys, plan.key_backup, plan.destroyed)
        keys.open()
    head = plan.content.head
    begun = {
        "by": by,
        "made_at": head.made_at.isoformat(),
        "sha256": plan.sha256,
        "kept_destroyed": kept_destroyed,
        "signed_head": keys.signed_head(),
    }
    schema.upgrade(plan.database, head.schema)
    with (
        plan.database.write() as session,
        opened(plan.content, plan.content_key, stopping=plan.stopping) as source,
    ):
        rows = sum(load(session.connection(), read_rows(source)).values())
        session.merge(Meta(name=UNFINISHED, value=json.dumps(begun | {"rows": rows})))
    schema.upgrade(plan.database)
    restored = finish(plan.database, keys, now=now)
    assert restored is not None  # noqa: S101 (the note of it was just written, and nobody else is here)
    return replace(restored, notes=(*plan.notes, *restored.notes))


def examine_keys(
    path: Path,
    *,
    database: Database,
    keys: KeyStore,
    lists: Sequence[Path] = (),
    newer: Sequence[Path] = (),
    anyway: bool = False,
) -> KeysPlan:
    """Prove that ``path`` can bring the key store back, or its master key, beside the content that lives in ``database``.

    The rest is as in :func:`examine`, with the content's rows in the place of its backup.
    """
    store = schema.fingerprint(database)
    if store is None:
        raise BackupProblem("there is no content that these keys belong to: restore it together with them")
    key_backup = _open_keys(path, keys)
    if key_backup.sealed.head.store != store:
        raise WrongStore(f"{path} belongs to another key store: bring a backup of the one that the content belongs to")
    told = _told_by_rows(database)
    gone, notes = _heeded(
        store, key_backup.root, keys, told, key_backup=key_backup, lists=lists, newer=newer
    )  # fmt: skip
    missing = told.needed - gone.keys()
    lives = has_rows(keys.database, keystore.metadata.sorted_tables)
    if lives:
        try:
            keys.open()
        except KeyProblem as problem:
            raise WrongMaster(str(problem)) from None
        missing -= _known(keys, missing)
    else:
        missing -= key_backup.ids
    if missing:
        notes += _missing(missing, None if lives else path, anyway=anyway)
    return KeysPlan(
        key_backup.sealed, digest(path), database, keys, None if lives else key_backup, gone, tuple(notes)
    )  # fmt: skip


def restore_keys(plan: KeysPlan, *, by: str, now: datetime) -> Restored:
    """Do what was planned. Raises BackupProblem where the file has changed, schema.NewerSchema."""
    schema.upgrade(plan.database)
    begun = {
        "by": by,
        "code": "keys",
        "made_at": plan.file.head.made_at.isoformat(),
        "sha256": plan.sha256,
        # The record goes on from where it is, not from where this key store saw it last.
        "signed_head": None,
    }

    def note(rows: int, kept_destroyed: int) -> None:
        value = json.dumps(begun | {"rows": rows, "kept_destroyed": kept_destroyed})
        with plan.database.write() as session:
            session.merge(Meta(name=UNFINISHED, value=value))

    # Before, so that it is on the record whatever happens; and again, when it is known how it went.
    note(0, 0)
    if plan.key_backup is None:
        note(0, _destroy(plan.keys, plan.destroyed, now=now))
    else:
        note(*_restore_keys(plan.keys, plan.key_backup, plan.destroyed))
        plan.keys.open()
    restored = finish(plan.database, plan.keys, now=now)
    if restored is None:
        raise BackupProblem("another process has finished this restore: see intake-bot verify")
    return replace(restored, notes=(*plan.notes, *restored.notes))


def finish(database: Database, keys: KeyStore, *, now: datetime) -> Restored | None:
    """End a restore that has filled the database; None where none is unfinished. Safe at any time, and any number of times.

    The key store is told from which signed head the record goes on, cases that were purged since the backup are purged
    again, and the restore goes on the record.
    """
    with database.read() as session:
        note = session.get(Meta, UNFINISHED)
        if note is None:
            return None
        newest = audit.latest_signed(session)
        faults = (
            *audit.broken_links(session),
            *audit.broken_signed_heads(session, signing_key(keys), expected=None),
            *_keyless(session, keys),
        )
    begun = json.loads(note.value)
    by, code, made_at = begun.pop("by"), begun.pop("code", None), datetime.fromisoformat(begun["made_at"])
    notes = []
    head = f"{newest.seq}:{newest.hash}" if newest else _NO_HEAD
    if begun["signed_head"] not in (None, head):
        notes.append(
            "the key store knew another newest signed head than the backup holds: what came after is not in it"
        )
        # The record goes on from the backup, and the next signed head follows the one in it.
        keys.note_signed_head(head)
    buried = shredding.bury(database, Vault(keys), now=now)
    with database.write() as session:
        still = session.get(Meta, UNFINISHED, with_for_update=True)
        if still is None:
            return None  # Another process was quicker, and it is on the record.
        detail = begun | {"faults": len(faults)}
        audit.record(session, audit.SERVICE_CHAIN, at=now, actor=by, act="restored", code=code, detail=detail)
        session.delete(still)
    return Restored(
        made_at,
        begun["rows"],
        begun["sha256"],
        begun["kept_destroyed"],
        begun["signed_head"],
        buried,
        faults,
        tuple(notes),
    )


# ---- inside


@contextmanager
def _snapshot(database: Database) -> Iterator[Connection]:
    """One moment of the database, however long it is read, while others write."""
    with database.read() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield connection


def _write(
    connection: Connection,
    tables: Sequence[Table],
    path: Path,
    head: Head,
    file_key: bytes,
    *,
    stopping: Stopping = never,
) -> Made:
    with written(path) as file:
        writer = SealedWriter(file, head, file_key, stopping=stopping)
        counts = write_rows(connection, tables, writer)
        writer.close()
    return Made(path, head.made_at, sum(counts.values()), writer.size, writer.sha256)


def _told(sealed: Sealed, key: bytes, *, known: Set[str], stopping: Stopping) -> _Told:
    """Read the content to its end for what it tells of keys; needed are those that are not ``known``. Raises Damaged."""
    ordered, done, needed = {}, set(), set()
    with opened(sealed, key, stopping=stopping) as source:
        for section, row in read_rows(source):
            if section.table == Destruction.__tablename__:
                ordered[row["key_id"]] = row["done_at"] or row["ordered_at"]
                if row["done_at"] is not None:
                    done.add(row["key_id"])
            elif section.table in (Raw.__tablename__, Case.__tablename__) and row.get("purged_at") is None:
                # The columns are those of the version that wrote it.
                key_id = row.get("key_id")
                if key_id and key_id not in known:
                    needed.add(key_id)
    return _Told(ordered, done, needed)


def _told_by_rows(database: Database) -> _Told:
    """The same of content that lives."""
    with database.read() as session:
        connection = session.connection()
        rows = connection.execute(
            select(col(Destruction.key_id), col(Destruction.ordered_at), col(Destruction.done_at))
        )
        ordered, done = {}, set()
        for key_id, ordered_at, done_at in rows:
            ordered[key_id] = done_at or ordered_at
            if done_at is not None:
                done.add(key_id)
        return _Told(ordered, done, {key_id for key_id in connection.execute(_NEEDED).scalars() if key_id})


def _heeded(
    store: str,
    root: bytes,
    keys: KeyStore,
    told: _Told,
    *,
    key_backup: _KeyBackup | None,
    lists: Sequence[Path],
    newer: Sequence[Path],
) -> tuple[dict[str, datetime], list[str]]:
    """The keys that anything at hand knows to be destroyed, and notes on what could not be asked. Raises BackupProblem."""
    notes = []
    known = dict(key_backup.destroyed) if key_backup else {}
    for path in newer:
        try:
            other = _open_keys(path, keys)
        except BackupProblem:
            notes.append(
                f"{path} could not be opened with this master key: what it knows to be destroyed was not heeded"
            )
        else:
            known |= other.destroyed if other.sealed.head.store == store else {}
    gone = dict(told.ordered) | known
    for path in lists:
        listed = destroyed.read(path, root)
        lacking = (known.keys() | told.destroyed) - listed.keys()
        if lacking:
            notes.append(
                f"{path} lacks keys that were destroyed before these backups were made ({len(lacking)} of them): "
                "it is an older copy. Those stay destroyed; what was destroyed after it and after the backups is alive again"
            )
        gone |= listed
    if key_backup is not None and not lists:
        notes.append(
            f"there was no {destroyed.LIST_FILE} beside the key store's backup: what was destroyed after that backup is "
            "alive again, unless the content's backup tells of it"
        )
    return gone, notes


def _missing(missing: Set[str], keys_file: Path | None, *, anyway: bool) -> list[str]:
    where = f"in {keys_file}" if keys_file else "in the key store"
    if not anyway:
        raise KeysMissing(
            f"the content needs keys that are not {where} ({len(missing)} of them): bring a backup of the key "
            "store that is no older than the content's, or say --anyway to restore without what they open"
        )
    return [f"the content needs keys that are not {where} ({len(missing)} of them): what they open cannot be read"]


def _known(keys: KeyStore, key_ids: Iterable[str]) -> set[str]:
    """Those of the ids that the key store knows, destroyed or not."""
    known: set[str] = set()
    with keys.database.read() as session:
        for some in batches(key_ids, IDS_AT_ONCE):
            known |= set(session.connection().execute(select(KEYS.c.id).where(KEYS.c.id.in_(some))).scalars())
    return known


def _open_keys(path: Path, keys: KeyStore) -> _KeyBackup:
    sealed = look(path, KEY_STORE)
    if sealed.head.schema != keystore.THIS_VERSION:
        raise NewerBackup(f"{path} was made by a later version of intake-bot: install that version")
    if keys.source.load().named(sealed.head.master) is None:
        raise WrongMaster(f"this is not the master key that {path} was made with: bring that one, or the recovery key")
    root, ids, gone = b"", set(), {}
    try:
        key = keys.unwrap(_KEYS_PURPOSE, sealed.head.master, bytes.fromhex(sealed.head.key))
        with opened(sealed, key) as source:
            for section, row in read_rows(source):
                if section.table == SECRETS.name and row["name"] == BACKUP_ROOT:
                    root = keys.unwrap(f"secret/{BACKUP_ROOT}", row["master"], row["wrapped"])
                elif section.table == KEYS.name:
                    ids.add(row["id"])
                    if row["destroyed_at"] is not None:
                        gone[row["id"]] = row["destroyed_at"]
    except KeyProblem:
        raise Damaged(f"{path}: the backup is damaged, or was made of a damaged key store") from None
    return _KeyBackup(sealed, key, root, ids, gone)


def _restore_keys(keys: KeyStore, backup: _KeyBackup, gone: Mapping[str, datetime]) -> tuple[int, int]:
    """Fill the key store, leaving out the wrapped bytes of what was destroyed; the rows, and how many were left out."""
    left_out = 0
    seen = set()

    def without_destroyed(rows: Iterator[tuple[Section, Row]]) -> Iterator[tuple[Section, Row]]:
        nonlocal left_out
        for section, row in rows:
            if section.table == KEYS.name and row["id"] in gone:
                seen.add(row["id"])
                left_out += row["wrapped"] is not None
                yield section, row | {"wrapped": None, "destroyed_at": gone[row["id"]]}
            else:
                yield section, row

    with keys.database.write() as session, opened(backup.sealed, backup.key) as source:
        connection = session.connection()
        keystore.metadata.create_all(connection)
        rows = sum(load(connection, without_destroyed(read_rows(source))).values())
        strangers: list[dict[str, Any]] = [
            {"id": key_id, "master": "-", "wrapped": None, "destroyed_at": moment}
            for key_id, moment in gone.items()
            if key_id not in seen
        ]
        for some in batches(strangers, IDS_AT_ONCE):
            connection.execute(KEYS.insert(), some)
    return rows, left_out


def _destroy(keys: KeyStore, key_ids: Iterable[str], *, now: datetime) -> int:
    """Destroy what is not destroyed yet; how many keys were still there."""
    already = {key_id for key_id, _ in keys.destroyed()}
    alive = sorted(set(key_ids) - already)
    return keys.destroy(alive, now=now) if alive else 0


def _check_empty(database: Database, revision: str) -> None:
    tables = SQLModel.metadata.sorted_tables
    with database.engine.connect() as connection:
        now = schema.current(connection)
    if now not in (None, revision) or has_rows(database, tables):
        if now is not None and _is_unfinished(database):
            raise NotEmpty(
                "a restore was cut off after it had filled this database: the next command, such as `intake-bot verify`, "
                "finishes it"
            )
        raise NotEmpty("the database is not empty: a backup is restored into a new data folder or a new database only")


def _is_unfinished(database: Database) -> bool:
    with database.read() as session:
        return session.get(Meta, UNFINISHED) is not None


def has_rows(database: Database, tables: Sequence[Table]) -> bool:
    with database.read() as session:
        connection = session.connection()
        there = set(inspect(connection).get_table_names())
        return any(
            connection.execute(select(table.primary_key.columns[0]).limit(1)).first() is not None
            for table in tables
            if table.name in there
        )


def _keyless(session: Session, keys: KeyStore) -> Iterator[str]:
    """Names each key that the content is sealed under and that the key store has never had."""
    for some in batches(session.connection().execute(_NEEDED).scalars(), IDS_AT_ONCE):
        known = _known(keys, some)
        yield from (f"keystore/key/{one}: is needed and not there" for one in some if one and one not in known)


def _wrap(root: bytes, store: str, file_key: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _wrapper(root).encrypt(nonce, file_key, store.encode())


def _unwrap(root: bytes, store: str, sealed: Sealed) -> bytes:
    wrapped = bytes.fromhex(sealed.head.key)
    try:
        return _wrapper(root).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], store.encode())
    except (InvalidTag, ValueError):
        raise Damaged(f"the head of {sealed.path} is damaged") from None


def _wrapper(root: bytes) -> AESGCM:
    return AESGCM(hmac.new(root, b"intake-bot/1/backup/content", hashlib.sha256).digest())
