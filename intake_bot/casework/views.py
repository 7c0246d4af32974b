"""What is read of a case: the card for the duty channel, the whole for one officer, and the JSON that others rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import Session, col, func, select

from intake_bot.casework import deadlines, matching, survey
from intake_bot.casework.desk import Actor, CaseCard, CaseView, DecisionView, DueTime, MessageView
from intake_bot.casework.history import history
from intake_bot.casework.letters import say_time
from intake_bot.casework.plan import of_what
from intake_bot.casework.practice import Practice
from intake_bot.casework.text_read import FULL_TEXT, NEW_WORDS, Parts, located, parts_read, text_read
from intake_bot.casework.vocabulary import (
    ActionState,
    DeadlineState,
    DecisionKind,
    Escalation,
    Remark,
    ReminderState,
    SignOff,
    Status,
)
from storage import audit, outbox, spool
from storage.claims import PARKED
from storage.spool import waiting_states
from storage.tables import (
    LAST_SLACK_PING,
    Action,
    AuditEntry,
    Case,
    Chaser,
    Deadline,
    DecisionRow,
    Feedback,
    Link,
    Meeting,
    Message,
    Meta,
    NoteRow,
    Outgoing,
    Pause,
    Regulator,
    Reminder,
    Spooled,
    Strand,
    SuggestionRow,
    rows_of,
)
from storage.vault import Place
from triage.suggestion import RULES_ALONE, Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

_PURGED: dict[str, Any] = {
    "message_id": None,
    "subject": None,
    "sender": None,
    "body_text": None,
    "full_text": None,
    "attachments": [],
    "recipients": [],
}
"""What a message says whose content a purge has emptied."""


def find(session: Session, text: str) -> Case | None:
    """A case by its reference (any letter case) or its id."""
    wanted = text.strip().upper()
    return session.exec(select(Case).where((col(Case.reference) == wanted) | (col(Case.id) == wanted))).one_or_none()


_SUGGESTIONS = (
    select(SuggestionRow, Message.opened_case)
    .join(Message, col(Message.id) == col(SuggestionRow.message_id))
    .where(col(SuggestionRow.case_id) == bindparam("case_id"))
    .order_by(col(SuggestionRow.id))
)
_DECISIONS = select(DecisionRow).where(col(DecisionRow.case_id) == bindparam("case_id"))
_LATEST = _DECISIONS.order_by(col(DecisionRow.id).desc()).limit(1)


def suggestions(session: Session, case_id: str) -> tuple[SuggestionRow | None, list[SuggestionRow]]:
    """The suggestion that stands, made from the message that opened the case, and those of what joined it, oldest first.

    What joins is triaged for its flags: it may make a case more urgent, and changes no officer's view of the first. Of a
    message that was read again the last suggestion counts, and one by the rules alone never before a full one.
    """
    rows = session.exec(_SUGGESTIONS, params={"case_id": case_id}).all()
    in_order = sorted(rows, key=lambda pair: pair[0].engine != RULES_ALONE)
    of_message = {row.message_id: (row, opened) for row, opened in in_order}
    standing = sorted(of_message.values(), key=lambda pair: pair[0].id)
    opening = [row for row, opened in standing if opened]
    return opening[-1] if opening else None, [row for row, opened in standing if not opened]


@dataclass(frozen=True, slots=True)
class TextRead:
    """What triage is given of a message; ``read`` names which of its texts that is."""

    text: str
    subject: str
    sender: str | None
    read: str


def text_for_triage(practice: Practice, message: Message, suggestion: SuggestionRow | None) -> TextRead | None:
    """What a suggestion was made from, or would be where there is none. None where the content is destroyed, or unread."""
    if not message.content:
        return None
    content = _content(practice, message)
    if message.parked or content.get("unreadable"):
        return None
    read = _text_read_for(practice, suggestion) if suggestion else NEW_WORDS
    return TextRead(text_read(*_parts(content, read)), content["subject"] or "", content["sender"], read)


def standing_decision(session: Session, case: Case) -> DecisionRow | None:
    """The decision that stands; None where none was made, or the last one was opened again."""
    return latest_decision(session, case.id) if case.decision is not None else None


def latest_decision(session: Session, case_id: str) -> DecisionRow | None:
    """The last decision that was made, whether it still stands or not."""
    return session.exec(_LATEST, params={"case_id": case_id}).first()


def card(session: Session, case: Case) -> CaseCard:
    """The case at one glance, without content. Its flags are those of all that came."""
    suggestion, later = suggestions(session, case.id)
    flags = {value for row in (*([suggestion] if suggestion else []), *later) for value in row.flags}
    decision = standing_decision(session, case)
    arrived = (col(Message.case_id) == case.id, col(Message.direction) == "in")
    return CaseCard(
        case_id=case.id,
        reference=case.reference,
        revision=case.revision,
        status=Status(case.status),
        channel=case.channel,
        received_at=case.received_at,
        sector=case.sector,
        officer=Actor.parse(case.officer) if case.officer else None,
        category=Category(suggestion.category) if suggestion else None,
        category_confidence=suggestion.category_confidence if suggestion else 0.0,
        threshold=Threshold(suggestion.threshold) if suggestion else None,
        threshold_confidence=suggestion.threshold_confidence if suggestion else 0.0,
        flags=tuple(flag for flag in Flag if flag in flags),
        missing=tuple(MissingDatum(value) for value in suggestion.missing) if suggestion else (),
        due=tuple(
            DueTime(row.target, row.due_at, DeadlineState(row.state), row.met_at)
            for row in deadlines.of_case(session, case.id)
        ),
        decision=DecisionKind(decision.decision) if decision else None,
        decided_by=Actor.parse(decision.by) if decision else None,
        remarks=tuple(Remark(value) for value in case.remarks),
        messages=session.exec(select(func.count()).select_from(Message).where(*arrived)).one(),
        no_names=case.no_names,
        restricted=case.restricted,
        sign_off=SignOff(case.sign_off) if case.sign_off else None,
        escalated=Escalation(case.escalated) if case.escalated else None,
        transferred_to=case.transferred_to,
        actions_open=session.exec(
            select(func.count())
            .select_from(Action)
            .where(col(Action.case_id) == case.id, col(Action.state) == ActionState.OPEN)
        ).one(),
        suggestion_version=suggestion.version if suggestion else None,
        organisation=case.organisation,
        sender_trust=session.exec(
            select(Message.sender_trust).where(col(Message.case_id) == case.id, col(Message.opened_case))
        ).first()
        or "none",
    )


def whole(session: Session, practice: Practice, case: Case) -> CaseView:
    """The case with its content, for one officer. The caller records the access. Of a purged case it says when."""
    purged = f"Purged on {say_time(case.purged_at, practice.calendar.zone)}." if case.purged_at else ""
    suggestion, later = suggestions(session, case.id)
    made_from = {row.message_id: row for row in (*later, *([suggestion] if suggestion else []))}
    decision = standing_decision(session, case)
    messages = []
    for row in _messages_of(session, case.id):
        content = _content(practice, row)
        documents = content.get("documents", ())
        made = made_from.get(row.id)
        read = _text_read_for(practice, made) if made else NEW_WORDS
        messages.append(
            MessageView(
                id=row.id,
                direction=row.direction,
                sender="purged" if purged else _sender_line(content),
                sender_trust=row.sender_trust,
                machine_sent=row.machine_sent,
                received_at=row.received_at,
                subject=content["subject"] or "",
                text=purged or text_read(*_parts(content, read)),
                full_text=purged or text_read(content["full_text"], "", documents),
                attachments=tuple(attachment["filename"] for attachment in content["attachments"]),
                is_evidence_text=made is not None and made is suggestion,
                read_whole=read == FULL_TEXT,
                suggestion=opened_suggestion(practice, made) if made is not None and made is not suggestion else None,
                recipients=tuple(content["recipients"]),
            )
        )
    links = session.exec(
        select(Case.reference)
        .join(Link, col(Link.other_case_id) == col(Case.id))
        .where(col(Link.case_id) == case.id, col(Link.state) == "proposed")
    ).all()
    return CaseView(
        card=card(session, case),
        messages=tuple(messages),
        suggestion=opened_suggestion(practice, suggestion) if suggestion else None,
        decision=_decision_view(practice, decision, purged) if decision else None,
        explanations=(
            *((f"{purged} The content was destroyed; the coded facts are kept.",) if purged else ()),
            *(sentence for row in deadlines.of_case(session, case.id) for sentence in deadlines.explained(row)),
        ),
        proposed_links=tuple(links),
        record=tuple(_record(session, practice, case)),
        earlier=tuple(_earlier(session, practice, case)),
        history=tuple(history(session, case, practice.calendar.zone)),
    )


def _earlier(session: Session, practice: Practice, case: Case) -> Iterator[str]:
    """Earlier contacts, in sentences without a name."""
    if case.purged_at is not None:
        return
    zone = practice.calendar.zone
    for one in matching.earlier(session, practice, case):
        what = one.reference or "A restricted case (ask the manager)"
        ended = ", ".join(word.replace("_", " ") for word in (one.decision, one.outcome) if word)
        yield f"{what}, {say_time(one.received_at, zone)}{f' ({ended})' if ended else ''}: {one.sure:.0%}, {one.why}"
    about = matching.setting(session, case)
    if about is not None and about.contacts > 1:
        which = f": {', '.join(about.references)}" if about.references else ""
        yield f"{about.contacts} contacts about this setting in {matching.PATTERN_DAYS} days, this one among them{which}"


def status_json(session: Session, *, now: datetime) -> dict[str, Any]:
    """Counts of what waits."""

    def count(statement: Any) -> int:
        return int(session.exec(statement).one())

    ping = session.get(Meta, LAST_SLACK_PING)
    return {
        "spool": count(select(func.count()).select_from(Spooled).where(col(Spooled.state).in_(waiting_states()))),
        "outbox": count(select(func.count()).select_from(Outgoing).where(col(Outgoing.state).in_(waiting_states()))),
        "reminders_due": count(
            select(func.count())
            .select_from(Reminder)
            .where(col(Reminder.state) == ReminderState.WAITING, col(Reminder.due_at) <= now)
        ),
        "parked": count(select(func.count()).select_from(Spooled).where(col(Spooled.state) == PARKED)),
        "parked_outgoing": count(select(func.count()).select_from(Outgoing).where(col(Outgoing.state) == PARKED)),
        "unfiled": count(select(func.count()).select_from(Message).where(col(Message.case_id).is_(None))),
        "last_slack_ping": rfc3339(datetime.fromisoformat(ping.value)) if ping else None,
    }


def busy(session: Session, *, now: datetime) -> bool:
    """Whether anything accepted is not dealt with yet, or anything due not delivered. What is parked is neither."""
    accepted = select(Spooled.id).where(col(Spooled.state).in_(waiting_states()))
    due = select(Outgoing.id).where(
        col(Outgoing.state).in_(waiting_states()),
        (col(Outgoing.available_at) <= now) | col(Outgoing.lease_by).is_not(None),
    )
    return session.exec(accepted).first() is not None or session.exec(due).first() is not None


def case_json(case: Case) -> dict[str, Any]:
    """A case in the published shape; the content-free columns only."""
    return {
        "case": case.reference,
        "id": case.id,
        "status": case.status,
        "channel": case.channel,
        "received_at": rfc3339(case.received_at),
        "organisation": case.organisation,
        "other_authority": case.elsewhere,
        "sector": case.sector,
        "officer": case.officer,
        "no_names": case.no_names,
        "restricted": case.restricted,
        "category": case.category,
        "threshold": case.threshold,
        "category_by": case.category_by,
        "decision": case.decision,
        "outcome": case.outcome,
        "sub_sector": case.sub_sector,
        "employer_knew_at": rfc3339(case.employer_knew_at),
        "source": case.source,
        "themes": case.themes or [],
        "employer_action": case.employer_action,
        "sign_off": case.sign_off,
        "transferred_to": case.transferred_to,
        "escalated": case.escalated,
        "set_aside": case.set_aside,
        "concluded_at": rfc3339(case.concluded_at),
        "review_at": rfc3339(case.review_at),
        "hold": case.hold,
        "purged_at": rfc3339(case.purged_at),
        "remarks": case.remarks,
    }


def cases_json(
    session: Session,
    *,
    status: str | None = None,
    due_before: datetime | None = None,
    officer: str | None = None,
    reader: Actor | None = None,
) -> Iterator[dict[str, Any]]:
    """Cases oldest first; of restricted ones those that ``reader`` may see, or all for None."""
    statement = select(Case).order_by(col(Case.received_at), col(Case.id))
    if status is not None:
        statement = statement.where(col(Case.status) == status)
    if officer is not None:
        statement = statement.where(col(Case.officer).in_([officer, f"terminal:{officer}", f"slack:{officer}"]))
    if due_before is not None:
        late = select(Deadline.case_id).where(
            col(Deadline.due_at) < due_before,
            col(Deadline.met_at).is_(None),
            col(Deadline.state).in_([DeadlineState.RUNNING, DeadlineState.MISSED]),
        )
        statement = statement.where(col(Case.id).in_(late))
    for case in session.exec(statement.execution_options(yield_per=200)):
        if reader is None or may_see(case, reader):
            yield case_json(case)


def may_see(case: Case, actor: Actor) -> bool:
    """Whether a case exists for somebody: a restricted one does for whoever has it and for those named."""
    return not case.restricted or str(actor) == case.officer or str(actor) in (case.restricted_to or ())


def messages_json(session: Session, practice: Practice, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Every message, in and out, oldest first; what is parked unread is among them, under its spool id."""
    statement = select(Message).order_by(col(Message.received_at), col(Message.id))
    unread = select(Spooled).where(col(Spooled.state) == PARKED, col(Spooled.channel) == "email")
    if since is not None:
        statement = statement.where(col(Message.received_at) >= since)
        unread = unread.where(col(Spooled.received_at) >= since)
    references = dict(session.exec(select(Case.id, Case.reference)).all())
    waiting = sorted(session.exec(unread).all(), key=lambda row: (row.received_at, row.id))
    for row in session.exec(statement.execution_options(yield_per=200)):
        while waiting and (waiting[0].received_at, waiting[0].id) < (row.received_at, row.id):
            yield _parked_json(waiting.pop(0))
        yield _message_json(practice, row, references.get(row.case_id or ""))
    yield from map(_parked_json, waiting)


