"""Modals: the case with its content for one officer, and the form in which an officer decides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    CheckboxesElement,
    DividerBlock,
    HeaderBlock,
    InputBlock,
    InteractiveElement,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.acts import Decide
from intake_bot.casework.desk import READ_WHOLE, Actor, CaseCard, CaseView, MessageView
from intake_bot.casework.files import NOT_SCANNED
from intake_bot.casework.letters import say_time
from intake_bot.casework.notices import target_label
from intake_bot.casework.officer import problems
from intake_bot.casework.vocabulary import DecisionKind
from intake_bot.slack.cards import confidence
from intake_bot.slack.escape import line
from intake_bot.slack.kit import LINE, TITLE, VALUE, chosen, facts, field_value, header, lines, made_view, option, plain
from intake_bot.slack.rich import Piece, chunks, cost, marked, rich
from triage.suggestion import Polarity, Suggestion
from triage.vocabulary import Category, Criterion

DECIDE = "decide"
"""The callback id of the form."""
CATEGORY, CRITERIA, DECISION, REASON = "category", "criteria", "decision", "reason"
"""The form's fields: block ids, by which errors find their field. The names are those of ``officer.problems``."""

REASON_LENGTH = 3000
PAGE_BLOCKS, PAGE_BYTES = 60, 20_000
"""What a page holds at most. Slack takes 100 blocks and 250 kB; a page is for reading."""
EVIDENCE_SHOWN, RECORD_A_BLOCK = 12, 4
VIEW, PREVIOUS, NEXT = "view", "view_previous", "view_next"
"""The view's callback id, and the buttons that turn its pages: each carries the number of its page."""
FILES = "files"
"""The button that has a file sent."""
NO_CONTENT = "No content is shown in Slack here."

_TRUST = {
    "pass": "the sender's address is authenticated",
    "fail": "THE SENDER'S ADDRESS FAILED AUTHENTICATION: check who wrote before you answer",
    "none": "the sender's address is not authenticated",
}


def view_modal(view: CaseView, zone: ZoneInfo, page: int = 1, *, sends_files: bool = False) -> dict[str, Any]:
    """The case as one officer reads it, page by page: suggestion, messages with the evidence marked, record.

    Foreign words stand in rich text only, where nothing is interpreted. Nothing is left out: what does not fit is on the
    next page; a ``page`` that is not there is the nearest one. ``sends_files``: whether this officer may have files sent.
    """
    reference = line(view.card.reference, 60)
    pages = paged(_blocks_of(view, zone, sends_files=sends_files))
    page = max(1, min(page, len(pages)))
    blocks = list(pages[page - 1])
    if len(pages) > 1:
        blocks += _turning(page, len(pages))
    return made_view(
        View(
            type="modal",
            callback_id=VIEW,
            title=plain(line(reference, TITLE)),
            close=plain("Close"),
            private_metadata=json.dumps({"case": view.card.case_id}),
            blocks=blocks,
        )
    )


def bare_modal(card: CaseCard, zone: ZoneInfo) -> dict[str, Any]:
    """What is shown in place of a case where no content may be in Slack: where to read it, and what its card says."""
    coded = [
        ("Status", card.status.value.replace("_", " ")),
        ("Received", f"{say_time(card.received_at, zone)}, by {card.channel}"),
        *((target_label(due.target), f"{due.state.value}, due {say_time(due.due_at, zone)}") for due in card.due),
        ("Decision", card.decision.label if card.decision else ""),
    ]
    return made_view(
        View(
            type="modal",
            callback_id="bare",
            title=plain(line(card.reference, TITLE)),
            close=plain("Close"),
            blocks=[
                facts(("", f"{NO_CONTENT} Read the case with: intake-bot show {line(card.reference, 60)}")),
                facts(*coded),
            ],
        )
    )


def paged(blocks: Sequence[Block]) -> list[list[Block]]:
    """The blocks on pages that Slack takes. No page ends with a heading."""
    pages: list[list[Block]] = [[]]
    room = PAGE_BYTES
    for block in blocks:
        size = len(json.dumps(block.to_dict()))
        page = pages[-1]
        if page and (size > room or len(page) >= PAGE_BLOCKS):
            ends_early = isinstance(page[-1], HeaderBlock) and len(page) > 1
            pages.append([page.pop()] if ends_early else [])
            room = PAGE_BYTES
        pages[-1].append(block)
        room -= size
    return pages


