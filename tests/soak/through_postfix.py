"""Through a real Postfix and with swaks: in by SMTP and by LMTP, out through the same server, TLS verified both ways.

Not collected by ``make test``: it needs Debian's ``postfix`` and ``swaks``, and root for Postfix's master. ``make soak``
runs it; what is absent skips what needs it, and says so.
"""

from __future__ import annotations

import email
import email.policy
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from acceptance.harness import TO, House, Service, wait_until
from soak.authority import Authority
from soak.own_postfix import OwnPostfix, absent, free_port

LONG = 60.0
pytestmark = pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
VERP = re.compile(r"lado\+b-[0-9a-z]{10,}@elmshire\.example")


class School:
    """The schools' mail server: keeps what comes with its envelope, and knows nobody called ``nobody``."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str, EmailMessage]] = []

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 No such person here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters += [(envelope.mail_from, to, message) for to in envelope.rcpt_tos]
        return "250 2.0.0 OK"

    def letters_to(self, address: str) -> list[tuple[str, EmailMessage]]:
        return [(sender, letter) for sender, to, letter in self.letters if to == address]


@dataclass
class Council:
    """All that an authority runs: Postfix, intake-bot behind it, and the schools beyond."""

    house: House
    service: Service
    postfix: OwnPostfix
    school: School

    def filed(self, message_id: str) -> list[dict[str, Any]]:
        """The messages with this Message-ID that were taken in."""
        return [
            one for one in self.house.json("messages") if one["message_id"] == message_id and one["direction"] == "in"
        ]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Reads what the service prints meanwhile: it would wait for a reader else, and with it everything."""
        wait_until(lambda: bool(self.service.drain()) and holds(), seconds=LONG)

    def arrives(self, message_id: str) -> dict[str, Any]:
        """Wait for a message and for all else to be done; it must be there once."""
        self.wait_until(lambda: self.postfix.queued() == 0)
        self.wait_until(self.house.settled)
        found = self.filed(message_id)
        assert len(found) == 1, f"{len(found)} of {message_id}\n{self.postfix.log()[-4000:]}"
        return found[0]


@pytest.fixture(scope="module", params=["smtp", "lmtp"])
def council(request: pytest.FixtureRequest) -> Iterator[Council]:
    if (problem := absent()) is not None:
        pytest.skip(problem)
    folder = Path(tempfile.mkdtemp(prefix="intake-bot-postfix-"))
    folder.chmod(0o755)  # Postfix's own user must get to its queue
    authority = Authority(folder)
    pair = authority.sign("intake.elmshire.example")
    port = free_port()
    school = School()
    schools = Controller(school, hostname="127.0.0.1", port=free_port())
    schools.start()
    postfix = OwnPostfix(
        folder,
        address=TO,
        protocol=request.param,
        intake=port,
        school=schools.port,
        authority=authority.certificate,
        pair=authority.sign("mta.elmshire.example"),
    )
    house = House(
        folder,
        triage_enabled="false",
        mail_port=str(port),
        mail_protocol=request.param,
        mail_recipients=f'["{TO}"]',
        mail_tls="required",
        mail_tls_certificate=str(pair[0]),
        mail_tls_key=str(pair[1]),
        mail_relay_host="localhost",
        mail_relay_port=str(postfix.port),
        mail_relay_authority_file=str(authority.certificate),
    )
    try:
        postfix.start()
        yield Council(house, house.serve().ready(), postfix, school)
    finally:
        for service in set(Service.running):
            service.kill()
        postfix.stop()
        schools.stop()
        shutil.rmtree(folder, ignore_errors=True)


def swaks(port: int, *arguments: str, expect: int = 0) -> str:
    """One run of swaks; what was said in it."""
    command = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "mx.school.example", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=LONG, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == expect, said + done.stderr.decode("utf-8", "replace")
    return said


