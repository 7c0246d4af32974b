"""What those who consulted us think of it: a short letter when a case is concluded, and what is answered in the reply.

It is off unless the settings ask for it, is marked automatic, counts to no clock, and goes once to each person of a case.
The answers are codes, which the figures count; a remark is content, and is kept sealed with the case like any note.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, func, select

from intake_bot.casework.desk import SYSTEM
from intake_bot.casework.letters import LetterProblem
from intake_bot.casework.own_messages import message_of
from intake_bot.casework.practice import FeedbackRules, Practice, takes_no_answers
from intake_bot.casework.retention import add_note
from intake_bot.casework.survey import MAX_READ, Role, is_subject_of, read
from intake_bot.casework.vocabulary import ActionState, Owner, Source, Status
from storage import audit, outbox
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Action, Case, Feedback, Message, Outgoing, Participant, SuggestionRow
from storage.vault import UNOPENABLE, Place
from triage.vocabulary import Flag

ASKED, GIVEN, WITHDRAWN = "feedback_asked", "feedback_given", "feedback_withdrawn"
"""The acts on the record."""


NEVER_ASKED = frozenset({Source.PARENT_OR_CARER, Source.CHILD, Source.PUBLIC})
"""A family in distress, or whoever rang in worry, is not sent a survey by a machine."""
MAX_REMARK = 10_000
"""Characters of a remark that are kept apart; the message itself stays whole on the case."""


def ask(session: Session, practice: Practice, case: Case, *, now: datetime) -> int:
    """Put the letters of a case that is concluded in the outbox, in the caller's transaction; how many."""
    rules = practice.feedback
    if rules is None or case.restricted or case.no_names or case.status != Status.CONCLUDED:
        return 0
    if case.source in NEVER_ASKED or _is_a_parents(session, case):
        return 0
    before = session.exec(select(Feedback).where(col(Feedback.case_id) == case.id)).all()
    asked, keys = {row.role for row in before}, {row.address_key for row in before}
    count = 0
    for role, address in _contacts(session, practice, case, rules):
        key = practice.address_key(address)
        if role in asked or key in keys or not _may_write(session, practice, case, address, now=now):
            continue
        keys.add(key)
        count += _write(session, practice, case, role, address, now=now)
    return count


def still_wanted(session: Session, case_id: str | None) -> bool:
    """Whether a letter that waits for the relay may go: the case may have been opened again, hidden or purged meanwhile."""
    case = session.get(Case, case_id) if case_id else None
    return case is not None and case.status == Status.CONCLUDED and not case.restricted and case.purged_at is None


def withdraw(
    session: Session, practice: Practice, case_id: str, letter_id: str, mail_id: str, *, now: datetime
) -> None:
    """A letter does not go after all: nobody was asked, nothing was said, and the case may ask at its next conclusion."""
    case = session.get_one(Case, case_id, with_for_update=True)
    role = session.get_one(Outgoing, letter_id).key.split(":")[2]
    row = session.exec(select(Feedback).where(col(Feedback.case_id) == case_id, col(Feedback.role) == role)).first()
    if row is None or row.answered_at is not None:
        return
    ours = session.exec(
        select(Message).where(
            col(Message.case_id) == case_id,
            col(Message.direction) == "out",
            col(Message.rfc_key) == practice.mail_key(mail_id),
        )
    ).first()
    if ours is not None:
        session.delete(ours)
    session.delete(row)
    detail = {"feedback": row.id, "letter": letter_id}
    audit.record(session, case.id, at=now, actor=str(SYSTEM), act=WITHDRAWN, code=role, detail=detail)


def take(
    session: Session,
    practice: Practice,
    case: Case,
    *,
    sender_key: str | None,
    sender_name: str,
    message_id: str,
    subject: str,
    full_text: str,
    body_text: str,
    signature_text: str,
    now: datetime,
) -> bool:
    """Keep what a message on the case answers of the letter that its sender had; whether it says nothing else.

    The first reply counts; a later one is a message like any other.
    """
    if sender_key is None or len(full_text) > MAX_READ:
        return False
    row = session.exec(
        select(Feedback)
        .where(col(Feedback.case_id) == case.id, col(Feedback.address_key) == sender_key)
        .with_for_update()
    ).first()
    if row is None or row.answered_at is not None:
        return False
    letter = practice.letters.feedback(reference=case.reference)
    found = read(
        full_text,
        (letter.subject, letter.text, letter.html),
        body_text=body_text,
        signature_text=signature_text,
        known=[sender_name, *_signed(session, practice, case, sender_key, before=message_id)],
    )
    if not found.answers:
        return False
    row.answered_at, row.answers = now, dict(found.answers)
    session.add(row)
    note = None
    if found.remark:
        note = add_note(session, practice, case, GIVEN, by=SYSTEM, words=found.remark[:MAX_REMARK], now=now)
        row.note_id = note.id
    audit.record(
        session,
        case.id,
        at=now,
        actor=str(SYSTEM),
        act=GIVEN,
        code=row.role,
        detail={"feedback": row.id, "answers": len(found.answers)},
        note=note,
    )
    # A subject of their own may say what the body does not.
    return not found.remark and is_subject_of(letter.subject, subject)


