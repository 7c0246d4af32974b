"""What was said while the line was down: Slack sends no event twice for long, so it is read back on every connect.

Each message is kept under the key that its event would have had: what came both ways is taken once. How far all has been
read is remembered only while nothing is left to read, so that a reading that was cut off begins anew where the last whole
one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from intake_bot.casework.desk import DeliveryFailed
from intake_bot.slack.client import FAILURES, failure
from intake_bot.slack.ports import Ports, SlackSettings

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=5)
"""Read again from before the last sign of life: what was sent just then may not have arrived."""
FIRST = timedelta(days=1)
"""How far back the very first reading goes."""
PAGE, PAGES = 200, 10
"""Messages a call, and calls for the older posts of a conversation, under which somebody may have written since."""
PAUSE_SECONDS, LONGEST_PAUSE = 15.0, 600.0
"""Between tries, doubled each time, where Slack does not answer and names no time, or refuses."""

Message = dict[str, Any]
Hear = Callable[[dict[str, Any]], Awaitable[object]]
"""Takes what an event's delivery would hold. Raises where it could not be kept."""


class CatchUp:
    """Reads back. ``up_to_date`` is False from each connect until all of it is kept."""

    def __init__(self, client: AsyncWebClient, settings: SlackSettings, ports: Ports, hear: Hear) -> None:
        self._client = client
        self._settings = settings
        self._ports = ports
        self._hear = hear
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._left = 0
        self._begun_at = self._since = 0.0
        self.up_to_date = False

    def begin(self) -> None:
        """The line is up: read what was said while it was not. Returns at once."""
        self.up_to_date = False
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._begun_at, self._since = self._ports.now().timestamp(), 0.0
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            self._again, self._left = False, 0
            try:
                count = await self._read()
                if self._left:
                    raise DeliveryFailed("not_all_kept")
            except Exception as fault:  # Slack or the database may be away: what was not kept is read again
                # Some refusals an administrator must lift (a scope): it is said each time.
                code = fault.code if isinstance(fault, DeliveryFailed) else type(fault).__name__
                log.warning("what was said in Slack while down cannot be read back yet: %s", code)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if not self._again:
                break
        self.up_to_date = True
        log.info("read back what was said in Slack while down: %d messages", count)

    async def _read(self) -> int:
        since = self._since = self._since or await self._from_when()
        team = str((await self._ask("auth_test"))["team_id"])
        count = 0
        async for channel in self._conversations():
            count += await self._hear_all(team, channel, "im", since)
        if self._settings.thread_notes:
            count += await self._hear_all(team, self._settings.channel, "group", since)
        return count

    async def _from_when(self) -> float:
        """Settled once for all tries, and not later than the first: meanwhile another node, which has heard all that came to
        it, may move the mark that they share beyond what this one has yet to read.
        """
        heard = await self._ports.heard_until()
        if heard is None:
            return self._begun_at - FIRST.total_seconds()
        return min(heard.timestamp(), self._begun_at) - MARGIN.total_seconds()

    async def _hear_all(self, team: str, channel: str, kind: str, since: float) -> int:
        said = [message async for message in self._said(channel, since)]
        for message in sorted(said, key=lambda one: float(one["ts"])):
            event = message | {"channel": channel, "channel_type": kind}
            if event.get("thread_ts") == event["ts"]:
                del event["thread_ts"]  # it has answers under it, and is none
            try:
                await self._hear({"type": "event_callback", "team_id": team, "event": event})
            except Exception as fault:  # the others must not wait for one
                log.warning("a message said while down could not be kept: %s", type(fault).__name__)
                self._left += 1
        return len(said)

    async def _conversations(self) -> AsyncIterator[str]:
        cursor: str | None = None
        while True:
            page = await self._ask("conversations_list", types="im", limit=PAGE, cursor=cursor)
            for channel in page["channels"]:
                yield str(channel["id"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _said(self, channel: str, since: float) -> AsyncIterator[Message]:
        """What people said there since, in threads under older posts too."""
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self._ask("conversations_history", channel=channel, limit=PAGE, cursor=cursor)
            for message in page["messages"]:
                if float(message["ts"]) > since:
                    yield message
                if float(message.get("latest_reply") or 0) > since:
                    async for reply in self._replies(channel, str(message["ts"]), since):
                        yield reply
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _replies(self, channel: str, parent: str, since: float) -> AsyncIterator[Message]:
        cursor: str | None = None
        while True:
            page = await self._ask(
                "conversations_replies", channel=channel, ts=parent, oldest=f"{since:.6f}", limit=PAGE, cursor=cursor
            )
            for message in page["messages"]:
                if message["ts"] != parent:
                    yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A call, as often as Slack asks for patience. Raises DeliveryFailed."""
        while True:
            try:
                answer = await getattr(self._client, method)(**arguments)
            except FAILURES as error:
                refused = failure(error)
                if refused.retry_after is None:
                    raise refused from None
                await asyncio.sleep(refused.retry_after)
                continue
            found: dict[str, Any] = answer.data
            return found
