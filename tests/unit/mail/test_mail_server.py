"""The listener against clients that are wrong, hostile, old or many. What it takes, it takes byte for byte."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.certificates import make_certificate
from intake_bot.mail import server as server_module
from intake_bot.mail.clients import ClientRules, Clients, parse_networks
from intake_bot.mail.server import MISTAKES, Listening, MailServer
from intake_bot.mail.tls import Certificate, CertificateProblem
from intake_bot.settings import Settings

LISTENING = Listening(
    host="127.0.0.1",
    port=0,
    protocol="smtp",
    recipients=frozenset(),
    max_message=100_000,
    max_recipients=5,
    max_connections=5,
    idle_seconds=60,
)
ENVELOPE = b"MAIL FROM:<dsl@brookfield.example>\r\nRCPT TO:<lado@elmshire.example>\r\nDATA\r\n"


class Client:
    """A client that writes what it is told to, however wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> str:
        """The next answer, all its lines; empty where the server has closed."""
        lines = []
        while True:
            line = (await self.reader.readline()).decode("ascii")
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines)

    async def say(self, raw: bytes) -> str:
        self.writer.write(raw)
        return await self.answer()

    async def greet(self) -> str:
        await self.answer()
        return await self.say(b"EHLO mx.school.example\r\n")

    async def deliver(self, data: bytes) -> str:
        """One transaction; ``data`` is what goes over the wire, its end included."""
        self.writer.write(ENVELOPE)
        for code in ("250", "250", "354"):
            assert (await self.answer()).startswith(code)
        return await self.say(data)


class Kept(list[bytes]):
    """What was accepted, with the envelopes beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[dict[str, Any]] = []

    async def accept(self, raw: bytes, facts: dict[str, Any]) -> str:
        self.append(raw)
        self.envelopes.append(facts)
        return f"{len(self):02}"


class Connect:
    """Connects to a server, as often as it is called."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.clients: list[Client] = []

    async def __call__(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.server.port)))
        return self.clients[-1]


@asynccontextmanager
async def listening(kept: Kept, **changes: Any) -> AsyncIterator[Connect]:
    """A server, and a way to connect to it."""
    server = MailServer(replace(LISTENING, **changes), kept.accept)
    await server.start()
    connect = Connect(server)
    try:
        async with asyncio.timeout(20):
            yield connect
    finally:
        for client in connect.clients:
            client.writer.close()
        await server.stop()


# What ends a message


@pytest.mark.parametrize(
    "false_end",
    [
        b"\n.\n",
        b"\r.\r",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\r\n\x00.\r\n",
        b"\r\r\n.\r\r\n",
        b"\n\r.\n\r",
    ],
)
async def test_only_cr_lf_dot_cr_lf_ends_a_message(false_end: bytes) -> None:
    """SMTP smuggling: what another server took for content must not become a second message here."""
    kept = Kept()
    smuggled = b"MAIL FROM:<head@oak.example>\r\nRCPT TO:<lado@elmshire.example>\r\nDATA\r\nSubject: forged\r\n\r\n"
    sent = b"Subject: one\r\n\r\nA concern" + false_end + smuggled + b"not a message"
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        assert (await client.deliver(sent + b"\r\n.\r\n")).startswith("250")
        assert (await client.say(b"NOOP\r\n")).startswith("250")
    assert kept == [sent.replace(b"\r\n.", b"\r\n") + b"\r\n"]


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"A line.\r\n...\r\n..dots\r\n.\r\n", b"A line.\r\n..\r\n.dots\r\n"),
        (b"\x00\xff\r\n.\r\n", b"\x00\xff\r\n"),
        (b"a lone CR \r and LF \n stay\r\n.\r\n", b"a lone CR \r and LF \n stay\r\n"),
    ],
)
async def test_a_message_is_kept_byte_for_byte_without_the_dots_put_in(sent: bytes, content: bytes) -> None:
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        assert (await client.deliver(sent)).startswith("250")
    assert kept == [content]


async def test_an_end_is_found_wherever_the_reading_ahead_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module._Connection, "line_length_limit", 64)
    kept = Kept()
    lengths = range(50, 150)
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        for length in lengths:
            assert (await client.deliver(b"x" * length + b"\r\n.\r\n")).startswith("250")
    assert kept == [b"x" * length + b"\r\n" for length in lengths]


