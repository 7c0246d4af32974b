"""What stands in the duty channel: the card of a case and the notices. Codes, times and the reference; never content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    InteractiveElement,
    MarkdownTextObject,
    Option,
    PlainTextObject,
    SectionBlock,
    StaticSelectElement,
)

from intake_bot.casework.desk import Actor, CaseCard, DueTime, Notice
from intake_bot.casework.letters import say_time
from intake_bot.casework.notices import Voice, sentence, target_label
from intake_bot.casework.vocabulary import UNDECIDED, DeadlineState, SignOff
from intake_bot.slack.act_forms import offered_at
from intake_bot.slack.escape import line, mrkdwn
from intake_bot.slack.forms import Form
from triage.vocabulary import URGENT_FLAGS, Flag

CLAIM, VIEW, DECIDE = "claim", "view", "decide"
"""The buttons' action ids; each carries the case's id as its value."""
MORE = "more"
"""The menu of all other acts; a choice carries the form's name and the case's id, with a colon between."""

_RESTRICTED = "A restricted case. It is open to those who are named on it, and to nobody else."
_HEADER, _SECTION, _WORD = 150, 3000, 300
_USER = re.compile(r"[UW][A-Z0-9]+")

Say = Callable[[datetime], str]


def card_blocks(card: CaseCard, zone: ZoneInfo, *, show_content: bool = True) -> list[dict[str, Any]]:
    """The card as Block Kit. ``zone`` is for clients that cannot show a date token in their reader's own time; where no
    content may be in Slack, what needs words is not offered.
    """
    if card.restricted:
        return [block.to_dict() for block in _restricted(card, show_content=show_content)]
    say = partial(date_token, zone=zone)
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=line(f"{card.reference} · {_words(card.status)}", _HEADER), emoji=False))
    ]
    if card.flags:
        blocks.append(section(_flags(card.flags)))
    facts = [
        ("Received", f"{say(card.received_at)}, by {mrkdwn(card.channel, _WORD)}"),
        ("From", mrkdwn(card.setting, _WORD)),
        ("With", who(card.officer) if card.officer else "nobody yet"),
    ]
    if card.messages > 1:
        facts.append(("Messages", str(card.messages)))
    blocks.append(SectionBlock(fields=[text(f"*{name}*\n{value}") for name, value in facts]))
    if card.due:
        blocks.append(section("\n".join(_due(due, say) for due in card.due)))
    if called := _called_upon(card, who):
        blocks.append(section("\n".join(f"*{name}:* {people}" for name, people in called)))
    blocks.append(section(_suggestion(card)))
    if card.missing:
        named = ", ".join(_words(datum).lower() for datum in card.missing)
        blocks.append(section(f"*Seems missing ({len(card.missing)}):* {named}"))
    if card.decision is not None:
        by = f", by {who(card.decided_by)}" if card.decided_by else ""
        blocks.append(section(f"*Decision:* {card.decision.label}{by}"))
    if remarks := _remarks(card):
        blocks.append(ContextBlock(elements=[text("\n".join(f"• {remark}" for remark in remarks))]))
    more = [_choice(form, card) for form in offered_at(show_content=show_content).values() if form.offered(card)]
    buttons: list[InteractiveElement] = [
        _button(card, act) for act in acts_offered(card) if act != DECIDE or show_content
    ]
    menu = StaticSelectElement(action_id=MORE, placeholder=PlainTextObject(text="More ...", emoji=False), options=more)
    blocks.append(ActionsBlock(block_id="acts", elements=[*buttons, menu]))
    return [block.to_dict() for block in blocks]


def card_fallback(card: CaseCard, zone: ZoneInfo) -> str:
    """The card in one accessible sentence, for notifications and screen readers: no name, no quotation."""
    if card.restricted:
        return mrkdwn(f"{card.reference}: {_RESTRICTED}", _SECTION)
    urgent = [flag.label for flag in card.flags if flag in URGENT_FLAGS]
    running = [due for due in card.due if due.state is DeadlineState.RUNNING]
    parts = [
        f"{', '.join(urgent)}. " if urgent else "",
        f"{card.reference}: {_words(card.status).lower()}, {card.sector or 'sector not known'}",
        f", received {say_time(card.received_at, zone)}",
        f", due {say_time(min(due.due_at for due in running), zone)}" if running else "",
    ]
    # A mention is no foreign word: it stands as it is.
    called = "".join(f". {name}: {people}" for name, people in _called_upon(card, who))
    return mrkdwn("".join(parts), _SECTION - len(called)) + called


def _restricted(card: CaseCard, *, show_content: bool) -> list[Block]:
    """All that a channel may know of a restricted case: that there is one.

    What can be pressed is always the same, since what fits would tell where it stands; whoever is not named on it is told
    that there is no such case.
    """
    return [
        HeaderBlock(text=PlainTextObject(text=line(card.reference, _HEADER), emoji=False)),
        section(_RESTRICTED),
        ActionsBlock(
            block_id="acts",
            elements=[
                *(_button(card, act) for act in (CLAIM, VIEW, DECIDE) if act != DECIDE or show_content),
                StaticSelectElement(
                    action_id=MORE,
                    placeholder=PlainTextObject(text="More ...", emoji=False),
                    options=[_choice(form, card) for form in offered_at(show_content=show_content).values()],
                ),
            ],
        ),
    ]


def acts_offered(card: CaseCard) -> tuple[str, ...]:
    """The buttons that fit where the case stands. A second decision is no button's business."""
    if card.status not in UNDECIDED:
        return (VIEW,)
    return (VIEW, DECIDE) if card.officer else (CLAIM, VIEW, DECIDE)


