"""``report``: the figures of a period as documents. ``export``: for other programs. ``simulate``: a fictional year."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from intake_bot.reports.periods import Kind, Period, last_whole

if TYPE_CHECKING:
    from sqlmodel import Session

    from intake_bot.house import House
    from intake_bot.reports.figures import Report

_FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="D", help="The first day, such as 2025-04-01. Default: the last whole one."),
]
_ToOption = Annotated[str | None, typer.Option("--to", metavar="D", help="The last day, which counts.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("report")(report)
    app.command("simulate")(simulate)
    app.command("export")(export)


class What(StrEnum):
    """What a report may be of."""

    ANNUAL = "annual"
    QUARTERLY = "quarterly"
    MONTHLY = "monthly"
    BENCHMARK = "benchmark"


def report(
    what: Annotated[
        What,
        typer.Argument(
            metavar="annual|quarterly|monthly|benchmark",
            help="A year from April, a quarter or a month; or benchmark files side by side.",
        ),
    ],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="For benchmark: the authorities' files.")
    ] = None,
    since: _FromOption = None,
    to: _ToOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the documents go.")] = Path("reports"),
    compare: Annotated[
        int, typer.Option("--compare", metavar="N", min=0, max=5, help="Lay N years before it beside it.")
    ] = 1,
    publish: Annotated[bool, typer.Option("--publish", help="Hide small numbers, and what gives them away.")] = False,
    as_json: JsonOption = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """The figures of a period: HTML, a Word draft, a workbook and JSON. Default: the last whole one."""
    if what is What.BENCHMARK:
        _side_by_side(files or [], out, as_json=as_json)
        return
    if files:
        wrong("files are named for benchmark alone")
    kind = Kind(what.value)
    now = now_utc()
    with opened_house(config, data) as house:
        period = _period(kind, since, to, house.practice.calendar.local(now).date())
        made, paths = make(house, kind, period, now=now, out=out, compare=compare, publish=publish, by=str(acting(by)))
    if as_json:
        print_json(made.to_json() | {"files": [str(path) for path in paths]})
    else:
        from intake_bot.reports.documents import headlines

        print(f"{made.period.label}:")
        for line in headlines(made):
            print(f"  {line}")
        for path in paths:
            print(path)
        for fault in made.faults:
            print(f"does not reconcile: {fault}")
    if made.faults:
        raise typer.Exit(EXIT_FAILED)


def _side_by_side(files: list[Path], out: Path, *, as_json: bool) -> None:
    """Benchmark files of several authorities in one report. The record is not opened for it."""
    from intake_bot.reports import side_by_side

    try:
        found = side_by_side.read(files)
        paths = side_by_side.write(found, out)
    except side_by_side.NotABenchmark as problem:
        failed(str(problem))
    except OSError as fault:
        failed(f"{fault.filename or out}: cannot be written ({fault.strerror})")
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    since: _FromOption = None,
    to: _ToOption = None,
    tracker: Annotated[bool, typer.Option("--tracker", help="The tracker as a workbook, one line for each.")] = False,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="The year's figures for other authorities, small numbers hidden.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="As Parquet instead of CSV; needs intake-bot[parquet].")
    ] = False,
    as_json: JsonOption = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Codes and times for other programs (CSV with a dictionary), or the tracker or a benchmark. No content, no names."""
    from intake_bot.reports import export as exported
    from intake_bot.reports.parquet import NotInstalled
    from storage import audit

    if sum((tracker, benchmark, parquet)) > 1:
        wrong("name one of --tracker, --benchmark and --parquet")
    now = now_utc()
    with opened_house(config, data) as house:
        calendar = house.practice.calendar
        period = _period(Kind.ANNUAL, since, to, calendar.local(now).date())
        last = period.until - timedelta(days=1)
        with house.database.read() as session:
            if benchmark:
                report = _figures(house, session, Kind.ANNUAL, period, now=now, compare=0, publish=True)
                files = {f"benchmark-{period.since}-to-{last}.json": exported.benchmark(report)}
            elif tracker:
                files = {f"tracker-{period.since}-to-{last}.xlsx": exported.tracker(session, period, calendar)}
            elif parquet:
                try:
                    files = exported.parquet(session, period, calendar)
                except NotInstalled as problem:
                    failed(str(problem))
            else:
                files = exported.dataset(session, period, calendar)
        try:
            paths = exported.write(files, folder)
        except OSError as fault:
            failed(f"{fault.filename or folder}: cannot be written ({fault.strerror})")
        with house.database.write() as session:
            detail = {"from": period.since.isoformat(), "to": period.until.isoformat()}
            code = "benchmark" if benchmark else "tracker" if tracker else "parquet" if parquet else "dataset"
            audit.record(
                session,
                audit.SERVICE_CHAIN,
                at=now,
                actor=str(acting(by)),
                act="figures_exported",
                code=code,
                detail=detail,
            )
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)


