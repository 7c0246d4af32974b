"""What was tried on the running service with nothing but a mail client, or a copy of its folder, and came to nothing."""

from __future__ import annotations

import email
import email.policy
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.harness import TO, House, Service, mail

PLANTED = "forged-line-7141"
HOSTILE = (
    b"From: =?utf-8?q?=7B=7B_7*7_=7D=7D=0D=0ABcc=3A_victim=40elsewhere.example?= <eve@school.example>\r\n"
    b"Reply-To: =?utf-8?q?x=0D=0ABcc=3A?= <eve@school.example>\r\n"
    b"To: lado@elmshire.example\r\n"
    b"Message-ID: <hostile@school.example>\r\n"
    b"Subject: =?utf-8?q?x=0D=0A2026-11-30_ERROR_" + PLANTED.encode() + b"=1B[2J_{{_7*7_}}_<!channel>?=\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\n{{ self.__init__.__globals__ }} <@U1> <https://evil.example|press>\r\n"
    b"--b\r\nContent-Type: text/plain\r\n"
    b'Content-Disposition: attachment; filename="../../../../escaped/' + PLANTED.encode() + b'.txt"\r\n\r\nx\r\n'
    b"--b--\r\n"
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("attacked"), triage_enabled="false", mail_authserv_id="mx.elmshire.example")


@pytest.fixture(scope="module")
def service(house: House) -> Iterator[Service]:
    service = house.serve().ready()
    yield service
    service.kill()


def test_headers_templates_log_lines_and_paths_are_words_and_nothing_else(house: House, service: Service) -> None:
    assert service.send(HOSTILE, sender="eve@school.example")[0] == 250
    service.settle()
    (raw,) = house.letters()
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert letter["Bcc"] is None
    assert re.findall(r"[\w.+-]+@[\w.]+", letter["To"]) == ["eve@school.example"]
    for planted in (PLANTED, "49", "{{", "__globals__", "evil.example", "victim@"):
        assert planted not in "".join(letter.as_string().partition("Subject:")[1:]), planted
    printed = service.drain()
    assert PLANTED not in printed
    assert "\x1b[2J" not in printed
    # Nothing of theirs has named a file, here or further up.
    assert [path for path in house.folder.parent.rglob("*") if PLANTED in path.name or path.name == "escaped"] == []
    (case,) = house.json("cases")
    out = house.folder / "saved.txt"
    house.run_here("attachment", case["case"], "1", "--out", str(out))
    assert out.read_bytes().strip() == b"x"


def test_guessing_references_and_reply_addresses_joins_nothing(house: House, service: Service) -> None:
    """Everything that can be known of a case, or guessed, and none of what only our letter to its referrer holds."""
    assert service.send(mail(message_id="<first@brookfield.example>"))[0] == 250
    service.settle()
    first = house.json("cases")[-1]["case"]
    (letter,) = [raw for raw in house.letters() if first.encode() in raw]
    reply_to = str(email.message_from_bytes(letter, policy=email.policy.default)["Reply-To"])
    local, _, domain = re.search(r"[\w.+-]+@[\w.-]+", reply_to)[0].partition("@")  # type: ignore[index]
    stem, _, tag = local.partition("+")
    chance = random.Random(1)
    # Off by one character, cut, empty, another case's reference, and at random.
    other = "a" if tag[-1] != "a" else "b"
    guesses = [tag[:-1] + other, tag[:-1], "", first.lower(), "*", "%", "".join(chance.choices(tag, k=len(tag)))]
    before = len(house.json("cases"))
    for number, guess in enumerate(guesses):
        raw = mail(
            f"Please add this to it, number {number}.",
            message_id=f"<guess{number}@elsewhere.example>",
            sender=f"Mallory <m{number}@elsewhere.example>",
            subject=f"Re: [{first}] Advice please",
            headers={"X-Original-To": f"{stem}+{guess}@{domain}"},
        )
        assert service.send(raw, sender=f"m{number}@elsewhere.example", to=(f"{stem}+{guess}@{domain}",))[0] == 250
    # Even the right address, from somebody who takes no part.
    leaked = mail("I have their letter.", message_id="<leak@elsewhere.example>", sender="m@elsewhere.example")
    assert service.send(leaked, sender="m@elsewhere.example", to=(f"{local}@{domain}",))[0] == 250
    # And the referrer's own name at it, where our mail server found that it is forged.
    forged = mail(
        "It was nothing after all.",
        message_id="<forged@elsewhere.example>",
        headers={"Authentication-Results": "mx.elmshire.example; dmarc=fail header.from=brookfield.example"},
    )
    assert service.send(forged, to=(f"{local}@{domain}",))[0] == 250
    service.settle()
    assert len(house.json("cases")) == before + len(guesses) + 2
    assert len(house.show(first)["messages"]) == 2  # theirs, and our acknowledgement


def test_what_lies_in_the_folder_tells_nothing_without_the_key(house: House, service: Service, tmp_path: Path) -> None:
    """A stolen data folder, or a copy of it, opened by the program itself on a machine without the master key."""
    copy = House(tmp_path)
    copy.data.mkdir(mode=0o700)
    for path in house.data.rglob("*"):
        if path.is_file():
            target = copy.data / path.relative_to(house.data)
            target.parent.mkdir(exist_ok=True, mode=0o700)
            target.write_bytes(path.read_bytes())
    copy.run("cases", expect=2)
    assert "master key" in copy.last_error
    assert TO not in copy.last_error
