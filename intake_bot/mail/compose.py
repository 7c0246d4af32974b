"""Outgoing mail as bytes, the same bytes each time: one row is one message, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

OUR_MARK = "X-Intake-Bot"
MAX_REFERENCES = 20
"""RFC 5322 sets no bound, mail programs do; the first and the latest matter for threading."""
ORIGINAL = "original-message.eml"
MAX_LINE = 998
"""RFC 5322 section 2.1.1."""


def automatic_answer(
    content: Mapping[str, Any], *, mail_id: str, from_name: str, from_address: str, date: datetime, row_id: str
) -> bytes:
    """A message that nobody wrote, marked automatic (RFC 3834 section 5) so that no robot answers it.

    ``content`` is the outbox row's: to, reply_to, subject, text, html, in_reply_to, references; and submitted, where it is
    no answer to another message.
    """
    message = _addressed(content, mail_id=mail_id, from_name=from_name, from_address=from_address, date=date)
    message["Auto-Submitted"] = content.get("submitted", "auto-replied")
    message["X-Auto-Response-Suppress"] = "All"
    _fill(message, content, row_id)
    return message.as_bytes()


def officers_letter(
    content: Mapping[str, Any],
    *,
    mail_id: str,
    from_name: str,
    from_address: str,
    date: datetime,
    row_id: str,
    original: bytes | None = None,
) -> bytes:
    """A message that a person wrote. It is not marked automatic, which it is not: that somebody is away is worth knowing.

    It bears our mark, by which we know it when it comes back to us. ``content`` is as for :func:`automatic_answer`, with
    secure_field (name and value, or None); ``original`` is the message that goes along, as it came.
    """
    message = _addressed(content, mail_id=mail_id, from_name=from_name, from_address=from_address, date=date)
    if content["secure_field"]:
        name, value = content["secure_field"]
        message[name] = value
    _fill(message, content, row_id)
    if original is not None:
        # Neither boundary is the beginning of the other.
        message.make_mixed(boundary=f"=_mixed_intake-bot_{row_id}")
        message.attach(_attached(original))
    return message.as_bytes()


def _addressed(
    content: Mapping[str, Any], *, mail_id: str, from_name: str, from_address: str, date: datetime
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(from_name, addr_spec=from_address)
    message["To"] = Address(addr_spec=content["to"])
    message["Reply-To"] = Address(from_name, addr_spec=content["reply_to"])
    message["Subject"] = content["subject"]
    message["Date"] = date
    message["Message-ID"] = mail_id
    if content["in_reply_to"] and _plain_id(content["in_reply_to"]):
        message["In-Reply-To"] = content["in_reply_to"]
    references = [reference for reference in content["references"] if _plain_id(reference)]
    if references:
        if len(references) > MAX_REFERENCES:
            references = references[:1] + references[-(MAX_REFERENCES - 1) :]
        message["References"] = " ".join(references)
    message[OUR_MARK] = "1"
    return message


def _fill(message: EmailMessage, content: Mapping[str, Any], row_id: str) -> None:
    message.set_content(content["text"], cte="quoted-printable")
    message.add_alternative(content["html"], subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_intake-bot_{row_id}")


def _attached(original: bytes) -> EmailMessage:
    """The original as message/rfc822, which no encoding may change (RFC 2046 section 5.2.1): so where any relay can pass it
    as it is. Else as a file in base64, byte for byte.
    """
    part = EmailMessage(policy=SMTP)
    text = original.replace(b"\r\n", b"\n")
    is_plain = text.isascii() and b"\r" not in text and b"\0" not in text
    if is_plain and all(len(line) <= MAX_LINE for line in text.split(b"\n")):
        part["Content-Type"] = "message/rfc822"
        part["Content-Transfer-Encoding"] = "7bit"
        part["Content-Disposition"] = f'attachment; filename="{ORIGINAL}"'
        part.set_payload(text.replace(b"\n", b"\r\n").decode("ascii"))
    else:
        part.set_content(original, "application", "octet-stream", filename=ORIGINAL)
    return part


def _plain_id(message_id: str) -> bool:
    """Whether a foreign Message-ID can stand in a header of ours as it is: printable ASCII, no space, not too long."""
    return len(message_id) <= 900 and message_id.isascii() and message_id.isprintable() and " " not in message_id
