"""The desk over signed HTTP: the same acts, and nothing that is not Slack's or is too old."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from unittest.mock import AsyncMock, MagicMock
from urllib.parse import urlencode

import aiohttp
import pytest

from acceptance.slack_desk import Casework, settings_for
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, VISITOR, FakeSlack
from intake_bot.casework.acts import Claim
from intake_bot.casework.desk import Actor
from intake_bot.slack.acts import interpret
from intake_bot.slack.app import build_app, build_desk
from intake_bot.slack.catch_up import CatchUp
from intake_bot.slack.http import PATH, SlackHttp

SECRET = "a-secret-of-the-tests"
PRESS = {
    "type": "block_actions",
    "user": {"id": ALEX, "team_id": "T0TEAM"},
    "team": {"id": "T0TEAM"},
    "trigger_id": "1.trigger",
    "actions": [{"action_id": "claim", "value": cases.CASE, "action_ts": "1.0", "type": "button", "block_id": "acts"}],
}


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[SlackHttp, Casework]]:
    async with FakeSlack() as slack:
        settings = settings_for(slack, app_token="", signing_secret=SECRET, http_port=0)
        casework = Casework(cards={cases.CASE: cases.card()})
        http = SlackHttp(build_app(settings, casework), settings, casework.now)
        await http.start()
        try:
            yield http, casework
        finally:
            await http.stop()


async def post(
    http: SlackHttp, body: str, *, secret: str = SECRET, age: float = 0.0, kind: str = "x-www-form-urlencoded"
) -> int:
    stamp = str(int(time.time() - age))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signature}",
        "Content-Type": f"application/{kind}",
    }
    url = f"http://127.0.0.1:{http.port}{PATH}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


PRESSED = urlencode({"payload": json.dumps(PRESS)})


async def test_a_signed_press_is_kept_before_it_is_answered() -> None:
    async with listening() as (http, casework):
        assert await post(http, PRESSED) == 200
        assert [interpret(one) for one in casework.payloads] == [Claim(cases.CASE, Actor("slack", f"T0TEAM/{ALEX}"))]
        assert http.last_ping is not None
        assert await post(http, PRESSED) == 200
        assert len(casework.payloads) == 1, "the same press again is no second act"


@pytest.mark.parametrize(("secret", "age"), [("another", 0.0), (SECRET, 600.0), (SECRET, -600.0)])
async def test_what_is_not_slacks_or_comes_again_later_is_refused(secret: str, age: float) -> None:
    async with listening() as (http, casework):
        assert await post(http, PRESSED, secret=secret, age=age) == 401
        assert casework.payloads == []
        assert http.last_ping is None


async def test_what_cannot_be_kept_is_not_answered_with_200() -> None:
    async with listening() as (http, casework):
        casework.accept_raises = OSError("full")
        assert await post(http, PRESSED) >= 500


async def test_slack_may_verify_the_address() -> None:
    async with listening() as (http, _):
        assert await post(http, json.dumps({"type": "url_verification", "challenge": "c"}), kind="json") == 200


async def test_after_a_long_silence_what_was_said_is_read_back() -> None:
    async with listening() as (http, casework):
        catch_up = http._catch_up = MagicMock(CatchUp)
        body = urlencode({"payload": json.dumps(PRESS)})
        assert await post(http, body) == 200
        casework.time += timedelta(minutes=9)
        assert await post(http, body) == 200
        catch_up.begin.assert_not_called()
        casework.time += timedelta(minutes=11)
        assert await post(http, body) == 200
        catch_up.begin.assert_called_once_with()


async def test_what_could_not_be_kept_is_to_be_read_back() -> None:
    async with FakeSlack() as slack:
        settings = settings_for(slack, app_token="", signing_secret=SECRET, http_port=0)
        casework = Casework()
        casework.talk = AsyncMock(side_effect=OSError("disk full"))  # type: ignore[method-assign]
        app, reading = build_desk(settings, casework)
        http = SlackHttp(app, settings, casework.now, catch_up=reading)
        await http.start()
        try:
            reading.up_to_date = True
            event = {
                "type": "message",
                "channel": "D1",
                "channel_type": "im",
                "user": VISITOR,
                "text": "Hit.",
                "ts": "1.1",
            }
            body = json.dumps({"type": "event_callback", "team_id": "T0TEAM", "event_id": "Ev1", "event": event})
            assert await post(http, body, kind="json") == 500
            assert not reading.up_to_date
        finally:
            await http.stop()
