"""Reads the tables of docs/targets.md, so that what an officer checks by eye is what the tests run."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import settings

LONDON = ZoneInfo("Europe/London")
TEXT = (Path(__file__).parents[3] / "docs" / "targets.md").read_text(encoding="utf-8")

UNHURRIED = settings(deadline=None)
"""The first holiday asked for imports the package, which takes longer than hypothesis would wait on a busy machine."""

_MOMENT = re.compile(r"(?P<day>\w{3} \d{1,2} \w{3} \d{4})(?: (?P<time>\d\d:\d\d))?(?: (?P<zone>BST|GMT))?")


def moment(text: str) -> datetime:
    """``Fri 27 Nov 2026 16:40`` in UTC. A wrong weekday, a wrong BST or GMT, and an hour left in doubt are all refused."""
    found = _MOMENT.fullmatch(text.strip())
    assert found is not None, f"no moment: {text!r}"
    assert found["time"], f"no time of day: {text!r}"
    wall = datetime.strptime(f"{found['day']} {found['time']}", "%a %d %b %Y %H:%M").replace(tzinfo=LONDON)
    assert f"{wall:%a}" == text.strip()[:3], f"that day is a {wall:%A}: {text!r}"
    passes = [one for one in (wall, wall.replace(fold=1)) if found["zone"] in (None, one.tzname())]
    instants = {one.astimezone(UTC) for one in passes}
    assert len(instants) == 1, f"not one moment: {text!r}"
    (instant,) = instants
    assert instant.astimezone(LONDON).replace(tzinfo=None) == wall.replace(tzinfo=None), f"skipped that night: {text!r}"
    return instant


def day(text: str) -> date:
    return moment(f"{text.strip()} 12:00").date()


def rows(first_heading: str) -> list[tuple[str, list[str]]]:
    """The rows of every table whose first column is headed so: (the ``rule`` of the section, the cells)."""
    found: list[tuple[str, list[str]]] = []
    section, inside = "", False
    for line in TEXT.splitlines():
        if line.startswith("#"):
            section = line.strip("#` ")
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == first_heading:
            inside = True
        elif inside and not set(cells[0]) <= {"-"}:
            found.append((section, cells))
    assert found, f"docs/targets.md has no table headed {first_heading}"
    return found
