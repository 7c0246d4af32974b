"""What of ours does not stay in Slack, and what the thread of a card tells, with the whole service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import House, Service, mail, wait_until
from acceptance.test_slack_consultation import TOLD, direct, form_of
from acceptance.test_slack_service import cards, house_with
from fakes.fake_slack import ALEX, DUTY, SAM, VISITOR
from fakes.slack_process import SlackProcess

CANARY = "zylophantine marmalade"
ANSWER = f"Keep her away from the pool until we ring. {CANARY}"


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


@pytest.fixture
def house(slack: SlackProcess, tmp_path: Path) -> House:
    return house_with(slack, tmp_path, triage_enabled="false")


def started(house: House, slack: SlackProcess) -> Service:
    service = house.serve().ready()
    slack.do("wait_connected")
    return service


def filled_in(slack: SlackProcess, case: dict[str, Any], form: str, values: dict[str, Any], user: str = ALEX) -> None:
    """A form of the newest card, sent."""
    slack.do("press", user=user, action_id="more", message_ts=cards(slack)[-1]["ts"], option=f"{form}:{case['id']}")
    view = form_of(slack, user)
    done = slack.do("submit_view", user=user, view_id=view["id"], values=values)
    assert done["response"] == {}, done["response"]


def thread(slack: SlackProcess) -> list[str]:
    """What the thread of the newest card says, a post each."""
    at = cards(slack)[-1]["ts"]
    return [one["text"] for one in slack.do("messages", channel=DUTY) if one.get("thread_ts") == at]


def answered(slack: SlackProcess, house: House, service: Service) -> dict[str, Any]:
    """The case of a colleague who consulted in Slack and had an answer there."""
    slack.do("slash", user=VISITOR, command="/lado", text="new")
    slack.do("submit_view", user=VISITOR, view_id=form_of(slack, VISITOR)["id"], values=TOLD)
    wait_until(lambda: direct(slack, VISITOR) and cards(slack))
    service.settle()
    (case,) = house.json("cases")
    filled_in(slack, case, "reply", {"words": ANSWER})
    wait_until(lambda: len(direct(slack, VISITOR)) == 2)
    service.settle()
    return dict(case)


def test_an_answer_goes_from_slack_when_the_case_closes(slack: SlackProcess, house: House) -> None:
    service = started(house, slack)
    case = answered(slack, house, service)
    decision = ("--decision", "consultation", "--category", "conduct", "--reason", "Advice was given.", "--by", "Amina")
    house.run_here("decide", case["case"], *decision)
    # One fault of Slack's, and it is tried again.
    slack.do("fail_next", method="chat.delete", kind="500")
    house.run_here("conclude", case["case"], "--note", "Over.", "--by", "Amina")
    wait_until(lambda: len(direct(slack, VISITOR)) == 1)
    service.settle()
    (left,) = direct(slack, VISITOR)
    assert CANARY not in json.dumps(left), "what was said without content stays"
    assert len(slack.do("called", method="chat.delete")) == 2
    shown = house.show(case["case"])
    assert [entry["code"] for entry in shown["audit"] if entry["act"] == "erased"] == ["answer"]
    assert CANARY in json.dumps(shown["messages"]), "the record keeps what was said"
    said = "\n".join(thread(slack))
    for event in ("sent the answer in Slack", "decided: consultation", "concluded the case"):
        assert said.count(event) == 1
    assert CANARY not in said
    assert "Amina" not in said
    service.stop()


def test_what_somebody_deleted_already_is_as_good_as_taken_back(slack: SlackProcess, house: House) -> None:
    service = started(house, slack)
    case = answered(slack, house, service)
    slack.do("fail_next", method="chat.delete", kind="message_not_found")
    filled_in(slack, case, "not_a_consultation", {"why": "misdirected"})
    wait_until(lambda: slack.do("called", method="chat.delete"))
    service.settle()
    assert house.json("parked") == []
    assert "erased" in [entry["act"] for entry in house.show(case["case"])["audit"]]
    service.stop()


def test_a_case_that_becomes_restricted_leaves_the_channel(slack: SlackProcess, house: House) -> None:
    service = started(house, slack)
    service.send(mail(f"A coach of Brookfield Primary School grabbed a boy. {CANARY}"))
    wait_until(lambda: len(cards(slack)) == 1)
    service.settle()
    (case,) = house.json("cases")
    slack.do("press", user=ALEX, action_id="claim", message_ts=cards(slack)[-1]["ts"])
    wait_until(lambda: any("took the case" in said for said in thread(slack)))
    filled_in(slack, case, "restrict", {"to": [SAM], "reason": "A colleague of ours."})
    wait_until(lambda: thread(slack) == [])
    service.settle()
    (card,) = cards(slack)
    assert case["case"] in card["text"]
    assert "restricted" in card["text"]
    for gone in (ALEX, "Received", "hysical", "Claimed", "due"):
        assert gone not in json.dumps([card["blocks"], card["text"]])
    # Those named go on; to another there is no such case, whatever they press.
    slack.do("press", user=SAM, action_id="view", message_ts=card["ts"])
    wait_until(lambda: slack.do("open_views", user=SAM))
    house.run_here("note", case["case"], "--text", "x", "--by", "Ben", expect=1)
    # Nor in a word search, for whoever is not named: in Slack, or at the terminal.
    assert case["case"] not in house.run_here("search", CANARY.split(maxsplit=1)[0])
    slack.do("slash", user=ALEX, command="/lado", text=f"search {CANARY.split(maxsplit=1)[0]}")
    wait_until(lambda: case["case"] in json.dumps(slack.do("ephemerals", user=ALEX)))
    # A new message on it: the channel hears that there is something, those named hear what.
    answer = mail(f"He did it again, in front of the class. {CANARY} twice", subject="Again")
    service.send(answer, to=(house.show(case["case"])["reply_address"],))
    wait_until(lambda: direct(slack, SAM) and direct(slack, ALEX))
    service.settle()
    (told,) = direct(slack, SAM)
    assert "of a message has come" in json.dumps(told)
    assert CANARY not in json.dumps(told)
    (notice,) = [one for one in slack.do("messages", channel=DUTY) if "those named on it" in one["text"]]
    assert ALEX not in json.dumps(notice)
    assert thread(slack) == []
    service.stop()
