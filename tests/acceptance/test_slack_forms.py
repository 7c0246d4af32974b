"""Every act's form, through real slack-bolt on a real socket: offered where it fits, filled in, kept as the act it says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from acceptance.slack_desk import Work, at_work, until
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, SAM, VISITOR, FakeSlack
from intake_bot.casework import acts
from intake_bot.casework.acts import Act
from intake_bot.casework.desk import Actor, CaseCard, DueTime
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    ClockEnd,
    DeadlineState,
    EmployerAction,
    Escalation,
    MeetingKind,
    Owner,
    PauseReason,
    RegulatorBody,
    SetAside,
    SignOff,
    Source,
    Status,
    StrandKind,
)
from intake_bot.slack.act_forms import BY_NAME, FORMS
from intake_bot.slack.acts import interpret
from triage.vocabulary import Threshold

ME = Actor("slack", f"T0TEAM/{ALEX}")
SAMS = Actor("slack", f"T0TEAM/{SAM}")
NOON = {"day": "2026-11-27", "hour": "12:30"}
AT_NOON = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
DECIDED = {"status": Status.DECIDED}
C = cases.CASE


def card(**changes: Any) -> CaseCard:
    return replace(cases.card(), threshold=Threshold.MEETS, suggestion_version="v9", **changes)


FILLED: dict[str, tuple[CaseCard, dict[str, Any], Act]] = {
    "accept": (card(), {}, acts.Accept(C, ME, "v9")),
    "sign_off": (
        card(status=Status.DECIDED, sign_off=SignOff.PENDING),
        {"agreed": "no", "note": "See the second line."},
        acts.GiveSignOff(C, ME, False, "See the second line."),
    ),
    "hand_over": (card(), {"to": SAM, "note": "You know them."}, acts.HandOver(C, ME, SAMS, "You know them.")),
    "release": (card(officer=ME, status=Status.CLAIMED), {}, acts.Release(C, ME)),
    "ask": (
        card(),
        {"to": "k1", "words": "Where?", "due": NOON["day"], "due_time": NOON["hour"]},
        acts.Advise(C, ME, "dsl@school.example", "none", "Where?", asks_by=AT_NOON),
    ),
    "advise": (
        card(),
        {"to": "k1", "words": "Wait for us.", "original": ["yes"]},
        acts.Advise(C, ME, "dsl@school.example", "none", "Wait for us.", True),
    ),
    "reply": (card(channel="slack"), {"words": "Wait for us."}, acts.Reply(C, ME, "Wait for us.")),
    "note": (card(), {"words": "Telephoned."}, acts.Note(C, ME, "Telephoned.")),
    "meeting": (
        card(**DECIDED),
        {"kind": "reconvened", "held": NOON["day"], "held_time": NOON["hour"]},
        acts.RecordMeeting(C, ME, MeetingKind.RECONVENED, AT_NOON),
    ),
    "action": (
        card(**DECIDED),
        {"owner": "police", "words": "Tell us.", "due": NOON["day"], "due_time": NOON["hour"], "to": "k1"},
        acts.RecordAction(C, ME, Owner.POLICE, AT_NOON, "Tell us.", "dsl@school.example"),
    ),
    "close_action": (card(**DECIDED), {"action": "A1", "done": "no"}, acts.CloseAction(C, ME, "A1", False)),
    "strand": (card(), {"strand": "police", "state": "open"}, acts.SetStrand(C, ME, StrandKind.POLICE, True)),
    "regulator": (
        card(),
        {"body": "dbs", "told": NOON["day"], "told_time": NOON["hour"]},
        acts.TellRegulator(C, ME, RegulatorBody.DBS, AT_NOON),
    ),
    "adult": (
        card(),
        {"name": "Tom Hale", "role": "A coach."},
        acts.NameAdult(C, ME, "Tom Hale", "A coach."),
    ),
    "facts": (
        card(),
        {"organisation": "Brookfield", "source": "employer", "themes": "online,CSE", "employer_knew": "27/11/2026"},
        acts.SetFacts(C, ME, "Brookfield", None, None, Source.EMPLOYER, ("online", "CSE"), "27/11/2026"),
    ),
    "correct_receipt": (
        card(),
        {"received": NOON["day"], "received_time": NOON["hour"], "reason": "They telephoned."},
        acts.CorrectReceipt(C, ME, AT_NOON, "They telephoned."),
    ),
    "end_clock": (
        card(**DECIDED, due=(DueTime("panel", AT_NOON, DeadlineState.RUNNING),)),
        {"target": "panel", "why": "no_clock", "note": "No panel."},
        acts.EndClock(C, ME, "panel", ClockEnd.NO_CLOCK, "No panel."),
    ),
    "pause": (
        card(**DECIDED),
        {"why": "cps", "note": "A charge."},
        acts.PauseCase(C, ME, PauseReason.CPS, "A charge."),
    ),
    "resume": (card(status=Status.PAUSED), {}, acts.ResumeCase(C, ME)),
    "transfer": (
        card(),
        {"authority": "Northshire", "reason": "Theirs."},
        acts.Transfer(C, ME, "Northshire", "Theirs."),
    ),
    "escalate": (card(), {"why": "media", "note": "A call."}, acts.Escalate(C, ME, Escalation.MEDIA, "A call.")),
    "restrict": (card(), {"to": [SAM], "reason": "A colleague."}, acts.Restrict(C, ME, (SAMS,), "A colleague.")),
    "unrestrict": (card(restricted=True), {"reason": "Known."}, acts.Restrict(C, ME, (), "Known.", True)),
    "link": (card(), {"other": "LADO-26-OTHER2", "agreed": "no"}, acts.LinkCases(C, ME, "C2", False)),
    "merge": (card(), {"other": "LADO-26-OTHER2", "reason": "The same."}, acts.Merge(C, ME, "C2", "The same.")),
    "split": (card(), {"reason": "A volunteer."}, acts.Split(C, ME, "A volunteer.")),
    "conclude": (
        card(**DECIDED),
        {"outcome": "false", "employer_action": "training", "note": "Over."},
        acts.Conclude(C, ME, CaseOutcome.FALSE, "Over.", False, EmployerAction.TRAINING),
    ),
    "not_a_consultation": (card(), {"why": "misdirected"}, acts.NotAConsultation(C, ME, SetAside.MISDIRECTED)),
    "reopen": (card(status=Status.CONCLUDED), {"reason": "More came."}, acts.Reopen(C, ME, "More came.")),
}


async def opened(work: Work, name: str, case: CaseCard, user: str = ALEX) -> dict[str, Any]:
    work.casework.cards[C] = case
    posted = await work.desk.post_card(case, f"P-{name}", look_first=False)
    await work.slack.press(user, "more", message_ts=posted.ts, option=f"{name}:{C}")
    await until(lambda: work.slack.open_views(user))
    return work.slack.open_views(user)[-1]


def test_no_form_is_left_out_here() -> None:
    assert set(FILLED) == set(BY_NAME)


@pytest.mark.parametrize("name", FILLED)
def test_a_form_becomes_the_act_that_it_says(name: str) -> None:
    case, values, act = FILLED[name]

    async def story() -> None:
        async with FakeSlack() as slack, at_work(slack) as work:
            work.casework.called["LADO-26-OTHER2"] = "C2"
            view = await opened(work, name, case)
            delivery = await slack.submit_view(ALEX, view["id"], values)
            assert delivery.response == {}, delivery.response
            assert [interpret(payload) for payload in work.casework.payloads] == [act]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "values", "field"),
    [
        ("link", {"other": "LADO-26-NONE22", "agreed": "yes"}, "other"),
        ("hand_over", {"to": VISITOR}, "to"),
        ("restrict", {"to": [VISITOR], "reason": "x"}, "to"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name: str, values: dict[str, Any], field: str) -> None:
    async def story() -> None:
        async with FakeSlack() as slack, at_work(slack) as work:
            view = await opened(work, name, FILLED[name][0])
            delivery = await slack.submit_view(ALEX, view["id"], values)
            assert list(delivery.response["errors"]) == [field]
            assert not work.casework.kept

    asyncio.run(story())


def test_the_menu_offers_what_fits_where_the_case_stands() -> None:
    def offered(case: CaseCard) -> set[str]:
        return {form.name for form in FORMS if form.offered(case)}

    assert {"accept", "not_a_consultation", "merge"} <= offered(card())
    assert not {"pause", "conclude", "reopen", "resume", "sign_off", "unrestrict"} & offered(card())
    assert {"pause", "conclude", "reopen"} <= offered(card(**DECIDED))
    assert not {"accept", "release", "merge"} & offered(card(**DECIDED))
    assert "accept" not in offered(replace(card(), threshold=Threshold.UNCLEAR))


def test_no_content_is_kept_in_a_form_but_what_the_officer_is_shown() -> None:
    async def story() -> None:
        async with FakeSlack() as slack, at_work(slack) as work:
            view = await opened(work, "advise", card())
            assert "dsl@school.example" not in view["private_metadata"]
            assert json.loads(view["private_metadata"])["given"] == {"k1": "none"}

    asyncio.run(story())


def test_a_group_of_slack_may_be_named_and_a_reader_changes_nothing() -> None:
    async def story() -> None:
        async with FakeSlack() as slack:
            slack.usergroups["S0READERS"] = {VISITOR}
            async with at_work(slack, readers=frozenset({"S0READERS"})) as work:
                case = card()
                work.casework.cards[C] = case
                posted = await work.desk.post_card(case, "P", look_first=False)
                await slack.press(VISITOR, "more", message_ts=posted.ts, option=f"note:{C}")
                await until(lambda: slack.ephemerals(VISITOR))
                assert not slack.open_views(VISITOR)
                await slack.press(VISITOR, "view", message_ts=posted.ts)
                await until(lambda: slack.open_views(VISITOR))

    asyncio.run(story())
