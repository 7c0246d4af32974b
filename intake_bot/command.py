"""What the commands share: options, the opened house, a case by its reference, and how a command says that it failed.

Exit status: 0 done; 1 the thing asked for failed or does not hold; 2 the command line or the configuration is wrong.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from intake_bot.casework.desk import Actor
    from intake_bot.house import House
    from intake_bot.settings import Settings
    from storage.tables import Case

DEFAULT_DATA = Path("intake-bot-data")
EXIT_FAILED = 1
EXIT_WRONG = 2
SERVICE_KEYS_AHEAD = 256
"""Data keys that the service makes in one commit."""

ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The TOML configuration file.")]
DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="The data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who acts; default: the user at the terminal.")
]
CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="The case's reference.")]


@contextmanager
def opened_house(config: Path | None, data: Path, *, keys_ahead: int = 1) -> Iterator[House]:
    from intake_bot.house import DatabaseAway, open_house
    from intake_bot.settings import SettingsProblem

    settings = load_settings(config)
    try:
        house = open_house(settings, data, keys_ahead=keys_ahead)
    except DatabaseAway as problem:
        # No status that keeps a supervisor from starting it again.
        failed(str(problem))
    except SettingsProblem as problem:
        wrong(str(problem))
    try:
        _finish_restore(house)
        yield house
    finally:
        house.close()


def _finish_restore(house: House) -> None:
    """What a restore that was cut off had still to do, whichever command comes next."""
    from storage import backup

    if backup.finish(house.database, house.keys, now=now_utc()):
        print("intake-bot: a restore that was cut off is finished now; intake-bot verify proves it", file=sys.stderr)


def load_settings(config: Path | None) -> Settings:
    from intake_bot.settings import SettingsProblem, load

    try:
        return load(config)
    except SettingsProblem as problem:
        wrong(str(problem))


@contextmanager
def found_case(house: House, text: str, *, write: bool = True) -> Iterator[tuple[Any, Case]]:
    """A case and the session it was found in. Print after the block: a reader who pages holds the database up.

    A restricted one too: whoever has this terminal has the keys, and what they open goes on the record. Acts are refused.
    """
    from intake_bot.casework import views

    with house.database.write() if write else house.database.read() as session:
        case = views.find(session, text)
        if case is None:
            failed("there is no such case")
        yield session, case


def case_id_of(house: House, text: str) -> str:
    with found_case(house, text) as (_, case):
        return case.id


def acting(name: str | None) -> Actor:
    from intake_bot.casework.desk import Actor

    if name is None:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            # In a container the user may have a number and no name.
            name = f"user {os.getuid()}"
    return Actor("terminal", name)


def now_utc() -> datetime:
    return datetime.now(UTC)


def moment_of(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong("a time must be RFC 3339, such as 2026-11-27T16:40:00Z")
    if moment.tzinfo is None:
        wrong("a time must name its zone, such as 2026-11-27T16:40:00Z")
    return moment.astimezone(UTC)


def print_json(value: dict[str, Any]) -> None:
    # ASCII only: a line separator inside a text must not end a JSON line for anybody.
    print(json.dumps(value), flush=True)


def failed(text: str) -> NoReturn:
    print(f"intake-bot: {text}", file=sys.stderr)
    raise typer.Exit(EXIT_FAILED)


def wrong(text: str) -> NoReturn:
    print(f"intake-bot: {text}", file=sys.stderr)
    raise typer.Exit(EXIT_WRONG)