def parked_json(session: Session) -> list[dict[str, Any]]:
    """What could not be dealt with or delivered, oldest first: ids, times and codes."""
    lines = [
        {
            "id": row.id,
            "channel": row.channel,
            "direction": "in",
            "kind": "message",
            "received_at": rfc3339(row.received_at),
            "error": row.error,
            "case": None,
        }
        for row in spool.parked(session)
    ]
    for parcel in outbox.parked(session):
        case = session.get(Case, parcel.case_id) if parcel.case_id else None
        lines.append(
            {
                "id": parcel.id,
                "channel": parcel.channel,
                "direction": "out",
                "kind": parcel.kind,
                "received_at": rfc3339(parcel.created_at),
                "error": parcel.error,
                "case": case.reference if case else None,
            }
        )
    return lines


def show_json(session: Session, practice: Practice, case: Case) -> dict[str, Any]:
    """The case with everything on it, for an officer. The caller records the access."""
    suggestion, later = suggestions(session, case.id)
    decision = standing_decision(session, case)
    rows = deadlines.of_case(session, case.id)
    targets = {row.id: row.target for row in rows}
    reminders = session.exec(
        select(Reminder).where(col(Reminder.case_id) == case.id).order_by(col(Reminder.due_at), col(Reminder.id))
    )
    entries = session.exec(select(AuditEntry).where(col(AuditEntry.chain) == case.id).order_by(col(AuditEntry.seq)))
    links = session.exec(
        select(Case.reference, Link.state, Link.why)
        .join(Link, col(Link.other_case_id) == col(Case.id))
        .where(col(Link.case_id) == case.id)
    )
    notes = [note_json(practice, row) for row in notes_of(session, case.id)]
    words = {note["id"]: note["text"] for note in notes}
    return case_json(case) | {
        "reply_address": None if case.purged_at else practice.reply_address(case.reply_tag),
        "messages": [_message_json(practice, row, case.reference) for row in _messages_of(session, case.id)],
        "suggestion": _suggestion_json(session, practice, suggestion) if suggestion else None,
        "later_suggestions": [
            {"message": row.message_id, "at": rfc3339(row.created_at)} | _suggestion_json(session, practice, row)
            for row in later
        ],
        "decision": decision_json(practice, decision) if decision else None,
        "earlier": [one.to_json() for one in matching.earlier(session, practice, case)] if not case.purged_at else [],
        "setting_contacts": about.contacts if (about := matching.setting(session, case)) else None,
        "deadlines": [deadline_json(row) for row in rows],
        "reminders": [
            *(reminder_json(row, case.reference, of_what(row.kind, targets[row.deadline_id])) for row in reminders),
            *_chasers_json(session, case),
        ],
        "notes": notes,
        "actions": [action_json(row, words) for row in _of_case(session, Action, case.id)],
        "meetings": [meeting_json(row, words) for row in _of_case(session, Meeting, case.id)],
        "strands": [
            {"strand": row.strand, "opened_at": rfc3339(row.opened_at), "closed_at": rfc3339(row.closed_at)}
            for row in _of_case(session, Strand, case.id)
        ],
        "regulators": [
            {"body": row.body, "told_at": rfc3339(row.told_at), "by": row.by}
            for row in _of_case(session, Regulator, case.id)
        ],
        "feedback": [
            {
                "role": row.role,
                "asked_at": rfc3339(row.asked_at),
                "answered_at": rfc3339(row.answered_at),
                "answers": row.answers,
                "remark": words.get(row.note_id or ""),
            }
            for row in _of_case(session, Feedback, case.id)
        ],
        "pauses": [
            {"reason": row.reason, "started_at": rfc3339(row.started_at), "ended_at": rfc3339(row.ended_at)}
            for row in _of_case(session, Pause, case.id)
        ],
        "restricted_to": case.restricted_to,
        "merged_into": session.exec(select(Case.reference).where(col(Case.id) == case.merged_into)).first(),
        "links": [{"case": reference, "state": state, "why": why} for reference, state, why in links],
        "audit": [
            {
                "seq": entry.seq,
                "at": rfc3339(entry.at),
                "actor": entry.actor,
                "act": entry.act,
                "code": entry.code,
                "detail": entry.detail,
                "hash": entry.hash,
            }
            for entry in entries
        ],
    }


