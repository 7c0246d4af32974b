"""The service takes its backup by itself, once a day, and says in the log whether it was proven."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from acceptance.test_in_process import arrive, house
from conftest import FRIDAY_1640
from intake_bot import backup_job
from intake_bot.service import Service


async def test_a_backup_is_taken_when_it_is_due_and_no_sooner(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    opened = house(tmp_path, INTAKE_BOT_BACKUP_FOLDER=str(folder))
    now = FRIDAY_1640

    def clock() -> datetime:
        return now

    service = Service(opened, console=Console(file=io.StringIO()), clock=clock)
    await service.start()
    await arrive(service)
    await service._back_up()
    assert len(list(folder.glob("*.backup"))) == 1
    assert len(list((folder / "keys").glob("*.keys"))) == 1
    for later, count in ((timedelta(hours=2), 1), (timedelta(hours=10), 2)):
        now = FRIDAY_1640 + later
        await service._back_up()
        assert len(list(folder.glob("*.backup"))) == count
    await service.stop()
    opened.close()


async def test_stopping_gives_up_a_backup_that_is_being_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = house(tmp_path, INTAKE_BOT_BACKUP_FOLDER=str(tmp_path / "backups"))
    service = Service(opened, console=Console(file=io.StringIO()), clock=lambda: FRIDAY_1640)
    asked: list[Callable[[], bool]] = []

    def scheduled(*_: object, stopping: Callable[[], bool], **__: object) -> None:
        asked.append(stopping)

    monkeypatch.setattr(backup_job, "scheduled", scheduled)
    await service.start()
    await service._back_up()
    (stopping,) = asked
    assert not stopping()
    await service.stop()
    assert stopping()
    opened.close()
