"""The figures' arithmetic: totals that reconcile, and small numbers that nothing gives away."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_bot.reports.periods import Kind, Period, last_whole
from intake_bot.reports.publishing import for_publication, hides, published
from intake_bot.reports.tables import HIDDEN, Row, Table, share


def one_column(*numbers: int) -> Table:
    rows = tuple(Row(f"row {at}", (number,)) for at, number in enumerate(numbers))
    return Table("t", "T", "", ("Row", "Count"), rows, Row("Total", (sum(numbers),)))


def hidden(table: Table) -> list[int]:
    return [at for at, row in enumerate(table.rows) if row.values[0] is HIDDEN]


def test_a_total_that_is_not_the_sum_is_a_fault() -> None:
    table = one_column(3, 4)
    assert table.faults() == []
    wrong = Table("t", "T", "", ("Row", "Count"), table.rows, Row("Total", (8,)))
    assert wrong.faults() == ["t: Count: 7 is not 8"]
    across = Table("t", "T", "", ("Row", "A", "B", "Total"), (Row("r", (1, 2, 4)),), across=2)
    assert across.faults() == ["t: r: 3 is not 4"]


@pytest.mark.parametrize(
    ("numbers", "gone"),
    [
        ((10, 20, 0), []),
        # One alone would be the total less the others.
        ((10, 3, 20), [0, 1]),
        ((10, 3, 4, 20), [1, 2]),
        # Two that are together fewer than five would each be told.
        ((10, 1, 1, 20), [0, 1, 2]),
        ((0, 3, 0), [0, 1, 2]),
        ((3,), [0]),
    ],
)
def test_small_numbers_are_hidden_with_what_gives_them_away(numbers: tuple[int, ...], gone: list[int]) -> None:
    assert hidden(published(one_column(*numbers))) == gone


def test_a_share_goes_with_its_part_and_a_part_with_what_it_leaves() -> None:
    rows = (Row("April", (20, 18, share(18, 20))), Row("May", (20, 12, share(12, 20))), Row("June", (9, 0, 0.0)))
    table = Table(
        "t", "T", "", ("Month", "Due", "In time", "%"), rows, Row("Total", (49, 30, share(30, 49))), shares={2: (1, 0)}
    )
    april, may, june = published(table).rows
    # Two were late in April: too few. May is hidden so that April is not what the total leaves.
    assert april.values == (20, HIDDEN, HIDDEN)
    assert may.values == (20, HIDDEN, HIDDEN)
    assert june.values == (9, 0, 0.0)


@given(st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=1, max_size=6))
def test_no_line_with_a_total_gives_a_small_number_away(numbers: list[list[int]]) -> None:
    rows = tuple(Row(str(at), (*line, sum(line))) for at, line in enumerate(numbers))
    down = [sum(line[column] for line in numbers) for column in range(3)]
    table = Table("t", "T", "", ("", "A", "B", "C", "Total"), rows, Row("Total", (*down, sum(down))), across=3)
    assert table.faults() == []
    out = published(table)
    assert out.total is not None
    grid = [*(row.values for row in out.rows), out.total.values]
    full = [*(row.values for row in rows), (*down, sum(down))]
    for at, line in enumerate(full):
        for column, value in enumerate(line):
            assert not (isinstance(value, int) and 1 <= value < 5) or grid[at][column] is HIDDEN
    lines = [[(at, column) for column in range(3)] for at in range(len(full))]
    lines += [[(at, column) for at in range(len(numbers))] for column in range(4)]
    for cells in lines:
        covered = [full[at][column] for at, column in cells if grid[at][column] is HIDDEN]
        shown = len(cells) - len(covered)
        assert not covered or not shown or (len(covered) > 1 and sum(covered) >= 5)


def test_what_somebody_typed_is_told_only_where_there_are_enough_of_it() -> None:
    rows = (
        Row("Education", (40,)),
        Row("Oakfield", (2,)),
        Row("Tutors", (6,)),
        Row("Brookfield", (5,)),
        Row("X", (4,)),
    )
    typed = frozenset({"Oakfield", "Tutors", "Brookfield", "X"})
    table = Table("t", "T", "", ("Row", "Count"), rows, Row("Total", (57,)), typed=typed)
    out = published(table)
    assert [row.label for row in out.rows] == ["Education", "Tutors", "Brookfield", "Other, rarer"]
    assert out.rows[-1].values == (6,)


def test_a_row_that_another_table_hides_is_hidden_here_too() -> None:
    out = published(one_column(10, 20, 30), besides={"row 1"})
    assert hidden(out) == [0, 1]
    assert hides(out) == {"row 0", "row 1"}


def counts(name: str, head: str, **numbers: int) -> Table:
    rows = tuple(Row(label, (number,)) for label, number in numbers.items())
    return Table(name, name, "", (head, "Count"), rows, Row("Total", (sum(numbers.values()),)))


def test_no_total_of_another_table_tells_what_one_hides() -> None:
    decisions = counts("decisions", "Decision", referral=60, consultation=50, nfa=20, transferred=7, undecided=3)
    threshold = Table(
        "threshold", "", "", ("", "Decided", "Met", "%"), (Row("2025", (137, 60, 43.8)),), shares={2: (1, 0)}
    )
    agreement = counts("agreement", "", suggested=137)
    actions = counts("employer_actions", "", training=40, dismissal=17)
    shown = {table.id for table in for_publication([decisions, threshold, agreement, actions])}
    # 140 less 137 would be the undecided, and 60 referrals less 57 concluded those that are not.
    assert shown == {"decisions"}
    plain = counts("decisions", "Decision", referral=60, consultation=50, nfa=20, transferred=0, undecided=0)
    done = counts("employer_actions", "", training=40, dismissal=20)
    kept = {table.id for table in for_publication([plain, threshold, agreement, done])}
    assert kept == {"decisions", "threshold", "agreement", "employer_actions"}


def test_periods() -> None:
    year = Period(date(2025, 4, 1), date(2026, 4, 1))
    assert (year.short, year.label) == ("2025-26", "1 April 2025 to 31 March 2026")
    assert [month.short for month in year.months()][:2] == ["Apr 2025", "May 2025"]
    assert year.years_before(1) == Period(date(2024, 4, 1), date(2025, 4, 1))
    assert last_whole(Kind.ANNUAL, date(2026, 11, 30)) == year
    assert last_whole(Kind.ANNUAL, date(2026, 3, 31)).short == "2024-25"
    assert last_whole(Kind.QUARTERLY, date(2026, 11, 30)) == Period(date(2026, 7, 1), date(2026, 10, 1))
    assert last_whole(Kind.MONTHLY, date(2026, 11, 30)) == Period(date(2026, 10, 1), date(2026, 11, 1))
    assert last_whole(Kind.MONTHLY, date(2026, 12, 1)) == Period(date(2026, 11, 1), date(2026, 12, 1))
    leap = Period(date(2024, 2, 29), date(2024, 3, 31))
    assert leap.years_before(1).since == date(2023, 2, 28)
