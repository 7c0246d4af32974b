"""The Web API client: one try a call, silent libraries, and every failure under a fixed word."""

from __future__ import annotations

import logging

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from intake_bot.casework.desk import DeliveryFailed
from intake_bot.slack.ports import SlackSettings

TIMEOUT_SECONDS = 10

GONE = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "cant_delete_message", "thread_not_found"}
    | {"compliance_exports_prevent_deletion", "cant_delete_file", "delete_not_allowed", "file_deleting_disabled"}
)
FILE_GONE = frozenset({"file_not_found", "file_deleted"})
"""Another can be sent in its place."""
ERASED = FILE_GONE | {"message_not_found", "thread_not_found"}
"""What was to be taken away is away."""
MALFORMED = frozenset({"invalid_blocks", "invalid_arguments", "msg_too_long", "msg_blocks_too_long", "no_text"})
UNREACHABLE_USER = frozenset({"user_not_in_channel", "user_not_found", "user_disabled"})
TRIGGER_GONE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_expired"})
TURNED = frozenset({"not_found", "hash_conflict"})
"""A view that is closed, or that has changed since it was shown."""
ADMINISTRATIVE = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
    | {"channel_not_found", "not_in_channel", "is_archived", "not_allowed_token_type", "restricted_action"}
    | {"ekm_access_denied", "team_access_not_granted", "access_denied", "no_permission"}
)
_KNOWN = GONE | FILE_GONE | MALFORMED | UNREACHABLE_USER | TRIGGER_GONE | ADMINISTRATIVE
_THEIR_FAULTS = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})


def library_logger() -> logging.Logger:
    """The logger given to the libraries. They print payloads and bodies at several levels, so none of them is heard:
    what an administrator must know of the connection, ours say in fixed words."""
    for name in ("slack_sdk", "slack_bolt"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logger = logging.getLogger("slack_bolt.intake")
    logger.setLevel(logging.CRITICAL)
    return logger


def make_client(settings: SlackSettings) -> AsyncWebClient:
    """A client that tries once: the library's own retries after a broken connection would post twice."""
    return AsyncWebClient(
        token=settings.bot_token,
        base_url=settings.api_url or AsyncWebClient.BASE_URL,
        timeout=TIMEOUT_SECONDS,
        logger=library_logger(),
        retry_handlers=[],
    )


def error_code(error: SlackApiError) -> str:
    """Slack's error code; ``""`` where the answer was no answer of the Web API's."""
    data = getattr(error.response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


FAILURES = (SlackApiError, aiohttp.ClientError, TimeoutError, OSError)
"""What a Web API call raises."""


def failure(error: Exception) -> DeliveryFailed:
    """What went wrong with a call, as the outbox needs to know it.

    A refusal that an administrator can lift (a token, an invitation to the channel) is not permanent: the row waits.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return DeliveryFailed("slack_unreachable")
    if not isinstance(error, SlackApiError):
        return DeliveryFailed("slack_no_answer", uncertain=True)
    status = int(getattr(error.response, "status_code", 0) or getattr(error.response, "status", 0))
    code = error_code(error)
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        return DeliveryFailed("rate_limited", retry_after=_retry_after(error))
    if status >= 500 or code in _THEIR_FAULTS or not code:
        return DeliveryFailed("slack_fault", uncertain=True)
    if code in GONE | MALFORMED | UNREACHABLE_USER:
        return DeliveryFailed(code, permanent=True)
    return DeliveryFailed(code if code in _KNOWN else "slack_refused")


async def tell_one(client: AsyncWebClient, channel: str, user: str, said: str) -> None:
    """Words of ours, escaped already, to one person: in the channel, else (a manager is in none) in their conversation with
    the app. Raises what the Web API raises."""
    try:
        await client.chat_postEphemeral(channel=channel, user=user, text=said)
    except SlackApiError as error:
        if error_code(error) != "user_not_in_channel":
            raise
        opened = await client.conversations_open(users=user)
        await client.chat_postMessage(channel=opened["channel"]["id"], text=said)


def _retry_after(error: SlackApiError) -> float:
    headers = getattr(error.response, "headers", {})
    try:
        return max(1.0, float(headers.get("Retry-After", 30)))
    except (TypeError, ValueError):
        return 30.0
