"""SMTP and LMTP in. Between the client's dot and our 250 there is one thing: the row is committed and synced.

Reading, triage and everything else come later, elsewhere. A fault of ours is 451 with a fixed text (RFC 5321 section
4.2.1: the client keeps the message and comes again), never 5xx and never an exception's words.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException, syntax

from intake_bot.mail.addresses import without_tag
from intake_bot.mail.clients import ClientRules, Clients
from intake_bot.mail.tls import Certificate

log = logging.getLogger(__name__)

GREETING = "intake-bot"
FAULT = "451 4.3.0 Not kept: a fault on our side. Please try again later"
NO_ROOM = "452 4.3.1 Not kept: no room on our side. Please try again later"
UNKNOWN_RECIPIENT = "550 5.1.1 No such mailbox here"
TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients: send the rest in another transaction"
TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections: please try again later"
NOT_ALLOWED = "421 4.7.1 This address is not among those that may send here: please try again later"
"""RFC 5321 section 3.1 has 554 for a client that is not wanted, which then gives its mail back. The list of clients is ours
to keep right, though, and while it is wrong nothing may be lost: section 3.8's 421, which leaves the mail in its queue."""
TOO_MANY_MESSAGES = "450 4.7.1 Too many messages from this address: please try again later"
TOO_MANY_MISTAKES = "421 4.7.0 Too many mistakes, goodbye"
TOO_SLOW = "421 4.4.2 The message took too long: please try again later"
TOO_BIG = "552 5.3.4 Message too big for this system"
TLS_FIRST = "530 5.7.0 Must issue a STARTTLS command first"
TLS_ALREADY = "503 5.5.1 TLS is in use already"
STRANGE_CHARACTERS = "501 5.5.2 A command may not hold control characters"
END_OF_DATA = b"\r\n.\r\n"
READ_AHEAD = 64 * 1024
"""Bytes of a connection held before somebody reads them (asyncio holds up to twice as many). A command must fit in it."""
COMMAND_BYTES = 2048
"""RFC 5321 section 4.5.3.1.4 allows 512, and extensions add to it; addresses rewritten on the way are longer still."""
MISTAKES = 20
"""Commands that a client may get wrong in one connection."""
DATA_SECONDS = 3600.0
"""How long one message may take to come: every byte counts as a sign of life, so silence alone bounds nothing."""

Accept = Callable[[bytes, dict[str, Any]], Awaitable[str]]
"""Keeps raw bytes and what the envelope said; returns an id once they are committed and synced, or raises: NoRoom where the
disk is full, whatever it may be else."""


class NoRoom(Exception):
    """There is no room to keep a message (RFC 5321 section 4.2.2: 452 "insufficient system storage")."""


@dataclass(frozen=True, slots=True)
class Listening:
    """How to listen. ``recipients`` empty means any; sizes in bytes, times in seconds. Without a certificate no TLS."""

    host: str
    port: int
    protocol: str
    recipients: frozenset[str]
    max_message: int
    max_recipients: int
    max_connections: int
    idle_seconds: float
    clients: ClientRules = field(default_factory=ClientRules)
    certificate: Certificate | None = None
    tls_required: bool = False


class MailServer:
    """The listener. :meth:`start` binds; :meth:`stop` lets transactions in progress end and then closes."""

    def __init__(self, listening: Listening, accept: Accept) -> None:
        self._listening = listening
        self._clients = Clients(listening.clients, time.monotonic)
        self._handler = _Handler(listening, accept, self._clients)
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
        certificate = self._listening.certificate
        return kind(
            self._handler,
            open_connections=self._open,
            max_connections=self._listening.max_connections,
            clients=self._clients,
            tls_context=certificate.context() if certificate is not None else None,
            # Nobody logs in here; who may send is a matter of networks and certificates of the network's own.
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            data_size_limit=self._listening.max_message,
            enable_SMTPUTF8=True,
            hostname=GREETING,
            ident=GREETING,
            timeout=self._listening.idle_seconds,
            loop=asyncio.get_running_loop(),
        )


