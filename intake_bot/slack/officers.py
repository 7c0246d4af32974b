"""Who may act: the named officers, and of these no guest, no stranger and nobody who has left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from intake_bot.casework.desk import Actor
from intake_bot.slack.client import UNREACHABLE_USER, error_code

REMEMBERED = timedelta(minutes=5)
_SHUT_OUT = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")


class Officers:
    """Asks Slack about each officer, and remembers the answer for a few minutes."""

    def __init__(self, named: frozenset[str], client: AsyncWebClient, now: Callable[[], datetime]) -> None:
        self._named = named
        self._client = client
        self._now = now
        self._known: dict[str, tuple[bool, datetime]] = {}

    async def may(self, actor: Actor) -> bool:
        """Raises what the Web API raises: who cannot be checked may not act yet, and nothing of theirs is acknowledged."""
        user = actor.id.rpartition("/")[2]
        if actor.kind != "slack" or not self._named & {user, actor.id}:
            return False
        known, at = self._known.get(user, (False, None))
        if at is None or self._now() - at > REMEMBERED:
            known = await self._is_full_member(user)
            self._known[user] = (known, self._now())
        return known

    async def _is_full_member(self, user: str) -> bool:
        try:
            answer = await self._client.users_info(user=user)
        except SlackApiError as error:
            if error_code(error) in UNREACHABLE_USER:
                return False
            raise
        facts = answer["user"]
        return not any(facts.get(fact) for fact in _SHUT_OUT)
