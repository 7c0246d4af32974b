"""``[slack] show_content = false``: a desk at which cases are seen and moved, and nothing about people goes to Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.harness import mail, wait_until
from acceptance.slack_desk import at_work, until
from acceptance.test_slack_service import cards, house_with
from acceptance.test_slack_threads import filled_in
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, BOT_USER, SAM, VISITOR, FakeSlack, NotPossible
from fakes.slack_process import SlackProcess
from intake_bot.slack.act_forms import BY_NAME, CONTENT_FREE

CANARY = "zylophantine marmalade"
ALLEGATION = f"""Mr Daniel Hartwell grabbed a pupil (Kieran, 6) by the arm and there is a bruise. {CANARY}.
Joanne Farrier, DSL, Brookfield Primary School, 01632 960 114"""
PRIVATE = (CANARY, "Hartwell", "Kieran", "Farrier", "Brookfield", "grabbed")
AT_THE_TERMINAL = "do it with intake-bot, at the terminal"


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


def test_a_planted_phrase_is_in_no_request_to_slack(slack: SlackProcess, tmp_path: Path) -> None:
    house = house_with(slack, tmp_path, slack_show_content="false")
    service = house.serve().ready()
    slack.do("wait_connected")
    service.send(mail(ALLEGATION, subject=f"About {CANARY}"))
    wait_until(lambda: len(cards(slack)) == 1)
    service.settle()
    (case,) = house.json("cases")
    house.run_here("note", case["case"], "--text", f"Mr Hartwell rang. {CANARY}", "--by", "Amina")
    house.run_here("adult", case["case"], "--name", "Daniel Hartwell", "--by", "Amina")
    service.settle()
    (card,) = cards(slack)

    slack.do("press", user=ALEX, action_id="view", message_ts=card["ts"])
    wait_until(lambda: slack.do("open_views", user=ALEX))
    (bare,) = slack.do("open_views", user=ALEX)
    assert f"intake-bot show {case['case']}" in json.dumps(bare)
    slack.do("close_view", user=ALEX, view_id=bare["id"])
    assert "content_seen" not in [entry["act"] for entry in house.show(case["case"])["audit"]][:-1], (
        "nothing was opened"
    )

    slack.do("press", user=ALEX, action_id="claim", message_ts=card["ts"])
    wait_until(lambda: ALEX in json.dumps(cards(slack)))
    filled_in(slack, case, "regulator", {"body": "dbs"})
    filled_in(slack, case, "facts", {"source": "employer"})
    filled_in(slack, case, "hand_over", {"to": SAM})
    wait_until(lambda: house.json("cases")[0]["officer"] == f"slack:T0TEAM/{SAM}")
    for text in (f"show {case['case']}", f"search {CANARY}", "queue", "mine", f"new {CANARY}"):
        slack.do("slash", user=SAM, command="/lado", text=text)
    slack.do("event", event={"type": "app_home_opened", "user": SAM, "tab": "home"})
    wait_until(lambda: AT_THE_TERMINAL in json.dumps(slack.do("ephemerals", user=SAM)) and slack.do("homes"))

    # A colleague who writes all the same is heard, and told where to write.
    conversation = f"D{VISITOR[1:]}"
    slack.do("add_channel", channel=conversation, name="", members=[VISITOR, BOT_USER], is_im=True)
    said = slack.do("message", user=VISITOR, channel=conversation, text=f"A carer hit a boy of ten. {CANARY}")
    assert said["acked"]
    wait_until(lambda: len(house.json("cases")) == 2)
    slack.do("shortcut", user=VISITOR, callback_id="consult")
    wait_until(lambda: slack.do("open_views", user=VISITOR))
    assert "lado@elmshire.example" in json.dumps(slack.do("open_views", user=VISITOR))
    wait_until(lambda: len(slack.do("messages", channel=conversation)) == 2)
    answer = slack.do("messages", channel=conversation)[-1]
    assert "write to lado@elmshire.example" in json.dumps(answer)
    house.run_here(
        *("decide", case["case"], "--decision", "consultation", "--category", "physical"),
        *("--reason", f"Advice; {CANARY}", "--by", "Amina"),
    )
    house.run_here("conclude", case["case"], "--note", f"Over; {CANARY}", "--by", "Amina")
    service.settle()
    printed = service.stop()

    sent = json.dumps([slack.do("calls"), slack.do("acks"), slack.do("ephemerals", user=SAM), printed])
    assert len(slack.do("calls")) > 15
    for private in PRIVATE:
        assert private not in sent, private


@pytest.mark.parametrize("form", sorted(BY_NAME.keys() - {one.name for one in CONTENT_FREE}))
async def test_what_needs_words_is_not_offered_and_not_taken(form: str) -> None:
    async with FakeSlack() as slack, at_work(slack, show_content=False) as work:
        with pytest.raises(NotPossible):
            await slack.press(ALEX, "more", option=f"{form}:{cases.CASE}")
        with pytest.raises(NotPossible):
            await slack.press(ALEX, "decide")
        assert work.casework.kept == {}


async def test_a_form_from_before_the_setting_takes_no_words() -> None:
    async with FakeSlack() as slack:
        async with at_work(slack) as work:
            await slack.press(ALEX, "more", message_ts=work.posted.ts, option=f"note:{cases.CASE}")
            await until(lambda: slack.open_views(ALEX))
            await slack.press(SAM, "decide", message_ts=work.posted.ts)
            await until(lambda: slack.open_views(SAM))
        async with at_work(slack, show_content=False) as work:
            (note,), (decision,) = slack.open_views(ALEX), slack.open_views(SAM)
            answer = await slack.submit_view(ALEX, note["id"], {"words": "Mr Hartwell rang."})
            assert AT_THE_TERMINAL in answer.response["errors"]["words"]
            answers = {"decision": "consultation", "category": "physical", "reason": "Advice."}
            answer = await slack.submit_view(SAM, decision["id"], answers)
            assert AT_THE_TERMINAL in answer.response["errors"]["reason"]
            assert work.casework.kept == {}