def _turning(page: int, pages: int) -> list[Block]:
    buttons: list[InteractiveElement] = []
    if page > 1:
        buttons.append(ButtonElement(text=plain("Previous page"), action_id=PREVIOUS, value=str(page - 1)))
    if page < pages:
        buttons.append(ButtonElement(text=plain("Next page"), action_id=NEXT, value=str(page + 1)))
    return [facts(("", f"Page {page} of {pages}")), ActionsBlock(block_id="pages", elements=buttons)]


def _blocks_of(view: CaseView, zone: ZoneInfo, *, sends_files: bool) -> list[Block]:
    blocks: list[Block] = [facts(("From", view.card.came_from))]
    if sends_files and any(message.attachments for message in view.messages):
        button = ButtonElement(text=plain("Send me a file ..."), action_id=FILES, value=view.card.case_id)
        blocks.append(ActionsBlock(block_id=FILES, elements=[button]))
    if view.decision is not None:
        decided = view.decision
        blocks.append(header("Decision"))
        blocks.append(
            facts(
                ("", f"{decided.decision.label}, by {decided.by.id}, {say_time(decided.at, zone)}"),
                ("Category", decided.category.label),
                *((f"Criterion {int(criterion)}", criterion.wording) for criterion in decided.criteria),
                ("Reasons", decided.reason),
                limit=REASON_LENGTH,
            )
        )
    blocks += _suggestion(view.suggestion)
    if view.earlier:
        blocks += [header("Earlier contacts"), *_whole("\n".join(view.earlier))]
    for message in view.messages:
        blocks += _message_blocks(message, view.suggestion, zone)
    if view.record:
        blocks.append(header("Record"))
        blocks += [facts(*some, limit=REASON_LENGTH) for some in _by(RECORD_A_BLOCK, view.record)]
    if view.explanations:
        blocks += [header("Deadlines"), *_whole("\n".join(view.explanations))]
    if view.history:
        blocks += [header("History"), *_whole("\n".join(view.history))]
    if view.proposed_links:
        blocks.append(facts(("May belong to", ", ".join(view.proposed_links))))
    return blocks


def _whole(text: str) -> list[Block]:
    return [rich(part) for part in _parts([Piece(text)])]


def _parts(pieces: list[Piece]) -> list[list[Piece]]:
    """All of the pieces, in blocks that end at words' ends."""
    return chunks(pieces, cost(pieces))[0]


def decide_modal(card: CaseCard) -> dict[str, Any]:
    """The form for a decision. Nothing in it comes filled in: the suggestion stands beside it, and the officer decides."""
    if card.category is None or card.threshold is None:
        suggested = "none could be made"
    else:
        suggested = (
            f"{card.category.label} ({confidence(card.category_confidence)}); "
            f"{card.threshold.label} ({confidence(card.threshold_confidence)})"
        )
    blocks: list[Block] = [
        facts(("Case", card.reference), ("A machine's suggestion, not a decision", suggested)),
        InputBlock(
            block_id=DECISION,
            label=plain("Decision"),
            element=RadioButtonsElement(
                action_id=VALUE, options=[option(kind.label, kind.value) for kind in DecisionKind]
            ),
        ),
        InputBlock(
            block_id=CATEGORY,
            label=plain("Category"),
            element=StaticSelectElement(
                action_id=VALUE,
                placeholder=plain("Choose"),
                options=[option(category.label, category.value) for category in Category],
            ),
        ),
        InputBlock(
            block_id=CRITERIA,
            label=plain("Criteria met"),
            hint=plain("A referral meets at least one. Keeping children safe in education, Part four."),
            optional=True,
            element=CheckboxesElement(
                action_id=VALUE, options=[option(criterion.wording, str(int(criterion))) for criterion in Criterion]
            ),
        ),
        InputBlock(
            block_id=REASON,
            label=plain("Reasons"),
            hint=plain("Kept on the record. Never shown in the channel."),
            element=PlainTextInputElement(action_id=VALUE, multiline=True, max_length=REASON_LENGTH),
        ),
    ]
    return made_view(
        View(
            type="modal",
            callback_id=DECIDE,
            title=plain("Decide"),
            submit=plain("Record decision"),
            close=plain("Cancel"),
            private_metadata=json.dumps({"case": card.case_id}),
            blocks=blocks,
        )
    )


def case_of(view: Mapping[str, Any]) -> str:
    """Which case a submitted form is about. Raises ValueError where it is not our form."""
    try:
        return str(json.loads(view["private_metadata"])["case"])
    except (ValueError, KeyError, TypeError):
        raise ValueError("the form names no case") from None


