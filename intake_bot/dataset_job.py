"""The month's codes and times as files for other programs, written once when the month is over."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from intake_bot.casework.desk import SYSTEM
from intake_bot.house import House
from intake_bot.reports import export
from intake_bot.reports.periods import Kind, last_whole
from storage import audit

LOCK = 0x1A7A_DA7A


def write_due(house: House, *, now: datetime) -> Path | None:
    """Write the last whole month's dataset where a folder is named and it is not there yet; where it went, or None.

    It appears whole: under another name until every file of it is written. One node of several writes it. Raises OSError.
    """
    folder = house.settings.reports.folder
    if folder is None:
        return None
    calendar = house.practice.calendar
    period = last_whole(Kind.MONTHLY, calendar.local(now).date())
    target = folder / f"dataset-{period.since:%Y-%m}"
    if target.exists():
        return None
    with house.database.leadership(LOCK) as leads:
        if not leads or target.exists():
            return None
        with house.database.read() as session:
            files = export.dataset(session, period, calendar)
        half = folder / f".{target.name}.{os.getpid()}"
        shutil.rmtree(half, ignore_errors=True)
        export.write(files, half)
        half.rename(target)
        with house.database.write() as session:
            detail = {"from": period.since.isoformat(), "to": period.until.isoformat()}
            audit.record(
                session,
                audit.SERVICE_CHAIN,
                at=now,
                actor=str(SYSTEM),
                act="figures_exported",
                code="dataset",
                detail=detail,
            )
    return target
