"""What reading promises of every message: bounds, sameness, and strings that any store takes."""

import base64
import email
import email.policy
import json
import time
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake_bot.mail.limits import Limits, TooLarge, Unreadable
from intake_bot.mail.machine import MachineMark
from intake_bot.mail.parts import parse
from intake_bot.mail.reading import Reading, attachment_bytes, read

ACCOUNT = "A parent told us that on Friday a coach shouted at her son – the team heard it."


def read_one(raw: bytes, **given: Any) -> Reading:
    arguments: dict[str, Any] = {
        "envelope_from": "head@oakfield.example",
        "envelope_to": ["lado@council.example"],
        "authserv_id": "mx.council.example",
        "own_addresses": ["lado@council.example"],
        "limits": Limits(),
    }
    return read(raw, **(arguments | given))


def message(*headers: str, body: str = ACCOUNT) -> bytes:
    lines = ["From: Jane Archer <head@oakfield.example>", "Subject: Advice please", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def nested(levels: int, inside: bytes = b"") -> bytes:
    opened = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(levels))
    return b"From: a@b.example\n" + opened + b"\n" + inside


# Bytes that look enough like mail to reach every corner, and bytes that are nothing at all.
_FRAGMENTS = st.sampled_from(
    rb"""From: |Subject: |Message-ID: <|References: |Reply-To: |Content-Type: multipart/mixed; boundary=|utf-16|utf-7|
Content-Type: text/html; charset=|Content-Type: message/rfc822|Content-Type: multipart/report; report-type=|=ED=A0|
Content-Transfer-Encoding: base64|Content-Transfer-Encoding: quoted-printable|Content-Disposition: attachment;|
filename*0*=utf-7''|filename="|Authentication-Results: mx.council.example; dmarc=|Auto-Submitted: |b|=?utf-8?B?|=?hz?q?|?=|
<|>|@|"|(|> |<blockquote type=cite>|<table><td>|&#xD800;|+2AA-|\r\n|\n|\r|\n\n|--b\n|--b--\n|-- \n|\0|\xed\xa0\x80|
\xff\xfe|\xe2\x80\xae|On Mon, 3 Mar 2025 at 10:15, A <a@b.example> wrote:\n""".replace(b"|\n", b"|")
    .decode("unicode_escape")
    .encode("latin-1")
    .split(b"|")
)
_MAILS = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(_FRAGMENTS, _FRAGMENTS, st.binary(max_size=12)), max_size=40).map(b"".join),
)


class TestAnyBytes:
    @settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(raw=_MAILS, sender=st.one_of(st.just(""), st.text(max_size=20)))
    def test_a_reading_or_too_large(self, raw: bytes, sender: str) -> None:
        try:
            reading = read_one(raw, envelope_from=sender, envelope_to=[sender])
        except TooLarge:
            return
        as_json = reading.to_json()
        as_json.encode("utf-8")  # raises for a lone surrogate
        assert "\\u0000" not in as_json
        assert Reading.from_json(as_json) == reading
        assert reading.subject.isprintable() or not any(ord(char) < 32 for char in reading.subject)
        for attachment in reading.attachments:
            assert len(attachment_bytes(raw, attachment.part_index, Limits())) == attachment.size

    @settings(max_examples=60, deadline=None)
    @given(
        texts=st.lists(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1), min_size=1, max_size=4)
    )
    def test_well_formed_structure_is_what_the_standard_library_sees(self, texts: list[str]) -> None:
        mail = EmailMessage()
        mail["From"] = "head@oakfield.example"
        mail.set_content(texts[0])
        for number, text in enumerate(texts[1:]):
            mail.add_attachment(text.encode() * 50, maintype="application", subtype="pdf", filename=f"f{number}.pdf")
            mail.add_alternative(f"<p>{text}</p>", subtype="html") if not mail.is_multipart() else None
        raw = mail.as_bytes(policy=email.policy.SMTP)
        theirs = email.message_from_bytes(raw)
        ours = parse(raw, Limits(), set())
        leaves = [part for part in ours if not part.is_multipart]
        assert [part.content_type for part in ours] == [part.get_content_type() for part in theirs.walk()]
        assert [part.content(set()) for part in leaves] == [
            part.get_payload(decode=True) for part in theirs.walk() if not part.is_multipart()
        ]


class TestBounds:
    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (nested(40_000), "too_deep"),
            (b"From: a@b.example\n" + b"Content-Type: message/rfc822\n\n" * 90_000, "too_deep"),
            (nested(1, b"--b0\n\nx\n" * 300_000), "too_many_parts"),
            (nested(1, b"--b0\nContent-Type: image/png\n\nx\n" * 300), "too_many_attachments"),
        ],
        ids=["multipart", "rfc822", "flat", "attachments"],
    )
    def test_a_structure_bomb_is_parked_at_once(self, raw: bytes, code: str) -> None:
        started = time.process_time()
        with pytest.raises(TooLarge, match=f"^{code}$"):
            read_one(raw)
        assert time.process_time() - started < 2

    @pytest.mark.parametrize(
        "raw",
        [
            nested(29, b"\n" * 2_900_000),
            b"References: " + b"<" * 1_000_000 + b"\n\n",
            b"From: " + b'"\\"' * 500_000 + b"\n\n",
            message("In-Reply-To: <a@b>", body="On " * 300_000 + "\n" + ("On " * 30 + "wrote:\n") * 5_000),
            message("Content-Type: text/html", body="<table><tr>" + "<td>a" * 70_000),
            message("Content-Type: text/html", body="<div>" * 70_000 + "deep down"),
        ],
        ids=["lines", "references", "quotes", "attributions", "cells", "divs"],
    )
    def test_a_long_one_is_read_in_time(self, raw: bytes) -> None:
        started = time.process_time()
        reading = read_one(raw)
        assert time.process_time() - started < 3
        if b"deep down" in raw:
            assert "deep down" in reading.full_text

    def test_a_text_too_long_is_cut_and_said_so(self) -> None:
        reading = read_one(message(body="word " * 100), limits=Limits(max_text_chars=50))
        assert reading.full_text == ("word " * 10)
        assert reading.defects == ("TextCut",)

    def test_two_texts_that_differ_beyond_the_cut_are_not_the_same(self) -> None:
        limits = Limits(max_text_chars=50)
        first, second = (read_one(message(body="word " * 20 + end), limits=limits) for end in ("a", "b"))
        assert first.full_text == second.full_text
        assert first.digest != second.digest


