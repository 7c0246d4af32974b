"""The line to Slack: up again after every way of going down, and silent about what passes over it."""

from __future__ import annotations

import asyncio
import contextlib

from acceptance.slack_desk import Casework, at_work, settings_for, until
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, DUTY, FakeSlack
from fakes.slack_process import SlackProcess
from intake_bot.slack.app import build_app
from intake_bot.slack.connection import SlackConnection


async def test_slack_being_down_at_the_start_stops_nothing(unused_tcp_port):
    port = unused_tcp_port
    down = FakeSlack(port=port)
    settings, casework = settings_for(down), Casework(cards={cases.CASE: cases.card()})
    connection = SlackConnection(build_app(settings, casework), settings, casework.now, ping_seconds=0.1)
    await connection.start()
    await asyncio.sleep(0.05)
    assert connection.last_ping is None
    assert not await connection.connected()
    async with down as slack:
        await slack.wait_connected()
        assert (await slack.event({"type": "message", "user": ALEX, "channel": DUTY, "text": "hello"})).acked
        await until(lambda: connection.last_ping is not None)
        assert connection.last_ping == casework.now()
        await connection.stop()
        await until(lambda: slack.connections == 0)


async def test_a_dropped_socket_comes_back_and_presses_arrive():
    async with FakeSlack(ack_seconds=2) as slack, at_work(slack, ping_seconds=0.1) as work:
        slack.drop_sockets()
        await until(lambda: slack.connections == 0)
        await slack.wait_connected()
        await until(lambda: slack.connections == 1)
        assert (await slack.press(ALEX, "claim")).acked
        assert len(work.casework.kept) == 1


async def test_a_refreshed_connection_goes_over_to_the_new_one():
    async with FakeSlack(ack_seconds=2) as slack, at_work(slack, ping_seconds=0.1):
        await slack.ask_to_reconnect()
        # Until the new one is there and the old one gone: one alone may still be the old one.
        await until(lambda: slack.opened == 2 and slack.connections == 1)
        assert (await slack.press(ALEX, "claim")).acked


async def test_an_unacknowledged_event_comes_again_over_a_new_line():
    async with FakeSlack(ack_seconds=0.5) as slack, at_work(slack, ping_seconds=0.1):
        slack.drop_sockets()
        said = await slack.message(ALEX, DUTY, "while the line was down")
        assert said.acked


async def test_an_address_that_has_run_out_is_not_tried_for_ever():
    """The library keeps the address it was given, and Slack's are good for once: the watch throws both away."""
    async with FakeSlack(ack_seconds=2) as slack, at_work(slack, ping_seconds=0.05):
        slack.refuse_links = 1
        slack.drop_sockets()
        await until(lambda: slack.connections == 0)
        await slack.wait_connected()
        assert slack.refuse_links == 0
        assert (await slack.press(ALEX, "claim")).acked


async def test_stopping_finishes_what_is_in_hand():
    async with FakeSlack(ack_seconds=2) as slack, at_work(slack) as work:
        work.casework.accept_seconds = 0.2
        pressing = asyncio.create_task(slack.press(ALEX, "claim"))
        await until(lambda: work.casework.happened)
        await work.connection.stop()
        assert (await pressing).acked
        assert len(work.casework.kept) == 1


async def test_stopping_without_starting_or_twice_is_harmless():
    async with FakeSlack() as slack:
        settings = settings_for(slack)
        connection = SlackConnection(build_app(settings, Casework()), settings, Casework().now)
        await connection.stop()
        await connection.start()
        await connection.stop()
        await connection.stop()


def test_the_fake_can_be_driven_from_outside():
    with SlackProcess() as slack:
        assert slack.do("messages") == []
        assert slack.do("connections") == 0
        with contextlib.suppress(AssertionError):
            slack.do("add_channel", channel="C0NEW", name="new")
        assert slack.do("messages", channel="C0NEW") == []
