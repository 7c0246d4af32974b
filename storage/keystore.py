"""The key store: every data key, wrapped by the master key, apart from the content that it opens.

Each message that arrives is sealed under a data key of its own, and the key of the message that opens a case is the case's.
Destroying a key takes its wrapped bytes out of the store and leaves its id: what it sealed opens no more, wherever a copy of
the content lies. The store is a database of its own, so that no backup of the content holds a key.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel.sql.sqltypes import UTCDateTime

from storage.batches import batches
from storage.engine import Database
from storage.keys import KEY_BYTES, KeyProblem, MasterKeys, MasterSource, name_of

KEY_ID_BYTES = 16
NONCE_BYTES = 12
REMEMBERED = 10_000
"""Opened data keys kept in memory."""
REWRAP_BATCH = 500

INDEX_ROOT = "index-root"
AUDIT_SIGNING = "audit-signing"
BACKUP_ROOT = "backup-root"
_SECRETS = (INDEX_ROOT, AUDIT_SIGNING, BACKUP_ROOT)

_CURRENT, _SERVICE_KEY, _DESTROYED = "current_master", "service_key", "destroyed"
_RECOVERY_PUBLIC, _RECOVERY_MASTER = "recovery_public", "recovery_master"
_SIGNED_HEAD = "signed_head"
THIS_VERSION = "1"
"""Of the key store's tables."""
_VERSION = "version"
_LOCK, _ROTATION_LOCK = 0x1A7A_B08, 0x1A7A_B09
_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

metadata = MetaData()
KEYS = Table(
    "keystore_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("master", String(16), nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=True),
    Column("destroyed_at", UTCDateTime(), nullable=True),
)
SECRETS = Table(
    "keystore_secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("master", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
FACTS = Table(
    "keystore_facts",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(512), nullable=False),
)


class KeyGone(Exception):
    """The key was destroyed, and what it sealed with it, as retention asked."""


class KeyUnknown(Exception):
    """There is no such key: content and key store do not belong together, or the key was taken away."""


class KeyChanged(KeyProblem):
    """One key's wrapped bytes are not what was written: that key opens nothing any more, and all others still do."""


@dataclass(frozen=True, slots=True)
class BackupKey:
    """The key of a backup of the key store, for that backup's head: ``recovery`` is empty where there is no recovery key."""

    version: str
    master: str
    wrapped: bytes
    recovery: str


