"""The mail servers around us: those that send to us as mail servers do, and the relay that our letters go to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from email.utils import parseaddr

from soak.mails import Letter, Mail

MESSAGES_A_CONNECTION = 50
PATIENCE_SECONDS = 30.0
KEPT = re.compile(r"250 2\.0\.0 Kept as ([0-9A-Z]{26})")


class Refused(Exception):
    """An answer that is not the one that goes on."""


class Sending:
    """What all the sending servers know of: who got a 250 for what, and how long it took."""

    def __init__(self) -> None:
        self.kept: dict[str, Mail] = {}  # by the id in our 250
        self.seconds: list[float] = []
        self.again = 0
        self.refused: list[str] = []  # 5xx: then a server gives up, and the message is lost
        self.open = 0  # messages without a 250


class Server:
    """A mail server: takes a 250 for an answer and nothing else, keeps what has none, and comes again."""

    def __init__(self, ports: Sequence[int], sending: Sending, chance: random.Random) -> None:
        """``ports`` are those of all nodes: as with MX records of one preference, any of them will do."""
        self._ports = ports
        self._sending = sending
        self._chance = chance
        self._queue: asyncio.Queue[Mail] = asyncio.Queue()

    def queue(self, mail: Mail) -> None:
        self._sending.open += 1
        self._queue.put_nowait(mail)

    async def run(self) -> None:
        """One connection at a time, for ever."""
        while True:
            mail = await self._queue.get()
            connection = None
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    connection = await _Connection.to(self._chance.choice(self._ports))
                for _ in range(MESSAGES_A_CONNECTION):
                    await self._send(connection, mail)
                    mail = None
                    async with asyncio.timeout(1):
                        mail = await self._queue.get()
            except (OSError, EOFError, TimeoutError, Refused) as fault:
                if mail is not None:
                    self._come_again(mail, fault)
                mail = None
            finally:
                if connection is not None:
                    connection.close()
            if mail is not None:
                self._queue.put_nowait(mail)

    async def _send(self, connection: _Connection, mail: Mail) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            seconds, answer = await connection.send(mail)
        kept = KEPT.match(answer)
        if kept is None:
            raise Refused(answer)
        self._sending.kept[kept[1]] = mail
        self._sending.seconds.append(seconds)
        self._sending.open -= 1

    def _come_again(self, mail: Mail, fault: Exception) -> None:
        if isinstance(fault, Refused) and str(fault).startswith("5"):
            self._sending.refused.append(f"{mail.kind}: {fault}")
            self._sending.open -= 1
            return
        self._sending.again += 1
        asyncio.get_running_loop().call_later(self._chance.uniform(0.2, 2.0), self._queue.put_nowait, mail)


class _Connection:
    """The client's side of SMTP, pipelined (RFC 2920)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> _Connection:
        connection = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            await connection._expect("220")
            connection._writer.write(b"EHLO mx.school.example\r\n")
            await connection._expect("250")
        except BaseException:
            connection.close()
            raise
        return connection

    async def send(self, mail: Mail) -> tuple[float, str]:
        """Seconds from the dot to the answer, and the answer."""
        self._writer.write(f"MAIL FROM:<{mail.sender}>\r\nRCPT TO:<{mail.to}>\r\nDATA\r\n".encode())
        for code in ("250", "250", "354"):
            await self._expect(code)
        self._writer.write(re.sub(rb"(?m)^\.", b"..", mail.raw))
        await self._writer.drain()
        dot = time.perf_counter()
        self._writer.write(b".\r\n")
        answer = await self._answer()
        return time.perf_counter() - dot, answer

    async def _expect(self, code: str) -> None:
        answer = await self._answer()
        if not answer.startswith(code):
            raise Refused(answer)

    async def _answer(self) -> str:
        while True:
            line = await self._reader.readuntil(b"\n")
            if line[3:4] != b"-":
                return line.decode("ascii").strip()

    def close(self) -> None:
        self._writer.write(b"QUIT\r\n")
        self._writer.close()


class Relay:
    """Takes our letters. Now and then it is busy (451) or hangs up after the dot, so that nobody knows."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._server: asyncio.Server | None = None
        self.letters: defaultdict[str, list[Letter]] = defaultdict(list)  # by the Message-ID that each answers
        self.arrived: list[Letter] = []
        self.raw_with: set[str] = set()
        self.watched = b""

    async def start(self, port: int, watched: str) -> None:
        """``watched`` is what no letter may hold; ``raw_with`` names those that do."""
        self.watched = watched.encode()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = to = ""
        writer.write(b"220 relay.example ESMTP\r\n")
        while line := (await reader.readline()).decode("ascii", "replace").strip():
            verb = line[:4].upper()
            if verb == "MAIL" and self._chance.random() < 0.005:
                writer.write(b"451 4.3.0 Busy\r\n")
                continue
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self._take(raw, sender, to)
                if self._chance.random() < 0.002:
                    return
            elif verb == "MAIL":
                sender = line[10:].partition("<")[2].partition(">")[0] if "<" in line[10:] else line[10:]
            elif verb == "RCPT":
                to = line.partition("<")[2].partition(">")[0]
            writer.write(b"250-relay.example\r\n250 PIPELINING\r\n" if verb == "EHLO" else b"250 ok\r\n")
            if verb == "QUIT":
                return

    def _take(self, raw: bytes, sender: str, to: str) -> None:
        header = BytesHeaderParser().parsebytes(raw)
        reply_to = parseaddr(" ".join(header["Reply-To"].split()))[1]
        letter = Letter(header["Message-ID"].strip(), sender, to, reply_to, header["In-Reply-To"].strip())
        self.letters[letter.in_reply_to].append(letter)
        self.arrived.append(letter)
        if self.watched in raw:
            self.raw_with.add(letter.mail_id)
