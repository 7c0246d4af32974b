"""The card and the notices: what an officer reads at a glance, and what is never in them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from fakes import sample_cases as cases
from fakes.block_kit import message_problems
from intake_bot.casework.desk import Actor, DueTime, Notice, NoticeKind
from intake_bot.casework.vocabulary import DeadlineState, DecisionKind, Status
from intake_bot.slack.cards import card_blocks, card_fallback, notice_blocks, notice_text
from triage.vocabulary import Flag

LONDON = ZoneInfo("Europe/London")
NASTY = "<!channel> *b* _i_ `c` & <https://evil.example|x>"


def words(blocks):
    return json.dumps(blocks, ensure_ascii=False)


def buttons(blocks):
    return [element["action_id"] for block in blocks if block["type"] == "actions" for element in block["elements"]]


def test_a_card_at_one_glance():
    shown = card_blocks(cases.card(), LONDON)
    assert message_problems(shown) == []
    text = words(shown)
    assert shown[0]["text"]["text"] == "LADO-26-7QK3M · New"
    assert "URGENT: Injury to a child" in words(shown[1]), "what is urgent comes first"
    assert (
        f"<!date^{int(cases.DUE.timestamp())}^{{date_short_pretty}} at {{time}}|Monday 30 November 2026 at 16:40>"
        in text
    )
    assert f"<!date^{int(cases.RECEIVED.timestamp())}^" in text
    for part in ("School", "nobody yet", "Suggestion", "an officer decides", "Physical (high confidence, 82%)"):
        assert part in text
    assert "(fair confidence, 61%)" in text
    assert "Seems missing (2):* subject name, date of incident" in text
    assert buttons(shown) == ["claim", "view", "decide", "more"]
    assert {e["value"] for e in shown[-1]["elements"] if e["type"] == "button"} == {cases.CASE}


def test_the_fallback_says_it_without_blocks():
    assert card_fallback(cases.card(), LONDON) == (
        "Injury to a child. LADO-26-7QK3M: new, School, received Friday 27 November 2026 at 16:40, "
        "due Monday 30 November 2026 at 16:40"
    )


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({"status": Status.CLAIMED, "officer": Actor("slack", "T0TEAM/U0ALEX")}, ["view", "decide", "more"]),
        ({"status": Status.DECIDED, "decision": DecisionKind.REFERRAL}, ["view", "more"]),
        ({"status": Status.CONCLUDED}, ["view", "more"]),
        ({"status": Status.NOT_A_CONSULTATION}, ["view", "more"]),
    ],
)
def test_buttons_fit_where_the_case_stands(changes, offered):
    assert buttons(card_blocks(cases.card(**changes), LONDON)) == offered


def test_a_card_without_a_suggestion():
    text = words(card_blocks(cases.card(category=None, threshold=None, flags=(), missing=(), due=()), LONDON))
    assert "none could be made. Read it in full" in text


def test_everything_at_once_is_taken_by_slack():
    shown = card_blocks(cases.full_card(), LONDON)
    assert message_problems(shown) == []
    text = words(shown)
    assert "<@U0ALEX>" in text
    assert "Referral: the harm threshold is met, by sam" in text
    assert "MISSED, was due" in text
    assert "may belong to another case" in text.lower()
    assert "ask nobody's name" in text


def test_foreign_words_in_every_place_stay_inert():
    hostile = cases.full_card(
        reference=NASTY,
        channel=NASTY,
        sector=NASTY,
        officer=Actor("slack", NASTY),
        decided_by=Actor("terminal", NASTY),
        due=(DueTime(NASTY, cases.DUE, DeadlineState.RUNNING),),
    )
    notice = Notice(NoticeKind.REMINDER, NASTY, NASTY, NASTY, cases.DUE, owner=Actor("slack", NASTY), code=NASTY)
    notices = [replace(notice, kind=kind, urgent=tuple(Flag)) for kind in NoticeKind]
    shown = [card_blocks(hostile, LONDON), *(notice_blocks(each, LONDON) for each in notices)]
    assert [message_problems(blocks) for blocks in shown] == [[]] * len(shown)
    for mrkdwn in [text for blocks in shown for text in mrkdwn_texts(blocks)] + [
        card_fallback(hostile, LONDON),
        *(notice_text(each, LONDON) for each in notices),
    ]:
        live = re.findall(r"<[^>]*>", mrkdwn)
        assert all(token.startswith("<!date^") for token in live), mrkdwn
        assert "*b*" not in mrkdwn
        assert "`" not in mrkdwn
        assert "_i_" not in mrkdwn


def mrkdwn_texts(value):
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            assert value["verbatim"] is True, "what looks like a link would become one"
            yield value["text"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from mrkdwn_texts(item)


def test_overlong_words_are_cut_to_what_slack_takes():
    long = "word & " * 15_000
    hostile = cases.full_card(reference=long, channel=long, sector=long, officer=Actor("terminal", long))
    assert message_problems(card_blocks(hostile, LONDON)) == []
    assert len(card_fallback(hostile, LONDON)) <= 3000
    reminder = Notice(NoticeKind.REMINDER, long, long, "at", cases.DUE, owner=Actor("terminal", long))
    assert message_problems(notice_blocks(reminder, LONDON)) == []


def test_a_reminder_says_what_is_due_when_and_whose():
    due = cases.DUE
    notice = Notice(
        NoticeKind.REMINDER, "LADO-26-7QK3M", "triage", "after", due, late=True, owner=Actor("slack", "T0TEAM/U0ALEX")
    )
    assert notice_text(notice, LONDON) == (
        "LADO-26-7QK3M: First response and decision was due Monday 30 November 2026 at 16:40. "
        "It is with T0TEAM/U0ALEX. (This reminder comes late.)"
    )
    shown = words(notice_blocks(notice, LONDON))
    assert "It is with <@U0ALEX>" in shown
    assert f"<!date^{int(due.timestamp())}^" in shown
    unowned = replace(notice, owner=None, moment="before", due_at=due + timedelta(days=1), late=False)
    assert notice_text(unowned, LONDON).endswith("is due Tuesday 1 December 2026 at 16:40. Nobody has claimed it.")


def test_what_joins_and_is_urgent_says_so_first():
    notice = Notice(NoticeKind.JOINED, "LADO-26-7QK3M", code="joined", urgent=(Flag.INJURY,))
    assert notice_text(notice, LONDON) == (
        ":rotating_light: URGENT (Injury to a child): LADO-26-7QK3M: another message has come. Nobody has claimed it."
    )
    calm = notice_text(replace(notice, urgent=()), LONDON)
    assert calm == "LADO-26-7QK3M: another message has come. Nobody has claimed it."


def test_what_is_for_the_manager_calls_upon_those_that_the_settings_name():
    notice = Notice(
        NoticeKind.REMINDER,
        "LADO-26-7KMQ4D",
        "triage",
        "unclaimed",
        cases.DUE,
        to="manager",
    )
    shown = words(notice_blocks(notice, LONDON, ["T0TEAM/U0MANAGER", "S0GROUP", "<!channel>"]))
    assert "<!subteam^S0GROUP> <@U0MANAGER>: LADO-26-7KMQ4D has waited and nobody has claimed it" in shown
    assert "channel" not in shown
    assert "For the manager: LADO-26-7KMQ4D" in words(notice_blocks(notice, LONDON))
    assert notice_text(notice, LONDON).startswith("For the manager: ")
