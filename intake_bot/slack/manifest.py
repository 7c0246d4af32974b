"""The app manifest: what an administrator pastes into Slack, with exactly the scopes and events that are used."""

from __future__ import annotations

from typing import Any

from intake_bot.slack.app import COMMAND
from intake_bot.slack.consult import LOG_MESSAGE
from intake_bot.slack.home import CONSULT
from intake_bot.slack.http import PATH

SCOPES: tuple[tuple[str, str], ...] = (
    ("chat:write", "cards and notices in the duty channel, answers to whoever asked"),
    ("commands", "the command and the shortcuts"),
    ("users:read", "who is no guest and has not left"),
    ("usergroups:read", "who is in the user groups that the settings name"),
    ("groups:read", "whether the duty channel is private"),
    ("channels:read", "to say so where it is not"),
    ("groups:history", "to find a card that was sent before an answer got lost, instead of posting it twice"),
    ("im:history", "what somebody writes to the service"),
    ("im:read", "with whom the service has conversations, to read what was written while it was down"),
    ("im:write", "to answer them in their own conversation"),
)
"""Each scope with what it is for."""
FILES_SCOPE = ("files:write", "to send an officer a file, and to delete it after an hour; only with [slack] send_files")
EVENTS = ("app_home_opened", "message.im", "message.groups")


def manifest(*, http_url: str | None = None, send_files: bool = False) -> dict[str, Any]:
    """The manifest as plain data. ``http_url`` is where Slack sends requests; None for Socket Mode.

    ``send_files``: the setting of that name, which needs a scope that nothing else does.
    """
    scopes = (*SCOPES, FILES_SCOPE) if send_files else SCOPES
    address = f"{http_url.rstrip('/')}{PATH}" if http_url else None

    def with_url(given: dict[str, Any], name: str) -> dict[str, Any]:
        return given | {name: address} if address else given

    return {
        "display_information": {
            "name": "Designated officer",
            "description": "Consult the designated officer about an adult who works with children.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Designated officer", "always_online": False},
            "shortcuts": [
                {
                    "name": "Consult the officer",
                    "type": "global",
                    "callback_id": CONSULT,
                    "description": "Consult the designated officer",
                },
                {
                    "name": "Log as consultation",
                    "type": "message",
                    "callback_id": LOG_MESSAGE,
                    "description": "Begin a consultation from this message",
                },
            ],
            "slash_commands": [
                with_url(
                    {
                        "command": COMMAND,
                        "description": "Consult the designated officer, or see the duty desk",
                        "usage_hint": "help | new | queue | due | mine | show | search | rota | report",
                        "should_escape": False,
                    },
                    "url",
                )
            ],
        },
        "oauth_config": {"scopes": {"bot": [scope for scope, _ in scopes]}},
        "settings": {
            "event_subscriptions": with_url({"bot_events": list(EVENTS)}, "request_url"),
            "interactivity": with_url({"is_enabled": True}, "request_url"),
            "org_deploy_enabled": False,
            "socket_mode_enabled": address is None,
            "token_rotation_enabled": False,
        },
    }
