"""``import``: the old tracker, with a guess of what its columns mean first."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    EXIT_FAILED,
    SERVICE_KEYS_AHEAD,
    ByOption,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.casework.imported import Past
    from intake_bot.reports.tracker import Refusal
    from intake_bot.reports.tracker_file import Sheet

SHOWN = 5
"""Rows of a preview."""
MOST_NAMED = 200
"""Refused rows named one by one; of more, how many."""
_AT_ONCE = 500


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The tracker: .xlsx or .csv.")],
    mapping: Annotated[
        Path | None, typer.Option("--map", metavar="MAP", help="What its columns mean; default: FILE.map.toml.")
    ] = None,
    guess: Annotated[bool, typer.Option("--guess", help="Propose the mapping, and show what would not fit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported, and import nothing.")] = False,
    as_json: JsonOption = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take the old tracker's consultations over, in one transaction. What is on record already stays as it is."""
    from intake_bot.casework import imported
    from intake_bot.reports import tracker, tracker_file, tracker_mapping
    from storage import audit
    from storage.batches import batches

    now = now_utc()
    mapping = mapping or file.with_name(f"{file.name}.map.toml")
    with opened_house(config, data, keys_ahead=SERVICE_KEYS_AHEAD) as house:
        sheet = _read(file)
        calendar, vault = house.practice.calendar, house.practice.vault
        blind = partial(vault.blind, "tracker")
        if guess:
            proposed = tracker_mapping.guess(sheet)
            if mapping.exists():
                wrong(f"{mapping} is there already: name another with --map, or take it away")
            mapping.write_text(tracker_mapping.mapping_toml(proposed, sheet), encoding="utf-8")
            if "received" not in proposed.columns:
                failed(f"{mapping}: no column tells the day on which a contact came; name it there")
            fit, refused = _sorted(tracker.rows(sheet, proposed, calendar, now, blind))
            _preview(sheet, fit, refused, [f"{name}: {value}" for name, value in tracker_mapping.unmapped(proposed)])
            print(f"look through {mapping}, then: intake-bot import {file} --map {mapping}")
            return
        try:
            meaning = tracker_mapping.mapping_from(mapping, sheet)
        except FileNotFoundError:
            wrong(f"{mapping} is not there: make it with intake-bot import {file} --guess")
        except OSError as fault:
            wrong(f"{mapping}: {fault.strerror}")
        except tracker_file.NotATracker as problem:
            wrong(f"{mapping}: {problem}")
        fit, refused = _sorted(tracker.rows(sheet, meaning, calendar, now, blind))
        with house.database.write() as session:
            there = {
                reference
                for some in batches((past.reference for past in fit), _AT_ONCE)
                for reference in imported.known(session, list(some))
            }
            new = [past for past in fit if past.reference not in there]
            if not dry_run:
                for past in _with_progress(new):
                    imported.keep(session, house.practice, past, by=acting(by), source=sheet.digest[:16], now=now)
                detail = {"file": sheet.digest, "imported": len(new), "there": len(there), "refused": len(refused)}
                audit.record(
                    session,
                    audit.SERVICE_CHAIN,
                    at=now,
                    actor=str(acting(by)),
                    act="tracker_imported",
                    detail=detail,
                )
    if as_json:
        print_json(
            {
                "imported": 0 if dry_run else len(new),
                "would_import": len(new),
                "there_already": len(there),
                "refused": [{"row": one.row, "why": one.why} for one in refused],
            }
        )
    else:
        print(
            f"{len(new)} {'would be ' if dry_run else ''}imported, {len(there)} there already, {len(refused)} refused"
        )
        _say(refused)
    if refused:
        raise typer.Exit(EXIT_FAILED)


def _read(file: Path) -> Sheet:
    from intake_bot.reports import tracker_file

    try:
        return tracker_file.read(file)
    except OSError as fault:
        wrong(f"{file}: {fault.strerror}")
    except tracker_file.NotATracker as problem:
        wrong(f"{file}: {problem}")


def _sorted(rows: Iterable[Past | Refusal]) -> tuple[list[Past], list[Refusal]]:
    from intake_bot.reports.tracker import Refusal

    fit: list[Past] = []
    refused: list[Refusal] = []
    for row in rows:
        if isinstance(row, Refusal):
            refused.append(row)
        else:
            fit.append(row)
    return fit, refused


def _preview(sheet: Sheet, fit: list[Past], refused: list[Refusal], unknown: list[str]) -> None:
    from dataclasses import fields

    print(f"{len(sheet.rows)} rows under these heads: {', '.join(sheet.heads)}")
    for past in fit[:SHOWN]:
        told = {one.name: getattr(past, one.name) for one in fields(past)}
        print("  " + "; ".join(f"{name} {value}" for name, value in told.items() if value not in (None, (), False)))
    if unknown:
        print("values of which nothing could be made:")
        for value in unknown[:MOST_NAMED]:
            print(f"  {value}")
    print(f"{len(fit)} rows fit, {len(refused)} do not")
    _say(refused)


def _say(refused: list[Refusal]) -> None:
    for one in refused[:MOST_NAMED]:
        print(f"  row {one.row}: {one.why}")
    if len(refused) > MOST_NAMED:
        print(f"  and {len(refused) - MOST_NAMED} more")


def _with_progress(rows: list[Past]) -> Iterable[Past]:
    from rich.console import Console
    from rich.progress import track

    return track(rows, "importing", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
