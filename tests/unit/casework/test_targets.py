"""Due times: the worked examples of docs/targets.md, and what holds for any receipt whatever."""

# ruff: noqa: DTZ001 (hypothesis takes its bounds without a zone, and times without one are what is to be refused)

from __future__ import annotations

import json
import os
import time as process_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets_page import LONDON, TEXT, UNHURRIED, moment, rows

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.clocks import FIELD
from intake_bot.casework.targets import (
    ALLOWED_FORMS,
    Due,
    ElapsedHours,
    NextWorkingDay,
    Rule,
    Step,
    StepKind,
    WorkingHours,
    due,
    explain,
)

ENGLAND = WorkingCalendar()
OURS = WorkingCalendar(
    opens=time(8, 30),
    closes=time(18),
    extra_days_off=frozenset({date(2026, 11, 30), date(2027, 5, 4)}),
    extra_days_on=frozenset({date(2026, 10, 25), date(2027, 3, 28), date(2026, 12, 28)}),
)
WORKED = [(rule, *cells[:2]) for rule, cells in rows("Received")]

CALENDARS = st.sampled_from([ENGLAND, OURS])
RULES = st.sampled_from([Rule.parse(form) for form in (*ALLOWED_FORMS, "working_72h", "working_1h", "working_days 1")])
HOUR_RULES = st.sampled_from(
    [Rule.parse(form) for form in ("working_24h", "elapsed_24h", "working_72h", "elapsed_60h")]
)
# A few years, so that nights of the clocks, Easters and Christmases come up often, and any year at all.
RECEIVED = st.one_of(
    st.datetimes(datetime(2026, 10, 20), datetime(2027, 6, 1), timezones=st.just(UTC)),
    st.datetimes(datetime(2026, 10, 24, 20), datetime(2026, 10, 25, 4), timezones=st.just(UTC)),
    st.datetimes(datetime(2027, 3, 25, 20), datetime(2027, 3, 30, 4), timezones=st.just(UTC)),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 6, 1), timezones=st.just(UTC)),
)


@pytest.mark.parametrize(("rule", "received", "expected"), WORKED)
def test_the_worked_examples(rule: str, received: str, expected: str) -> None:
    assert due(Rule.parse(rule), moment(received), ENGLAND).due_at == moment(expected)


def test_the_page_is_whole() -> None:
    assert len(WORKED) >= 60
    described = {cells[0].strip("`") for _, cells in rows("In the settings")}
    assert described == set(ALLOWED_FORMS)
    assert described <= {rule for rule, *_ in WORKED}


def test_the_explanation_on_the_page_is_what_is_printed() -> None:
    printed = explain(due(Rule.parse("working_24h"), moment("Thu 24 Dec 2026 16:40"), ENGLAND))
    shown = "\n".join(printed).replace(ENGLAND.version, "england-holidays-0.109")
    assert f"```\n{shown}\n```" in TEXT