async def test_an_end_that_comes_byte_by_byte_is_an_end() -> None:
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        client.writer.write(ENVELOPE)
        for _ in range(3):
            await client.answer()
        for byte in b"\r\n..\r\n.\r.\r\n.\r\n":
            client.writer.write(bytes([byte]))
            for _ in range(5):
                await asyncio.sleep(0)
        assert (await client.answer()).startswith("250")
    assert kept == [b"\r\n.\r\n\r.\r\n"]


async def test_a_second_message_may_follow_in_the_same_breath() -> None:
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        assert "PIPELINING" in await client.greet()
        one = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
        client.writer.write(one + b"first\r\n.\r\n" + one + b"second\r\n.\r\nQUIT\r\n")
        answers = [(await client.answer())[:3] for _ in range(9)]
    assert answers == ["250", "250", "354", "250", "250", "250", "354", "250", "221"]
    assert kept == [b"first\r\n", b"second\r\n"]


# How much


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
async def test_a_line_may_be_as_long_as_a_message_and_a_message_as_big_as_said(protocol: str) -> None:
    kept = Kept()
    async with listening(kept, protocol=protocol, max_message=3_000_000) as connect:
        client = await connect()
        await client.answer()
        greeting = await client.say(b"LHLO x.example\r\n" if protocol == "lmtp" else b"EHLO x.example\r\n")
        assert "SIZE 3000000" in greeting
        just = b"x" * 2_999_998 + b"\r\n"
        assert (await client.deliver(just + b".\r\n")).startswith("250")
        assert (await client.deliver(b"x" + just + b".\r\n")).startswith("552")
        # Dots put in for the way are not of the message.
        dots = b".\r\n" * 1_000_000
        assert (await client.deliver(dots.replace(b".", b"..") + b".\r\n")).startswith("250")
        assert (await client.say(b"MAIL FROM:<a@b.example> SIZE=3000001\r\n")).startswith("552")
    assert kept == [just, dots]


async def test_what_is_too_big_is_not_held_while_it_is_read_to_its_end() -> None:
    kept = Kept()
    async with listening(kept, max_message=1000) as connect:
        client = await connect()
        await client.greet()
        assert (await client.deliver(b"x" * 5_000_000 + b"\r\n.\r\n")).startswith("552 5.3.4")
        assert (await client.deliver(b"small\r\n.\r\n")).startswith("250")
    assert kept == [b"small\r\n"]


async def test_a_message_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "DATA_SECONDS", 0.01)
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        assert (await client.deliver(b"one word\r\n")).startswith("421 4.4.2")
        assert await client.answer() == ""
    assert kept == []


# Commands


@pytest.mark.parametrize(
    "command",
    [
        b"MAIL FROM:<a\x00b@c.example>\r\n",
        b"MAIL FROM:<a@c.example\rBcc: x@y.example>\r\n",
        b"MAIL FROM:<a@c.example> SIZE=10\rX: y\r\n",
        b'MAIL FROM:<"a\rb"@c.example>\r\n',
        b"MAIL FROM:<\r\n",
        b"MAIL FROM:<a@>\r\n",
        b"MAIL FROM:<@>\r\n",
        b'MAIL FROM:<"\r\n',
        b"MAIL FROM:\r\n",
        b"MAIL\r\n",
        b"MAIL FROM:<" + b"a" * 3000 + b"@c.example>\r\n",
        b"X" * 200_000 + b"\r\n",
        b"\xff\xfe\r\n",
        b"\r\n",
    ],
)
async def test_a_wrong_command_is_refused_and_the_client_may_go_on(command: bytes) -> None:
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        assert (await client.say(command))[:2] in {"50", "55"}
        assert (await client.deliver(b"words\r\n.\r\n")).startswith("250")
    assert kept == [b"words\r\n"]
    assert kept.envelopes[0]["from"] == "dsl@brookfield.example"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (b"<>", "<>"),
        (b"<a.b+c@d.example>", "a.b+c@d.example"),
        (b" <a@d.example> BODY=8BITMIME SIZE=100", "a@d.example"),
        (b'<"a b"@d.example>', '"a b"@d.example'),
        (b"<j\xf6rg@d.example>", "j\\xf6rg@d.example"),
        ("<jörg@d.example> SMTPUTF8".encode(), "jörg@d.example"),
        (b"a@d.example", "a@d.example"),
        (b"<" + b"a" * 500 + b"@d.example>", "a" * 500 + "@d.example"),
    ],
)
async def test_a_sender_is_taken_as_it_is_written(path: bytes, address: str) -> None:
    kept = Kept()
    async with listening(kept) as connect:
        client = await connect()
        await client.greet()
        assert (await client.say(b"MAIL FROM:" + path + b"\r\n")).startswith("250")
        assert (await client.say(b"RCPT TO:<lado@elmshire.example>\r\n")).startswith("250")
        assert (await client.say(b"DATA\r\n")).startswith("354")
        assert (await client.say(b"words\r\n.\r\n")).startswith("250")
    assert kept.envelopes[0]["from"] == address


