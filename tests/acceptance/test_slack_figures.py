"""The figures so far in Slack: to managers, by command and from Home, and to nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from acceptance.slack_desk import Work, at_work, until
from fakes.block_kit import view_problems
from fakes.fake_slack import ALEX, SAM, FakeSlack
from intake_bot.slack import figures

SO_FAR = [("1 to 27 November 2026", ["7 contacts were received.", "Of 5 that were decided, 2 met the <threshold>."])]


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    async with FakeSlack() as slack, at_work(slack, managers=frozenset({SAM})) as working:
        yield working


async def test_a_manager_is_answered_by_command(work: Work) -> None:
    await work.slack.slash(SAM, "/lado", "report")
    await until(lambda: work.slack.ephemerals(SAM))
    assert "7 contacts were received" in json.dumps(work.slack.ephemerals(SAM))
    assert work.casework.happened[-1] == ("figures", f"slack:T0TEAM/{SAM}")


async def test_the_button_opens_them_for_a_manager_alone(work: Work) -> None:
    for user in (SAM, ALEX):
        work.slack.homes[user] = figures.with_button({"type": "home", "blocks": []})
    await work.slack.press(SAM, figures.FIGURES, home=True)
    await until(lambda: work.slack.open_views(SAM))
    assert "7 contacts were received" in json.dumps(work.slack.open_views(SAM))
    await work.slack.press(ALEX, figures.FIGURES, home=True)
    await until(lambda: work.slack.ephemerals(ALEX))
    assert figures.MANAGERS_ALONE in json.dumps(work.slack.ephemerals(ALEX))
    assert work.slack.open_views(ALEX) == []


def test_what_is_shown_fits_and_holds_no_markup() -> None:
    modal = figures.modal(SO_FAR)
    assert view_problems(modal) == []
    assert "&lt;threshold&gt;" in json.dumps(modal)
    home = figures.with_button({"type": "home", "blocks": []})
    assert view_problems(home) == []
