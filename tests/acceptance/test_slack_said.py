"""What people type: in a card's thread, and while the line was down. Real slack-bolt against the fake Slack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from acceptance.harness import wait_until
from acceptance.slack_desk import Casework, settings_for, until
from acceptance.test_slack_service import house_with
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, BOT_USER, DUTY, VISITOR, FakeSlack
from fakes.slack_process import SlackProcess
from intake_bot.casework.acts import Note
from intake_bot.casework.desk import Actor
from intake_bot.slack import catch_up
from intake_bot.slack.acts import interpret
from intake_bot.slack.app import build_desk
from intake_bot.slack.catch_up import CatchUp
from intake_bot.slack.client import make_client
from intake_bot.slack.connection import SlackConnection
from intake_bot.slack.desk import SlackDesk

ME = Actor("slack", f"T0TEAM/{ALEX}")
DIRECT = f"D{VISITOR[1:]}"


@asynccontextmanager
async def line(slack: FakeSlack, casework: Casework, **changes: Any) -> AsyncIterator[CatchUp]:
    """A connected desk, which reads back on each connect."""
    settings = settings_for(slack, **changes)
    app, reading = build_desk(settings, casework)
    connection = SlackConnection(app, settings, casework.now, ping_seconds=0.2, catch_up=reading)
    await connection.start()
    try:
        await slack.wait_connected()
        yield reading
    finally:
        await connection.stop()


async def with_card(slack: FakeSlack, **changes: Any) -> tuple[Casework, str]:
    """A case with a card on the desk; the card's ts. It is a quarter of an hour since the line was alive."""
    posted = await SlackDesk(settings_for(slack, **changes)).post_card(cases.card(), "POST1", look_first=False)
    slack.add_channel(DIRECT, "", members={VISITOR, BOT_USER}, is_im=True)
    now = datetime.now(UTC)
    casework = Casework(cards={cases.CASE: cases.card()}, card_at={(DUTY, posted.ts): cases.CASE}, time=now, heard=now)
    return casework, posted.ts


def notes(casework: Casework) -> list[str]:
    kept = [interpret(payload) for payload in casework.payloads]
    return [act.words for act in kept if isinstance(act, Note) and act.by == ME and act.case_id == cases.CASE]


class TestUnderACard:
    async def test_words_are_no_note_unless_the_settings_say_so(self) -> None:
        async with FakeSlack() as slack:
            casework, card = await with_card(slack)
            async with line(slack, casework):
                for words in ("I rang the school.", "They ring back."):
                    assert (await slack.message(ALEX, DUTY, words, thread_ts=card)).acked
                assert (await slack.message(ALEX, DUTY, "Good morning.")).acked
                await until(lambda: slack.ephemerals(ALEX))
                (told,) = slack.ephemerals(ALEX)
                assert "Notes go under More" in told["text"]
                assert casework.kept == {}

    async def test_words_become_a_note_once_and_the_officer_hears_that_they_stay(self) -> None:
        async with FakeSlack() as slack:
            casework, card = await with_card(slack)
            async with line(slack, casework, thread_notes=True):
                slack.deliver_twice = 1
                assert (await slack.message(ALEX, DUTY, "Rang &lt;the&gt; school &amp; club.", thread_ts=card)).acked
                await slack.message(ALEX, DUTY, "A word under nothing.")
                await until(lambda: slack.ephemerals(ALEX))
                assert notes(casework) == ["Rang <the> school & club."]
                (told,) = slack.ephemerals(ALEX)
                assert "stay in Slack" in told["text"]

    async def test_nobody_but_officers_notes_anything(self) -> None:
        async with FakeSlack() as slack:
            casework, card = await with_card(slack)
            async with line(slack, casework, thread_notes=True):
                assert (await slack.message(VISITOR, DUTY, "I know them.", thread_ts=card)).acked
                await until(lambda: slack.ephemerals(VISITOR))
                assert casework.kept == {}
                assert ("refused", f"slack:T0TEAM/{VISITOR}", "note") in casework.happened

    async def test_what_cannot_be_kept_is_not_acknowledged(self) -> None:
        async with FakeSlack(ack_seconds=0.2) as slack:
            casework, card = await with_card(slack)
            casework.accept_raises = OSError("disk full")
            async with line(slack, casework, thread_notes=True):
                assert not (await slack.message(ALEX, DUTY, "Rang.", thread_ts=card)).acked
                assert slack.ephemerals(ALEX) == []