class TestWhateverIsReceived:
    @UNHURRIED
    @given(RULES.filter(lambda rule: rule.words != "calendar_months 1"), RECEIVED, RECEIVED, CALENDARS)
    def test_later_is_never_due_earlier(self, rule: Rule, a: datetime, b: datetime, calendar: WorkingCalendar) -> None:
        first, second = sorted([a, b])
        assert due(rule, first, calendar).due_at <= due(rule, second, calendar).due_at

    @UNHURRIED
    @given(RULES, RECEIVED, st.timedeltas(timedelta(0), timedelta(days=2)), CALENDARS)
    def test_nor_shortly_later(self, rule: Rule, first: datetime, wait: timedelta, calendar: WorkingCalendar) -> None:
        earlier, later = due(rule, first, calendar), due(rule, first + wait, calendar)
        if any(step.kind is StepKind.MOVED and "last day" in step.why for step in (*earlier.steps, *later.steps)):
            # A month too short keeps the receipt's time of day: then it is the day that is never earlier.
            assert earlier.due_at.astimezone(LONDON).date() <= later.due_at.astimezone(LONDON).date()
        else:
            assert earlier.due_at <= later.due_at

    @UNHURRIED
    @given(RECEIVED, CALENDARS)
    def test_the_default_is_never_due_on_a_day_off_but_at_the_midnight_that_ends_a_day_worked(
        self, received: datetime, calendar: WorkingCalendar
    ) -> None:
        local = calendar.local(due(FIELD["triage"].rule, received, calendar).due_at)
        if local.time() == time(0):
            assert calendar.is_working_day(local.date() - timedelta(days=1))
        else:
            assert calendar.is_working_day(local.date())

    @UNHURRIED
    @given(RECEIVED, CALENDARS, st.sampled_from(["next_working_day", "next_working_day 16:00 +1", "working_days 5"]))
    def test_by_close_is_the_close_of_a_working_day(
        self, received: datetime, calendar: WorkingCalendar, rule: str
    ) -> None:
        local = calendar.local(due(Rule.parse(rule), received, calendar).due_at)
        assert calendar.is_working_day(local.date())
        assert local.time() == calendar.closes

    @UNHURRIED
    @given(HOUR_RULES, RECEIVED, CALENDARS)
    def test_what_was_counted_adds_up_to_the_rule_exactly(
        self, rule: Rule, received: datetime, calendar: WorkingCalendar
    ) -> None:
        reached = due(rule, received, calendar)
        match rule.count:
            case WorkingHours(hours) | ElapsedHours(hours):
                counted = [step.counted for step in reached.steps if step.counted is not None]
                assert sum(counted, timedelta()) == timedelta(hours=hours)
            case _:
                raise AssertionError(rule)
        for step in reached.steps:
            assert step.counted == (step.end - step.start if step.kind is StepKind.COUNTED else None)
            if isinstance(rule.count, WorkingHours):
                is_worked = calendar.is_working_day(calendar.local(step.start).date())
                assert is_worked == (step.kind is StepKind.COUNTED)

    @UNHURRIED
    @given(RULES, RECEIVED, CALENDARS)
    def test_the_steps_join_up_from_receipt_to_due_and_survive_storing(
        self, rule: Rule, received: datetime, calendar: WorkingCalendar
    ) -> None:
        reached = due(rule, received, calendar)
        assert reached.started_at == reached.steps[0].start == received
        assert reached.steps[-1].end == reached.due_at > received
        assert all(before.end == after.start for before, after in pairwise(reached.steps))
        stored = json.dumps(reached.to_json())
        again = Due.from_json(json.loads(stored))
        assert again == reached
        assert explain(again) == explain(reached)
        assert "+00:00" not in stored

    @UNHURRIED
    @given(HOUR_RULES, RECEIVED)
    def test_the_lengths_that_an_officer_reads_add_up(self, rule: Rule, received: datetime) -> None:
        assert isinstance(rule.count, WorkingHours | ElapsedHours)
        sentences = [
            line for line in explain(due(rule, received, ENGLAND)) if " counted (" in line and "so far" in line
        ]
        assert sentences[-1].endswith(f", {rule.count.hours} h so far.")


@pytest.fixture
def process_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    process_time.tzset()


@pytest.mark.usefixtures("process_zone")
def test_the_zone_of_the_process_does_not_matter() -> None:
    seen = set()
    for zone in ("UTC", "Europe/London", "America/St_Johns", "Pacific/Kiritimati"):
        os.environ["TZ"] = zone
        process_time.tzset()
        reached = [due(Rule.parse(rule), moment(received), OURS) for rule, received, _ in WORKED]
        seen.add(json.dumps([[one.to_json(), explain(one)] for one in reached]))
    assert len(seen) == 1


def test_a_start_in_another_zone_is_the_same_start() -> None:
    received = moment("Fri 23 Oct 2026 16:40")
    for form in ALLOWED_FORMS:
        reached = due(Rule.parse(form), received.astimezone(ZoneInfo("America/St_Johns")), ENGLAND)
        assert reached == due(Rule.parse(form), received, ENGLAND)
        assert {one.tzinfo for step in reached.steps for one in (step.start, step.end, reached.started_at)} == {UTC}


class TestExplanations:
    @pytest.mark.parametrize(
        ("rule", "received", "says"),
        [
            (
                "working_24h",
                "Fri 27 Nov 2026 16:40",
                "Monday 30 November until 16:40: 16 h 40 min counted (working day)",
            ),
            ("working_24h", "Sat 28 Nov 2026 10:40", "00:00, that is midnight at the end of Monday"),
            ("elapsed_24h", "Sat 24 Oct 2026 16:40", "the clocks go back"),
            ("elapsed_24h", "Sat 27 Mar 2027 16:40", "the clocks go forward"),
            ("elapsed_24h", "Sun 25 Oct 2026 01:30 GMT", "Started Sunday 25 October 2026 at 01:30 GMT"),
            ("next_working_day 16:00", "Fri 27 Nov 2026 16:01", "after the 16:00 cut-off: still due by the close"),
            ("next_working_day 16:00 +1", "Fri 27 Nov 2026 16:01", "counts as received on Monday 30 November"),
            (
                "next_working_day 16:00 +1",
                "Sat 28 Nov 2026 10:00",
                "on a day that is not worked: counts as received on",
            ),
            ("working_days 5", "Fri 27 Nov 2026 16:40", "Friday 4 December until 17:00: counted (working day 5 of 5)"),
            ("calendar_months 1", "Sun 31 Jan 2027 10:00", "February 2027 has no day 31"),
            ("calendar_months 1", "Sun 28 Feb 2027 01:30", "The clocks skip 01:30 on Sunday 28 March"),
            ("calendar_months 1", "Fri 25 Sep 2026 01:30", "twice on Sunday 25 October: the first is taken"),
            ("elapsed_days 21", "Sun 25 Oct 2026 01:30 GMT", "in the hour that came twice: counted as 02:00"),
        ],
    )
    def test_what_moved_it_is_said(self, rule: str, received: str, says: str) -> None:
        assert says in "\n".join(explain(due(Rule.parse(rule), moment(received), ENGLAND)))

    def test_seconds_are_said_where_there_are_any(self) -> None:
        received = moment("Fri 27 Nov 2026 16:40") + timedelta(seconds=37, microseconds=600_000)
        sentences = explain(due(Rule.parse("working_24h"), received, ENGLAND))
        assert "16:40:37: 7 h 19 min 23 s counted" in sentences[1]
        assert "16 h 40 min 37 s counted (working day), 24 h so far" in sentences[-2]

    def test_one_off_days_and_other_hours_are_taken_and_said(self) -> None:
        reached = due(Rule.parse("next_working_day"), moment("Fri 27 Nov 2026 16:40"), OURS)
        assert reached.due_at == moment("Tue 1 Dec 2026 18:00")
        assert "Monday 30 November: not counted (one-off day off)." in explain(reached)
        assert reached.calendar == OURS.version

    def test_a_sunday_that_is_worked_has_25_hours_when_the_clocks_go_back(self) -> None:
        reached = due(Rule.parse("working_24h"), moment("Sat 24 Oct 2026 12:00"), OURS)
        assert reached.due_at == moment("Sun 25 Oct 2026 23:00")


