"""A table of figures: labelled counts with a total that is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = int | float | str | None
"""A count, a share in per cent, a code such as a date, or nothing where there is nothing to say."""


class Hidden:
    """Stands where a number is not published."""

    def __repr__(self) -> str:
        return "HIDDEN"


HIDDEN = Hidden()


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    values: tuple[Cell | Hidden, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """``head`` names the label's column and each of the values'. The columns' numbers count the values from 0."""

    id: str
    title: str
    definition: str
    """What is counted, and on what date it counts."""
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    total: Row | None = None
    """The sum of each column that can be summed, counted apart from the rows."""
    shares: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Columns that are a share in per cent, each with the columns of its part and its whole."""
    across: int | None = None
    """The column that sums up the others of its row."""
    drawn: tuple[int, ...] = ()
    """Columns that a chart shows; none, where a chart would show nothing that the table does not."""
    note: str = ""
    typed: frozenset[str] = frozenset()
    """Labels that come from what somebody typed, and may say more than a code does."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The columns that hold counts."""
        return tuple(column for column in range(len(self.head) - 1) if column not in self.shares)

    def faults(self) -> list[str]:
        """Where the rows do not add up to the total."""
        found = []
        if self.total is not None:
            for column in self.counts:
                summed = sum(number(row.values[column]) for row in self.rows)
                if summed != number(self.total.values[column]):
                    found.append(f"{self.id}: {self.head[column + 1]}: {summed} is not {self.total.values[column]}")
        if self.across is not None:
            for row in (*self.rows, *([self.total] if self.total else [])):
                summed = sum(number(row.values[column]) for column in self.counts if column != self.across)
                if summed != number(row.values[self.across]):
                    found.append(f"{self.id}: {row.label}: {summed} is not {row.values[self.across]}")
        return found

    def to_json(self) -> dict[str, Any]:
        def plain(row: Row) -> dict[str, Any]:
            return {
                "label": row.label,
                "values": [None if isinstance(value, Hidden) else value for value in row.values],
                "hidden": [column for column, value in enumerate(row.values) if isinstance(value, Hidden)],
            }

        return {
            "id": self.id,
            "title": self.title,
            "definition": self.definition,
            "columns": list(self.head[1:]),
            "rows": [plain(row) for row in self.rows],
            "total": plain(self.total) if self.total else None,
            "note": self.note,
        }


def share(part: int, whole: int) -> float | None:
    """Per cent with one decimal; None of nothing."""
    return round(100 * part / whole, 1) if whole else None


def number(value: Cell | Hidden) -> int:
    return value if isinstance(value, int) else 0


def counted(
    labels: Iterable[tuple[str, str]], columns: Sequence[Sequence[Any]], of: Callable[[Any], Iterable[str | None]]
) -> tuple[list[tuple[str, list[int]]], list[int]]:
    """How many of each column's records have each label (code and words), and how many have any: unknown codes last.

    ``of`` gives a record's codes. A code that no label names gets a row of its own; None reads "Not recorded".
    """
    named = dict(labels)
    tallies: list[dict[str | None, int]] = []
    for records in columns:
        tally: dict[str | None, int] = {}
        for record in records:
            for code in of(record):
                tally[code] = tally.get(code, 0) + 1
        tallies.append(tally)
    others = sorted({code for tally in tallies for code in tally if code is not None and code not in named})
    rows = [(words, [tally.get(code, 0) for tally in tallies]) for code, words in named.items()]
    rows += [(code, [tally.get(code, 0) for tally in tallies]) for code in others]
    if any(None in tally for tally in tallies):
        rows.append(("Not recorded", [tally.get(None, 0) for tally in tallies]))
    return rows, [sum(tally.values()) for tally in tallies]
