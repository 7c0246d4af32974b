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


def automatic_answer(
    content: Mapping[str, Any], *, mail_id: str, from_name: str, from_address: str, date: datetime, row_id: str
) -> bytes:
    """A message in answer to another, marked automatic (RFC 3834 section 5) so that no robot answers it.

    ``content`` is the outbox row's: to, reply_to, subject, text, html, in_reply_to, references.
    """
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
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message[OUR_MARK] = "1"
    message.set_content(content["text"], cte="quoted-printable")
    message.add_alternative(content["html"], subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_intake-bot_{row_id}")
    return message.as_bytes()


def _plain_id(message_id: str) -> bool:
    """Whether a foreign Message-ID can stand in a header of ours as it is: printable ASCII, no space, not too long."""
    return len(message_id) <= 900 and message_id.isascii() and message_id.isprintable() and " " not in message_id
