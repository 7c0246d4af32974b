"""Advice as an officer sends it: the real command, a relay over STARTTLS, the reply that comes back to the case."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from rich.console import Console
from sqlmodel import col, select

from acceptance.harness import TO, House, mail
from fakes.certificates import make_certificate
from fakes.fake_relay import FakeRelay
from intake_bot.house import open_house
from intake_bot.service import Service
from intake_bot.settings import load
from storage.tables import Case, Outgoing

DSL = "dsl@brookfield.example"
CANARY = "tamarisk hinge"
WORDS = f"Thank you. Keep the footage of Friday.\n\n{CANARY.capitalize()}: please ask HR first.\n"


@contextmanager
def running(house: House) -> Iterator[tuple[Service, io.StringIO]]:
    opened = open_house(load(None, house.environment), house.data, house.environment)
    shown = io.StringIO()
    yield Service(opened, console=Console(file=shown, width=200)), shown
    opened.close()


def letters(relay: FakeRelay) -> list[EmailMessage]:
    # The dot that ends it, and those that were doubled on the way.
    raws = [raw.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.") for raw in relay.messages]
    return [email.message_from_bytes(raw, policy=email.policy.default) for raw in raws]  # type: ignore[misc]


async def test_advice_leaves_over_tls_and_its_reply_joins_the_case(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    caplog.set_level(logging.DEBUG)
    async with FakeRelay(context) as relay, asyncio.timeout(60):
        house = House(
            tmp_path,
            triage_enabled="false",
            mail_relay_host="localhost",
            mail_relay_port=str(relay.port),
            mail_relay_authority_file=str(certificate),
            letters_secure_header="X-Encrypt: yes",
            letters_subject_tag="[SECURE]",
        )
        with running(house) as (service, shown):
            await service.start()
            await service._accept_mail(mail(), {"from": DSL, "to": [TO]})
            await service.settle()
            with service.house.database.read() as session:
                reference = session.exec(select(Case.reference)).one()

            said = house.run_here("advise", reference, "--confirm", DSL, "--by", "Amina", stdin=WORDS)
            assert said.strip() == f"{reference}: the advice is on its way."
            assert f"to         {DSL} (Joanne Farrier)" in house.last_error
            assert "trust      none" in house.last_error
            await service.settle()
            acknowledgement, advice = letters(relay)
            assert relay.commands.index("STARTTLS") < next(
                number for number, command in enumerate(relay.commands) if command.startswith("MAIL")
            )
            assert acknowledgement["X-Encrypt"] is None
            assert advice["To"] == DSL
            assert advice["X-Encrypt"] == "yes"
            assert advice["Subject"] == f"[SECURE] OFFICIAL-SENSITIVE: Advice on consultation {reference}"
            assert advice["In-Reply-To"] == "<one@brookfield.example>"
            assert advice["Auto-Submitted"] is None
            text = advice.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            assert CANARY.capitalize() in text
            assert "A colleague raised a concern" not in text  # the original is not quoted
            assert [part.get_content_type() for part in advice.walk()] == [
                "multipart/alternative", "text/plain", "text/html",
            ]  # fmt: skip

            reply = EmailMessage(policy=SMTP)
            reply["From"] = DSL
            reply["To"] = str(advice["Reply-To"])
            reply["Subject"] = f"Re: {advice['Subject']}"
            reply["Message-ID"] = "<two@brookfield.example>"
            reply["In-Reply-To"] = str(advice["Message-ID"])
            quoted = "\n".join(f"> {line}" for line in text.splitlines())
            reply.set_content(f"We have kept it.\n\nOn Friday {TO} wrote:\n{quoted}\n")
            to = advice["Reply-To"].addresses[0].addr_spec
            await service._accept_mail(reply.as_bytes(), {"from": DSL, "to": [to]})
            await service.settle()
            assert len(relay.messages) == 2  # the reply opens no case and is not acknowledged
            await service.stop()

    case = house.show_here(reference)
    first, acknowledged, advised, answered = case["messages"]
    assert advised["body_text"] == WORDS.strip()
    assert answered["body_text"] == "We have kept it."
    assert answered["machine_sent"] is None
    acts = [entry["act"] for entry in case["audit"]]
    assert acts[acts.index("advised") :].index("advice_sent") > 0
    (entry,) = [entry for entry in case["audit"] if entry["act"] == "advised"]
    assert (entry["actor"], entry["code"]) == ("terminal:Amina", "none")
    for text in (
        caplog.text,
        shown.getvalue(),
        str(case["audit"]),
        relay.messages[0].decode(),
        first["full_text"] + acknowledged["full_text"],
        house.run_here("cases", "--json"),
    ):
        assert CANARY not in text.lower()
    for path in house.data.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes().lower()
    assert "the keys and every sealed value hold" in house.run_here("verify")


@pytest.fixture
async def house(tmp_path: Path) -> House:
    """One case of a referrer about whom nothing is known; letters go into a folder."""
    house = House(tmp_path, triage_enabled="false")
    with running(house) as (service, _):
        await service.start()
        await service._accept_mail(mail(), {"from": DSL, "to": [TO]})
        await service.settle()
        await service.stop()
    return house


def only_case(house: House) -> str:
    with house.inside() as (_, session):
        return session.exec(select(Case.reference)).one()


def waiting(house: House) -> int:
    with house.inside() as (_, session):
        return len(session.exec(select(Outgoing).where(col(Outgoing.kind) == "advice")).all())


def test_nothing_is_sent_that_was_not_confirmed(house: House) -> None:
    case = only_case(house)
    house.run_here("advise", case, "--text", WORDS, stdin="no\n", expect=1)
    house.run_here("advise", case, stdin=WORDS, expect=2)
    house.run_here("advise", case, "--text", WORDS, "--confirm", "dsl@brookfeild.example", expect=1)
    house.run_here("advise", case, "--text", " ", "--yes", expect=2)
    house.run_here("advise", case, "--text", WORDS, "--to", "no address", "--yes", expect=1)
    house.run_here("advise", "LADO-00-NONE", "--text", WORDS, "--yes", expect=1)
    assert waiting(house) == 0
    house.run_here("advise", case, "--text", WORDS, stdin="yes\n")
    assert waiting(house) == 1
    # Looking at who takes part is on the record, each time.
    assert [entry["code"] for entry in house.show_here(case)["audit"]].count("advise") == 6


def test_an_address_that_failed_authentication_must_be_named(house: House) -> None:
    with house.inside() as (opened, _), opened.database.write() as session:
        session.connection().exec_driver_sql("UPDATE messages SET sender_trust = 'fail' WHERE direction = 'in'")
    case = only_case(house)
    house.run_here("advise", case, "--text", WORDS, "--yes", expect=1)
    assert "trust      FAIL" in house.last_error
    assert waiting(house) == 0
    house.run_here("advise", case, "--text", WORDS, "--confirm", DSL.upper())
    assert waiting(house) == 1


def test_somebody_new_may_be_written_to_and_is_said_to_be_new(house: House) -> None:
    case = only_case(house)
    (house.folder / "words.txt").write_text(WORDS, encoding="utf-8")
    file = str(house.folder / "words.txt")
    house.run_here("advise", case, "--to", "head@brookfield.example", "--file", file, "--with-original", "--yes")
    assert "is new to this case" in house.last_error
    assert f"not to     {DSL}" in house.last_error
    assert "GOES ALONG" in house.last_error


async def test_without_tls_no_advice_leaves_and_what_waits_stays(house: House) -> None:
    case = only_case(house)
    house.run_here("advise", case, "--text", WORDS, "--yes")
    house.environment |= {
        "INTAKE_BOT_MAIL_RELAY_HOST": "relay.elmshire.example",
        "INTAKE_BOT_MAIL_RELAY_STARTTLS": "false",
    }
    house.run_here("advise", case, "--text", "More words.", "--yes", expect=1)
    assert "not encrypted" in house.last_error
    with running(house) as (service, _):
        await service._mail_out.step()
    with house.inside() as (_, session):
        (row,) = session.exec(select(Outgoing).where(col(Outgoing.kind) == "advice")).all()
    assert (row.state, row.error) == ("waiting", "relay_without_tls")
    house.environment["INTAKE_BOT_LETTERS_ADVICE_WITHOUT_TLS"] = "true"
    house.run_here("advise", case, "--text", "More words.", "--yes")


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_faulty_template_stops_the_start_and_is_named(command: str, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "advice.txt.j2").write_text("{{ marking }} {{ advise }}", encoding="utf-8")
    house = House(tmp_path, letters_folder=str(folder))
    house.run_here(command, expect=2)
    assert f"letters: {folder / 'advice.txt.j2'}: there is no variable advise." in house.last_error
