"""Our own letters as messages of their case: whoever answers one comes to the case, and officers see what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from intake_bot.casework.letters import Letter
from intake_bot.casework.practice import Practice
from storage.tables import Case, Message
from storage.vault import Place


def message_of(
    practice: Practice,
    case: Case,
    letter: Letter,
    *,
    message_id: str,
    to: str,
    now: datetime,
    words: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Message:
    """The row of a letter to ``to``, sealed under the case's key. ``words`` are what is new in it, where that is not all."""
    mail_id = practice.mail_id(message_id)
    content = {
        "message_id": mail_id,
        "sender": practice.address,
        "recipients": [to],
        "subject": letter.subject,
        "body_text": letter.text if words is None else words,
        "full_text": letter.text,
        "attachments": [],
        **(more or {}),
    }
    return Message(
        id=message_id,
        case_id=case.id,
        channel="email",
        direction="out",
        received_at=now,
        identity=practice.vault.blind("identity", mail_id),
        rfc_key=practice.mail_key(mail_id),
        sender_key=practice.address_key(practice.address),
        content=practice.vault.seal_json(Place("messages", message_id, "content", case.id), content, key=case.key_id),
    )
