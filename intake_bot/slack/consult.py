"""Consulting by Slack: the form that a colleague fills in, and what is said to them in their own conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    CheckboxesElement,
    InputBlock,
    Option,
    PlainTextInputElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.consultation import SLACK, Consultation, problems
from intake_bot.casework.desk import Actor
from intake_bot.slack.cards import section
from intake_bot.slack.home import CONSULT
from intake_bot.slack.kit import VALUE, field_value, made_view, plain
from intake_bot.slack.rich import Piece, chunks, rich

CONSULTATION = "consultation"
"""The form's callback id."""
LOG_MESSAGE = "log_consultation"
"""The message shortcut's callback id."""
WORDS = 3000
_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("what_happened", "What happened, or what worries you", "In the words of whoever saw or heard it."),
    ("when", "When", "The day and time, or how long it has gone on."),
    (
        "first_knew",
        "When did you first know?",
        "Where you are the employer: the day as 27/11/2026, and the time if you can.",
    ),
    ("adult", "The adult", "Full name. Leave it out where no names are to be given."),
    ("adult_role", "Their role", "Teaching assistant, coach, foster carer ..."),
    ("workplace", "Where they work or volunteer", ""),
    ("child", "The child", "Name and age of each, or the age alone."),
    ("done_so_far", "What has been done so far", "Nothing yet is an answer too."),
    ("reporter", "Who you are", "Your name and role, where it is not you who saw it: theirs too."),
    ("telephone", "How to reach you", "A telephone number, beside Slack."),
)
"""Name, label and hint of each."""
_LONG = frozenset({"what_happened", "done_so_far"})


def consult_modal(*, words: str = "") -> dict[str, Any]:
    """The form. Nothing but what happened has to be filled in. ``words`` are those of the message that it began from."""
    blocks: list[Block] = [
        section(
            "*If a child is in immediate danger, ring 999 first.* Do not question the child or the adult. Only what "
            "happened has to be filled in: send what you know."
        ),
        _ticks("in_danger", "Now", "A child is in immediate danger"),
    ]
    for name, label, hint in _FIELDS:
        initial = words[:WORDS] if name == "what_happened" and words.strip() else None
        blocks.append(
            InputBlock(
                block_id=name,
                label=plain(label),
                hint=plain(hint) if hint else None,
                optional=name != "what_happened",
                element=PlainTextInputElement(
                    action_id=VALUE,
                    multiline=name in _LONG,
                    max_length=WORDS if name in _LONG else 300,
                    initial_value=initial,
                ),
            )
        )
    blocks.append(_ticks("no_names", "No names", "I consult without naming anybody"))
    return made_view(
        View(
            type="modal",
            callback_id=CONSULTATION,
            title=plain("Consult the officer"),
            submit=plain("Send"),
            close=plain("Cancel"),
            blocks=blocks,
        )
    )


def elsewhere(address: str) -> str:
    """Where to go instead, where no content is taken in Slack."""
    return f"Please write nothing about people in Slack: write to {address}, or telephone the duty officer."


def elsewhere_modal(address: str) -> dict[str, Any]:
    """In place of the form."""
    return made_view(
        View(
            type="modal",
            callback_id="elsewhere",
            title=plain("Consult the officer"),
            close=plain("Close"),
            blocks=[section("*If a child is in immediate danger, ring 999 first.*"), rich([Piece(elsewhere(address))])],
        )
    )


def parse_consultation(values: Mapping[str, Any], by: Actor) -> Consultation | dict[str, str]:
    """A submitted form (``view.state.values``), or what is wrong with it: field to a plain sentence."""
    told = Consultation(
        channel=SLACK,
        asker=str(by),
        in_danger=bool(field_value(values, "in_danger", "selected_options")),
        no_names=bool(field_value(values, "no_names", "selected_options")),
        **{name: str(field_value(values, name, "value") or "") for name, _, _ in _FIELDS},
    )
    return problems(told) or told


def direct_blocks(text: str, *, form: bool) -> list[dict[str, Any]]:
    """What is said to one person: words that nothing is read into, and the button to the form where it helps."""
    parts, _ = chunks([Piece(text)], 30_000)
    blocks: list[Block] = [rich(part) for part in parts]
    if form:
        button = ButtonElement(text=plain("Consult about something else"), action_id=CONSULT)
        blocks.append(ActionsBlock(block_id="direct", elements=[button]))
    return [block.to_dict() for block in blocks]


def _ticks(name: str, label: str, what: str) -> Block:
    return InputBlock(
        block_id=name,
        label=plain(label),
        optional=True,
        element=CheckboxesElement(action_id=VALUE, options=[Option(text=plain(what), value="yes")]),
    )
