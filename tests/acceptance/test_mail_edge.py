"""The mail edge of the real program: what it refuses to start with, and what it says over real TLS."""

from __future__ import annotations

import asyncio
import io
import smtplib
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from sqlmodel import col, select

from acceptance.harness import TO, House, mail
from acceptance.test_in_process import house as open_house
from conftest import FRIDAY_1640
from fakes.certificates import make_certificate
from fakes.fake_relay import HANG_UP, FakeRelay
from intake_bot.house import House as OpenHouse
from intake_bot.sandbox import SandboxFailed
from intake_bot.service import SandboxVerifier, Service
from intake_bot.settings import Mail
from storage.tables import Case, Message, Outgoing


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"mail_host": "0.0.0.0", "mail_recipients": TO}, "networks must be named"),
        ({"mail_tls": "required", "mail_tls_certificate": "no.pem", "mail_tls_key": "no.key"}, "no.pem"),
    ],
)
def test_serve_refuses_to_start_where_its_door_would_stand_open(
    environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    house = House(tmp_path, triage_enabled="false", **environment)
    house.run("serve", expect=2)
    assert named in house.last_error


def test_mail_comes_in_over_tls_and_doctor_knows_how_long_the_certificate_holds(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, days=5)
    house = House(
        tmp_path,
        triage_enabled="false",
        mail_tls="required",
        mail_tls_certificate=str(certificate),
        mail_tls_key=str(key),
    )
    service = house.serve().ready()
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo("mx.school.example")
        assert client.mail("dsl@brookfield.example")[0] == 530
        client._host = "localhost"  # type: ignore[attr-defined]  # the name that the certificate is for
        client.starttls(context=ssl.create_default_context(cafile=str(certificate)))
        client.ehlo("mx.school.example")
        client.sendmail("dsl@brookfield.example", [TO], mail())
    service.settle()
    assert len(house.json("cases")) == 1
    service.stop()

    def says() -> str:
        (finding,) = [one for one in house.json("doctor") if one["what"] == "tls"]
        return f"{finding['level']}: {finding['says']}"

    assert says().startswith("note: the certificate runs out on")


def tried_once(opened: OpenHouse) -> bool:
    with opened.database.read() as session:
        return session.exec(select(Outgoing.id).where(col(Outgoing.tries) == 1)).first() is not None


async def test_a_letter_tried_again_is_the_same_and_its_bounce_finds_it(tmp_path: Path) -> None:
    """The connection dies after the dot, so that the letter goes twice: with one Message-ID. Then it comes back."""
    now = FRIDAY_1640
    shown = io.StringIO()
    async with FakeRelay() as relay, asyncio.timeout(30):
        relay.told["DOT"].append(HANG_UP)
        opened = open_house(
            tmp_path,
            INTAKE_BOT_MAIL_RELAY_HOST="127.0.0.1",
            INTAKE_BOT_MAIL_RELAY_PORT=str(relay.port),
            INTAKE_BOT_MAIL_RELAY_STARTTLS="false",
        )
        service = Service(opened, console=Console(file=shown, width=200), clock=lambda: now)
        await service.start()
        await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": [TO]})
        # Until the failure is on the row: from then on the next try is counted.
        while not tried_once(opened):
            await asyncio.sleep(0.01)
        now += timedelta(seconds=5)
        await service.settle()
        first, again = relay.messages
        assert first == again
        sender = next(command for command in relay.commands if command.startswith("MAIL FROM:<lado+b-"))
        address = sender.removeprefix("MAIL FROM:<").partition(">")[0]
        bounce = (
            b"From: Mail Delivery System <mailer-daemon@mx.school.example>\r\nSubject: Undelivered Mail\r\n\r\n"
            b"Your message could not be delivered.\r\n"
        )
        await service._accept_mail(bounce, {"from": "<>", "to": [address]})
        await service.settle()
        await service.stop()
    with opened.database.read() as session:
        case = session.exec(select(Case)).one()
        letter = session.exec(select(Outgoing).where(col(Outgoing.channel) == "mail")).one()
    opened.close()
    assert (letter.state, letter.bounced_at) == ("done", now)
    assert case.remarks[-1] == "not_delivered"
    assert f"{case.reference}: our letter could not be delivered (bounced). Telephone them." in shown.getvalue()


async def test_letters_that_do_not_leave_are_told_to_the_desk_after_an_hour_once(tmp_path: Path) -> None:
    now = FRIDAY_1640
    shown = io.StringIO()
    async with FakeRelay() as relay, asyncio.timeout(30):
        opened = open_house(
            tmp_path,
            INTAKE_BOT_MAIL_RELAY_HOST="127.0.0.1",
            INTAKE_BOT_MAIL_RELAY_PORT=str(relay.port),
            INTAKE_BOT_MAIL_RELAY_STARTTLS="false",
        )
        relay.told["MAIL"].extend(["451 later"] * 4)
        service = Service(opened, console=Console(file=shown, width=200), clock=lambda: now)
        await service.start()
        await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": [TO]})
        for minutes in (0, 50, 70, 130):
            now = FRIDAY_1640 + timedelta(minutes=minutes)
            await service.settle()
        assert shown.getvalue().count("Letters have not left for an hour (relay_refused)") == 1
        now += timedelta(hours=1)
        await service.settle()
        await service.stop()
    opened.close()
    assert len(relay.messages) == 1


async def test_a_letter_refused_for_good_is_parked_and_the_desk_is_told(tmp_path: Path) -> None:
    shown = io.StringIO()
    async with FakeRelay() as relay, asyncio.timeout(30):
        relay.told["RCPT"].append("550 no such user")
        opened = open_house(
            tmp_path,
            INTAKE_BOT_MAIL_RELAY_HOST="127.0.0.1",
            INTAKE_BOT_MAIL_RELAY_PORT=str(relay.port),
            INTAKE_BOT_MAIL_RELAY_STARTTLS="false",
        )
        service = Service(opened, console=Console(file=shown, width=200), clock=lambda: FRIDAY_1640)
        await service.start()
        await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": [TO]})
        await service.settle()
        await service.stop()
    with opened.database.read() as session:
        case = session.exec(select(Case)).one()
        letter = session.exec(select(Outgoing).where(col(Outgoing.channel) == "mail")).one()
    opened.close()
    assert (letter.state, letter.error, relay.messages) == ("parked", "recipient_refused", [])
    assert case.remarks[-1] == "not_delivered"
    assert f"{case.reference}: our letter could not be delivered (recipient_refused). Telephone" in shown.getvalue()


def test_lists_of_known_senders_are_imported_and_printed(tmp_path: Path) -> None:
    house = House(tmp_path)
    (tmp_path / "list.csv").write_text("domain,organisation\noak.example,Oak School\n,nobody\n", encoding="utf-8")
    assert house.run("senders", "import", "list.csv").startswith("1 senders are known from this list")
    assert "line 3 has no domain" in house.last_error
    (row,) = house.json("senders", "list")
    assert (row["domain"], row["organisation"], row["source"]) == ("oak.example", "Oak School", "list")
    house.run("senders", "import", "absent.csv", expect=1)


@pytest.mark.parametrize(
    ("says", "trust"), [("pass", "pass"), ("fail", "fail"), (SandboxFailed("timeout"), "none")], ids=str
)
async def test_where_nobody_else_verifies_senders_we_do_and_a_case_is_made_either_way(
    says: str | SandboxFailed, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def verdict(self: SandboxVerifier, raw: bytes, envelope: dict[str, object]) -> str:
        assert (raw, envelope["client"]) == (mail(), "192.0.2.1")
        if isinstance(says, SandboxFailed):
            raise says
        return says

    monkeypatch.setattr(SandboxVerifier, "verdict", verdict)
    opened = open_house(tmp_path, INTAKE_BOT_MAIL_VERIFY_SENDERS="true")
    service = Service(opened, console=Console(file=io.StringIO()), clock=lambda: FRIDAY_1640)
    await service.start()
    await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": [TO], "client": "192.0.2.1"})
    await service.settle()
    await service.stop()
    with opened.database.read() as session:
        message = session.exec(select(Message).where(col(Message.opened_case))).one()
    opened.close()
    assert message.sender_trust == trust


async def test_senders_are_verified_in_a_child_process_and_of_a_relay_s_mail_nothing_is_known() -> None:
    verifier = SandboxVerifier(Mail())
    assert await verifier.verdict(mail(), {"from": "dsl@brookfield.example", "client": "127.0.0.1"}) == "none"
    assert verifier.sandbox.pid is None
    # Without a From nobody's name servers are asked.
    assert await verifier.verdict(b"Subject: none\r\n\r\nWords.\r\n", {"from": "<>", "client": "192.0.2.1"}) == "none"
    assert verifier.sandbox.pid is not None
    await verifier.sandbox.stop()
