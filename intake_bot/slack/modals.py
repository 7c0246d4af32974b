"""Modals: the case with its content for one officer, and the form in which an officer decides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    DividerBlock,
    InputBlock,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.acts import Decide
from intake_bot.casework.desk import READ_WHOLE, Actor, CaseCard, CaseView, MessageView
from intake_bot.casework.letters import say_time
from intake_bot.casework.officer import problems
from intake_bot.casework.vocabulary import DecisionKind
from intake_bot.slack.cards import confidence
from intake_bot.slack.escape import cut, line
from intake_bot.slack.kit import LINE, TITLE, VALUE, chosen, facts, field_value, header, lines, made_view, option, plain
from intake_bot.slack.rich import Piece, chunks, cost, marked, rich
from triage.suggestion import Polarity, Suggestion
from triage.vocabulary import Category, Criterion

DECIDE = "decide"
"""The callback id of the form."""
CATEGORY, CRITERIA, DECISION, REASON = "category", "criteria", "decision", "reason"
"""The form's fields: block ids, by which errors find their field. The names are those of ``officer.problems``."""

REASON_LENGTH = 3000
MESSAGES_SHOWN = 12
TEXT_BYTES = 100_000
"""Of a view's 250 kB, what messages may take; the rest of it holds the facts with room to spare."""
EVIDENCE_SHOWN = 12
RECORD_SHOWN, RECORD_A_BLOCK = 40, 4
"""The newest entries of the record that a view has room for, and how many stand in one block."""

_TRUST = {
    "pass": "the sender's address is authenticated",
    "fail": "THE SENDER'S ADDRESS FAILED AUTHENTICATION: check who wrote before you answer",
    "none": "the sender's address is not authenticated",
}


def view_modal(view: CaseView, zone: ZoneInfo) -> dict[str, Any]:
    """The case as one officer reads it: messages with the evidence marked, the suggestion, the deadlines, the decision.

    Foreign words stand in rich text only, where nothing is interpreted. What does not fit is left out with a word on how to
    read it: each message gets a fair share of the room, short ones all they need.
    """
    reference = line(view.card.reference, 60)
    blocks: list[Block] = [facts(("From", view.card.came_from))]
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
    blocks += _messages(view, reference, zone)
    if view.earlier:
        blocks += [header("Earlier contacts"), rich([Piece(_cut_lines(view.earlier, reference))])]
    if view.record:
        blocks.append(header("Record"))
        blocks += [facts(*some, limit=2 * LINE) for some in _by(RECORD_A_BLOCK, view.record[-RECORD_SHOWN:])]
    if view.explanations:
        blocks += [header("Deadlines"), rich([Piece(_cut_lines(view.explanations, reference))])]
    if view.history:
        blocks += [header("History"), rich([Piece(_newest(view.history, reference))])]
    if view.proposed_links:
        blocks.append(facts(("May belong to", ", ".join(view.proposed_links))))
    return made_view(
        View(type="modal", callback_id="view", title=plain(line(reference, TITLE)), close=plain("Close"), blocks=blocks)
    )


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


def _messages(view: CaseView, reference: str, zone: ZoneInfo) -> list[Block]:
    shown = _chosen_messages(view.messages)
    blocks: list[Block] = []
    if len(shown) < len(view.messages):
        blocks.append(
            facts(
                ("Not all messages are shown", f"{len(shown)} of {len(view.messages)}. {_read_on(reference)}"),
            )
        )
    texts = [_message(message, view.suggestion) for message in shown]
    shares = _shares([cost(text) for text in texts], TEXT_BYTES)
    for message, text, share in zip(shown, texts, shares, strict=True):
        direction = "Message in" if message.direction == "in" else "Letter of ours"
        parts, left_out = chunks(text, share)
        blocks += [
            header(f"{direction}, {say_time(message.received_at, zone)}"),
            *(rich(part) for part in parts),
        ]
        if left_out:
            blocks.append(facts(("Cut here", f"{left_out:,} more characters. {_read_on(reference)}")))
        elif len(message.full_text) > len(message.text):
            blocks.append(facts(("", "Quoted history and signature are left out here.")))
        blocks.append(DividerBlock())
    return blocks


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
            ("Attachments (not scanned)", "; ".join(message.attachments)),
            ("Flags of this message", ", ".join(flag.label for flag in flags)),
            ("", READ_WHOLE if message.read_whole else ""),
            ("", "What spoke for the suggestion is »bold«, what spoke against it »struck«." if evidence else ""),
        ),
        Piece("\n"),
        *marked(message.text, evidence),
    ]


def _chosen_messages(messages: Sequence[MessageView]) -> list[MessageView]:
    """The message that the suggestion read, and the newest others, in their order."""
    others = [message for message in messages if not message.is_evidence_text]
    kept = {message.id for message in messages if message.is_evidence_text}
    kept |= {message.id for message in others[len(others) - max(0, MESSAGES_SHOWN - len(kept)) :]}
    return [message for message in messages if message.id in kept][:MESSAGES_SHOWN]


def _shares(wanted: Sequence[int], total: int) -> list[int]:
    """How much of ``total`` each gets: all it wants where that is no more than an even share of what is left."""
    shares = [0] * len(wanted)
    waiting = len(wanted)
    for index in sorted(range(len(wanted)), key=wanted.__getitem__):
        shares[index] = min(wanted[index], total // waiting)
        total -= shares[index]
        waiting -= 1
    return shares


def _cut_lines(lines: Iterable[str], reference: str) -> str:
    text = "\n".join(lines)
    return (
        text if len(text) <= REASON_LENGTH else f"{cut(text, REASON_LENGTH)}\nThe rest: intake-bot explain {reference}"
    )


def _newest(sentences: Sequence[str], reference: str) -> str:
    """The newest sentences that have room, in their order."""
    kept: list[str] = []
    room = REASON_LENGTH
    for sentence in reversed(sentences):
        room -= len(sentence) + 1
        if room < 0:
            kept.append(f"Earlier entries: intake-bot show {reference}")
            break
        kept.append(sentence)
    return "\n".join(reversed(kept))


def _by(size: int, things: Sequence[tuple[str, str]]) -> Iterable[Sequence[tuple[str, str]]]:
    return (things[at : at + size] for at in range(0, len(things), size))


def _read_on(reference: str) -> str:
    return f"Read the whole with: intake-bot show {reference}"
