"""kill -9 at each write of the commands that change the record as a whole: purge, rotation, backup, restore.

Each command is killed at the named step and given again, as an administrator would. What it began is then whole: nothing
half-destroyed, nothing half-written that could be taken for a backup, and the proof of the record holds.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from acceptance.harness import KILLABLE, House, mail
from conftest import PostgresCluster, often
from storage.audit import SERVICE_CHAIN
from storage.tables import AuditEntry

CANARY = "zylophantine marmalade"
WORD = ("--by", "Morag", "--reason", "An erasure was granted.", "--early")
PURGE = (
    "storage.shredding:shred:after",
    "intake_bot.retention_commands:_carry_out:before",
    "storage.keystore:KeyStore.destroy:before",
    "storage.keystore:KeyStore.destroy:after",
)
ROTATION = (
    "storage.keys:FileSource.replace:after",
    "storage.keystore:KeyStore._rewrap:before",
    "storage.keystore:KeyStore._rewrap:after",
    "storage.keystore:KeyStore._scrub:before",
)
BACKUP = (
    "storage.backup_file:SealedWriter._seal:before",
    "storage.backup_file:SealedWriter.close:after",
    "storage.backup:write_content:after",
    "storage.backup:write_keys:after",
)
RESTORE = (
    "storage.backup:_restore_keys:after",
    "storage.backup:load:after",
    "storage.backup:finish:before",
    "storage.keystore:KeyStore.signed_head:after",
    "storage.shredding:bury:after",
    "storage.backup:finish:after",
)
UNFILLED = (
    "storage.backup:_restore_keys:after",
    "storage.backup:load:after",
    "storage.keystore:KeyStore.signed_head:after",
)
"""Steps before the content is committed: the restore can be given again."""

DIFFER = (PURGE[0], PURGE[3], ROTATION[2], BACKUP[0], "storage.backup:load:after")
"""Steps at which rows are half-way, where the two databases could differ."""


def on_each(steps: tuple[str, ...]) -> list[Any]:
    """All of them on SQLite, and on PostgreSQL those at which it could differ; in make soak all, else the first."""
    each = [("sqlite", step) for step in steps] + [("postgresql", step) for step in steps if step in DIFFER]
    return often(each, always={each[0]})


class Template:
    """A house with one concluded case and a backup of it, to be copied for each test."""

    def __init__(self, folder: Path, postgres: PostgresCluster | None) -> None:
        self._postgres = postgres
        self._database = postgres.new_database() if postgres else ""
        self.house = self._at(folder, self._database)
        service = self.house.serve().ready()
        assert service.send(mail(f"Mr Kestrel Ambleforth grabbed a pupil. {CANARY}"))[0] == 250
        service.settle()
        service.stop()
        (self.case,) = (str(case["case"]) for case in self.house.json("cases"))
        said = ("--decision", "referral", "--category", "physical", "--criteria", "1", "--reason", "Force was used.")
        self.house.run_here("decide", self.case, *said)
        self.house.run_here("conclude", self.case, "--note", "No basis.", "--outcome", "unfounded")
        self.house.run_here("backup", str(folder / "first.backup"))

    def copied(self, folder: Path) -> House:
        for name in ("home", "data", "first.backup", "first.backup.keys"):
            source = self.house.folder / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        return self._at(folder, self._postgres.new_database(like=self._database) if self._postgres else "")

    def emptied(self, folder: Path) -> House:
        """A new place with the backups and the master key alone."""
        house = self.copied(folder)
        shutil.rmtree(house.data)
        return self._at(folder, self._postgres.new_database() if self._postgres else "")

    def _at(self, folder: Path, database: str) -> House:
        return House(folder, triage_enabled="false", **({"database_url": database} if database else {}))


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"), None)


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresCluster) -> Template:
    return Template(tmp_path_factory.mktemp("template"), postgres)


@pytest.fixture
def template(request: pytest.FixtureRequest, kind: str) -> Template:
    found: Template = request.getfixturevalue(f"on_{kind}")
    return found


def killed(house: House, step: str, *arguments: str) -> None:
    """Run a command that dies at ``step``."""
    done = subprocess.run(
        [sys.executable, str(KILLABLE), step, *arguments, "--data", str(house.data)],
        env=house.environment,
        cwd=house.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def keys_left(house: House) -> int:
    with house.inside() as (opened, _), opened.keys.database.engine.connect() as connection:
        return int(
            connection.execute(text("SELECT count(*) FROM keystore_keys WHERE wrapped IS NOT NULL")).scalar_one()
        )


@pytest.mark.parametrize(("kind", "step"), on_each(PURGE))
def test_a_purge_that_was_killed_is_finished(step: str, template: Template, tmp_path: Path) -> None:
    house = template.copied(tmp_path)
    before = keys_left(house)
    killed(house, step, "purge", template.case, *WORD)
    house.run_here("purge", template.case, *WORD)
    shown = house.show_here(template.case)
    assert shown["purged_at"] is not None
    assert [message["body_text"] for message in shown["messages"]] == [None, None]
    assert [entry["act"] for entry in shown["audit"]].count("purged") == 1
    # The case's key is gone; that of the reason for the purge has come.
    assert keys_left(house) == before
    assert "hold" in house.run_here("verify")


@pytest.mark.parametrize(("kind", "step"), on_each(ROTATION))
def test_a_rotation_that_was_killed_is_finished(step: str, template: Template, tmp_path: Path) -> None:
    house = template.copied(tmp_path)
    killed(house, step, "keys", "rotate")
    # Between the two, everything opens.
    assert CANARY in house.show_here(template.case)["messages"][0]["body_text"]
    house.run_here("keys", "rotate")
    assert CANARY in house.show_here(template.case)["messages"][0]["body_text"]
    assert "hold" in house.run_here("verify")


@pytest.mark.parametrize(("kind", "step"), on_each(BACKUP))
def test_a_backup_that_was_killed_is_no_backup_or_a_whole_one(step: str, template: Template, tmp_path: Path) -> None:
    house = template.copied(tmp_path)
    killed(house, step, "backup", str(tmp_path / "second.backup"))
    if not (tmp_path / "second.backup").exists():
        house.run_here("backup", str(tmp_path / "second.backup"))
    elif not (tmp_path / "second.backup.keys").exists():
        # The content is whole, and the key store's own backup is made anew with the next.
        house.run_here("backup", str(tmp_path / "third.backup"))
        shutil.move(tmp_path / "third.backup.keys", tmp_path / "second.backup.keys")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(house.folder / "home", other / "home")
    restored = House(other, triage_enabled="false")
    restored.run_here("restore", str(tmp_path / "second.backup"))
    assert CANARY in restored.show_here(template.case)["messages"][0]["body_text"]
    assert "hold" in restored.run_here("verify")


@pytest.mark.parametrize(("kind", "step"), on_each(RESTORE))
def test_a_restore_that_was_killed_is_gone_on_with(step: str, template: Template, tmp_path: Path) -> None:
    house = template.emptied(tmp_path)
    killed(house, step, "restore", str(tmp_path / "first.backup"))
    if step in UNFILLED:
        house.run_here("restore", str(tmp_path / "first.backup"))
    else:
        house.run_here("restore", str(tmp_path / "first.backup"), expect=1)
        assert ("not empty" if step == RESTORE[-1] else "cut off") in house.last_error
    assert CANARY in house.show_here(template.case)["messages"][0]["body_text"]
    assert "hold" in house.run_here("verify")
    with house.inside() as (_, session):
        acts = session.scalars(select(AuditEntry.act).where(col(AuditEntry.chain) == SERVICE_CHAIN)).all()
    assert list(acts).count("restored") == 1
