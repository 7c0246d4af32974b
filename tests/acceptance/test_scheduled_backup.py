"""The service takes its backup by itself, once a day, and says in the log whether it was proven."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from acceptance.test_in_process import arrive, house
from conftest import FRIDAY_1640
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