def decision_json(practice: Practice, row: DecisionRow) -> dict[str, Any]:
    view = _decision_view(practice, row)
    return {
        "decision": row.decision,
        "category": row.category,
        "criteria": row.criteria,
        "reason": view.reason or None,
        "by": row.by,
        "at": rfc3339(row.at),
        "suggestion_version": row.suggestion_version,
        "signed_off_by": row.signed_off_by,
    }


def notes_of(session: Session, case_id: str) -> list[NoteRow]:
    """The words behind the acts on a case, oldest first; still sealed."""
    return list(
        session.exec(
            select(NoteRow).where(col(NoteRow.case_id) == case_id).order_by(col(NoteRow.at), col(NoteRow.id))
        ).all()
    )


def note_json(practice: Practice, row: NoteRow) -> dict[str, Any]:
    place = Place("notes", row.id, "content", row.case_id)
    text = practice.vault.open_json(place, row.content)["text"] if row.content else None
    return {"id": row.id, "act": row.act, "by": row.by, "at": rfc3339(row.at), "text": text}


def deadline_json(row: Deadline) -> dict[str, Any]:
    return {
        "target": row.target,
        "due_at": rfc3339(row.due_at),
        "rule": row.rule,
        "calendar": row.calendar,
        "started_at": rfc3339(row.started_at),
        "state": row.state,
        "met_at": rfc3339(row.met_at),
    }


