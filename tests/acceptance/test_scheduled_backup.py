"""The service takes its backup by itself, once a day, and says in the log whether it was proven."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from acceptance.test_in_process import arrive, house
from conftest import FRIDAY_1640
from contract.test_failing_well import Machine
from intake_bot import backup_job, clock_watch
from intake_bot.clock_watch import ClockWatch
from intake_bot.house import House
from intake_bot.service import Service


async def test_a_backup_is_taken_when_it_is_due_and_no_sooner(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    opened = house(tmp_path, INTAKE_BOT_BACKUP_FOLDER=str(folder))
    machine = Machine()
    service = served(opened, machine)
    await service.start()
    await arrive(service)
    await service._back_up()
    assert len(list(folder.glob("*.backup"))) == 1
    assert len(list((folder / "keys").glob("*.keys"))) == 1
    for later, count in ((timedelta(hours=2), 1), (timedelta(hours=10), 2)):
        machine.wait(FRIDAY_1640 + later - machine.now)
        await service._back_up()
        assert len(list(folder.glob("*.backup"))) == count
    await service.stop()
    opened.close()


async def test_while_the_clock_is_in_doubt_no_backup_is_taken_and_none_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    opened = house(tmp_path, INTAKE_BOT_BACKUP_FOLDER=str(folder))
    machine = Machine()
    service = served(opened, machine)
    await service.start()

    def keys() -> list[str]:
        return sorted(path.name for path in (folder / "keys").glob("*.keys"))

    for _ in range(2):
        await service._back_up()
        machine.wait(timedelta(days=1))
    old = keys()
    assert len(old) == 2
    scratch = opened.data_dir / f"{backup_job.SCRATCH}killed"
    scratch.mkdir()
    machine.now += timedelta(days=400)
    await service._back_up()
    assert not scratch.exists()
    assert keys() == old
    # One that stays so is believed: there must be backups again; a day later the old ones go.
    machine.wait(clock_watch.REMINDERS_WAIT)
    await service._back_up()
    assert len(keys()) == 3
    assert set(old) < set(keys())
    machine.wait(clock_watch.DESTRUCTION_WAITS)
    await service._back_up()
    assert not set(old) & set(keys())
    await service.stop()
    opened.close()


def served(opened: House, machine: Machine) -> Service:
    service = Service(opened, console=Console(file=io.StringIO()), clock=machine.clock)
    service._clock_watch = ClockWatch(machine.clock, lambda: machine.passed)
    return service


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
