"""The Home tab: within Slack's limits however much waits, turned page by page, with buttons for those who may act."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fakes.block_kit import view_problems
from intake_bot.casework.desk import Actor
from intake_bot.casework.queue import UNKNOWN, Month, Overview, ParkedItem, Queued, Which
from intake_bot.casework.vocabulary import Status
from intake_bot.slack.home import ALL_SHOWN, FIRST, SHOWN, Chosen, home
from intake_bot.slack.ports import Board
from triage.vocabulary import Flag

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
NASTY = "<!channel> *b*"


def case(number: int, status: Status = Status.NEW) -> Queued:
    officer = None if status is Status.NEW else Actor("slack", "T0TEAM/U0ALEX")
    return Queued(
        f"C{number}",
        f"LADO-26-{number}",
        status,
        NOW,
        NASTY,
        officer,
        (Flag.IMMEDIATE_DANGER,),
        "triage",
        NOW + timedelta(hours=number),
        Actor("slack", "T0TEAM/U0SAM"),
    )


def board(lists: tuple[Which, ...], count: int, *, total: int = 1000, status: Status = Status.NEW) -> Board:
    parked = tuple(ParkedItem(f"01K{number}", "email", NOW, "reading_timeout") for number in range(5))
    overview = Overview(dict.fromkeys(Which, total), 9, 3, Month(31, 29, 28, (("one_month", 4, 5),)), parked)
    cases = {which: [case(number, status) for number in range(count)] for which in lists}
    sectors = (UNKNOWN, *(f"{NASTY} {number} {'x' * 80}" for number in range(150)))
    return Board(overview, cases, sectors, (Actor("slack", "T0TEAM/U0ALEX"), Actor("terminal", NASTY)))


def actions(view: dict[str, Any]) -> list[str]:
    return [one["action_id"] for block in view["blocks"] if block["type"] == "actions" for one in block["elements"]]


@pytest.mark.parametrize("status", [Status.NEW, Status.CLAIMED, Status.PAUSED])
def test_full_lists_are_within_slacks_limits(status: Status) -> None:
    for lists, count, chosen in ((FIRST, SHOWN, Chosen()), ((Which.OPEN,), ALL_SHOWN, Chosen(Which.OPEN, page=3))):
        view = home(board(lists, count, status=status), chosen=chosen, now=NOW, zone=LONDON)
        assert view_problems(view) == []
        assert len(view["blocks"]) <= 100
        # In a menu's plain text nothing is read into it; everywhere else it is taken apart.
        assert "<!channel>" not in json.dumps([block for block in view["blocks"] if block["type"] != "actions"])


def test_whoever_may_not_act_sees_no_button_to_act() -> None:
    shown = home(board(FIRST, SHOWN), chosen=Chosen(), now=NOW, zone=LONDON, acts=False)
    assert not {"claim", "decide"} & set(actions(shown))
    assert {"claim", "decide"} <= set(actions(home(board(FIRST, SHOWN), chosen=Chosen(), now=NOW, zone=LONDON)))


@pytest.mark.parametrize("status", [Status.NEW, Status.CLAIMED])
def test_a_desk_without_content_offers_no_decision(status: Status) -> None:
    shown = home(board(FIRST, 1, status=status), chosen=Chosen(), now=NOW, zone=LONDON, show_content=False)
    words = json.dumps(shown)
    assert '"decide"' not in words
    assert '"view"' in words
    assert ('"claim"' in words) is (status is Status.NEW)


@pytest.mark.parametrize(
    ("page", "turns"), [(0, ["home_page:1"]), (1, ["home_page:0", "home_page:2"]), (2, ["home_page:1"])]
)
def test_a_long_list_is_turned_page_by_page(page: int, turns: list[str]) -> None:
    chosen = Chosen(Which.OPEN, "Education", page)
    view = home(board((Which.OPEN,), 5, total=2 * ALL_SHOWN + 1), chosen=chosen, now=NOW, zone=LONDON)
    assert [one for one in actions(view) if one.startswith("home_page")] == turns
    assert f"Page {page + 1} of 3" in json.dumps(view)
    pressed = {"view": view, "actions": [{"action_id": turns[-1], "value": turns[-1].rpartition(":")[2]}]}
    assert Chosen.after(pressed) == Chosen(Which.OPEN, "Education", int(turns[-1][-1]))


def test_another_filter_begins_at_the_first_page_and_keeps_the_other() -> None:
    view = {"private_metadata": Chosen(Which.OPEN, "Education", 2).pack()}

    def after(action_id: str, value: str) -> Chosen:
        return Chosen.after({"view": view, "actions": [{"action_id": action_id, "selected_option": {"value": value}}]})

    assert after("home_filter", "mine") == Chosen(Which.MINE, "Education")
    assert after("home_filter", "overview") == Chosen(None, "Education")
    assert after("home_sector", "*") == Chosen(Which.OPEN)
    assert after("home_sector", UNKNOWN) == Chosen(Which.OPEN, UNKNOWN)
    assert Chosen.after({"view": view, "actions": [{"action_id": "refresh"}]}) == Chosen(Which.OPEN, "Education", 2)
    assert Chosen.unpack("of an older version") == Chosen()


def test_it_says_who_is_on_duty_what_is_parked_and_how_the_targets_are_kept() -> None:
    words = json.dumps(home(board(FIRST, 1), chosen=Chosen(), now=NOW, zone=LONDON), ensure_ascii=False)
    for said in (
        "*On duty:* <@U0ALEX>",
        "*Parked (9)*",
        "`01K0` email",
        "(reading timeout)",
        "and 4 more",
        "first responses 28 of 29 in time",
        "Conclusion within one month: 4 of 5 in time",
        "for <@U0SAM>",
    ):
        assert said in words
