"""``[slack] send_files``: a file of a case for the officer who asks, through real slack-bolt and with the whole service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import mail, wait_until
from acceptance.slack_desk import Work, at_work, until
from acceptance.test_slack_service import cards, house_with
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, SAM, VISITOR, FakeSlack, NotPossible
from fakes.slack_process import SlackProcess
from intake_bot.casework.acts import SendFile
from intake_bot.casework.desk import Actor
from intake_bot.slack.acts import interpret
from intake_bot.slack.modals import FILES

ME = Actor("slack", f"T0TEAM/{ALEX}")
NAME = "Statement of Daniel Hartwell.DOCX"
STATEMENT = b"PK\x03\x04 what the teaching assistant wrote"


async def viewed(work: Work, user: str = ALEX) -> dict[str, Any]:
    """View, opened by somebody."""
    await work.slack.press(user, "view", message_ts=work.posted.ts)
    await until(lambda: work.slack.open_views(user))
    return work.slack.open_views(user)[-1]


async def asking(work: Work) -> dict[str, Any]:
    """The form on top of View."""
    view = await viewed(work)
    await work.slack.press(ALEX, FILES, view_id=view["id"])
    await until(lambda: len(work.slack.open_views(ALEX)) == 2)
    return work.slack.open_views(ALEX)[-1]


async def test_a_file_is_asked_for_from_view_and_confirmed_and_kept_once() -> None:
    async with FakeSlack() as slack, at_work(slack, send_files=True) as work:
        form = await asking(work)
        shown = json.dumps(form)
        assert "not scanned" in shown
        assert "after an hour" in shown
        assert "900.0 MiB" not in shown, "what is too large is not offered"
        assert "film.mov" in shown, "and it is said where it can be had"
        slack.deliver_twice = 1
        answer = await slack.submit_view(ALEX, form["id"], {"file": "M1/1"})
        assert answer.response == {}
        assert [interpret(payload) for payload in work.casework.payloads] == [SendFile(cases.CASE, ME, "M1/1")]
        assert len(slack.open_views(ALEX)) == 1, "View is there again"
        assert ("files", cases.CASE, str(ME)) in work.casework.happened, "to see their names is on the record"


async def test_where_the_setting_is_off_there_is_no_button_and_no_way() -> None:
    async with FakeSlack() as slack:
        async with at_work(slack, send_files=True) as work:
            view = await viewed(work)
        async with at_work(slack) as work:
            assert FILES not in json.dumps(await viewed(work, SAM))
            # Opened before the setting was changed.
            await slack.press(ALEX, FILES, view_id=view["id"])
            await until(lambda: "sends no files" in json.dumps(slack.ephemerals(ALEX)))
            assert len(slack.open_views(ALEX)) == 1


async def test_who_only_reads_or_keeps_the_record_is_sent_none() -> None:
    async with FakeSlack() as slack:
        for role in ("readers", "support"):
            async with at_work(slack, send_files=True, **{role: frozenset({VISITOR})}) as work:
                view = await viewed(work, VISITOR)
                with pytest.raises(NotPossible):
                    await slack.press(VISITOR, FILES, view_id=view["id"])


async def test_an_officer_no_more_when_the_form_comes_back_is_refused() -> None:
    async with FakeSlack() as slack:
        async with at_work(slack, send_files=True) as work:
            form = await asking(work)
        async with at_work(slack, send_files=True, officers=frozenset({SAM})) as work:
            answer = await slack.submit_view(ALEX, form["id"], {"file": "M1/1"})
            assert "only the duty officers" in answer.response["errors"]["file"]
            assert ("refused", str(ME), "send_file") in work.casework.happened
            assert not work.casework.kept


async def test_a_case_without_a_file_that_fits_says_so() -> None:
    async with FakeSlack() as slack, at_work(slack, send_files=True) as work:
        work.casework.attached = work.casework.attached[1:]
        view = await viewed(work)
        await slack.press(ALEX, FILES, view_id=view["id"])
        await until(lambda: "can be sent from here" in json.dumps(slack.ephemerals(ALEX)))


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess() as process:
        yield process


def test_with_the_whole_service(slack: SlackProcess, tmp_path: Path) -> None:
    house = house_with(slack, tmp_path, triage_enabled="false", slack_send_files="true")
    service = house.serve().ready()
    slack.do("wait_connected")
    message = message_from_bytes(mail(), policy=SMTP)
    assert isinstance(message, EmailMessage)
    message.add_attachment(STATEMENT, maintype="application", subtype="octet-stream", filename=NAME)
    service.send(message.as_bytes())
    wait_until(lambda: len(cards(slack)) == 1)
    service.settle()
    (case,) = house.json("cases")
    reference = case["case"]

    slack.do("press", user=ALEX, action_id="view", message_ts=cards(slack)[-1]["ts"])
    wait_until(lambda: slack.do("open_views", user=ALEX))
    (view,) = slack.do("open_views", user=ALEX)
    slack.do("press", user=ALEX, action_id=FILES, view_id=view["id"])
    wait_until(lambda: len(slack.do("open_views", user=ALEX)) == 2)
    form = slack.do("open_views", user=ALEX)[-1]
    (field,) = [block for block in form["blocks"] if block.get("block_id") == "file"]
    (option,) = field["element"]["options"]
    done = slack.do("submit_view", user=ALEX, view_id=form["id"], values={"file": option["value"]})
    assert done["response"] == {}
    wait_until(lambda: any(one["shared"] for one in slack.do("files").values()))
    wait_until(lambda: "file_sent" in [entry["act"] for entry in house.show(reference)["audit"]])

    channel = slack.do("channel_of", user=ALEX)
    (said,) = slack.do("messages", channel=channel)
    heard = slack.do("event", event=said | {"channel": channel, "channel_type": "im", "event_ts": said["ts"]})
    assert heard["acked"]
    assert house.json("status")[0]["spool"] == 0
    assert len(house.json("messages")) == 2, "a file of ours is nobody's consultation: the mail and the acknowledgement"
    (file,) = slack.do("files").values()
    assert file["content"] == STATEMENT.hex()
    assert said["files"][0]["name"] == f"{reference}-1.docx", "never what the sender called it"
    for word in (reference, "not scanned", "after an hour"):
        assert word in said["text"]
    acts = [(entry["act"], entry["code"], entry["actor"]) for entry in house.show(reference)["audit"]]
    assert ("content_seen", "attachment/1", str(ME)) in acts
    assert "Hartwell" not in service.stop()
    # The order to take it back is a row: it waits for its hour, whoever serves then.
    assert house.json("status")[0]["outbox"] == 1
