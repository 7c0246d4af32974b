"""A consultation that comes by no letter: told on the telephone, or filled in in a form. It becomes a case as mail does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from intake_bot.casework.conversation import address_of, name_of
from intake_bot.casework.desk import Actor
from intake_bot.casework.receive import PHONE, Incoming

SLACK = "slack"
MAX_WORDS = 20_000
"""Characters of all that was filled in."""


@dataclass(frozen=True, slots=True)
class Consultation:
    """What was told. Everything but ``what_happened`` may be empty. ``asker`` is who filled it in in Slack.

    ``first_knew`` is when the adult's employer first knew, as :mod:`.knowing` reads it.
    """

    channel: str
    what_happened: str
    reporter: str = ""
    role: str = ""
    organisation: str = ""
    telephone: str = ""
    email: str = ""
    adult: str = ""
    adult_role: str = ""
    workplace: str = ""
    when: str = ""
    child: str = ""
    done_so_far: str = ""
    first_knew: str = ""
    in_danger: bool = False
    no_names: bool = False
    asker: str = ""

    def pack(self) -> bytes:
        """As the spool keeps it."""
        return json.dumps({"v": 1} | asdict(self), sort_keys=True).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Consultation:
        """The inverse of :meth:`pack`. Raises ValueError, in fixed words, on anything else."""
        try:
            kept = json.loads(payload)
            if kept.pop("v") != 1:
                raise ValueError
            types = {field.name: bool if field.name in ("in_danger", "no_names") else str for field in fields(cls)}
            if any(type(value) is not types[name] for name, value in kept.items()):
                raise ValueError
            return cls(**kept)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("this is no consultation that was kept") from None

    def text(self) -> str:
        """As an officer and triage read it: a line for each thing that was told."""
        told = [
            ("Immediate danger", "yes" if self.in_danger else ""),
            ("No names are given", "yes" if self.no_names else ""),
            ("What happened", self.what_happened),
            ("When", self.when),
            ("The employer first knew", self.first_knew),
            ("Adult", self.adult),
            ("Role", self.adult_role),
            ("Workplace", self.workplace),
            ("Child's name or age", self.child),
            ("What has been done so far", self.done_so_far),
            ("Told by", ", ".join(part for part in (self.reporter, self.role, self.organisation) if part.strip())),
            ("Telephone", self.telephone),
            ("Email", self.email),
        ]
        return "\n".join(f"{name}: {value.strip()}" for name, value in told if value.strip())


def problems(told: Consultation) -> dict[str, str]:
    """What is wrong with a form before it is kept: field name to a plain sentence."""
    if not told.what_happened.strip():
        return {"what_happened": "Say what happened, or what worries you."}
    if not (told.asker or told.telephone.strip() or told.email.strip() or told.reporter.strip()):
        return {"telephone": "Say how to reach whoever told it."}
    if len(told.text()) > MAX_WORDS:
        return {"what_happened": f"More than {MAX_WORDS:,} characters: shorten it, and send the rest by email."}
    return {}


def incoming(told: Consultation, arrival: Mapping[str, Any], *, is_address: bool) -> Incoming:
    """As casework files it. ``arrival`` has its id, time and key; ``is_address``: mail can be sent to the address given."""
    asker = Actor.parse(told.asker) if told.asker else None
    words = told.text()
    email = told.email.strip() if is_address else None
    by_slack = told.channel == SLACK and asker is not None
    return Incoming(
        id=arrival["id"],
        channel=told.channel,
        received_at=arrival["received_at"],
        raw_id=arrival["id"],
        key_id=arrival["key_id"],
        sender=address_of(asker) if by_slack and asker else email,
        sender_name=told.reporter,
        answer_to=email,
        recipients=(),
        message_id=None,
        in_reply_to=(),
        references=(),
        date=arrival["received_at"].isoformat(),
        subject="Consultation by telephone" if told.channel == PHONE else "Consultation in Slack",
        body_text=words,
        full_text=words,
        digest=hashlib.sha256(words.encode()).hexdigest(),
        # Slack says who it is; what was told on the telephone nobody has proven.
        sender_trust="pass" if by_slack else "none",
        asker=asker if by_slack else None,
        no_names=told.no_names,
        employer_knew=told.first_knew,
    )


LONGEST_DOWN = timedelta(days=31)


def _said_at(ts: str, taken_at: datetime) -> datetime:
    """When something was said in Slack, from where its clocks run: what was read back afterwards was taken much later."""
    try:
        said = datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError, OSError):
        return taken_at
    return said if taken_at - LONGEST_DOWN < said < taken_at else taken_at


def talk(said: Mapping[str, Any], arrival: Mapping[str, Any], *, after: str | None) -> Incoming:
    """What somebody wrote to the service in Slack. ``after`` is the key of our last word to them, if there is one."""
    thread = said.get("thread_ts")
    who = Actor("slack", f"{said['team']}/{said['user']}")
    words = str(said["text"])
    if said.get("files"):
        words = f"{words}\n[{said['files']} attached in Slack, and not here: ask for them by email]".strip()
    received = _said_at(str(said["ts"]), arrival["received_at"])
    return Incoming(
        id=arrival["id"],
        channel=SLACK,
        received_at=received,
        raw_id=arrival["id"],
        key_id=arrival["key_id"],
        sender=address_of(who),
        sender_name="",
        answer_to=None,
        recipients=(),
        message_id=name_of(str(said["channel"]), str(said["ts"])),
        in_reply_to=(name_of(str(said["channel"]), str(thread)),) if thread else (),
        references=(),
        date=received.isoformat(),
        subject="Written in Slack",
        body_text=words,
        full_text=words,
        digest=hashlib.sha256(words.encode()).hexdigest(),
        sender_trust="pass",
        asker=who,
        after=after,
    )