def action_json(row: Action, words: Mapping[str, str | None]) -> dict[str, Any]:
    """An action, with what is to be done; ``words`` are the notes' texts by id."""
    return {
        "id": row.id,
        "owner": row.owner,
        "due_at": rfc3339(row.due_at),
        "state": row.state,
        "by": row.by,
        "at": rfc3339(row.recorded_at),
        "closed_at": rfc3339(row.closed_at),
        "chased": row.address_key is not None,
        "asked_in": row.asked_in,
        "text": words.get(row.note_id),
    }


def meeting_json(row: Meeting, words: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "held_at": rfc3339(row.held_at),
        "by": row.by,
        "at": rfc3339(row.recorded_at),
        "text": words.get(row.note_id or ""),
    }


def _record(session: Session, practice: Practice, case: Case) -> Iterator[tuple[str, str]]:
    """What officers put on the record, as an officer reads it: what it is and when, and its words."""
    zone = practice.calendar.zone
    actions = {row.note_id: row for row in _of_case(session, Action, case.id)}
    meetings = {row.note_id: row for row in _of_case(session, Meeting, case.id)}
    for row in notes_of(session, case.id):
        note = note_json(practice, row)
        what = row.act.replace("_", " ").capitalize()
        if (owed := actions.get(row.id)) is not None:
            what = f"Owed by {owed.owner.replace('_', ' ')} until {say_time(owed.due_at, zone)} ({owed.state})"
            what += _next_chaser(session, owed, zone)
        if (held := meetings.get(row.id)) is not None:
            what = f"Meeting ({held.kind}), held {say_time(held.held_at, zone)}"
        yield f"{what}; {Actor.parse(row.by).id}, {say_time(row.at, zone)}", note["text"] or "(gone)"
    for meeting in _of_case(session, Meeting, case.id):
        if meeting.note_id is None:
            yield f"Meeting ({meeting.kind}), held {say_time(meeting.held_at, zone)}", "nothing noted"
    for strand in _of_case(session, Strand, case.id):
        ended = f", closed {say_time(strand.closed_at, zone)}" if strand.closed_at else ", open"
        yield (
            f"{strand.strand.replace('_', ' ').capitalize()}'s inquiry",
            f"since {say_time(strand.opened_at, zone)}{ended}",
        )
    for regulator in _of_case(session, Regulator, case.id):
        yield f"Regulator told: {regulator.body.replace('_', ' ').upper()}", say_time(regulator.told_at, zone)

    if case.employer_knew_at is not None:
        yield "The employer first knew", say_time(case.employer_knew_at, zone)
    for asked in _of_case(session, Feedback, case.id):
        who = survey.Role(asked.role).label
        if asked.answered_at is None:
            yield f"{who} was asked about our service", f"{say_time(asked.asked_at, zone)}; no answer yet"
        else:
            yield (
                f"{who} on our service, {say_time(asked.answered_at, zone)}",
                "\n".join(survey.said(asked.answers or {})),
            )


