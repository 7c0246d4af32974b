"""What a monitoring system asks: /healthz, /readyz and Prometheus's /metrics, on a loopback port."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime

from aiohttp import web
from prometheus_client import generate_latest
from sqlalchemy.exc import SQLAlchemyError

from intake_bot.monitoring import Rows, Times, waiting
from intake_bot.roles import ALL, Role
from storage.engine import Database

log = logging.getLogger(__name__)

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Monitoring:
    """The three pages, for whoever may reach the port. ``working`` gives what is wrong, in fixed words; empty is well."""

    def __init__(
        self,
        database: Database,
        times: Times,
        *,
        host: str,
        port: int,
        now: Callable[[], datetime],
        ping: Callable[[], datetime | None],
        working: Callable[[], list[str]],
        roles: Collection[Role] = ALL,
    ) -> None:
        self._database, self._times, self._now, self._working = database, times, now, working
        self._host, self.port = host, port
        self._roles = [role.value for role in Role if role in roles]
        for role in self._roles:
            times.role.labels(role=role).set(1)
        times.registry.register(Rows(database, now, ping))
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises OSError where the port cannot be had."""
        pages = web.Application(client_max_size=1024)
        pages.router.add_get("/healthz", self._health)
        pages.router.add_get("/readyz", self._ready)
        pages.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(pages, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        log.info("monitoring on %s:%d", self._host, self.port)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _: web.Request) -> web.Response:
        """The process answers, and its workers live: what a supervisor restarts it for."""
        wrong = self._working()
        return web.json_response({"well": not wrong, "wrong": wrong}, status=503 if wrong else 200)

    async def _ready(self, _: web.Request) -> web.Response:
        """It can take mail, and what it took does not lie about: what a load balancer sends mail by."""
        wrong = [*self._working(), *await asyncio.to_thread(self._look)]
        answer = {"ready": not wrong, "wrong": wrong, "roles": self._roles}
        return web.json_response(answer, status=503 if wrong else 200)

    def _look(self) -> list[str]:
        try:
            with self._database.read() as session:
                return [f"{what} is stuck" for what in waiting(session, now=self._now()).stuck()]
        except SQLAlchemyError:
            return ["the database does not answer"]

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            body = await asyncio.to_thread(generate_latest, self._times.registry)
        except SQLAlchemyError:
            return web.Response(status=503, text="the database does not answer\n")
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})
