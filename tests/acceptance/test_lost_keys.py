"""The key store or the master key is lost, and the content is not: no new one is made in its place, and it comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlmodel import select

from acceptance.harness import House
from conftest import FRIDAY_1640
from contract.test_casework import Desk
from storage import audit, shredding
from storage.audit import SERVICE_CHAIN
from storage.tables import AuditEntry, Case

CANARY = "zylophantine marmalade"


class Kept(House):
    """A house with two cases, and what is kept of it elsewhere: a backup of the keys and the recovery key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "recovery.key").write_text(self.run_here("keys", "recovery"))
        self.arrive("first")
        self.arrive("second")
        self.run_here("backup", str(folder / "kept.backup"))
        self.keys_file = str(folder / "kept.backup.keys")
        self.store = self.data / "keys"
        self.master = next((folder / "home").rglob("master.key"))

    def arrive(self, word: str) -> None:
        with self.inside() as (opened, _):
            Desk(opened.database, opened.practice).opened(
                body_text=f"{CANARY} {word}", message_id=f"<{word}@school.example>"
            )

    def purge_first(self) -> None:
        with self.inside() as (opened, _):
            with opened.database.write() as session:
                case = session.exec(select(Case).order_by(Case.id)).first()
                assert case is not None
                shredding.shred(session, opened.practice.vault, case, now=FRIDAY_1640)
                audit.record(session, case.id, at=FRIDAY_1640, actor="terminal:Morag", act="purged")
            shredding.finish(opened.database, opened.keys, now=FRIDAY_1640)

    def says(self) -> str:
        """What any command says; twice, for the first must not put anything in the place of what is lost."""
        self.run_here("status", expect=2)
        said = self.last_error
        self.run_here("cases", expect=2)
        assert self.last_error == said
        return said

    def texts(self) -> list[str]:
        with self.inside() as (opened, session):
            cases = session.exec(select(Case.reference).order_by(Case.id)).all()
            assert list(opened.keys.faults()) == []
        return [self.show_here(case)["messages"][0]["body_text"] for case in cases]


@pytest.fixture
def house(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_lost_key_store_comes_back_without_what_was_purged_since(house: Kept) -> None:
    house.run_here("restore", "--keys-only", house.keys_file, expect=1)
    assert "nothing needs to be brought back" in house.last_error
    house.purge_first()
    shutil.rmtree(house.store)
    said = house.says()
    assert "the key store is missing" in said
    assert "restore --keys-only" in said
    house.run_here("restore", "--keys-only", house.keys_file)
    assert house.texts() == [None, f"{CANARY} second"]
    assert "hold" in house.run_here("verify")
    house.arrive("afterwards")
    with house.inside() as (_, session):
        entry = session.exec(select(AuditEntry).where(AuditEntry.act == "restored")).one()
    assert (entry.chain, entry.code, entry.detail["kept_destroyed"] > 0) == (SERVICE_CHAIN, "keys", True)


def test_a_lost_master_key_comes_back_with_the_recovery_key(house: Kept) -> None:
    recovery = ("--recovery-key-file", str(house.folder / "recovery.key"))
    before = house.master.read_bytes()
    house.master.unlink()
    assert "the master key is missing" in house.says()
    assert not house.master.exists()
    house.run_here("restore", "--keys-only", house.keys_file, *recovery)
    assert house.master.read_bytes() == before
    assert house.texts() == [f"{CANARY} first", f"{CANARY} second"]
    # And both at once.
    house.master.unlink()
    shutil.rmtree(house.store)
    assert "missing" in house.says()
    house.run_here("restore", "--keys-only", house.keys_file, *recovery)
    assert house.texts() == [f"{CANARY} first", f"{CANARY} second"]
    assert "hold" in house.run_here("verify")


def test_a_backup_of_the_keys_that_is_too_old_or_another_s_is_refused(house: Kept, tmp_path: Path) -> None:
    house.arrive("third")
    shutil.rmtree(house.store)
    house.run_here("restore", "--keys-only", house.keys_file, expect=1)
    assert "--anyway" in house.last_error
    assert "the key store is missing" in house.says()
    (tmp_path / "other").mkdir()
    other = Kept(tmp_path / "other")
    shutil.copy(other.master, house.master)
    house.run_here("restore", "--keys-only", other.keys_file, expect=1)
    assert "another key store" in house.last_error
    # Without content there is nothing to bring keys back to.
    shutil.rmtree(other.data)
    other.run_here("restore", "--keys-only", other.keys_file, expect=1)
    assert "no content" in other.last_error


def test_a_user_without_a_name_can_restore_too(house: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    shutil.rmtree(house.data)
    house.run_here("restore", str(house.folder / "kept.backup"))
    with house.inside() as (_, session):
        entry = session.exec(select(AuditEntry).where(AuditEntry.act == "restored")).one()
    assert entry.actor.startswith("terminal:user ")
