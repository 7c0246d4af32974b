"""``intake-bot serve`` while it is soaked: started, killed, started again, and looked at from outside."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import col, func, select

from acceptance.harness import House
from storage.engine import Database
from storage.outbox import Via
from storage.spool import waiting_states
from storage.tables import Outgoing, Spooled

START_SECONDS = 60.0


@dataclass(frozen=True)
class Look:
    """What is seen at one moment. Memory is PSS in MiB; ``children`` are the processes that read and triage."""

    at: float
    without_250: int
    waiting: int
    done: int
    parked: int
    letters: int
    service: float
    children: float


class Runner:
    """The service on a port of its own. What it prints goes to a file."""

    def __init__(self, house: House, port: int) -> None:
        self._house = house
        self._port = port
        self.log = house.folder / "serve.log"
        self._process: asyncio.subprocess.Process | None = None
        self.lives = 0
        self.starts: list[float] = []
        self.orphans: set[int] = set()
        self.again = 0
        """Starts that came to nothing because the database was away; a supervisor tries again, and so does this."""
        self.ended: list[int] = []
        """Exit statuses where nobody had killed it."""

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self, *, wait: bool = True) -> None:
        began = time.monotonic()
        await self._launch()
        self.lives += 1
        while wait:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    break
            assert self._process is not None
            if self._process.returncode == 1 and time.monotonic() < began + START_SECONDS:
                self.again += 1
                await asyncio.sleep(1)
                await self._launch()
            if self._process.returncode is not None or time.monotonic() > began + START_SECONDS:
                raise RuntimeError(f"the service does not start: see {self.log}")
            await asyncio.sleep(0.02)
        if wait:
            self.starts.append(time.monotonic() - began)

    def filed(self) -> int:
        """How many messages this node has filed, in all its lives: its share of the work."""
        return self.log.read_bytes().count(b" filed ")

    async def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "intake_bot", "serve", "--data", str(self._house.data),
                env=self._house.environment, cwd=self._house.folder, stdout=log, stderr=log,
            )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL: nothing is said and nothing finished."""
        assert self._process is not None
        children = children_of(self._process.pid)
        if self._process.returncode is not None:
            self.ended.append(self._process.returncode)
            return
        self._process.kill()
        await self._process.wait()
        asyncio.get_running_loop().call_later(10, self._look_for_orphans, children)

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), START_SECONDS)

    def _look_for_orphans(self, children: dict[int, str]) -> None:
        for pid, command in children.items():
            if _command(pid) == command:
                self.orphans.add(pid)


async def killed_at_random(runners: Sequence[Runner], chance: random.Random, least: float, most: float) -> None:
    """For ever, one of them: now and then while it is starting, else after it has run for a while."""
    while True:
        await asyncio.sleep(chance.uniform(least, most))
        runner = chance.choice(runners)
        await runner.kill()
        if chance.random() < 0.15:
            await runner.start(wait=False)
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            await runner.kill()
        await runner.start()


def look(database: Database, *, began: float, without_250: int, pids: Sequence[int]) -> Look:
    with database.read() as session:
        states = Counter(dict(session.exec(select(Spooled.state, func.count()).group_by(col(Spooled.state))).all()))
        letters = session.exec(
            select(func.count())
            .select_from(Outgoing)
            .where(col(Outgoing.state).in_(waiting_states()), col(Outgoing.channel) == Via.MAIL)
        ).one()
    return Look(
        at=time.monotonic() - began,
        without_250=without_250,
        waiting=sum(states[state] for state in waiting_states()),
        done=states["done"],
        parked=states["parked"],
        letters=letters,
        service=sum(map(memory, pids)),
        children=sum(memory(child) for pid in pids for child in children_of(pid)),
    )


def memory(pid: int) -> float:
    """MiB, pages that several processes share counted in parts; 0 for a process that is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def children_of(pid: int) -> dict[int, str]:
    """Child processes and their command lines."""
    try:
        listed = [child for task in os.listdir(f"/proc/{pid}/task") for child in _children(pid, task)]
    except OSError:
        return {}
    return {int(child): _command(int(child)) for child in listed}


def _children(pid: int, task: str) -> list[str]:
    return Path(f"/proc/{pid}/task/{task}/children").read_text().split()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
