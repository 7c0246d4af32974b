"""The table in a tracker's file, a spreadsheet or CSV as it is kept: its heads and its rows by their numbers."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intake_bot.reports.tracker_words import field_of

MOST_ROWS = 200_000
MOST_COLUMNS = 500
MOST_BYTES = 64 * 1024 * 1024
MOST_UNPACKED = 512 * 1024 * 1024
"""Bytes of a workbook once it is unpacked."""
_HEAD_WITHIN = 20
"""Rows above the head of the table: a title, a logo, a blank line."""


class NotATracker(Exception):
    """The file, or its mapping, cannot be used. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The table in a file: its heads, and its rows by their numbers in the file."""

    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Any, ...]], ...]
    digest: str
    """The file's SHA-256."""

    def values(self, head: str) -> Counter[str]:
        """The different values of a column, with how often each comes."""
        at = self.heads.index(head)
        return Counter(text for _, row in self.rows if (text := text_of(row[at])))


def read(path: Path) -> Sheet:
    """The table of a .csv or .xlsx file. Raises OSError, or NotATracker for what is neither."""
    raw = path.read_bytes()
    if len(raw) > MOST_BYTES:
        raise NotATracker(f"it has more than {MOST_BYTES // 2**20} MiB")
    lines = _workbook(raw) if raw[:2] == b"PK" else _csv(raw)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if any(map(text_of, line))]
    if len(numbered) > MOST_ROWS:
        raise NotATracker(f"it has more than {MOST_ROWS:,} rows")
    if not numbered:
        raise NotATracker("there is nothing in it")
    head = max(range(min(_HEAD_WITHIN, len(numbered))), key=lambda at: (_like_a_head(numbered[at][1]), -at))
    heads = tuple(text_of(cell) or f"column {at + 1}" for at, cell in enumerate(numbered[head][1]))
    if len(set(heads)) < len(heads):
        twice = ", ".join(sorted(name for name, count in Counter(heads).items() if count > 1))
        raise NotATracker(f"these columns are there twice: {twice}")
    width = len(heads)
    rows = tuple(
        (number, (*line, *([None] * (width - len(line))))[:width])
        for number, line in numbered[head + 1 :]
        if not _is_footer(line)
    )
    return Sheet(heads, rows, hashlib.sha256(raw).hexdigest())


def _csv(raw: bytes) -> list[tuple[Any, ...]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    try:
        dialect: Any = csv.Sniffer().sniff(text[:65536], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        return [tuple(line[:MOST_COLUMNS]) for line in csv.reader(io.StringIO(text, newline=""), dialect)]
    except csv.Error:
        raise NotATracker("it is no CSV that can be read") from None


def _workbook(raw: bytes) -> list[tuple[Any, ...]]:
    """The sheet with the most in it, each merged cell's value in all that it covers."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MOST_UNPACKED:
                raise NotATracker(f"it unpacks to more than {MOST_UNPACKED // 2**20} MiB")
        book = load_workbook(io.BytesIO(raw), data_only=True)
    except NotATracker:
        raise
    except Exception:
        raise NotATracker("it is no workbook that can be read") from None
    sheet = max(book.worksheets, key=lambda one: one.max_row * one.max_column, default=None)
    if sheet is None:
        raise NotATracker("there is no sheet in it")
    if sheet.max_row > MOST_ROWS or sheet.max_column > MOST_COLUMNS:
        raise NotATracker(f"it has more than {MOST_ROWS:,} rows or {MOST_COLUMNS} columns")
    lines = [list(line) for line in sheet.iter_rows(values_only=True)]
    for merged in sheet.merged_cells.ranges:
        value = lines[merged.min_row - 1][merged.min_col - 1]
        if merged.min_row == merged.max_row:
            continue  # A title over the whole table is no value of each column.
        for row in range(merged.min_row - 1, min(merged.max_row, len(lines))):
            for column in range(merged.min_col - 1, merged.max_col):
                lines[row][column] = value
    return [tuple(line) for line in lines]


def _like_a_head(line: Sequence[Any]) -> int:
    """How many cells are words that a head would have, rather than data."""
    words = [text_of(cell) for cell in line if isinstance(cell, str)]
    return sum(bool(word) for word in words) + 5 * sum(field_of(word) is not None for word in words if word)


def _is_footer(line: Sequence[Any]) -> bool:
    filled = [text for cell in line if (text := text_of(cell))]
    return bool(re.fullmatch(r"(?i)(?:grand |sub-?)?totals?:?", filled[0]))


def text_of(cell: Any) -> str:
    return "" if cell is None else " ".join(str(cell).split())