def _next_chaser(session: Session, action: Action, zone: ZoneInfo) -> str:
    row = session.exec(
        select(Chaser)
        .where(col(Chaser.action_id) == action.id, col(Chaser.state) == ReminderState.WAITING)
        .order_by(col(Chaser.due_at))
        .limit(1)
    ).first()
    if row is None:
        return ""
    what = "call" if row.kind == "telephone" else "letter" if row.address_key else "notice"
    return f", next {what} {say_time(row.due_at, zone)}"


def open_actions(session: Session, practice: Practice, case: Case) -> tuple[tuple[str, str], ...]:
    """Ids of what is still owed, soonest first, each with what it is. The caller records the access."""
    notes = {row.id: note_json(practice, row)["text"] for row in notes_of(session, case.id)}
    rows = session.exec(
        select(Action)
        .where(col(Action.case_id) == case.id, col(Action.state) == ActionState.OPEN)
        .order_by(col(Action.due_at), col(Action.id))
    )
    zone = practice.calendar.zone
    return tuple(
        (
            row.id,
            f"{row.owner.replace('_', ' ')} by {say_time(row.due_at, zone)}: {notes.get(row.note_id) or 'an answer to us'}",
        )
        for row in rows
    )


def _of_case(session: Session, table: type[_Row], case_id: str) -> list[_Row]:
    """The case's rows of one of the tables of its record, oldest first."""
    order = rows_of(table).primary_key.columns
    return list(session.exec(select(table).where(rows_of(table).c.case_id == case_id).order_by(*order)).all())


