"""The clocks of a case: what starts each, what meets it, and what ends it by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from contract.test_acts import WORDS, done, refused
from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk, referral
from intake_bot.casework import views
from intake_bot.casework.acts import EndClock, RecordMeeting, Reopen, SetFacts, SetStrand
from intake_bot.casework.clocks import FIELD, local_clocks
from intake_bot.casework.vocabulary import ClockEnd, DecisionKind, MeetingKind, StrandKind
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
