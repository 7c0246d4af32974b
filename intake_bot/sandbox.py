"""A child process for work on what strangers send: bounded in time and memory, and killed when it oversteps.

The parent speaks to it in frames over pipes and gets JSON back, never a pickle: what reads hostile input is not trusted to
make objects here. :mod:`intake_bot.sandboxed` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
from typing import Any

log = logging.getLogger(__name__)

HEADER = struct.Struct(">II")
MAX_ANSWER = 256 * 1024 * 1024


class SandboxFailed(Exception):
    """No answer. ``code`` is ``timeout``, ``died`` or what the other end named; never content."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Sandbox:
    """One child process for one kind of work (``read``, ``triage`` or ``verify``), started when first needed.

    Requests queue: one at a time. After a failure the next request gets a fresh child.
    """

    def __init__(self, work: str, *, memory_mib: int) -> None:
        self._work = work
        self._memory_mib = memory_mib
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def call(self, request: dict[str, Any], body: bytes, *, seconds: float) -> dict[str, Any]:
        """Send a request and give its answer within ``seconds``, waiting for a turn included. Raises SandboxFailed."""
        mine = False
        try:
            async with asyncio.timeout(seconds), self._turn:
                mine = True
                return await self._exchange(request, body)
        except TimeoutError:
            if not mine:
                # Another request (the first loading, say) has the child: it is not to blame for taking its time.
                raise SandboxFailed("busy") from None
            log.warning("the %s process took longer than %s s and was stopped", self._work, seconds)
            await self._kill()
            raise SandboxFailed("timeout") from None
        except (asyncio.IncompleteReadError, OSError):
            log.warning("the %s process died at its work", self._work)
            await self._kill()
            raise SandboxFailed("died") from None
        except asyncio.CancelledError:
            # Half a frame may be on its way: the next request needs a child that is not in the middle of one.
            if mine:
                await self._kill()
            raise

    async def warm(self, *, seconds: float) -> None:
        """Have the child load what it needs. Raises SandboxFailed."""
        await self.call({"warm": True}, b"", seconds=seconds)

    async def stop(self) -> None:
        await self._kill()

    async def _exchange(self, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 (both are pipes)
        head = json.dumps(request).encode()
        process.stdin.write(HEADER.pack(len(head), len(body)) + head + body)
        await process.stdin.drain()
        size, _ = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
        if size > MAX_ANSWER:
            raise asyncio.IncompleteReadError(b"", size)
        answer: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
        if "error" in answer:
            raise SandboxFailed(str(answer["error"]))
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            # Secrets stay here: the child gets what Python needs to start and nothing else.
            environment = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing is imported from the folder where the service happens to be started
                "-m",
                "intake_bot.sandboxed",
                self._work,
                str(self._memory_mib),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                # A Ctrl-C at the terminal is for the service, which then stops its children itself.
                start_new_session=True,
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Shielded, so that a cancelled caller still leaves no zombie behind.
        await asyncio.shield(process.wait())
