"""Benchmark files of several authorities laid side by side. They come from elsewhere, and are taken for nothing unread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError, model_validator

from intake_bot.reports.documents import page, workbook
from intake_bot.reports.export import BENCHMARK
from intake_bot.reports.tables import HIDDEN, Cell, Hidden, Row, Table

MOST_FILES = 30
MOST_BYTES = 4 * 1024 * 1024
VERSION = 1
"""Of the form of our own JSON."""
_Words = Annotated[str, Field(max_length=2000)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class NotABenchmark(Exception):
    """A file cannot be laid beside others. The text names it and says why, in one line."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class BenchmarkRow(_Part):
    label: _Name
    values: tuple[StrictInt | StrictFloat | _Words | None, ...]
    hidden: tuple[int, ...] = ()

    def cells(self) -> tuple[Cell | Hidden, ...]:
        return tuple(HIDDEN if at in self.hidden else value for at, value in enumerate(self.values))


class BenchmarkTable(_Part):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    title: _Name
    definition: _Words
    columns: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=50)]
    rows: Annotated[tuple[BenchmarkRow, ...], Field(max_length=500)]
    total: BenchmarkRow | None = None
    note: _Words = ""

    @model_validator(mode="after")
    def _is_a_table(self) -> BenchmarkTable:
        for row in (*self.rows, *([self.total] if self.total else [])):
            if len(row.values) != len(self.columns):
                raise ValueError("a row has another number of values than there are columns")
        if len({row.label for row in self.rows}) < len(self.rows):
            raise ValueError("two rows have the same label")
        return self


class Benchmark(_Part):
    """An authority's file. The form is described in docs/reports.md."""

    benchmark: Literal[1]
    authority: _Name
    since: date = Field(alias="from")
    to: date
    published: Literal[True]
    tables: Annotated[tuple[BenchmarkTable, ...], Field(max_length=100)]

    @model_validator(mode="after")
    def _has_each_once(self) -> Benchmark:
        if len({table.id for table in self.tables}) < len(self.tables):
            raise ValueError("two tables have the same id")
        if self.to < self.since:
            raise ValueError("to lies before from")
        return self


def read(paths: Sequence[Path]) -> list[Benchmark]:
    """The files, in the order in which they are named. Raises NotABenchmark for the first that is none."""
    if not 2 <= len(paths) <= MOST_FILES:
        raise NotABenchmark(f"name from 2 to {MOST_FILES} benchmark files")
    found: dict[tuple[str, date, date], Path] = {}
    files = []
    for path in paths:
        one = _read(path)
        key = (one.authority, one.since, one.to)
        if key in found:
            raise NotABenchmark(f"{path}: is of the same authority and time as {found[key]}")
        found[key] = path
        files.append(one)
    return files


def _read(path: Path) -> Benchmark:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise NotABenchmark(f"{path}: cannot be read ({fault.strerror})") from None
    if len(raw) > MOST_BYTES:
        raise NotABenchmark(f"{path}: has more than {MOST_BYTES // 2**20} MiB")
    try:
        return Benchmark.model_validate_json(raw)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise NotABenchmark(f"{path}: is no benchmark file of form {BENCHMARK} ({what})") from None


def names(files: Sequence[Benchmark]) -> list[str]:
    """What each is called at the head of its columns: the authority, and its time where the times differ."""
    if len({(one.since, one.to) for one in files}) == 1:
        return [one.authority for one in files]
    return [f"{one.authority}, {one.since} to {one.to}" for one in files]


def tables(files: Sequence[Benchmark]) -> list[Table]:
    """Each table that any of them has, a column (or several) for each authority. Nothing is added up between them."""
    called = names(files)
    laid = []
    for identity in dict.fromkeys(table.id for one in files for table in one.tables):
        have = [next((table for table in one.tables if table.id == identity), None) for one in files]
        first = next(table for table in have if table is not None)
        width = len(first.columns)
        # One that is cut another way by another version cannot stand in the same columns.
        fit = [table if table is not None and len(table.columns) == width else None for table in have]
        left = [name for name, table in zip(called, fit, strict=True) if table is None]
        heads = [
            name if width == 1 else f"{name}: {column}"
            for name, table in zip(called, fit, strict=True)
            for column in (table or first).columns
        ]
        labels = dict.fromkeys(row.label for table in fit if table is not None for row in table.rows)
        notes = [first.note] if first.note else []
        if left:
            notes.append(f"Not told by {'; '.join(left)}.")
        totals = [table.total if table is not None else None for table in fit]
        laid.append(
            Table(
                identity,
                first.title,
                first.definition,
                ("", *heads),
                tuple(
                    Row(
                        label,
                        _across(
                            (
                                next((row for row in table.rows if row.label == label), None) if table else None
                                for table in fit
                            ),
                            width,
                        ),
                    )
                    for label in labels
                ),
                Row("Total", _across(totals, width)) if any(totals) else None,
                note=" ".join(notes),
            )
        )
    return laid


def _across(rows: Iterable[BenchmarkRow | None], width: int) -> tuple[Cell | Hidden, ...]:
    return tuple(cell for row in rows for cell in (row.cells() if row is not None else (None,) * width))


def write(files: Sequence[Benchmark], folder: Path) -> list[Path]:
    """The tables as HTML, a workbook and JSON, readable by their owner alone; their paths. Raises OSError."""
    laid, called = tables(files), names(files)
    about = [
        "Benchmark files laid side by side: " + "; ".join(f"{one.authority}, {one.since} to {one.to}" for one in files),
        "Each counts as the definitions say, and has hidden its small numbers (c) itself; – is what it does not tell.",
    ]
    data = {
        "side_by_side": VERSION,
        "authorities": [
            {"authority": one.authority, "from": one.since.isoformat(), "to": one.to.isoformat()} for one in files
        ],
        "tables": [table.to_json() for table in laid],
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = []
    for suffix, content in (
        ("json", json.dumps(data, indent=1, ensure_ascii=False).encode()),
        ("html", page("side_by_side.html", names=called, about=about, tables=laid).encode()),
        ("xlsx", workbook([(line,) for line in about], laid)),
    ):
        path = folder / f"lado-side-by-side.{suffix}"
        path.touch(mode=0o600)
        path.write_bytes(content)
        paths.append(path)
    return paths
