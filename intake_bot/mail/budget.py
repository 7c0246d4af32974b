"""A bound on the processor time that one document may take, and all of a message's documents together."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from intake_bot.mail.limits import DocumentFault, Limits

_AGAIN_SECONDS = 0.05
# Less than this is nothing: a timer set to a millionth of a second may never ring.
_LEAST_SECONDS = 0.01


class _OutOfTime(BaseException):
    """Not an Exception: the libraries that it must get through catch those."""


class Budget:
    """What is left of the time for documents. Time is the process's own, so that a busy machine costs nothing."""

    def __init__(self, limits: Limits) -> None:
        self._each = limits.document_seconds
        self._left = limits.documents_seconds

    @contextlib.contextmanager
    def document(self) -> Iterator[None]:
        """Run what is inside until its time is up; what any library raises on a broken document becomes a fault.

        A signal stops pure Python at its next step; C code runs on until it comes back, and is bounded by the size of
        what it gets and, in the end, by the parent's clock. Signals reach the main thread only: elsewhere nothing is
        stopped, but what was spent is counted.

        :raises DocumentFault: ``DocumentTooSlow``, ``DocumentTooLarge`` (out of memory), ``DocumentBroken``, or what
            was raised inside.
        """
        if self._left < _LEAST_SECONDS:
            raise DocumentFault("DocumentTooSlow")
        started = time.process_time()
        try:
            with _alarm(min(self._each, self._left)):
                yield
        except _OutOfTime:
            raise DocumentFault("DocumentTooSlow") from None
        except MemoryError:
            raise DocumentFault("DocumentTooLarge") from None
        except DocumentFault:
            raise
        except Exception:  # parsers of broken files raise anything, and their words may be content
            raise DocumentFault("DocumentBroken") from None
        finally:
            self._left -= time.process_time() - started


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGVTALRM, ring)
    # It rings again, in case a library's cleaning up swallows the first.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        # One more may ring between here and the next line: it is swallowed, as it would hit the wrong document.
        with contextlib.suppress(_OutOfTime):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
