"""Who does what, with the whole service and real slack-bolt: the rota, whom a card calls upon, Home, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import House, mail, wait_until
from acceptance.test_slack_service import cards, wait_for_card
from fakes.fake_slack import ALEX, BOT_USER, DUTY, GUEST, SAM, VISITOR
from fakes.slack_process import SlackProcess

CANARY = "zylophantine marmalade"
BOSS = "U0BOSS1"
EVERY_DAY = {f"rota_{day}": f"{ALEX}" for day in "monday tuesday wednesday thursday friday saturday sunday".split()}


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        process.do("add_user", user=BOSS)
        yield process


@pytest.fixture
def house(slack: SlackProcess, tmp_path: Path) -> House:
    return House(
        tmp_path,
        slack_officers=f"{ALEX},{SAM}",
        slack_managers=BOSS,
        triage_enabled="false",
        # Duty days are then calendar days, at whatever hour the tests run.
        rota_handover="00:00",
        routing_rules=f"Education: {SAM}",
        senior_managers_escalated=f"{BOSS},head@elmshire.example",
        **EVERY_DAY,
        **slack.settings,
    )


def direct(slack: SlackProcess, user: str) -> list[dict[str, Any]]:
    channel = slack.do("channel_of", user=user)
    return [one for one in slack.do("messages", channel=channel) if one["user"] == BOT_USER] if channel else []


def at_home(slack: SlackProcess, user: str) -> dict[str, Any]:
    slack.do("event", event={"type": "app_home_opened", "user": user, "tab": "home"})
    wait_until(lambda: user in slack.do("homes"))
    return dict(slack.do("homes")[user])


def modal(slack: SlackProcess, user: str) -> dict[str, Any]:
    wait_until(lambda: slack.do("open_views", user=user))
    return dict(slack.do("open_views", user=user)[-1])


def test_a_card_calls_upon_who_is_on_duty_and_whom_it_is_for_until_it_is_claimed_from_home(
    slack: SlackProcess, house: House
) -> None:
    service = house.serve().ready()
    service.send(mail(f"A coach shouted. {CANARY}", sender="dsl@brook.sch.uk"))
    card = wait_for_card(slack, service)
    assert f"*For:* <@{SAM}>" in json.dumps(card)
    assert f"*On duty:* <@{ALEX}>" in json.dumps(card)
    assert f"On duty: <@{ALEX}>" in card["text"], "the notification calls too"
    (case,) = house.json("cases")
    assert (case["officer"], case["status"]) == (None, "new"), "nothing is claimed by it"

    shown = at_home(slack, ALEX)
    assert f"*On duty:* <@{ALEX}>" in json.dumps(shown)
    slack.do("press", user=ALEX, action_id="home_filter", view_id=shown["id"], option="unclaimed")
    wait_until(lambda: "unclaimed" in slack.do("homes")[ALEX]["private_metadata"])
    shown = slack.do("homes")[ALEX]
    assert slack.do("press", user=ALEX, action_id="claim", view_id=shown["id"])["acked"]
    # Home is shown anew by itself, in the list that was chosen: there is nothing in it any more.
    wait_until(lambda: case["case"] not in json.dumps(slack.do("homes")[ALEX]))
    assert json.loads(slack.do("homes")[ALEX]["private_metadata"])["which"] == "unclaimed"
    service.settle()
    (card,) = cards(slack)
    assert "On duty" not in json.dumps(card)
    assert f"<@{ALEX}>" in json.dumps(card)

    # Escalated: the named seniors hear that there is something, by Slack and by mail, and no more.
    before = len(house.letters())
    house.run_here("escalate", case["case"], "--why", "complex", "--note", f"Because of {CANARY}.", "--by", "Amina")
    wait_until(lambda: direct(slack, BOSS) and len(house.letters()) > before)
    (told,) = direct(slack, BOSS)
    assert f"{case['case']} was escalated to a senior manager (complex)" in json.dumps(told)
    assert case["case"] not in told["text"]
    letter = house.letters()[-1].decode()
    assert "head@elmshire.example" in letter
    assert "complex" in letter
    assert CANARY not in letter + json.dumps(told)
    assert "hold" in house.run_here("verify")
    service.stop()


def test_the_rota_is_seen_and_changed_in_slack_and_is_the_terminals_too(slack: SlackProcess, house: House) -> None:
    service = house.serve().ready()
    slack.do("wait_connected")
    slack.do("slash", user=ALEX, command="/lado", text="rota")
    wait_until(lambda: slack.do("ephemerals", user=ALEX))
    assert f"<@{ALEX}>" in json.dumps(slack.do("ephemerals", user=ALEX)[-1])
    slack.do("slash", user=ALEX, command="/lado", text="rota away")
    form = modal(slack, ALEX)
    answer = slack.do("submit_view", user=ALEX, view_id=form["id"], values={"person": VISITOR})
    assert "not on the rota" in answer["response"]["errors"]["person"]
    answer = slack.do("submit_view", user=ALEX, view_id=form["id"], values={"cover": VISITOR})
    assert "own people" in answer["response"]["errors"]["cover"]
    for _ in range(2):
        answer = slack.do("submit_view", user=ALEX, view_id=form["id"], values={"cover": SAM})
        assert answer["response"]["response_action"] == "update"
        shown = json.dumps(slack.do("open_views", user=ALEX)[-1])
        assert f"<@{SAM}> (<@{ALEX}> away, <@{SAM}> covers)" in shown
        slack.do("slash", user=ALEX, command="/lado", text="rota away")
        form = modal(slack, ALEX)
    today = house.json("rota", "--days", "1")[0]
    assert today["on_duty"] == [f"slack:T0TEAM/{SAM}"]
    service.send(mail("A coach shouted."))
    assert f"*On duty:* <@{SAM}>" in json.dumps(wait_for_card(slack, service))
    house.run_here("rota", "--back", ALEX, "--by", "Amina")
    assert house.json("rota", "--days", "1")[0]["on_duty"] == [f"slack:{ALEX}"]
    slack.do("slash", user=VISITOR, command="/lado", text="rota")
    wait_until(lambda: slack.do("ephemerals", user=VISITOR))
    assert "only the duty officers" in json.dumps(slack.do("ephemerals", user=VISITOR))
    service.stop()


def test_a_refusal_and_an_answer_reach_whoever_is_in_no_channel_with_the_app(slack: SlackProcess, house: House) -> None:
    """A manager looks in from Home alone; a guest presses a button that was forwarded to another channel."""
    service = house.serve().ready()
    service.send(mail("A coach shouted."))
    wait_for_card(slack, service)
    shown = at_home(slack, BOSS)
    slack.do("fail_next", method="views.open", kind="expired_trigger_id")
    slack.do("press", user=BOSS, action_id="view", view_id=shown["id"])
    wait_until(lambda: direct(slack, BOSS))
    assert "press again" in direct(slack, BOSS)[-1]["text"]
    # Two claim it at once: the one who came too late is told, wherever they are.
    slack.do("press", user=ALEX, action_id="claim")
    slack.do("press", user=BOSS, action_id="claim", view_id=shown["id"])
    wait_until(lambda: any("with another officer" in one["text"] for one in direct(slack, BOSS)))

    slack.do("add_channel", channel="C0ELSE", name="elsewhere", members=[GUEST])
    slack.do("slash", user=GUEST, command="/lado", text="queue", channel="C0ELSE")
    slack.do("press", user=GUEST, action_id="view")
    wait_until(lambda: len(slack.do("ephemerals", user=GUEST)) == 2)
    assert {one["channel"] for one in slack.do("ephemerals", user=GUEST)} == {"C0ELSE", DUTY}
    assert all("only the duty officers" in json.dumps(one) for one in slack.do("ephemerals", user=GUEST))
    with house.inside() as (_, session):
        from sqlmodel import select

        from storage.tables import AuditEntry

        refused = session.exec(select(AuditEntry).where(AuditEntry.act == "refused")).all()
        assert [(one.actor, one.code) for one in refused] == [
            (f"slack:T0TEAM/{GUEST}", "queue"),
            (f"slack:T0TEAM/{GUEST}", "view"),
        ]
    service.stop()