async def test_too_many_mistakes_end_the_connection() -> None:
    async with listening(Kept()) as connect:
        client = await connect()
        await client.greet()
        for _ in range(MISTAKES):
            assert (await client.say(b"RCPT FROM\r\n")).startswith("503")
        assert (await client.answer()).startswith("421 4.7.0")
        assert await client.answer() == ""


async def test_nobody_is_told_who_is_here_and_nobody_can_log_in() -> None:
    async with listening(Kept(), recipients=frozenset({"lado@elmshire.example"})) as connect:
        client = await connect()
        assert "AUTH" not in await client.greet()
        assert await client.say(b"VRFY lado@elmshire.example\r\n") == await client.say(b"VRFY \xff\xfe\r\n")
        assert (await client.say(b"EXPN lado\r\n")).startswith("502")
        assert (await client.say(b"AUTH PLAIN AGEAYg==\r\n")).startswith("5")


# Who


async def test_a_client_outside_the_networks_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clients, "allowed", lambda self, client: False)
    async with listening(Kept()) as connect:
        client = await connect()
        assert (await client.answer()).startswith("421 4.7.1")
        assert await client.answer() == ""


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.200.3", True),
        ("::ffff:10.1.200.3", True),
        ("10.2.0.1", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("fe80::1%eth0", False),
    ],
)
def test_networks(client: str, allowed: bool) -> None:
    rules = ClientRules(networks=parse_networks(["10.1.0.0/16", "2001:db8::/32"]))
    assert Clients(rules, lambda: 0).allowed(client) is allowed


@pytest.mark.parametrize("text", ["10.1.0.5/16", "council", "10.0.0.0/40", ""])
def test_a_network_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        parse_networks([text])


def test_a_client_has_its_connections_and_a_relay_has_more() -> None:
    clients = Clients(ClientRules(relays=parse_networks(["10.1.0.9"]), connections_each=2), lambda: 0)
    assert [clients.arrive("10.1.0.5") for _ in range(3)] == [True, True, False]
    assert clients.arrive("10.1.0.6")
    clients.leave("10.1.0.5")
    assert clients.arrive("10.1.0.5")
    assert all(clients.arrive("10.1.0.9") for _ in range(50))
    assert [clients.arrive(f"2001:db8::{number}") for number in range(3)] == [True, True, False]


def test_a_client_has_its_messages_a_minute_and_a_relay_has_more() -> None:
    now = 0.0
    clients = Clients(ClientRules(relays=parse_networks(["10.1.0.9"]), messages_per_minute=3), lambda: now)
    assert [clients.may_send("10.1.0.5") for _ in range(4)] == [True, True, True, False]
    assert clients.may_send("10.1.0.6")
    now = 19.0
    assert not clients.may_send("10.1.0.5")
    now = 40.5
    assert [clients.may_send("10.1.0.5") for _ in range(3)] == [True, True, False]
    assert all(clients.may_send("10.1.0.9") for _ in range(50))


def test_what_is_remembered_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake_bot.mail.clients.MAX_REMEMBERED", 10)
    clients = Clients(ClientRules(relays=(), messages_per_minute=1), lambda: 0)
    for number in range(100):
        clients.may_send(f"10.1.0.{number}")
    assert len(clients._allowances) <= 10


