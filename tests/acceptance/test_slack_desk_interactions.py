"""What officers press and submit: kept before it is acknowledged, refused to others, shown to one person alone."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta

import pytest

from acceptance.slack_desk import at_work, until
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, DUTY, GUEST, SAM, STRANGER, VISITOR, FakeSlack, NotPossible
from intake_bot.casework.acts import Claim, Decide
from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import DecisionKind, Status
from intake_bot.slack.acts import interpret
from triage.vocabulary import Category, Criterion

DECISION = {"decision": "referral", "category": "physical", "criteria": ["1"], "reason": f"Agreed: {cases.CANARY}."}


@pytest.fixture
async def work():
    async with FakeSlack(ack_seconds=0.4) as slack, at_work(slack) as work:
        yield work


async def open_form(work, user=ALEX):
    assert (await work.slack.press(user, "decide")).acked
    await until(lambda: work.slack.open_views(user))
    return work.slack.open_views(user)[-1]


class TestClaim:
    async def test_is_kept_before_it_is_acknowledged(self, work):
        work.casework.accept_seconds = 0.15
        pressed = await work.slack.press(ALEX, "claim")
        assert pressed.acks[0].seconds >= 0.15, "the acknowledgement waited for the commit"
        (payload,) = work.casework.payloads
        assert interpret(payload) == Claim(cases.CASE, Actor("slack", "T0TEAM/U0ALEX"))
        secrets = (pressed.payload["trigger_id"], pressed.payload["response_url"], "token")
        assert not any(secret.encode() in payload for secret in secrets)

    async def test_that_cannot_be_kept_is_not_acknowledged(self, work, caplog):
        work.casework.accept_raises = OSError(cases.CANARY)
        assert not (await work.slack.press(ALEX, "claim")).acked
        await until(lambda: work.slack.ephemerals(ALEX))
        assert "went wrong" in work.slack.ephemerals(ALEX)[0]["text"]
        assert cases.CANARY not in caplog.text

    async def test_delivered_twice_is_one_row(self, work):
        work.slack.deliver_twice = 1
        pressed = await work.slack.press(ALEX, "claim")
        assert len(pressed.acks) == 2
        assert [event[-1] for event in work.casework.happened if event[0] == "accepted"] == [True, False]
        assert len(work.casework.kept) == 1

    async def test_pressed_twice_or_by_two_is_as_many_acts(self, work):
        for user in (ALEX, ALEX, SAM):
            assert (await work.slack.press(user, "claim")).acked
        assert len(work.casework.kept) == 3

    async def test_waits_for_nobody_to_be_authorised_by_bolt(self, work):
        """Bolt acknowledges what it cannot authorise; our row is there before."""
        work.slack.fail_next("auth.test", "ratelimited", times=9)
        assert (await work.slack.press(ALEX, "claim")).acked
        assert len(work.casework.kept) == 1

    async def test_by_someone_who_cannot_be_checked_is_not_acknowledged(self, work):
        work.slack.fail_next("users.info", "500")
        assert not (await work.slack.press(ALEX, "claim")).acked
        assert work.casework.kept == {}
        assert (await work.slack.press(ALEX, "claim")).acked


class TestWhoMay:
    @pytest.mark.parametrize("user", [VISITOR, GUEST, STRANGER])
    @pytest.mark.parametrize("act", ["claim", "view", "decide"])
    async def test_nobody_but_officers(self, work, user, act):
        assert (await work.slack.press(user, act)).acked
        await until(lambda: work.slack.ephemerals(user))
        (told,) = work.slack.ephemerals(user)
        assert told["text"].startswith("Sorry, only the duty officers")
        team = "T0OTHER" if user == STRANGER else "T0TEAM"
        assert work.casework.happened == [("refused", f"slack:{team}/{user}", act)]
        assert work.slack.open_views(user) == []
        assert len(work.slack.messages()) == 1, "nothing is said to the channel"

    async def test_an_officer_no_more_when_the_form_comes_back(self, work):
        form = await open_form(work)
        work.slack.users[ALEX]["is_restricted"] = True
        work.casework.time += timedelta(minutes=6)
        submitted = await work.slack.submit_view(ALEX, form["id"], DECISION)
        assert submitted.response["errors"]["reason"].startswith("Sorry, only the duty officers")
        assert work.casework.kept == {}

    async def test_asks_slack_once_about_each(self, work):
        for _ in range(3):
            await work.slack.press(ALEX, "claim")
        assert work.slack.called("users.info") == [{"user": ALEX}]


class TestView:
    async def test_shows_the_text_and_the_evidence_to_one_officer(self, work):
        await work.slack.press(ALEX, "view")
        await until(lambda: work.slack.open_views(ALEX))
        shown = json.dumps(work.slack.open_views(ALEX), ensure_ascii=False)
        assert cases.CANARY in shown
        assert "»grabbed her arm«" in shown
        assert work.casework.happened == [("opened", cases.CASE, "slack:T0TEAM/U0ALEX")]
        assert cases.CANARY not in json.dumps(work.slack.messages())
        assert work.slack.open_views(SAM) == []

    async def test_is_acknowledged_before_the_case_is_read(self, work):
        work.casework.open_seconds = 0.6
        pressed = await work.slack.press(ALEX, "view")
        assert pressed.acks[0].seconds < 0.3
        await until(lambda: work.slack.open_views(ALEX))

    async def test_a_100_kb_text_opens(self, work):
        work.casework.view = cases.view(messages=(cases.message(text="The coach & <b>team</b>. " * 4000),))
        await work.slack.press(ALEX, "view")
        await until(lambda: work.slack.open_views(ALEX))

    async def test_an_expired_trigger_says_press_again(self, work):
        work.slack.trigger_seconds = -1
        await work.slack.press(ALEX, "view")
        await until(lambda: work.slack.ephemerals(ALEX))
        assert "press again" in work.slack.ephemerals(ALEX)[0]["text"]
        work.slack.trigger_seconds = 3
        await work.slack.press(ALEX, "view")
        await until(lambda: work.slack.open_views(ALEX))

    @pytest.mark.parametrize("fault", ["500", "429", "drop_request"])
    async def test_a_fault_of_slacks_is_told(self, work, fault):
        work.slack.fail_next("views.open", fault)
        await work.slack.press(ALEX, "view")
        await until(lambda: work.slack.ephemerals(ALEX))
        assert "try again" in work.slack.ephemerals(ALEX)[0]["text"]

    async def test_a_fault_of_ours_is_told_without_its_words(self, work, caplog):
        work.casework.open_raises = RuntimeError(cases.CANARY)
        assert (await work.slack.press(ALEX, "view")).acked
        await until(lambda: work.slack.ephemerals(ALEX))
        assert work.slack.ephemerals(ALEX)[0]["text"] == "Something went wrong here: please try again."
        assert "an interaction in Slack failed: RuntimeError" in caplog.text
        assert cases.CANARY not in caplog.text


class TestDecide:
    async def test_a_decision_is_kept_and_the_form_closes(self, work):
        form = await open_form(work)
        submitted = await work.slack.submit_view(ALEX, form["id"], DECISION)
        assert submitted.response == {}
        assert work.slack.open_views(ALEX) == []
        (payload,) = work.casework.payloads
        assert interpret(payload) == Decide(
            cases.CASE,
            Actor("slack", "T0TEAM/U0ALEX"),
            DecisionKind.REFERRAL,
            Category.PHYSICAL,
            (Criterion.HARMED,),
            DECISION["reason"],
        )
        assert not any(cases.CANARY in key for key in work.casework.kept)

    async def test_errors_stand_at_their_fields_and_the_form_stays(self, work):
        form = await open_form(work)
        submitted = await work.slack.submit_view(ALEX, form["id"], DECISION | {"criteria": [], "reason": "  "})
        assert submitted.response["response_action"] == "errors"
        (open_view,) = work.slack.open_views(ALEX)
        assert open_view["errors"].keys() == {"criteria", "reason"}
        assert work.casework.kept == {}
        assert (await work.slack.submit_view(ALEX, form["id"], DECISION)).response == {}
        assert len(work.casework.kept) == 1

    async def test_errors_are_told_even_where_bolt_cannot_authorise(self, work):
        form = await open_form(work)
        work.slack.fail_next("auth.test", "ratelimited", times=9)
        submitted = await work.slack.submit_view(ALEX, form["id"], DECISION | {"reason": "  "})
        assert submitted.response["response_action"] == "errors"

    async def test_slack_itself_asks_for_what_is_required(self, work):
        form = await open_form(work)
        with pytest.raises(NotPossible, match="decision is required"):
            await work.slack.submit_view(ALEX, form["id"], {"category": "physical", "reason": "x"})

    async def test_that_cannot_be_kept_leaves_the_form_open(self, work):
        form = await open_form(work)
        work.casework.accept_raises = OSError()
        assert not (await work.slack.submit_view(ALEX, form["id"], DECISION)).acked
        assert work.slack.open_views(ALEX) == [form]
        work.casework.accept_raises = None
        assert (await work.slack.submit_view(ALEX, form["id"], DECISION)).acked

    async def test_submitted_twice_is_one_row_and_with_other_words_another(self, work):
        """The second comes where the first acknowledgement was lost: other reasons must not be swallowed."""
        form = await open_form(work)
        work.slack.deliver_twice = 1
        await work.slack.submit_view(ALEX, form["id"], DECISION)
        assert len(work.casework.kept) == 1
        work.slack._stacks[ALEX].append(form["id"])
        await work.slack.submit_view(ALEX, form["id"], DECISION | {"reason": "Better put."})
        assert len(work.casework.kept) == 2

    async def test_a_decided_case_has_no_form(self, work):
        work.casework.cards[cases.CASE] = cases.card(status=Status.DECIDED)
        await work.slack.press(ALEX, "decide")
        await until(lambda: work.slack.ephemerals(ALEX))
        assert "already decided" in work.slack.ephemerals(ALEX)[0]["text"]


class TestWhatWeDoNotUse:
    async def test_events_are_acknowledged_once_and_not_written_down(self, work, caplog):
        said = await work.slack.message(ALEX, DUTY, cases.CANARY)
        assert len(said.envelope_ids) == 1, "not sent again"
        assert cases.CANARY not in caplog.text

    async def test_what_nobody_answers_is_not_acknowledged(self, work, caplog):
        assert not (await work.slack.slash(ALEX, "/unknown", cases.CANARY)).acked
        assert not (await work.slack.shortcut(ALEX, "unknown")).acked
        assert "does not know" in caplog.text
        assert cases.CANARY not in caplog.text


async def test_no_log_at_any_level_holds_content(caplog):
    """Whatever the level of the root: the libraries' own loggers print payloads, bodies and views at DEBUG and above."""
    caplog.set_level(logging.DEBUG)
    async with FakeSlack(ack_seconds=0.4) as slack, at_work(slack) as work:
        form = await open_form(work)
        await slack.submit_view(ALEX, form["id"], DECISION | {"criteria": []})
        await slack.submit_view(ALEX, form["id"], DECISION)
        slack.fail_next("views.open", "invalid_arguments")
        for _ in range(2):
            await slack.press(ALEX, "view")
        await until(lambda: slack.open_views(ALEX))
        await slack.message(ALEX, DUTY, cases.CANARY)
        work.casework.accept_raises = ValueError(cases.CANARY)
        await slack.press(ALEX, "claim")
        slack.drop_sockets()
        await asyncio.sleep(0)
    assert "accepted from Slack: Decide" in caplog.text
    assert cases.CANARY not in caplog.text
    assert "xoxb-" not in caplog.text
    assert "xapp-" not in caplog.text
    library = {record.name for record in caplog.records if record.name.startswith("slack")}
    assert library == set()
