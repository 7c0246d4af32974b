"""The way out: one connection for many letters, and what each fault of a relay means for the letter in hand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.certificates import make_certificate
from fakes.fake_relay import HANG_UP, FakeRelay
from intake_bot.casework.desk import DeliveryFailed
from intake_bot.mail import outgoing
from intake_bot.mail.outgoing import RelayAddress, RelayPost, verified_tls

RAW = b"Subject: Consultation received\r\n\r\nWords.\r\n.\r\nA line that begins with a dot.\r\n"


def post_to(
    relay: FakeRelay, tls: ssl.SSLContext | None = None, username: str = "", host: str = "127.0.0.1"
) -> RelayPost:
    return RelayPost(
        RelayAddress(host=host, port=relay.port, tls=tls, username=username, password="secret", timeout_seconds=5)
    )


async def send(post: RelayPost, number: int = 1) -> None:
    await post.send(RAW, name=f"{number}", envelope_from="lado+b-tag@elmshire.example", to="dsl@brookfield.example")


async def failure(post: RelayPost) -> tuple[str, bool, bool]:
    """Code, permanent, uncertain."""
    with pytest.raises(DeliveryFailed) as caught:
        await send(post)
    return caught.value.code, caught.value.permanent, caught.value.uncertain


@pytest.fixture
async def relay() -> AsyncIterator[FakeRelay]:
    async with FakeRelay() as relay:
        yield relay


async def test_many_letters_go_over_one_connection_and_goodbye_is_said(relay: FakeRelay) -> None:
    post = post_to(relay)
    for number in range(3):
        await send(post, number)
    await post.close()
    assert relay.connections == 1
    assert relay.commands.count("MAIL FROM:<lado+b-tag@elmshire.example>") == 3
    assert relay.commands[-1] == "QUIT"
    assert relay.messages == [RAW.replace(b"\n.\r", b"\n..\r") + b".\r\n"] * 3


async def test_a_connection_has_its_share_of_letters(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MESSAGES_A_CONNECTION", 2)
    post = post_to(relay)
    for number in range(5):
        await send(post, number)
    await post.close()
    assert (relay.connections, len(relay.messages)) == (3, 5)


async def test_a_connection_without_letters_is_closed(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "IDLE_SECONDS", 0.0)
    post = post_to(relay)
    await send(post)
    async with asyncio.timeout(10):
        await relay.all_gone.wait()
    await send(post)
    assert (relay.connections, len(relay.messages)) == (2, 2)
    await post.close()


@pytest.mark.parametrize("way", ["421 idle too long", HANG_UP, "between"])
async def test_a_relay_that_closed_meanwhile_is_called_again_at_once(way: str, relay: FakeRelay) -> None:
    post = post_to(relay)
    await send(post)
    if way == "between":
        relay.hang_up()
    else:
        relay.told["MAIL"].append(way)
    await send(post)
    assert (relay.connections, len(relay.messages)) == (2, 2)
    await post.close()


@pytest.mark.parametrize(
    ("verb", "answer", "says"),
    [
        ("CONNECT", "554 no", ("relay_refused", False, False)),
        ("CONNECT", HANG_UP, ("relay_unreachable", False, False)),
        ("MAIL", "450 later", ("relay_refused", False, False)),
        ("MAIL", "421 closing", ("relay_refused", False, False)),
        ("MAIL", "553 not from you", ("relay_refused", True, False)),
        ("MAIL", "530 log in first", ("relay_login_refused", False, False)),
        ("MAIL", HANG_UP, ("relay_unreachable", False, False)),
        ("RCPT", "450 greylisted", ("recipient_refused", False, False)),
        ("RCPT", "550 no such user", ("recipient_refused", True, False)),
        ("RCPT", HANG_UP, ("relay_unreachable", False, False)),
        ("DATA", "451 later", ("relay_refused", False, False)),
        ("DATA", "554 no", ("relay_refused", True, False)),
        ("DOT", "452 full", ("relay_refused", False, False)),
        ("DOT", "550 spam", ("relay_refused", True, False)),
        ("DOT", HANG_UP, ("relay_unreachable", False, True)),
    ],
)
async def test_what_a_fault_means(verb: str, answer: str, says: tuple[str, bool, bool], relay: FakeRelay) -> None:
    """4xx comes again, 5xx about the letter is for good, and after the dot nobody knows."""
    relay.told[verb].append(answer)
    post = post_to(relay)
    assert await failure(post) == says
    await send(post)
    assert relay.messages[-1].startswith(b"Subject:")
    await post.close()


async def test_a_relay_that_is_not_there_is_unreachable(relay: FakeRelay) -> None:
    post = post_to(relay)
    await relay.__aexit__()
    assert await failure(post) == ("relay_unreachable", False, False)


async def test_letters_go_over_verified_tls_only(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with FakeRelay(context, login=True) as relay:
        ours = post_to(relay, verified_tls(certificate), username="bot", host="localhost")
        await send(ours)
        await ours.close()
        assert relay.commands[1] == "STARTTLS"
        assert relay.commands.index("STARTTLS") < next(
            number for number, command in enumerate(relay.commands) if command.startswith("AUTH")
        )
        # The certificate of nobody we know, and one for another name.
        for post in (post_to(relay, verified_tls(None), host="localhost"), post_to(relay, verified_tls(certificate))):
            relay.commands.clear()
            assert await failure(post) == ("relay_certificate_not_verified", False, False)
            assert not any(command.startswith(("MAIL", "AUTH")) for command in relay.commands)
        assert len(relay.messages) == 1


async def test_without_tls_on_offer_nothing_is_said_where_it_is_asked_for(relay: FakeRelay, tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    assert await failure(post_to(relay, verified_tls(certificate), host="localhost")) == (
        "relay_unreachable",
        False,
        False,
    )
    assert not any(command.startswith("MAIL") for command in relay.commands)


async def test_a_login_that_is_refused_waits_for_an_administrator() -> None:
    async with FakeRelay(login=True) as relay:
        relay.told["AUTH"].append("535 no")
        assert await failure(post_to(relay, username="bot")) == ("relay_login_refused", False, False)