def write_mail(folder: Path, name: str, *, sender: str = "dsl@brookfield.example", to: str = TO, body: str = "") -> str:
    """The path of a file with a mail whose Message-ID is ``<NAME@school.example>``, as ``--data`` wants it."""
    text = body or "A parent told us that on Friday a coach shouted at her son. What should we do?"
    lines = [
        f"From: Joanne Farrier <{sender}>", f"To: {to}", f"Message-ID: <{name}@school.example>",
        f"Subject: Advice please, {name}", "Date: Fri, 27 Nov 2026 16:40:00 +0000",
        "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", text, "",
    ]  # fmt: skip
    path = folder / f"{name}.eml"
    path.write_bytes("\r\n".join(lines).encode())
    return f"@{path}"


# ---- through Postfix


@pytest.mark.parametrize(
    ("name", "sender", "body"),
    [
        ("plain", "plain@brookfield.example", ""),
        ("eight-bit", "eight@brookfield.example", "Hywel’s tutor raised his voice – a parent told us on Friday."),
        ("utf8-address", "jürgen@brookfield.example", "A parent told us that on Friday a coach shouted at her son."),
        ("big", "big@brookfield.example", ("A parent told us about Friday. " * 30 + "\r\n") * 2_000),
        ("dots", "dots@brookfield.example", "A parent rang.\r\n.\r\n..\r\n.hidden\r\nThat was on Friday."),
        ("long-line", "long@brookfield.example", "A parent told us about Friday. " * 2_000),
    ],
    ids=lambda value: value if len(value) < 20 and "@" not in value else "",
)
def test_each_message_arrives_once_and_whole_and_is_acknowledged(
    name: str, sender: str, body: str, council: Council, tmp_path: Path
) -> None:
    data = write_mail(tmp_path, name, sender=sender, body=body)
    swaks(council.postfix.port, "--from", sender, "--to", TO, "--data", data)
    message = council.arrives(f"<{name}@school.example>")
    written = (body or "A parent told us that on Friday a coach shouted at her son. What should we do?").split()
    # Postfix cuts lines beyond 998 in two (RFC 5321 section 4.5.3.1.6); no word may go, whatever is in the way of it.
    assert "".join(message["full_text"].split()) == "".join(written)
    assert (message["sender"], message["opened_case"]) == (sender, True)
    if not sender.isascii():
        return  # no letter can be written to it without SMTPUTF8 all the way; the card says so
    council.wait_until(lambda: len(council.school.letters_to(sender)) == 1)
    ((envelope_sender, letter),) = council.school.letters_to(sender)
    assert VERP.fullmatch(envelope_sender)
    assert letter["In-Reply-To"] == f"<{name}@school.example>"
    assert letter["Auto-Submitted"] == "auto-replied"


def test_both_ways_are_over_tls_that_our_own_authority_vouches_for(council: Council, tmp_path: Path) -> None:
    data = write_mail(tmp_path, "over-tls", sender="tls@brookfield.example")
    swaks(council.postfix.port, "--from", "tls@brookfield.example", "--to", TO, "--data", data)
    council.arrives("<over-tls@school.example>")
    assert re.search(r"Verified TLS connection established to localhost\[127\.0\.0\.1\]", council.postfix.log())
    council.wait_until(lambda: len(council.school.letters_to("tls@brookfield.example")) == 1)
    ((_, letter),) = council.school.letters_to("tls@brookfield.example")
    assert "with ESMTPS" in "".join(letter.get_all("Received"))
    council.house.run("doctor")


def test_a_reply_to_the_case_s_own_address_comes_through_and_joins_the_case(council: Council, tmp_path: Path) -> None:
    sender = "reply@brookfield.example"
    swaks(
        council.postfix.port, "--from", sender, "--to", TO, "--data", write_mail(tmp_path, "asks", sender=sender)
    )  # fmt: skip
    council.wait_until(lambda: len(council.school.letters_to(sender)) == 1)
    ((_, letter),) = council.school.letters_to(sender)
    case_address = str(letter["Reply-To"])
    data = write_mail(tmp_path, "adds", sender=sender, to=case_address, body="The coach has been asked to stay away.")
    swaks(council.postfix.port, "--from", sender, "--to", case_address, "--data", data)
    added = council.arrives("<adds@school.example>")
    (asked,) = council.filed("<asks@school.example>")
    assert (added["case"], added["opened_case"]) == (asked["case"], False)


