"""What a form of an act is: a list of fields, and a function that makes the act of what was filled in.

A field is filled in as a text, a choice, a day and time, or a person; what is wrong is said at the field (Slack's
``response_action: errors``). Nothing here looks anything up: references and addresses are checked by whoever submits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    DatePickerElement,
    InputBlock,
    InputInteractiveElement,
    Option,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
    TimePickerElement,
    UserMultiSelectElement,
    UserSelectElement,
)
from slack_sdk.models.views import View

from intake_bot.casework.acts import Act
from intake_bot.casework.desk import Actor, CaseCard
from intake_bot.casework.files import CaseFile
from intake_bot.casework.notices import target_label
from intake_bot.casework.practice import ENDED_BY_ACTS
from intake_bot.slack.escape import line
from intake_bot.slack.kit import TITLE, VALUE, chosen, facts, field_value, made_view, option, plain
from intake_bot.slack.ports import Writing

WORDS = 3000
"""Slack's own limit for what is typed into a field."""
OPTIONS = 100
"""As many as a menu has room for."""
FORM = "act:"
"""Begins the callback id of every form here; the form's name follows."""


class Kind(StrEnum):
    """How a field is filled in."""

    LINE = "line"
    WORDS = "words"
    CHOICE = "choice"
    RADIO = "radio"
    TICK = "tick"
    WHEN = "when"
    PERSON = "person"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Field:
    """``name`` is the block id; of a day and time those of two blocks, ``NAME`` and ``NAME_time``."""

    name: str
    label: str
    kind: Kind
    options: tuple[tuple[str, str], ...] = ()
    """Value and label of what can be chosen."""
    hint: str = ""
    optional: bool = False
    initial: str = ""

    @property
    def is_content(self) -> bool:
        """Whether content is typed into it, or shown in it: words, names, addresses, what somebody owes."""
        match self.kind:
            case Kind.WORDS:
                return True
            case Kind.LINE:
                return self.name != "other"
            case Kind.CHOICE:
                return self.name in ("to", "action", "file")
            case _:
                return False


Values = Mapping[str, Any]
"""What was filled in, by field: a text, a value, a bool, an aware time, a user id or a tuple of them; None where nothing."""


@dataclass(frozen=True, slots=True)
class Form:
    """``make`` turns what was filled in into an act; ``offered`` says whether it fits where the case stands."""

    name: str
    title: str
    submit: str
    fields: tuple[Field, ...]
    make: Callable[[str, Actor, Values], Act]
    offered: Callable[[CaseCard], bool]
    about: str = ""
    """A word above the fields."""


def without_content(form: Form) -> Form | None:
    """The form as a desk without content has it; None where it cannot do without words."""
    if any(one.is_content and not one.optional for one in form.fields):
        return None
    return replace(form, fields=tuple(one for one in form.fields if not one.is_content))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a form is about, kept with it while it is open: no content."""

    case_id: str
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The fields of one form for one case, what is kept with it, and what stands above it."""

    fields: tuple[Field, ...]
    given: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[tuple[str, str], ...] = ()


def prepared_acceptance(form: Form, card: CaseCard) -> Prepared:
    """The suggestion as the officer sees it, and its version: another is not accepted unseen."""
    category = card.category.label if card.category else "none"
    threshold = card.threshold.label if card.threshold else "none"
    return Prepared(
        form.fields, {"version": card.suggestion_version or ""}, (("Suggested", f"{category}; {threshold}"),)
    )


def prepared_actions(form: Form, actions: tuple[tuple[str, str], ...]) -> Prepared | str:
    """The actions that can be closed; a sentence where there are none."""
    if not actions:
        return "Nothing is owed on this case."
    return Prepared(
        _with(form.fields, "action", options=tuple((one, line(what, 140)) for one, what in actions[:OPTIONS]))
    )


