"""A case that is longer than a view holds, read page by page through real slack-bolt."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from acceptance.slack_desk import Work, at_work, until
from fakes import sample_cases as cases
from fakes.fake_slack import ALEX, FakeSlack

LONG = "".join(f"{number} The coach spoke to the team again. " for number in range(1500))


def page_shown(work: Work) -> str:
    (view,) = work.slack.open_views(ALEX)
    shown = json.dumps(view)
    at = shown.index("Page ")
    return shown[at : at + len("Page 1 of 4")]


async def opened(work: Work) -> dict[str, Any]:
    work.casework.view = replace(cases.view(), messages=(cases.message(text=LONG, full_text=LONG),), suggestion=None)
    await work.slack.press(ALEX, "view", message_ts=work.posted.ts)
    await until(lambda: work.slack.open_views(ALEX))
    return dict(work.slack.open_views(ALEX)[0])


async def test_pages_are_turned_there_and_back_each_on_the_record() -> None:
    async with FakeSlack() as slack, at_work(slack) as work:
        view = await opened(work)
        first = page_shown(work)
        pages = int(first[-1])
        assert pages > 2
        for number in range(2, pages + 1):
            await slack.press(ALEX, "view_next", view_id=view["id"])
            await until(lambda number=number: page_shown(work) == f"Page {number} of {pages}")  # type: ignore[misc]
        assert "1499 The coach" in json.dumps(slack.open_views(ALEX))
        await slack.press(ALEX, "view_previous", view_id=view["id"])
        await until(lambda: page_shown(work) == f"Page {pages - 1} of {pages}")
        looks = [one for one in work.casework.happened if one[0] == "opened"]
        assert looks == [
            ("opened", cases.CASE, f"slack:T0TEAM/{ALEX}", *((page,) if page > 1 else ()))
            for page in (*range(1, pages + 1), pages - 1)
        ]


async def test_two_presses_at_once_turn_one_page() -> None:
    async with FakeSlack() as slack, at_work(slack) as work:
        view = await opened(work)
        slack.deliver_twice = 1
        await slack.press(ALEX, "view_next", view_id=view["id"])
        await until(lambda: len(slack.called("views.update")) == 2)
        assert page_shown(work).startswith("Page 2")
        assert slack.ephemerals(ALEX) == []


async def test_who_may_not_see_it_any_more_turns_no_page() -> None:
    async with FakeSlack() as slack, at_work(slack) as work:
        view = await opened(work)
        work.casework.view = None
        await slack.press(ALEX, "view_next", view_id=view["id"])
        await until(lambda: slack.ephemerals(ALEX))
        assert page_shown(work).startswith("Page 1")