_Row = TypeVar("_Row", Action, Meeting, Strand, Regulator, Pause, Feedback)


def reminder_json(row: Reminder, reference: str, target: str) -> dict[str, Any]:
    return {
        "case": reference,
        "deadline": target,
        "kind": row.kind,
        "to": row.recipient,
        "due_at": rfc3339(row.due_at),
        "state": row.state,
        "sent_at": rfc3339(row.sent_at),
        "cancelled_because": row.cancelled_because,
    }


def _chasers_json(session: Session, case: Case) -> list[dict[str, Any]]:
    """What is sent, or will be, about what is owed: reminders of an action."""
    rows = session.exec(
        select(Chaser, Action)
        .where(col(Chaser.case_id) == case.id, col(Action.id) == col(Chaser.action_id))
        .order_by(col(Chaser.due_at), col(Chaser.id))
    )
    return [
        {
            "case": case.reference,
            "deadline": "action",
            "action": action.id,
            "kind": row.kind,
            "to": action.owner if row.address_key is not None else "duty",
            "due_at": rfc3339(row.due_at),
            "state": row.state,
            "sent_at": rfc3339(row.sent_at),
            "cancelled_because": row.cancelled_because,
        }
        for row, action in rows
    ]


def record_access(session: Session, case: Case, actor: Actor, what: str, *, now: datetime) -> None:
    """Seeing content is an act too."""
    audit.record(session, case.id, at=now, actor=str(actor), act="content_seen", code=what)


