"""Logging that cannot pass content on: fixed texts, ids and codes from us, and no exception's words from anyone.

An exception's message may hold what was being worked on (a parser's input, a database's parameters), so a traceback is
printed as types and places only.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import traceback
from logging.handlers import QueueHandler, QueueListener
from types import TracebackType
from typing import TextIO

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class ContentFreeFormatter(logging.Formatter):
    """Formats a traceback without any exception's message."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 (the library's name)
        lines = []
        fault: BaseException | None = ei[1]
        while fault is not None:
            places = traceback.extract_tb(fault.__traceback__)
            lines.append(type(fault).__qualname__)
            lines += [f"  {place.filename}:{place.lineno} in {place.name}" for place in places]
            fault = fault.__cause__ or fault.__context__
        return "\n".join(lines)


class OursOnly(logging.Filter):
    """Passes our own records; of others', that there was one, since their texts are not ours to vouch for."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(("intake_bot", "storage", "triage")):
            record.msg, record.args = "a warning from this library (its text is withheld)", ()
        return True


class Unhurried(QueueHandler):
    """Hands records to a thread that writes them, so that a reader who pages stops nobody; beyond a bound they are lost.

    What is queued is the finished line: no argument of a record outlives the call.
    """

    def enqueue(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)


class Writer(QueueListener):
    """Writes what was handed over. It is no handler of logging's own, which waits for its handlers at the end."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord], stream: TextIO) -> None:
        super().__init__(waiting)
        self._stream = stream

    def handle(self, record: logging.LogRecord) -> None:
        """Write one line. Where there is nobody to write to, there is nobody to tell."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(record.getMessage() + "\n")
            self._stream.flush()

    def stop(self) -> None:
        """Write what waits, unless nobody reads it within :data:`LAST_SECONDS`."""
        thread = self._thread
        if thread is not None:
            with contextlib.suppress(queue.Full):
                self.enqueue_sentinel()
            thread.join(LAST_SECONDS)
            self._thread = None


LAST_SECONDS = 2.0
MOST_WAITING = 10_000
"""Lines that wait to be written."""


def set_up(stream: TextIO = sys.stderr, *, verbose: bool = False) -> Writer:
    """Log to ``stream``: ours from INFO (DEBUG when ``verbose``), everyone else's warnings, their words withheld.

    Gives what writes: stopping it writes what waits.
    """
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    handler = Unhurried(waiting)
    handler.setFormatter(ContentFreeFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(OursOnly())
    listener = Writer(waiting, stream)
    listener.start()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("intake_bot", "storage", "triage"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
    # aiosmtpd logs whole bodies at DEBUG, whatever its parents' level.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    return listener
