"""The whole service with its desk in Slack: real mail in, real slack-bolt over a real socket, a fake Slack beyond it."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from acceptance.harness import House, Service, mail, wait_until
from conftest import often
from fakes.fake_slack import ALEX, DUTY, SAM, VISITOR, NotPossible
from fakes.slack_process import SlackProcess
from intake_bot.casework import views
from storage import audit
from storage.tables import Case

CANARY = "zylophantine marmalade"
ALLEGATION = f"""Our teaching assistant, Mr Daniel Hartwell, grabbed a pupil (Kieran, 6) by the arm on 26 November and there
is a bruise. {CANARY}. Joanne Farrier, DSL, Brookfield Primary School, 01632 960 114"""
REASONS = f"Force was used; {CANARY}."


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


def house_with(slack: SlackProcess, folder: Path, **settings: str) -> House:
    return House(folder, slack_officers=f"{ALEX},{SAM}", **slack.settings, **settings)


def cards(slack: SlackProcess, reference: str = "LADO-") -> list[dict[str, Any]]:
    """Messages in the duty channel with buttons, for one case or for any."""
    posted = slack.do("messages", channel=DUTY)
    return [m for m in posted if reference in json.dumps(m) and "actions" in {b["type"] for b in m.get("blocks", [])}]


def the_case(house: House) -> dict[str, Any]:
    with house.inside() as (opened, session):
        (case,) = session.exec(select(Case)).all()
        assert list(audit.broken_links(session)) == []
        return views.show_json(session, opened.practice, case)


def wait_for_card(slack: SlackProcess, service: Service) -> dict[str, Any]:
    wait_until(lambda: len(cards(slack)) >= 1)
    service.settle()
    (card,) = cards(slack)
    return card


def test_a_case_from_card_to_decision(slack: SlackProcess, tmp_path: Path) -> None:
    house = house_with(slack, tmp_path)
    service = house.serve().ready()
    assert service.send(mail(ALLEGATION))[0] == 250
    card = wait_for_card(slack, service)
    reference = the_case(house)["case"]
    assert reference in card["text"]

    pressed = slack.do("press", user=ALEX, action_id="view", message_ts=card["ts"])
    assert pressed["acked"]
    wait_until(lambda: len(slack.do("open_views", user=ALEX)) == 1)
    (modal,) = slack.do("open_views", user=ALEX)
    shown = json.dumps(modal)
    assert CANARY in shown
    assert "grabbed" in shown
    slack.do("close_view", user=ALEX, view_id=modal["id"])

    slack.do("press", user=VISITOR, action_id="view", message_ts=card["ts"])
    wait_until(lambda: len(slack.do("ephemerals", user=VISITOR)) == 1)
    assert slack.do("open_views", user=VISITOR) == []

    assert slack.do("press", user=ALEX, action_id="claim", message_ts=card["ts"])["acked"]
    wait_until(lambda: f"<@{ALEX}>" in json.dumps(cards(slack)))
    slack.do("press", user=SAM, action_id="decide", message_ts=card["ts"])
    wait_until(lambda: len(slack.do("open_views", user=SAM)) == 1)
    (form,) = slack.do("open_views", user=SAM)
    answers = {"decision": "referral", "category": "physical", "reason": REASONS}
    refused = slack.do("submit_view", user=SAM, view_id=form["id"], values=answers)
    assert refused["response"]["response_action"] == "errors"
    done = slack.do("submit_view", user=SAM, view_id=form["id"], values=answers | {"criteria": ["1", "3"]})
    assert done["acked"]
    wait_until(lambda: the_case(house)["status"] == "decided")
    service.settle()

    case = the_case(house)
    assert case["decision"]["by"] == f"slack:T0TEAM/{SAM}"
    assert case["decision"]["reason"] == REASONS
    referral = ("first_meeting", "one_month", "three_months", "twelve_months")
    assert {d["target"]: d["state"] for d in case["deadlines"]} == {"triage": "met"} | dict.fromkeys(
        referral, "running"
    )
    assert {(r["deadline"], r["state"]) for r in case["reminders"]} == {
        ("triage", "cancelled"),
        ("claim", "cancelled"),
        *((target, "waiting") for target in referral),
    }
    acts = [(entry["act"], entry["actor"]) for entry in case["audit"]]
    assert ("content_seen", f"slack:T0TEAM/{ALEX}") in acts
    assert ("claimed", f"slack:T0TEAM/{ALEX}") in acts
    (card,) = cards(slack)
    assert "Referral" in json.dumps(card)

    month = next(r for r in case["reminders"] if (r["deadline"], r["kind"]) == ("one_month", "before"))
    house.run_here("tick", "--now", month["due_at"])
    wait_until(lambda: any("month" in m["text"] and reference in m["text"] for m in slack.do("messages", channel=DUTY)))

    in_channel = json.dumps(slack.do("messages", channel=DUTY)) + json.dumps(slack.do("ephemerals", user=VISITOR))
    for private in (CANARY, "Hartwell", "Kieran", "Farrier", "Brookfield"):
        assert private not in in_channel
    printed = service.stop()
    assert CANARY not in printed
    assert "Hartwell" not in printed


@pytest.mark.parametrize(
    "step",
    often(
        [
            "storage.outbox:take:after",
            "intake_bot.slack.desk:SlackDesk.post_card:before",
            "intake_bot.slack.desk:SlackDesk.post_card:after",
            "intake_bot.delivery:DeliveryWorker._delivered:before:card",
            "intake_bot.delivery:DeliveryWorker._delivered:after:card",
        ],
        always={"intake_bot.slack.desk:SlackDesk.post_card:after"},
    ),
)
def test_a_kill_around_the_card_leaves_one_card(step: str, slack: SlackProcess, tmp_path: Path) -> None:
    house = house_with(slack, tmp_path, triage_enabled="false")
    dying = house.serve(kill_at=step).ready()
    assert dying.send(mail())[0] == 250
    dying.wait_for_death()
    service = house.serve().ready()
    wait_for_card(slack, service)
    service.stop()


@pytest.mark.parametrize(
    "step",
    often(
        [
            "storage.spool:accept:before",
            "storage.spool:accept:after",
            "storage.spool:take:after",
            "intake_bot.casework.officer:perform:before",
            "intake_bot.casework.officer:perform:after",
            "intake_bot.intake:IntakeWorker._act:after",
            "intake_bot.slack.desk:SlackDesk.update_card:after",
        ],
        always={"intake_bot.casework.officer:perform:after"},
    ),
)
def test_a_kill_around_the_button_press_leaves_one_act(step: str, slack: SlackProcess, tmp_path: Path) -> None:
    house = house_with(slack, tmp_path, triage_enabled="false")
    first = house.serve().ready()
    first.send(mail())
    card = wait_for_card(slack, first)
    first.stop()

    dying = house.serve(kill_at=step)
    dying.ready()
    slack.do("wait_connected")
    acked = slack.do("press", user=ALEX, action_id="claim", message_ts=card["ts"])["acked"]
    dying.wait_for_death()

    service = house.serve().ready()
    slack.do("wait_connected")
    if not acked:
        # The officer saw a warning sign and presses again, unless the kept press has already been dealt with.
        with contextlib.suppress(NotPossible):
            assert slack.do("press", user=ALEX, action_id="claim", message_ts=card["ts"])["acked"]
    wait_until(lambda: f"<@{ALEX}>" in json.dumps(cards(slack)))
    service.settle()
    service.stop()
    case = the_case(house)
    assert case["officer"] == f"slack:T0TEAM/{ALEX}"
    assert [entry["act"] for entry in case["audit"]].count("claimed") == 1
    assert len(cards(slack)) == 1


TROUBLES = ["429", "500", "drop_request", "drop_response", "empty"]


@pytest.mark.parametrize("trouble", often(TROUBLES, always={"429", "drop_response"}))
def test_trouble_at_slack_delays_the_card_and_doubles_nothing(
    trouble: str, slack: SlackProcess, tmp_path: Path
) -> None:
    house = house_with(slack, tmp_path, triage_enabled="false")
    service = house.serve().ready()
    slack.do("fail_next", method="chat.postMessage", kind=trouble, times=1)
    service.send(mail())
    wait_for_card(slack, service)
    assert len(slack.do("called", method="chat.postMessage")) >= 1
    service.stop()


def test_slack_being_down_stops_nothing_but_slack(tmp_path: Path) -> None:
    with SlackProcess() as gone:
        settings = gone.settings
    house = House(tmp_path, slack_officers=ALEX, triage_enabled="false", **settings)
    service = house.serve().ready()
    assert service.send(mail())[0] == 250
    wait_until(lambda: len(house.letters()) == 1)
    assert house.json("status")[0]["outbox"] == 1
    service.stop()


def test_a_question_is_chased_by_mail_the_morning_is_told_in_slack_and_an_answer_ends_it(
    slack: SlackProcess, tmp_path: Path
) -> None:
    house = house_with(slack, tmp_path, triage_enabled="false")
    service = house.serve().ready()
    assert service.send(mail(ALLEGATION))[0] == 250
    wait_for_card(slack, service)
    reference = the_case(house)["case"]
    house.run_here("ask", reference, "--yes", "--by", "Amina", stdin="Please send the tamarisk log.")
    service.settle()
    service.stop()

    def chasers() -> list[dict[str, Any]]:
        return [one for one in the_case(house)["reminders"] if one["deadline"] == "action"]

    first = datetime.fromisoformat(chasers()[0]["due_at"]) + timedelta(seconds=30)
    before = len(house.letters())
    house.run_here("tick", "--now", first.isoformat(), "--json")
    (raw,) = house.letters()[before:]
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert (letter["Auto-Submitted"], reference in letter["Subject"]) == ("auto-generated", True)
    assert (CANARY in raw.decode(), "tamarisk" in raw.decode()) == (False, False)
    (morning,) = [message for message in slack.do("messages", channel=DUTY) if "This morning:" in message["text"]]
    assert (reference in json.dumps(morning), CANARY in json.dumps(morning)) == (True, False)
    # As at the same time again: nothing.
    house.run_here("tick", "--now", first.isoformat(), "--json")
    assert len(house.letters()) == before + 1

    service = house.serve().ready()
    answer = mail(
        "Here it is.", message_id="<answer@brookfield.example>", headers={"In-Reply-To": letter["Message-ID"]}
    )
    assert service.send(answer)[0] == 250
    service.settle()
    assert "waiting" not in {one["state"] for one in chasers()}
    assert [one["cancelled_because"] for one in chasers()][-1] == "answered"
    service.stop()
