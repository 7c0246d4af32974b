"""The other way in from Slack: signed requests over HTTP, for an authority that does not open sockets outwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web
from slack_bolt.app.async_server import AsyncSlackAppServer
from slack_bolt.async_app import AsyncApp

from intake_bot.slack.catch_up import CatchUp
from intake_bot.slack.ports import SlackSettings

log = logging.getLogger(__name__)

PATH = "/slack/events"
MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request. A form of Slack's is far smaller."""

GAP = timedelta(minutes=10)
"""After so long without a request it is read back what was said: nothing tells a quiet hour from a proxy that was down."""


class SlackHttp:
    """Takes what Slack sends, each request signed; Bolt checks the signature and its age before anything of ours sees it."""

    def __init__(
        self, app: AsyncApp, settings: SlackSettings, now: Callable[[], datetime], *, catch_up: CatchUp | None = None
    ) -> None:
        self._catch_up = catch_up
        server = AsyncSlackAppServer(port=settings.http_port, path=PATH, app=app, host=settings.http_host)
        self._web = web.Application(client_max_size=MAX_BODY)
        self._web.router.add_post(PATH, self._handle)
        self._server = server
        self._settings = settings
        self._now = now
        self._runner: web.AppRunner | None = None
        self._last: datetime | None = None
        self.port = settings.http_port

    @property
    def last_ping(self) -> datetime | None:
        """When Slack last sent something that was its own; None where it never has."""
        return self._last

    @property
    def heard_until(self) -> datetime | None:
        """As with the socket: a request that found nobody comes again a few times within the hour, and no more."""
        return self._last if self._catch_up is None or self._catch_up.up_to_date else None

    async def connected(self) -> bool:
        return self._runner is not None

    async def start(self) -> None:
        self._runner = web.AppRunner(self._web, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.http_host, self._settings.http_port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        if self._catch_up is not None:
            self._catch_up.begin()
        log.info("taking what Slack sends on %s:%d", self._settings.http_host, self.port)

    async def stop(self) -> None:
        """Finish what is in hand, then close. A request in hand may begin a reading, which must not outlive us."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._catch_up is not None:
            await self._catch_up.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            answer = await self._server.handle_post_requests(request)
        except Exception as fault:  # unanswered with 200, Slack sends again or tells the officer
            log.warning("something from Slack was not taken: %s", type(fault).__name__)
            return web.Response(status=500)
        if answer.status < 400:
            now = self._now()
            if self._catch_up is not None and self._last is not None and now - self._last > GAP:
                self._catch_up.begin()  # before the sign of life moves on
            self._last = now
        return answer
