"""The figures so far for a manager: as the answer to a command, and from a button on Home. Numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, ContextBlock
from slack_sdk.models.views import View

from intake_bot.slack.cards import section, text
from intake_bot.slack.escape import mrkdwn
from intake_bot.slack.kit import header, made_view, plain
from intake_bot.slack.ports import SoFar

FIGURES = "figures"
"""The button's action id, and what the permission for it is called."""
MANAGERS_ALONE = "Only managers see these figures."
_WHOLE = "For a report with its tables and charts: intake-bot report, at the terminal."


def answer(so_far: Sequence[SoFar]) -> list[dict[str, Any]]:
    """The answer to the command, for one person's eyes."""
    return [block.to_dict() for block in _blocks(so_far)]


def modal(so_far: Sequence[SoFar]) -> dict[str, Any]:
    return made_view(View(type="modal", title=plain("Figures so far"), close=plain("Close"), blocks=[*_blocks(so_far)]))


def with_button(view: dict[str, Any]) -> dict[str, Any]:
    """A Home tab with the button under it."""
    button = ActionsBlock(block_id=FIGURES, elements=[ButtonElement(text=plain("Figures so far"), action_id=FIGURES)])
    return view | {"blocks": [*view["blocks"], button.to_dict()]}


def _blocks(so_far: Sequence[SoFar]) -> Iterator[Block]:
    for label, sentences in so_far:
        yield header(label)
        yield section(mrkdwn("\n".join(f"• {sentence}" for sentence in sentences), 2900))
    yield ContextBlock(elements=[text(_WHOLE)])
