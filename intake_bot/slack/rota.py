"""The duty rota in Slack: the days to come, and the form in which somebody is said to be away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    DatePickerElement,
    InputBlock,
    Option,
    RadioButtonsElement,
    UserSelectElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.rota import DutyDay
from intake_bot.slack.cards import section, who
from intake_bot.slack.kit import VALUE, chosen, field_value, header, made_view, plain

AWAY = "rota_away"
"""The button's action id, and the form's callback id."""
PERSON, STATE, FIRST, LAST, COVER = "person", "state", "first", "last", "cover"
NO_ROTA = "No rota is kept: whoever runs the service names who is on duty in the settings, under rota."


@dataclass(frozen=True, slots=True)
class Said:
    """What was filled in: Slack's user ids, and the duty days; ``first`` is None where somebody is back."""

    person: str
    first: date | None
    last: date
    cover: str | None


def rota_blocks(days: Sequence[DutyDay], *, button: bool = True) -> list[dict[str, Any]]:
    """Who is on duty, a line for each day. ``button``: with one to the form."""
    blocks: list[Block] = [
        header("Duty rota"),
        section(f"Duty passes on at {days[0].begins_local:%H:%M}.\n" + "\n".join(_line(day) for day in days)),
    ]
    if button:
        opens = ButtonElement(text=plain("Somebody is away ..."), action_id=AWAY, value="rota")
        blocks.append(ActionsBlock(block_id="rota", elements=[opens]))
    return [block.to_dict() for block in blocks]


def away_modal(user: str, now: datetime) -> dict[str, Any]:
    """The form, which begins with whoever opened it, today. ``now`` is local."""
    today = f"{now:%Y-%m-%d}"
    states = [Option(text=plain("Away"), value="away"), Option(text=plain("Back from today on"), value="back")]
    return made_view(
        View(
            type="modal",
            callback_id=AWAY,
            title=plain("Duty rota"),
            submit=plain("Save"),
            close=plain("Cancel"),
            blocks=[
                InputBlock(
                    block_id=PERSON,
                    label=plain("Who"),
                    element=UserSelectElement(
                        action_id=VALUE, initial_user=user, placeholder=plain("Choose an officer")
                    ),
                ),
                InputBlock(
                    block_id=STATE,
                    label=plain("They are"),
                    element=RadioButtonsElement(action_id=VALUE, options=states, initial_option=states[0]),
                ),
                InputBlock(
                    block_id=FIRST,
                    label=plain("First day"),
                    hint=plain("A day of duty begins at the handover and lasts to the next day's."),
                    element=DatePickerElement(action_id=VALUE, initial_date=today),
                ),
                InputBlock(
                    block_id=LAST,
                    label=plain("Last day"),
                    element=DatePickerElement(action_id=VALUE, initial_date=today),
                ),
                InputBlock(
                    block_id=COVER,
                    label=plain("Who covers"),
                    hint=plain("Nobody need be told why somebody is away."),
                    optional=True,
                    element=UserSelectElement(action_id=VALUE, placeholder=plain("Choose an officer")),
                ),
            ],
        )
    )


def read_form(values: Mapping[str, Any]) -> Said | dict[str, str]:
    """A submitted form (``view.state.values``), or what is wrong with it: field to a plain sentence."""
    person = str(field_value(values, PERSON, "selected_user") or "")
    first, last = _day(values, FIRST), _day(values, LAST)
    cover = field_value(values, COVER, "selected_user")
    wrong = {}
    if not person:
        wrong[PERSON] = "Choose who."
    if first is None:
        wrong[FIRST] = "Choose a day."
    if last is None:
        wrong[LAST] = "Choose a day."
    if wrong or last is None:
        return wrong
    is_back = chosen(values, STATE) == "back"
    return Said(person, None if is_back else first, last, str(cover) if cover else None)


def _line(day: DutyDay) -> str:
    on_duty = ", ".join(who(one) for one in day.on_duty) or ("*nobody*" if day.usual else "nobody")
    away = "; ".join(f"{who(one)} away" + (f", {who(cover)} covers" if cover else "") for one, cover in day.away)
    return f"{day.day:%a %d %b}: {on_duty}" + (f" ({away})" if away else "")


def _day(values: Mapping[str, Any], name: str) -> date | None:
    text = field_value(values, name, "selected_date")
    return date.fromisoformat(text) if text else None
