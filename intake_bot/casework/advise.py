"""Advice by email: to whom an officer can write on a case and what is known of them, and the writing itself.

The officer sees the address and what is known of its sender, and confirms both: :class:`Advise` names them, and where they
are no longer so, nothing is sent. The words are sealed; the record has their hash, never the words or the address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework import chasing, deadlines, desk_queue
from intake_bot.casework.acts import Advise, Done, Refused
from intake_bot.casework.desk import Actor
from intake_bot.casework.letters import LetterProblem
from intake_bot.casework.own_messages import message_of
from intake_bot.casework.practice import ADVICE, Practice
from intake_bot.casework.views import may_see
from intake_bot.casework.vocabulary import CLOSED, ActionState, Owner, Status
from storage import audit, outbox
from storage.claims import PARKED
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Action, Case, Message, Outgoing, Participant, Raw
from storage.vault import Place

MAX_WORDS = 100_000
"""Characters of one letter's words."""
MAX_ORIGINAL = 10 * 1024 * 1024
"""Bytes of a message that goes along; many mail servers take no more."""
SAME_AGAIN = timedelta(minutes=10)
"""The same words to the same address within this time are one letter: a button pressed, or a command given, twice."""

_TRUST = ("fail", "none", "pass")
"""The least first: an address is believed as far as its least believable message on the case."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address that an officer may write to, as it is shown before anything is sent.

    ``trust`` is what sender authentication found of its messages on this case (``pass``, ``fail``, ``none``); of an address
    that has not written itself nothing is known, so that is ``none`` or worse.
    """

    address: str
    name: str
    trust: str
    standing: str
    """``wrote`` on the case; ``answers`` are to go there, whoever wrote asks; an ``officer`` added it; or it is ``new``."""
    is_referrer: bool = False


def recipients(session: Session, practice: Practice, case: Case) -> list[Recipient]:
    """Everybody who takes part in the case, the referrer's answer address first. The caller records the access."""
    arrived = _arrived(session, practice, case)
    found: dict[str, Recipient] = {}
    opening = next(((row, content) for row, content in arrived if row.opened_case), None)
    if opening is not None and (address := opening[1].get("answer_to")):
        found[practice.address_key(address)] = Recipient(
            address,
            "",
            # Authentication speaks for the sender's address alone, not for where answers are asked to go.
            "fail" if opening[0].sender_trust == "fail" else "none",
            "answers",
            is_referrer=True,
        )
    rows = session.exec(
        select(Participant)
        .where(col(Participant.case_id) == case.id)
        .order_by(col(Participant.added_at), col(Participant.address_key))
    )
    for row in rows:
        place = Place("participants", row.address_key, "content", case.id)
        written = [(message, content) for message, content in arrived if message.sender_key == row.address_key]
        one = Recipient(
            practice.vault.open_json(place, row.content),
            next((content["sender_name"] for _, content in reversed(written) if content["sender_name"]), ""),
            min((message.sender_trust for message, _ in written), key=_TRUST.index, default="none"),
            "wrote" if written else row.source,
        )
        known = found.get(row.address_key)
        found[row.address_key] = replace(one, is_referrer=True) if known is not None else one
    return list(found.values())


def recipient(session: Session, practice: Practice, case: Case, address: str) -> Recipient:
    """What is known of one address on a case: of one that takes no part in it, that it is new."""
    key = practice.address_key(address)
    there = (one for one in recipients(session, practice, case) if practice.address_key(one.address) == key)
    return next(there, Recipient(address.strip(), "", "none", "new"))


def problems(act: Advise) -> dict[str, str]:
    """What is wrong with advice before anything is looked up: field name to a plain sentence."""
    words = cleaned(act.words)
    if not words:
        return {"words": "Write the advice."}
    if len(words) > MAX_WORDS:
        return {"words": f"The advice has more than {MAX_WORDS:,} characters."}
    return {}


def refusal(case: Case, by: Actor) -> str | None:
    """Why nobody, or not this officer, may write on the case; None where they may. A concluded case may be written on."""
    if case.purged_at is not None:
        return f"{case.reference} was purged: nothing is left to advise on."
    if not may_see(case, by):
        return f"{case.reference} is restricted: only the officer who has it, and those named, may write."
    return None


