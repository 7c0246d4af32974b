"""A table of figures: labelled counts with a total that is checked, and what of it may be published.

``published`` hides small numbers, and as much beside them as keeps a total from giving them away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

LEAST = 5
"""Counts below this, save nought, are not published: a school would know who is meant."""

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
                summed = sum(_number(row.values[column]) for row in self.rows)
                if summed != _number(self.total.values[column]):
                    found.append(f"{self.id}: {self.head[column + 1]}: {summed} is not {self.total.values[column]}")
        if self.across is not None:
            for row in (*self.rows, *([self.total] if self.total else [])):
                summed = sum(_number(row.values[column]) for column in self.counts if column != self.across)
                if summed != _number(row.values[self.across]):
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


def published(table: Table, least: int = LEAST, *, besides: Collection[str] = ()) -> Table:
    """The table without numbers from which a person could be known.

    Labels that somebody typed are told only where there are enough of them; the others are one row. ``besides`` names rows
    that are hidden because another table hides them.

    A count from 1 to below ``least`` is hidden, and so is a part that leaves so few of its whole. Where a line with a
    total would then give a hidden number away (one is hidden, or those hidden are together fewer than ``least``), the
    smallest others of it are hidden too. A share is hidden with its part or its whole.
    """
    table = _folded(table, least)
    rows = [*table.rows, *([table.total] if table.total else [])]
    counts = [[_number(value) for value in row.values] for row in rows]
    hidden = _few(table, counts, least)
    hidden |= {(at, column) for at, row in enumerate(table.rows) if row.label in besides for column in table.counts}
    lines = _lines(table, len(table.rows))
    while any(_cover(line, counts, hidden, least) for line in lines):
        pass
    out = [
        Row(
            row.label,
            tuple(HIDDEN if (at, column) in hidden else value for column, value in enumerate(row.values)),
        )
        for at, row in enumerate(rows)
    ]
    for column, (part, whole) in table.shares.items():
        out = [
            replace(row, values=_with(row.values, column, HIDDEN))
            if HIDDEN in (row.values[part], row.values[whole])
            else row
            for row in out
        ]
    return replace(
        table,
        rows=tuple(out[: len(table.rows)]),
        total=out[-1] if table.total else None,
        note=f"{table.note} {_NOT_SHOWN.format(most=least - 1)}".strip(),
    )


_NOT_SHOWN = "Numbers from 1 to {most}, and what would give them away, are not shown (c)."


def hides(table: Table) -> frozenset[str]:
    """The labels of the rows in which a count is hidden."""
    return frozenset(row.label for row in table.rows if any(isinstance(row.values[at], Hidden) for at in table.counts))


def _folded(table: Table, least: int) -> Table:
    """Typed labels with fewer than ``least`` in each column as one row."""
    rare = [
        row
        for row in table.rows
        if row.label in table.typed and all(_number(row.values[column]) < least for column in table.counts)
    ]
    if not rare or table.shares:
        return table
    together = Row("Other", tuple(sum(_number(row.values[at]) for row in rare) for at in range(len(table.head) - 1)))
    return replace(table, rows=(*(row for row in table.rows if row not in rare), together))


def _few(table: Table, counts: Sequence[Sequence[int]], least: int) -> set[tuple[int, int]]:
    few = range(1, least)
    hidden = {(at, column) for at, row in enumerate(counts) for column in table.counts if row[column] in few}
    for part, whole in table.shares.values():
        hidden |= {(at, part) for at, row in enumerate(counts) if part != whole and row[whole] - row[part] in few}
    return hidden


def _lines(table: Table, rows: int) -> list[list[tuple[int, int]]]:
    """The cells of each sum that is shown, without the sum itself."""
    down = [[(at, column) for at in range(rows)] for column in table.counts] if table.total else []
    if table.across is None:
        return down
    others = [column for column in table.counts if column != table.across]
    return down + [[(at, column) for column in others] for at in range(rows + (table.total is not None))]


def _cover(
    line: Sequence[tuple[int, int]], counts: Sequence[Sequence[int]], hidden: set[tuple[int, int]], least: int
) -> bool:
    """Hide one more cell of a line whose sum gives the hidden ones away; False where none does, or none is left."""

    def number(cell: tuple[int, int]) -> int:
        return counts[cell[0]][cell[1]]

    covered = [cell for cell in line if cell in hidden]
    if not covered or (len(covered) > 1 and sum(map(number, covered)) >= least):
        return False
    shown = [cell for cell in line if cell not in hidden]
    if not shown:
        return False
    hidden.add(min(shown, key=lambda cell: (number(cell) == 0, number(cell))))
    return True


def _with(values: Sequence[Cell | Hidden], at: int, value: Cell | Hidden) -> tuple[Cell | Hidden, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _number(value: Cell | Hidden) -> int:
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