class TestAttachments:
    def test_bytes_come_back_from_the_raw_message(self) -> None:
        inner = b"Subject: inside\r\n\r\nwords\r\n"
        raw = message(
            "Content-Type: multipart/mixed; boundary=b",
            body="--b\r\n\r\ntext\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.b64encode(inner).decode()
            + "\r\n--b--\r\n",
        )
        reading = read_one(raw)
        assert [item.filename for item in reading.attachments] == ["attachment-2.eml"]
        assert attachment_bytes(raw, reading.attachments[0].part_index, Limits()) == inner
        assert "words" in reading.full_text
        with pytest.raises(Unreadable, match="no_such_part"):
            attachment_bytes(raw, 99, Limits())

    def test_a_text_is_not_lost_for_being_called_an_attachment(self) -> None:
        reading = read_one(
            message("Content-Disposition: attachment; filename=letter.txt", "Content-Type: text/plain; charset=utf-8")
        )
        assert reading.body_text == ACCOUNT
        assert [item.filename for item in reading.attachments] == ["letter.txt"]


class TestSameContent:
    PLAIN = message("Message-ID: <1@oakfield.example>", "Content-Type: text/plain; charset=utf-8")

    @pytest.mark.parametrize(
        "raw",
        [
            b"Received: by relay.example\r\n" + PLAIN,
            PLAIN.replace(b"\r\n", b"\n"),
            PLAIN.replace(b" her son", b"   her\r\n son") + b"\r\n\r\n",
            message("Content-Type: text/plain; charset=windows-1252").replace("–".encode(), b"\x96"),
            message(
                "Content-Type: text/plain; charset=utf-8",
                "Content-Transfer-Encoding: base64",
                body=base64.encodebytes(ACCOUNT.encode()).decode(),
            ),
            PLAIN.replace(b"Advice please", b"=?utf-8?B?QWR2aWNl?=\r\n  =?utf-8?Q?_please?="),
        ],
        ids=["received", "line-ends", "white-space", "charset", "transfer-encoding", "subject-encoding"],
    )
    def test_transport_does_not_matter(self, raw: bytes) -> None:
        assert read_one(raw).digest == read_one(self.PLAIN).digest

    @pytest.mark.parametrize(
        "raw",
        [
            PLAIN.replace(b"Friday", b"Monday"),
            PLAIN.replace(b"Advice", b"More advice"),
            message("Content-Type: application/pdf", body="x"),
        ],
        ids=["text", "subject", "file"],
    )
    def test_content_does(self, raw: bytes) -> None:
        assert read_one(raw).digest != read_one(self.PLAIN).digest

    def test_files_matter(self) -> None:
        first, second = (
            read_one(message("Content-Type: application/pdf; name=a.pdf", body=content)).digest
            for content in ("x", "y")
        )
        assert first != second


class TestIds:
    @pytest.mark.parametrize(
        "spelt",
        [
            "<a.b@x.example>",
            "<a..b@x.example>",
            "<a b@x.example>",
            "<<a@x.example>>",
            "a@x.example",
            "<a@[x]>",
            "<aé@x.example>",
        ],
    )
    def test_an_id_is_whole_and_a_reply_names_it_alike(self, spelt: str) -> None:
        assert read_one(message(f"Message-ID:\r\n  {spelt} ")).message_id == spelt
        assert read_one(message(f"In-Reply-To: {spelt}", f"References: {spelt}")).in_reply_to == (spelt,)

    def test_an_endless_id_still_differs_from_every_other(self) -> None:
        first, second = (read_one(message(f"Message-ID: <{'a' * 5_000}{end}@x>")).message_id for end in "bc")
        assert first is not None
        assert second is not None
        assert first != second
        assert len(first.encode()) < 1_000

    def test_a_long_thread_keeps_its_root_and_its_latest(self) -> None:
        references = " ".join(f"<{number}@x.example>" for number in range(500))
        found = read_one(message(f"References: {references}")).references
        assert len(found) == Limits().max_references
        assert (found[0], found[-1]) == ("<0@x.example>", "<499@x.example>")


def test_reply_to_is_taken_only_when_plain() -> None:
    assert (
        read_one(message("Reply-To: Office <Office@Oakfield.Example>, b@c.example")).reply_to
        == "Office@oakfield.example"
    )
    for spelt in ('"two words"@oakfield.example', "a@[192.0.2.1]", "a@oakfield", "é@oakfield.example", "nobody"):
        assert read_one(message(f"Reply-To: {spelt}")).reply_to is None


def test_json_is_one_object_that_other_programs_can_read() -> None:
    data = json.loads(read_one(message("Auto-Submitted: auto-generated")).to_json())
    assert data["machine"] == {"reason": "auto_submitted", "opens_case": True, "for_a_person": False}
    assert Reading.from_json(json.dumps(data)).machine == MachineMark("auto_submitted", opens_case=True)
