"""The Home tab and the lists of the slash command: what waits, soonest due first. Codes, times and references alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    DividerBlock,
    InteractiveElement,
    Option,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.notices import target_label
from intake_bot.casework.queue import Overview, Queued, Which
from intake_bot.slack.cards import VIEW, date_token, section, text, who
from intake_bot.slack.escape import line, mrkdwn
from intake_bot.slack.kit import header, made_view, plain

CONSULT, REFRESH, FILTER = "consult", "refresh", "home_filter"
"""Action ids of the Home tab; ``CONSULT`` is the global shortcut's callback id too."""
SHOWN, ALL_SHOWN = 8, 40
"""Cases of each list on the overview, and of the one list that was chosen. A Home has room for 100 blocks."""
OVERVIEW = "overview"
_WORD = 300
FIRST = (Which.OVERDUE, Which.DUE_TODAY, Which.UNCLAIMED, Which.MINE, Which.WAITING)

HELP = (
    "`/lado new` consult the designated officer\n"
    "`/lado queue` all open cases · `/lado due` due today and overdue · `/lado mine` with you\n"
    "`/lado show` and a reference: one case · `/lado search` and words: the record\n"
    "`/lado report` this month's figures"
)


def home(
    overview: Overview, lists: Mapping[Which, Sequence[Queued]], *, chosen: str, now: datetime, zone: ZoneInfo
) -> dict[str, Any]:
    """The Home tab of somebody at the desk. ``chosen`` is :data:`OVERVIEW` or the one list that is shown."""
    say = partial(date_token, zone=zone)
    counts = " · ".join(f"{which.label}: *{overview.counts[which]}*" for which in FIRST)
    blocks: list[Block] = [
        header("Duty desk"),
        section(f"{counts}\nParked: *{overview.parked}* · Without a case: *{overview.unfiled}*"),
        section(month_said(overview)),
        ActionsBlock(block_id="home", elements=[_filter(chosen), *_buttons()]),
    ]
    for which, cases in lists.items():
        blocks += [DividerBlock(), header(f"{which.label} ({overview.counts[which]})")]
        blocks += [_row(which, case, say) for case in cases]
        left = overview.counts[which] - len(cases)
        if not cases:
            blocks.append(section("None."))
        elif left > 0:
            blocks.append(ContextBlock(elements=[text(f"and {left} more: choose the list above")]))
    blocks.append(ContextBlock(elements=[text(f"As at {say(now)}. No names or content stand here.")]))
    return made_view(View(type="home", blocks=blocks))


def month_said(overview: Overview) -> str:
    """The month so far in a line."""
    month = overview.month
    share = f"{month.in_time} of {month.answered} in time" if month.answered else "none due yet"
    return f"*This month:* {month.received} received; first responses {share}"


def visitors_home() -> dict[str, Any]:
    """The Home tab of everybody else: how to consult, and that nothing of a case is shown here."""
    return made_view(
        View(
            type="home",
            blocks=[
                header("Designated officer"),
                section(
                    "Are you worried that an adult who works with children may have harmed a child, or may not be "
                    "suitable to work with them? Consult the designated officer. "
                    "*If a child is in immediate danger, ring 999 first.*"
                ),
                ActionsBlock(block_id="home", elements=[_consult()]),
            ],
        )
    )


def cases_blocks(which: Which, cases: Sequence[Queued], *, total: int, zone: ZoneInfo) -> list[dict[str, Any]]:
    """A list as the answer to a command, for one officer's eyes."""
    say = partial(date_token, zone=zone)
    blocks: list[Block] = [header(f"{which.label} ({total})")]
    blocks += [_row(which, case, say) for case in cases] or [section("None.")]
    if total > len(cases):
        blocks.append(ContextBlock(elements=[text(f"and {total - len(cases)} more: see the Home tab")]))
    return [block.to_dict() for block in blocks]


def _row(which: Which, case: Queued, say: Any) -> Block:
    urgent = f":rotating_light: *{' · '.join(flag.label for flag in case.urgent)}* " if case.urgent else ""
    due = f"{target_label(case.target or 'target')} by {say(case.due_at)}" if case.due_at else "no clock"
    with_ = f"with {who(case.officer)}" if case.officer else "nobody has it"
    words = (
        f"{urgent}*{mrkdwn(case.reference, _WORD)}* {case.status.value.replace('_', ' ')}, "
        f"{mrkdwn(case.sector or 'sector not known', _WORD)}, {with_}\n{due}"
    )
    return SectionBlock(
        block_id=f"{which.value}:{case.case_id}",
        text=text(words),
        accessory=ButtonElement(
            text=plain("View"),
            action_id=VIEW,
            value=case.case_id,
            accessibility_label=line(f"View {case.reference}", 75),
        ),
    )


def _filter(chosen: str) -> InteractiveElement:
    options = [Option(text=plain("Overview"), value=OVERVIEW)]
    options += [Option(text=plain(which.label), value=which.value) for which in Which]
    initial = next((one for one in options if one.value == chosen), options[0])
    return StaticSelectElement(action_id=FILTER, placeholder=plain("Show"), options=options, initial_option=initial)


def _buttons() -> list[InteractiveElement]:
    return [ButtonElement(text=plain("Refresh"), action_id=REFRESH), _consult()]


def _consult() -> InteractiveElement:
    return ButtonElement(text=plain("Consult the designated officer"), action_id=CONSULT, style="primary")
