"""A relay that does as it is told: each answer it gives can be set beforehand, hanging up included."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import defaultdict, deque

HANG_UP = "hang up"
PLAIN = {
    "CONNECT": "220 relay.example ESMTP",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "DOT": "250 queued",
    "AUTH": "235 welcome",
    "QUIT": "221 bye",
}


class FakeRelay:
    """Listens on loopback. ``told[VERB]`` are the answers to give before the plain one; DOT is the end of the data."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, login: bool = False) -> None:
        self.told: defaultdict[str, deque[str]] = defaultdict(deque)
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.all_gone = asyncio.Event()
        self._tls = tls
        self._login = login
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> FakeRelay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection, as a relay does with a client that is silent."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.all_gone.clear()
        self._writers.add(writer)
        with contextlib.suppress(_Closed, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._talk(reader, writer)
        writer.close()
        self._writers.discard(writer)
        self.open -= 1
        if not self.open:
            self.all_gone.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = False
        self._say(writer, "CONNECT")
        while line := (await reader.readline()).decode():
            verb = line.split()[0].upper()
            self.commands.append(line.strip())
            if verb in {"EHLO", "HELO"}:
                offers = ["relay.example", *(["STARTTLS"] if self._tls and not encrypted else [])]
                offers += ["AUTH PLAIN"] if self._login else []
                answers = [f"250-{offer}\r\n" for offer in offers]
                writer.write("".join(answers).encode() + b"250 HELP\r\n")
            elif verb == "STARTTLS" and self._tls is not None:
                writer.write(b"220 go ahead\r\n")
                await writer.start_tls(self._tls)
                encrypted = True
            elif self._say(writer, verb) and verb == "DATA":
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                self._say(writer, "DOT")
            elif verb == "QUIT":
                return

    def _say(self, writer: asyncio.StreamWriter, verb: str) -> bool:
        """Give the answer to a verb; whether it was the plain one."""
        told = self.told[verb].popleft() if self.told[verb] else None
        if told == HANG_UP:
            raise _Closed
        writer.write((told or PLAIN.get(verb, "500 what?")).encode() + b"\r\n")
        if (told or "").startswith("421"):
            raise _Closed
        return told is None


class _Closed(Exception):
    pass
