"""The Home tab after an act: shown anew by itself, with what was chosen on it, once the act is performed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import House, mail, wait_until
from acceptance.test_slack_consultation import TOLD, form_of
from acceptance.test_slack_rota import at_home
from acceptance.test_slack_service import cards, house_with, wait_for_card
from fakes.fake_slack import ALEX, SAM
from fakes.slack_process import SlackProcess

DECISION = {"decision": "consultation", "category": "conduct", "reason": "Advice is enough."}


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


@pytest.fixture
def house(slack: SlackProcess, tmp_path: Path) -> House:
    return house_with(slack, tmp_path, triage_enabled="false")


def home_of(slack: SlackProcess, user: str) -> dict[str, Any]:
    return dict(slack.do("homes")[user])


def test_home_is_shown_anew_after_what_is_done_in_a_modal_that_was_opened_there(
    slack: SlackProcess, house: House
) -> None:
    service = house.serve().ready()
    service.send(mail("A coach shouted."))
    card = wait_for_card(slack, service)
    (case,) = house.json("cases")
    shown = at_home(slack, ALEX)
    slack.do("press", user=ALEX, action_id="home_filter", view_id=shown["id"], option="unclaimed")
    wait_until(lambda: "unclaimed" in home_of(slack, ALEX)["private_metadata"])

    # Decided from Home, in the list that was chosen: there is nothing in it any more.
    slack.do("press", user=ALEX, action_id="decide", view_id=home_of(slack, ALEX)["id"])
    form = form_of(slack, ALEX)
    assert slack.do("submit_view", user=ALEX, view_id=form["id"], values=DECISION)["response"] == {}
    wait_until(lambda: case["case"] not in json.dumps(home_of(slack, ALEX)))
    assert json.loads(home_of(slack, ALEX)["private_metadata"])["which"] == "unclaimed"
    assert house.json("cases")[0]["status"] == "decided"

    # A consultation from Home: the new case is there.
    slack.do("press", user=ALEX, action_id="consult", view_id=home_of(slack, ALEX)["id"])
    assert slack.do("submit_view", user=ALEX, view_id=form_of(slack, ALEX)["id"], values=TOLD)["response"] == {}
    wait_until(lambda: len(house.json("cases")) == 2)
    new = house.json("cases")[-1]["case"]
    wait_until(lambda: new in json.dumps(home_of(slack, ALEX)))

    # What is done elsewhere shows nobody's Home anew: each look at it is for whoever asks.
    service.settle()
    before = len(slack.do("called", method="views.publish"))
    slack.do("press", user=SAM, action_id="more", message_ts=card["ts"], option=f"note:{case['id']}")
    slack.do("submit_view", user=SAM, view_id=form_of(slack, SAM)["id"], values={"words": "They rang."})
    wait_until(lambda: "noted" in [entry["act"] for entry in house.show(case["case"])["audit"]])
    service.settle()
    assert len(slack.do("called", method="views.publish")) == before
    assert len(cards(slack)) == 2
    service.stop()


def test_a_home_that_cannot_be_shown_takes_nothing_from_what_was_done(slack: SlackProcess, house: House) -> None:
    service = house.serve().ready()
    service.send(mail("A coach shouted."))
    wait_for_card(slack, service)
    shown = at_home(slack, ALEX)
    slack.do("fail_next", method="views.publish", kind="500")
    assert slack.do("press", user=ALEX, action_id="claim", view_id=shown["id"])["acked"]
    wait_until(lambda: house.json("cases")[0]["status"] == "claimed")
    wait_until(lambda: len(slack.do("called", method="views.publish")) == 2)
    service.settle()
    assert slack.do("ephemerals", user=ALEX) == []
    assert "a Home tab was not shown anew" in service.stop()