def attachment(session: Session, practice: Practice, case: Case, number: int) -> tuple[dict[str, Any], bytes] | None:
    """The ``number``-th attachment of a case (from 1, messages oldest first) and the raw mail that holds it, or None."""
    for at, row, meta in attachments(session, practice, case):
        if at == number:
            return meta, spool.raw_bytes(session, practice.vault, row.id)
    return None


def attachments(session: Session, practice: Practice, case: Case) -> Iterator[tuple[int, Message, dict[str, Any]]]:
    """Every attachment of a case whose raw mail is there, with its number and its message."""
    number = 0
    for row in _messages_of(session, case.id):
        for meta in _content(practice, row)["attachments"]:
            number += 1
            # A message's raw bytes have its own id: any other would be somebody else's.
            if row.raw_id == row.id:
                yield number, row, meta


def rfc3339(moment: datetime | None) -> str | None:
    """UTC with a ``Z``, to the second unless there are parts of one."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _messages_of(session: Session, case_id: str) -> list[Message]:
    return list(
        session.exec(
            select(Message).where(col(Message.case_id) == case_id).order_by(col(Message.received_at), col(Message.id))
        ).all()
    )


def _content(practice: Practice, row: Message) -> dict[str, Any]:
    if not row.content:
        return _PURGED
    content: dict[str, Any] = practice.vault.open_json(Place("messages", row.id, "content", row.case_id), row.content)
    return content


def opened_suggestion(practice: Practice, row: SuggestionRow) -> Suggestion:
    """A suggestion as it was made; of a purged case, what its columns say."""
    if not row.content:
        return _coded_suggestion(row)
    place = Place("suggestions", row.id, "content", row.case_id)
    return Suggestion.from_json(practice.vault.open_json(place, row.content))


def _suggestion_json(session: Session, practice: Practice, row: SuggestionRow) -> dict[str, Any]:
    """The published shape, with the text that was ``read``: its evidence points into that one, or into a document."""
    suggestion = opened_suggestion(practice, row).to_json()
    content = _content(practice, session.get_one(Message, row.message_id))
    read = _text_read_for(practice, row)
    return suggestion | {"evidence": located(suggestion["evidence"], *_parts(content, read)), "read": read}


def _text_read_for(practice: Practice, row: SuggestionRow) -> str:
    """Which text of its message a suggestion was made from."""
    if not row.content:
        return NEW_WORDS
    place = Place("suggestions", row.id, "content", row.case_id)
    return str(practice.vault.open_json(place, row.content).get("read", NEW_WORDS))


def _parts(content: dict[str, Any], read: str) -> Parts:
    return parts_read(
        read,
        content["body_text"] or "",
        content["full_text"] or "",
        content.get("signature_text", ""),
        content.get("documents", ()),
    )


def _coded_suggestion(row: SuggestionRow) -> Suggestion:
    """What is left of a suggestion when its evidence has gone with the text."""
    return Suggestion(
        category=Category(row.category),
        secondary_categories=(),
        category_confidence=row.category_confidence,
        threshold=Threshold(row.threshold),
        threshold_confidence=row.threshold_confidence,
        criteria=(),
        flags=tuple(Flag(value) for value in row.flags),
        missing=tuple(MissingDatum(value) for value in row.missing),
        evidence=(),
        reason="",
        engine=row.engine,
        version=row.version,
    )


def _decision_view(practice: Practice, row: DecisionRow, purged: str = "") -> DecisionView:
    place = Place("decisions", row.id, "content", row.case_id)
    return DecisionView(
        decision=DecisionKind(row.decision),
        category=Category(row.category),
        criteria=tuple(Criterion(value) for value in row.criteria),
        reason=practice.vault.open_json(place, row.content)["reason"] if row.content else purged,
        by=Actor.parse(row.by),
        at=row.at,
    )


def _sender_line(content: dict[str, Any]) -> str:
    name, address = content.get("sender_name"), content.get("sender")
    return f"{name} <{address}>" if name and address else address or name or "unknown sender"


def _message_json(practice: Practice, row: Message, reference: str | None) -> dict[str, Any]:
    content = _content(practice, row)
    return {
        "id": row.id,
        "channel": row.channel,
        "direction": row.direction,
        "message_id": content["message_id"],
        "subject": content["subject"],
        "sender": content["sender"],
        "received_at": rfc3339(row.received_at),
        "body_text": content["body_text"],
        "full_text": content["full_text"],
        "attachments": [
            {key: attachment[key] for key in ("filename", "size", "content_type", "sha256")}
            for attachment in content["attachments"]
        ],
        "signature_text": content.get("signature_text", ""),
        "documents": content.get("documents", []),
        "case": reference,
        "opened_case": row.opened_case,
        "machine_sent": row.machine_sent,
        "sender_trust": row.sender_trust,
        "parked": row.parked,
        "version_of": row.version_of,
        "recipients": content["recipients"],
    }


def _parked_json(row: Spooled) -> dict[str, Any]:
    return {
        "id": row.id,
        "channel": row.channel,
        "direction": "in",
        "message_id": None,
        "subject": None,
        "sender": None,
        "received_at": rfc3339(row.received_at),
        "body_text": None,
        "full_text": None,
        "attachments": [],
        "case": None,
        "opened_case": False,
        "machine_sent": None,
        "sender_trust": "none",
        "parked": True,
        "error": row.error,
    }
