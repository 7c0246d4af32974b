"""The drill: back up under load, lose the machine, and go on from the backup and the recovery key alone."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from sqlmodel import col, select

from acceptance.harness import House, Service, mail, wait_until
from intake_bot.casework import views
from storage.audit import SERVICE_CHAIN
from storage.tables import AuditEntry

CANARY = "zylophantine marmalade"


class Load:
    """Mail that keeps coming until the block ends; the Message-IDs that were answered with 250."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.accepted: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        # All of it is dealt with afterwards: no more than that takes a few seconds.
        while not self._stop.is_set() and len(self.accepted) < 300:
            message_id = f"<load-{len(self.accepted)}@brookfield.example>"
            # Each from a sender of its own, so that nothing is folded into a line that waits for more.
            sender = f"dsl@school-{len(self.accepted)}.example"
            if self._service.send(mail(f"{CANARY} {message_id}", message_id=message_id, sender=sender))[0] == 250:
                self.accepted.append(message_id)
            # The desk prints a card for each; a pipe that nobody empties would stop the service.
            self._service.drain()


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """What is left of a lost machine: a folder with the backups and the recovery key; and what was answered before."""
    folder = tmp_path_factory.mktemp("lost")
    left = tmp_path_factory.mktemp("left")
    house = House(folder, triage_enabled="false")
    service = house.serve().ready()
    (left / "recovery.key").write_text(house.run("keys", "recovery"))
    with Load(service) as load:
        wait_until(lambda: len(load.accepted) >= 10)
        before = set(load.accepted)
        printed = house.run("backup", str(left / "intake.backup"))
        after = set(load.accepted)
    assert "rows to" in printed
    assert len(after) > len(before)
    house.run("backup", str(left / "intake.backup"), expect=1)
    assert "is there already" in house.last_error
    service.stop()
    shutil.rmtree(folder)
    return left, before


@pytest.fixture(scope="module")
def found(lost: tuple[Path, set[str]], tmp_path_factory: pytest.TempPathFactory) -> House:
    """A clean machine, restored from what was left."""
    left, _ = lost
    house = House(tmp_path_factory.mktemp("found"), triage_enabled="false")
    printed = house.run(
        "restore", str(left / "intake.backup"), "--recovery-key-file", str(left / "recovery.key")
    )  # fmt: skip
    assert "the audit chains hold" in printed
    return house


def test_what_is_left_says_nothing_without_the_recovery_key(lost: tuple[Path, set[str]], tmp_path: Path) -> None:
    left, _ = lost
    for file in left.iterdir():
        assert CANARY.encode() not in file.read_bytes()
        assert file.name == "recovery.key" or file.stat().st_mode & 0o777 == 0o600
    house = House(tmp_path)
    house.run("restore", str(left / "intake.backup"), expect=1)
    assert "no master key" in house.last_error
    (tmp_path / "wrong.key").write_text("00" * 32)
    house.run("restore", str(left / "intake.backup"), "--recovery-key-file", str(tmp_path / "wrong.key"), expect=1)
    assert "not the recovery key" in house.last_error
    # Nothing was made that would stand in the way of the right one.
    assert not list(tmp_path.rglob("master.key"))


def test_every_message_answered_before_is_there_and_the_service_goes_on(
    lost: tuple[Path, set[str]], found: House
) -> None:
    _, before = lost
    assert "hold" in found.run_here("verify")
    service = found.serve().ready()
    assert service.send(mail(message_id="<afterwards@brookfield.example>"))[0] == 250
    wait_until(lambda: bool(service.drain()) and found.settled())
    with found.inside() as (house, session):
        there = {message["message_id"] for message in views.messages_json(session, house.practice, since=None)}
    assert before | {"<afterwards@brookfield.example>"} <= there
    assert "hold" in found.run_here("verify")
    service.stop()


def test_a_restore_into_what_is_in_use_is_refused(lost: tuple[Path, set[str]], found: House) -> None:
    left, _ = lost
    found.run("restore", str(left / "intake.backup"), expect=1)
    assert "not empty" in found.last_error
    key = next((found.folder / "home").rglob("master.key"))
    assert key.stat().st_mode & 0o777 == 0o600
    # Another master key is never written over.
    other = House(found.folder.parent / "other")
    other.folder.mkdir()
    other.run_here("status")
    shutil.rmtree(other.data)
    other.run(
        "restore", str(left / "intake.backup"), "--recovery-key-file", str(left / "recovery.key"), expect=1
    )  # fmt: skip
    assert "another master key" in other.last_error


def test_the_restore_is_on_the_record(found: House) -> None:
    with found.inside() as (_, session):
        chain = select(AuditEntry.act).where(col(AuditEntry.chain) == SERVICE_CHAIN)
        acts = session.exec(chain).all()
    assert acts.count("restored") == 1