async def test_a_client_that_sends_too_much_is_told_to_come_again_and_keeps_its_mail() -> None:
    kept = Kept()
    async with listening(kept, clients=ClientRules(relays=(), messages_per_minute=1)) as connect:
        client = await connect()
        await client.greet()
        assert (await client.deliver(b"one\r\n.\r\n")).startswith("250")
        assert (await client.say(b"MAIL FROM:<a@b.example>\r\n")).startswith("450 4.7.1")
        assert (await client.say(b"RCPT TO:<c@d.example>\r\n")).startswith("503")
    assert kept == [b"one\r\n"]


async def test_connections_are_counted_each_and_all_and_let_go() -> None:
    async with listening(Kept(), max_connections=3, clients=ClientRules(relays=(), connections_each=2)) as connect:
        first, second = await connect(), await connect()
        await first.greet()
        await second.greet()
        third = await connect()
        assert (await third.answer()).startswith("421 4.7.0")
        assert (await first.say(b"QUIT\r\n")).startswith("221")
        assert await first.answer() == ""
        assert (await (await connect()).answer()).startswith("220")


async def test_many_idle_and_many_slow_clients_do_not_starve_a_fast_one() -> None:
    """As many as the settings' own limit lets in: 200 that say nothing and 200 that send a byte now and then."""
    kept = Kept()
    most = Settings().mail.max_connections
    async with listening(kept, max_connections=most, max_message=100_000) as connect:
        idle = [await connect() for _ in range(200)]
        slow = [await connect() for _ in range(200)]
        for client in (*idle, *slow):
            await client.greet()

        async def trickle(client: Client) -> None:
            client.writer.write(ENVELOPE)
            while True:
                client.writer.write(b"x")
                await asyncio.sleep(0.2)

        trickling = [asyncio.create_task(trickle(client)) for client in slow]
        fast = await connect()
        await fast.greet()
        began = time.perf_counter()
        for number in range(50):
            assert (await fast.deliver(b"%d\r\n.\r\n" % number)).startswith("250")
        seconds = time.perf_counter() - began
        for task in trickling:
            task.cancel()
        await asyncio.gather(*trickling, return_exceptions=True)
    assert kept == [b"%d\r\n" % number for number in range(50)]
    # A tenth of a second each, on a machine that does much else; alone it is a few milliseconds.
    assert seconds < 5


# STARTTLS


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def start_tls(client: Client, certificate: Path) -> None:
    assert (await client.say(b"STARTTLS\r\n")).startswith("220")
    await client.writer.start_tls(trusting(certificate), server_hostname="localhost")


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
async def test_mail_is_taken_over_tls_and_where_that_is_required_not_without(tmp_path: Path, protocol: str) -> None:
    files = make_certificate(tmp_path)
    hello = b"LHLO x.example\r\n" if protocol == "lmtp" else b"EHLO x.example\r\n"
    kept = Kept()
    async with listening(kept, protocol=protocol, certificate=Certificate(*files), tls_required=True) as connect:
        client = await connect()
        await client.answer()
        assert "STARTTLS" in await client.say(hello)
        assert (await client.say(b"MAIL FROM:<a@b.example>\r\n")).startswith("530 5.7.0")
        await start_tls(client, files[0])
        # Nothing said before counts any more (RFC 3207 section 4.2).
        assert (await client.say(b"MAIL FROM:<a@b.example>\r\n")).startswith("503")
        assert "STARTTLS" not in await client.say(hello)
        assert (await client.say(b"STARTTLS\r\n")).startswith("503")
        assert (await client.deliver(b"words\r\n.\r\n")).startswith("250")
    assert kept == [b"words\r\n"]


async def test_without_a_certificate_starttls_is_not_there() -> None:
    async with listening(Kept()) as connect:
        client = await connect()
        assert "STARTTLS" not in await client.greet()
        assert (await client.say(b"STARTTLS\r\n")).startswith("454")