class TestReadBack:
    async def test_what_was_said_while_down_is_taken_once(self) -> None:
        async with FakeSlack() as slack:
            casework, card = await with_card(slack, thread_notes=True)
            slack.say(VISITOR, DIRECT, "A coach hit a boy.")
            under = slack.say(VISITOR, DIRECT, "And a girl.")
            slack.say(VISITOR, DIRECT, "Under it.", thread_ts=under)
            slack.say(ALEX, DUTY, "Rang the school.", thread_ts=card)
            slack.say(ALEX, DUTY, "Good morning, all.")
            async with line(slack, casework, thread_notes=True) as reading:
                await until(lambda: reading.up_to_date)
                said = [json.loads(payload) for payload in casework.said.values()]
                assert [one["text"] for one in said] == ["A coach hit a boy.", "And a girl.", "Under it."]
                assert [one.get("thread_ts") for one in said] == [None, None, under]
                assert notes(casework) == ["Rang the school."]
                # The line breaks and comes back: the same is read, and nothing is taken twice.
                slack.say(VISITOR, DIRECT, "She is safe now.")
                opened = slack.opened
                slack.drop_sockets()
                await until(lambda: slack.opened > opened and len(casework.said) == 4)
                await until(lambda: reading.up_to_date)
                assert notes(casework) == ["Rang the school."]

    async def test_an_event_and_a_reading_are_the_same_message(self) -> None:
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            async with line(slack, casework) as reading:
                await until(lambda: reading.up_to_date)
                await slack.message(VISITOR, DIRECT, "A coach hit a boy.")
                reading.begin()
                await until(lambda: reading.up_to_date)
                assert len(slack.called("conversations.history")) == 2
                assert len(casework.said) == 1

    async def test_what_was_said_before_is_left_alone(self) -> None:
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            slack.say(VISITOR, DIRECT, "Long ago.")
            casework.time = casework.heard = datetime.now(UTC) + timedelta(minutes=10)
            async with line(slack, casework) as reading:
                await until(lambda: reading.up_to_date)
                assert casework.said == {}

    @pytest.mark.parametrize("fault", ["429", "500", "drop_response", "missing_scope"])
    async def test_a_fault_of_slacks_delays_it(self, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catch_up, "PAUSE_SECONDS", 0.01)
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            slack.say(VISITOR, DIRECT, "A coach hit a boy.")
            slack.fail_next("conversations.history", fault, times=1 if fault == "429" else 3)
            async with line(slack, casework) as reading:
                await until(lambda: reading.up_to_date)
                assert len(casework.said) == 1

    async def test_what_cannot_be_kept_is_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catch_up, "PAUSE_SECONDS", 0.01)
        async with FakeSlack() as slack:
            casework, card = await with_card(slack, thread_notes=True)
            slack.say(ALEX, DUTY, "Rang the school.", thread_ts=card)
            casework.accept_raises = OSError("disk full")
            async with line(slack, casework, thread_notes=True) as reading:
                await until(lambda: casework.happened.count(casework.happened[0]) >= 2 if casework.happened else False)
                assert not reading.up_to_date
                casework.accept_raises = None
                await until(lambda: reading.up_to_date)
                assert notes(casework) == ["Rang the school."]

    async def test_another_node_s_sign_of_life_moves_nothing_past_what_this_one_has_to_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(catch_up, "PAUSE_SECONDS", 0.01)
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            slack.say(VISITOR, DIRECT, "A coach hit a boy.")
            slack.fail_next("conversations.history", "500", times=3)
            async with line(slack, casework) as reading:
                await until(lambda: slack.called("conversations.history"))
                casework.heard = datetime.now(UTC) + timedelta(hours=1)
                await until(lambda: reading.up_to_date)
                assert len(casework.said) == 1

    async def test_a_refusal_is_said_once_however_often_it_is_read(self) -> None:
        async with FakeSlack() as slack:
            casework, card = await with_card(slack, thread_notes=True)
            async with line(slack, casework, thread_notes=True) as reading:
                await until(lambda: reading.up_to_date)
                await slack.message(VISITOR, DUTY, "I know them.", thread_ts=card)
                reading.begin()
                await until(lambda: reading.up_to_date)
                assert casework.happened.count(("refused", f"slack:T0TEAM/{VISITOR}", "note")) == 1

    async def test_one_that_cannot_be_kept_holds_up_no_other(self) -> None:
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            for words in ("One.", "Two."):
                slack.say(VISITOR, DIRECT, words)
            tried: list[str] = []

            async def hear(body: dict[str, Any]) -> None:
                tried.append(body["event"]["text"])
                if tried == ["One."]:
                    raise ValueError

            settings = settings_for(slack)
            reading = CatchUp(make_client(settings), settings, casework, hear)
            reading.begin()
            await until(lambda: len(tried) == 2)
            assert not reading.up_to_date
            await reading.stop()
            assert tried == ["One.", "Two."]

    async def test_stopping_does_not_wait_for_it(self) -> None:
        async with FakeSlack() as slack:
            casework, _ = await with_card(slack)
            slack.fail_next("conversations.history", "429", seconds=600)
            async with line(slack, casework), asyncio.timeout(5):
                await until(lambda: slack.called("conversations.history"))


def test_a_consultation_that_was_written_while_the_service_was_down_becomes_a_case(tmp_path: Path) -> None:
    with SlackProcess() as slack:
        house = house_with(slack, tmp_path, triage_enabled="false")
        slack.do("add_channel", channel=DIRECT, name="", members=[VISITOR, BOT_USER], is_im=True)
        ts = slack.do("say", user=VISITOR, channel=DIRECT, text="A foster carer shouted at a boy of ten.")
        service = house.serve().ready()
        wait_until(lambda: house.json("cases"))
        service.settle()
        (case,) = house.json("cases")
        said_at = datetime.fromtimestamp(float(ts), UTC)
        assert abs(datetime.fromisoformat(case["received_at"]) - said_at) < timedelta(seconds=0.001), (
            "not when it was read"
        )
        wait_until(lambda: len(slack.do("messages", channel=DIRECT)) == 2)
        service.stop()
