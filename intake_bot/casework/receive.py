"""A message finds its place: known already, part of a case, a case of its own, or the unfiled list.

:func:`place` only looks; :func:`file` looks again inside the transaction that writes, because another worker may have been
faster. Uniqueness is the database's (``messages.identity``): of two workers with the same mail one gets an IntegrityError
and finds a duplicate when it tries again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, or_
from sqlalchemy import case as case_when
from sqlmodel import Session, col, func, select

from intake_bot.casework import (
    chasing,
    conversation,
    deadlines,
    desk_queue,
    directory,
    feedback,
    knowing,
    matching,
    undelivered,
)
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.own_messages import message_of
from intake_bot.casework.practice import ACKNOWLEDGEMENT_WINDOW, FOLDING_WINDOW, Practice, takes_no_answers
from intake_bot.casework.references import free_reference
from intake_bot.casework.sectors import sector_of
from intake_bot.casework.text_read import FULL_TEXT, NEW_WORDS, is_shortened
from intake_bot.casework.vocabulary import CLOSED, DOCUMENT_FAULTS, Remark, Status
from storage import audit, outbox, spool
from storage.ids import REFERENCE_ALPHABET, REFERENCE_LENGTH, new_id
from storage.outbox import Kind, Via
from storage.spool import Outcome
from storage.tables import Case, Link, Message, Outgoing, Participant, SuggestionRow
from storage.turns import take_turn
from storage.vault import Place
from triage.facts import adult_names
from triage.names import Name, of_words
from triage.names import parse as parse_name
from triage.no_names import asks_for_no_names
from triage.suggestion import RULES_ALONE, Suggestion
from triage.vocabulary import URGENT_FLAGS


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as casework needs it, whichever edge it came by. No MIME: the edge has read it.

    ``key_id`` is the data key that its raw bytes are sealed under; a case that it opens takes it for its own.
    """

    id: str
    channel: str
    received_at: datetime
    raw_id: str
    key_id: str
    sender: str | None
    sender_name: str
    answer_to: str | None
    """Where an answer goes: Reply-To if given and not an address of ours, else the sender."""
    recipients: tuple[str, ...]
    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    date: str | None
    subject: str
    body_text: str
    full_text: str
    digest: str
    """Hex SHA-256 of what makes two copies the same content."""
    attachments: tuple[dict[str, Any], ...] = ()
    signature_text: str = ""
    """What was taken off the end of ``body_text``: who writes, and how to reach them."""
    documents: tuple[dict[str, str], ...] = ()
    """The words of attached documents, each with its ``filename`` and ``text``."""
    machine_reason: str | None = None
    machine_opens_case: bool = True
    machine_for_a_person: bool = False
    """It answers in its sender's name, so the sender must be a participant."""
    answers: tuple[str, ...] = ()
    """For machine-sent answers: the Message-IDs that they are about."""
    still_trying: bool = False
    """A report that a letter of ours is delayed: whoever sent it goes on trying."""
    null_sender: bool = False
    """It came from the null sender, as reports of mail systems do."""
    addressed_to: tuple[str, ...] = ()
    """The addresses of To and Cc: a redirection on the way changes ``recipients``, and leaves these."""
    reply_to_ours: bool = False
    """Its Reply-To is an address of ours."""
    history_by_us: bool = False
    """The nearest old message under the new words names us as its author."""
    sender_trust: str = "none"
    unreadable: str | None = None
    defects: tuple[str, ...] = ()
    filed_unread: bool = False
    asker: Actor | None = None
    """Who asked in Slack: answered there."""
    after: str | None = None
    """The key of our last word to them on an open case: what they write outside a thread belongs there."""
    no_names: bool = False
    """A no-names consultation, as whoever filled in the form said."""
    employer_knew: str = ""
    """When the employer first knew, as the form said: a day, with or without a time."""


_ALIKE = (
    select(Message)
    .where(or_(col(Message.identity) == bindparam("identity"), col(Message.rfc_key) == bindparam("rfc_key")))
    .order_by(col(Message.received_at))
)
"""The same message, and those with the same Message-ID. Made once: building a question takes longer than asking it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a message belongs. ``case_id`` is set for all but a new case and the unfiled list."""

    outcome: Outcome
    case_id: str | None = None
    same_as: str | None = None
    """For a duplicate or another version: the message that is there already."""
    remarks: tuple[Remark, ...] = ()
    proposed: tuple[tuple[str, str], ...] = ()
    """Cases to propose a link to, each with a code that says why."""


@dataclass(frozen=True, slots=True)
class Filed:
    """What filing did."""

    outcome: Outcome
    message_id: str
    case_id: str | None = None
    reference: str | None = None
    acknowledged: bool = field(default=False)


