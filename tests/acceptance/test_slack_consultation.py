"""Consulting by Slack, with the whole service: the form becomes a case, acknowledged and gone on with there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import House, mail, wait_until
from acceptance.test_slack_service import cards, house_with
from fakes.fake_slack import ALEX, BOT_USER, VISITOR
from fakes.slack_process import SlackProcess

CANARY = "zylophantine marmalade"
TOLD = {
    "what_happened": f"A coach pulled a girl (9) out of the water by her arm. {CANARY}.",
    "adult": "Daniel Hartwell",
    "telephone": "01632 960 222",
}


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


@pytest.fixture
def house(slack: SlackProcess, tmp_path: Path) -> House:
    return house_with(slack, tmp_path, triage_enabled="false")


def direct(slack: SlackProcess, user: str) -> list[dict[str, Any]]:
    channel = slack.do("channel_of", user=user)
    return [one for one in slack.do("messages", channel=channel) if one["user"] == BOT_USER] if channel else []


def form_of(slack: SlackProcess, user: str) -> dict[str, Any]:
    wait_until(lambda: slack.do("open_views", user=user))
    return dict(slack.do("open_views", user=user)[-1])


def test_a_colleague_consults_and_goes_on_in_the_conversation(slack: SlackProcess, house: House) -> None:
    service = house.serve().ready()
    slack.do("wait_connected")
    slack.do("slash", user=VISITOR, command="/lado", text="new")
    form = form_of(slack, VISITOR)
    assert slack.do("submit_view", user=VISITOR, view_id=form["id"], values=TOLD)["response"] == {}
    wait_until(lambda: direct(slack, VISITOR))
    service.settle()
    (case,) = house.json("cases")
    assert (case["channel"], case["status"]) == ("slack", "new")
    (acknowledged,) = direct(slack, VISITOR)
    assert case["case"] in json.dumps(acknowledged)
    assert "999" in json.dumps(acknowledged)
    for private in (CANARY, "Hartwell"):
        assert private not in json.dumps(acknowledged)
        assert private not in json.dumps(cards(slack))
    assert case["case"] not in acknowledged["text"], "a notification says that something came and no more"

    channel = slack.do("channel_of", user=VISITOR)
    slack.do("message", user=VISITOR, channel=channel, text=f"The mother rang. {CANARY}")
    slack.do("message", user=VISITOR, channel=channel, text="And the club.", thread_ts=acknowledged["ts"])
    wait_until(
        lambda: len([m for m in house.json("messages") if m["case"] == case["case"] and m["direction"] == "in"]) == 3
    )

    card = cards(slack)[-1]
    slack.do("press", user=ALEX, action_id="more", message_ts=card["ts"], option=f"reply:{case['id']}")
    form = form_of(slack, ALEX)
    slack.do(
        "submit_view", user=ALEX, view_id=form["id"], values={"words": "Keep her away from the pool until we ring."}
    )
    wait_until(lambda: any("until we ring" in json.dumps(one) for one in direct(slack, VISITOR)))
    service.settle()
    shown = house.show(case["case"])
    acts = [entry["act"] for entry in shown["audit"]]
    assert acts.count("message_joined") == 2
    assert {"acknowledged", "replied", "reply_sent"} <= set(acts)
    assert "hold" in house.run_here("verify")
    assert CANARY not in service.stop()


def test_what_is_written_to_the_service_out_of_the_blue_is_a_consultation_too(
    slack: SlackProcess, house: House
) -> None:
    service = house.serve().ready()
    slack.do("wait_connected")
    slack.do("add_channel", channel=f"D{VISITOR[1:]}", name="", members=[VISITOR, BOT_USER], is_im=True)
    slack.do("message", user=VISITOR, channel=f"D{VISITOR[1:]}", text="A foster carer shouted at a boy of ten.")
    wait_until(lambda: house.json("cases"))
    service.settle()
    (case,) = house.json("cases")
    assert case["channel"] == "slack"
    assert any(case["case"] in json.dumps(one) for one in direct(slack, VISITOR))
    said = {"type": "message", "subtype": "file_share", "channel_type": "im", "user": VISITOR, "text": "", "ts": "99.1"}
    slack.do("event", event=said | {"channel": f"D{VISITOR[1:]}", "files": [{"id": "F1"}]})
    wait_until(lambda: any("1 attached in Slack" in str(one["body_text"]) for one in house.json("messages")))
    service.stop()


def test_a_form_that_says_nothing_is_told_so_at_its_field(slack: SlackProcess, house: House) -> None:
    service = house.serve().ready()
    slack.do("wait_connected")
    slack.do("shortcut", user=VISITOR, callback_id="consult")
    form = form_of(slack, VISITOR)
    answer = slack.do("submit_view", user=VISITOR, view_id=form["id"], values={"what_happened": "  "})
    assert list(answer["response"]["errors"]) == ["what_happened"]
    assert house.json("cases") == []
    service.stop()


def test_home_and_the_commands_show_what_waits_to_officers_alone(slack: SlackProcess, house: House) -> None:
    service = house.serve().ready()
    slack.do("wait_connected")
    service.send(mail(f"A coach shouted at a boy. {CANARY}"))
    wait_until(lambda: len(cards(slack)) == 1)
    service.settle()
    (case,) = house.json("cases")
    for user in (ALEX, VISITOR):
        slack.do("event", event={"type": "app_home_opened", "user": user, "tab": "home"})
    wait_until(lambda: set(slack.do("homes")) == {ALEX, VISITOR})
    homes = slack.do("homes")
    assert case["case"] in json.dumps(homes[ALEX])
    assert case["case"] not in json.dumps(homes[VISITOR])
    assert CANARY not in json.dumps(homes)

    for text in (
        "queue",
        "due",
        "mine",
        "report",
        "help",
        f"show {case['case']}",
        f"search {CANARY.split(maxsplit=1)[0]}",
    ):
        assert slack.do("slash", user=ALEX, command="/lado", text=text)["acked"]
    wait_until(lambda: len(slack.do("ephemerals", user=ALEX)) >= 6 and slack.do("open_views", user=ALEX))
    answers = json.dumps(slack.do("ephemerals", user=ALEX))
    assert answers.count(case["case"]) >= 2
    assert CANARY in json.dumps(slack.do("open_views", user=ALEX))
    slack.do("slash", user=VISITOR, command="/lado", text="queue")
    wait_until(lambda: slack.do("ephemerals", user=VISITOR))
    assert "only the duty officers" in json.dumps(slack.do("ephemerals", user=VISITOR))
    service.stop()
