"""The Home tab and the lists of the slash command: what waits, soonest due first. Codes, times and references alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from intake_bot.casework.queue import UNKNOWN, Overview, Queued, Which
from intake_bot.casework.vocabulary import UNDECIDED
from intake_bot.slack.cards import CLAIM, DECIDE, VIEW, Say, date_token, section, text, who
from intake_bot.slack.escape import line, mrkdwn
from intake_bot.slack.kit import header, made_view, plain
from intake_bot.slack.ports import Board

CONSULT, REFRESH, FILTER, SECTOR, TURN = "consult", "refresh", "home_filter", "home_sector", "home_page"
"""Action ids of the Home tab; ``CONSULT`` is the global shortcut's callback id too."""
SHOWN, ALL_SHOWN = 7, 40
"""Cases of each list on the overview, and on a page of the one list that was chosen. A Home has room for 100 blocks, and a
case on which somebody may act takes two."""
OVERVIEW = "overview"
EVERY_SECTOR = "*"
_FROM_HOME = "home"
"""In the metadata of a modal: what is chosen on the Home tab that it was opened from."""
_WORD = 300
_OPTIONS = 100
"""As many as Slack has room for in a menu."""
FIRST = (Which.OVERDUE, Which.DUE_TODAY, Which.UNCLAIMED, Which.MINE, Which.WAITING)