def cleaned(words: str) -> str:
    """The words as they are kept and sent: no control characters but line ends and tabs, no blank lines around them."""
    plain = words.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return "".join(letter for letter in plain if letter in "\n\t" or letter.isprintable()).strip()


def advise(session: Session, practice: Practice, case: Case, act: Advise, *, now: datetime) -> Done | Refused:
    """Put advice on the case and on its way, in the caller's transaction, which holds the case's row."""
    by = str(act.by)
    refused = refusal(case, act.by)
    if refused is not None:
        return Refused(refused)
    original = _original(session, practice, case) if act.with_original else None
    to = recipient(session, practice, case, act.to)
    refused = _refusal(session, practice, case, act, original) or _refusal_of(practice, to, act)
    if refused is not None:
        return Refused(refused)
    words = cleaned(act.words)
    words_key = _words_key(practice, words, with_original=act.with_original)
    if _is_on_its_way(session, practice, case, to, words_key, now=now):
        return Done(f"{case.reference}: the same advice is on its way already.", changed=False)

    try:
        letter = practice.letters.advice(
            reference=case.reference, words=words, original=original.received_at if original else None
        )
    except LetterProblem as problem:  # no sample is as long as what somebody may write
        return Refused(f"The letter cannot be made: {problem}")
    _add_participant(session, practice, case, to, by=by, now=now)
    message_id = new_id(now)
    mail_id = practice.mail_id(message_id)
    in_reply_to, references = _thread(session, practice, case, to)
    content: dict[str, Any] = {
        "to": to.address,
        "reply_to": practice.reply_address(case.reply_tag),
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
        "in_reply_to": in_reply_to,
        "references": references,
        "secure_field": practice.advice.secure_field,
        "original": original.raw_id if original else None,
    }
    letter_id = outbox.put(
        session,
        practice.vault,
        key=f"{outbox.ADVICE_KEY}{message_id}",
        via=Via.MAIL,
        kind=Kind.ADVICE,
        now=now,
        case_id=case.id,
        mail_id=mail_id,
        sealed_by=case.key_id,
        address_key=practice.address_key(to.address),
        words_key=words_key,
        content=content,
    )
    message = message_of(
        practice,
        case,
        letter,
        message_id=message_id,
        to=to.address,
        now=now,
        words=words,
        more={"by": by, "original": original.id if original else None},
    )
    session.add(message)
    session.flush()
    audit.record(
        session,
        case.id,
        at=now,
        actor=by,
        act="advised",
        code=to.trust,
        detail={
            "message": message_id,
            "letter": letter_id,
            "standing": to.standing,
            "original": original.id if original else None,
        },
        note=audit.Note(message_id, message.content),
    )
    if act.asks_by is None:
        deadlines.meet(session, case, ADVICE, at=now, actor=by, because="advised")
    else:
        _expect_answer(session, practice, case, to, act, message_id=message_id, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference}: the {'advice' if act.asks_by is None else 'question'} is on its way.")


def _expect_answer(
    session: Session, practice: Practice, case: Case, to: Recipient, act: Advise, *, message_id: str, now: datetime
) -> None:
    """Who was asked owes an answer by a time, and is reminded of it where they were asked."""
    assert act.asks_by is not None  # noqa: S101 (the caller has looked)
    owner = Owner.REFERRER if to.is_referrer else Owner.OTHER
    row = Action(
        id=new_id(now),
        case_id=case.id,
        owner=owner,
        due_at=act.asks_by,
        state=ActionState.OPEN,
        by=str(act.by),
        recorded_at=now,
        address_key=practice.address_key(to.address),
        asked_in=message_id,
        note_id="",
    )
    session.add(row)
    chasing.start(session, practice, row, now=now)
    if case.status == Status.PAUSED:
        chasing.stop_action(session, row, because="paused")
    detail = {"action": row.id, "due_at": act.asks_by.isoformat(), "message": message_id}
    audit.record(session, case.id, at=now, actor=str(act.by), act="asked", code=owner, detail=detail)