def parse_decision(values: Mapping[str, Any], case_id: str, by: Actor) -> Decide | dict[str, str]:
    """A submitted form (``view.state.values``) as an act, or what is wrong with it: field to a plain sentence."""
    wrong = {}
    decision = category = None
    try:
        decision = DecisionKind(chosen(values, DECISION))
    except ValueError:
        wrong[DECISION] = "Choose a decision."
    try:
        category = Category(chosen(values, CATEGORY))
    except ValueError:
        wrong[CATEGORY] = "Choose a category."
    criteria = tuple(
        sorted(Criterion(int(option["value"])) for option in field_value(values, CRITERIA, "selected_options") or ())
    )
    reason = str(field_value(values, REASON, "value") or "")
    if len(reason) > REASON_LENGTH:
        wrong[REASON] = f"At most {REASON_LENGTH} characters."
    act = Decide(
        case_id=case_id,
        by=by,
        decision=decision or DecisionKind.CONSULTATION,
        category=category or Category.NONE,
        criteria=criteria,
        reason=reason,
    )
    wrong = problems(act) | wrong
    return wrong or act


def _suggestion(suggestion: Suggestion | None) -> list[Block]:
    title = header("Suggestion (a machine's; an officer decides)")
    if suggestion is None:
        return [title, rich([Piece("None could be made. Read the messages in full.")])]
    said = [
        ("Category", f"{suggestion.category.label} ({confidence(suggestion.category_confidence)})"),
        ("Also", ", ".join(category.label for category in suggestion.secondary_categories)),
        ("Threshold", f"{suggestion.threshold.label} ({confidence(suggestion.threshold_confidence)})"),
        *((f"Criterion {int(criterion)}", criterion.wording) for criterion in suggestion.criteria),
        ("Flags", ", ".join(flag.label for flag in suggestion.flags)),
        ("Seems missing", "; ".join(datum.label for datum in suggestion.missing)),
        ("Because", suggestion.reason),
        ("Made by", f"{suggestion.engine} {suggestion.version}"),
    ]
    blocks: list[Block] = [title, facts(*said, limit=2 * LINE)]
    if suggestion.evidence:
        shown = [
            (
                f"{'For' if item.polarity is Polarity.FOR else 'Against'} {line(item.label, 60)}",
                f"»{line(item.text, 120)}«",
            )
            for item in suggestion.evidence[:EVIDENCE_SHOWN]
        ]
        if len(suggestion.evidence) > EVIDENCE_SHOWN:
            shown.append(("", f"and {len(suggestion.evidence) - EVIDENCE_SHOWN} more"))
        blocks += [header("Evidence"), facts(*shown)]
    return blocks


def _message_blocks(message: MessageView, suggestion: Suggestion | None, zone: ZoneInfo) -> list[Block]:
    direction = "Message in" if message.direction == "in" else "Letter of ours"
    blocks: list[Block] = [
        header(f"{direction}, {say_time(message.received_at, zone)}"),
        *(rich(part) for part in _parts(_message(message, suggestion))),
    ]
    if len(message.full_text) > len(message.text):
        blocks.append(facts(("", "Quoted history and signature are left out here.")))
    return [*blocks, DividerBlock()]


def _message(message: MessageView, suggestion: Suggestion | None) -> list[Piece]:
    """Who wrote, and what, with the evidence marked: the suggestion's where it read this text, else that of its own."""
    made = suggestion if message.is_evidence_text else message.suggestion
    evidence = made.evidence if made is not None else ()
    flags = message.suggestion.flags if message.suggestion is not None else ()
    return [
        *lines(
            ("From", message.sender),
            ("To", ", ".join(message.recipients) if message.direction == "out" else ""),
            ("", _TRUST.get(message.sender_trust, "") if message.direction == "in" else ""),
            ("Sent by a machine", message.machine_sent or ""),
            ("Subject", message.subject),
            (f"Attachments ({NOT_SCANNED})", "; ".join(message.attachments)),
            ("Flags of this message", ", ".join(flag.label for flag in flags)),
            ("", READ_WHOLE if message.read_whole else ""),
            ("", "What spoke for the suggestion is »bold«, what spoke against it »struck«." if evidence else ""),
        ),
        Piece("\n"),
        *marked(message.text, evidence),
    ]


def _by(size: int, things: Sequence[tuple[str, str]]) -> Iterable[Sequence[tuple[str, str]]]:
    return (things[at : at + size] for at in range(0, len(things), size))