def place(session: Session, practice: Practice, incoming: Incoming) -> Placement:
    """Find where a message belongs, by invariants 2, 3 and 5. Changes nothing."""
    identity = _identity(practice, incoming)
    rfc_key = practice.mail_key(incoming.message_id) if incoming.message_id is not None else None
    alike = session.exec(_ALIKE, params={"identity": identity, "rfc_key": rfc_key}).all()
    known = next((other for other in alike if other.identity == identity), None)
    if known is not None:
        return Placement(Outcome.DUPLICATE, known.case_id, same_as=known.id)
    if incoming.machine_reason is not None and (not incoming.machine_opens_case or _bounce_tags(practice, incoming)):
        case_id = _case_answered_by_machine(session, practice, incoming)
        return Placement(Outcome.JOINED if case_id else Outcome.UNFILED, case_id)

    remarks: list[Remark] = []
    proposed: dict[str, str] = {}
    for other in alike:
        if other.case_id is None or other.direction != "in":
            continue
        if other.sender_key is not None and other.sender_key == _sender_key(practice, incoming):
            # The same id and sender but other words: an amended copy. Kept as a version, unless the sender's
            # address failed authentication: then anybody may have written it.
            if incoming.sender_trust != "fail":
                return Placement(Outcome.VERSION, other.case_id, same_as=other.id)
            proposed[other.case_id] = "sender_trust_fail"
        else:
            remarks.append(Remark.SAME_ID_OTHER_SENDER)
            proposed[other.case_id] = "same_message_id"
    for case_id in _cases_named(session, practice, incoming):
        if _may_join(session, practice, incoming, case_id):
            return Placement(Outcome.JOINED, case_id)
        proposed.setdefault(case_id, "sender_trust_fail" if incoming.sender_trust == "fail" else "not_a_participant")
    for case_id in _cases_of_the_thread(session, practice, incoming):
        proposed.setdefault(case_id, "same_thread")
    if proposed:
        remarks.append(Remark.PROPOSED_LINK)
    return Placement(Outcome.OPENED, remarks=tuple(dict.fromkeys(remarks)), proposed=tuple(proposed.items()))


def is_for_an_officer(incoming: Incoming) -> bool:
    """Whether somebody's words may be in it: not in what a mail system says of a letter, or for a person who is away."""
    return incoming.machine_opens_case and incoming.machine_reason not in _BOUNCES


def which_text(session: Session, practice: Practice, incoming: Incoming) -> str:
    """Which text triage should read: the new words where what was taken off is a letter of ours or of a case, else all.

    What lies under a first message to us is new to us, whatever it is to its writer: the officer may have been added to a
    conversation, and the allegation stand in what is answered. A subject that begins as a reply's proves nothing.
    """
    if incoming.history_by_us or not is_shortened(incoming.body_text, incoming.full_text, incoming.signature_text):
        return NEW_WORDS
    answered = incoming.in_reply_to or incoming.references[-1:]
    if not answered:
        return FULL_TEXT
    keys = [practice.mail_key(message_id) for message_id in answered]
    held = select(Message.id).where(col(Message.rfc_key).in_(keys), col(Message.case_id).is_not(None)).limit(1)
    return FULL_TEXT if session.exec(held).first() is None else NEW_WORDS


def file(
    session: Session,
    practice: Practice,
    incoming: Incoming,
    suggestion: Suggestion | None,
    *,
    now: datetime,
    read: str = NEW_WORDS,
) -> Filed | None:
    """Put a message where it belongs, with everything that follows from it, in the caller's one transaction.

    For a new case: the case, the message, the suggestion, the triage deadline and its reminders, the acknowledgement, the
    card, the audit entries. ``read`` is which text the suggestion was made from. Gives None where another worker has dealt
    with the same spool row meanwhile.
    """
    # Each step says itself when its rows must be there; looking for them before each question costs more than the answer.
    with session.no_autoflush:
        return _file(session, practice, incoming, suggestion, read=read, now=now)