class _Connection(SMTP):
    """A connection that counts itself, bounds what it holds, reads lines of any length and forgives few mistakes."""

    line_length_limit = READ_AHEAD
    command_size_limit = COMMAND_BYTES

    def __init__(
        self,
        handler: object,
        *,
        open_connections: set[SMTP],
        max_connections: int,
        clients: Clients,
        **options: Any,
    ) -> None:
        # aiosmtpd's own table is one for all connections: each would clear what another's EHLO had raised.
        self.command_size_limits = defaultdict(lambda: COMMAND_BYTES)
        super().__init__(handler, **options)
        self._open_connections = open_connections
        self._max_connections = max_connections
        self._clients = clients
        self._mistakes = 0
        self.client = ""
        self._silent_at = 0.0

    def __dir__(self) -> list[str]:
        """The names alone that aiosmtpd looks for among all attributes, anew for each connection and at some cost."""
        return _names_looked_for(type(self))

    @property
    def over_tls(self) -> bool:
        return self._tls_protocol is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self in self._open_connections:
            # The same connection once more, over TLS now.
            super().connection_made(transport)
            return
        # TCP's always is one, though uvloop's says nothing of it.
        transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        if not self._clients.allowed(self.client):
            log.warning("turned away a client outside mail.networks: %s", self.client)
            refusal: str | None = NOT_ALLOWED
        elif len(self._open_connections) >= self._max_connections or not self._clients.arrive(self.client):
            refusal = TOO_MANY_CONNECTIONS
        else:
            refusal = None
        if refusal is not None:
            transport.write(refusal.encode("ascii") + b"\r\n")
            transport.close()
            return
        self._open_connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._open_connections:
            self._open_connections.discard(self)
            self._clients.leave(self.client)
            super().connection_lost(error)

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Let the client go when it has been silent for so long (seconds). One timer does for all of a connection's life:
        when it goes off too early it is set anew, which costs less than a new one for each command.
        """
        self._silent_at = self.loop.time() + (duration or self._timeout_duration)
        watch = self._timeout_handle
        if watch is None or watch.cancelled() or watch.when() > self._silent_at:
            self._watch()

    def _watch(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_at(self._silent_at, self._look_at_the_time)

    def _look_at_the_time(self) -> None:
        if self.loop.time() < self._silent_at:
            self._watch()
        else:
            self._timeout_cb()  # type: ignore[no-untyped-call]

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

    async def push(self, status: str | bytes) -> None:
        text = status if isinstance(status, str) else status.decode("ascii")
        await super().push(text)
        if text.startswith(("500", "501", "502", "503", "504")):
            self._mistakes += 1
            if self._mistakes == MISTAKES:
                await self.leave(TOO_MANY_MISTAKES)

    async def leave(self, last_words: str) -> None:
        """Say why and close (RFC 5321 section 3.8)."""
        await SMTP.push(self, last_words)
        if self.transport is not None:
            self.transport.close()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address of a path and what follows it; None twice where it is none.

        The library parses as headers are parsed, with other faults than its own for some of what is no address.
        """
        plain = _PLAIN_PATH.match(arg)
        if plain is not None:
            return plain[1] or "<>", plain[2]
        try:
            address, rest = super()._getaddr(arg)
        except Exception:  # IndexError and its kind, from inside the library's parser
            return None, None
        return address, rest

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 (the library's names)
        if arg is not None and _CONTROLS.search(arg):
            await self.push(STRANGE_CHARACTERS)
        else:
            await super().smtp_MAIL(arg)

    @syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if arg is not None and _CONTROLS.search(arg):
            await self.push(STRANGE_CHARACTERS)
        else:
            await super().smtp_RCPT(arg)

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, arg: str | None) -> None:  # noqa: N802
        """Nothing is said about who is here (RFC 5321 section 7.3), and nothing of the question is said back."""
        await self.push("252 2.5.1 Send some mail and see")

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802
        if self.over_tls:
            await self.push(TLS_ALREADY)
        else:
            # What came in plain text behind the command is thrown away once TLS stands (RFC 3207 section 4.2).
            await super().smtp_STARTTLS(arg)
            if self._original_transport is not None and self.session is not None and self.session.ssl is None:
                # Closed in the middle of the handshake, by our own timer: nobody else says that the connection is lost.
                self.connection_lost(None)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if await self.check_helo_needed():
            return
        assert self.envelope is not None  # noqa: S101 (made with the connection)
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        try:
            async with asyncio.timeout(DATA_SECONDS):
                content = await self._read_data()
        except TimeoutError:
            await self.leave(TOO_SLOW)
            return
        if content is None:
            status = TOO_BIG
        else:
            self.envelope.content = self.envelope.original_content = content
            status = await self._call_handler_hook("DATA")
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(status)

    async def _read_data(self) -> bytes | None:
        """What was sent between 354 and the dot, without the dots that were put in; None where it is beyond SIZE.

        Only CR LF . CR LF is an end (RFC 5321 section 4.1.1.4): a bare LF or CR beside a dot is content, since what one
        server takes for an end and another does not smuggles a second message behind the first. Lines may be of any
        length: what is held is bounded by the size alone, and what is too big is read to its end without being held.
        """
        limit = self.data_size_limit or 0
        # At the most, every line is a dot, and comes as two.
        most = limit + limit // 3 + len(END_OF_DATA)
        # A message may be empty: its end then begins with the CR LF of the DATA command itself.
        self._reader._buffer[:0] = END_OF_DATA[:2]  # type: ignore[attr-defined]
        pieces: list[bytes] = []
        held = 0
        whole = False
        while not whole:
            try:
                piece = await self._reader.readuntil(END_OF_DATA)
                whole = True
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.readexactly(overrun.consumed)
            held += len(piece)
            if held > most:
                pieces.clear()
            else:
                pieces.append(piece)
        if held > most:
            return None
        content = b"".join(pieces)[: -len(b".\r\n")].replace(b"\r\n.", b"\r\n")[2:]
        return content if len(content) <= limit else None


