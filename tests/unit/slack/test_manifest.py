"""The manifest asks for what is used, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from intake_bot.slack.manifest import EVENTS, FILES_SCOPE, SCOPES, manifest

SLACK = Path(__file__).parents[3] / "intake_bot" / "slack"
NEEDS = {
    "chat_postMessage": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "conversations_history": {"groups:history", "im:history"},
    "chat_delete": {"chat:write"},
    "conversations_replies": {"groups:history", "im:history"},
    "conversations_list": {"im:read"},
    "views_update": set(),
    "conversations_info": {"groups:read", "channels:read"},
    "conversations_open": {"im:write"},
    "users_info": {"users:read"},
    "usergroups_users_list": {"usergroups:read"},
    "views_open": set(),
    "views_publish": set(),
    "views_push": set(),
    "files_getUploadURLExternal": {"files:write"},
    "files_completeUploadExternal": {"files:write"},
    "files_delete": {"files:write"},
    "auth_test": set(),
    "apps_connections_open": set(),
}
"""The Web API methods that we call, and the scopes that Slack asks for them (https://docs.slack.dev/reference/methods)."""


def test_every_method_that_is_called_has_its_scope_and_no_scope_is_for_nothing() -> None:
    called = set()
    for path in SLACK.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        called |= set(re.findall(r"client\.([a-z]+_[a-zA-Z_]+)\(", source))
        called |= set(re.findall(r"_ask\(\s*\"([a-z]+_[a-zA-Z_]+)\"", source))
    called -= {"is_connected"}  # the socket's, not the Web API's
    assert called <= NEEDS.keys()
    needed = set().union(*(NEEDS[name] for name in called)) | {"commands"}
    assert {scope for scope, _ in (*SCOPES, FILES_SCOPE)} == needed | {"im:history"}


def test_only_who_sends_files_asks_for_their_scope() -> None:
    for send_files in (False, True):
        scopes = manifest(send_files=send_files)["oauth_config"]["scopes"]["bot"]
        assert ("files:write" in scopes) is send_files


def test_the_two_ways_in() -> None:
    socket, http = manifest(), manifest(http_url="https://desk.council.example/")
    assert socket["settings"]["socket_mode_enabled"] is True
    assert http["settings"]["socket_mode_enabled"] is False
    assert http["settings"]["interactivity"]["request_url"] == "https://desk.council.example/slack/events"
    assert http["features"]["slash_commands"][0]["url"].endswith("/slack/events")
    assert socket["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
