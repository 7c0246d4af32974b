"""What Slack refuses in blocks and views, as far as its reference states it: the fake answers ``invalid_blocks`` by this.

The limits are those of https://docs.slack.dev/reference/block-kit. slack_sdk's models check a part of them; the rest (known
types and properties, unique ids, what may stand where, empty texts) is ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

VIEW_BYTES = 250_000
MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
MESSAGE_TEXT = 40_000

BUTTONS = {"button", "overflow", "static_select", "users_select", "checkboxes", "radio_buttons", "datepicker"}
INPUTS = (BUTTONS - {"button", "overflow"}) | {
    "plain_text_input",
    "multi_static_select",
    "multi_users_select",
    "timepicker",
}
PROPERTIES = {
    "header": {"text"},
    "divider": set(),
    "section": {"text", "fields", "accessory", "expand"},
    "context": {"elements"},
    "actions": {"elements"},
    "input": {"label", "element", "hint", "optional", "dispatch_action"},
    "image": {"image_url", "alt_text", "title", "slack_file"},
    "rich_text": {"elements"},
}
ELEMENT_PROPERTIES = {
    "button": {"text", "value", "style", "url", "confirm", "accessibility_label"},
    "overflow": {"options", "confirm"},
    "static_select": {"placeholder", "options", "option_groups", "initial_option", "confirm", "focus_on_load"},
    "multi_static_select": {"placeholder", "options", "option_groups", "initial_options", "max_selected_items"},
    "users_select": {"placeholder", "initial_user", "confirm", "focus_on_load"},
    "multi_users_select": {"placeholder", "initial_users", "max_selected_items", "confirm", "focus_on_load"},
    "checkboxes": {"options", "initial_options", "confirm", "focus_on_load"},
    "radio_buttons": {"options", "initial_option", "confirm", "focus_on_load"},
    "datepicker": {"placeholder", "initial_date", "confirm", "focus_on_load"},
    "timepicker": {"placeholder", "initial_time", "confirm", "focus_on_load", "timezone"},
    "plain_text_input": {
        "placeholder",
        "initial_value",
        "multiline",
        "min_length",
        "max_length",
        "dispatch_action_config",
        "focus_on_load",
    },
}
VIEW_PROPERTIES = {
    "modal": {"type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "clear_on_close"}
    | {"notify_on_close", "external_id", "submit_disabled"},
    "home": {"type", "blocks", "private_metadata", "callback_id", "external_id"},
}
RICH_CONTAINERS = {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"}
RICH_PARTS = {
    "text": {"text", "style"},
    "link": {"url", "text", "style", "unsafe"},
    "emoji": {"name", "unicode", "style"},
    "user": {"user_id", "style"},
    "channel": {"channel_id", "style"},
    "usergroup": {"usergroup_id", "style"},
    "broadcast": {"range"},
    "date": {"timestamp", "format", "url", "fallback", "style"},
}


def message_problems(blocks: object) -> list[str]:
    """Why Slack would refuse these blocks in a message; empty where it would not."""
    return list(_blocks(blocks, most=MESSAGE_BLOCKS))


def view_problems(view: object) -> list[str]:
    """Why Slack would refuse this view; ``view_too_large`` stands alone where it is that."""
    if not isinstance(view, dict) or view.get("type") not in VIEW_PROPERTIES:
        return ["a view is a modal or a home"]
    if len(json.dumps(view)) > VIEW_BYTES:
        return ["view_too_large"]
    return list(_view(view))


def _view(view: dict[str, Any]) -> Iterator[str]:
    yield from (f"view: {name} is no property" for name in view.keys() - VIEW_PROPERTIES[view["type"]])
    yield from _blocks(view.get("blocks"), most=VIEW_BLOCKS)
    yield from _length(view, "private_metadata", 3000)
    yield from _length(view, "callback_id", 255)
    if view["type"] == "modal":
        yield from _text(view.get("title"), "title", 24, plain=True)
        for name in ("submit", "close"):
            if name in view:
                yield from _text(view[name], name, 24, plain=True)
        blocks = view.get("blocks")
        inputs = [block for block in blocks if block.get("type") == "input"] if isinstance(blocks, list) else []
        if inputs and "submit" not in view:
            yield "a modal with inputs needs submit"


def _blocks(blocks: object, *, most: int) -> Iterator[str]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        yield "blocks is a list of objects"
        return
    if not 1 <= len(blocks) <= most:
        yield f"between 1 and {most} blocks, not {len(blocks)}"
    counted = Counter(block["block_id"] for block in blocks if block.get("block_id"))
    yield from (f"block_id {name!r} stands {times} times" for name, times in counted.items() if times > 1)
    for block in blocks:
        yield from _block(block)


def _block(block: dict[str, Any]) -> Iterator[str]:
    kind = block.get("type")
    if kind not in PROPERTIES:
        yield f"{kind!r} is no block"
        return
    extra = block.keys() - PROPERTIES[kind] - {"type", "block_id"}
    yield from (f"{kind}: {name} is no property" for name in extra)
    yield from _length(block, "block_id", 255)
    if extra:
        return
    try:
        parsed = Block.parse(block)
        if parsed is not None:
            parsed.to_dict()
    except (SlackObjectFormationError, AttributeError, TypeError) as fault:
        yield f"{kind}: {fault}"
    elements: list[Any] = []
    match kind:
        case "header":
            yield from _text(block.get("text"), "header", 150, plain=True)
        case "section":
            if "text" not in block and not block.get("fields"):
                yield "a section has text or fields"
            if "text" in block:
                yield from _text(block["text"], "section", 3000)
            if len(block.get("fields", ())) > 10:
                yield "a section has at most 10 fields"
            for field in block.get("fields", ()):
                yield from _text(field, "field", 2000)
            elements = [block["accessory"]] if "accessory" in block else []
        case "context":
            if not 1 <= len(block.get("elements", ())) <= 10:
                yield "a context has 1 to 10 elements"
            for element in block.get("elements", ()):
                if element.get("type") != "image":
                    yield from _text(element, "context", 3000)
        case "actions":
            elements = block.get("elements", [])
            if not 1 <= len(elements) <= 25:
                yield "actions hold 1 to 25 elements"
            yield from (
                f"{e.get('type')!r} does not stand in actions" for e in elements if e.get("type") not in BUTTONS
            )
        case "input":
            yield from _text(block.get("label"), "label", 2000, plain=True)
            if "hint" in block:
                yield from _text(block["hint"], "hint", 2000, plain=True)
            elements = [block.get("element") or {}]
            yield from (f"{e.get('type')!r} is no input" for e in elements if e.get("type") not in INPUTS)
        case "rich_text":
            for element in block.get("elements", ()):
                yield from _rich(element)
    actions = Counter(element["action_id"] for element in elements if element.get("action_id"))
    yield from (f"action_id {name!r} stands {times} times" for name, times in actions.items() if times > 1)
    for element in elements:
        yield from _element(element)


def _element(element: dict[str, Any]) -> Iterator[str]:
    kind = element.get("type")
    if kind == "image":
        return
    if kind not in ELEMENT_PROPERTIES:
        yield f"{kind!r} is no element"
        return
    extra = element.keys() - ELEMENT_PROPERTIES[kind] - {"type", "action_id"}
    yield from (f"{kind}: {name} is no property" for name in extra)
    if not element.get("action_id"):
        yield f"{kind} has no action_id"
    for name, most in (("action_id", 255), ("value", 2000), ("initial_value", 3000), ("accessibility_label", 75)):
        yield from _length(element, name, most)
    if "placeholder" in element:
        yield from _text(element["placeholder"], "placeholder", 150, plain=True)
    if kind == "button":
        yield from _text(element.get("text"), "button", 75, plain=True)
        if element.get("style", "primary") not in {"primary", "danger"}:
            yield "a button's style is primary or danger"
    if kind == "plain_text_input" and not 1 <= element.get("max_length", 3000) <= 3000:
        yield "max_length lies between 1 and 3000"
    if kind in {"static_select", "multi_static_select", "checkboxes", "radio_buttons", "overflow"}:
        yield from _options(kind, element)


def _options(kind: str, element: dict[str, Any]) -> Iterator[str]:
    options = element.get("options") or []
    most = {"checkboxes": 10, "radio_buttons": 10, "overflow": 5}.get(kind, 100)
    if not 1 <= len(options) <= most and not element.get("option_groups"):
        yield f"{kind} has 1 to {most} options"
    plain = kind not in {"checkboxes", "radio_buttons"}
    for option in options:
        yield from (
            f"option: {name} is no property" for name in option.keys() - {"text", "value", "description", "url"}
        )
        yield from _text(option.get("text"), "option", 75, plain=plain)
        if "description" in option:
            yield from _text(option["description"], "description", 75, plain=plain)
        if not 1 <= len(option.get("value", "")) <= 150:
            yield "an option's value has 1 to 150 characters"
    values = Counter(option.get("value") for option in options)
    yield from (f"two options have the value {value!r}" for value, times in values.items() if times > 1)
    chosen = [element["initial_option"]] if "initial_option" in element else element.get("initial_options", [])
    if any(option not in options for option in chosen):
        yield "an initial option is none of the options"


def _rich(element: dict[str, Any]) -> Iterator[str]:
    kind = element.get("type")
    if kind not in RICH_CONTAINERS:
        yield f"{kind!r} is no rich text"
        return
    parts = element.get("elements")
    if not isinstance(parts, list):
        yield f"{kind} has elements"
        return
    for part in parts:
        if kind == "rich_text_list":
            yield from _rich(part)
            continue
        name = part.get("type")
        if name not in RICH_PARTS:
            yield f"{name!r} is no part of a rich text"
            continue
        yield from (f"{name}: {extra} is no property" for extra in part.keys() - RICH_PARTS[name] - {"type"})
        if name == "text" and not part.get("text"):
            yield "a rich text's text is empty"
        if part.get("style", {}).keys() - {"bold", "italic", "strike", "code"}:
            yield "a rich text's style is bold, italic, strike or code"


def _text(text: object, what: str, most: int, *, plain: bool = False) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in {"plain_text", "mrkdwn"}:
        yield f"{what}: no text object"
        return
    if plain and text["type"] != "plain_text":
        yield f"{what}: must be plain_text"
    allowed = {"type", "text", "emoji" if text["type"] == "plain_text" else "verbatim"}
    yield from (f"{what}: {name} is no property of {text['type']}" for name in text.keys() - allowed)
    if not 1 <= len(text.get("text") or "") <= most:
        yield f"{what}: 1 to {most} characters, not {len(text.get('text') or '')}"


def _length(holder: dict[str, Any], name: str, most: int) -> Iterator[str]:
    value = holder.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > most):
        yield f"{name}: at most {most} characters"
