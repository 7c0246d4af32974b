"""A consultation in Slack: acknowledged, answered and gone on with in the asker's own conversation with the service.

Whoever asks is a participant under ``slack:TEAM/USER``; what was said there has ``slack:CHANNEL/TS`` for its Message-ID, so
that an answer in a thread finds its case as an email does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework import deadlines, desk_queue
from intake_bot.casework.acts import Done, Refused, Reply
from intake_bot.casework.desk import SYSTEM, Actor, Posted
from intake_bot.casework.practice import ADVICE, Practice
from intake_bot.casework.vocabulary import CLOSED
from storage import audit, outbox
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Case, Message, Participant
from storage.vault import Place

MAX_WORDS = 3000
ANSWERED = "reply_sent"
"""What goes on the record when an officer's own words have arrived: these are content."""
CHANNEL = "slack"


def address_of(actor: Actor) -> str:
    """What stands for an address where somebody writes in Slack."""
    return f"slack:{actor.id}"


def name_of(channel: str, ts: str) -> str:
    """What stands for a Message-ID."""
    return f"slack:{channel}/{ts}"


def say(
    session: Session,
    practice: Practice,
    case: Case,
    to: Actor,
    words: str,
    *,
    act: str,
    key: str,
    now: datetime,
    by: Actor = SYSTEM,
    form: bool = False,
) -> Message:
    """Put something on its way to the asker, and on the case. ``act`` goes on the record when it has arrived."""
    message = Message(
        id=new_id(now),
        case_id=case.id,
        channel=CHANNEL,
        direction="out",
        received_at=now,
        identity=practice.vault.blind("identity", key),
        sender_key=practice.address_key(practice.address),
        content=b"",
    )
    message.content = practice.vault.seal_json(
        Place("messages", message.id, "content", case.id),
        {
            "message_id": None,
            "sender": practice.address,
            "recipients": [address_of(to)],
            "subject": "",
            "body_text": words,
            "full_text": words,
            "attachments": [],
            "by": str(by),
        },
        key=case.key_id,
    )
    session.add(message)
    session.flush()
    outbox.put(
        session,
        practice.vault,
        key=key,
        via=Via.DESK,
        kind=Kind.DIRECT,
        now=now,
        case_id=case.id,
        sealed_by=case.key_id,
        content={"actor": str(to), "text": words, "message": message.id, "act": act, "form": form},
    )
    return message


def said(
    session: Session, practice: Practice, content: dict[str, Any], case_id: str, posted: Posted, *, now: datetime
) -> None:
    """Note where something was said, so that an answer to it finds the case. What is no message of the case's is not."""
    if "message" not in content:
        return
    message = session.get(Message, content["message"])
    if message is not None:
        message.rfc_key = practice.mail_key(name_of(posted.channel, posted.ts))
        session.add(message)
    audit.record(session, case_id, at=now, actor=str(SYSTEM), act=content["act"])


def asker(session: Session, practice: Practice, case: Case) -> Actor | None:
    """Who asked in Slack; None where nobody did."""
    rows = session.exec(
        select(Participant).where(col(Participant.case_id) == case.id).order_by(col(Participant.added_at))
    )
    for row in rows:
        address = practice.vault.open_json(Place("participants", row.address_key, "content", case.id), row.content)
        if address.startswith("slack:"):
            return Actor("slack", address.removeprefix("slack:"))
    return None


def last_word(session: Session, practice: Practice, who: Actor) -> str | None:
    """The key of what was last said to somebody on their newest open case: where an answer outside a thread belongs."""
    return session.exec(
        select(Message.rfc_key)
        .join(Participant, col(Participant.case_id) == col(Message.case_id))
        .join(Case, col(Case.id) == col(Message.case_id))
        .where(
            col(Participant.address_key) == practice.address_key(address_of(who)),
            col(Message.channel) == CHANNEL,
            col(Message.direction) == "out",
            col(Message.rfc_key).is_not(None),
            col(Case.status).not_in(CLOSED),
        )
        .order_by(col(Message.received_at).desc(), col(Message.id).desc())
        .limit(1)
    ).first()


def reply(session: Session, practice: Practice, case: Case, act: Reply, *, now: datetime) -> Done | Refused:
    """Answer whoever asked in Slack, in their conversation."""
    words = act.words.strip()
    if not words:
        return Refused("Write the answer.")
    if len(words) > MAX_WORDS:
        return Refused(f"The answer has more than {MAX_WORDS:,} characters.")
    to = asker(session, practice, case)
    if to is None:
        return Refused(f"{case.reference} did not come by Slack: use advise.")
    if not practice.answers_in_slack:
        return Refused("This desk writes no content in Slack: telephone, or add their email address and use advise.")
    message = say(
        session, practice, case, to, words, act=ANSWERED, key=f"reply:{case.id}:{new_id(now)}", now=now, by=act.by
    )
    note = audit.Note(message.id, message.content)
    audit.record(session, case.id, at=now, actor=str(act.by), act="replied", detail={"message": message.id}, note=note)
    deadlines.meet(session, case, ADVICE, at=now, actor=str(act.by), because="advised")
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference}: the answer is on its way.")
