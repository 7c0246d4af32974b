"""Letters as bytes: what an officer's letter says of itself, and what goes along with it."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest

from conftest import FRIDAY_1640
from intake_bot.mail.compose import automatic_answer, officers_letter
from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import Reading, attachment_bytes, read

CONTENT: dict[str, Any] = {
    "to": "dsl@brookfield.example",
    "reply_to": "lado+abc@elmshire.example",
    "subject": "OFFICIAL-SENSITIVE: Advice on consultation LADO-26-ABCDEF",
    "text": "Keep the footage.\n",
    "html": "<p>Keep the footage.</p>",
    "in_reply_to": "<one@brookfield.example>",
    "references": ["<one@brookfield.example>"],
    "secure_field": ["X-Encrypt", "yes; please"],
}
ORIGINAL = b"From: dsl@brookfield.example\r\nSubject: Advice please\r\n\r\nA coach shouted.\r\nFrom here on.\r\n"


def composed(compose: Any = officers_letter, **more: Any) -> bytes:
    raw: bytes = compose(
        CONTENT,
        mail_id="<01.tag@elmshire.example>",
        from_name="Designated Officer Service",
        from_address="lado@elmshire.example",
        date=FRIDAY_1640,
        row_id="01",
        **more,
    )
    return raw


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]


def taken_in(raw: bytes, sender: str = "dsl@brookfield.example") -> Reading:
    return read(
        raw,
        envelope_from=sender,
        envelope_to=["lado+abc@elmshire.example"],
        authserv_id=None,
        own_addresses={"lado@elmshire.example"},
        limits=Limits(),
    )


def test_an_officer_s_letter_is_not_marked_automatic_and_carries_the_secure_field() -> None:
    letter = parsed(composed())
    assert letter["Auto-Submitted"] is None
    assert letter["X-Auto-Response-Suppress"] is None
    assert letter["X-Encrypt"] == "yes; please"
    assert letter["Reply-To"].addresses[0].addr_spec == "lado+abc@elmshire.example"
    assert letter["In-Reply-To"] == letter["References"] == "<one@brookfield.example>"
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    assert parsed(composed(automatic_answer))["Auto-Submitted"] == "auto-replied"


def test_it_is_the_same_each_time() -> None:
    assert composed(original=ORIGINAL) == composed(original=ORIGINAL)


def test_our_own_copy_that_comes_back_is_known_and_a_reply_to_it_is_a_person_s() -> None:
    own = taken_in(composed()).machine
    assert own is not None
    assert (own.reason, own.opens_case) == ("own_mail", False)
    reply = EmailMessage(policy=email.policy.SMTP)
    reply["From"] = "dsl@brookfield.example"
    reply["Subject"] = f"Re: {CONTENT['subject']}"
    reply["In-Reply-To"] = "<01.tag@elmshire.example>"
    reply.set_content("We have kept it.")
    assert taken_in(reply.as_bytes()).machine is None
    # Nor is one that has our letter attached whole.
    reply.add_attachment(parsed(composed()))
    assert taken_in(reply.as_bytes()).machine is None


class TestTheOriginal:
    @pytest.mark.parametrize("raw", [ORIGINAL, ORIGINAL.replace(b"\r\n", b"\n")], ids=["crlf", "lf"])
    def test_goes_as_a_message_where_any_relay_can_pass_it(self, raw: bytes) -> None:
        whole = composed(original=raw)
        assert ORIGINAL in whole
        _, attached = parsed(whole).iter_parts()
        assert attached.get_content_type() == "message/rfc822"
        assert attached.get_filename() == "original-message.eml"
        assert attached["Content-Transfer-Encoding"] == "7bit"
        assert attached.get_content()["Subject"] == "Advice please"

    @pytest.mark.parametrize(
        "raw",
        [
            ORIGINAL + "café\r\n".encode(),
            ORIGINAL + b"x" * 1200 + b"\r\n",
            ORIGINAL + b"a lone\rCR\r\n",
            ORIGINAL + b"\0\r\n",
        ],
        ids=["8bit", "long line", "lone cr", "nul"],
    )
    def test_goes_as_a_file_byte_for_byte_where_not(self, raw: bytes) -> None:
        whole = composed(original=raw)
        assert whole.isascii()
        assert max(len(line) for line in whole.split(b"\r\n")) <= 998
        _, attached = parsed(whole).iter_parts()
        assert attached.get_content_type() == "application/octet-stream"
        assert attached.get_filename() == "original-message.eml"
        assert attached.get_content() == raw

    def test_is_found_by_a_reader_in_its_place(self) -> None:
        reading = taken_in(composed(original=ORIGINAL).replace(b"X-Intake-Bot: 1\r\n", b""))
        (attachment,) = reading.attachments
        assert "Keep the footage." in reading.body_text
        content = attachment_bytes(
            composed(original=ORIGINAL), attachment.part_index, Limits(), sha256=attachment.sha256
        )
        assert b"A coach shouted." in content

    def test_does_not_go_unasked(self) -> None:
        assert b"original-message" not in composed()
