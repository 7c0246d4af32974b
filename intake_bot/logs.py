"""Logging that cannot pass content on: fixed texts, ids and codes from us, and no exception's words from anyone.

An exception's message may hold what was being worked on (a parser's input, a database's parameters), so a traceback is
printed as types and places only.
"""

from __future__ import annotations

import logging
import sys
import traceback
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


def set_up(stream: TextIO = sys.stderr, *, verbose: bool = False) -> None:
    """Log to ``stream``: ours from INFO (DEBUG when ``verbose``), everyone else's warnings, their words withheld."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ContentFreeFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(OursOnly())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("intake_bot", "storage", "triage"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
    # aiosmtpd logs whole bodies at DEBUG, whatever its parents' level.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
