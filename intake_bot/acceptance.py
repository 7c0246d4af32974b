"""Between an edge and the spool: one thread that commits, for all that comes at once, and nothing else.

While one commit is on its way to the disk, what arrives waits and goes with the next (group commit): many sessions cost one
flush, and a single one never waits for others.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from storage import spool
from storage.engine import Database
from storage.spool import Offer
from storage.vault import Vault

log = logging.getLogger(__name__)

LULL_SECONDS = 0.005
"""Nothing accepted for so long: a good moment for other work."""
LONGEST_LULL_SECONDS = 0.2
"""How long other work waits at most for such a moment, so that it goes on in a flood too."""
GROUP_COUNT = 256
GROUP_BYTES = 32 * 1024 * 1024
"""How much one commit takes at most, so that a few large messages do not keep the small ones waiting for long."""


class Acceptance:
    """Accepts from several sessions of one event loop. ``accepted`` is called, on the loop, when something was kept."""

    def __init__(self, database: Database, vault: Vault, *, accepted: Callable[[], None]) -> None:
        self._database = database
        self._vault = vault
        self._accepted = accepted
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending, self._last = 0, 0.0

    async def accept(self, offer: Offer) -> str | None:
        """The new id, once it is committed and synced; None where its key was known. Raises what the database raised."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="accept", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()
        self._pending += 1
        self._waiting.put((offer, answer))
        try:
            return await answer
        finally:
            self._pending -= 1
            self._last = loop.time()

    async def lull(self) -> None:
        """Wait, though not for long, until nobody is being served: whoever sends waits for us, the work behind does not."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_LULL_SECONDS
        # That nothing happens for a while is no event that one could wait for.
        while (now := loop.time()) < until and (self._pending or now - self._last < LULL_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(LULL_SECONDS)

    def close(self) -> None:
        """Commit what is waiting, and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, ends = self._group(first)
            offers = [offer for offer, _ in group]
            results = self._accept(offers)
            loop = group[0][1].get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._answer, [answer for _, answer in group], results)
            if ends:
                return

    def _group(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What is waiting, up to the limits; and whether the end was among it."""
        group, size = [first], len(first[0].raw)
        while len(group) < GROUP_COUNT and size < GROUP_BYTES:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
            size += len(following[0].raw)
        return group, False

    def _accept(self, offers: list[Offer]) -> list[str | Exception | None]:
        """Ids, or why not."""
        try:
            return [*spool.accept(self._database, self._vault, offers)]
        except Exception as fault:
            if len(offers) == 1 or isinstance(fault, OperationalError):
                # A database that is away or full fails each of them, and each try may take its whole time limit.
                return [fault] * len(offers)
            # One of them cannot be kept: the others can.
            return [result for offer in offers for result in self._accept([offer])]

    def _answer(self, answers: list[asyncio.Future[str | None]], results: list[str | Exception | None]) -> None:
        self._accepted()
        kept = ", ".join(result for result in results if isinstance(result, str))
        if kept:
            log.info("kept %s", kept)
        for answer, result in zip(answers, results, strict=True):
            if answer.done():
                continue  # the client hung up; what it sent is kept all the same
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)


_Waiting = tuple[Offer, "asyncio.Future[str | None]"]
