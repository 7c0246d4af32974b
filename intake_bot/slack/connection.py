"""The line to Slack: Socket Mode, kept up, watched, and let go of without losing what is in hand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from intake_bot.slack.catch_up import CatchUp
from intake_bot.slack.client import library_logger
from intake_bot.slack.ports import SlackSettings

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
SILENT_PINGS = 6
"""Pings without an answer after which the client is thrown away: it can think itself connected, or go on trying an address
that has run out."""
IN_HAND_SECONDS = 3.0
"""How long stopping waits for what Slack has just handed over: after that Slack has given up on it anyway."""


class SlackConnection:
    """Connects in the background and stays connected: Slack being down stops nothing but Slack."""

    def __init__(
        self,
        app: AsyncApp,
        settings: SlackSettings,
        now: Callable[[], datetime],
        *,
        ping_seconds: float = PING_SECONDS,
        catch_up: CatchUp | None = None,
    ) -> None:
        """``catch_up`` begins anew with each connection that is made."""
        self._catch_up = catch_up
        self._app = app
        self._app_token = settings.app_token
        self._now = now
        self._ping_seconds = ping_seconds
        self._supervisor: asyncio.Task[None] | None = None
        self._handler: _Handler | None = None
        self._last_ping: datetime | None = None

    @property
    def last_ping(self) -> datetime | None:
        """When the line last gave a sign of life; None where it never has."""
        return self._last_ping

    @property
    def heard_until(self) -> datetime | None:
        """Until when all that was said is kept; None where something may still have to be read back."""
        caught_up = self._catch_up is None or self._catch_up.up_to_date
        return self._last_ping if caught_up else None

    async def connected(self) -> bool:
        return self._handler is not None and await self._handler.client.is_connected()

    async def start(self) -> None:
        """Begin to connect, and return at once."""
        log.info("connecting to Slack")
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Finish what is in hand, then hang up."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        if self._catch_up is not None:
            await self._catch_up.stop()

    async def _supervise(self) -> None:
        while True:
            self._handler = _Handler(
                self._app, self._app_token, logger=library_logger(), ping_interval=self._ping_seconds
            )
            self._handler.client.message_listeners.append(self._listen)
            try:
                await self._watch(self._handler)
            finally:
                await asyncio.shield(self._handler.let_go())
            log.warning("the line to Slack is silent: connecting anew")

    async def _listen(self, _client: object, message: dict[str, Any], _raw: str | None = None) -> None:
        """Slack greets on each connection: from there on events come."""
        if message.get("type") == "hello" and self._catch_up is not None:
            self._catch_up.begin()

    async def _watch(self, handler: _Handler) -> None:
        """Keep connecting; return when the line has been silent for too long."""
        connecting = asyncio.create_task(handler.connect_async())  # type: ignore[no-untyped-call]
        clock = asyncio.get_running_loop().time
        heard_at, last_sign, was_up = clock(), None, False
        try:
            while clock() - heard_at < SILENT_PINGS * self._ping_seconds:
                sign = handler.client.last_ping_pong_time
                if sign is not None and sign != last_sign:
                    heard_at, last_sign, self._last_ping = clock(), sign, self._now()
                up = await handler.client.is_connected()
                if up != was_up:
                    log.log(
                        logging.INFO if up else logging.WARNING, "Slack is %s", "connected" if up else "not connected"
                    )
                    was_up = up
                await asyncio.sleep(min(1.0, self._ping_seconds / 2))
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)


class _Handler(AsyncSocketModeHandler):
    """Bolt's handler, which also knows what it has in hand."""

    client: SocketModeClient

    def __init__(self, app: AsyncApp, app_token: str, *, logger: logging.Logger, ping_interval: float) -> None:
        super().__init__(app, app_token, logger=logger, ping_interval=ping_interval)
        self._in_hand: set[asyncio.Task[None] | None] = set()

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        task = asyncio.current_task()
        self._in_hand.add(task)
        try:
            await super().handle(client, req)
        except Exception as fault:  # the acknowledgement was not sent: Slack sends again, or tells the officer
            log.warning("an acknowledgement did not reach Slack: %s", type(fault).__name__)
        finally:
            self._in_hand.discard(task)

    async def let_go(self) -> None:
        """Wait a little for what is in hand, then close everything, whatever state it is in."""
        in_hand = [task for task in self._in_hand if task is not None]
        if in_hand:
            await asyncio.wait(in_hand, timeout=IN_HAND_SECONDS)
        client = self.client
        running = [client.message_processor, client.current_session_monitor, client.message_receiver]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IN_HAND_SECONDS):
                await client.close()  # type: ignore[no-untyped-call]
        left = [task for task in running if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await client.aiohttp_client_session.close()
