"""Backups on both databases: back exactly as it was, or not at all; and what was destroyed stays so (invariant 12)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, inspect, select, text, update
from sqlmodel import SQLModel

from conftest import FRIDAY_1640, PostgresCluster
from contract.test_casework import Desk, referral
from contract.test_migrations import AT_0001, fill
from intake_bot import backup_job, doctor
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed
from intake_bot.house import House, make_practice
from intake_bot.settings import Settings
from storage import audit, backup, backup_file, backup_rows, destroyed, keystore, schema, shredding, verify
from storage.backup import KeysMissing, NotEmpty, Restored, WrongMaster, WrongStore
from storage.backup_file import BackupProblem, Damaged, Head, NewerBackup, SealedReader, SealedWriter
from storage.engine import Database
from storage.keys import FixedSource, KeyProblem
from storage.keystore import KEYS, KeyGone, KeyStore
from storage.tables import AuditEntry, Case, Destruction, SignedHead
from storage.vault import Place, Vault

CANARY = "zylophantine marmalade"
MASTER, OTHER_MASTER = "0f" * 32, "0e" * 32
DAY = timedelta(days=1)
BY = "terminal:Morag"
HERE = Place("messages", "01A", "content", "CASE1")


@dataclass
class Target:
    """An empty place to restore to."""

    database: Database
    keys: KeyStore

    def restore(self, content: Path, keys_file: Path | None, **more: Any) -> Restored:
        plan = backup.examine(content, keys_file=keys_file, database=self.database, keys=self.keys, **more)
        return backup.restore(plan, by=BY, now=FRIDAY_1640 + DAY)

    def is_untouched(self) -> bool:
        for database in (self.database, self.keys.database):
            with database.engine.connect() as connection:
                if inspect(connection).get_table_names():
                    return False
        return True


@pytest.fixture
def new_target(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Target]]:
    made: list[Target] = []

    def make(kind: str = "sqlite", master: str = MASTER) -> Target:
        # On PostgreSQL the key store stands in the same database, as it does by default.
        if kind == "sqlite":
            urls = [f"sqlite:///{tmp_path / f'{name}-{len(made)}.db'}" for name in ("content", "keys")]
        else:
            urls = [request.getfixturevalue("postgres").new_database()] * 2
        keys = KeyStore(Database(urls[1]), FixedSource(master))
        made.append(Target(Database(urls[0]), keys))
        return made[-1]

    yield make
    for target in made:
        target.database.dispose()
        target.keys.database.dispose()


@pytest.fixture
def target(new_target: Callable[..., Target]) -> Target:
    return new_target()


class Office(Desk):
    """A desk with something of everything on it, and backups of it in a folder."""

    def __init__(self, database: Database, practice: Practice, folder: Path) -> None:
        super().__init__(database, practice)
        self.folder = folder
        self.keys = practice.vault.keys
        self._backups = 0

    def work(self) -> None:
        for number in range(3):
            filed = self.opened(body_text=f"{CANARY} {number}", subject=CANARY)
            self.perform(referral(filed.case_id))
        self.opened(sender="x@elsewhere.example")
        self.sign()

    def sign(self) -> None:
        with self.database.write() as session:
            signed = audit.sign_heads(session, verify.signing_key(self.keys), now=FRIDAY_1640)
        assert signed is not None
        self.keys.note_signed_head(f"{signed.seq}:{signed.hash}")

    def back_up(self, *, at: datetime = FRIDAY_1640) -> tuple[Path, Path]:
        self._backups += 1
        content, keys = self.folder / f"{self._backups}.backup", self.folder / f"{self._backups}.keys"
        backup.write_content(self.database, self.keys, content, now=at)
        backup.write_keys(self.keys, keys, now=at)
        return content, keys


@pytest.fixture
def office(database: Database, practice: Practice, tmp_path: Path) -> Office:
    office = Office(database, practice, tmp_path)
    office.work()
    return office


@pytest.fixture
def quick_office(tmp_path: Path, practice: Practice) -> Iterator[Office]:
    """For what no database has a say in."""
    database = Database(f"sqlite:///{tmp_path / 'quick.db'}")
    schema.upgrade(database)
    office = Office(database, practice, tmp_path)
    office.work()
    yield office
    database.dispose()


def rows_of(database: Database, metadata: MetaData = SQLModel.metadata) -> dict[str, list[Any]]:
    with database.read() as session:
        connection = session.connection()
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def restored_rows(database: Database) -> dict[str, list[Any]]:
    """The rows but for what a restore itself puts on the record."""
    rows = rows_of(database)
    (audit_table, heads) = (SQLModel.metadata.tables[name] for name in ("audit", "audit_heads"))
    act, chain = list(audit_table.columns.keys()).index("act"), list(heads.columns.keys()).index("chain")
    rows["audit"] = [row for row in rows["audit"] if row[act] != "restored"]
    rows["audit_heads"] = [row for row in rows["audit_heads"] if row[chain] != audit.SERVICE_CHAIN]
    return rows


def plaintext_of(content: Path, keys: KeyStore) -> bytes:
    """What is in a backup of the content when it is open."""
    sealed = backup_file.look(content, "content")
    key = backup._unwrap(keys.secret(keystore.BACKUP_ROOT), sealed.head.store, sealed)
    with backup_file.opened(sealed, key) as source:
        found = bytearray()
        while not source.at_end():
            found += source.read(1)
    return bytes(found)


# ---- there and back


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_everything_comes_back_row_for_row_on_either_database(
    office: Office, kind: str, new_target: Callable[..., Target]
) -> None:
    content, keys = office.back_up()
    target = new_target(kind)
    restored = target.restore(content, keys)
    assert restored.faults == ()
    assert restored_rows(target.database) == restored_rows(office.database)
    assert rows_of(target.keys.database, keystore.metadata) == rows_of(office.keys.database, keystore.metadata)
    assert restored.rows == sum(len(rows) for rows in rows_of(office.database).values()) > 40
    with target.database.read() as session:
        assert list(verify.faults(session, Vault(target.keys))) == []
    with target.database.engine.begin() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("DELETE FROM audit"))
    # And back again, by way of a backup of the restored.
    again = content.with_suffix(".again")
    backup.write_content(target.database, target.keys, again, now=FRIDAY_1640)
    back = new_target("sqlite" if kind == "postgresql" else "postgresql")
    back.restore(again, keys)
    assert restored_rows(back.database) == restored_rows(office.database)


def test_the_restored_goes_on(office: Office, practice: Practice, target: Target) -> None:
    target.restore(*office.back_up())
    desk = Desk(target.database, replace(practice, vault=Vault(target.keys)))
    filed = desk.opened(body_text="Words of the day after.", message_id="<after@school.example>")
    assert desk.show(filed)["status"] == "new"
    with target.database.write() as session:
        signed = audit.sign_heads(session, verify.signing_key(target.keys), now=FRIDAY_1640 + DAY)
        assert signed is not None
        assert signed.seq == 2
    with target.database.read() as session:
        assert list(verify.faults(session, Vault(target.keys))) == []


def test_a_backup_is_one_moment_while_others_write(
    office: Office, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(office.database)
    write_rows = backup.write_rows

    class Meddling:
        """Between any two rows of the backup another case is opened."""

        def __init__(self, out: Any) -> None:
            self.out = out
            self.left = 5

        def write(self, data: bytes) -> None:
            self.out.write(data)
            if self.left:
                self.left -= 1
                office.opened()

    monkeypatch.setattr(
        backup, "write_rows", lambda connection, tables, out: write_rows(connection, tables, Meddling(out))
    )
    content = office.folder / "busy.backup"
    backup.write_content(office.database, office.keys, content, now=FRIDAY_1640)
    monkeypatch.undo()
    keys = office.folder / "busy.keys"
    backup.write_keys(office.keys, keys, now=FRIDAY_1640)
    assert office.count(Case) == len(before["cases"]) + 5
    assert target.restore(content, keys).faults == ()
    assert restored_rows(target.database) == before


def test_an_older_schema_is_restored_as_it_was_and_then_migrated(
    database_url: str, vault: Vault, tmp_path: Path, new_target: Callable[..., Target]
) -> None:
    old = Database(database_url)
    schema.upgrade(old, "0001")
    fill(old, AT_0001)
    content, keys = tmp_path / "old.backup", tmp_path / "old.keys"
    with old.read() as session:
        connection = session.connection()
        tables = _tables_there(connection)
        store, file_key = vault.fingerprint(), os.urandom(32)
        wrapped = backup._wrap(vault.keys.secret(keystore.BACKUP_ROOT), store, file_key).hex()
        backup._write(connection, tables, content, Head("content", "0001", FRIDAY_1640, store, wrapped), file_key)
    backup.write_keys(vault.keys, keys, now=FRIDAY_1640)
    old.dispose()
    for kind in ("sqlite", "postgresql"):
        target = new_target(kind)
        restored = target.restore(content, keys)
        assert restored.rows == len(AT_0001)
        with target.database.read() as session:
            assert schema.current(session.connection()) == schema.revisions()[-1]
            case = session.get_one(Case, "C1")
            assert (case.reference, case.hold, case.key_id) == ("LADO-26-AAAAAA", False, "")


def _tables_there(connection: Connection) -> list[Table]:
    """This version's tables with only the columns that the database has."""
    inspector = inspect(connection)
    tables = []
    for table in SQLModel.metadata.sorted_tables:
        if table.name not in inspector.get_table_names():
            continue
        there = {column["name"] for column in inspector.get_columns(table.name)}
        columns = [Column(c.name, c.type, primary_key=c.primary_key) for c in table.columns if c.name in there]
        tables.append(Table(table.name, MetaData(), *columns))
    return tables