async def test_what_is_sent_in_plain_text_behind_starttls_is_thrown_away(tmp_path: Path) -> None:
    """An attacker on the way puts a command there, to have it obeyed as if it had come over TLS (CVE-2024-34083)."""
    files = make_certificate(tmp_path)
    kept = Kept()
    async with listening(kept, certificate=Certificate(*files)) as connect:
        client = await connect()
        await client.greet()
        injected = b"EHLO evil.example\r\n" + ENVELOPE.replace(b"dsl@", b"evil@") + b"forged\r\n.\r\n"
        client.writer.write(b"STARTTLS\r\n" + injected)
        assert (await client.answer()).startswith("220")
        await client.writer.start_tls(trusting(files[0]), server_hostname="localhost")
        assert (await client.say(b"NOOP\r\n")).startswith("250")
        assert (await client.say(b"RCPT TO:<lado@elmshire.example>\r\n")).startswith("503")
        assert (await client.say(b"EHLO x.example\r\n")).startswith("250")
        assert (await client.deliver(b"words\r\n.\r\n")).startswith("250")
    assert kept == [b"words\r\n"]
    assert kept.envelopes[0]["from"] == "dsl@brookfield.example"


async def test_a_client_that_knows_only_old_tls_gets_none(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    assert Certificate(*files).context().minimum_version is ssl.TLSVersion.TLSv1_2
    async with listening(Kept(), certificate=Certificate(*files)) as connect:
        client = await connect()
        await client.greet()
        assert (await client.say(b"STARTTLS\r\n")).startswith("220")
        client.writer.write(b"this is no handshake\r\n")
        await client.reader.read()  # the server gives up and closes
        assert (await (await connect()).answer()).startswith("220")


@pytest.mark.parametrize("way", ["garbage", "hang up", "silence"])
async def test_a_handshake_that_fails_leaves_no_connection_behind(way: str, tmp_path: Path) -> None:
    """Else two hundred of them would close the door for everybody."""
    files = make_certificate(tmp_path)
    kept = Kept()
    async with listening(kept, certificate=Certificate(*files), max_connections=1) as connect:
        for _ in range(3):
            client = await connect()
            assert "STARTTLS" in await client.greet()
            assert (await client.say(b"STARTTLS\r\n")).startswith("220")
            if way == "garbage":
                client.writer.write(b"this is no handshake\r\n")
            elif way == "hang up":
                client.writer.write(b"\x16\x03\x01")
                client.writer.close()
            else:
                (connection,) = connect.server._open
                connection._timeout_cb()  # the server's own timer makes an end
            await client.reader.read()
            for _ in range(20):
                await asyncio.sleep(0)
        client = await connect()
        assert "STARTTLS" in await client.greet()
    assert kept == []


async def test_a_tls_connection_counts_once(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    async with listening(Kept(), certificate=Certificate(*files), max_connections=1) as connect:
        for _ in range(3):
            client = await connect()
            await client.greet()
            await start_tls(client, files[0])
            assert (await client.say(b"EHLO x.example\r\n")).startswith("250")
            assert (await client.say(b"QUIT\r\n")).startswith("221")
            assert await client.reader.read() == b""


async def test_a_new_certificate_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    old = make_certificate(tmp_path)
    certificate = Certificate(*old)
    async with listening(Kept(), certificate=certificate) as connect:
        first = await connect()
        await first.greet()
        await start_tls(first, old[0])
        renewed = make_certificate(tmp_path, "renewed.elmshire.example")
        second = await connect()
        await second.greet()
        await start_tls(second, renewed[0])
        (names,) = second.writer.get_extra_info("peercert")["subject"]
        assert names == (("commonName", "renewed.elmshire.example"),)
        # The one that was there goes on.
        assert (await first.say(b"NOOP\r\n")).startswith("250")


def test_a_broken_new_certificate_leaves_the_old_one_in_use_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = make_certificate(tmp_path)
    certificate = Certificate(*files)
    before = certificate.context()
    key = files[1].read_bytes()
    files[1].write_text("no key at all")
    assert certificate.context() is before
    assert certificate.problem is not None
    assert "cannot be used" in caplog.text
    files[1].unlink()
    assert certificate.context() is before
    files[1].write_bytes(key)
    assert certificate.context() is not before
    assert certificate.problem is None


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    files[0].write_text("nothing")
    with pytest.raises(CertificateProblem, match=r"certificate\.pem"):
        Certificate(*files)
    with pytest.raises(CertificateProblem, match=r"absent\.pem"):
        Certificate(tmp_path / "absent.pem", files[1])
