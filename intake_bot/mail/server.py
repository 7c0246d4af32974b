"""SMTP and LMTP in. Between the client's dot and our 250 there is one thing: the row is committed and synced.

Reading, triage and everything else come later, elsewhere. A fault of ours is 451 with a fixed text (RFC 5321 section
4.2.1: the client keeps the message and comes again), never 5xx and never an exception's words.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from intake_bot.mail.addresses import without_tag

log = logging.getLogger(__name__)

GREETING = "intake-bot"
FAULT = "451 4.3.0 Not kept: a fault on our side. Please try again later"
UNKNOWN_RECIPIENT = "550 5.1.1 No such mailbox here"
TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients: send the rest in another transaction"
TOO_MANY_CONNECTIONS = b"421 4.7.0 Too many connections: please try again later\r\n"
LINE_LIMIT = 1024 * 1024
"""Bytes in a line. RFC 5321 allows 998, real programs send longer ones, and a lost message is worse than a long line."""

Accept = Callable[[bytes, dict[str, Any]], Awaitable[str]]
"""Keeps raw bytes and what the envelope said; returns an id once they are committed and synced, or raises."""


@dataclass(frozen=True, slots=True)
class Listening:
    """How to listen. ``recipients`` empty means any; sizes in bytes, times in seconds."""

    host: str
    port: int
    protocol: str
    recipients: frozenset[str]
    max_message: int
    max_recipients: int
    max_connections: int
    idle_seconds: float


class MailServer:
    """The listener. :meth:`start` binds; :meth:`stop` lets transactions in progress end and then closes."""

    def __init__(self, listening: Listening, accept: Accept) -> None:
        self._listening = listening
        self._handler = _Handler(listening, accept)
        self._server: asyncio.Server | None = None
        self._open: set[SMTP] = set()

    @property
    def port(self) -> int:
        """The port really bound (the one asked for may be 0)."""
        if self._server is None:
            raise RuntimeError("not listening")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Raises OSError where the address cannot be bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._listening.host, self._listening.port)

    async def stop(self, *, grace_seconds: float = 5) -> None:
        """Take no new connections, wait for messages being accepted, then close what is left."""
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._handler.idle.wait()
        for connection in list(self._open):
            if connection.transport is not None:
                connection.transport.close()
        # A turn of the loop for each connection to say goodbye.
        await asyncio.sleep(0)
        self._server = None

    def _connection(self) -> SMTP:
        kind = _Lmtp if self._listening.protocol == "lmtp" else _Smtp
        return kind(
            self._handler,
            open_connections=self._open,
            max_connections=self._listening.max_connections,
            data_size_limit=self._listening.max_message,
            enable_SMTPUTF8=True,
            hostname=GREETING,
            ident=GREETING,
            timeout=self._listening.idle_seconds,
            loop=asyncio.get_running_loop(),
        )


class _Counted(SMTP):
    """A connection that counts itself, says 421 when there are too many, and is let go when it is really silent."""

    line_length_limit = LINE_LIMIT

    def __init__(self, handler: object, *, open_connections: set[SMTP], max_connections: int, **options: Any) -> None:
        super().__init__(handler, **options)
        self._open_connections = open_connections
        self._max_connections = max_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._open_connections) >= self._max_connections:
            assert isinstance(transport, asyncio.Transport)  # noqa: S101 (TCP always is)
            transport.write(TOO_MANY_CONNECTIONS)
            transport.close()
            return
        self._open_connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._open_connections:
            self._open_connections.discard(self)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        # aiosmtpd counts from the last command: a large message over a slow line would be cut each time it comes.
        if self._timeout_handle is not None:
            self._reset_timeout()
        super().data_received(data)

    @contextlib.contextmanager
    def waiting_for_us(self) -> Iterator[None]:
        """While we work, the client's silence is not its own."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        try:
            yield
        finally:
            if self.transport is not None:
                self._reset_timeout()


class _Smtp(_Counted):
    pass


class _Lmtp(_Counted, LMTP):
    """After the data there is one answer for each recipient, whatever the answer is (RFC 2033 section 4.2)."""

    _answers = 0

    async def push(self, status: str | bytes) -> None:
        text = status.decode("ascii") if isinstance(status, bytes) else status
        if text.startswith("354") and self.envelope is not None:
            self._answers = len(self.envelope.rcpt_tos)
        elif self._answers:
            text, self._answers = "\r\n".join([text] * self._answers), 0
        await super().push(text)


class _Handler:
    def __init__(self, listening: Listening, accept: Accept) -> None:
        self._listening = listening
        self._accept = accept
        self._accepting = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's names)
        self, server: _Counted, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._listening.max_recipients:
            return TOO_MANY_RECIPIENTS
        if self._listening.recipients and without_tag(address) not in self._listening.recipients:
            return UNKNOWN_RECIPIENT
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Counted, session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.original_content or b""
        facts = {
            "from": _text(envelope.mail_from or ""),
            "to": [_text(address) for address in envelope.rcpt_tos],
            "client": session.peer[0] if isinstance(session.peer, tuple) else "",
        }
        self._accepting += 1
        self.idle.clear()
        try:
            with server.waiting_for_us():
                identity = await self._accept(bytes(raw), facts)
        except Exception:  # whatever it was, the client must keep the message and come again
            log.exception("a message was not kept")
            answer = FAULT
        else:
            log.info("kept %s", identity)
            answer = f"250 2.0.0 Kept as {identity}"
        finally:
            self._accepting -= 1
            if not self._accepting:
                self.idle.set()
        return answer

    async def handle_exception(self, error: Exception) -> str:
        log.error("a fault in a mail session", exc_info=error)
        return FAULT


def _text(address: str) -> str:
    """An envelope address as text: bytes that are no UTF-8 (Latin-1, from programs older than SMTPUTF8) are written out."""
    return address.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
