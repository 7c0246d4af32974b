"""The command that searches: places to look at, newest first, and how far back it looked."""

from __future__ import annotations

import asyncio
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    moment_of,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.casework.desk import Actor
    from intake_bot.house import House
    from intake_bot.searching import Searching
    from storage.search import Words


def add_to(app: typer.Typer) -> None:
    app.command()(search)


def search(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORDS...",
            help="All of them, in any order; kier* finds what begins so. A lone - reads them from standard input, which "
            "keeps them out of the shell's history and the list of processes.",
        ),
    ],
    officer: Annotated[str | None, typer.Option(metavar="O", help="Only cases of this officer.")] = None,
    since: Annotated[str | None, typer.Option(metavar="T", help="RFC 3339; nothing from before.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on from where an earlier search stopped.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Stop after so many, and say how to go on.")] = 200,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Find words in messages and in the reasons of decisions, newest first. It looks for five seconds, then says how far.

    A restricted case is found by those alone who are named on it.
    """
    from storage.search import Cursor, NoWords, Words, WrongCursor

    try:
        wanted = Words(sys.stdin.read().split() if words == ["-"] else words)
    except NoWords:
        wrong("give from one to twenty words to look for")
    try:
        cursor = Cursor.parse(before) if before else None
    except WrongCursor:
        wrong("--before takes the cursor that an earlier search printed")
    filters = {"officer": officer, "since": moment_of(since) if since else None, "before": cursor, "limit": limit}
    with opened_house(config, data) as house:
        asyncio.run(_search(house, wanted, filters, json_=json_))


async def _search(house: House, words: Words, filters: dict[str, Any], *, json_: bool) -> None:
    from intake_bot.casework.views import rfc3339
    from intake_bot.searching import SearchFailed, search

    by = acting(None)
    try:
        async with search(
            house.database,
            house.practice.vault,
            words,
            actor=str(by),
            now=now_utc(),
            allowed=cache(partial(_may_see, house, by)),
            **filters,
        ) as searching:
            async for match in searching:
                if json_:
                    line = {"case": match.reference, "kind": match.kind, "id": match.id, "at": rfc3339(match.at)}
                    print_json(line | {"cursor": str(match.cursor)})
                else:
                    print(
                        f"{rfc3339(match.at)}  {match.reference or 'unfiled':16}  {match.kind:8}  {match.id}",
                        flush=True,
                    )
    except SearchFailed as failure:
        failed(f"the search did not end well ({failure.code})")
    _say_how_far(searching, json_=json_)


def _may_see(house: House, actor: Actor, case_id: str) -> bool:
    """Whether a case exists for whoever searches: a restricted one is found by those alone who are named on it."""
    from intake_bot.casework import views
    from storage.tables import Case

    with house.database.read() as session:
        case = session.get(Case, case_id)
        return case is not None and views.may_see(case, actor)


def _say_how_far(searching: Searching, *, json_: bool) -> None:
    from intake_bot.casework.views import rfc3339

    looked = searching.looked
    assert looked is not None  # noqa: S101 (it was iterated to its end)
    if json_:
        print_json(
            {
                "matches": searching.matches,
                "examined": looked.examined,
                "unreadable": looked.unreadable,
                "back_to": rfc3339(looked.back_to),
                "cursor": str(looked.cursor) if looked.cursor else None,
            }
        )
        return
    through = f"; {looked.examined} texts looked through" if looked.examined is not None else " so far"
    print(f"{searching.matches} found{through}", file=sys.stderr)
    if looked.unreadable:
        print(f"{looked.unreadable} could not be opened: see intake-bot verify", file=sys.stderr)
    if looked.cursor:
        print(f"looked back to {rfc3339(looked.back_to)}; to go on: --before {looked.cursor}", file=sys.stderr)
