"""The mail that a soak sends: varied in form and size, each from a sender of its own, and what must become of each."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from enum import StrEnum

from acceptance.harness import TO

CANARY = "cinnamon-coloured wheelbarrow"
"""In every body, and to be found in no log line and in no letter."""
TELLS = (
    "A parent told us that on Friday a coach shouted at her son.",
    "A pupil says that a teaching assistant pulled the bag out of her hands.",
    "We have been told that a volunteer writes to pupils on his own telephone.",
    "A colleague is worried about how a tutor speaks to the younger ones.",
    "A driver is said to have left a child alone on the bus for some minutes.",
)
ASKS = ("Please advise.", "What should we do?", "Should we speak to the parents?", "May she go on working meanwhile?")


class Kind(StrEnum):
    NEW = "new"  # opens a case
    COPY = "copy"  # a message that came already, by another path
    REPLY = "reply"  # to the address of a case, from whoever opened it
    BOUNCE = "bounce"  # of the acknowledgement of a case
    FLOOD = "flood"  # opens a case; all from one sender


@dataclass(eq=False)
class Mail:
    """One message on its way to us. ``about`` is the message that opened the case in question."""

    kind: Kind
    message_id: str
    sender: str
    to: str
    raw: bytes = field(repr=False)
    about: Mail | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True)
class Letter:
    """What the relay was given: an acknowledgement."""

    mail_id: str
    envelope_sender: str
    to: str
    reply_to: str
    in_reply_to: str


class Composer:
    """Writes mail. The same seed, asked in the same order, writes the same."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._written = 0

    def new(self) -> Mail:
        number = self._number()
        return self._told(Kind.NEW, number, f"dsl.{number}@school-{number % 400}.example")

    def flood(self) -> Mail:
        return self._told(Kind.FLOOD, self._number(), "flood@many.example")

    def copy(self, mail: Mail) -> Mail:
        """The same message by another path: one more Received field, and perhaps folded otherwise by nobody's fault."""
        hop = (
            f"Received: from hop{self._number()}.example by mx2.example with ESMTP; Fri, 27 Nov 2026 16:40:09 +0000\r\n"
        )
        return Mail(Kind.COPY, mail.message_id, mail.sender, mail.to, hop.encode() + mail.raw, mail)

    def reply(self, mail: Mail, letter: Letter) -> Mail:
        number = self._number()
        message = self._message(number, mail.sender, letter.reply_to, "Re: your acknowledgement")
        message["In-Reply-To"] = letter.mail_id
        message.set_content(
            f"Thank you. Since we wrote ({number}) the parents have been told.\n\n"
            f"On Fri, 27 Nov 2026 at 16:40, Designated Officer Service wrote:\n> We have your message.\n> {CANARY}\n"
        )
        return Mail(Kind.REPLY, message["Message-ID"], mail.sender, letter.reply_to, message.as_bytes(), mail)

    def bounce(self, mail: Mail, letter: Letter) -> Mail:
        """As Postfix writes it (RFC 3464), with the letter's header alone."""
        number = self._number()
        message_id = f"<{number}.bounce@mx.school.example>"
        lines = [
            "From: Mail Delivery System <MAILER-DAEMON@mx.school.example>", f"To: {letter.envelope_sender}",
            "Subject: Undelivered Mail Returned to Sender", f"Message-ID: {message_id}",
            "Date: Fri, 27 Nov 2026 16:41:00 +0000", "Auto-Submitted: auto-replied", "MIME-Version: 1.0",
            'Content-Type: multipart/report; report-type=delivery-status; boundary="=b"', "",
            "--=b", "Content-Type: text/plain; charset=us-ascii", "",
            "This is the mail system at host mx.school.example.", "",
            f"<{letter.to}>: host mail.school.example said: 550 5.1.1 No such person here", "",
            "--=b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.school.example", "",
            f"Final-Recipient: rfc822; {letter.to}", "Action: failed", "Status: 5.1.1", "",
            "--=b", "Content-Type: text/rfc822-headers", "", f"Message-ID: {letter.mail_id}", f"To: {letter.to}", "",
            "--=b--", "",
        ]  # fmt: skip
        return Mail(Kind.BOUNCE, message_id, "", letter.envelope_sender, "\r\n".join(lines).encode(), mail)

    def _told(self, kind: Kind, number: int, sender: str) -> Mail:
        """A consultation in one of the forms that mail programs give it."""
        message = self._message(number, f"Joanne Farrier <{sender}>", TO, f"Advice please ({number})")
        text = f"{self._chance.choice(TELLS)} {self._chance.choice(ASKS)} Our number is {number}: {CANARY}.\n"
        match self._chance.randrange(20):
            case 0 | 1 | 2:
                message.set_content(text)
                message.add_alternative(f"<p>{text}</p><p>Kind regards</p>", subtype="html")
            case 3 | 4:
                message.set_content(f"<html><body><p>{text}</p></body></html>", subtype="html", cte="base64")
            case 5 | 6:
                message.set_content(f"Sîan’s tutor – {text}", cte="8bit")
            case 7:
                message.set_content(f"Café. {text}", charset="iso-8859-1", cte="quoted-printable")
            case 8:
                message.set_content(text)
                content = self._chance.randbytes(self._chance.choice((3_000, 30_000, 300_000)))
                message.add_attachment(content, "application", "octet-stream", filename="notes.bin")
            case 9:
                message.set_content(
                    text + "We have written down what we know so far.\n" * self._chance.randrange(10, 900)
                )
            case _:
                message.set_content(text)
        return Mail(kind, message["Message-ID"], sender, TO, message.as_bytes())

    def _message(self, number: int, sender: str, to: str, subject: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = "Fri, 27 Nov 2026 16:40:00 +0000"
        message["Message-ID"] = f"<{number}.{self._chance.getrandbits(48):x}@mx.school.example>"
        return message

    def _number(self) -> int:
        self._written += 1
        return self._written