def _file(
    session: Session, practice: Practice, incoming: Incoming, suggestion: Suggestion | None, *, read: str, now: datetime
) -> Filed | None:
    placement = place(session, practice, incoming)
    if placement.outcome is Outcome.DUPLICATE:
        if not spool.finish(
            session,
            incoming.id,
            Outcome.DUPLICATE,
            now=now,
            message_id=placement.same_as,
            case_id=placement.case_id,
        ):
            return None
        audit.record(
            session,
            placement.case_id or audit.SERVICE_CHAIN,
            at=now,
            actor=str(SYSTEM),
            act="duplicate_received",
            detail={"message": placement.same_as, "arrival": incoming.id},
        )
        return Filed(Outcome.DUPLICATE, placement.same_as or incoming.id, placement.case_id)
    case_id = new_id(now) if placement.outcome is Outcome.OPENED else placement.case_id
    if not spool.finish(session, incoming.id, placement.outcome, now=now, message_id=incoming.id, case_id=case_id):
        return None
    _note_bounce(session, practice, incoming, case_id, now=now)
    match placement.outcome:
        case Outcome.OPENED:
            assert case_id is not None  # noqa: S101 (made above)
            return _open_case(session, practice, incoming, placement, suggestion, read=read, case_id=case_id, now=now)
        case Outcome.JOINED | Outcome.VERSION:
            return _join_case(session, practice, incoming, placement, suggestion, read=read, now=now)
        case _:
            _add_message(session, practice, incoming, None)
            audit.record(
                session,
                audit.SERVICE_CHAIN,
                at=now,
                actor=str(SYSTEM),
                act="message_unfiled",
                code=incoming.machine_reason,
                detail={"message": incoming.id},
            )
            # The first of an hour at once, the others together: somebody must look, since a consultation may be among them.
            notice = Notice(NoticeKind.UNFILED, code=incoming.machine_reason)
            if not desk_queue.post_notice(session, practice, notice, key=f"unfiled:{now:%Y-%m-%dT%H}", now=now):
                desk_queue.fold_notice(session, practice, notice, key="unfiled", now=now)
            return Filed(Outcome.UNFILED, incoming.id)


def _open_case(
    session: Session,
    practice: Practice,
    incoming: Incoming,
    placement: Placement,
    suggestion: Suggestion | None,
    *,
    read: str,
    case_id: str,
    now: datetime,
) -> Filed:
    # Another node may be at work for the same sender: how much one is answered and shown is counted below.
    people = {incoming.answer_to and practice.address_key(incoming.answer_to), _sender_key(practice, incoming)}
    take_turn(session, {key for key in people if key})
    remarks = [*placement.remarks, *_remarks(incoming, suggestion)]
    # An address that failed authentication may be anybody's, and names nobody.
    sender = None if incoming.sender_trust == "fail" else incoming.sender
    known = directory.look_up(session, practice.directory, sender)
    if known is not None and known.elsewhere:
        remarks.append(Remark.OTHER_AUTHORITY)
    told_us = incoming.channel == PHONE and incoming.answer_to is None
    refusal = None if incoming.asker or told_us else _no_acknowledgement(session, practice, incoming, now=now)
    sender_key = _sender_key(practice, incoming)
    fold = sender_key is not None and _beyond_the_usual(session, practice, incoming, sender_key)
    case = Case(
        id=case_id,
        key_id=incoming.key_id,
        reference=free_reference(session, practice, incoming.received_at),
        reply_tag=practice.vault.tag("reply", case_id),
        status=Status.NEW,
        channel=incoming.channel,
        received_at=incoming.received_at,
        organisation=known.organisation if known else None,
        sector=(known.sector if known else None) or sector_of(incoming.sender),
        elsewhere=known.elsewhere if known else None,
        no_names=incoming.no_names or asks_for_no_names(f"{incoming.subject}\n{incoming.body_text}"),
        category=suggestion.category if suggestion else None,
        threshold=suggestion.threshold if suggestion else None,
        category_by="suggestion" if suggestion else None,
        employer_knew_at=_employer_knew(practice, incoming),
        remarks=[str(remark) for remark in (*remarks, refusal, Remark.FOLDED if fold else None) if remark is not None],
    )
    session.add(case)
    session.flush()
    _add_message(session, practice, incoming, case, opened=True)
    _add_participant(session, practice, case, incoming)
    if suggestion is not None:
        add_suggestion(session, practice, case, incoming.id, suggestion, read=read, now=now)
    for other_id, why in placement.proposed:
        session.add(Link(case_id=case.id, other_case_id=other_id, why=why, created_at=now))
    urgent = suggestion is not None and not URGENT_FLAGS.isdisjoint(suggestion.flags)
    due_at = deadlines.start_first(session, practice, case, urgent=urgent, now=now).due_at
    opened = audit.Act(
        case.id,
        "case_opened",
        incoming.channel,
        {"message": incoming.id, "received_at": incoming.received_at.isoformat()},
    )
    if incoming.asker is not None:
        audit.record_each(session, [opened], at=now, actor=str(SYSTEM))
        _acknowledge_there(session, practice, case, incoming.asker, suggestion, due_at=due_at, now=now)
    elif told_us or refusal is not None:
        code = str(refusal) if refusal else "told_in_person"
        audit.record_each(
            session, [opened, audit.Act(case.id, "not_acknowledged", code, {})], at=now, actor=str(SYSTEM)
        )
    else:
        letter_id = _acknowledge(session, practice, case, incoming, suggestion, due_at=due_at, now=now)
        queued = audit.Act(case.id, "acknowledgement_queued", None, {"message": letter_id})
        audit.record_each(session, [opened, queued], at=now, actor=str(SYSTEM))
    if refusal is Remark.NOT_ACKNOWLEDGED_CAP and incoming.answer_to is not None:
        notice = Notice(NoticeKind.CAPPED, reference=case.reference)
        key = f"capped:{practice.address_key(incoming.answer_to)}:{now:%Y-%m-%d}"
        desk_queue.post_notice(session, practice, notice, key=key, now=now)
    named = _named(incoming)
    matching.note(session, practice, case, named, source=matching.TEXT, now=now)
    matching.look(session, practice, case, named=named)
    if fold and sender_key is not None:
        desk_queue.fold_card(session, practice, sender_key, now=now)
    else:
        desk_queue.post_card(session, practice, case, now=now)
    return Filed(Outcome.OPENED, incoming.id, case.id, case.reference, acknowledged=refusal is None)