def test_a_bounce_of_postfix_s_own_finds_its_letter_and_marks_it(council: Council, tmp_path: Path) -> None:
    sender = "nobody@brookfield.example"
    swaks(
        council.postfix.port, "--from", sender, "--to", TO, "--data", write_mail(tmp_path, "unknown", sender=sender)
    )  # fmt: skip
    message = council.arrives("<unknown@school.example>")

    def marked() -> bool:
        (case,) = council.house.json("show", message["case"])
        return "not_delivered" in case["remarks"]

    council.wait_until(marked)
    (bounce,) = [
        one for one in council.house.json("messages") if one["case"] == message["case"] and one["machine_sent"]
    ]
    assert not bounce["opened_case"]
    council.wait_until(lambda: "could not be delivered (bounced). Telephone them." in council.service.drain())
    council.wait_until(lambda: council.postfix.queued() == 0)  # and nothing answers the bounce


def test_two_recipients_in_one_message_are_one_case(council: Council, tmp_path: Path) -> None:
    data = write_mail(tmp_path, "two-recipients", sender="two@brookfield.example")
    swaks(
        council.postfix.port, "--from", "two@brookfield.example", "--to", f"{TO},lado+desk@elmshire.example",
        "--data", data,
    )  # fmt: skip
    assert council.arrives("<two-recipients@school.example>")["opened_case"]


def test_what_postfix_holds_while_we_are_away_or_killed_comes_once(council: Council, tmp_path: Path) -> None:
    """Postfix gets no 250, or one that it never sees, and comes again: each message is one case for all that."""
    names = [f"burst-{number}" for number in range(60)]
    senders = [f"burst{number}@brookfield.example" for number in range(60)]
    council.wait_until(lambda: council.house.settled() and council.postfix.queued() == 0)
    council.service.stop()
    for name, sender in zip(names[:10], senders[:10], strict=True):
        data = write_mail(tmp_path, name, sender=sender)
        swaks(council.postfix.port, "--from", sender, "--to", TO, "--data", data)
    assert council.postfix.queued() == 10
    council.service = council.house.serve().ready()
    council.postfix.flush()
    for index, (name, sender) in enumerate(zip(names[10:], senders[10:], strict=True)):
        data = write_mail(tmp_path, name, sender=sender)
        swaks(council.postfix.port, "--from", sender, "--to", TO, "--data", data)
        if index % 20 == 10:
            council.service.kill()
            council.service = council.house.serve().ready()
            council.postfix.flush()
    council.postfix.flush()
    council.arrives("<burst-59@school.example>")
    taken = [one for one in council.house.json("messages") if one["sender"] in senders]
    assert Counter(one["message_id"] for one in taken) == Counter(f"<{name}@school.example>" for name in names)
    assert len({one["case"] for one in taken}) == 60
    council.wait_until(lambda: {to for _, to, _ in council.school.letters} >= set(senders))
    written = [(to, str(letter["Message-ID"])) for _, to, letter in council.school.letters if to in senders]
    assert len(set(written)) == 60  # a letter may come twice, but it is then the same letter
    council.house.run("verify")


# ---- swaks and we, with nobody between


@contextmanager
def alone(folder: Path, **settings: str) -> Iterator[tuple[Service, House]]:
    house = House(folder, triage_enabled="false", mail_recipients=f'["{TO}"]', **settings)
    service = house.serve().ready()
    try:
        yield service, house
        service.stop()
    finally:
        service.kill()