_NAMES: dict[type, list[str]] = {}


def _names_looked_for(kind: type) -> list[str]:
    if kind not in _NAMES:
        _NAMES[kind] = [name for name in dir(kind) if name.startswith(("smtp_", "auth_", "handle_"))]
    return _NAMES[kind]


# The paths that nearly every client sends: no quoting, no route. What is between the brackets may be nothing.
_PLAIN_PATH = re.compile(r'\s*<([^\s<>@"\\,:;()\[\]]+@[^\s<>@"\\,:;()\[\]]+|)>(.*)\Z', re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class _Smtp(_Connection):
    pass


class _Lmtp(_Connection, LMTP):
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
    def __init__(self, listening: Listening, accept: Accept, clients: Clients) -> None:
        self._listening = listening
        self._accept = accept
        self._clients = clients
        self._accepting = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def __dir__(self) -> list[str]:
        return _names_looked_for(type(self))

    async def handle_EHLO(  # noqa: N802 (aiosmtpd's names)
        self, server: _Connection, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Say PIPELINING (RFC 2920; the stream is read in order anyway) and leave out the empty list of logins."""
        session.host_name = hostname
        offered = [line for line in responses if not line.startswith("250-AUTH")]
        return [*offered[:-1], "250-PIPELINING", offered[-1]]

    async def handle_MAIL(  # noqa: N802
        self, server: _Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._listening.tls_required and not server.over_tls:
            return TLS_FIRST
        if not self._clients.may_send(server.client):
            return TOO_MANY_MESSAGES
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: _Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._listening.max_recipients:
            return TOO_MANY_RECIPIENTS
        if self._listening.recipients and without_tag(address) not in self._listening.recipients:
            return UNKNOWN_RECIPIENT
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Connection, session: Session, envelope: Envelope) -> str:  # noqa: N802
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
        except NoRoom:
            log.error("a message was not kept: the disk is full")
            answer = NO_ROOM
        except Exception:  # whatever it was, the client must keep the message and come again
            log.exception("a message was not kept")
            answer = FAULT
        else:
            answer = f"250 2.0.0 Kept as {identity}"
        finally:
            self._accepting -= 1
            if not self._accepting:
                self.idle.set()
        return answer

    async def handle_exception(self, error: Exception) -> str:
        if isinstance(error, TLSSetupException):
            # The client's doing, or a certificate that it does not like; the library closes the connection.
            log.warning("no TLS with a client: its handshake failed")
            return FAULT
        log.error("a fault in a mail session", exc_info=error)
        return FAULT


def _text(address: str) -> str:
    """An envelope address as text: bytes that are no UTF-8 (Latin-1, from programs older than SMTPUTF8) are written out."""
    return address.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