# ---- what is in it


def test_a_backup_of_the_content_holds_no_key_and_no_word(office: Office) -> None:
    content, _ = office.back_up()
    plain, sealed = plaintext_of(content, office.keys), content.read_bytes()
    assert b"case_opened" in plain
    for phrase in (CANARY.encode(), b"dsl@school.example", b"Farrier"):
        assert phrase not in plain
    for phrase in (b"case_opened", b"LADO-", b"terminal"):
        assert phrase not in sealed
    with office.keys.database.read() as session:
        connection = session.connection()
        wrapped = [row[0] for table in (KEYS, keystore.SECRETS) for row in connection.execute(select(table.c.wrapped))]
    assert len(wrapped) > 5
    for key in wrapped:
        assert key not in plain
        assert key not in sealed
    assert content.stat().st_mode & 0o777 == 0o600


def test_a_backup_overwrites_nothing_and_a_failed_one_leaves_nothing(
    quick_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, _ = quick_office.back_up()
    before = content.read_bytes()
    with pytest.raises(BackupProblem, match="is there already"):
        backup.write_content(quick_office.database, quick_office.keys, content, now=FRIDAY_1640)
    assert content.read_bytes() == before

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BackupProblem, match="No space left"):
        backup.write_content(quick_office.database, quick_office.keys, quick_office.folder / "2", now=FRIDAY_1640)
    monkeypatch.undo()
    assert [path.name for path in quick_office.folder.glob("*2*")] == []


# ---- damage


@given(
    st.lists(st.binary(max_size=300), max_size=8),
    st.sampled_from([1, 7, 64, 1000]),
    st.sampled_from(["whole", "flip", "cut", "append"]),
    st.data(),
)
def test_a_stream_comes_back_whole_or_is_refused(
    parts: list[bytes], chunk: int, harm: str, data: st.DataObject
) -> None:
    from io import BytesIO

    head = Head("content", "0001", FRIDAY_1640, "store", "")
    key = bytes(32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_file, "CHUNK_BYTES", chunk)
        file = BytesIO()
        writer = SealedWriter(file, head, key)
        start, bound = file.tell(), writer._bound
        for part in parts:
            writer.write(part)
        writer.close()
        body = file.getvalue()[start:]
        at = data.draw(st.integers(0, len(body) - 1))
        match harm:
            case "flip":
                body = body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :]
            case "cut":
                body = body[:at]
            case "append":
                body += data.draw(st.binary(min_size=1, max_size=40))
        whole = b"".join(parts)
        try:
            reader = SealedReader(BytesIO(body), bound, key)
            found = reader.read(len(whole))
            ended = reader.at_end()
        except Damaged:
            assert harm != "whole"
        else:
            assert harm == "whole"
            assert found == whole
            assert ended


