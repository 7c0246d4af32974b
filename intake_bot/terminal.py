"""The duty desk on a terminal, for a service without Slack: each card and notice is printed as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from intake_bot.casework.desk import (
    READ_WHOLE,
    TERMINAL,
    Actor,
    Begun,
    CaseCard,
    CaseView,
    DeliveryFailed,
    Direct,
    FileToSend,
    Notice,
    Posted,
)
from intake_bot.casework.letters import say_time
from intake_bot.casework.notices import Voice, sentence, target_label
from intake_bot.casework.vocabulary import DeadlineState
from triage.suggestion import Polarity, Suggestion
from triage.vocabulary import URGENT_FLAGS

PRINTING = "printing to the terminal"
"""The name of a thread that prints."""


class NoSlack:
    """What a desk without Slack cannot do: speak to one colleague, under a card, or of files. It is said for good."""

    async def direct(self, actor: Actor, said: Direct, post_id: str, *, look_first: bool) -> Posted:
        raise DeliveryFailed("no_slack", permanent=True)

    async def post_event(self, said: tuple[str, ...], card: Posted, post_id: str, *, look_first: bool) -> Posted:
        raise DeliveryFailed("no_slack", permanent=True)

    async def erase(self, post: Posted) -> None:
        raise DeliveryFailed("no_slack", permanent=True)

    async def file_stands(self, file: Posted) -> bool:
        return False

    async def send_file(self, actor: Actor, file: FileToSend, begun: Begun, *, before: Posted | None) -> Posted:
        raise DeliveryFailed("no_slack", permanent=True)

    async def erase_file(self, file: Posted) -> None:
        raise DeliveryFailed("no_slack", permanent=True)


class TerminalDesk(NoSlack):
    """Prints to a console, in a thread: a reader who pages holds up nothing else.

    Nothing can be adopted or updated on paper: an update prints the card again.
    """

    def __init__(self, console: Console, zone: ZoneInfo) -> None:
        self._console = console
        self._zone = zone

    async def _print(self, what: RenderableType) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def end(fault: DeliveryFailed | None) -> None:
            if done.done():
                return
            if fault is None:
                done.set_result(None)
            else:
                done.set_exception(fault)

        def write() -> None:
            fault = None
            try:
                self._console.print(what)
            except BaseException:  # a pipe that broke, a locale that cannot write it, rich's own end of the program
                fault = DeliveryFailed("terminal")
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, fault)

        # None of asyncio's own threads, for the end of those is waited for.
        threading.Thread(target=write, daemon=True, name=PRINTING).start()
        await done

    async def post_card(self, card: CaseCard, post_id: str, *, look_first: bool) -> Posted:
        await self._print(_on_the_desk(card, self._zone))
        return Posted(TERMINAL, post_id)

    async def update_card(self, card: CaseCard, at: Posted) -> None:
        await self._print(_on_the_desk(card, self._zone))

    async def post_notice(self, notice: Notice, post_id: str, *, look_first: bool) -> Posted:
        await self._print(Text("● ", style="bold yellow") + Text(notice_sentence(notice, self._zone)))
        return Posted(TERMINAL, post_id)

    async def tell(self, actor: Actor, text: str) -> None:
        await self._print(Text(f"({actor.id}) {text}", style="italic"))


def _on_the_desk(card: CaseCard, zone: ZoneInfo) -> RenderableType:
    """The panel; of a restricted case that there is one, and no more."""
    return Panel(Text("A restricted case."), title=Text(card.reference)) if card.restricted else card_panel(card, zone)


def card_panel(card: CaseCard, zone: ZoneInfo) -> RenderableType:
    """The card as a panel: the same facts as in Slack, and as free of content."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("Received", f"{say_time(card.received_at, zone)}, by {card.channel}")
    facts.add_row("From", Text(card.setting))
    if card.category is not None and card.threshold is not None:
        facts.add_row(
            "Suggestion",
            f"{card.category.label} ({card.category_confidence:.0%}); "
            f"{card.threshold.label} ({card.threshold_confidence:.0%})",
        )
    for due in card.due:
        facts.add_row(target_label(due.target), _due_words(due.due_at, due.state, due.met_at, zone))
    if card.missing:
        facts.add_row("Missing", ", ".join(datum.value.replace("_", " ") for datum in card.missing))
    # As text: a name is no markup, whatever brackets are in it.
    facts.add_row("With", Text(card.officer.id) if card.officer else "nobody yet")
    if card.proposed is not None:
        facts.add_row("For", Text(f"{card.proposed.id} (proposed)"))
    if card.on_duty:
        facts.add_row("On duty", Text(", ".join(one.id for one in card.on_duty)))
    if card.decision is not None and card.decided_by is not None:
        facts.add_row("Decision", Text(f"{card.decision.label}, by {card.decided_by.id}"))
    if card.messages > 1:
        facts.add_row("Messages", str(card.messages))
    lines: list[RenderableType] = []
    if card.flags:
        flags = Text()
        for flag in sorted(card.flags, key=lambda flag: flag not in URGENT_FLAGS):
            flags.append(f" {flag.label} ", style="bold white on red" if flag in URGENT_FLAGS else "black on yellow")
            flags.append(" ")
        lines.append(flags)
    lines.append(facts)
    lines += [Text(f"! {remark.label}", style="bold red") for remark in card.remarks]
    return Panel(
        Group(*lines),
        title=Text.assemble((card.reference, "bold"), f"  {card.status.value.replace('_', ' ')}"),
        title_align="left",
        border_style="red" if URGENT_FLAGS.intersection(card.flags) else "blue",
    )


