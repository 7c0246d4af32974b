"""What the desk posts: once, in its own channel, found again after an unknown outcome."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from acceptance.slack_desk import settings_for
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, DUTY, FakeSlack
from intake_bot.casework.desk import Actor, DeliveryFailed, Listed, Notice, NoticeKind, Posted
from intake_bot.casework.vocabulary import Status
from intake_bot.slack.desk import SlackDesk

REMINDER = Notice(
    NoticeKind.REMINDER, "LADO-26-7QK3M", "triage", "at", cases.DUE, owner=Actor("slack", "T0TEAM/U0ALEX")
)


@pytest.fixture
async def slack():
    async with FakeSlack() as slack:
        yield slack


@pytest.fixture
def desk(slack):
    return SlackDesk(settings_for(slack))


async def failure_of(call) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await call
    hidden = failed.value.__suppress_context__ or failed.value.__context__ is None
    assert hidden, "the library's words quote what was sent"
    return failed.value


async def test_a_card_is_posted_and_then_updated_in_place(slack, desk):
    at = await desk.post_card(cases.card(), "POST1", look_first=False)
    await desk.update_card(cases.card(status=Status.CLAIMED, officer=Actor("slack", "T0TEAM/U0ALEX")), at)
    (message,) = slack.messages()
    assert at == Posted(DUTY, message["ts"])
    assert message["metadata"] == {"event_type": "intake_bot_post", "event_payload": {"outbox_id": "POST1"}}
    assert "<@U0ALEX>" in json.dumps(message["blocks"])
    assert "claimed" in message["text"]
    (sent,) = slack.called("chat.postMessage")
    assert sent["unfurl_links"] is False
    assert sent["unfurl_media"] is False
    assert sent["text"], "screen readers and notifications have their text"


class TestUnknownOutcome:
    @pytest.mark.parametrize("fault", ["drop_response", "empty"])
    @pytest.mark.parametrize("what", ["card", "notice"])
    async def test_what_arrived_is_adopted_not_doubled(self, slack, desk, fault, what):
        async def post(*, look_first):
            if what == "card":
                return await desk.post_card(cases.card(), "POST1", look_first=look_first)
            return await desk.post_notice(REMINDER, "POST1", look_first=look_first)

        for _ in range(3):
            await desk.post_notice(REMINDER, "OTHER", look_first=False)
        slack.fail_next("chat.postMessage", fault)
        assert (await failure_of(post(look_first=False))).uncertain
        for _ in range(3):
            await desk.post_notice(REMINDER, "OTHER", look_first=False)
        adopted = await post(look_first=True)
        (message,) = [m for m in slack.messages() if m["metadata"]["event_payload"]["outbox_id"] == "POST1"]
        assert adopted == Posted(DUTY, message["ts"])

    async def test_what_did_not_arrive_is_posted(self, slack, desk):
        slack.fail_next("chat.postMessage", "drop_request")
        assert (await failure_of(desk.post_card(cases.card(), "POST1", look_first=False))).uncertain
        await desk.post_card(cases.card(), "POST1", look_first=True)
        assert len(slack.messages()) == 1

    async def test_it_is_found_on_a_later_page(self, slack, desk):
        at = await desk.post_card(cases.card(), "POST1", look_first=False)
        slack.channels[DUTY].messages += [{"type": "message", "ts": slack._ts(), "text": "x"} for _ in range(450)]
        assert await desk.post_card(cases.card(), "POST1", look_first=True) == at

    async def test_while_the_history_cannot_be_read_nothing_is_posted(self, slack, desk):
        slack.fail_next("conversations.history", "500")
        await failure_of(desk.post_card(cases.card(), "POST1", look_first=True))
        assert slack.messages() == []


class TestFailures:
    async def test_rate_limits_are_honoured(self, slack, desk):
        slack.fail_next("chat.postMessage", "429", seconds=17)
        failed = await failure_of(desk.post_card(cases.card(), "POST1", look_first=False))
        assert (failed.code, failed.retry_after, failed.uncertain) == ("rate_limited", 17.0, False)
        assert slack.messages() == []

    @pytest.mark.parametrize(
        ("fault", "code", "permanent", "uncertain"),
        [
            ("500", "slack_fault", False, True),
            ("internal_error", "slack_fault", False, True),
            ("drop_request", "slack_no_answer", False, True),
            ("message_not_found", "message_not_found", True, False),
            ("invalid_blocks", "invalid_blocks", True, False),
            ("channel_not_found", "channel_not_found", False, False),
            ("invalid_auth", "invalid_auth", False, False),
            ("some_words_of_theirs", "slack_refused", False, False),
        ],
    )
    async def test_have_fixed_words(self, slack, desk, fault, code, permanent, uncertain):
        at = await desk.post_card(cases.card(), "POST1", look_first=False)
        slack.fail_next("chat.update", fault)
        failed = await failure_of(desk.update_card(cases.card(), at))
        assert (failed.code, failed.permanent, failed.uncertain) == (code, permanent, uncertain)
        assert len(slack.called("chat.update")) == 1, "the library must not try again by itself"

    async def test_slack_being_down_is_certain(self, desk, slack):
        down = SlackDesk(settings_for(slack, api_url="http://127.0.0.1:9/api/"))
        failed = await failure_of(down.post_card(cases.card(), "POST1", look_first=False))
        assert (failed.code, failed.uncertain, failed.permanent) == ("slack_unreachable", False, False)

    async def test_a_card_on_another_desk_is_not_touched(self, slack, desk):
        failed = await failure_of(desk.update_card(cases.card(), Posted("terminal", "POST1")))
        assert failed.permanent
        assert slack.called("chat.update") == []


async def test_a_digest_is_numbers_and_references_and_the_week_calls_the_managers(slack):
    desk = SlackDesk(replace(settings_for(slack), managers=frozenset({ALEX})))
    listed = (Listed("LADO-26-7QK3M", "triage", cases.DUE),)
    figures = (
        ("new", 2),
        ("unclaimed", 1),
        ("due_today", 1),
        ("overdue", 0),
        ("waiting", 0),
        ("parked", 0),
        ("unfiled", 0),
    )
    await desk.post_notice(Notice(NoticeKind.DIGEST, figures=figures, listed=listed), "D1", look_first=False)
    week = (
        ("received", 5),
        ("decided", 4),
        ("concluded", 1),
        ("met:triage", 3),
        ("missed:triage", 1),
        ("open", 9),
        ("overdue", 1),
    )
    await desk.post_notice(
        Notice(NoticeKind.WEEK, to="manager", due_at=cases.RECEIVED, figures=week, late=True), "W1", look_first=False
    )
    said = [message["text"] for message in slack.messages()]
    assert "2 new since the office closed, 1 unclaimed, 1 due today, 0 overdue" in said[0]
    assert "LADO-26-7QK3M: First response and decision" in said[0]
    assert "5 received, 4 decided, 1 concluded; open now 9, of these overdue 1. (This comes late.)" in said[1]
    assert "First response and decision: 3 of 4 in time" in said[1]
    assert f"<@{ALEX}>" in json.dumps(slack.messages()[1]["blocks"])
    assert f"<@{ALEX}>" not in json.dumps(slack.messages()[0]["blocks"])


async def test_an_officer_is_told_alone_and_literally(slack, desk):
    await desk.tell(Actor("slack", f"T0TEAM/{ALEX}"), "LADO-26-7QK3M is with <!channel> & another.")
    (told,) = slack.ephemerals(ALEX)
    assert told["text"] == "LADO-26-7QK3M is with &lt;!channel&gt; &amp; another."
    assert slack.messages() == []
    assert (await failure_of(desk.tell(Actor("slack", "T0TEAM/U0NOBODY"), "x"))).permanent
    assert (await failure_of(desk.tell(Actor("terminal", "sam"), "x"))).permanent


class TestCheck:
    async def test_finds_nothing_wrong_with_a_good_desk(self, desk):
        assert await desk.check() == []

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"is_private": False}, "not private"),
            ({"is_ext_shared": True}, "shared with another organisation"),
            ({"is_archived": True}, "archived"),
            ({"members": set()}, "the bot is not in the duty channel"),
        ],
    )
    async def test_finds_a_channel_that_will_not_do(self, slack, desk, change, says):
        for name, value in change.items():
            setattr(slack.channels[DUTY], name, value)
        (finding,) = await desk.check()
        assert says in finding

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"bot_token": "xoxb-wrong"}, "does not take the bot token (invalid_auth)"),
            ({"app_token": "xapp-wrong"}, "does not take the app token (invalid_auth)"),
            ({"channel": "C0OTHER"}, "cannot be seen (channel_not_found)"),
            ({"officers": frozenset()}, "nobody may act"),
            ({"api_url": "http://127.0.0.1:9/api/"}, "(slack_unreachable)"),
        ],
    )
    async def test_finds_settings_that_will_not_do(self, slack, change, says):
        (finding,) = await SlackDesk(settings_for(slack, **change)).check()
        assert says in finding

    def test_settings_keep_their_tokens_to_themselves(self, slack):
        assert "fake" not in repr(settings_for(slack)).replace(slack.api_url, "")
