"""What of the figures may be published: small numbers hidden, with what gives them away, in one table and between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from intake_bot.reports.tables import HIDDEN, Cell, Hidden, Row, Table, number

LEAST = 5
"""Counts below this, save nought, are not published: a school would know who is meant."""


def for_publication(tables: Sequence[Table]) -> tuple[Table, ...]:
    """The tables without what tells who is meant, in any of them or by laying one beside another.

    Left out are those that count the same again by another cut (quarters, source by sector, sub-sectors, sectors that seldom
    bring anything, all contacts beside referrals), and, where the number of referrals cannot be shown, whatever counts
    referrals again. A month that one table hides is hidden in all.
    """
    by_name = {table.id: table for table in tables}
    decisions = published(by_name["decisions"])
    left_out = set(_SPLIT_ANEW)
    if hides(decisions):
        left_out |= _COUNT_DECISIONS
    if any(isinstance(value, Hidden) for value in decisions.rows[0].values):
        left_out |= _COUNT_REFERRALS
    # Of referrals those that are concluded: what is left of all is what is not.
    concluded = by_name["employer_actions"].total
    if concluded is not None and any(
        0 < number(referrals) - number(done) < LEAST
        for referrals, done in zip(by_name["decisions"].rows[0].values, concluded.values, strict=True)
    ):
        left_out.add("employer_actions")
    shown = [table for table in tables if table.id not in left_out]
    months: frozenset[str] = frozenset()
    by_month = [table for table in shown if table.id in _BY_MONTH]
    while (found := frozenset().union(*(hides(published(table, besides=months)) for table in by_month))) != months:
        months = months | found
    return tuple(published(table, besides=months if table.id in _BY_MONTH else ()) for table in shown)


_SPLIT_ANEW = frozenset(
    {"contacts_by_quarter", "source_by_sector", "sub_sectors", "seldom", "concluded_all", "concluded_share"}
)
_COUNT_DECISIONS = frozenset({"threshold", "agreement"})
_COUNT_REFERRALS = frozenset({"outcomes", "concluded_referrals", "criteria", "employer_actions", "meeting_in_time"})
_BY_MONTH = frozenset({"contacts_by_month", "decision_in_time", "advice_in_time", "meeting_in_time"})


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
    counts = [[number(value) for value in row.values] for row in rows]
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
        if row.label in table.typed and all(number(row.values[column]) < least for column in table.counts)
    ]
    if not rare or table.shares:
        return table
    together = Row(
        "Other, rarer", tuple(sum(number(row.values[at]) for row in rare) for at in range(len(table.head) - 1))
    )
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

    def count(cell: tuple[int, int]) -> int:
        return counts[cell[0]][cell[1]]

    covered = [cell for cell in line if cell in hidden]
    if not covered or (len(covered) > 1 and sum(map(count, covered)) >= least):
        return False
    shown = [cell for cell in line if cell not in hidden]
    if not shown:
        return False
    hidden.add(min(shown, key=lambda cell: (count(cell) == 0, count(cell))))
    return True


def _with(values: Sequence[Cell | Hidden], at: int, value: Cell | Hidden) -> tuple[Cell | Hidden, ...]:
    return (*values[:at], value, *values[at + 1 :])