class TestWords:
    @pytest.mark.parametrize("form", ALLOWED_FORMS)
    def test_every_form_is_read_and_said_again(self, form: str) -> None:
        rule = Rule.parse(form)
        assert rule.words == form
        assert rule.name == f"{form}/1"
        assert Rule.parse(f"  {form.replace(' ', '   ')} ") == rule

    @pytest.mark.parametrize(
        "words",
        ["", "soon", "24h", "24 working hours", "working_0h", "working_24", "working_1000h", "next_working_day 24:00",
         "next_working_day 16", "next_working_day +1", "working_days", "working_days 0", "working_days -1",
         "calendar_months 1.5", "calendar_months 100", "elapsed_days 1000", "elapsed_days ٣", "working_24h 16:00"],
    )  # fmt: skip
    def test_other_words_are_refused_with_all_that_are_allowed(self, words: str) -> None:
        with pytest.raises(ValueError, match="is not a rule") as refused:
            Rule.parse(words)
        assert all(form in str(refused.value) for form in ALLOWED_FORMS)

    def test_the_defaults(self) -> None:
        assert {target: clock.rule.name for target, clock in FIELD.items()} == {
            "triage": "working_24h/1",
            "sign_off": "working_days 1/1",
            "advice": "working_days 5/1",
            "first_meeting": "working_days 5/1",
            "one_month": "calendar_months 1/1",
            "three_months": "calendar_months 3/1",
            "twelve_months": "calendar_months 12/1",
            "foster_investigation": "elapsed_days 21/1",
            "employer_report": "working_days 10/1",
        }
        assert Rule(NextWorkingDay(time(16), day_more=True)).words == "next_working_day 16:00 +1"


class TestRefusals:
    @pytest.mark.parametrize("form", ALLOWED_FORMS)
    def test_a_start_without_a_zone(self, form: str) -> None:
        with pytest.raises(ValueError, match="without a zone"):
            due(Rule.parse(form), datetime(2026, 11, 27, 16, 40), ENGLAND)

    def test_a_count_that_leaves_the_known_years(self) -> None:
        with pytest.raises(ValueError, match="known from"):
            due(Rule.parse("working_24h"), datetime(2100, 12, 31, 12, tzinfo=UTC), ENGLAND)

    @pytest.mark.parametrize(
        "harm", [{"due_at": "2026-11-27T16:40:00"}, {"due_at": 5}, {"steps": None}, {"steps": [{}]}]
    )
    def test_what_was_not_stored_by_us(self, harm: dict[str, object]) -> None:
        stored = due(Rule.parse("working_24h"), moment("Fri 27 Nov 2026 16:40"), ENGLAND).to_json()
        with pytest.raises(ValueError, match=r"no stored due time|without a zone"):
            Due.from_json({**stored, **harm})


def test_a_due_time_made_under_a_rule_that_is_gone_still_explains_itself() -> None:
    start, end = moment("Fri 27 Nov 2026 16:40"), moment("Fri 27 Nov 2026 17:40")
    step = Step(StepKind.COUNTED, start, end, timedelta(hours=1), "an old way")
    old = Due(end, start, "old_rule/0", "an hour, the old way", "england-holidays-0.1", "Europe/London", (step,))
    assert "an hour, the old way" in explain(Due.from_json(old.to_json()))[0]