def _flip(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        where = min(int(len(data) * at), len(data) - 1)
        return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]

    return flip


SMALL_CHUNK = 4096


def _swap(data: bytes) -> bytes:
    start, step = _body(data), SMALL_CHUNK + backup_file.TAG_BYTES
    first, second = data[start : start + step], data[start + step : start + 2 * step]
    return data[:start] + second + first + data[start + 2 * step :]


def _body(data: bytes) -> int:
    return data.index(b"\n", data.index(b"\n") + 1) + 1


def _head(**changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        magic, line, body = data.split(b"\n", 2)
        return b"\n".join([magic, json.dumps(json.loads(line) | changes).encode(), body])

    return change


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], type[BackupProblem]]] = {
    "the first byte": (_flip(0), Damaged),
    "the head's end": (lambda data: data.replace(b"}\n", b" \n", 1), Damaged),
    "the middle": (_flip(0.5), Damaged),
    "the last byte": (_flip(1), Damaged),
    "nothing left": (lambda _: b"", Damaged),
    "cut in the head": (lambda data: data[:40], Damaged),
    "cut after the head": (lambda data: data[: _body(data)], Damaged),
    "cut between chunks": (lambda data: data[: _body(data) + SMALL_CHUNK + backup_file.TAG_BYTES], Damaged),
    "cut at the end": (lambda data: data[:-1], Damaged),
    "chunks swapped": (_swap, Damaged),
    "a byte added": (lambda data: data + b"\x00", Damaged),
    "a chunk added": (lambda data: data + data[-200:], Damaged),
    "another time": (_head(made_at="2026-11-27T17:00:00+00:00"), Damaged),
    "no time": (_head(made_at="yesterday"), Damaged),
    "another key": (_head(key="00" * 60), Damaged),
    "a later format": (_head(format=2), NewerBackup),
    "a later schema": (_head(schema="9999"), NewerBackup),
    "another kind": (_head(kind="keys"), BackupProblem),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A backup of the content in several chunks, and one of its key store."""
    folder = tmp_path_factory.mktemp("whole")
    database = Database(f"sqlite:///{folder / 'content.db'}")
    schema.upgrade(database)
    keys = KeyStore(Database(f"sqlite:///{folder / 'keys.db'}"), FixedSource(MASTER))
    keys.open()
    office = Office(database, make_practice(Settings(), Vault(keys)), folder)
    office.work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_file, "CHUNK_BYTES", SMALL_CHUNK)
        made = [file.read_bytes() for file in office.back_up()]
    database.dispose()
    keys.database.dispose()
    return made[0], made[1]


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_refused_and_nothing_is_touched(
    what: str, whole: tuple[bytes, bytes], target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_file, "CHUNK_BYTES", SMALL_CHUNK)
    harm, refusal = DAMAGE[what]
    files = tmp_path / "content", tmp_path / "keys"
    for damaged in files:
        for file, data in zip(files, whole, strict=True):
            file.write_bytes(data)
        if harm(damaged.read_bytes()) == damaged.read_bytes():
            continue  # the keys' backup is one chunk, and of its own kind
        damaged.write_bytes(harm(damaged.read_bytes()))
        with pytest.raises(refusal, match=damaged.name):
            target.restore(*files)
    assert target.is_untouched()


def test_what_changes_after_it_was_examined_restores_nothing(quick_office: Office, target: Target) -> None:
    content, keys = quick_office.back_up()
    plan = backup.examine(content, keys_file=keys, database=target.database, keys=target.keys)
    content.write_bytes(_flip(1)(content.read_bytes()))
    with pytest.raises(Damaged):
        backup.restore(plan, by=BY, now=FRIDAY_1640)
    assert not any(rows_of(target.database).values())


# ---- whose it is


def test_each_refusal_has_words_of_its_own(
    quick_office: Office, new_target: Callable[..., Target], tmp_path: Path
) -> None:
    content, keys = quick_office.back_up()
    other = KeyStore(Database(f"sqlite:///{tmp_path / 'other.db'}"), FixedSource(MASTER))
    other.open()
    backup.write_keys(other, tmp_path / "other.keys", now=FRIDAY_1640)
    said = set()

    def refused(kind: type[BackupProblem], words: str, target: Target, *files: Any) -> None:
        with pytest.raises(kind, match=words) as caught:
            target.restore(*files)
        said.add(str(caught.value))

    refused(WrongMaster, "not the master key", new_target(master=OTHER_MASTER), content, keys)
    refused(WrongStore, "another key store", new_target(), content, tmp_path / "other.keys")
    refused(BackupProblem, "--keys", new_target(), content, None)
    refused(BackupProblem, "is a backup of the keys", new_target(), keys, keys)
    refused(BackupProblem, "is a backup of the content", new_target(), content, content)
    refused(BackupProblem, "cannot be read", new_target(), tmp_path / "nothing", keys)
    refused(NotEmpty, "not empty", Target(quick_office.database, new_target().keys), content, keys)
    living = Target(new_target().database, KeyStore(other.database, FixedSource(MASTER)))
    refused(WrongStore, "another key store", living, content, keys)
    assert len(said) >= 7
    other.database.dispose()


def test_the_recovery_key_opens_what_was_made_after_it_was_taken(quick_office: Office) -> None:
    _, before = quick_office.back_up()
    recovery = quick_office.keys.make_recovery_key()
    _, after = quick_office.back_up()
    assert backup.recovered_master(after, f"  {recovery[:32]}\n{recovery[32:]}\n").hex() == MASTER
    with pytest.raises(WrongMaster, match="before there was a recovery key"):
        backup.recovered_master(before, recovery)
    with pytest.raises(WrongMaster, match="not the recovery key"):
        backup.recovered_master(after, "00" * 32)
    with pytest.raises(WrongMaster, match="not the recovery key"):
        backup.recovered_master(after, "words")


def test_a_rotation_leaves_backups_of_the_content_alone(
    quick_office: Office, new_target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "REWRAP_BATCH", 2)
    content, keys = quick_office.back_up()
    store = quick_office.keys
    store.source = FixedSource(f"{OTHER_MASTER} {MASTER}")
    rotation = store.rotate()
    next(rotation)
    with pytest.raises(KeyProblem, match="not finished"):
        backup.write_keys(store, quick_office.folder / "between.keys", now=FRIDAY_1640)
    assert not (quick_office.folder / "between.keys").exists()
    list(rotation)
    _, newer = quick_office.back_up()
    assert new_target(master=OTHER_MASTER).restore(content, newer).faults == ()
    with pytest.raises(WrongMaster):
        new_target(master=OTHER_MASTER).restore(content, keys)
    assert new_target(master=MASTER).restore(content, keys).faults == ()


# ---- what was destroyed


@pytest.fixture
def shredded(quick_office: Office) -> tuple[Office, Path, Path, str, bytes]:
    """Backups from before a key was destroyed; the key, and what it sealed."""
    key = quick_office.keys.new_key()
    sealed = Vault(quick_office.keys).seal(HERE, CANARY.encode(), key=key)
    content, keys = quick_office.back_up()
    quick_office.keys.destroy([key], now=FRIDAY_1640 + DAY)
    return quick_office, content, keys, key, sealed


def is_gone(target: Target, key: str, sealed: bytes) -> bool:
    with target.keys.database.read() as session:
        row = session.connection().execute(select(KEYS).where(KEYS.c.id == key)).one()
    with pytest.raises(KeyGone):
        Vault(target.keys).open(HERE, sealed)
    return row.wrapped is None and row.destroyed_at is not None


def wrapped_of(keys: KeyStore, key: str) -> bytes:
    with keys.database.read() as session:
        return bytes(session.connection().execute(select(KEYS.c.wrapped).where(KEYS.c.id == key)).scalar_one())


def test_a_destroyed_key_stays_destroyed_by_the_list(
    shredded: tuple[Office, Path, Path, str, bytes], new_target: Callable[..., Target], tmp_path: Path
) -> None:
    office, content, keys, key, sealed = shredded
    office.keys.destroy(["ff" * 16], now=FRIDAY_1640 + DAY)
    assert destroyed.note(office.keys, tmp_path) == 2
    target = new_target()
    restored = target.restore(content, keys, lists=[tmp_path / destroyed.LIST_FILE])
    assert is_gone(target, key, sealed)
    assert (restored.kept_destroyed, restored.notes) == (1, ())
    assert dict(target.keys.destroyed()) == {key: FRIDAY_1640 + DAY, "ff" * 16: FRIDAY_1640 + DAY}
    # Without the list the administrator is told; that the key then opens is why the list is kept.
    careless = new_target()
    assert "alive again" in " ".join(careless.restore(content, keys).notes)
    brought_back = wrapped_of(careless.keys, key)
    for name in ("keys-0.db", "keys-0.db-wal"):
        file = tmp_path / name
        assert not file.exists() or brought_back not in file.read_bytes()


def test_a_destroyed_key_stays_destroyed_by_a_newer_backup_of_the_keys(
    shredded: tuple[Office, Path, Path, str, bytes], target: Target
) -> None:
    office, content, keys, key, sealed = shredded
    _, newer = office.back_up(at=FRIDAY_1640 + DAY)
    target.restore(content, keys, newer=[newer])
    assert is_gone(target, key, sealed)


def test_a_destroyed_key_stays_destroyed_by_what_the_content_says(
    shredded: tuple[Office, Path, Path, str, bytes], target: Target
) -> None:
    office, _, keys, key, sealed = shredded
    with office.database.write() as session:
        session.add(Destruction(key_id=key, case_id="C", ordered_at=FRIDAY_1640, done_at=FRIDAY_1640))
    newer, _ = office.back_up(at=FRIDAY_1640 + DAY)
    target.restore(newer, keys)
    assert is_gone(target, key, sealed)


class Dies(BaseException):
    """The process ends here."""


def test_a_restore_cut_off_after_its_commit_brings_nothing_purged_back_and_is_finished(
    quick_office: Office, new_target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = quick_office
    office.keys.note_signed_head(f"7:{'0' * 64}")
    with office.database.read() as session:
        case, other = session.scalars(select(Case).order_by(Case.id).limit(2))  # type: ignore[arg-type]
    sealed = Vault(office.keys).seal(HERE, CANARY.encode(), key=case.key_id)
    _, keys = office.back_up()
    purge(office, case.id)
    content, _ = office.back_up(at=FRIDAY_1640 + DAY)
    # And one that was purged after both backups: only the list knows of it.
    purge(office, other.id)
    destroyed.note(office.keys, office.folder)

    def dies(*_: Any, **__: Any) -> None:
        raise Dies

    for step in ("finish", "_keyless", "shredding.bury", "audit.record"):
        target = new_target()
        where, _, name = f"backup.{step}".rpartition(".")
        monkeypatch.setattr({"backup": backup, "backup.shredding": backup.shredding}.get(where, audit), name, dies)
        with pytest.raises(Dies):
            target.restore(content, keys, lists=[office.folder / destroyed.LIST_FILE])
        monkeypatch.undo()
        # The key store as the next process opens it: before anything is finished, no key is there that was destroyed.
        store = KeyStore(target.keys.database, FixedSource(MASTER))
        store.open()
        with pytest.raises(KeyGone):
            Vault(store).open(HERE, sealed)
        with pytest.raises(NotEmpty, match="cut off"):
            target.restore(content, keys)
        assert backup.finish(target.database, store, now=FRIDAY_1640 + DAY) is not None
        assert backup.finish(target.database, store, now=FRIDAY_1640 + DAY) is None
        with target.database.read() as session:
            assert list(verify.faults(session, Vault(store))) == []
            assert session.get_one(Case, other.id).purged_at is not None
            entry = session.scalars(select(AuditEntry).where(AuditEntry.act == "restored")).one()
        assert (entry.actor, entry.detail["signed_head"]) == (BY, f"7:{'0' * 64}")
        assert not (store.signed_head() or "").startswith("7:")


def test_a_key_store_s_restore_that_was_cut_off_is_given_again_or_finished(
    quick_office: Office, new_target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = quick_office
    with office.database.write() as session:
        schema.check_key(session, office.practice.vault)
        case = session.scalars(select(Case)).first()
    assert case is not None
    sealed = Vault(office.keys).seal(HERE, CANARY.encode(), key=case.key_id)
    _, keys_file = office.back_up()
    purge(office, case.id)

    def dies(*_: Any, **__: Any) -> None:
        raise Dies

    def attempt(target: Target) -> None:
        plan = backup.examine_keys(keys_file, database=office.database, keys=target.keys)
        backup.restore_keys(plan, by=BY, now=FRIDAY_1640 + DAY)

    for count, step in enumerate(("_restore_keys", "finish"), start=1):
        lost = new_target()
        with monkeypatch.context() as patch:
            patch.setattr(backup, step, dies)
            with pytest.raises(Dies):
                attempt(lost)
        again = Target(office.database, KeyStore(lost.keys.database, FixedSource(MASTER)))
        if step == "_restore_keys":
            attempt(again)
        else:
            again.keys.open()
            assert backup.finish(office.database, again.keys, now=FRIDAY_1640 + DAY) is not None
        with pytest.raises(KeyGone):
            Vault(again.keys).open(HERE, sealed)
        assert office.count(AuditEntry, AuditEntry.act == "restored") == count
        with office.database.read() as session:
            assert list(verify.faults(session, Vault(again.keys))) == []


def purge(office: Office, case_id: str) -> None:
    with office.database.write() as session:
        case = session.get_one(Case, case_id)
        shredding.shred(session, office.practice.vault, case, now=FRIDAY_1640)
        audit.record(session, case_id, at=FRIDAY_1640, actor=BY, act="purged")
    shredding.finish(office.database, office.keys, now=FRIDAY_1640)


def test_a_living_key_store_is_kept_and_keeps_its_destroyed_keys(
    shredded: tuple[Office, Path, Path, str, bytes], new_target: Callable[..., Target], tmp_path: Path
) -> None:
    office, content, keys, key, sealed = shredded
    other = office.keys.new_key()
    elsewhere = new_target()
    elsewhere.restore(content, keys)
    elsewhere.keys.destroy([other], now=FRIDAY_1640)
    destroyed.note(elsewhere.keys, tmp_path)
    living = Target(new_target().database, KeyStore(office.keys.database, FixedSource(MASTER)))
    restored = living.restore(content, keys, lists=[tmp_path / destroyed.LIST_FILE])
    assert is_gone(living, key, sealed)
    assert restored.kept_destroyed == 1
    assert {key, other} == {one for one, _ in living.keys.destroyed()}


def test_a_backup_of_the_keys_that_is_too_old_is_refused_before_anything_is_written(
    quick_office: Office, target: Target
) -> None:
    _, keys = quick_office.back_up()
    quick_office.keys.give_back()
    late = [quick_office.opened() for _ in range(20)]
    content, _ = quick_office.back_up(at=FRIDAY_1640 + DAY)
    living = Target(target.database, KeyStore(quick_office.keys.database, FixedSource(MASTER)))
    with pytest.raises(KeysMissing, match=r"not in .*1\.keys \(20 of them\)"):
        target.restore(content, keys)
    assert target.is_untouched()
    with quick_office.keys.database.write() as session:
        case_key = session.connection().execute(select(KEYS).where(KEYS.c.id == lost_key(quick_office, late[0]))).one()
        session.connection().execute(KEYS.delete().where(KEYS.c.id == case_key.id))
    with pytest.raises(KeysMissing, match=r"not in the key store \(1 of them\)"):
        living.restore(content, keys)
    restored = target.restore(content, keys, anyway=True)
    assert restored.faults
    assert all("is needed and not there" in fault for fault in restored.faults)
    assert any("20 of them" in note for note in restored.notes)


def lost_key(office: Office, filed: Filed) -> str:
    with office.database.read() as session:
        return session.get_one(Case, filed.case_id).key_id


def test_an_older_list_of_destroyed_keys_is_said(
    shredded: tuple[Office, Path, Path, str, bytes], target: Target, tmp_path: Path
) -> None:
    office, _, _, key, sealed = shredded
    destroyed.note(office.keys, tmp_path)
    older = (tmp_path / destroyed.LIST_FILE).read_bytes()
    office.keys.destroy([office.keys.new_key()], now=FRIDAY_1640 + DAY)
    destroyed.note(office.keys, tmp_path)
    content, keys = office.back_up()
    (tmp_path / destroyed.LIST_FILE).write_bytes(older)
    restored = target.restore(content, keys, lists=[tmp_path / destroyed.LIST_FILE])
    assert is_gone(target, key, sealed)
    assert any("an older copy" in note for note in restored.notes)


def test_the_list_only_grows_and_cannot_be_shortened_unseen(vault: Vault, tmp_path: Path) -> None:
    keys = vault.keys
    path = tmp_path / destroyed.LIST_FILE
    root = keys.secret(keystore.BACKUP_ROOT)
    assert destroyed.note(keys, tmp_path) == 0
    for day in range(3):
        keys.destroy([keys.new_key()], now=FRIDAY_1640 + day * DAY)
        destroyed.note(keys, tmp_path)
    listed = dict(keys.destroyed())
    assert destroyed.read(path, root) == listed
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    for changed in ("", "\n".join([*lines[:1], *lines[2:]]) + "\n", "\n".join([lines[0], lines[-1]]) + "\n", "x\ny\nz"):
        path.write_text(changed)
        with pytest.raises(BackupProblem, match="was changed"):
            destroyed.read(path, root)
        with pytest.raises(BackupProblem, match="was changed"):
            destroyed.note(keys, tmp_path)
    path.unlink()
    assert destroyed.note(keys, tmp_path) == 3
    # A key store that was itself taken back to an earlier day does not shorten it.
    with keys.database.write() as session:
        session.connection().execute(update(KEYS).values(destroyed_at=None))
    assert destroyed.note(keys, tmp_path) == 3


def test_going_back_to_an_older_record_is_said_and_the_record_goes_on_from_there(
    quick_office: Office, target: Target
) -> None:
    content, _ = quick_office.back_up()
    quick_office.opened()
    quick_office.sign()
    _, keys = quick_office.back_up(at=FRIDAY_1640 + DAY)
    restored = target.restore(content, keys)
    assert restored.faults == ()
    assert restored.signed_head is not None
    assert restored.signed_head.startswith("2:")
    assert any("what came after is not in it" in note for note in restored.notes)
    with target.database.read() as session:
        assert list(verify.faults(session, Vault(target.keys))) == []
        assert [head.seq for head in session.scalars(select(SignedHead))] == [1]


def test_a_record_from_before_the_first_signed_head_is_signed_again(quick_office: Office, target: Target) -> None:
    with quick_office.database.write() as session:
        # Signed heads cannot be deleted; what has none yet is a new place.
        assert audit.latest_signed(session) is not None
    assert audit.follows(None, f"0:{'0' * 64}")
    assert not audit.follows(None, f"1:{'0' * 64}")
    schema.upgrade(target.database)
    fresh = Office(target.database, quick_office.practice, quick_office.folder)
    fresh.opened()
    content, _ = fresh.back_up()
    elsewhere = Database(f"sqlite:///{quick_office.folder / 'elsewhere.db'}")
    living = Target(elsewhere, KeyStore(quick_office.keys.database, FixedSource(MASTER)))
    living.restore(content, None)
    mark = living.keys.signed_head()
    with elsewhere.write() as session:
        assert mark is not None
        assert audit.follows(audit.latest_signed(session), mark)
        assert audit.sign_heads(session, verify.signing_key(living.keys), now=FRIDAY_1640) is not None
        assert audit.follows(audit.latest_signed(session), mark)
    elsewhere.dispose()


def test_large_rows_are_neither_read_nor_written_many_at_a_time(
    office: Office, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = SQLModel.metadata.sorted_tables
    sealed = {table.name for table in tables if any(isinstance(column.type, LargeBinary) for column in table.columns)}
    assert {"raw", "messages", "suggestions", "spool"} <= sealed
    assert all(backup_rows._at_once(table) <= 10 for table in tables if table.name in sealed)
    for number in range(12):
        office.opened(body_text=f"{number} " + "word " * 20_000)
    monkeypatch.setattr(backup_rows, "BYTES_AT_ONCE", 150_000)
    portions = []
    portion = backup_rows._portions

    def counted(rows: Any) -> Iterator[list[Any]]:
        for some in portion(rows):
            portions.append(sum(len(value) for row in some for value in row.values() if isinstance(value, bytes)))
            yield some

    monkeypatch.setattr(backup_rows, "_portions", counted)
    assert target.restore(*office.back_up()).faults == ()
    assert max(portions) < 150_000 + 210_000
    heads = [{"heads": [["chain", 1, "0" * 64]] * 5000}] * 3
    assert [len(some) for some in portion(heads)] == [1, 1, 1]


def test_two_databases_of_one_postgresql_server_are_told_from_two_servers(
    postgres: PostgresCluster, tmp_path: Path
) -> None:
    one = postgres.new_database()
    content, keys = Database(one), Database(postgres.new_database().replace("127.0.0.1", "localhost"))
    elsewhere = Database(f"sqlite:///{tmp_path / 'keys.db'}")
    unreachable = Database("postgresql://postgres@127.0.0.1:1/keys")
    assert doctor.same_server(content, keys)
    assert not doctor.same_server(content, elsewhere)
    assert not doctor.same_server(content, unreachable)
    assert doctor.same_server(unreachable, Database("postgresql://127.0.0.1:1/content"))
    for database in (content, keys):
        database.dispose()


# ---- the schedule


def house_of(office: Office, **backup_settings: Any) -> House:
    settings = Settings.model_validate(
        {"backup": {"folder": office.folder / "backups"} | backup_settings, "keys": {"keep_days": 3}}
    )
    data = office.folder / "data"
    data.mkdir(exist_ok=True)
    return House(settings, data, office.database, office.practice)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def test_a_scheduled_backup_is_taken_proven_and_on_the_record(office: Office, target: Target) -> None:
    house = house_of(office)
    outcome = backup_job.scheduled(house, now=FRIDAY_1640)
    assert outcome is not None
    assert outcome.proven
    assert outcome.content is not None
    assert outcome.keys is not None
    folder = office.folder / "backups"
    assert names(folder) == ["intake-bot-20261127T164000Z.backup"]
    assert names(folder / "keys") == [destroyed.LIST_FILE, "intake-bot-20261127T164000Z.keys"]
    assert list(house.data_dir.iterdir()) == []
    with office.database.read() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.act == "backed_up")).one()
    assert (entry.actor, entry.code) == ("system:intake-bot", "proven")
    assert entry.detail["sha256"] == backup_file.digest(outcome.content.path)
    assert target.restore(outcome.content.path, outcome.keys.path).faults == ()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            "UPDATE keystore_keys SET wrapped = x'00' WHERE id = '{key}'",
            "cannot be unwrapped",
        ),
        ("UPDATE messages SET content = x'00' WHERE id = (SELECT id FROM messages LIMIT 1)", "is not a sealed value"),
    ],
)
def test_a_backup_of_what_does_not_open_is_not_proven(harm: str, says: str, quick_office: Office) -> None:
    house = house_of(quick_office)
    with quick_office.database.read() as session:
        key_id = session.scalars(select(Case.key_id)).first()
    database = quick_office.keys.database if "keystore" in harm else quick_office.database
    with database.write() as session:
        session.connection().exec_driver_sql(harm.format(key=key_id))
    outcome = backup_job.scheduled(house, now=FRIDAY_1640)
    assert outcome is not None
    assert not outcome.proven
    assert any(says in fault for fault in outcome.faults)


def test_a_proof_writes_no_key_to_the_disk(quick_office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of(quick_office)
    wrapped = wrapped_of(quick_office.keys, quick_office.keys.service_key)
    looked = []

    def look(*_: Any, **__: Any) -> list[str]:
        for file in house.data_dir.rglob("*.db*"):
            looked.append(file.name)
            assert wrapped not in file.read_bytes()
        return []

    monkeypatch.setattr(backup_job.verify, "faults", look)
    assert backup_job.scheduled(house, now=FRIDAY_1640).proven  # type: ignore[union-attr]
    assert "intake.db" in looked


def test_pruning_keeps_what_it_must(quick_office: Office) -> None:
    house = house_of(quick_office, keep=2)
    folder = quick_office.folder / "backups"
    (folder / "keys").mkdir(parents=True)
    (folder / "by-hand.backup").write_bytes(b"ours by another name")
    (folder / ".intake-bot-20261101T020000Z.backup.0123abcd.partial").write_bytes(b"a crash left this")
    (folder / ".intake-bot-20261202T163900Z.backup.0123abcd.partial").write_bytes(b"another node at work")
    for day in range(6):
        outcome = backup_job.scheduled(house, now=FRIDAY_1640 + day * DAY)
        assert outcome is not None
        assert outcome.proven
    assert names(folder) == [
        "by-hand.backup", "intake-bot-20261201T164000Z.backup", "intake-bot-20261202T164000Z.backup",
    ]  # fmt: skip
    assert [path.name for path in folder.glob(".*.partial")] == [".intake-bot-20261202T163900Z.backup.0123abcd.partial"]
    # No backup of the keys lies longer than its days.
    assert names(folder / "keys")[1:] == ["intake-bot-20261130T164000Z.keys"] + [
        f"intake-bot-202612{day}T164000Z.keys" for day in ("01", "02")
    ]
    # Nor for a day longer where no backup comes: only the newest stays.
    backup_job.tidy(house, now=FRIDAY_1640 + 6 * DAY)
    assert len(names(folder / "keys")) == 3
    backup_job.tidy(house, now=FRIDAY_1640 + 60 * DAY)
    assert names(folder / "keys")[1:] == ["intake-bot-20261202T164000Z.keys"]


def test_what_is_not_proven_pushes_out_nothing_that_was(quick_office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of(quick_office, keep=1)
    folder = quick_office.folder / "backups"
    assert backup_job.scheduled(house, now=FRIDAY_1640).proven  # type: ignore[union-attr]
    good = names(folder)
    monkeypatch.setattr(backup_job, "prove", lambda *_, **__: ("CASE1/2: was changed",))
    outcome = backup_job.scheduled(house, now=FRIDAY_1640 + DAY)
    assert outcome is not None
    assert not outcome.proven
    assert names(folder) == [*good, "intake-bot-20261128T164000Z.backup.unproven"]
    # Where nothing can be written, that is in the outcome too, and the service goes on.
    monkeypatch.setattr(backup_job.backup, "write_content", _unwritable)
    outcome = backup_job.scheduled(house, now=FRIDAY_1640 + 9 * DAY)
    assert outcome is not None
    assert (outcome.content, outcome.problem) == (None, "the disk is full")
    assert set(good) < set(names(folder))
    # A key store's backup does not outstay its days for that; the newest that was proven does.
    assert names(folder / "keys") == [destroyed.LIST_FILE, "intake-bot-20261127T164000Z.keys"]
    with quick_office.database.read() as session:
        codes = session.scalars(select(AuditEntry.code).where(AuditEntry.act == "backed_up")).all()
    assert sorted(map(str, codes)) == ["failed", "not_proven", "proven"]


def test_one_old_backup_that_cannot_be_deleted_keeps_no_other(
    quick_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of(quick_office, keep=1)
    folder = quick_office.folder / "backups"
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".backup" or "1127T" in path.name:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    for day in range(6):
        outcome = backup_job.scheduled(house, now=FRIDAY_1640 + day * DAY)
        assert outcome is not None
        assert outcome.proven
    assert outcome.left is not None
    assert "cannot be deleted (Operation not permitted)" in outcome.left
    left = [f"intake-bot-20261{day}T164000Z.keys" for day in ("127", "130", "201", "202")]
    assert names(folder / "keys")[1:] == left
    assert quick_office.count(AuditEntry, AuditEntry.act == "backed_up") == 6


def test_what_a_killed_proof_left_is_cleared_away_where_no_backups_are_scheduled_too(quick_office: Office) -> None:
    house = replace(house_of(quick_office), settings=Settings())
    scratch = house.data_dir / f"{backup_job.SCRATCH}killed"
    scratch.mkdir()
    (scratch / "keystore.db").write_bytes(b"a whole key store")
    assert backup_job.tidy(house, now=FRIDAY_1640) is None
    assert list(house.data_dir.iterdir()) == []


def _unwritable(*_: Any, **__: Any) -> None:
    raise BackupProblem("the disk is full")


def test_unproven_backups_do_not_count_and_do_not_pile_up(
    quick_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of(quick_office, keep=3)
    folder = quick_office.folder / "backups"
    for day in range(3):
        backup_job.scheduled(house, now=FRIDAY_1640 + day * DAY)
    with monkeypatch.context() as patch:
        patch.setattr(backup_job, "prove", _unwritable)
        for hour in range(1, 4):
            now = FRIDAY_1640 + 2 * DAY + timedelta(hours=hour)
            outcome = backup_job.scheduled(house, now=now)
            assert outcome is not None
            assert (outcome.proven, outcome.pruned) == (False, 0 if hour == 1 else 2)
            assert backup_job.newest_keys(folder / "keys") == outcome.keys.path  # type: ignore[union-attr]
    proven = [f"intake-bot-202611{day}T164000Z.backup" for day in (27, 28, 29)]
    assert names(folder) == [*proven, "intake-bot-20261129T194000Z.backup.unproven"]
    assert backup_job.scheduled(house, now=FRIDAY_1640 + 3 * DAY).proven  # type: ignore[union-attr]
    assert names(folder) == [*proven[1:], "intake-bot-20261130T164000Z.backup"]
    assert not list((folder / "keys").glob("*.unproven"))


@pytest.mark.parametrize("fails", ["write_keys", "prove"])
def test_a_backup_of_which_only_the_content_came_about_is_still_due(
    fails: str, quick_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of(quick_office, at="16:00")
    with monkeypatch.context() as patch:
        patch.setattr(backup_job.backup if fails == "write_keys" else backup_job, fails, _unwritable)
        outcome = backup_job.scheduled(house, now=FRIDAY_1640)
    assert outcome is not None
    assert outcome.content is not None
    assert backup_job.due(house.settings, now=FRIDAY_1640 + timedelta(hours=1))
    backup_job.scheduled(house, now=FRIDAY_1640 + timedelta(hours=1))
    assert not backup_job.due(house.settings, now=FRIDAY_1640 + timedelta(hours=2))


def test_a_disk_that_is_not_mounted_is_noticed(quick_office: Office) -> None:
    house = house_of(quick_office)
    folder = quick_office.folder / "backups"
    assert backup_job.scheduled(house, now=FRIDAY_1640).proven  # type: ignore[union-attr]
    folder.rename(quick_office.folder / "unmounted")
    folder.mkdir()
    outcome = backup_job.scheduled(house, now=FRIDAY_1640 + DAY)
    assert outcome is not None
    assert outcome.problem is not None
    assert "is its disk mounted?" in outcome.problem
    with pytest.raises(BackupProblem, match="mounted"):
        backup_job.note_destroyed(house)
    # No key lands on the machine's own disk.
    assert list(folder.iterdir()) == []
    # The problem says how to take a new disk; another path in the settings is taken at its word.
    (folder / "keys").mkdir()
    for place in (folder, folder / "keys"):
        (place / backup_job.MARK).touch()
    assert backup_job.scheduled(house, now=FRIDAY_1640 + DAY).proven  # type: ignore[union-attr]
    moved = house_of(quick_office, folder=quick_office.folder / "elsewhere")
    assert backup_job.scheduled(moved, now=FRIDAY_1640 + DAY).proven  # type: ignore[union-attr]


@pytest.mark.parametrize("step", ["write_content", "write_keys", "examine", "restore", "faults"])
def test_a_backup_is_given_up_wherever_it_is(step: str, quick_office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of(quick_office)
    monkeypatch.setattr(backup_job, "STEPS", 1)
    stop = threading.Event()
    module = verify if step == "faults" else backup
    real = getattr(module, step)

    def reached(*arguments: Any, **named: Any) -> Any:
        stop.set()
        return real(*arguments, **named)

    monkeypatch.setattr(module, step, reached)
    outcome = backup_job.scheduled(house, now=FRIDAY_1640, stopping=stop.is_set)
    assert outcome is not None
    assert outcome.problem is not None
    assert "stopped" in outcome.problem
    # Nothing half-done is left, and it is due again.
    assert list(house.data_dir.iterdir()) == []
    assert not list(quick_office.folder.rglob("*.partial"))
    assert backup_job.due(house.settings, now=FRIDAY_1640)


def test_nothing_is_scheduled_without_a_folder(quick_office: Office) -> None:
    house = House(Settings(), quick_office.folder, quick_office.database, quick_office.practice)
    assert backup_job.scheduled(house, now=FRIDAY_1640) is None
    assert backup_job.note_destroyed(house) is None
    assert not backup_job.due(house.settings, now=FRIDAY_1640)


def test_destroyed_keys_are_noted_at_once_where_backups_are_scheduled(quick_office: Office) -> None:
    house = house_of(quick_office, keys_folder=quick_office.folder / "elsewhere" / "keys")
    quick_office.keys.destroy([quick_office.keys.new_key()], now=FRIDAY_1640)
    assert backup_job.note_destroyed(house) == 1
    assert (quick_office.folder / "elsewhere" / "keys" / destroyed.LIST_FILE).exists()


@pytest.mark.parametrize(
    ("newest", "now", "due"),
    [
        (None, "2026-11-27T12:00", True),
        ("2026-11-27T02:00", "2026-11-27T12:00", False),
        ("2026-11-26T02:00", "2026-11-27T01:59", False),
        ("2026-11-26T02:00", "2026-11-27T02:00", True),
        ("2026-11-25T02:00", "2026-11-27T01:59", True),
        # In summer 02:00 is 01:00 in UTC.
        ("2026-06-26T01:00", "2026-06-27T00:59", False),
        ("2026-06-26T01:00", "2026-06-27T01:00", True),
    ],
)
def test_a_backup_is_due_once_its_time_of_day_has_passed(
    newest: str | None, now: str, due: bool, tmp_path: Path
) -> None:
    settings = Settings.model_validate({"backup": {"folder": tmp_path}})
    if newest is not None:
        made_at = datetime.fromisoformat(newest)
        (tmp_path / f"intake-bot-{made_at:%Y%m%dT%H%M%SZ}.backup").touch()
    assert backup_job.due(settings, now=datetime.fromisoformat(now).replace(tzinfo=UTC)) is due
