"""Which nudges are planned, and which of those a late start left behind still come."""

# ruff: noqa: DTZ001 (hypothesis takes its bounds without a zone, and times without one are what is to be refused)

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets_page import UNHURRIED, moment, rows

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.clocks import FIELD
from intake_bot.casework.plan import Moment, PlannedReminder, Recipient, ReminderPlan, plan, when_somebody_is_there
from intake_bot.casework.targets import Due, Rule, due

TRIAGE = due(Rule.parse("working_24h"), moment("Fri 27 Nov 2026 16:40"), WorkingCalendar())
OFFSETS = st.sampled_from(["-7d", "-1d", "-4h", "-30m", "0", "+1h", "+7d"])
PLANS = st.lists(st.tuples(OFFSETS, st.sampled_from(Recipient)), unique=True).map(
    lambda pairs: ReminderPlan.parse(f"{offset} {to}" for offset, to in pairs)
)
NOWS = st.timedeltas(timedelta(days=-9), timedelta(days=9)).map(lambda wait: TRIAGE.due_at + wait)


@pytest.mark.parametrize(("nudges", "now", "expected"), [cells for _, cells in rows("Nudges")])
def test_the_page(nudges: str, now: str, expected: str) -> None:
    planned = plan(TRIAGE, ReminderPlan.parse(re.findall("`([^`]+)`", nudges)), moment(now))
    wanted = [one.strip().split(" ", 1) for one in expected.split(";")]
    assert [(one.kind.value, one.due_at) for one in planned] == [(kind, moment(at)) for kind, at in wanted]
    assert {one.to for one in planned} == {Recipient.DUTY}


@UNHURRIED
@given(PLANS, NOWS)
def test_nothing_is_planned_into_the_past_nor_in_a_heap_nor_untrue(reminders: ReminderPlan, now: datetime) -> None:
    planned = plan(TRIAGE, reminders, now)
    assert len(set(planned)) == len(planned)
    assert [one.due_at for one in planned] == sorted(one.due_at for one in planned)
    assert all(one.due_at >= now for one in planned)
    for recipient in Recipient:
        assert sum(one.to is recipient and one.due_at == now for one in planned) <= 1
        # Whoever is to be nudged before or at a deadline hears of it, however late the start.
        is_nudged = any(one.to is recipient and one.moment is not Moment.AFTER for one in reminders.offsets)
        if is_nudged and now < TRIAGE.due_at:
            assert any(one.to is recipient for one in planned)
    for one in planned:
        match one.kind:
            case Moment.BEFORE:
                assert one.due_at < TRIAGE.due_at
            case Moment.AT:
                assert one.due_at == max(now, TRIAGE.due_at)
            case Moment.AFTER:
                assert one.due_at > TRIAGE.due_at


@UNHURRIED
@given(PLANS, st.timedeltas(timedelta(days=8), timedelta(days=30)))
def test_seen_early_enough_every_nudge_is_planned_at_its_own_time(reminders: ReminderPlan, ahead: timedelta) -> None:
    planned = plan(TRIAGE, reminders, TRIAGE.due_at - ahead)
    assert len(planned) == len(reminders.offsets)
    assert {one.due_at for one in planned} == {offset.from_due(TRIAGE) for offset in reminders.offsets}


def test_the_defaults_for_a_receipt() -> None:
    received = moment("Fri 27 Nov 2026 16:40")
    month = due(FIELD["one_month"].rule, received, WorkingCalendar())
    assert [(one.kind, one.to, one.due_at) for one in plan(month, FIELD["one_month"].plan, received)] == [
        (Moment.BEFORE, Recipient.DUTY, moment("Sun 20 Dec 2026 16:40")),
        (Moment.AT, Recipient.DUTY, moment("Sun 27 Dec 2026 16:40")),
        (Moment.AFTER, Recipient.DUTY, moment("Sun 3 Jan 2027 16:40")),
    ]


def test_each_recipient_has_a_plan_of_their_own() -> None:
    reminders = ReminderPlan.parse(["-4h", "-2h owner", "+1h manager"])
    now = moment("Mon 30 Nov 2026 13:00")
    assert plan(TRIAGE, reminders, now) == (
        PlannedReminder(Moment.BEFORE, Recipient.DUTY, now),
        PlannedReminder(Moment.BEFORE, Recipient.OWNER, moment("Mon 30 Nov 2026 14:40")),
        PlannedReminder(Moment.AFTER, Recipient.MANAGER, moment("Mon 30 Nov 2026 17:40")),
    )


def test_days_keep_the_time_of_day_and_hours_are_real() -> None:
    reached = due(Rule.parse("working_24h"), moment("Fri 23 Oct 2026 16:40 BST"), WorkingCalendar())
    planned = plan(reached, ReminderPlan.parse(["-7d", "-72h"]), moment("Thu 1 Oct 2026 09:00"))
    assert [one.due_at for one in planned] == [moment("Mon 19 Oct 2026 16:40 BST"), moment("Fri 23 Oct 2026 17:40 BST")]


def test_two_nudges_that_fall_together_are_one() -> None:
    planned = plan(TRIAGE, ReminderPlan.parse(["-1d", "-24h"]), moment("Fri 27 Nov 2026 16:40"))
    assert len(planned) == 1