def notice_sentence(notice: Notice, zone: ZoneInfo) -> str:
    """A notice as one sentence without content."""
    return sentence(notice, Voice(partial(say_time, zone=zone), lambda officer: officer.id))


def suggestion_text(suggestion: Suggestion, text: str) -> RenderableType:
    """The suggestion in words, with the text and its evidence marked: for eyes that may see content."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("Category", f"{suggestion.category.label} ({suggestion.category_confidence:.0%})")
    if suggestion.secondary_categories:
        facts.add_row("Also", ", ".join(category.label for category in suggestion.secondary_categories))
    facts.add_row("Threshold", f"{suggestion.threshold.label} ({suggestion.threshold_confidence:.0%})")
    for criterion in suggestion.criteria:
        facts.add_row(f"Criterion {int(criterion)}", criterion.wording)
    if suggestion.flags:
        facts.add_row("Flags", ", ".join(flag.label for flag in suggestion.flags))
    if suggestion.missing:
        facts.add_row("Missing", ", ".join(datum.value.replace("_", " ") for datum in suggestion.missing))
    facts.add_row("Because", suggestion.reason)
    for polarity, heading in ((Polarity.FOR, "Evidence for"), (Polarity.AGAINST, "against")):
        words = [f"“{e.text}” ({e.label.replace('_', ' ')})" for e in suggestion.evidence if e.polarity is polarity]
        if words:
            facts.add_row(heading, Text("; ".join(words)))
    facts.add_row("Made by", f"{suggestion.engine} {suggestion.version}; an officer decides")
    return Group(facts, Text(), marked(suggestion, text))


def marked(suggestion: Suggestion, text: str) -> Text:
    """The text with what spoke for the suggestion in bold on green, and what spoke against it struck through."""
    shown = Text(text)
    for evidence in suggestion.evidence:
        style = "bold black on green" if evidence.polarity is Polarity.FOR else "strike"
        shown.stylize(style, evidence.start, evidence.end)
    return shown


def print_case(view: CaseView, zone: ZoneInfo, console: Console | None = None) -> None:
    """The whole case for one officer at a terminal."""
    console = console or Console()
    console.print(card_panel(view.card, zone))
    console.print(Text(f"From: {view.card.came_from}"))
    for message in view.messages:
        arrow = "from" if message.direction == "in" else f"to {', '.join(message.recipients) or 'nobody'}, from"
        console.rule(Text(f"{arrow} {message.sender}, {say_time(message.received_at, zone)}"), align="left")
        console.print(Text(message.subject, style="bold"))
        if message.read_whole:
            console.print(Text(READ_WHOLE, style="dim"))
        suggestion = view.suggestion if message.is_evidence_text else message.suggestion
        if suggestion is not None:
            console.print(suggestion_text(suggestion, message.text))
        else:
            console.print(Text(message.text))
        for name in message.attachments:
            console.print(Text(f"attachment: {name} (not scanned)", style="dim"))
    if view.decision is not None:
        console.rule("Decision", align="left")
        console.print(Text(f"{view.decision.decision.label}, by {view.decision.by.id}: {view.decision.reason}"))
    if view.earlier:
        console.rule("Earlier contacts", align="left")
        for one in view.earlier:
            console.print(Text(one))
    if view.record:
        console.rule("Record", align="left")
        for what, words in view.record:
            console.print(Text.assemble((f"{what}: ", "bold"), words))
    console.rule("Deadlines", align="left")
    for explained in view.explanations:
        console.print(Text(explained))
    console.rule("History", align="left")
    for told in view.history:
        console.print(Text(told))


def _due_words(due_at: datetime, state: DeadlineState, met_at: datetime | None, zone: ZoneInfo) -> str:
    when = say_time(due_at, zone)
    match state:
        case DeadlineState.RUNNING:
            return f"by {when}"
        case DeadlineState.MET:
            return f"met, was due {when}"
        case DeadlineState.MISSED:
            return f"MISSED, was due {when}" + (f"; done {say_time(met_at, zone)}" if met_at else "")
        case DeadlineState.CANCELLED:
            return "cancelled"
        case DeadlineState.PAUSED:
            return "paused"
