"""``rota``: who is on duty when, and who is away."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ByOption,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.casework.acts import Done, Refused
    from intake_bot.casework.desk import Actor
    from intake_bot.casework.rota import DutyDay
    from intake_bot.house import House


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rota")(rota)


def rota(
    away: Annotated[str | None, typer.Option("--away", metavar="NAME", help="Who is away, as in the settings.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="D", help="The first duty day away, such as 2026-12-01. Default: today."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="D", help="The last, which counts. Default: the first.")
    ] = None,
    cover: Annotated[str | None, typer.Option("--cover", metavar="NAME", help="Who stands in for them.")] = None,
    back: Annotated[
        str | None, typer.Option("--back", metavar="NAME", help="Who is there again from today on.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days to show.")] = 14,
    by: ByOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Who is on duty, or say who is away. The week itself stands in the settings, under [rota]."""
    from intake_bot.casework import rota as rows

    if away and back:
        wrong("--away or --back, not both")
    if (since or to or cover) and not away:
        wrong("--from, --to and --cover go with --away")
    with opened_house(config, data) as house:
        now, actor = now_utc(), acting(by)
        if away:
            first = _day(since) or house.practice.week.day_at(house.practice.calendar, now)
            last, stands_in, who = _day(to) or first, _person(cover), _named(away)
            with house.database.write() as session:
                _say(
                    rows.away(session, house.practice, who, first=first, last=last, cover=stands_in, by=actor, now=now)
                )
        elif back:
            with house.database.write() as session:
                _say(rows.back(session, house.practice, _named(back), by=actor, now=now))
        else:
            with house.database.read() as session:
                shown = rows.days(session, house.practice, now, days)
            _show(house, shown, as_json=as_json)


def _say(result: Done | Refused) -> None:
    from intake_bot.casework.acts import Refused

    if isinstance(result, Refused):
        failed(result.said)
    print(result.said)


def _show(house: House, shown: list[DutyDay], *, as_json: bool) -> None:
    if as_json:
        for one in shown:
            print_json(_json(one))
        return
    if not house.practice.week.is_kept:
        print("No rota is kept: name who is on duty in the settings, under [rota].")
        return
    print(f"Duty passes on at {house.practice.week.handover:%H:%M}.")
    for one in shown:
        said = ", ".join(who.id for who in one.on_duty) or "nobody"
        gone = "; ".join(f"{who.id} away" + (f", {cover.id} covers" if cover else "") for who, cover in one.away)
        print(f"{one.day:%a %d %b %Y}  {said}" + (f"  ({gone})" if gone else ""))


def _json(day: DutyDay) -> dict[str, Any]:
    from intake_bot.casework.views import rfc3339

    return {
        "day": day.day.isoformat(),
        "begins": rfc3339(day.begins),
        "on_duty": [str(one) for one in day.on_duty],
        "usual": [str(one) for one in day.usual],
        "away": [{"person": str(who), "cover": str(cover) if cover else None} for who, cover in day.away],
    }


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        wrong("a day must be such as 2026-12-01")


def _person(text: str | None) -> Actor | None:
    return _named(text) if text else None


def _named(text: str) -> Actor:
    from intake_bot.casework.duty import person

    try:
        return person(text)
    except ValueError as problem:
        wrong(str(problem))