class KeyStore:
    """Data keys and secrets on one database. Safe to use from several threads.

    ``ahead`` is how many keys are made in one commit, so that accepting a message waits for no second disk.
    """

    def __init__(self, database: Database, source: MasterSource, *, ahead: int = 1) -> None:
        self.database = database
        self.source = source
        self._ahead = ahead
        self._masters = source.load()
        self._opened: OrderedDict[str, AESGCM] = OrderedDict()
        self._fresh: list[str] = []
        self._secrets: dict[str, bytes] = {}
        self._service_key = ""
        self._destructions = "0"
        self.scrubbed = True
        """Whether what was destroyed last has left the write-ahead log too."""
        self.damaged: list[str] = []
        """Ids of keys that the last rotation had to leave as they were."""
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return "KeyStore(...)"

    def open(self) -> None:
        """Make what is missing. Raises KeyProblem where the master key is not this store's, or the store is newer."""
        with self.database.write() as session:
            connection = session.connection()
            if not self.database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            metadata.create_all(connection)
            facts = _facts(connection)
            if not facts:
                facts = self._begin(connection)
            if facts[_VERSION] != THIS_VERSION:
                raise KeyProblem("the key store was written by a later version of intake-bot: install that version")
            self._check_masters(facts[_CURRENT])
            for name, master, wrapped in connection.execute(
                select(SECRETS.c.name, SECRETS.c.master, SECRETS.c.wrapped)
            ):
                self._secrets[name] = self._unwrap(master, f"secret/{name}", wrapped)
        self._service_key = facts[_SERVICE_KEY]
        self._destructions = facts[_DESTROYED]

    @property
    def service_key(self) -> str:
        """The id of the key for what belongs to no case: notices and answers to officers, which are codes and our words."""
        return self._service_key

    def secret(self, name: str) -> bytes:
        """A secret of the service, 32 bytes."""
        return self._secrets[name]

    def new_key(self) -> str:
        """The id of a new data key, committed and synced."""
        with self._lock:
            if not self._fresh:
                self._fresh = self._make(self._ahead)
            return self._fresh.pop()

    def cipher(self, key_id: str) -> AESGCM:
        """What seals and opens under a data key. Raises KeyGone or KeyUnknown."""
        with self._lock:
            cipher = self._opened.get(key_id)
            if cipher is not None:
                self._opened.move_to_end(key_id)
                return cipher
        with self.database.read() as session:
            found = (
                session.connection().execute(select(KEYS.c.master, KEYS.c.wrapped).where(KEYS.c.id == key_id)).first()
            )
        if found is None:
            raise KeyUnknown
        if found.wrapped is None:
            raise KeyGone
        cipher = AESGCM(self._unwrap(found.master, f"key/{key_id}", found.wrapped))
        self._remember(key_id, cipher)
        return cipher

    def ciphers(self, key_ids: Sequence[str]) -> dict[str, AESGCM]:
        """Those of many at once, for reading much; what is gone, unknown or changed is left out."""
        with self.database.read() as session:
            rows = session.connection().execute(
                select(KEYS.c.id, KEYS.c.master, KEYS.c.wrapped).where(
                    self.database.among(KEYS.c.id, key_ids), KEYS.c.wrapped.is_not(None)
                )
            )
            opened = {}
            for row in rows:
                with contextlib.suppress(KeyChanged):
                    opened[row.id] = AESGCM(self._unwrap(row.master, f"key/{row.id}", row.wrapped))
            return opened

    def destroy(self, key_ids: Iterable[str], *, now: datetime) -> int:
        """Destroy keys for good; how many were still there. Unknown ids are noted as destroyed all the same.

        ``scrubbed`` says afterwards whether nothing of them is left in the write-ahead log; where not, do it again later.
        """
        ids = list(dict.fromkeys(key_ids))
        with self._lock:
            for key_id in ids:
                self._opened.pop(key_id, None)
        with self.database.write() as session:
            connection = session.connection()
            count = 0
            known = set()
            for some in batches(ids, 500):
                known |= set(connection.execute(select(KEYS.c.id).where(KEYS.c.id.in_(some))).scalars())
                done = connection.execute(
                    update(KEYS)
                    .where(KEYS.c.id.in_(some), KEYS.c.wrapped.is_not(None))
                    .values(wrapped=None, destroyed_at=now)
                )
                count += done.rowcount
            for key_id in ids:
                if key_id not in known:
                    row = {"id": key_id, "master": "-", "wrapped": None, "destroyed_at": now}
                    _insert_unless_there(connection, KEYS, row)
            _set_fact(connection, _DESTROYED, secrets.token_hex(8))
        self._scrub()
        return count

    def destroyed(self) -> Iterator[tuple[str, datetime]]:
        """The ids of the keys that were destroyed, and when."""
        with self.database.read() as session:
            yield from session.connection().execute(
                select(KEYS.c.id, KEYS.c.destroyed_at).where(KEYS.c.destroyed_at.is_not(None)).order_by(KEYS.c.id)
            )

    def forget_destroyed(self) -> None:
        """Let go of keys in memory that another process may have destroyed."""
        with self.database.read() as session:
            mark = _facts(session.connection()).get(_DESTROYED, "0")
        with self._lock:
            if mark != self._destructions:
                self._opened.clear()
                self._destructions = mark

    def give_back(self) -> None:
        """Drop the keys that were made ahead and never used; for a clean end."""
        with self._lock:
            unused, self._fresh = self._fresh, []
        if unused:
            with self.database.write() as session:
                session.connection().execute(delete(KEYS).where(KEYS.c.id.in_(unused)))

    def faults(self) -> Iterator[str]:
        """Names each key and secret that the master keys do not open: changed, or another master's."""
        with self.database.read() as session:
            connection = session.connection()
            for table, column, kind in ((SECRETS, SECRETS.c.name, "secret"), (KEYS, KEYS.c.id, "key")):
                for name, master, wrapped in connection.execute(
                    select(column, table.c.master, table.c.wrapped).where(table.c.wrapped.is_not(None))
                ):
                    try:
                        self._unwrap(master, f"{kind}/{name}", wrapped)
                    except KeyProblem:
                        yield f"keystore/{kind}/{name}: cannot be unwrapped"

    def note_signed_head(self, mark: str) -> None:
        """Remember the newest signed head of the audit (``SEQ:HASH``), out of reach of whoever can change the content."""
        with self.database.write() as session:
            _set_fact(session.connection(), _SIGNED_HEAD, mark)

    def signed_head(self) -> str | None:
        with self.database.read() as session:
            return _facts(session.connection()).get(_SIGNED_HEAD)

    # ---- rotation and recovery

    def rotate(self) -> Iterator[int]:
        """Wrap everything with a new master key, batch by batch, while the service runs; gives what is left each time.

        Where the source can be written, the new key is made here; elsewhere the source must give the new key first and
        the old one after it. Stopped in the middle, it goes on where it was. Raises KeyProblem, also where another
        rotation is running: of two at once each would forget the other's key.
        """
        with self._only_rotation():
            yield from self._rotate()

    def _rotate(self) -> Iterator[int]:
        keys = self.source.load()
        with self.database.read() as session:
            current = _facts(session.connection())[_CURRENT]
        self.damaged = self._find_damaged(current)
        if name_of(keys.current) == current and not self._left(current):
            keys = MasterKeys(secrets.token_bytes(KEY_BYTES), (keys.current, *keys.previous))
            self.source.replace(keys)
        self._masters = keys
        with self.database.write() as session:
            connection = session.connection()
            # From here on no process makes a key under the old master: see _make.
            _set_fact(connection, _CURRENT, name_of(keys.current))
            self._rewrap(connection, SECRETS, SECRETS.c.name, "secret", limit=len(_SECRETS))
            self._seal_recovery(connection)
        while left := self._left(name_of(keys.current)):
            yield left
            with self.database.write() as session:
                self._rewrap(session.connection(), KEYS, KEYS.c.id, "key", limit=REWRAP_BATCH)
        self._scrub()
        if self.damaged:
            # With the old master key at hand, a copy of such a row from a backup can still be put back.
            return
        try:
            self.source.replace(MasterKeys(keys.current))
        except KeyProblem:
            # Not ours to change: the old key is of no more use, and whoever keeps it may drop it.
            return
        self._masters = MasterKeys(keys.current)

    @contextmanager
    def _only_rotation(self) -> Iterator[None]:
        if self.database.is_sqlite:
            path = f"{self.database.engine.url.database}.rotation"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
            except BlockingIOError:
                raise KeyProblem("another rotation is running") from None
            finally:
                os.close(descriptor)
            return
        with self.database.engine.connect() as connection:
            if not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _ROTATION_LOCK}).scalar():
                raise KeyProblem("another rotation is running")
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _ROTATION_LOCK})
                connection.commit()

    def make_recovery_key(self, give: Callable[[str], None] | None = None) -> str:
        """Make the recovery key, once: its 64 hexadecimal digits, which are kept nowhere here.

        The store keeps its public half, and the master key sealed to it. ``give`` hands the key over before it is made for
        good: where that raises, nothing was made, and it can be asked for again. Raises KeyProblem where it was made before.
        """
        with self.database.write() as session:
            connection = session.connection()
            if _RECOVERY_PUBLIC in _facts(connection):
                raise KeyProblem("the recovery key was written before: it is given once, and kept nowhere here")
            private = X25519PrivateKey.generate()
            _set_fact(connection, _RECOVERY_PUBLIC, private.public_key().public_bytes_raw().hex())
            self._seal_recovery(connection)
            if give is not None:
                give(private.private_bytes_raw().hex())
        return private.private_bytes_raw().hex()

    @property
    def has_recovery_key(self) -> bool:
        with self.database.read() as session:
            return _RECOVERY_PUBLIC in _facts(session.connection())

    def sealed_recovery(self) -> str | None:
        """The master key sealed to the recovery key, in hexadecimal, for the head of a backup; None where there is none."""
        with self.database.read() as session:
            return _facts(session.connection()).get(_RECOVERY_MASTER)

    def wrap_for_backup(self, connection: Connection, purpose: str, value: bytes) -> BackupKey:
        """Wrap the key of a backup by the master key that wraps everything in the snapshot on ``connection``.

        Raises KeyProblem where a rotation is under way: two master keys are then needed to open what is there.
        """
        facts = _facts(connection)
        current = facts[_CURRENT]
        for table, column, kind in ((SECRETS, SECRETS.c.name, "secret"), (KEYS, KEYS.c.id, "key")):
            others = select(column, table.c.master, table.c.wrapped).where(
                table.c.master != current, table.c.wrapped.is_not(None)
            )
            # What was damaged stays under the old master key for ever, and must not stand in the way.
            if any(self._opens(row.master, f"{kind}/{row[0]}", row.wrapped) for row in connection.execute(others)):
                raise KeyProblem("a rotation of the master key is not finished: finish it with `keys rotate` first")
        if self._masters.named(current) is None:
            self._masters = self.source.load()
        self._check_masters(current)
        master = self._masters.named(current)
        assert master is not None  # noqa: S101 (just checked)
        return BackupKey(facts[_VERSION], current, _wrap(master, purpose, value), facts.get(_RECOVERY_MASTER, ""))

    def unwrap(self, purpose: str, master: str, wrapped: bytes) -> bytes:
        """A key of a backup, or a secret in it, from what wrapped it: see :meth:`wrap_for_backup`. Raises KeyProblem."""
        return self._unwrap(master, purpose, wrapped)

    # ---- inside

    def _begin(self, connection: Connection) -> dict[str, str]:
        master = self._masters.current
        for name in _SECRETS:
            wrapped = _wrap(master, f"secret/{name}", secrets.token_bytes(KEY_BYTES))
            connection.execute(insert(SECRETS).values(name=name, master=name_of(master), wrapped=wrapped))
        row, _ = _new_key(master)
        connection.execute(insert(KEYS).values(row))
        facts = {_VERSION: THIS_VERSION, _CURRENT: name_of(master), _SERVICE_KEY: row["id"], _DESTROYED: "0"}
        for name, value in facts.items():
            _set_fact(connection, name, str(value))
        return {name: str(value) for name, value in facts.items()}

    def _check_masters(self, current: str) -> None:
        if self._masters.named(current) is None:
            raise KeyProblem("this is not the master key that the key store was made with")

    def _make(self, count: int) -> list[str]:
        with self.database.write() as session:
            connection = session.connection()
            # Shared, so that no rotation passes between this look and the commit of what is wrapped by it.
            current = connection.execute(
                select(FACTS.c.value).where(FACTS.c.name == _CURRENT).with_for_update(read=True)
            ).scalar_one()
            if name_of(self._masters.current) != current:
                self._masters = self.source.load()
            master = self._masters.named(current)
            if master is None:
                raise KeyProblem("the master key has changed under the running service: it cannot be read any more")
            made = [_new_key(master) for _ in range(count)]
            connection.execute(insert(KEYS), [row for row, _ in made])
        for row, cipher in made:
            # Most are used at once, and then need no look into the store.
            self._remember(str(row["id"]), cipher)
        return [str(row["id"]) for row, _ in made]

    def _left(self, current: str) -> int:
        with self.database.read() as session:
            return int(
                session.connection()
                .execute(
                    select(func.count())
                    .select_from(KEYS)
                    .where(KEYS.c.master != current, KEYS.c.wrapped.is_not(None), KEYS.c.id.not_in(self.damaged))
                )
                .scalar_one()
            )

    def _find_damaged(self, current: str) -> list[str]:
        """Keys that an earlier rotation could not take over."""
        with self.database.read() as session:
            rows = session.connection().execute(
                select(KEYS.c.id, KEYS.c.master, KEYS.c.wrapped).where(
                    KEYS.c.master != current, KEYS.c.wrapped.is_not(None)
                )
            )
            return [row.id for row in rows if not self._opens(row.master, f"key/{row.id}", row.wrapped)]

    def _opens(self, master: str, purpose: str, wrapped: bytes) -> bool:
        try:
            self._unwrap(master, purpose, wrapped)
        except KeyChanged:
            return False
        return True

    def _rewrap(self, connection: Connection, table: Table, column: Column[str], kind: str, *, limit: int) -> None:
        master = self._masters.current
        rows = connection.execute(
            select(column, table.c.master, table.c.wrapped)
            .where(table.c.master != name_of(master), table.c.wrapped.is_not(None), column.not_in(self.damaged))
            .limit(limit)
            .with_for_update()
        ).all()
        anew = []
        for name, old, wrapped in rows:
            purpose = f"{kind}/{name}"
            try:
                value = self._unwrap(old, purpose, wrapped)
            except KeyChanged:
                if table is SECRETS:
                    raise
                # One key that nobody can open must not keep all others under the old master key.
                self.damaged.append(name)
                continue
            anew.append({"which": name, "anew": _wrap(master, purpose, value)})
        if anew:
            connection.execute(
                update(table)
                .where(column == bindparam("which"))
                .values(master=name_of(master), wrapped=bindparam("anew", type_=LargeBinary)),
                anew,
            )

    def _seal_recovery(self, connection: Connection) -> None:
        public = _facts(connection).get(_RECOVERY_PUBLIC)
        if public is not None:
            key = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
            sealed = _HPKE.encrypt(self._masters.current, key, info=b"intake-bot/recovery")
            _set_fact(connection, _RECOVERY_MASTER, sealed.hex())

    def _unwrap(self, master: str, purpose: str, wrapped: bytes) -> bytes:
        key = self._masters.named(master)
        if key is None:
            # Another process may be rotating: the source then has more keys than when we last looked.
            self._masters = self.source.load()
            key = self._masters.named(master)
        if key is None:
            raise KeyProblem("this is not the master key that the key store was made with")
        return _unwrap(key, purpose, wrapped)

    def _remember(self, key_id: str, cipher: AESGCM) -> None:
        with self._lock:
            self._opened[key_id] = cipher
            while len(self._opened) > REMEMBERED:
                self._opened.popitem(last=False)

    def _scrub(self) -> None:
        """Leave no wrapped key behind in the write-ahead log (SQLite overwrites what it deletes: ``secure_delete``)."""
        self.scrubbed = self.database.empty_log()