def notice_blocks(notice: Notice, zone: ZoneInfo, managers: Iterable[str] = ()) -> list[dict[str, Any]]:
    """A notice as Block Kit. A reminder mentions whoever has the case, and the managers where it is for them."""
    return [section(_notice(notice, partial(date_token, zone=zone), who, _mentioned(managers))).to_dict()]


def notice_text(notice: Notice, zone: ZoneInfo) -> str:
    """A notice as one sentence, for notifications and screen readers."""
    return _notice(notice, partial(say_time, zone=zone), lambda owner: mrkdwn(owner.id, _WORD))


def date_token(moment: datetime, zone: ZoneInfo) -> str:
    """A time that Slack shows in each reader's own zone, with ours for clients that cannot."""
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} at {{time}}|{say_time(moment, zone)}>"


def who(actor: Actor) -> str:
    """Someone in mrkdwn: a mention where it is a Slack user, else the name."""
    user = actor.id.rpartition("/")[2]
    if actor.kind == "slack" and _USER.fullmatch(user):
        return f"<@{user}>"
    return mrkdwn(actor.id, _WORD)


def confidence(value: float) -> str:
    """A confidence in words and per cent."""
    word = "low" if value < 0.5 else "fair" if value < 0.75 else "high"
    return f"{word} confidence, {value:.0%}"


def _called_upon(card: CaseCard, name: Callable[[Actor], str]) -> list[tuple[str, str]]:
    """Whom the card is for, by the routing rules and by the rota."""
    called = [("For", f"{name(card.proposed)} (proposed: it is theirs once they claim it)")] if card.proposed else []
    if card.on_duty:
        called.append(("On duty", ", ".join(name(one) for one in card.on_duty)))
    return called


def _suggestion(card: CaseCard) -> str:
    if card.category is None or card.threshold is None:
        return "*Suggestion:* none could be made. Read it in full."
    return (
        f"*Suggestion* (a machine's; an officer decides): "
        f"{card.category.label} ({confidence(card.category_confidence)}). "
        f"{card.threshold.label} ({confidence(card.threshold_confidence)})."
    )


def _flags(flags: tuple[Flag, ...]) -> str:
    urgent = [flag.label for flag in flags if flag in URGENT_FLAGS]
    others = [flag.label for flag in flags if flag not in URGENT_FLAGS]
    lines = [f":rotating_light: *URGENT: {' · '.join(urgent)}*"] if urgent else []
    return "\n".join([*lines, " · ".join(others)] if others else lines)


def _due(due: DueTime, say: Say) -> str:
    label = mrkdwn(target_label(due.target), _WORD)
    match due.state:
        case DeadlineState.RUNNING:
            return f"*{label}:* by {say(due.due_at)}"
        case DeadlineState.MET:
            return f"*{label}:* met, was due {say(due.due_at)}"
        case DeadlineState.MISSED:
            done = f"; done {say(due.met_at)}" if due.met_at else ""
            return f"*{label}:* :warning: MISSED, was due {say(due.due_at)}{done}"
        case DeadlineState.CANCELLED | DeadlineState.PAUSED:
            return f"*{label}:* {due.state.value}"


def _remarks(card: CaseCard) -> list[str]:
    remarks = [remark.label for remark in card.remarks]
    if card.no_names:
        remarks.append("No-names consultation: ask nobody's name")
    if card.escalated is not None:
        remarks.append(f"Escalated to a senior manager ({_words(card.escalated).lower()})")
    if card.sign_off is SignOff.PENDING:
        remarks.append("Waits for a second officer's sign-off")
    if card.sign_off is SignOff.REFUSED:
        remarks.append("A second officer did not agree: decide it again")
    if card.transferred_to:
        remarks.append(f"Transferred to {mrkdwn(card.transferred_to, _WORD)}")
    if card.actions_open:
        remarks.append(f"{card.actions_open} action{'s' if card.actions_open > 1 else ''} owed")
    return remarks


_FOR_THE_MANAGER = "For the manager"
_SLACK_ID = re.compile(r"[SUW][A-Z0-9]{2,20}")


def _mentioned(managers: Iterable[str]) -> str:
    """The managers that the settings name: user ids, TEAM/USER, user groups."""
    ids = [one for name in sorted(managers) if _SLACK_ID.fullmatch(one := name.rpartition("/")[2])]
    return " ".join(f"<!subteam^{one}>" if one.startswith("S") else f"<@{one}>" for one in ids) or _FOR_THE_MANAGER


def _notice(notice: Notice, say: Say, name: Callable[[Actor], str], manager: str = _FOR_THE_MANAGER) -> str:
    def word(text: str) -> str:
        return mrkdwn(text.replace("_", " "), _WORD)

    return sentence(notice, Voice(say, name, word, alarm=":rotating_light: ", manager=manager))


def _choice(form: Form, card: CaseCard) -> Option:
    return Option(text=PlainTextObject(text=form.title, emoji=False), value=f"{form.name}:{card.case_id}")


def _button(card: CaseCard, act: str) -> ButtonElement:
    return ButtonElement(
        text=PlainTextObject(text=act.capitalize(), emoji=False),
        action_id=act,
        value=card.case_id,
        style="primary" if act == CLAIM else None,
        accessibility_label=line(f"{act.capitalize()} {card.reference}", 75),
    )


def section(words: str) -> SectionBlock:
    """A section of mrkdwn, whose foreign parts are escaped already."""
    return SectionBlock(text=text(words))


def text(words: str) -> MarkdownTextObject:
    """Mrkdwn, whose foreign parts are escaped already."""
    # verbatim: nothing that merely looks like a link or a channel becomes one.
    return MarkdownTextObject(text=words, verbatim=True)


def _words(code: str) -> str:
    return code.replace("_", " ").capitalize()