def _signed(session: Session, practice: Practice, case: Case, sender_key: str, *, before: str) -> list[str]:
    """What they have signed their other messages on the case with, and their name: it is no news under some ticks."""
    rows = session.exec(
        select(Message)
        .where(col(Message.case_id) == case.id, col(Message.sender_key) == sender_key, col(Message.id) != before)
        .order_by(col(Message.received_at))
        .limit(_MOST_SIGNED)
    ).all()
    lines: list[str] = []
    for row in rows:
        try:
            content = practice.vault.open_json(Place("messages", row.id, "content", case.id), row.content)
        except (*UNOPENABLE, ValueError):
            continue
        lines += [*str(content.get("signature_text") or "").splitlines(), str(content.get("sender_name") or "")]
    return lines


_MOST_SIGNED = 5
"""Messages of a sender that are looked through for it."""


def _is_a_parents(session: Session, case: Case) -> bool:
    """Whether what opened the case reads as a parent's own message."""
    flags = session.exec(
        select(SuggestionRow.flags)
        .join(Message, col(Message.id) == col(SuggestionRow.message_id))
        .where(col(SuggestionRow.case_id) == case.id, col(Message.opened_case))
    ).all()
    return any(Flag.PARENT_COMPLAINT in found for found in flags)


def _contacts(session: Session, practice: Practice, case: Case, rules: FeedbackRules) -> Iterator[tuple[Role, str]]:
    """Whoever opened the case by a message of their own, and whom of the employer officers have asked by email."""
    opening = session.exec(
        select(Message).where(col(Message.case_id) == case.id, col(Message.opened_case)).limit(1)
    ).first()
    if opening is not None and opening.machine_sent is None and opening.sender_key is not None:
        address = _address(session, practice, case, opening.sender_key)
        if address is not None:
            yield Role.REFERRER, address
    if not rules.employer:
        return
    owed = session.exec(
        select(Action.address_key)
        .where(
            col(Action.case_id) == case.id,
            col(Action.owner) == Owner.EMPLOYER,
            col(Action.address_key).is_not(None),
            col(Action.state) != ActionState.CANCELLED,
        )
        .order_by(col(Action.id))
    ).all()
    for key in dict.fromkeys(owed):
        address = _address(session, practice, case, key) if key else None
        if address is not None:
            yield Role.EMPLOYER, address
            return


def _address(session: Session, practice: Practice, case: Case, key: str) -> str | None:
    participant = session.get(Participant, (case.id, key))
    if participant is None:
        return None
    try:
        address: str = practice.vault.open_json(Place("participants", key, "content", case.id), participant.content)
    except (*UNOPENABLE, ValueError):
        return None
    return address


def _may_write(session: Session, practice: Practice, case: Case, address: str, *, now: datetime) -> bool:
    """Never to whom authentication does not believe, to an address of ours, or to one that had such a letter lately."""
    if not practice.advice.can_write_to(address) or practice.is_ours(address) or takes_no_answers(address):
        return False
    key, rules = practice.address_key(address), practice.feedback or FeedbackRules()
    failed = select(Message.id).where(
        col(Message.case_id) == case.id, col(Message.sender_key) == key, col(Message.sender_trust) == "fail"
    )
    if session.exec(failed).first() is not None:
        return False
    # Of those asked, not of letters: one that was withdrawn reached nobody.
    lately = session.exec(
        select(func.count())
        .select_from(Feedback)
        .where(col(Feedback.address_key) == key, col(Feedback.asked_at) > now - timedelta(days=rules.days_between))
    ).one()
    return lately == 0


def _write(session: Session, practice: Practice, case: Case, role: Role, address: str, *, now: datetime) -> int:
    try:
        letter = practice.letters.feedback(reference=case.reference)
    except LetterProblem:
        # Every template is tried at the start. A survey is no reason for a conclusion to fail.
        return 0
    message_id, key = new_id(now), practice.address_key(address)
    row = Feedback(id=new_id(now), case_id=case.id, role=role, address_key=key, asked_at=now)
    content: dict[str, Any] = {
        "to": address,
        "reply_to": practice.reply_address(case.reply_tag),
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
        "in_reply_to": None,
        "references": [],
        "submitted": "auto-generated",
    }
    letter_id = outbox.put(
        session,
        practice.vault,
        key=f"feedback:{case.id}:{role}:{row.id}",
        via=Via.MAIL,
        kind=Kind.FEEDBACK,
        now=now,
        case_id=case.id,
        mail_id=practice.mail_id(message_id),
        sealed_by=case.key_id,
        address_key=key,
        content=content,
        not_before=practice.calendar.next_opening(now),
    )
    if letter_id is None:
        return 0
    session.add(message_of(practice, case, letter, message_id=message_id, to=address, now=now))
    session.add(row)
    detail = {"feedback": row.id, "letter": letter_id}
    audit.record(session, case.id, at=now, actor=str(SYSTEM), act=ASKED, code=role, detail=detail)
    return 1