HELP = (
    "`/lado new` consult the designated officer\n"
    "`/lado queue` all open cases · `/lado due` due today and overdue · `/lado mine` with you\n"
    "`/lado show` and a reference: one case · `/lado search` and words: the record\n"
    "`/lado rota` who is on duty, and to say that somebody is away · `/lado report` this month's figures"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody chose on their Home tab. It travels with the view, so that each press begins from what they see."""

    which: Which | None = None
    """None: the overview of all lists."""
    sector: str | None = None
    """None: every sector."""
    page: int = 0

    @classmethod
    def after(cls, body: Mapping[str, Any]) -> Chosen:
        """What is chosen after a press on the Home tab."""
        now = cls.unpack(str(body.get("view", {}).get("private_metadata", "")))
        action = body["actions"][0]
        option = str((action.get("selected_option") or {}).get("value", ""))
        pressed = str(action["action_id"])
        if pressed == FILTER:
            return replace(now, which=_which(option), page=0)
        if pressed == SECTOR:
            return replace(now, sector=None if option == EVERY_SECTOR else option, page=0)
        return replace(now, page=int(action["value"])) if pressed.startswith(TURN) else now

    @classmethod
    def of_act(cls, body: Mapping[str, Any]) -> Chosen | None:
        """What is chosen on the Home tab that an act came from, by itself or by a modal that was opened there; None where it
        came from elsewhere."""
        view = body.get("view") or {}
        if view.get("type") == "home":
            return cls.after(body)
        try:
            kept = json.loads(view.get("private_metadata") or "{}")
            return cls.unpack(str(kept[_FROM_HOME])) if _FROM_HOME in kept else None
        except (ValueError, TypeError):
            return None

    @classmethod
    def unpack(cls, text: str) -> Chosen:
        try:
            told = json.loads(text)
            return cls(_which(told["which"]), told["sector"], int(told["page"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def pack(self) -> str:
        return json.dumps({"which": self.which or OVERVIEW, "sector": self.sector, "page": self.page})

    @property
    def lists(self) -> tuple[Which, ...]:
        return FIRST if self.which is None else (self.which,)

    @property
    def limit(self) -> int:
        return SHOWN if self.which is None else ALL_SHOWN

    @property
    def offset(self) -> int:
        return 0 if self.which is None else self.page * ALL_SHOWN


def home(
    board: Board, *, chosen: Chosen, now: datetime, zone: ZoneInfo, acts: bool = True, show_content: bool = True
) -> dict[str, Any]:
    """The Home tab of somebody at the desk. ``acts``: whether they may do more than look; ``show_content``: whether Slack
    may hold an officer's words, without which nothing is decided here.
    """
    say, overview = partial(date_token, zone=zone), board.overview
    counts = " · ".join(f"{which.label}: *{overview.counts[which]}*" for which in FIRST)
    blocks: list[Block] = [
        header("Duty desk"),
        section(f"{counts}\nParked: *{overview.parked}* · Without a case: *{overview.unfiled}*"),
        section(month_said(overview)),
    ]
    if board.on_duty:
        blocks.append(section(f"*On duty:* {', '.join(who(one) for one in board.on_duty)}"))
    menus = [_filter(chosen), *_sector_menu(chosen, board.sectors)]
    blocks.append(ActionsBlock(block_id="home", elements=[*menus, *_buttons()]))
    if overview.parked_items:
        blocks.append(section(_parked(overview, say)))
    for which, cases in board.lists.items():
        blocks += [DividerBlock(), header(f"{which.label} ({overview.counts[which]})")]
        for case in cases:
            blocks += _row(which, case, say, acts=acts, decides=show_content)
        if not cases:
            blocks.append(section("None."))
        elif chosen.which is not None:
            blocks += _pages(chosen, overview.counts[which])
        elif overview.counts[which] > len(cases):
            left = overview.counts[which] - len(cases)
            blocks.append(ContextBlock(elements=[text(f"and {left} more: choose the list above")]))
    blocks.append(ContextBlock(elements=[text(f"As at {say(now)}. No names or content stand here.")]))
    return made_view(View(type="home", private_metadata=chosen.pack(), blocks=blocks))


def opened_from(body: Mapping[str, Any], modal: dict[str, Any]) -> dict[str, Any]:
    """The modal as it is opened after that press: from the Home tab, with what is chosen there, so that it can be shown anew
    after an act."""
    if (body.get("view") or {}).get("type") != "home":
        return modal
    kept = json.loads(modal.get("private_metadata") or "{}")
    chosen = Chosen.unpack(str(body["view"].get("private_metadata", "")))
    return modal | {"private_metadata": json.dumps(kept | {_FROM_HOME: chosen.pack()})}


def month_said(overview: Overview) -> str:
    """The month so far against its targets."""
    month = overview.month
    share = f"{month.in_time} of {month.answered} in time" if month.answered else "none due yet"
    others = [f"{target_label(target)}: {met} of {total} in time" for target, met, total in month.targets]
    first = f"*This month:* {month.received} received; first responses {share}"
    return first + (f"\n{mrkdwn(' · '.join(others), 1000)}" if others else "")


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
    for case in cases:
        blocks += _row(which, case, say, acts=False)
    if not cases:
        blocks.append(section("None."))
    if total > len(cases):
        blocks.append(ContextBlock(elements=[text(f"and {total - len(cases)} more: see the Home tab")]))
    return [block.to_dict() for block in blocks]


def _row(which: Which, case: Queued, say: Say, *, acts: bool, decides: bool = False) -> list[Block]:
    urgent = f":rotating_light: *{' · '.join(flag.label for flag in case.urgent)}* " if case.urgent else ""
    due = f"{target_label(case.target or 'target')} by {say(case.due_at)}" if case.due_at else "no clock"
    with_ = f"with {who(case.officer)}" if case.officer else "nobody has it"
    if case.officer is None and case.proposed is not None:
        with_ += f", for {who(case.proposed)}"
    words = text(
        f"{urgent}*{mrkdwn(case.reference, _WORD)}* {case.status.value.replace('_', ' ')}, "
        f"{mrkdwn(case.sector or 'sector not known', _WORD)}, {with_}\n{due}"
    )
    name = f"{which.value}:{case.case_id}"
    fits = [VIEW]
    if acts and case.status in UNDECIDED:
        fits = [*([] if case.officer else [CLAIM]), VIEW, *([DECIDE] if decides else [])]
    if fits == [VIEW]:
        return [SectionBlock(block_id=name, text=words, accessory=_act(case, VIEW))]
    return [
        SectionBlock(block_id=name, text=words),
        ActionsBlock(block_id=f"{name}:acts", elements=[_act(case, act) for act in fits]),
    ]


def _act(case: Queued, act: str) -> ButtonElement:
    return ButtonElement(
        text=plain(act.capitalize()),
        action_id=act,
        value=case.case_id,
        style="primary" if act == CLAIM else None,
        accessibility_label=line(f"{act.capitalize()} {case.reference}", 75),
    )


def _parked(overview: Overview, say: Say) -> str:
    """What could not be dealt with, by its id: what it says is for whoever opens it."""
    lines = [
        f"• `{mrkdwn(one.id, 40)}` {mrkdwn(one.channel, 20)}, {say(one.received_at)} ({_code(one.error)})"
        for one in overview.parked_items
    ]
    left = overview.parked - len(lines)
    more = [f"and {left} more"] if left > 0 else []
    how = "At the terminal: `intake-bot parked`, `replay ID` or `file ID`"
    return "\n".join([f"*Parked ({overview.parked})*: could not be dealt with", *lines, *more, how])


def _code(error: str | None) -> str:
    return mrkdwn((error or "no code").replace("_", " "), 80)


def _pages(chosen: Chosen, total: int) -> list[Block]:
    """The turning of a list that is longer than a page."""
    pages = -(-total // ALL_SHOWN)
    if pages < 2:
        return []
    turns = [("Previous page", chosen.page - 1), ("Next page", chosen.page + 1)]
    buttons: list[InteractiveElement] = [
        ButtonElement(text=plain(label), action_id=f"{TURN}:{page}", value=str(page))
        for label, page in turns
        if 0 <= page < pages
    ]
    where = ContextBlock(elements=[text(f"Page {chosen.page + 1} of {pages}")])
    return [where, ActionsBlock(block_id="pages", elements=buttons)] if buttons else [where]


def _filter(chosen: Chosen) -> InteractiveElement:
    options = [Option(text=plain("Overview"), value=OVERVIEW)]
    options += [Option(text=plain(which.label), value=which.value) for which in Which]
    initial = next((one for one in options if one.value == (chosen.which or OVERVIEW)), options[0])
    return StaticSelectElement(action_id=FILTER, placeholder=plain("Show"), options=options, initial_option=initial)


def _sector_menu(chosen: Chosen, sectors: Sequence[str]) -> list[InteractiveElement]:
    """Where there is something to choose between; a sector that was chosen stays in it, even when its last case has gone."""
    known = dict.fromkeys([*sectors, *([chosen.sector] if chosen.sector is not None else [])])
    if len(known) < 2 and chosen.sector is None:
        return []
    options = [Option(text=plain("Every sector"), value=EVERY_SECTOR)]
    options += [
        Option(text=plain("Sector not known" if one == UNKNOWN else line(one, 75)), value=one)
        for one in list(known)[: _OPTIONS - 1]
    ]
    initial = next((one for one in options if one.value == chosen.sector), options[0])
    return [StaticSelectElement(action_id=SECTOR, placeholder=plain("Sector"), options=options, initial_option=initial)]


def _which(value: str) -> Which | None:
    return next((which for which in Which if which.value == value), None)


def _buttons() -> list[InteractiveElement]:
    return [ButtonElement(text=plain("Refresh"), action_id=REFRESH), _consult()]


def _consult() -> InteractiveElement:
    return ButtonElement(text=plain("Consult the designated officer"), action_id=CONSULT, style="primary")
