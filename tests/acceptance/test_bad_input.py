"""What no mail server promises to spare us: each is kept or refused with a clear reply, and nothing falls over."""

from __future__ import annotations

import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from acceptance.harness import TO, House, Service, mail, wait_until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("bad"), triage_enabled="false")


@pytest.fixture(scope="module")
def service(house: House) -> Iterator[Service]:
    service = house.serve().ready()
    yield service
    service.kill()


def nest(depth: int, filler: int) -> bytes:
    """MIME parts within parts, about ``depth * filler`` bytes of them."""
    lines = [b"From: a@school.example", b"Message-ID: <nest@school.example>", b"MIME-Version: 1.0"]
    for level in range(depth):
        lines += [b'Content-Type: multipart/mixed; boundary="b%d"' % level, b"", b"--b%d" % level]
        lines += [b"X-Fill: " + b"x" * filler]
    lines += [b"Content-Type: text/plain", b"", b"At the bottom."]
    lines += [b"--b%d--" % level for level in reversed(range(depth))]
    return b"\r\n".join(lines)


BAD = {
    "no From": b"Subject: no from\r\nMessage-ID: <no-from@x.example>\r\n\r\nA concern about a volunteer.\r\n",
    "empty body": b"From: a@school.example\r\nMessage-ID: <empty@x.example>\r\n\r\n",
    "nothing at all": b"",
    "no headers": b"just words, no headers at all\r\n",
    "unknown charset": b"From: a@school.example\r\nMessage-ID: <charset@x.example>\r\n"
    b"Content-Type: text/plain; charset=x-klingon\r\n\r\nA concern \xe9\xff.\r\n",
    "a NUL": b"From: a@school.example\r\nMessage-ID: <nul@x.example>\r\n\r\nA con\x00cern.\r\n",
    "broken base64": b"From: a@school.example\r\nMessage-ID: <b64@x.example>\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nQSBjb25jZXJu!!!*\r\n",
    "a long line": b"From: a@school.example\r\nMessage-ID: <long@x.example>\r\n\r\n" + b"word " * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_kept_and_becomes_a_case(what: str, house: House, service: Service) -> None:
    before = len(house.json("cases"))
    code, _ = service.send(BAD[what])
    assert code == 250
    service.settle()
    assert len(house.json("cases")) == before + 1
    assert house.json("status")[0]["parked"] == 0


def test_an_envelope_that_is_no_utf_8_is_kept(house: House, service: Service) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo()
        client.send(b"MAIL FROM:<j\xf6rg@oak.example>\r\n")
        assert client.getreply()[0] == 250
        client.rcpt(TO)
        assert client.data(mail(message_id="<latin@oak.example>"))[0] == 250
    service.settle()


@pytest.mark.parametrize("address", ["john..smith@oak.example", "j\u00f6s\u00e9@oak.example"])
def test_an_address_that_cannot_be_answered_is_said_so_on_the_card(
    address: str, house: House, service: Service
) -> None:
    raw = mail(message_id=None).replace(b"dsl@brookfield.example", address.encode())
    assert service.send(raw)[0] == 250
    service.settle()
    newest = house.json("cases")[-1]
    assert set(newest["remarks"]) == {"not_acknowledged_no_address", "no_suggestion"}


@pytest.mark.slow
def test_a_nest_of_three_megabytes_is_parked_whole_and_can_be_filed(house: House, service: Service) -> None:
    raw = nest(depth=3000, filler=1000)
    assert len(raw) > 3_000_000
    assert service.send(raw)[0] == 250
    wait_until(lambda: house.json("status")[0]["parked"] == 1, seconds=60)
    (parked,) = house.json("parked")
    (shown,) = [message for message in house.json("messages") if message["parked"]]
    assert shown["id"] == parked["id"]

    house.run_here("replay", parked["id"])
    wait_until(lambda: house.json("status")[0]["parked"] == 1, seconds=60)
    reference = house.run_here("file", parked["id"]).strip()
    assert house.json("status")[0]["parked"] == 0
    out = house.folder / "original.eml"
    house.run_here("attachment", reference, "1", "--out", str(out))
    assert out.read_bytes().rstrip() == raw.rstrip()
    house.run_here("attachment", reference, "1", "--out", str(out), expect=1)  # nothing is overwritten
    house.run_here("verify")


def test_two_thousand_recipients_are_taken_up_to_the_limit(service: Service) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo()
        client.mail("a@school.example")
        codes = [client.rcpt(f"lado{number}@elmshire.example")[0] for number in range(2000)]
        assert codes[:100] == [250] * 100
        assert set(codes[100:]) == {452}
        assert client.data(mail(message_id="<many@school.example>"))[0] == 250


def test_a_message_over_the_limit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false", mail_max_message_mib="1")
    service = house.serve().ready()
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo()
        assert client.mail("a@school.example", ["size=2000000"])[0] == 552
    code, _ = service.send(mail("x" * 2_000_000))
    assert code == 552
    service.stop()


def test_only_named_recipients_are_taken(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false", mail_recipients=TO, mail_address="desk@elmshire.example")
    service = house.serve().ready()
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo()
        client.mail("a@school.example")
        assert client.rcpt("somebody@elsewhere.example")[0] == 550
        assert client.rcpt(TO.upper())[0] == 250
        assert client.rcpt(TO.replace("@", "+tag@"))[0] == 250
        assert client.rcpt("desk+tag@elmshire.example")[0] == 250  # where our letters ask for replies
    service.stop()


def test_a_fault_of_ours_is_451_with_a_fixed_text(tmp_path: Path) -> None:
    """The table for raw bytes disappears under the running service, as no client could be blamed for."""
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    with closing(sqlite3.connect(house.data / "intake.db")) as connection:
        connection.execute("ALTER TABLE raw RENAME TO elsewhere")
    code, text = service.send(mail("The canary sings."))
    assert (code, text) == (451, b"4.3.0 Not kept: a fault on our side. Please try again later")
    with closing(sqlite3.connect(house.data / "intake.db")) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO raw")
    assert service.send(mail("The canary sings."))[0] == 250
    assert "canary" not in service.stop()


def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false", mail_protocol="lmtp")
    service = house.serve().ready()
    with smtplib.LMTP("127.0.0.1", service.port) as client:
        client.ehlo()
        client.mail("a@school.example")
        client.rcpt(TO)
        client.rcpt(TO.replace("@", "+x@"))
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.send(mail() + b"\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
    service.settle()
    assert len(house.json("cases")) == 1
    service.stop()


def test_lmtp_refuses_for_each_recipient_too(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false", mail_protocol="lmtp", mail_max_message_mib="1")
    service = house.serve().ready()
    with smtplib.LMTP("127.0.0.1", service.port, timeout=10) as client:
        client.ehlo()
        client.mail("a@school.example")
        client.rcpt(TO)
        client.rcpt(TO.replace("@", "+x@"))
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.send(mail("x" * 2_000_000) + b"\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [552, 552]
        assert client.noop()[0] == 250
    service.stop()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"mail_prot": "25"}, "INTAKE_BOT_MAIL_PROT"),
        ({"mail_host": "0.0.0.0"}, "recipients"),
        ({"slack_channel": "C1"}, "bot_token"),
        ({"targets_triage": "soon"}, "targets.triage"),
        ({"database_url": "mysql://x"}, "database.url"),
        ({"keys_file": "data/master.key"}, "outside"),
    ],
)
def test_a_wrong_setting_is_named_and_ends_with_2(environment: dict[str, str], named: str, tmp_path: Path) -> None:
    house = House(tmp_path, **environment)
    house.run("status", expect=2)
    assert named in house.last_error