def _refusal(session: Session, practice: Practice, case: Case, act: Advise, original: Message | None) -> str | None:
    """Why nothing is sent, whoever it is to; None where it may be."""
    wrong = problems(act)
    if wrong:
        return " ".join(wrong.values())
    if act.asks_by is not None and case.status in CLOSED:
        return f"{case.reference} is closed: open it again to ask, or write without asking."
    if not practice.advice.way_is_safe:
        return "The way to the relay is not encrypted (mail.relay.starttls is off), so no advice leaves."
    if act.with_original and original is None:
        return f"{case.reference} has no message that could go along."
    if original is not None and _size(session, original) > MAX_ORIGINAL:
        return f"The original is larger than {MAX_ORIGINAL // 2**20} MiB: it does not go by mail."
    return None


def _refusal_of(practice: Practice, to: Recipient, act: Advise) -> str | None:
    """Why nothing is sent to this one; None where it may be."""
    if to.address.lower() == practice.address.lower() or practice.reply_tag_of(to.address) is not None:
        return "That is an address of this service itself."
    if not practice.advice.can_write_to(to.address):
        return "That is no address that mail can be sent to."
    if to.trust != act.trust:
        return "What is known of that address has changed: look at it again."
    if to.trust == "fail" and not act.despite_fail:
        return "Mail from that address failed authentication: confirm the address itself, or telephone."
    return None


def _arrived(session: Session, practice: Practice, case: Case) -> list[tuple[Message, dict[str, Any]]]:
    """The messages that came, oldest first, each opened."""
    rows = session.exec(
        select(Message)
        .where(col(Message.case_id) == case.id, col(Message.direction) == "in")
        .order_by(col(Message.received_at), col(Message.id))
    )
    return [
        (row, practice.vault.open_json(Place("messages", row.id, "content", case.id), row.content))
        for row in rows
        if row.content
    ]


def _original(session: Session, practice: Practice, case: Case) -> Message | None:
    """The message that opened the case, where its bytes are kept."""
    row = session.exec(select(Message).where(col(Message.case_id) == case.id, col(Message.opened_case))).first()
    # A message's raw bytes have its own id: any other would be somebody else's.
    return row if row is not None and row.raw_id == row.id else None


def _size(session: Session, message: Message) -> int:
    return session.exec(select(Raw.size).where(col(Raw.id) == message.raw_id)).one()


def _thread(session: Session, practice: Practice, case: Case, to: Recipient) -> tuple[str | None, Sequence[str]]:
    """Their own last message and those before it, with which the letter stands in their program; nothing of others'."""
    key = practice.address_key(to.address)
    theirs = [
        content
        for row, content in _arrived(session, practice, case)
        # What their machine sent in answer (an absence message) is no message of theirs.
        if (row.sender_key == key and row.machine_sent is None) or (to.standing == "answers" and row.opened_case)
    ]
    if not theirs or not theirs[-1]["message_id"]:
        return None, []
    latest = theirs[-1]
    return latest["message_id"], [*latest.get("references", ()), latest["message_id"]]


def _add_participant(
    session: Session, practice: Practice, case: Case, to: Recipient, *, by: str, now: datetime
) -> None:
    """Whom an officer wrote to may answer on the case."""
    key = practice.address_key(to.address)
    if session.get(Participant, (case.id, key)) is not None:
        return
    session.add(
        Participant(
            case_id=case.id,
            address_key=key,
            source="officer",
            added_at=now,
            content=practice.vault.seal_json(
                Place("participants", key, "content", case.id), to.address, key=case.key_id
            ),
        )
    )
    audit.record(session, case.id, at=now, actor=by, act="participant_added", code=to.standing)


def _words_key(practice: Practice, words: str, *, with_original: bool) -> str:
    return practice.vault.blind("advice", hashlib.sha256(f"{with_original}\0{words}".encode()).hexdigest())


def _is_on_its_way(
    session: Session, practice: Practice, case: Case, to: Recipient, words_key: str, *, now: datetime
) -> bool:
    """Whether the same was written a moment ago, and has not come back or been given up since."""
    same = session.exec(
        select(Outgoing.id).where(
            col(Outgoing.case_id) == case.id,
            col(Outgoing.kind) == Kind.ADVICE,
            col(Outgoing.address_key) == practice.address_key(to.address),
            col(Outgoing.words_key) == words_key,
            col(Outgoing.created_at) > now - SAME_AGAIN,
            col(Outgoing.bounced_at).is_(None),
            col(Outgoing.state) != PARKED,
        )
    )
    return same.first() is not None
