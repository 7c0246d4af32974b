"""Keys: what is sealed opens at its place alone, a destroyed key opens nothing, a rotation loses nothing (invariant 12)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from conftest import FRIDAY_1640
from storage.engine import Database
from storage.keys import CommandSource, FileSource, FixedSource, KeyProblem, MasterKeys, name_of
from storage.keystore import KeyGone, KeyStore, KeyUnknown, recover_master
from storage.vault import OVERHEAD, Place, Tampered, Vault, key_of

OLD, NEW = "0a" * 32, "0b" * 32
HERE = Place("messages", "01A", "content", "CASE1")


@pytest.fixture
def store(database_url: str) -> Iterator[KeyStore]:
    store = KeyStore(Database(database_url), FixedSource(OLD), ahead=4)
    store.open()
    yield store
    store.database.dispose()


def again(store: KeyStore, master: str = OLD) -> KeyStore:
    """The same store as another process sees it."""
    other = KeyStore(store.database, FixedSource(master))
    other.open()
    return other


def scalar(store: KeyStore, statement: str) -> object:
    with store.database.engine.connect() as connection:
        return connection.execute(text(statement)).scalar()


def test_what_is_sealed_opens_here_and_after_a_restart(store: KeyStore) -> None:
    key = store.new_key()
    sealed = Vault(store).seal(HERE, b"words", key=key)
    assert Vault(store).open(HERE, sealed) == b"words"
    assert Vault(again(store)).open(HERE, sealed) == b"words"
    assert key_of(sealed) == key
    assert b"words" not in sealed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=2000), data=st.data())
def test_a_value_opens_at_its_place_alone_and_unchanged_alone(
    content: bytes, data: st.DataObject, vault: Vault
) -> None:
    names = st.sampled_from(["", "a", "b", "ab", "messages", "01A"])
    here = Place(data.draw(names), data.draw(names), data.draw(names), data.draw(st.none() | names))
    there = Place(data.draw(names), data.draw(names), data.draw(names), data.draw(st.none() | names))
    sealed = vault.seal(here, content, key=vault.keys.service_key)
    assert vault.open(here, sealed) == content
    if there.bound() != here.bound():
        with pytest.raises(Tampered):
            vault.open(there, sealed)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytes([*sealed[:at], sealed[at] ^ (1 << data.draw(st.integers(0, 7))), *sealed[at + 1 :]])
    with pytest.raises((Tampered, KeyUnknown)):
        vault.open(here, changed)
    with pytest.raises(Tampered):
        vault.open(here, sealed[: data.draw(st.integers(0, OVERHEAD - 1))])


def test_two_seals_of_the_same_words_are_different(vault: Vault) -> None:
    key = vault.keys.new_key()
    assert vault.seal(HERE, b"words", key=key) != vault.seal(HERE, b"words", key=key)


def test_keys_made_ahead_are_different_and_given_back_when_unused(store: KeyStore) -> None:
    before = scalar(store, "SELECT count(*) FROM keystore_keys")
    keys = {store.new_key() for _ in range(6)}
    assert len(keys) == 6
    store.give_back()
    assert scalar(store, "SELECT count(*) FROM keystore_keys") == int(str(before)) + 6


def test_many_threads_get_keys_of_their_own(store: KeyStore) -> None:
    keys: list[str] = []

    def take() -> None:
        keys.extend(store.new_key() for _ in range(20))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 80


def test_a_destroyed_key_opens_nothing_here_or_in_another_process(store: KeyStore) -> None:
    key, other = store.new_key(), store.new_key()
    sealed = Vault(store).seal(HERE, b"words", key=key)
    elsewhere = again(store)
    assert Vault(elsewhere).open(HERE, sealed) == b"words"
    assert store.destroy([key, "ff" * 16], now=FRIDAY_1640) == 1
    assert store.destroy([key], now=FRIDAY_1640) == 0
    with pytest.raises(KeyGone):
        Vault(store).open(HERE, sealed)
    elsewhere.forget_destroyed()
    with pytest.raises(KeyGone):
        Vault(elsewhere).open(HERE, sealed)
    assert {key, "ff" * 16} == {one for one, _ in store.destroyed()}
    assert store.cipher(other)
    # An unused id that is destroyed can never come to life.
    with pytest.raises(KeyGone):
        store.cipher("ff" * 16)


def test_a_destroyed_key_is_in_no_file_of_the_store(tmp_path: Path) -> None:
    store = KeyStore(Database(f"sqlite:///{tmp_path / 'keys.db'}"), FixedSource(OLD))
    store.open()
    key = store.new_key()
    with store.database.engine.connect() as connection:
        wrapped = connection.execute(text("SELECT wrapped FROM keystore_keys WHERE id = :id"), {"id": key}).scalar()
    assert isinstance(wrapped, bytes)

    def files() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert wrapped in files()
    store.destroy([key], now=FRIDAY_1640)
    assert wrapped not in files()
    store.database.dispose()


def test_a_strange_master_key_is_refused(store: KeyStore) -> None:
    with pytest.raises(KeyProblem):
        again(store, NEW)


def test_a_changed_key_is_named(store: KeyStore) -> None:
    key = store.new_key()
    assert list(store.faults()) == []
    with store.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE keystore_keys SET wrapped = (SELECT wrapped FROM keystore_secrets LIMIT 1) WHERE id = :id"),
            {"id": key},
        )
        connection.execute(
            text("UPDATE keystore_secrets SET wrapped = :w WHERE name = 'audit-signing'"), {"w": b"\x00" * 60}
        )
    assert list(store.faults()) == [
        "keystore/secret/audit-signing: cannot be unwrapped",
        f"keystore/key/{key}: cannot be unwrapped",
    ]


# ---- rotation


def test_a_rotation_from_a_fixed_source_wraps_everything_anew(store: KeyStore) -> None:
    vault = Vault(store)
    keys = [store.new_key() for _ in range(12)]
    sealed = [vault.seal(HERE, b"words", key=key) for key in keys]
    tag, fingerprint = vault.tag("reply", "x"), vault.fingerprint()
    with pytest.raises(KeyProblem):
        list(again(store).rotate())  # nobody gave a new key
    list(again(store, f"{NEW} {OLD}").rotate())
    after = Vault(again(store, NEW))
    assert {after.open(HERE, one) for one in sealed} == {b"words"}
    assert (after.tag("reply", "x"), after.fingerprint()) == (tag, fingerprint)
    with pytest.raises(KeyProblem):
        again(store, OLD)


def file_store(folder: Path) -> KeyStore:
    (folder / "data").mkdir(exist_ok=True)
    source = FileSource(folder / "master.key", data_dir=folder / "data")
    store = KeyStore(Database(f"sqlite:///{folder / 'data' / 'keys.db'}"), source, ahead=4)
    store.open()
    return store


def test_a_rotation_under_a_running_service_and_stopped_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.keystore.REWRAP_BATCH", 3)
    service, command = file_store(tmp_path), file_store(tmp_path)
    sealed = [Vault(service).seal(HERE, b"before", key=service.new_key()) for _ in range(10)]
    old = (tmp_path / "master.key").read_text()
    rotation = command.rotate()
    next(rotation)
    next(rotation)
    with pytest.raises(KeyProblem, match="another rotation"):
        next(file_store(tmp_path).rotate())
    rotation.close()
    # Stopped here. The service goes on, with keys that it made ahead and with new ones.
    service._opened.clear()
    sealed += [Vault(service).seal(HERE, b"before", key=service.new_key()) for _ in range(10)]
    assert len((tmp_path / "master.key").read_text().split()) == 2
    resumed = file_store(tmp_path)
    assert list(resumed.rotate())[-1] > 0
    (new,) = (tmp_path / "master.key").read_text().split()
    assert new not in old
    for store in (service, resumed, file_store(tmp_path)):
        store._opened.clear()
        assert {Vault(store).open(HERE, one) for one in sealed} == {b"before"}
        assert Vault(store).seal(HERE, b"after", key=store.new_key())
    assert list(service.faults()) == []


def test_one_damaged_key_keeps_no_other_under_the_old_master_key(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    damaged, whole = store.new_key(), store.new_key()
    sealed = Vault(store).seal(HERE, b"words", key=whole)
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE keystore_keys SET wrapped = 'x' WHERE id = :id"), {"id": damaged})
    for _ in range(2):
        resumed = file_store(tmp_path)
        list(resumed.rotate())
        assert resumed.damaged == [damaged]
        new, *_ = (tmp_path / "master.key").read_text().split()
        assert Vault(again(resumed, new)).open(HERE, sealed) == b"words"
        with resumed.database.engine.connect() as connection:
            assert resumed.wrap_for_backup(connection, "backup/keys", b"k" * 32).master == name_of(bytes.fromhex(new))


def test_what_a_reader_keeps_in_the_log_is_told_and_goes_the_next_time(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    gone = store.new_key()
    with store.database.engine.connect() as connection:
        wrapped = connection.execute(text("SELECT wrapped FROM keystore_keys WHERE id = :id"), {"id": gone}).scalar()
    with store.database.read() as session:
        session.connection().execute(text("SELECT count(*) FROM keystore_keys")).scalar()
        store.destroy([gone], now=FRIDAY_1640)
        assert not store.scrubbed
    store.destroy([gone], now=FRIDAY_1640)
    assert store.scrubbed
    assert all(bytes(wrapped) not in file.read_bytes() for file in tmp_path.glob("*.db*"))


def test_the_recovery_key_is_given_once_and_survives_a_rotation(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    assert not store.has_recovery_key
    recovery = store.make_recovery_key()
    with pytest.raises(KeyProblem):
        store.make_recovery_key()
    list(store.rotate())
    sealed = store.sealed_recovery()
    assert sealed is not None
    assert recover_master(recovery, sealed).hex() == (tmp_path / "master.key").read_text().strip()
    with pytest.raises(KeyProblem):
        recover_master("00" * 32, sealed)
    with pytest.raises(KeyProblem):
        recover_master("not a key", sealed)


def test_a_recovery_key_that_could_not_be_given_was_not_made(store: KeyStore) -> None:
    def paper_jam(key: str) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (the printer's own)
        store.make_recovery_key(paper_jam)
    assert not store.has_recovery_key
    given: list[str] = []
    assert store.make_recovery_key(given.append) == given[0]


def test_two_rotations_do_not_forget_each_other_s_keys(store: KeyStore) -> None:
    for _ in range(600):
        store._fresh.append(store._make(1)[0])
    first = again(store, f"{NEW} {OLD}").rotate()
    next(first)
    with pytest.raises(KeyProblem, match="another rotation"):
        list(again(store, f"{'0c' * 32} {NEW} {OLD}").rotate())
    list(first)
    assert list(again(store, NEW).faults()) == []


def test_two_processes_destroy_the_same_keys_at_once(store: KeyStore) -> None:
    faults: list[Exception] = []

    def destroy() -> None:
        try:
            for number in range(20):
                store.destroy([f"{number:032x}"], now=FRIDAY_1640)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=destroy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(list(store.destroyed())) == 20


def test_one_changed_key_leaves_the_others_readable(store: KeyStore) -> None:
    bad, good = store.new_key(), store.new_key()
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE keystore_keys SET wrapped = :w WHERE id = :id"), {"w": b"\x00" * 60, "id": bad})
    assert set(store.ciphers([bad, good])) == {good}


# ---- where the master key comes from


def test_the_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "config" / "master.key", data_dir=tmp_path / "data")
    keys = source.load()
    assert source.load() == keys
    assert (tmp_path / "config" / "master.key").stat().st_mode & 0o777 == 0o600
    assert keys.current.hex() not in repr(keys)
    (tmp_path / "config" / "master.key").chmod(0o640)
    with pytest.raises(KeyProblem, match="chmod 600"):
        source.load()


def test_the_file_may_not_lie_with_the_data(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="outside"):
        FileSource(tmp_path / "data" / "x" / "master.key", data_dir=tmp_path / "data").load()


def test_a_credential_is_read_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    source = FileSource(path, data_dir=tmp_path / "data", is_credential=True)
    with pytest.raises(KeyProblem, match="LoadCredential"):
        source.load()
    path.write_text(OLD)
    path.chmod(0o444)
    assert name_of(source.load().current) == name_of(bytes.fromhex(OLD))
    with pytest.raises(KeyProblem):
        source.replace(MasterKeys(bytes.fromhex(NEW)))


def test_a_command_prints_the_key(tmp_path: Path) -> None:
    assert CommandSource(["printf", f"{NEW}\\n{OLD}\\n"]).load() == MasterKeys(
        bytes.fromhex(NEW), (bytes.fromhex(OLD),)
    )
    for command in (["false"], ["printf", "secret-but-no-key"], [str(tmp_path / "nothing-here")]):
        with pytest.raises(KeyProblem) as caught:
            CommandSource(command).load()
        assert "secret-but-no-key" not in str(caught.value)