def prepared_files(form: Form, files: Sequence[CaseFile]) -> Prepared | str:
    """The files that can be sent, and which cannot; a sentence where there are none."""
    fit = [one for one in files if one.fits]
    if not fit:
        return "No file of this case can be sent from here: see intake-bot attachment, at the terminal."
    options = tuple((one.key, line(f"{one.number}. {_size(one.size)}, {one.name}", 140)) for one in fit[:OPTIONS])
    left = [*(one for one in files if not one.fits), *fit[OPTIONS:]]
    shown = (
        ("At the terminal alone, by intake-bot attachment", "; ".join(f"{one.number}. {one.name}" for one in left)),
    )
    return Prepared(_with(form.fields, "file", options=options), {}, shown if left else ())


def _size(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB" if size >= 1024 * 1024 else f"{max(1, size // 1024)} KiB"


def prepared_clocks(form: Form, card: CaseCard) -> Prepared | str:
    """The clocks that can be ended by hand; a sentence where there are none."""
    clocks = tuple((one.target, target_label(one.target)) for one in card.due if one.target not in ENDED_BY_ACTS)
    if not clocks:
        return "No clock of this case can be ended by hand."
    return Prepared(_with(form.fields, "target", options=clocks[:OPTIONS]))


def prepared_writing(form: Form, writing: Writing, zone: ZoneInfo) -> Prepared | str:
    """Whom the officer may write to; a sentence where nobody. Addresses that failed authentication are not among them."""
    if writing.refused and form.name != "action":
        return writing.refused
    safe = [one for one in writing.recipients if one.trust != "fail"]
    if not safe and form.name != "action":
        return "There is no address that can be written to from here: telephone, or see intake-bot advise."
    options = tuple((one.key, line(one.label, 140)) for one in safe[:OPTIONS])
    fields = _with(form.fields, "to", options=options, initial=options[0][0] if len(options) == 1 else "")
    if not options:
        fields = tuple(one for one in fields if one.name != "to")
    if form.name == "ask":
        fields = _with(_with(fields, "words", initial=writing.words), "due", initial=_local(writing.asks_by, zone))
    if form.name == "action":
        fields = _with(fields, "due", initial=_local(writing.asks_by, zone))
    failed = [one.label for one in writing.recipients if one.trust == "fail"]
    shown = (("Failed authentication, not written to from here", "; ".join(failed)),) if failed else ()
    return Prepared(fields, {one.key: one.trust for one in safe}, shown)


def _with(fields: tuple[Field, ...], name: str, **changes: Any) -> tuple[Field, ...]:
    return tuple(replace(one, **changes) if one.name == name else one for one in fields)


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat()


def form_modal(
    form: Form,
    card: CaseCard,
    *,
    now: datetime,
    zone: ZoneInfo,
    given: Mapping[str, str] | None = None,
    shown: Iterable[tuple[str, str]] = (),
    fields: tuple[Field, ...] | None = None,
) -> dict[str, Any]:
    """The form as a modal. ``given`` is kept with it, ``shown`` stands above its ``fields``."""
    local = now.astimezone(zone)
    blocks: list[Block] = [facts(("Case", card.reference), ("", form.about), *shown, limit=WORDS)]
    for one in fields if fields is not None else form.fields:
        blocks += _inputs(one, local)
    return made_view(
        View(
            type="modal",
            callback_id=f"{FORM}{form.name}",
            title=plain(line(form.title, TITLE)),
            submit=plain(form.submit),
            close=plain("Cancel"),
            private_metadata=json.dumps({"case": card.case_id, "given": dict(given or {})}),
            blocks=blocks,
        )
    )


def subject_of(view: Mapping[str, Any]) -> Subject:
    """What a submitted form is about. Raises ValueError where it is no form of ours."""
    try:
        kept = json.loads(view["private_metadata"])
        return Subject(str(kept["case"]), {str(key): str(value) for key, value in kept["given"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("the form names no case") from None


def read_values(form: Form, state: Mapping[str, Any], zone: ZoneInfo) -> tuple[dict[str, Any], dict[str, str]]:
    """What was filled in (``view.state.values``), and what is wrong with it: field to a plain sentence."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for one in form.fields:
        if one.name not in state:
            values[one.name] = None
            continue
        try:
            values[one.name] = _read(one, state, zone)
        except ValueError as fault:
            wrong[one.name] = str(fault)
            continue
        if values[one.name] in (None, "", ()) and not one.optional:
            wrong[one.name] = "This is needed."
    return values, wrong


def _read(one: Field, state: Mapping[str, Any], zone: ZoneInfo) -> Any:
    match one.kind:
        case Kind.LINE | Kind.WORDS:
            text = str(field_value(state, one.name, "value") or "").strip()
            if len(text) > WORDS:
                raise ValueError(f"At most {WORDS} characters.")
            return text
        case Kind.CHOICE | Kind.RADIO:
            value = chosen(state, one.name)
            if value and one.options and value not in {known for known, _ in one.options}:
                raise ValueError("Choose one of these.")
            return value or None
        case Kind.TICK:
            return bool(field_value(state, one.name, "selected_options"))
        case Kind.WHEN:
            return _moment(one, state, zone)
        case Kind.PERSON:
            return field_value(state, one.name, "selected_user")
        case Kind.PEOPLE:
            return tuple(field_value(state, one.name, "selected_users") or ())


def _moment(one: Field, state: Mapping[str, Any], zone: ZoneInfo) -> datetime | None:
    day, hour = field_value(state, one.name, "selected_date"), field_value(state, f"{one.name}_time", "selected_time")
    if not day:
        return None
    try:
        local = datetime.combine(date.fromisoformat(day), time.fromisoformat(hour or "00:00"), zone)
    except ValueError:
        raise ValueError("Give a day and a time.") from None
    return local.astimezone(UTC)


def _inputs(one: Field, now: datetime) -> list[Block]:
    element: InputInteractiveElement
    options = [option(label, value) for value, label in one.options]
    initial = next((each for each in options if each.value == one.initial), None)
    match one.kind:
        case Kind.LINE:
            element = PlainTextInputElement(action_id=VALUE, max_length=300, initial_value=one.initial or None)
        case Kind.WORDS:
            element = PlainTextInputElement(
                action_id=VALUE, multiline=True, max_length=WORDS, initial_value=one.initial or None
            )
        case Kind.CHOICE:
            element = StaticSelectElement(
                action_id=VALUE, placeholder=plain("Choose"), options=options, initial_option=initial
            )
        case Kind.RADIO:
            element = RadioButtonsElement(action_id=VALUE, options=options, initial_option=initial)
        case Kind.TICK:
            element = CheckboxesElement(action_id=VALUE, options=[Option(text=plain(one.hint or "Yes"), value="yes")])
        case Kind.WHEN:
            return _day_and_time(one, now)
        case Kind.PERSON:
            element = UserSelectElement(action_id=VALUE, placeholder=plain("Choose an officer"))
        case Kind.PEOPLE:
            element = UserMultiSelectElement(action_id=VALUE, placeholder=plain("Choose officers"))
    hint = plain(line(one.hint, 150)) if one.hint and one.kind is not Kind.TICK else None
    return [
        InputBlock(
            block_id=one.name,
            label=plain(one.label),
            hint=hint,
            optional=one.optional or one.kind is Kind.TICK,
            element=element,
        )
    ]


def _day_and_time(one: Field, now: datetime) -> list[Block]:
    initial = datetime.fromisoformat(one.initial) if one.initial else now
    return [
        InputBlock(
            block_id=one.name,
            label=plain(one.label),
            hint=plain(line(one.hint, 150)) if one.hint else None,
            optional=one.optional,
            element=DatePickerElement(action_id=VALUE, initial_date=initial.strftime("%Y-%m-%d")),
        ),
        InputBlock(
            block_id=f"{one.name}_time",
            label=plain(f"{one.label}: time"),
            optional=one.optional,
            element=TimePickerElement(action_id=VALUE, initial_time=initial.strftime("%H:%M")),
        ),
    ]


def colleague(by: Actor, user: str) -> Actor:
    """Someone chosen in a form: of the same workspace as whoever chose."""
    return Actor("slack", f"{by.id.partition('/')[0]}/{user}")
