"""The fake refuses what Slack refuses: a test that passes against it must mean something."""

from __future__ import annotations

import pytest

from fakes.block_kit import message_problems, view_problems


def text(words, kind="plain_text"):
    return {"type": kind, "text": words}


def button(**changes):
    return {"type": "button", "action_id": "a", "text": text("Press")} | changes


def actions(*elements):
    return {"type": "actions", "elements": list(elements)}


def section(words="words"):
    return {"type": "section", "text": text(words, "mrkdwn")}


def an_input(element, **changes):
    return {"type": "input", "label": text("Label"), "element": element} | changes


def rich(*parts):
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(parts)}]}


def option(value="1", words="One", **changes):
    return {"text": text(words), "value": value} | changes


SELECT = {"type": "static_select", "action_id": "s", "options": [option()]}
MODAL = {"type": "modal", "title": text("Title"), "blocks": [section()]}


@pytest.mark.parametrize(
    "blocks",
    [
        "no list",
        [],
        [section()] * 51,
        [{"type": "paragraph"}],
        [section("")],
        [section("x" * 3001)],
        [section() | {"colour": "red"}],
        [section() | {"block_id": "one"}, section() | {"block_id": "one"}],
        [{"type": "section"}],
        [{"type": "header", "text": text("x" * 151)}],
        [{"type": "header", "text": text("bold", "mrkdwn")}],
        [actions()],
        [actions(button(text=text("x" * 76)))],
        [actions(button(text=text("x", "mrkdwn")))],
        [actions(button(), button())],
        [actions(button(style="blue"))],
        [actions(button(action_id=""))],
        [actions({"type": "plain_text_input", "action_id": "p"})],
        [an_input(button())],
        [an_input(SELECT | {"options": []})],
        [an_input(SELECT | {"options": [option(str(n)) for n in range(101)]})],
        [an_input(SELECT | {"options": [option(words="x" * 76)]})],
        [an_input(SELECT | {"options": [option(), option()]})],
        [an_input(SELECT | {"initial_option": option("2")})],
        [an_input({"type": "checkboxes", "action_id": "c", "options": [option(str(n)) for n in range(11)]})],
        [an_input({"type": "plain_text_input", "action_id": "p", "initial_value": "x" * 3001})],
        [rich({"type": "text", "text": ""})],
        [rich({"type": "shout", "text": "x"})],
        [{"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}],
    ],
)
def test_refused_in_a_message(blocks):
    assert message_problems(blocks)


def test_taken_in_a_message():
    taken = [section("x" * 3000), actions(button(), button(action_id="b")), rich({"type": "text", "text": "x"})]
    assert message_problems([*taken, an_input(SELECT), {"type": "divider"}]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "window"},
        {"title": text("x" * 25)},
        {"title": None},
        {"submit": text("x" * 25)},
        {"blocks": [section()] * 101},
        {"blocks": [an_input(SELECT)]},
        {"private_metadata": "x" * 3001},
        {"callback_id": "x" * 256},
        {"colour": "red"},
        {"blocks": [rich({"type": "text", "text": "x" * 251_000})]},
    ],
)
def test_refused_as_a_view(changes):
    assert view_problems(MODAL | changes)


def test_taken_as_a_view():
    assert view_problems(MODAL) == []
    assert view_problems(MODAL | {"blocks": [an_input(SELECT)], "submit": text("Go")}) == []
    assert view_problems({"type": "home", "blocks": [section()]}) == []
