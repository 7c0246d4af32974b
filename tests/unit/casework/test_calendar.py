"""The working calendar: England's holidays year by year, office hours, and the two nights of the clocks."""

# ruff: noqa: DTZ001 (hypothesis takes its bounds without a zone, and times without one are what is to be refused)

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets_page import LONDON, UNHURRIED, day, moment, rows

from intake_bot.casework.calendar import WorkingCalendar, aware_utc

ENGLAND = WorkingCalendar()
ANY_DAY = st.dates(date(2000, 1, 1), date(2100, 12, 31))
ANY_INSTANT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 6, 1), timezones=st.just(UTC))

# By royal proclamation: what was added, and what was moved.
ADDED = {
    date(2002, 6, 3), date(2011, 4, 29), date(2012, 6, 5), date(2022, 6, 3), date(2022, 9, 19), date(2023, 5, 8),
}  # fmt: skip
MOVED = {
    date(2002, 5, 27): date(2002, 6, 4),
    date(2012, 5, 28): date(2012, 6, 4),
    date(2020, 5, 4): date(2020, 5, 8),
    date(2022, 5, 30): date(2022, 6, 2),
}


def easter(year: int) -> date:
    """The Gregorian computus (Meeus, Jones, Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), g = divmod(b, 4), (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, rest = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, rest + 1)


def statutory(year: int) -> set[date]:
    """Banking and Financial Dealings Act 1971, Schedule 1, the proclaimed days, and the common-law ones."""

    def monday_from(first: date) -> date:
        return first + timedelta(days=-first.weekday() % 7)

    new_year, christmas, boxing = date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)
    days = {
        monday_from(new_year) if new_year.weekday() > 4 else new_year,
        easter(year) - timedelta(days=2),
        easter(year) + timedelta(days=1),
        monday_from(date(year, 5, 1)),
        monday_from(date(year, 5, 25)),
        monday_from(date(year, 8, 25)),
        date(year, 12, 27) if christmas.weekday() > 4 else christmas,
        date(year, 12, 28) if boxing.weekday() > 4 else boxing,
    }
    # Christmas on a Sunday has Tuesday instead, Boxing Day being the Monday already.
    if christmas.weekday() == 6:
        days = (days - {date(year, 12, 28)}) | {boxing, date(year, 12, 27)}
    return {MOVED.get(one, one) for one in days} | {one for one in ADDED if one.year == year}


@pytest.mark.parametrize("years", [range(2000, 2034), range(2034, 2068), range(2068, 2101)], ids=str)
def test_the_days_off_are_those_of_the_statute_in_every_year(years: range) -> None:
    for year in years:
        one, found = date(year, 1, 1), set()
        while one.year == year:
            if one.weekday() < 5 and not ENGLAND.is_working_day(one):
                found.add(one)
            one += timedelta(days=1)
        assert found == statutory(year)


@pytest.mark.parametrize(("name", "text"), [cells for _, cells in rows("Bank holiday")])
def test_the_page_names_the_holidays_as_the_calendar_does(name: str, text: str) -> None:
    assert ENGLAND.holiday_name(day(text)) == name
    assert ENGLAND.why_not_working(day(text)) == f"bank holiday: {name}"


def test_years_asked_in_any_order_and_years_nobody_knows() -> None:
    assert ENGLAND.holiday_name(date(2090, 12, 25)) == "Christmas Day"
    assert ENGLAND.holiday_name(date(2000, 12, 25)) == "Christmas Day"
    assert ENGLAND.holiday_name(date(2000, 12, 22)) is None
    for year in (1871, 2101):
        with pytest.raises(ValueError, match="known from"):
            ENGLAND.holiday_name(date(year, 12, 25))


class TestOneOffDays:
    def test_a_proclaimed_day_is_not_worked_and_a_day_on_is(self) -> None:
        ours = WorkingCalendar(
            extra_days_off=frozenset({date(2026, 11, 30)}),
            extra_days_on=frozenset({date(2026, 12, 28), date(2026, 12, 5)}),
        )
        assert ours.why_not_working(date(2026, 11, 30)) == "one-off day off"
        assert ours.is_working_day(date(2026, 12, 28))
        assert ours.holiday_name(date(2026, 12, 28)) == "Boxing Day (substitute day)"
        assert ours.is_working_day(date(2026, 12, 5))

    def test_contradictions_are_refused(self) -> None:
        both = frozenset({date(2026, 11, 30)})
        with pytest.raises(ValueError, match="2026-11-30 is named both"):
            WorkingCalendar(extra_days_off=both, extra_days_on=both)
        with pytest.raises(ValueError, match="weekdays"):
            WorkingCalendar(weekdays=frozenset())
        with pytest.raises(ValueError, match="open before"):
            WorkingCalendar(opens=time(17), closes=time(9))


def test_the_version_says_whatever_changes_the_count_and_nothing_else() -> None:
    days = [date(2026, 11, 30), date(2026, 12, 1)]
    assert ENGLAND.version.startswith("england-holidays-")
    assert "+" not in ENGLAND.version
    ours = {
        WorkingCalendar(extra_days_off=frozenset(days)).version,
        WorkingCalendar(extra_days_on=frozenset(days)).version,
        WorkingCalendar(extra_days_off=frozenset(days[:1])).version,
        WorkingCalendar(closes=time(16)).version,
        WorkingCalendar(weekdays=frozenset(range(6))).version,
        WorkingCalendar(zone=ZoneInfo("Europe/Dublin")).version,
    }
    assert len(ours) == 6
    assert all(version.startswith(f"{ENGLAND.version}+") and len(version) <= 64 for version in ours)
    assert WorkingCalendar(extra_days_off=frozenset(days[::-1])).version in ours


class TestOfficeHours:
    @pytest.mark.parametrize(("due", "answer"), [cells for _, cells in rows("Deadline")])
    def test_the_page(self, due: str, answer: str) -> None:
        assert ENGLAND.answer_by(moment(due)) == moment(answer)

    @UNHURRIED
    @given(ANY_INSTANT)
    def test_the_next_opening_is_the_first_moment_somebody_comes_in(self, instant: datetime) -> None:
        opening = ENGLAND.next_opening(instant)
        assert opening >= instant
        assert opening.tzinfo is UTC
        assert ENGLAND.office_open_at(opening)
        assert not ENGLAND.office_open_at(opening - timedelta(microseconds=1))
        assert ENGLAND.next_opening(opening) == opening
        hours_between = int((opening - instant) / timedelta(hours=1))
        opened = [
            one for one in range(1, hours_between + 1) if ENGLAND.office_open_at(opening - one * timedelta(hours=1))
        ]
        # Going back from the opening it is closed all the way, or up to the office day that the instant lies in.
        assert not opened or ENGLAND.office_open_at(instant)

    def test_the_office_is_shut_at_the_moment_of_closing(self) -> None:
        assert ENGLAND.office_open_at(moment("Mon 30 Nov 2026 16:59"))
        assert not ENGLAND.office_open_at(moment("Mon 30 Nov 2026 17:00"))


class TestTheNightsOfTheClocks:
    @UNHURRIED
    @given(ANY_DAY.filter(lambda one: one.year < 2100), st.times(), ANY_DAY, st.times())
    def test_a_later_wall_clock_time_is_never_an_earlier_instant(self, a: date, at: time, b: date, bt: time) -> None:
        (first, second) = sorted([(a, at), (b, bt)])
        assert ENGLAND.instant_at(*first) <= ENGLAND.instant_at(*second)

    @pytest.mark.parametrize("night", [date(2026, 10, 25), date(2027, 3, 28)])
    def test_nor_within_those_nights(self, night: date) -> None:
        walls = [time(minute // 60, minute % 60) for minute in range(4 * 60)]
        instants = [ENGLAND.instant_at(night, wall) for wall in walls]
        assert instants == sorted(instants)
        start = ENGLAND.instant_at(night, time(0))
        seen = [ENGLAND.wall_clock(start + timedelta(minutes=minute)) for minute in range(5 * 60)]
        assert seen == sorted(seen)

    def test_a_skipped_time_is_the_first_moment_after_and_of_two_the_first(self) -> None:
        assert ENGLAND.instant_at(date(2027, 3, 28), time(1, 30)) == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
        assert ENGLAND.instant_at(date(2026, 10, 25), time(1, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    def test_a_gap_at_midnight_elsewhere(self) -> None:
        cairo = WorkingCalendar(zone=ZoneInfo("Africa/Cairo"))
        assert cairo.local(cairo.instant_at(date(2024, 4, 26), time(0))).time() == time(1)

    @UNHURRIED
    @given(ANY_INSTANT)
    def test_what_the_clocks_show_leads_back(self, instant: datetime) -> None:
        local = ENGLAND.local(instant)
        if not local.fold:
            assert ENGLAND.instant_at(local.date(), local.time()) == instant


def test_instants_without_a_zone_and_days_that_are_instants_are_refused() -> None:
    naive = datetime(2026, 11, 27, 16, 40)
    for refuse in (ENGLAND.office_open_at, ENGLAND.next_opening, ENGLAND.answer_by, ENGLAND.local, aware_utc):
        with pytest.raises(ValueError, match="without a zone"):
            refuse(naive)
    with pytest.raises(ValueError, match="by its date"):
        ENGLAND.is_working_day(naive.replace(tzinfo=LONDON))
