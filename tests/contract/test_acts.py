"""What an officer does with a case beyond deciding it: on both databases, on the record, and undone where it can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from conftest import FRIDAY_1640
from contract.test_casework import AMINA, BEN, SUGGESTION, Desk, desk, referral
from intake_bot.casework import retention
from intake_bot.casework.acts import (
    Accept,
    Advise,
    Claim,
    CloseAction,
    Conclude,
    CorrectReceipt,
    Decide,
    Done,
    Escalate,
    GiveSignOff,
    HandOver,
    LinkCases,
    Merge,
    NotAConsultation,
    Note,
    PauseCase,
    RecordAction,
    RecordMeeting,
    Refused,
    Reopen,
    Reply,
    Restrict,
    ResumeCase,
    SetFacts,
    SetStrand,
    Split,
    TellRegulator,
    Transfer,
)
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    DecisionKind,
    EmployerAction,
    Escalation,
    MeetingKind,
    Owner,
    PauseReason,
    RegulatorBody,
    SetAside,
    Source,
    StrandKind,
)
from storage import shredding
from storage.engine import Database
from storage.outbox import Kind
from storage.tables import Case, Outgoing
from storage.verify import faults
from triage.vocabulary import Category, Threshold

__all__ = ["desk"]

MONDAY = FRIDAY_1640 + timedelta(days=3)
WORDS = "The head will send the statement."


def done(desk: Desk, act: Any, *, now: datetime = MONDAY) -> Done:
    result = desk.perform(act, now=now)
    assert isinstance(result, Done), result
    return result


def refused(desk: Desk, act: Any, *, now: datetime = MONDAY) -> str:
    result = desk.perform(act, now=now)
    assert isinstance(result, Refused), result
    return result.said


def consultation(case_id: str, by: Any = AMINA) -> Decide:
    return Decide(case_id, by, DecisionKind.CONSULTATION, Category.CONDUCT, (), "Below the threshold.")


def referred(desk: Desk) -> tuple[Filed, str]:
    filed = desk.opened()
    assert filed.case_id is not None
    done(desk, referral(filed.case_id))
    return filed, filed.case_id


def target(case: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in case["deadlines"] if one["target"] == name)


def acts_of(case: dict[str, Any]) -> list[str]:
    return [entry["act"] for entry in case["audit"]]


def test_the_record_of_a_case_fills_as_it_goes(desk: Desk) -> None:
    filed, case_id = referred(desk)
    held = MONDAY + timedelta(days=1)
    later = held + timedelta(hours=2)
    done(desk, Note(case_id, AMINA, WORDS))
    done(desk, RecordMeeting(case_id, AMINA, MeetingKind.INITIAL, held, "Agreed what each does."), now=later)
    done(
        desk,
        RecordAction(case_id, AMINA, Owner.EMPLOYER, held + timedelta(days=5), WORDS, "dsl@school.example"),
        now=later,
    )
    done(desk, SetStrand(case_id, AMINA, StrandKind.POLICE, is_open=True), now=later)
    done(desk, TellRegulator(case_id, AMINA, RegulatorBody.DBS, held), now=later)
    done(
        desk,
        SetFacts(
            case_id, AMINA, organisation="Brookfield Primary", source=Source.EMPLOYER, themes=("CSE", "cse ", "online")
        ),
    )
    case = desk.show(filed)
    assert case["status"] == "in_progress"
    assert [note["text"] for note in case["notes"]] == [WORDS, "Agreed what each does.", WORDS]
    assert [(m["kind"], m["text"]) for m in case["meetings"]] == [("initial", "Agreed what each does.")]
    ((action),) = case["actions"]
    assert (action["owner"], action["state"], action["text"], action["chased"]) == ("employer", "open", WORDS, True)
    assert [one["strand"] for one in case["strands"]] == ["police"]
    assert [one["body"] for one in case["regulators"]] == ["dbs"]
    assert (case["organisation"], case["source"], case["themes"]) == (
        "Brookfield Primary",
        "employer",
        ["cse", "online"],
    )
    done(desk, CloseAction(case_id, AMINA, action["id"]), now=later)
    assert not done(desk, CloseAction(case_id, AMINA, action["id"]), now=later).changed
    assert desk.show(filed)["actions"][0]["state"] == "done"
    with desk.database.read() as session:
        assert not list(faults(session, desk.practice.vault))


def test_the_words_are_in_no_column_and_no_audit_entry(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Note(case_id, AMINA, WORDS))
    done(desk, RecordAction(case_id, AMINA, Owner.OFFICER, MONDAY, WORDS))
    assert WORDS not in str(desk.show(filed)["audit"])
    with desk.database.read() as session:
        for table in ("notes", "actions", "audit", "outbox", "cases"):
            rows = session.connection().exec_driver_sql(f"SELECT * FROM {table}").fetchall()
            assert WORDS not in str(rows)


def test_an_action_is_chased_at_an_address_of_the_case_alone(desk: Desk) -> None:
    _, case_id = referred(desk)
    assert "takes no part" in refused(
        desk, RecordAction(case_id, AMINA, Owner.EMPLOYER, MONDAY, WORDS, "x@else.example")
    )


def test_a_pause_stops_the_long_clocks_and_their_reminders_and_adds_its_length(desk: Desk) -> None:
    filed, case_id = referred(desk)
    before = target(desk.show(filed), "one_month")
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, "They asked us to wait."))
    case = desk.show(filed)
    assert (case["status"], target(case, "one_month")["state"]) == ("paused", "paused")
    assert {r["state"] for r in case["reminders"] if r["deadline"] == "one_month"} == {"cancelled"}
    assert desk.tick(MONDAY + timedelta(days=60)) == []
    on = MONDAY + timedelta(days=60)
    done(desk, ResumeCase(case_id, AMINA), now=on)
    case = desk.show(filed)
    after = target(case, "one_month")
    assert datetime.fromisoformat(after["due_at"]) - datetime.fromisoformat(before["due_at"]) == timedelta(days=60)
    assert (case["status"], after["state"]) == ("in_progress", "running")
    assert {r["state"] for r in case["reminders"] if r["deadline"] == "one_month"} == {"cancelled", "waiting"}
    assert [(p["reason"], p["ended_at"] is not None) for p in case["pauses"]] == [("police", True)]


def test_a_conclusion_is_opened_again_with_the_clock_that_it_met(desk: Desk) -> None:
    filed, case_id = referred(desk)
    end = Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, "Over.", employer_action=EmployerAction.TRAINING)
    done(desk, end, now=MONDAY + timedelta(days=1))
    assert desk.show(filed)["employer_action"] == "training"
    done(desk, Reopen(case_id, AMINA, "A second child spoke."), now=MONDAY + timedelta(days=2))
    case = desk.show(filed)
    assert (case["status"], case["outcome"], case["concluded_at"], case["review_at"]) == (
        "in_progress",
        None,
        None,
        None,
    )
    assert target(case, "one_month")["state"] == "running"
    assert target(case, "triage")["state"] == "met"
    assert {r["state"] for r in case["reminders"] if r["deadline"] == "one_month"} == {"waiting"}
    done(desk, end, now=MONDAY + timedelta(days=3))
    assert desk.show(filed)["status"] == "concluded"


def test_a_decision_is_opened_again_and_the_first_answer_stays_met(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Reopen(case_id, AMINA, "Decided on the wrong case."))
    case = desk.show(filed)
    assert (case["status"], case["decision"]) == ("claimed", None), "what stands no more is not shown as the decision"
    assert target(case, "one_month")["state"] == "cancelled"
    assert target(case, "triage")["state"] == "met"
    done(desk, referral(case_id))
    assert target(desk.show(filed), "one_month")["state"] == "running"


def test_what_is_no_consultation_ends_its_clock_and_can_be_taken_up_again(desk: Desk) -> None:
    filed = desk.opened()
    case_id = filed.case_id or ""
    refused(desk, NotAConsultation(case_id, AMINA, SetAside.OTHER))
    done(desk, NotAConsultation(case_id, AMINA, SetAside.MISDIRECTED), now=FRIDAY_1640)
    case = desk.show(filed)
    assert (case["status"], case["set_aside"]) == ("not_a_consultation", "misdirected")
    assert target(case, "triage")["state"] == "cancelled"
    assert desk.tick(MONDAY + timedelta(days=3)) == []
    done(desk, Reopen(case_id, AMINA, "It is one after all."), now=FRIDAY_1640)
    case = desk.show(filed)
    assert (case["status"], target(case, "triage")["state"]) == ("new", "running")
    assert [row[:2] for row in desk.tick(MONDAY + timedelta(days=3))] == [
        ("triage", "before"),
        ("triage", "at"),
        ("triage", "after"),
    ]


def test_an_officer_accepts_the_suggestion_that_was_seen(desk: Desk) -> None:
    filed = desk.opened()
    case_id = filed.case_id or ""
    refused(desk, Accept(case_id, AMINA, "another-version"))
    done(desk, Accept(case_id, AMINA, SUGGESTION.version))
    decision = desk.show(filed)["decision"]
    assert (decision["decision"], decision["category"], decision["criteria"]) == ("referral", "physical", [1])
    assert SUGGESTION.reason in decision["reason"]


def test_a_suggestion_that_leaves_it_open_cannot_be_accepted(desk: Desk) -> None:
    filed = desk.file(desk.incoming(), replace(SUGGESTION, threshold=Threshold.UNCLEAR))
    assert "leaves the threshold open" in refused(desk, Accept(filed.case_id or "", AMINA, SUGGESTION.version))


def test_a_case_is_handed_over_and_the_other_is_told_without_content(desk: Desk) -> None:
    filed = desk.opened()
    case_id = filed.case_id or ""
    done(desk, Claim(case_id, AMINA))
    done(desk, HandOver(case_id, AMINA, BEN, WORDS))
    assert desk.show(filed)["officer"] == str(BEN)
    assert desk.count(Outgoing, Outgoing.kind == Kind.TELL) == 1


@pytest.fixture
def two_officers(database: Database, practice: Practice) -> Desk:
    return Desk(database, replace(practice, sign_off_below_threshold=True))


def test_below_the_threshold_a_second_officer_signs_off(two_officers: Desk) -> None:
    desk = two_officers
    filed = desk.opened()
    case_id = filed.case_id or ""
    done(desk, consultation(case_id), now=FRIDAY_1640)
    case = desk.show(filed)
    assert (case["sign_off"], target(case, "triage")["state"], target(case, "sign_off")["state"]) == (
        "pending",
        "met",
        "running",
    )
    assert "sign-off" in refused(desk, Conclude(case_id, AMINA, None, "Over."))
    assert "second officer" in refused(desk, GiveSignOff(case_id, AMINA, agreed=True))
    done(desk, GiveSignOff(case_id, BEN, agreed=True))
    case = desk.show(filed)
    assert (case["sign_off"], case["decision"]["signed_off_by"], target(case, "sign_off")["state"]) == (
        "given",
        str(BEN),
        "met",
    )


def test_a_refused_sign_off_opens_the_decision_and_asks_again_at_the_next(two_officers: Desk) -> None:
    desk = two_officers
    filed = desk.opened()
    case_id = filed.case_id or ""
    done(desk, consultation(case_id), now=FRIDAY_1640)
    refused(desk, GiveSignOff(case_id, BEN, agreed=False))
    done(desk, GiveSignOff(case_id, BEN, agreed=False, note="Look at the second paragraph."))
    case = desk.show(filed)
    assert (case["status"], case["sign_off"], target(case, "triage")["state"]) == ("claimed", "refused", "met")
    done(desk, consultation(case_id))
    assert target(desk.show(filed), "sign_off")["state"] == "running"
    done(desk, GiveSignOff(case_id, BEN, agreed=True))


def test_a_referral_needs_no_sign_off(two_officers: Desk) -> None:
    filed, _ = referred(two_officers)
    assert two_officers.show(filed)["sign_off"] is None


def test_a_transfer_names_the_authority_and_ends_the_clocks(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Transfer(case_id, AMINA, "Northshire", "The school is theirs."))
    case = desk.show(filed)
    assert (case["decision"]["decision"], case["transferred_to"]) == ("transferred", "Northshire")
    assert target(case, "one_month")["state"] == "cancelled"


def test_an_escalation_tells_the_desk_why_and_no_more(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Escalate(case_id, AMINA, Escalation.MEDIA, WORDS))
    assert desk.show(filed)["escalated"] == "media"
    with desk.database.read() as session:
        rows = session.exec(select(Outgoing).where(Outgoing.kind == Kind.NOTICE)).all()
        assert any("escalated" in row.key for row in rows)


def test_a_restricted_case_does_not_exist_for_others(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Restrict(case_id, AMINA, (), "A colleague of ours."))
    assert refused(desk, Note(case_id, BEN, WORDS)) == "there is no such case"
    done(desk, Restrict(case_id, AMINA, (BEN,), "Ben covers for me."))
    done(desk, Note(case_id, BEN, WORDS))
    done(desk, Restrict(case_id, BEN, (), "It is known now.", lift=True))
    assert desk.show(filed)["restricted"] is False


def test_a_merged_case_goes_on_under_the_other_with_its_mail(desk: Desk) -> None:
    first = desk.opened()
    second = desk.opened(
        sender="head@school.example", answer_to="head@school.example", message_id="<second@school.example>"
    )
    done(desk, Merge(second.case_id or "", AMINA, first.case_id or "", "The same matter."))
    merged = desk.show(second)
    assert (merged["status"], merged["set_aside"], merged["merged_into"]) == (
        "not_a_consultation",
        "merged",
        first.reference,
    )
    assert target(merged, "triage")["state"] == "cancelled"
    answer = desk.file(desk.incoming(sender="head@school.example", in_reply_to=("<second@school.example>",)))
    assert answer.case_id == first.case_id
    done(desk, Reopen(second.case_id or "", AMINA, "Another adult after all."))
    assert (desk.show(second)["merged_into"], desk.show(second)["status"]) == (None, "new")
    again = desk.file(desk.incoming(sender="head@school.example", in_reply_to=("<second@school.example>",)))
    assert again.case_id == second.case_id


def test_a_contact_is_split_into_a_case_for_each_adult(desk: Desk) -> None:
    filed, case_id = referred(desk)
    said = done(desk, Split(case_id, AMINA, "The second adult is a volunteer.")).said
    with desk.database.read() as session:
        new = session.exec(select(Case).where(Case.reference == said.split()[0])).one()
        other = Filed(filed.outcome, "", new.id, new.reference)
    case = desk.show(other)
    assert case["messages"][0]["body_text"] == desk.show(filed)["messages"][0]["body_text"]
    assert case["received_at"] == desk.show(filed)["received_at"]
    assert target(case, "triage")["started_at"] == case["received_at"]
    assert case["suggestion"]["version"] == SUGGESTION.version
    assert [(link["case"], link["state"]) for link in case["links"]] == [(filed.reference, "confirmed")]
    with desk.database.read() as session:
        assert not list(faults(session, desk.practice.vault))


def test_one_half_of_a_split_is_destroyed_and_the_other_kept(desk: Desk) -> None:
    filed, case_id = referred(desk)
    said = done(desk, Split(case_id, AMINA, "The second adult is a volunteer.")).said
    with desk.database.write() as session:
        case = session.get(Case, case_id)
        assert case is not None
        retention.destroy(session, desk.practice, case, retention.Why.EARLY, by=AMINA, now=MONDAY)
    shredding.finish(desk.database, desk.practice.vault.keys, now=MONDAY)
    with desk.database.read() as session:
        new = session.exec(select(Case).where(Case.reference == said.split()[0])).one()
        other = Filed(filed.outcome, "", new.id, new.reference)
    assert desk.show(other)["messages"][0]["body_text"]


def test_links_are_agreed_to_or_not(desk: Desk) -> None:
    first, second = desk.opened(), desk.opened()
    a, b = first.case_id or "", second.case_id or ""
    refused(desk, LinkCases(a, AMINA, b, agreed=False))
    done(desk, LinkCases(a, AMINA, b))
    assert [(link["case"], link["state"], link["why"]) for link in desk.show(first)["links"]] == [
        (second.reference, "confirmed", "officer")
    ]
    done(desk, LinkCases(b, AMINA, a, agreed=False))
    assert desk.show(first)["links"][0]["state"] == "rejected"


def test_a_corrected_receipt_moves_its_clocks_and_says_so(desk: Desk) -> None:
    filed = desk.opened()
    case_id = filed.case_id or ""
    earlier = FRIDAY_1640 - timedelta(days=1)
    refused(desk, CorrectReceipt(case_id, AMINA, earlier, ""))
    done(desk, CorrectReceipt(case_id, AMINA, earlier, "They telephoned on Thursday."), now=FRIDAY_1640)
    case = desk.show(filed)
    triage = target(case, "triage")
    assert datetime.fromisoformat(triage["started_at"]) == earlier == datetime.fromisoformat(case["received_at"])
    assert datetime.fromisoformat(triage["due_at"]) == FRIDAY_1640
    entry = next(one for one in case["audit"] if one["act"] == "receipt_corrected")
    assert entry["detail"]["from"].startswith("2026-11-27")
    waiting = [r for r in case["reminders"] if r["state"] == "waiting"]
    assert waiting
    assert all(datetime.fromisoformat(r["due_at"]) <= FRIDAY_1640 + timedelta(hours=1) for r in waiting)


@pytest.mark.parametrize("act", [Note, Escalate, Split, Restrict])
def test_nothing_is_added_to_a_purged_case(desk: Desk, act: Any) -> None:
    _, case_id = referred(desk)
    with desk.database.write() as session:
        case = session.get(Case, case_id)
        assert case is not None
        retention.destroy(session, desk.practice, case, retention.Why.EARLY, by=AMINA, now=MONDAY)
    made = {
        Note: Note(case_id, AMINA, WORDS),
        Escalate: Escalate(case_id, AMINA, Escalation.OTHER, WORDS),
        Split: Split(case_id, AMINA, WORDS),
        Restrict: Restrict(case_id, AMINA, (), WORDS),
    }[act]
    assert "purged" in refused(desk, made)


def test_who_is_asked_owes_an_answer_and_the_question_is_no_advice(desk: Desk) -> None:
    filed = desk.opened()
    due = MONDAY + timedelta(days=2)
    done(desk, Advise(filed.case_id or "", AMINA, "dsl@school.example", "none", "Where does he work?", asks_by=due))
    case = desk.show(filed)
    (action,) = case["actions"]
    assert (action["owner"], action["chased"], action["asked_in"]) == ("referrer", True, case["messages"][-1]["id"])
    assert datetime.fromisoformat(action["due_at"]) == due
    assert [letter.kind for letter in desk.letters()].count(Kind.ADVICE) == 1


def test_a_conclusion_out_of_a_pause_counts_what_stood_still(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, PauseCase(case_id, AMINA, PauseReason.POLICE, "They asked us to wait."))
    later = MONDAY + timedelta(days=90)
    done(desk, Conclude(case_id, AMINA, CaseOutcome.UNFOUNDED, "Over."), now=later)
    case = desk.show(filed)
    assert target(case, "one_month")["state"] == "met"
    assert case["pauses"][0]["ended_at"] is not None


def test_opening_again_brings_back_only_what_the_conclusion_ended(desk: Desk) -> None:
    filed, case_id = referred(desk)
    done(desk, Reopen(case_id, AMINA, "Below the threshold after all."))
    done(desk, consultation(case_id))
    done(desk, Conclude(case_id, AMINA, None, "Over."))
    done(desk, Reopen(case_id, AMINA, "They rang again."))
    assert target(desk.show(filed), "one_month")["state"] == "cancelled", "it is no referral any more"


def test_what_was_set_aside_or_merged_is_destroyed_in_its_time(desk: Desk) -> None:
    first, second, aside = desk.opened(), desk.opened(), desk.opened()
    done(desk, Merge(second.case_id or "", AMINA, first.case_id or "", "The same matter."))
    done(desk, NotAConsultation(aside.case_id or "", AMINA, SetAside.TEST))
    done(desk, consultation(first.case_id or ""))
    done(desk, Conclude(first.case_id or "", AMINA, None, "Over."))
    review = MONDAY + timedelta(days=366 * 7)
    with desk.database.write() as session:
        assert isinstance(
            retention.purge(session, desk.practice, second.case_id or "", by=AMINA, reason=None, now=review), Refused
        )
        due = {one.reference for one in retention.due_for_review(session, now=review)}
        assert due == {first.reference, aside.reference}
        retention.purge_due(session, desk.practice, now=review, by=AMINA)
    for filed in (first, second, aside):
        assert desk.show(filed)["purged_at"] is not None


def test_mail_for_a_case_at_the_end_of_a_chain_of_merges_comes_to_the_last(desk: Desk) -> None:
    cases = [
        desk.opened(sender=f"{name}@school.example", message_id=f"<{name}@school.example>") for name in ("a", "b", "c")
    ]
    ids = [filed.case_id or "" for filed in cases]
    done(desk, Merge(ids[0], AMINA, ids[1], "The same."))
    done(desk, Merge(ids[1], AMINA, ids[2], "The same."))
    answer = desk.file(desk.incoming(sender="a@school.example", in_reply_to=("<a@school.example>",)))
    assert answer.case_id == ids[2]


def test_a_receipt_is_not_moved_behind_its_decision(desk: Desk) -> None:
    _, case_id = referred(desk)
    said = refused(
        desk, CorrectReceipt(case_id, AMINA, MONDAY + timedelta(hours=1), "x"), now=MONDAY + timedelta(hours=2)
    )
    assert "decided before" in said


def test_a_desk_that_writes_no_content_in_slack_says_how_else_to_answer(desk: Desk) -> None:
    desk.practice = replace(desk.practice, answers_in_slack=False)
    incoming = replace(desk.incoming(sender="slack:T1/U9"), channel="slack", asker=Actor("slack", "T1/U9"))
    case_id = desk.file(incoming).case_id or ""
    assert "use advise" in refused(desk, Reply(case_id, AMINA, WORDS))
    assert desk.count(Outgoing, Outgoing.kind == Kind.DIRECT) == 1


def test_what_was_said_in_slack_is_destroyed_with_its_case(desk: Desk) -> None:
    incoming = replace(desk.incoming(sender="slack:T1/U9"), channel="slack", asker=Actor("slack", "T1/U9"))
    filed = desk.file(incoming)
    case_id = filed.case_id or ""
    done(desk, Reply(case_id, AMINA, WORDS))
    assert desk.count(Outgoing, Outgoing.kind == Kind.DIRECT) == 2
    with desk.database.write() as session:
        case = session.get(Case, case_id)
        assert case is not None
        retention.destroy(session, desk.practice, case, retention.Why.EARLY, by=AMINA, now=MONDAY)
    shredding.finish(desk.database, desk.practice.vault.keys, now=MONDAY)
    with desk.database.read() as session:
        assert not list(faults(session, desk.practice.vault))
    assert desk.count(Outgoing, Outgoing.kind == Kind.DIRECT, Outgoing.state == "waiting") == 0