def recover_master(recovery_key: str, sealed: str) -> bytes:
    """The master key from the recovery key and what :meth:`KeyStore.sealed_recovery` gave. Raises KeyProblem."""
    try:
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex("".join(recovery_key.split())))
        return _HPKE.decrypt(bytes.fromhex(sealed), private, info=b"intake-bot/recovery")
    except (ValueError, InvalidTag):
        raise KeyProblem("this is not the recovery key of this backup") from None


def _new_key(master: bytes) -> tuple[dict[str, str | bytes | None], AESGCM]:
    key_id, key = secrets.token_bytes(KEY_ID_BYTES).hex(), secrets.token_bytes(KEY_BYTES)
    wrapped = _wrap(master, f"key/{key_id}", key)
    return {"id": key_id, "master": name_of(master), "wrapped": wrapped, "destroyed_at": None}, AESGCM(key)


def _wrap(master: bytes, purpose: str, value: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _wrapper(master).encrypt(nonce, value, f"intake-bot/1/{purpose}".encode())


def _unwrap(master: bytes, purpose: str, wrapped: bytes) -> bytes:
    try:
        return _wrapper(master).decrypt(
            wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], f"intake-bot/1/{purpose}".encode()
        )
    except (InvalidTag, ValueError, TypeError):  # SQLite gives a text back where one was put
        raise KeyChanged("a key in the key store was changed, or belongs to another master key") from None


@lru_cache(maxsize=8)
def _wrapper(master: bytes) -> AESGCM:
    # The master key itself encrypts nothing: each use has a key derived for it.
    return AESGCM(hmac.new(master, b"intake-bot/1/wrap", hashlib.sha256).digest())


def _facts(connection: Connection) -> dict[str, str]:
    return {row.name: row.value for row in connection.execute(select(FACTS.c.name, FACTS.c.value))}


def _set_fact(connection: Connection, name: str, value: str) -> None:
    if not connection.execute(update(FACTS).where(FACTS.c.name == name).values(value=value)).rowcount:
        _insert_unless_there(connection, FACTS, {"name": name, "value": value})


def _insert_unless_there(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Another process may have put the same row in at the same time, which is as good."""
    statement = sqlite_insert(table) if connection.dialect.name == "sqlite" else postgresql_insert(table)
    connection.execute(statement.values(row).on_conflict_do_nothing())
