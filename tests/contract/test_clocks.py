"""The clocks of a case: what starts each, what meets it, and what ends it by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from contract.test_acts import WORDS, done, refused
from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk, notices, referral
from intake_bot.casework import views
from intake_bot.casework.acts import (
    Claim,
    CorrectReceipt,
    EndClock,
    PauseCase,
    RecordMeeting,
    Release,
    Reopen,
    ResumeCase,
    SetFacts,
    SetStrand,
)
from intake_bot.casework.clocks import FIELD, local_clocks
from intake_bot.casework.plan import UNCLAIMED, Recipient
from intake_bot.casework.vocabulary import ClockEnd, DecisionKind, MeetingKind, PauseReason, StrandKind
from storage.tables import Case

__all__ = ["desk"]

LATER = FRIDAY_1640 + timedelta(hours=2)


def shown(desk: Desk, case_id: str) -> dict[str, Any]:
    with desk.database.read() as session:
        case = session.get(Case, case_id)
        assert case is not None
        return views.show_json(session, desk.practice, case)


def clocks(desk: Desk, case_id: str) -> dict[str, str]:
    return {one["target"]: one["state"] for one in shown(desk, case_id)["deadlines"]}


def waiting(desk: Desk, case_id: str) -> set[str]:
    return {one["deadline"] for one in shown(desk, case_id)["reminders"] if one["state"] == "waiting"}


def decided(desk: Desk, decision: DecisionKind = DecisionKind.REFERRAL, **facts: Any) -> str:
    case_id = desk.opened().case_id or ""
    if facts:
        done(desk, SetFacts(case_id, AMINA, **facts))
    desk.perform(replace(referral(case_id), decision=decision), now=LATER)
    return case_id


def test_a_consultation_wants_advice_within_five_working_days(desk: Desk) -> None:
    case_id = decided(desk, DecisionKind.CONSULTATION)
    assert clocks(desk, case_id) == {"triage": "met", "advice": "running"}
    (advice,) = (one for one in shown(desk, case_id)["deadlines"] if one["target"] == "advice")
    assert (advice["started_at"], advice["due_at"]) == ("2026-11-27T16:40:00Z", "2026-12-04T17:00:00Z")


def test_a_meeting_held_before_the_decision_meets_its_clock_at_once(desk: Desk) -> None:
    case_id = desk.opened().case_id or ""
    held = FRIDAY_1640 + timedelta(hours=1)
    done(desk, RecordMeeting(case_id, AMINA, MeetingKind.INITIAL, held, WORDS), now=LATER)
    desk.perform(referral(case_id), now=LATER)
    assert clocks(desk, case_id)["first_meeting"] == "met"
    assert "first_meeting" not in waiting(desk, case_id)


def test_a_foster_carer_has_a_clock_more_which_the_end_of_the_inquiry_meets(desk: Desk) -> None:
    assert "foster_investigation" not in clocks(desk, decided(desk))
    case_id = decided(desk, sector="Fostering")
    assert clocks(desk, case_id)["foster_investigation"] == "running"
    done(desk, SetStrand(case_id, AMINA, StrandKind.EMPLOYER, True, ""), now=LATER)
    assert clocks(desk, case_id)["employer_report"] == "running"
    done(desk, SetStrand(case_id, AMINA, StrandKind.EMPLOYER, False, ""), now=LATER)
    ended = clocks(desk, case_id)
    assert (ended["employer_report"], ended["foster_investigation"]) == ("met", "met")


def test_a_clock_is_ended_by_hand_with_a_reason_and_runs_again(desk: Desk) -> None:
    case_id = decided(desk)
    refused(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.NO_CLOCK, " "))
    refused(desk, EndClock(case_id, AMINA, "triage", ClockEnd.NO_CLOCK, WORDS))
    refused(desk, EndClock(case_id, AMINA, "panel", ClockEnd.MET, WORDS))
    done(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.NO_CLOCK, WORDS))
    assert clocks(desk, case_id)["first_meeting"] == "cancelled"
    assert "first_meeting" not in waiting(desk, case_id)
    done(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.RESTART, WORDS), now=LATER)
    assert clocks(desk, case_id)["first_meeting"] == "running"
    assert "first_meeting" in waiting(desk, case_id)
    done(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.MET, WORDS), now=LATER)
    assert clocks(desk, case_id)["first_meeting"] == "met"


def test_a_second_decision_starts_what_the_first_had_and_reopening_ended(desk: Desk) -> None:
    case_id = decided(desk)
    done(desk, Reopen(case_id, AMINA, WORDS), now=LATER)
    assert {state for target, state in clocks(desk, case_id).items() if target != "triage"} == {"cancelled"}
    desk.perform(referral(case_id), now=LATER + timedelta(minutes=1))
    assert clocks(desk, case_id)["twelve_months"] == "running"


def test_an_authority_adds_clocks_and_switches_others_off(desk: Desk) -> None:
    kept = {name: clock for name, clock in FIELD.items() if name != "first_meeting"}
    desk.practice = replace(desk.practice, clocks=kept | local_clocks(["panel: working_days 15 from referral"]))
    found = clocks(desk, decided(desk))
    assert "first_meeting" not in found
    assert found["panel"] == "running"


def test_the_manager_hears_of_a_case_that_nobody_takes_and_not_of_one_that_somebody_took(desk: Desk) -> None:
    desk.practice = replace(desk.practice, unclaimed_after=timedelta(hours=1))
    left, taken, back = (desk.opened().case_id or "" for _ in range(3))
    done(desk, Claim(taken, AMINA), now=FRIDAY_1640 + timedelta(minutes=1))
    for act in (Claim(back, AMINA), Release(back, AMINA), Claim(back, AMINA), Release(back, AMINA)):
        done(desk, act, now=FRIDAY_1640)
    monday = FRIDAY_1640 + timedelta(days=2, hours=17)
    assert desk.tick(monday - timedelta(seconds=1)) == []
    assert desk.tick(monday) == [("claim", UNCLAIMED, "sent")] * 2
    told = [one for one in notices(desk) if one.moment == UNCLAIMED]
    assert {one.to for one in told} == {Recipient.MANAGER}
    assert {one.reference for one in told} == {shown(desk, one)["case"] for one in (left, back)}


def test_what_is_not_urgent_waits_for_office_hours(desk: Desk) -> None:
    calm = desk.file(desk.incoming(), None).case_id or ""
    urgent = desk.opened().case_id or ""
    times = {
        case_id: [one["due_at"] for one in shown(desk, case_id)["reminders"] if one["kind"] == "after"]
        for case_id in (calm, urgent)
    }
    assert set(times[calm]) == {"2026-12-01T09:00:00Z"}
    assert set(times[urgent]) == {"2026-11-30T17:40:00Z"}


def test_a_nudge_whose_time_passed_in_a_pause_comes_when_it_ends(desk: Desk) -> None:
    case_id = decided(desk)
    missed = FRIDAY_1640 + timedelta(days=32)
    assert ("one_month", "at", "late") in desk.tick(missed)
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS), now=missed)
    # A week after it was due there is one more; the pause is longer.
    resumed = missed + timedelta(days=14)
    done(desk, ResumeCase(case_id, AMINA), now=resumed)
    nudged = [one for one in desk.tick(resumed + timedelta(days=3)) if one[0] == "one_month"]
    assert nudged == [("one_month", "after", "late")]


def test_what_is_counted_or_started_anew_in_a_pause_stands_still_too(desk: Desk) -> None:
    case_id = decided(desk)
    missed = FRIDAY_1640 + timedelta(days=32)
    desk.tick(missed)
    done(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.NO_CLOCK, WORDS), now=missed)
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS), now=missed)
    later = missed + timedelta(days=1)
    done(desk, EndClock(case_id, AMINA, "first_meeting", ClockEnd.RESTART, WORDS), now=later)
    done(desk, CorrectReceipt(case_id, AMINA, FRIDAY_1640 - timedelta(hours=1), WORDS), now=later)
    assert waiting(desk, case_id) == set()
    done(desk, CorrectReceipt(case_id, AMINA, FRIDAY_1640 + timedelta(hours=1), WORDS), now=later)
    assert waiting(desk, case_id) == set()


def test_a_clock_started_anew_in_the_pause_that_it_would_have_fallen_due_in_is_not_missed(desk: Desk) -> None:
    case_id = decided(desk)
    paused = FRIDAY_1640 + timedelta(days=29)
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS), now=paused)
    later = paused + timedelta(days=5)
    for why in (ClockEnd.NO_CLOCK, ClockEnd.RESTART):
        done(desk, EndClock(case_id, AMINA, "one_month", why, WORDS), now=later)
    done(desk, ResumeCase(case_id, AMINA), now=paused + timedelta(days=6))
    (month,) = (one for one in shown(desk, case_id)["deadlines"] if one["target"] == "one_month")
    assert (month["state"], month["due_at"]) == ("running", "2027-01-02T16:40:00Z")


def test_a_clock_that_is_started_in_a_pause_stands_from_then_on(desk: Desk) -> None:
    case_id = decided(desk)
    paused = FRIDAY_1640 + timedelta(days=3)
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS), now=paused)
    opened = paused + timedelta(days=7)
    done(desk, SetStrand(case_id, AMINA, StrandKind.EMPLOYER, True), now=opened)
    assert clocks(desk, case_id)["employer_report"] == "paused"
    assert waiting(desk, case_id) == set()
    was = {one["target"]: one["due_at"] for one in shown(desk, case_id)["deadlines"]}
    done(desk, ResumeCase(case_id, AMINA), now=opened + timedelta(days=2))
    (step,) = (one for one in shown(desk, case_id)["deadlines"] if one["target"] == "employer_report")
    moved = datetime.fromisoformat(step["due_at"]) - datetime.fromisoformat(was["employer_report"])
    assert (step["state"], moved) == ("running", timedelta(days=2))


def test_a_clock_that_was_missed_before_a_pause_nudges_nobody_while_it_lasts(desk: Desk) -> None:
    case_id = decided(desk)
    missed = FRIDAY_1640 + timedelta(days=32)
    desk.tick(missed)
    assert clocks(desk, case_id)["one_month"] == "missed"
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, WORDS), now=missed)
    assert "one_month" not in waiting(desk, case_id)
    assert [one for one in desk.tick(missed + timedelta(days=1)) if one[0] == "one_month"] == []
    done(desk, ResumeCase(case_id, AMINA), now=missed + timedelta(days=1))
    assert clocks(desk, case_id)["one_month"] == "missed"
    # "At" was sent before the pause; a week after it was due there is one more.
    nudged = [one for one in desk.tick(missed + timedelta(days=8)) if one[0] == "one_month"]
    assert nudged == [("one_month", "after", "late")]
