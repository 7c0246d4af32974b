"""Rows in a form that belongs to neither database: what SQLite wrote PostgreSQL reads, and the other way about.

The stream is records: four bytes with the length of some JSON, the JSON, then the bytes it speaks of. An object opens a
table and names its columns, as they were when it was written, with their types; an array is a row, in which a value of type
``bytes`` is its length; the last object counts the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
)
from sqlalchemy.types import TypeEngine
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from storage.backup_file import Damaged

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 8 * 1024 * 1024
FEW_ROWS = {"raw": 1, "audit_signed_heads": 10}
"""Tables of which one row may be large: a message of 150 MiB, thousands of heads."""
FEW = 10
"""Rows at once of any other table with bytes in it: a sealed text takes up to 4 MiB."""
_TYPES: dict[str, TypeEngine[Any]] = {
    "time": UTCDateTime(),
    "text": String(),
    "boolean": Boolean(),
    "integer": Integer(),
    "float": Float(),
    "json": JSON(none_as_null=True),
    "bytes": LargeBinary(),
}

Row = dict[str, Any]


class Out(Protocol):
    def write(self, data: bytes | memoryview) -> None: ...


class In(Protocol):
    def read(self, count: int) -> bytes: ...

    def at_end(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Section:
    """A table as it was written: its name, and its columns with the names of their types."""

    table: str
    columns: tuple[tuple[str, str], ...]


def write_rows(connection: Connection, tables: Iterable[Table], out: Out) -> dict[str, int]:
    """Every row of ``tables``, which come in an order in which they can be filled again; how many of each."""
    counts = {}
    for table in tables:
        columns = [(column.name, _kind(column.type)) for column in table.columns]
        _record(out, {"table": table.name, "columns": columns})
        rows = connection.execution_options(yield_per=_at_once(table)).execute(
            select(table).order_by(*table.primary_key)
        )
        counts[table.name] = 0
        for row in rows:
            values, blobs = _encoded(row)
            _record(out, values)
            for blob in blobs:
                out.write(blob)
            counts[table.name] += 1
    _record(out, {"rows": counts})
    return counts


def read_rows(source: In) -> Iterator[tuple[Section, Row]]:
    """The rows again. Raises Damaged where they are not as :func:`write_rows` left them, up to the count at the end."""
    section: Section | None = None
    counts: dict[str, int] = {}
    while True:
        record = _next(source)
        if isinstance(record, list):
            if section is None or len(record) != len(section.columns):
                raise Damaged("the rows in the backup are not as they were written")
            counts[section.table] += 1
            yield section, _decoded(record, section, source)
        elif "rows" in record:
            if record["rows"] != counts or not source.at_end():
                raise Damaged("the backup does not end as it was written")
            return
        else:
            section = Section(record["table"], tuple((name, kind) for name, kind in record["columns"]))
            counts[section.table] = 0


def load(connection: Connection, rows: Iterable[tuple[Section, Row]]) -> dict[str, int]:
    """Insert rows, some at a time; how many of each table."""
    counts: dict[str, int] = {}
    for section, of_section in groupby(rows, key=itemgetter(0)):
        # Not this version's tables: the columns are those that were written.
        table = Table(section.table, MetaData(), *(Column(name, _TYPES[kind]) for name, kind in section.columns))
        counts[section.table] = 0
        for some in _portions(row for _, row in of_section):
            connection.execute(insert(table), some)
            counts[section.table] += len(some)
    return counts


def _portions(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    size = 0
    for row in rows:
        some.append(row)
        size += sum(_weight(value) for value in row.values())
        if len(some) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _at_once(table: Table) -> int:
    """How many rows of ``table`` may be in memory together."""
    has_bytes = any(isinstance(column.type, LargeBinary) for column in table.columns)
    return FEW_ROWS.get(table.name, FEW if has_bytes else ROWS_AT_ONCE)


def _weight(value: Any) -> int:
    """About how many bytes a value takes."""
    match value:
        case bytes() | str():
            return len(value)
        case list():
            return sum(map(_weight, value)) + len(value)
    return 0


def _kind(column: TypeEngine[Any]) -> str:
    if isinstance(column, AutoString):
        return "text"
    for name, kind in _TYPES.items():
        if isinstance(column, type(kind)):
            return name
    # A new kind of column must be given a portable form before it can be backed up.
    raise TypeError(f"{type(column).__name__} has no portable form")


def _encoded(row: Iterable[Any]) -> tuple[list[Any], list[bytes]]:
    values: list[Any] = []
    blobs: list[bytes] = []
    for value in row:
        match value:
            case bytes() | memoryview():
                blobs.append(bytes(value))
                values.append(len(value))
            case datetime():
                values.append(value.isoformat())
            case _:
                values.append(value)
    return values, blobs


def _decoded(values: list[Any], section: Section, source: In) -> Row:
    row: Row = {}
    for value, (name, kind) in zip(values, section.columns, strict=True):
        match kind, value:
            case _, None:
                row[name] = None
            case "bytes", size:
                row[name] = source.read(size)
            case "time", text:
                row[name] = datetime.fromisoformat(text)
            case _:
                row[name] = value
    return row


def _record(out: Out, value: Any) -> None:
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    out.write(len(line).to_bytes(4, "big") + line)


def _next(source: In) -> Any:
    size = int.from_bytes(source.read(4), "big")
    return json.loads(source.read(size).decode("utf-8", "surrogatepass"))