@pytest.fixture(scope="module")
def one_mib() -> Iterator[tuple[Service, House]]:
    with (
        tempfile.TemporaryDirectory(prefix="intake-bot-swaks-") as name,
        alone(Path(name), mail_max_message_mib="1") as both,
    ):
        yield both


def test_plain_and_pipelined(one_mib: tuple[Service, House], tmp_path: Path) -> None:
    service, house = one_mib
    for name, options in {"direct": (), "pipelined": ("--pipeline",)}.items():
        said = swaks(
            service.port, "--from", "dsl@oak.example", "--to", TO, "--data", write_mail(tmp_path, name), *options
        )
        assert "250 2.0.0 Kept as " in said
    service.settle()
    found = [one["message_id"] for one in house.json("messages") if one["direction"] == "in"]
    assert found == ["<direct@school.example>", "<pipelined@school.example>"]


def test_a_wrong_recipient_is_refused_and_the_right_one_beside_it_is_not(
    one_mib: tuple[Service, House], tmp_path: Path
) -> None:
    service, house = one_mib
    wrong = "somebody@elmshire.example"
    data = write_mail(tmp_path, "wrong")
    assert "550 5.1.1" in swaks(service.port, "--from", "a@oak.example", "--to", wrong, "--data", data, expect=24)
    for pipelined in ((), ("--pipeline",)):
        said = swaks(service.port, "--from", "a@oak.example", "--to", f"{wrong},{TO}", "--data", data, *pipelined)
        assert "550 5.1.1" in said
        assert "250 2.0.0 Kept as " in said
    service.settle()
    assert [one["message_id"] for one in house.json("messages")].count("<wrong@school.example>") == 1


def test_what_is_bigger_than_said_is_refused_and_what_is_as_big_is_kept(
    one_mib: tuple[Service, House], tmp_path: Path
) -> None:
    service, house = one_mib
    line = "A parent told us about Friday.\r\n"
    for name, lines, expect in (("fits", 30_000, 0), ("too-big", 33_000, 26)):
        data = write_mail(tmp_path, name, body=line * lines)
        said = swaks(service.port, "--from", "a@oak.example", "--to", TO, "--data", data, "-hs", expect=expect)
        assert ("552 5.3.4" in said) == bool(expect)
    service.settle()
    found = {one["message_id"] for one in house.json("messages")}
    assert "<fits@school.example>" in found
    assert "<too-big@school.example>" not in found


def test_two_recipients_by_lmtp_have_an_answer_each_and_are_one_case(tmp_path: Path) -> None:
    with alone(tmp_path, mail_protocol="lmtp") as (service, house):
        said = swaks(
            service.port, "--protocol", "LMTP", "--from", "a@oak.example", "--to", f"{TO},lado+desk@elmshire.example",
            "--data", write_mail(tmp_path, "lmtp"),
        )  # fmt: skip
        assert said.count("250 2.0.0 Kept as ") == 2
        service.settle()
        assert len(house.json("cases")) == 1


def test_with_tls_required_nothing_is_taken_without_and_all_is_with(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("intake.elmshire.example")
    tls = {"mail_tls": "required", "mail_tls_certificate": str(certificate), "mail_tls_key": str(key)}
    data = write_mail(tmp_path, "tls")
    for protocol in ("smtp", "lmtp"):
        folder = tmp_path / protocol
        folder.mkdir()
        with alone(folder, mail_protocol=protocol, **tls) as (service, house):
            plain = ("--protocol", "ESMTP" if protocol == "smtp" else "LMTP", "--from", "a@oak.example", "--to", TO)
            assert "530 5.7.0" in swaks(service.port, *plain, "--data", data, expect=23)
            believing = ("-tls", "--tls-verify", "--tls-ca-path", str(authority.certificate))
            said = swaks(service.port, *plain, "--data", data, *believing)
            assert "TLSv1.3" in said
            assert "250 2.0.0 Kept as " in said
            service.settle()
            assert len(house.json("cases")) == 1