def _employer_knew(practice: Practice, incoming: Incoming) -> datetime | None:
    """None for what names no day, or one ahead: the words stand in the message."""
    try:
        knew = knowing.moment(incoming.employer_knew, practice.calendar)
    except knowing.NoMoment:
        return None
    local = practice.calendar.local
    return knew if local(knew).date() <= local(incoming.received_at).date() else None


def _named(incoming: Incoming) -> list[Name]:
    """Whom the message may be about, as it is written: each name once, in the order in which they come."""
    text = incoming.full_text[:MOST_LOOKED_AT]
    own = parse_name(incoming.sender_name or "")
    found = (of_words(words) for words in adult_names(text, incoming.subject, incoming.sender))
    different = dict.fromkeys(name for name in found if name is not None and name != own)
    return list(different)[: matching.MOST_NAMES]


MOST_LOOKED_AT = 20_000
"""Characters of a message in which names are looked for."""


def _remarks(incoming: Incoming, suggestion: Suggestion | None) -> Iterator[Remark]:
    """What an officer should know of how the message came and how far it was read."""
    if incoming.sender_trust == "fail":
        yield Remark.SENDER_TRUST_FAIL
    if incoming.reply_to_ours:
        yield Remark.REPLY_TO_OURS
    if incoming.unreadable:
        yield Remark.UNREADABLE
    elif DOCUMENT_FAULTS.intersection(incoming.defects):
        yield Remark.DOCUMENT_UNREAD
    if incoming.filed_unread:
        yield Remark.FILED_UNREAD
    elif suggestion is None:
        yield Remark.NO_SUGGESTION
    elif suggestion.engine == RULES_ALONE:
        yield Remark.RULES_ALONE


_OPENED = (
    select(func.count())
    .select_from(Message)
    .where(
        col(Message.sender_key) == bindparam("sender_key"),
        col(Message.sender_trust) == bindparam("sender_trust"),
        col(Message.opened_case),
        col(Message.received_at) > bindparam("since"),
    )
)


def _beyond_the_usual(session: Session, practice: Practice, incoming: Incoming, sender_key: str) -> bool:
    """Whether the sender has opened as many cases within the hour as get cards of their own, before this one.

    Counted by what authentication found, too: a forger's flood must not fold the cards of the sender whose name it bears.
    """
    facts = {"sender_key": sender_key, "sender_trust": incoming.sender_trust}
    opened = session.exec(_OPENED, params=facts | {"since": incoming.received_at - FOLDING_WINDOW}).one()
    return opened >= practice.sender_cards_per_hour


