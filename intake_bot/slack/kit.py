"""Small parts of Block Kit that cards, modals and Home are made of, and the reading of what was filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sdk.models.blocks import Block, HeaderBlock, Option, PlainTextObject
from slack_sdk.models.views import View

from intake_bot.slack.escape import cut, line
from intake_bot.slack.rich import Piece, rich

TITLE, OPTION, LINE = 24, 75, 300
VALUE = "value"
"""The action id of every input: its block id names the field."""


def facts(*given: tuple[str, str], limit: int = LINE) -> Block:
    return rich(lines(*given, limit=limit))


def lines(*given: tuple[str, str], limit: int = LINE) -> list[Piece]:
    """Lines of a bold name and a value; those without a value are left out."""
    pieces = []
    for name, value in given:
        if value:
            pieces += [Piece(f"{name}: " if name else "", "bold"), Piece(f"{cut(value.strip(), limit) or '-'}\n")]
    return pieces


def chosen(values: Mapping[str, Any], field: str) -> str:
    return str((field_value(values, field, "selected_option") or {}).get("value", ""))


def field_value(values: Mapping[str, Any], field: str, what: str) -> Any:
    return values.get(field, {}).get(VALUE, {}).get(what)


def option(label: str, value: str) -> Option:
    """An option whose label may be longer than Slack's 75 characters: it goes on in the description, word for word."""
    if len(label) <= OPTION:
        return Option(text=plain(label), value=value)
    at = label.rfind(" ", 0, OPTION + 1)
    at = at if at > 0 else OPTION - 1
    return Option(text=plain(label[:at]), description=plain(cut(label[at:].strip(), OPTION)), value=value)


def header(text: str) -> HeaderBlock:
    return HeaderBlock(text=plain(line(text, 150)))


def plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=text, emoji=False)


def made_view(view: View) -> dict[str, Any]:
    made: dict[str, Any] = view.to_dict()
    return made