def simulate(
    year: Annotated[
        int | None, typer.Option("--year", metavar="Y", help="The year from April; default: the last.")
    ] = None,
    contacts: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many consultations come.")] = 500,
    seed: Annotated[int, typer.Option(help="The same number makes the same year again.")] = 1,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a plausible fictional year in a data folder that holds nothing yet, for demos, training and load."""
    from rich.console import Console
    from rich.progress import Progress

    from intake_bot.simulation import NotEmpty
    from intake_bot.simulation import simulate as live

    with opened_house(config, data, keys_ahead=SERVICE_KEYS_AHEAD) as house:
        if year is None:
            year = last_whole(Kind.ANNUAL, house.practice.calendar.local(now_utc()).date()).since.year
        if not MIN_YEAR <= year <= MAX_YEAR:
            wrong(f"--year must lie between {MIN_YEAR} and {MAX_YEAR}")
        with Progress(console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("simulating", total=contacts)
            try:
                done = live(
                    house, year=year, contacts=contacts, seed=seed, progress=lambda n: bars.update(bar, completed=n)
                )
            except NotEmpty:
                failed("the record holds something already: name an empty data folder with --data")
    print(f"{done.contacts} contacts, {done.acts} acts, {done.reminders} reminders, from {done.since} to {done.until}")
    print(f"intake-bot report annual --from {done.since} --to {done.until - timedelta(days=1)} --data {data}")


MIN_YEAR, MAX_YEAR = 2000, 2100
"""The calendar's bank holidays reach no further."""


def make(
    house: House, kind: Kind, period: Period, *, now: datetime, out: Path, compare: int, publish: bool, by: str
) -> tuple[Any, list[Path]]:
    """Make a report of the house's record and write its documents; that it was made goes on the record."""
    from intake_bot.reports import documents
    from storage import audit

    with house.database.read() as session:
        report = _figures(house, session, kind, period, now=now, compare=compare, publish=publish)
    try:
        paths = documents.write(report, out, house.settings.office.zone)
    except OSError as fault:
        failed(f"{fault.filename or out}: cannot be written ({fault.strerror})")
    with house.database.write() as session:
        detail = {"from": period.since.isoformat(), "to": period.until.isoformat(), "published": publish}
        audit.record(session, audit.SERVICE_CHAIN, at=now, actor=by, act="report_made", code=kind.value, detail=detail)
    return report, paths


def _figures(
    house: House, session: Session, kind: Kind, period: Period, *, now: datetime, compare: int, publish: bool
) -> Report:
    from intake_bot.reports import figures

    return figures.make(
        session,
        house.practice,
        kind,
        period,
        now=now,
        compare=compare,
        publish=publish,
        authority=house.settings.service.authority,
        service=house.settings.service.name,
    )


def _period(kind: Kind, since: str | None, to: str | None, today: date) -> Period:
    if (since is None) is not (to is None):
        wrong("name both --from and --to, or neither")
    if since is None or to is None:
        return last_whole(kind, today)
    try:
        period = Period(date.fromisoformat(since), date.fromisoformat(to) + timedelta(days=1))
    except (ValueError, OverflowError):
        wrong("a day must be written as 2026-03-31")
    if not period.since < period.until or (period.until - period.since).days > MOST_DAYS:
        wrong(f"--to must not lie before --from, nor more than {MOST_DAYS} days after it")
    return period


MOST_DAYS = 366 * 5