def _join_case(
    session: Session,
    practice: Practice,
    incoming: Incoming,
    placement: Placement,
    suggestion: Suggestion | None,
    *,
    read: str,
    now: datetime,
) -> Filed:
    case = session.get_one(Case, placement.case_id, with_for_update=True)
    version_of = placement.same_as if placement.outcome is Outcome.VERSION else None
    _add_message(session, practice, incoming, case, version_of=version_of)
    was_urgent = deadlines.is_urgent(session, case.id)
    if suggestion is not None:
        add_suggestion(session, practice, case, incoming.id, suggestion, read=read, now=now)
        if suggestion.engine == RULES_ALONE and Remark.RULES_ALONE not in case.remarks:
            case.remarks = [*case.remarks, Remark.RULES_ALONE.value]
    urgent = tuple(flag for flag in suggestion.flags if flag in URGENT_FLAGS) if suggestion else ()
    if urgent and not was_urgent:
        deadlines.hurry(session, practice, case, now=now)
    audit.record(
        session,
        case.id,
        at=now,
        actor=str(SYSTEM),
        act="message_version" if version_of else "message_joined",
        code=incoming.machine_reason,
        detail={"message": incoming.id} | ({"version_of": version_of} if version_of else {}),
    )
    if incoming.machine_reason is None:
        chasing.answered(session, case, _sender_key(practice, incoming), now=now)
    ticks = not version_of and not urgent and _is_ticks(session, practice, case, incoming, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    if is_for_an_officer(incoming) and not ticks:
        # A card that changes rings no bell, and what has come may be worse than what came first.
        notice = Notice(
            NoticeKind.JOINED,
            reference=case.reference,
            owner=Actor.parse(case.officer) if case.officer else None,
            code="concluded" if case.status in CLOSED else "version" if version_of else "joined",
            urgent=urgent,
        )
        desk_queue.post_notice(session, practice, notice, key=f"joined:{incoming.id}", now=now, case_id=case.id)
    return Filed(placement.outcome, incoming.id, case.id, case.reference)


def _is_ticks(session: Session, practice: Practice, case: Case, incoming: Incoming, *, now: datetime) -> bool:
    """Keep what the message answers of our survey; whether it says nothing else, so that nobody need be told of it."""
    if incoming.machine_reason is not None or incoming.unreadable is not None:
        return False
    ticks = feedback.take(
        session,
        practice,
        case,
        sender_key=_sender_key(practice, incoming),
        sender_name=incoming.sender_name,
        message_id=incoming.id,
        subject=incoming.subject,
        full_text=incoming.full_text,
        body_text=incoming.body_text,
        signature_text=incoming.signature_text,
        now=now,
    )
    return ticks and not incoming.attachments and not incoming.defects


def _identity(practice: Practice, incoming: Incoming) -> str:
    """What "the same message" means: id, sender and content; without an id, sender, Date and content."""
    if incoming.filed_unread:
        parts: Sequence[str | None] = ("unread", incoming.raw_id)
    elif incoming.message_id is not None:
        parts = ("id", incoming.message_id, incoming.sender, incoming.digest)
    else:
        parts = ("date", incoming.date, incoming.sender, incoming.digest)
    return practice.vault.blind("identity", "\x00".join(part or "" for part in parts))


def _sender_key(practice: Practice, incoming: Incoming) -> str | None:
    return practice.address_key(incoming.sender) if incoming.sender else None


def _cases_named(session: Session, practice: Practice, incoming: Incoming) -> list[str]:
    """Cases that the message names: by reply address first, then by the Message-IDs it answers, nearest first."""
    found: dict[str, None] = {}
    letter = outbox.letter_of(session, bounce_tags=_bounce_tags(practice, incoming), mail_ids=())
    if letter is not None and letter.case_id is not None:
        found[letter.case_id] = None
    tags = _reply_tags(practice, incoming)
    if tags:
        for case_id in session.exec(select(Case.id).where(col(Case.reply_tag).in_(tags))):
            found[case_id] = None
    keys = _answered_keys(practice, incoming)
    if keys:
        rows = session.exec(
            select(Message.rfc_key, Message.case_id).where(
                col(Message.rfc_key).in_(keys), col(Message.case_id).is_not(None)
            )
        ).all()
        for key in keys:
            for rfc_key, holder in rows:
                if rfc_key == key and holder is not None:
                    found[holder] = None
    return _followed(session, found) if found else []


def _followed(session: Session, case_ids: Collection[str]) -> list[str]:
    """The same cases, each that was merged into another as that other one, and so on to the last."""
    followed = list(dict.fromkeys(case_ids))
    for _ in range(MOST_MERGES):
        merged = select(Case.id, Case.merged_into).where(col(Case.id).in_(followed), col(Case.merged_into).is_not(None))
        into = dict(session.exec(merged).all())
        if not into:
            break
        followed = list(dict.fromkeys(into.get(case_id) or case_id for case_id in followed))
    return followed


def _answered_keys(practice: Practice, incoming: Incoming) -> list[str]:
    """The messages that this one says it answers, nearest first."""
    answered = [*incoming.in_reply_to, *reversed(incoming.references)]
    last = [incoming.after] if incoming.after else []
    return list(dict.fromkeys([*(practice.mail_key(message_id) for message_id in answered), *last]))


def _root_key(practice: Practice, incoming: Incoming) -> str | None:
    root = (*incoming.references[:1], *incoming.in_reply_to[:1])
    return practice.mail_key(root[0]) if root else None


def _cases_of_the_thread(session: Session, practice: Practice, incoming: Incoming) -> Sequence[str]:
    """The newest cases with an answer to a message that this one answers too, on which its sender takes part.

    The message that both answer may never have come to us. It is a proposal: a thread may have gone on to another child.
    """
    key = _sender_key(practice, incoming)
    keys = _answered_keys(practice, incoming)
    if key is None or not keys or incoming.sender_trust == "fail":
        return ()
    found = session.exec(
        select(Message.case_id)
        .join(Participant, and_(col(Participant.case_id) == col(Message.case_id), col(Participant.address_key) == key))
        .where(col(Message.root_key).in_(keys))
        .group_by(col(Message.case_id))
        .order_by(func.max(col(Message.received_at)).desc(), col(Message.case_id).desc())
        .limit(MOST_SIBLINGS)
    )
    return [case_id for case_id in found if case_id is not None]


MOST_MERGES = 10
"""How far a chain of merged cases is followed: one leads to the next, and none in a circle."""
MOST_SIBLINGS = 10
"""Links proposed for one thread: each sibling has links to those before it."""


def _may_join(session: Session, practice: Practice, incoming: Incoming, case_id: str) -> bool:
    key = _sender_key(practice, incoming)
    return key is not None and incoming.sender_trust != "fail" and session.get(Participant, (case_id, key)) is not None


def _case_answered_by_machine(session: Session, practice: Practice, incoming: Incoming) -> str | None:
    """The case that a bounce or an out-of-office answers: it must name what only our own mail could tell it.

    A mail system that reports is no participant. It joins by the letter's own address, which stands in nothing but that
    letter's envelope, whatever authentication says of it (reports are often unsigned); or by what everybody in a reply to
    all can see, the case's reply address or a Message-ID of *ours*, if it came from the null sender as reports do. Anything
    else that a machine sends is sent for somebody, who must be a participant.
    """
    letter = outbox.letter_of(session, bounce_tags=_bounce_tags(practice, incoming), mail_ids=())
    if letter is not None and letter.case_id is not None and incoming.machine_reason in _BOUNCES:
        return letter.case_id
    if incoming.sender_trust == "fail":
        return None
    case_id = _case_named_to_machine(session, practice, incoming)
    if case_id is None:
        return None
    if incoming.machine_reason in _BOUNCES and not incoming.machine_for_a_person:
        return case_id if incoming.null_sender else None
    return case_id if _may_join(session, practice, incoming, case_id) else None


def _reply_tags(practice: Practice, incoming: Incoming) -> list[str]:
    addresses = (*incoming.recipients, *incoming.addressed_to)
    return [tag for address in addresses if (tag := practice.reply_tag_of(address))]


def _bounce_tags(practice: Practice, incoming: Incoming) -> list[str]:
    return [tag for recipient in incoming.recipients if (tag := practice.bounce_tag_of(recipient))]


def _note_bounce(
    session: Session, practice: Practice, incoming: Incoming, case_id: str | None, *, now: datetime
) -> None:
    """Where the message says that a letter of ours did not arrive: on the letter's row, on the record, to the desk.

    It must be sent to the letter's own address or return its Message-ID, both of which only our letter could tell it; or it
    has come to its case's address, and then it is about the newest letter.
    """
    if incoming.machine_reason not in _BOUNCES or incoming.still_trying:
        return
    tags = _bounce_tags(practice, incoming)
    if incoming.machine_reason == _NULL_SENDER and not tags:
        return
    letter = outbox.letter_of(session, bounce_tags=tags, mail_ids=())
    if letter is None and incoming.null_sender and incoming.sender_trust != "fail":
        letter = outbox.letter_of(session, bounce_tags=(), mail_ids=incoming.answers)
    if letter is None and case_id is not None:
        letter = outbox.newest_letter(session, case_id)
    if letter is not None and outbox.bounced(session, letter, now=now) and letter.kind != Kind.FEEDBACK:
        undelivered.report(session, practice, letter_id=letter.id, case_id=letter.case_id, code=outbox.BOUNCED, now=now)


_NULL_SENDER = "null_sender"
_BOUNCES = frozenset({"dsn", "bounce", "mailer_daemon", _NULL_SENDER})
"""Reasons by which a machine's message says that something was not delivered. What comes from the null sender to a letter's
own address without saying what it is says so too: nobody else knows that address, and a vacation reply is marked."""


def _case_named_to_machine(session: Session, practice: Practice, incoming: Incoming) -> str | None:
    letter = outbox.letter_of(session, bounce_tags=_bounce_tags(practice, incoming), mail_ids=())
    if letter is not None and letter.case_id is not None:
        return letter.case_id
    tags = _reply_tags(practice, incoming)
    if tags:
        case_id = session.exec(select(Case.id).where(col(Case.reply_tag).in_(tags))).first()
        if case_id is not None:
            return case_id
    keys = [practice.mail_key(message_id) for message_id in incoming.answers]
    if not keys:
        return None
    return session.exec(
        select(Message.case_id).where(
            col(Message.rfc_key).in_(keys), col(Message.direction) == "out", col(Message.case_id).is_not(None)
        )
    ).first()


def _add_message(
    session: Session,
    practice: Practice,
    incoming: Incoming,
    case: Case | None,
    *,
    opened: bool = False,
    version_of: str | None = None,
) -> None:
    case_id = case.id if case else None
    content = {
        "message_id": incoming.message_id,
        "in_reply_to": incoming.in_reply_to,
        "references": incoming.references,
        "date": incoming.date,
        "sender": incoming.sender,
        "sender_name": incoming.sender_name,
        "answer_to": incoming.answer_to,
        "recipients": incoming.recipients,
        "subject": incoming.subject,
        "body_text": incoming.body_text,
        "full_text": incoming.full_text,
        "attachments": incoming.attachments,
        "signature_text": incoming.signature_text,
        "documents": incoming.documents,
        "defects": incoming.defects,
        "unreadable": incoming.unreadable,
    }
    session.add(
        Message(
            id=incoming.id,
            case_id=case_id,
            channel=incoming.channel,
            direction="in",
            received_at=incoming.received_at,
            identity=_identity(practice, incoming),
            rfc_key=practice.mail_key(incoming.message_id) if incoming.message_id else None,
            root_key=_root_key(practice, incoming),
            sender_key=_sender_key(practice, incoming),
            opened_case=opened,
            machine_sent=incoming.machine_reason,
            sender_trust=incoming.sender_trust,
            version_of=version_of,
            parked=incoming.filed_unread,
            raw_id=incoming.raw_id,
            content=practice.vault.seal_json(
                Place("messages", incoming.id, "content", case_id),
                content,
                key=case.key_id if case else incoming.key_id,
            ),
        )
    )
    session.flush()


def _add_participant(session: Session, practice: Practice, case: Case, incoming: Incoming) -> None:
    """Whoever wrote may add to the case. Reply-To and Cc make nobody a participant: they may be anyone."""
    if incoming.sender is None or incoming.machine_reason is not None:
        return
    key = practice.address_key(incoming.sender)
    session.add(
        Participant(
            case_id=case.id,
            address_key=key,
            source="wrote",
            added_at=incoming.received_at,
            content=practice.vault.seal_json(
                Place("participants", key, "content", case.id), incoming.sender, key=case.key_id
            ),
        )
    )


def add_suggestion(
    session: Session,
    practice: Practice,
    case: Case,
    message_id: str,
    suggestion: Suggestion,
    *,
    read: str,
    now: datetime,
) -> None:
    """Keep what triage made of a message of the case. ``read`` is which of its texts that was made from."""
    row_id = new_id(now)
    session.add(
        SuggestionRow(
            id=row_id,
            case_id=case.id,
            message_id=message_id,
            created_at=now,
            engine=suggestion.engine,
            version=suggestion.version,
            category=suggestion.category,
            category_confidence=suggestion.category_confidence,
            threshold=suggestion.threshold,
            threshold_confidence=suggestion.threshold_confidence,
            flags=[str(flag) for flag in suggestion.flags],
            missing=[str(datum) for datum in suggestion.missing],
            content=practice.vault.seal_json(
                Place("suggestions", row_id, "content", case.id), suggestion.to_json() | {"read": read}, key=case.key_id
            ),
        )
    )


def _no_acknowledgement(session: Session, practice: Practice, incoming: Incoming, *, now: datetime) -> Remark | None:
    """Why no acknowledgement may go out, or None."""
    if incoming.machine_reason is not None:
        return Remark.NOT_ACKNOWLEDGED_MACHINE
    address = incoming.answer_to
    if address is None or practice.is_ours(address):
        return Remark.NOT_ACKNOWLEDGED_NO_ADDRESS
    if takes_no_answers(address):
        return Remark.NOT_ACKNOWLEDGED_NO_REPLY
    in_all, answered, answered_the_same = session.exec(
        _ANSWERED,
        params={
            "sender_key": _sender_key(practice, incoming),
            "sender_trust": incoming.sender_trust,
            "words_key": _words_key(practice, incoming),
            "address_key": practice.address_key(address),
            "since": now - ACKNOWLEDGEMENT_WINDOW,
        },
    ).one()
    most = practice.acknowledgements_per_address
    flooded = in_all >= most * OTHERS_FACTOR and incoming.sender_trust != "pass"
    if answered >= most or answered_the_same >= practice.acknowledgements_same_words or flooded:
        return Remark.NOT_ACKNOWLEDGED_CAP
    return None


_THEIRS = and_(
    col(Message.sender_key) == bindparam("sender_key"), col(Message.sender_trust) == bindparam("sender_trust")
)
# Counted for the sender and what authentication found of it, so that a forger cannot use up the answers of whoever is
# forged; and for the address in all, unless the sender is proven.
_ANSWERED = (
    select(
        func.count(),
        func.count(case_when((_THEIRS, 1))),
        func.count(case_when((and_(_THEIRS, col(Outgoing.words_key) == bindparam("words_key")), 1))),
    )
    .select_from(Outgoing)
    .join(Message, and_(col(Message.case_id) == col(Outgoing.case_id), col(Message.opened_case)))
    .where(
        col(Outgoing.address_key) == bindparam("address_key"),
        col(Outgoing.kind) == Kind.ACKNOWLEDGEMENT,
        col(Outgoing.created_at) > bindparam("since"),
    )
)
OTHERS_FACTOR = 3
"""How many times the answers for one sender go to one address in all, whoever asks for them in its name."""
_LETTERS = re.compile(r"[^\W\d_]+")


def _words_key(practice: Practice, incoming: Incoming) -> str:
    """The same for messages that differ in digits, case, spacing and our own reference only, as a robot's do."""
    own = re.compile(
        rf"{re.escape(practice.reference_prefix)}-\d\d-[{REFERENCE_ALPHABET}]{{{REFERENCE_LENGTH}}}", re.IGNORECASE
    )
    words = "".join(_LETTERS.findall(own.sub("", incoming.body_text).lower()))
    files = sorted(str(attachment["sha256"]) for attachment in incoming.attachments)
    return practice.vault.blind(
        "words", hashlib.sha256("\0".join((words, *files)).encode("utf-8", "replace")).hexdigest()
    )


PHONE = "phone"
"""The channel of what was told to an officer."""


def _acknowledge_there(
    session: Session,
    practice: Practice,
    case: Case,
    asker: Actor,
    suggestion: Suggestion | None,
    *,
    due_at: datetime,
    now: datetime,
) -> None:
    """Acknowledge in Slack, with the same facts as a letter."""
    words = practice.letters.acknowledgement_in_slack(
        reference=case.reference,
        received_at=case.received_at,
        answer_by=practice.calendar.answer_by(due_at),
        missing=suggestion.missing if suggestion else None,
        no_names=case.no_names,
    )
    key = f"acknowledgement:{case.id}"
    conversation.say(session, practice, case, asker, words, act="acknowledged", key=key, now=now, form=True)
    audit.record(session, case.id, at=now, actor=str(SYSTEM), act="acknowledgement_queued")


def _acknowledge(
    session: Session,
    practice: Practice,
    case: Case,
    incoming: Incoming,
    suggestion: Suggestion | None,
    *,
    due_at: datetime,
    now: datetime,
) -> str:
    """The id of the letter, which is also a message of the case."""
    assert incoming.answer_to is not None  # noqa: S101 (_no_acknowledgement has seen to it)
    letter = practice.letters.acknowledgement(
        reference=case.reference,
        received_at=incoming.received_at,
        answer_by=practice.calendar.answer_by(due_at),
        missing=suggestion.missing if suggestion else None,
        no_names=case.no_names,
        unreadable=incoming.unreadable is not None,
    )
    message_id = new_id(now)
    mail_id = practice.mail_id(message_id)
    references = [*incoming.references, *([incoming.message_id] if incoming.message_id else [])]
    reply_address = practice.reply_address(case.reply_tag)
    outbox.put(
        session,
        practice.vault,
        key=f"acknowledgement:{case.id}",
        via=Via.MAIL,
        kind=Kind.ACKNOWLEDGEMENT,
        now=now,
        case_id=case.id,
        mail_id=mail_id,
        sealed_by=case.key_id,
        address_key=practice.address_key(incoming.answer_to),
        words_key=_words_key(practice, incoming),
        content={
            "to": incoming.answer_to,
            "reply_to": reply_address,
            "subject": letter.subject,
            "text": letter.text,
            "html": letter.html,
            "in_reply_to": incoming.message_id,
            "references": references,
        },
    )
    session.add(message_of(practice, case, letter, message_id=message_id, to=incoming.answer_to, now=now))
    return message_id