@pytest.mark.parametrize(
    "text", ["", "4h", "-0h", "+0d", "-4", "-4w", "- 4h", "-4h everyone", "00", "-4.5h", "-99999d"]
)
def test_what_is_no_reminder_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="-4h, 0, \\+1h manager"):
        ReminderPlan.parse([text])


def test_the_same_reminder_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        ReminderPlan.parse(["-4h", "-4h duty"])


def test_a_now_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        plan(TRIAGE, FIELD["triage"].plan, datetime(2026, 11, 27, 16, 40))


def test_times_are_utc() -> None:
    reached = Due.from_json(TRIAGE.to_json())
    planned = plan(reached, FIELD["triage"].plan, moment("Fri 27 Nov 2026 16:40"))
    assert all(one.due_at.tzinfo is UTC for one in planned)


OFFICE = WorkingCalendar()


@pytest.mark.parametrize(("meant", "target", "comes", "because"), [cells for _, cells in rows("Meant for")])
def test_the_page_of_office_hours(meant: str, target: str, comes: str, because: str) -> None:
    assert because
    assert when_somebody_is_there(moment(meant), moment(target), OFFICE) == moment(comes)


@UNHURRIED
@given(PLANS, NOWS)
def test_in_office_hours_none_comes_when_nobody_is_there_none_twice_at_once_and_none_untrue(
    reminders: ReminderPlan, now: datetime
) -> None:
    planned = plan(TRIAGE, reminders, now, OFFICE)
    assert all(one.due_at >= now and OFFICE.office_open_at(one.due_at) for one in planned)
    assert len({(one.to, one.due_at) for one in planned}) == len(planned)
    assert {one.to for one in planned} == {one.to for one in plan(TRIAGE, reminders, now)}
    for one in planned:
        assert one.kind is not Moment.AFTER or one.due_at > TRIAGE.due_at


@pytest.mark.parametrize(("target", "expected", "because"), [cells for _, cells in rows("For a target")])
def test_the_page_of_what_falls_together(target: str, expected: str, because: str) -> None:
    assert because
    reached = due(Rule.parse("elapsed_24h"), moment(target) - timedelta(days=1), OFFICE)
    planned = plan(reached, ReminderPlan.parse(["-4h", "0", "+1h"]), moment("Mon 30 Nov 2026 00:01"), OFFICE)
    wanted = [one.strip().split(" ", 1) for one in expected.split(";")]
    assert [(one.kind.value, one.due_at) for one in planned] == [(kind, moment(at)) for kind, at in wanted]


@UNHURRIED
@given(PLANS, st.timedeltas(timedelta(), timedelta(days=5)), st.timedeltas(timedelta(days=-9), timedelta(days=5)))
def test_what_is_brought_forward_comes_alone_within_the_hour(
    reminders: ReminderPlan, later: timedelta, wait: timedelta
) -> None:
    reached = due(Rule.parse("elapsed_24h"), moment("Fri 27 Nov 2026 16:40") + later, OFFICE)
    now = reached.due_at + wait
    planned = plan(reached, reminders, now, OFFICE)
    meant = {(one.to, one.due_at) for one in plan(reached, reminders, now)}
    for one in planned:
        is_forward = (one.to, one.due_at) not in meant and OFFICE.next_opening(one.due_at) != one.due_at
        others = {abs(other.due_at - one.due_at) for other in planned if other.to is one.to and other is not one}
        assert not is_forward or all(apart >= timedelta(hours=1) for apart in others)
    assert {one.to for one in planned} == {to for to, _ in meant}


def test_what_cannot_be_brought_forward_any_more_comes_at_once_or_when_the_office_opens() -> None:
    reached = due(Rule.parse("elapsed_24h"), moment("Fri 27 Nov 2026 16:40"), OFFICE)
    reminders = ReminderPlan.parse(["-4h", "0", "+1h"])
    assert plan(reached, reminders, moment("Fri 27 Nov 2026 16:40"), OFFICE) == (
        PlannedReminder(Moment.BEFORE, Recipient.DUTY, moment("Fri 27 Nov 2026 16:40")),
        PlannedReminder(Moment.AFTER, Recipient.DUTY, moment("Mon 30 Nov 2026 09:00")),
    )
    at_night = due(Rule.parse("elapsed_24h"), moment("Sat 28 Nov 2026 10:00"), OFFICE)
    assert plan(at_night, reminders, moment("Sat 28 Nov 2026 10:00"), OFFICE) == (
        PlannedReminder(Moment.AT, Recipient.DUTY, moment("Mon 30 Nov 2026 09:00")),
    )


def test_office_time_runs_over_nights_and_weekends() -> None:
    hour = timedelta(hours=1)
    assert OFFICE.office_time_after(moment("Fri 27 Nov 2026 16:40"), hour) == moment("Mon 30 Nov 2026 09:40")
    assert OFFICE.office_time_after(moment("Sat 28 Nov 2026 10:00"), hour) == moment("Mon 30 Nov 2026 10:00")
    assert OFFICE.office_time_after(moment("Fri 27 Nov 2026 16:00"), hour) == moment("Fri 27 Nov 2026 17:00")
