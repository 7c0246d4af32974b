"""What officers decided, for teaching another model: labels and counts, and a text only where an officer has redacted it.

A line says nothing of which case it is: its id is drawn by lot, and so is the order. There is no reference, no organisation,
no time, no name and, unless an officer has redacted it and a setting allows it, no word of what was written. Purged and
restricted cases are not among them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework import views
from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.agreement import stood_at
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import Practice
from intake_bot.casework.retention import add_note
from intake_bot.casework.views import TextRead
from intake_bot.casework.vocabulary import DecisionKind
from storage import audit
from storage.tables import Case, DecisionRow, Message, NoteRow, SuggestionRow
from storage.vault import UNOPENABLE, Place
from triage.vocabulary import Threshold

BATCH = 100
MAX_CHARACTERS = 200_000
REDACTED = "redacted_text"
"""The ``act`` of the note that holds a redacted text."""
BELOW = "below_harm_threshold"
"""What a decision other than a referral says of the threshold: no more than that it is not met."""
_NOT_IN_IT = "not in any export for training"
_SUBJECT = "Subject: "

Measure = Callable[[TextRead], Mapping[str, float]]
"""What the rules count in a text, as numbers by name: nothing of its words."""
WhatIsLeft = Callable[[str, str, Sequence[str]], Sequence[str]]
"""Kinds of things that a redacted text still holds, of the original and of what is known of its writer."""


@dataclass(frozen=True, slots=True)
class Example:
    """One decided case. ``line`` is all of it that leaves."""

    case_id: str
    line: dict[str, Any]

    @property
    def has_text(self) -> bool:
        return "text" in self.line


def examples(
    session: Session, practice: Practice, measure: Measure, *, after: str = "", with_texts: bool = False
) -> tuple[list[Example], str | None]:
    """The decided cases of the next batch by id, ``after`` the last of the one before; that last id, or None at the end."""
    cases = session.exec(
        select(Case)
        .where(
            col(Case.id) > after,
            col(Case.decision).is_not(None),
            col(Case.purged_at).is_(None),
            col(Case.restricted).is_(False),
        )
        .order_by(col(Case.id))
        .limit(BATCH)
    ).all()
    found = []
    for case in cases:
        try:
            line = _line(session, practice, case, measure, with_texts=with_texts)
        except UNOPENABLE:
            continue  # Purged while we read, or damaged: verify names it.
        if line is not None:
            found.append(Example(case.id, line))
    return found, cases[-1].id if len(cases) == BATCH else None


def record_export(session: Session, found: Sequence[Example], *, by: Actor, now: datetime) -> list[Example]:
    """On the record of each case, before anything is written: that it was in an export, and whether with a text.

    Gives those that may leave: not what was purged or restricted since it was read.
    """
    may = select(Case.id).where(
        col(Case.id).in_([example.case_id for example in found]),
        col(Case.purged_at).is_(None),
        col(Case.restricted).is_(False),
    )
    allowed = set(session.exec(may.with_for_update()).all())
    leaving = [example for example in found if example.case_id in allowed]
    for example in leaving:
        code = "with its redacted text" if example.has_text else "without its text"
        audit.record(session, example.case_id, at=now, actor=str(by), act="training_exported", code=code)
    return leaving


def to_redact(session: Session, practice: Practice, case: Case, *, by: Actor, now: datetime) -> str | Refused:
    """The text that opened the case, for an officer to redact: subject, then what triage read. It goes on the record."""
    original = _original(session, practice, case)
    if isinstance(original, Refused):
        return original
    views.record_access(session, case, by, "redact", now=now)
    return _as_file(original[0])


def keep_redacted(
    session: Session, practice: Practice, case: Case, words: str, what_is_left: WhatIsLeft, *, by: Actor, now: datetime
) -> Done | Refused:
    """Keep a redacted text on the case, sealed; it is emptied with the case. One that still tells who is meant is refused.

    It takes the place of one that was kept before. What is said of a refused text names kinds, never a word of it.
    """
    if not words.strip():
        return Refused("The redacted text is empty.")
    if len(words) > MAX_CHARACTERS:
        return Refused(f"The redacted text is longer than {MAX_CHARACTERS} characters.")
    original = _original(session, practice, case)
    if isinstance(original, Refused):
        return original
    read, message = original
    left = what_is_left(words, _as_file(read), _known_of(practice, case, message))
    if left:
        return Refused(f"It still holds {', '.join(left)}. Nothing was kept: redact it further.")
    note = add_note(session, practice, case, REDACTED, by=by, words=words, now=now)
    audit.record(session, case.id, at=now, actor=str(by), act="redacted", note=note)
    return Done(f"The redacted text is kept on {case.reference}.")


def _line(
    session: Session, practice: Practice, case: Case, measure: Measure, *, with_texts: bool
) -> dict[str, Any] | None:
    decided = views.latest_decision(session, case.id)
    if decided is None:
        return None
    suggestion = stood_at(session, case.id, decided.at)
    message = _opening(session, case)
    read = views.text_for_triage(practice, message, suggestion) if message is not None else None
    line: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "labels": _labels(decided),
        "suggestion": _suggested(practice, suggestion) if suggestion else None,
        "features": _features(read, measure) if read else None,
    }
    if with_texts and (words := _redacted(session, practice, case)) is not None:
        subject, body = _from_file(words)
        line["text"] = {"subject": subject, "body": body}
    return line


def _labels(row: DecisionRow) -> dict[str, Any]:
    threshold = {DecisionKind.REFERRAL: Threshold.MEETS.value, DecisionKind.TRANSFERRED: None}
    return {
        "decision": row.decision,
        "threshold": threshold.get(DecisionKind(row.decision), BELOW),
        "category": row.category,
        "criteria": row.criteria,
    }


def _suggested(practice: Practice, row: SuggestionRow) -> dict[str, Any]:
    """The codes and the numbers of it: its evidence quotes, and its reason is a sentence."""
    place = Place("suggestions", row.id, "content", row.case_id)
    content = practice.vault.open_json(place, row.content)
    names = (
        "engine version category secondary_categories category_confidence threshold threshold_confidence criteria flags "
        "missing ranking meets_confidence"
    )
    return {name: content.get(name) for name in names.split()}


def _features(read: TextRead, measure: Measure) -> dict[str, Any]:
    words = len(read.text.split())
    return {
        # To the ten: an exact length could tell which of several emails it was to whoever has them.
        "words": -(-words // 10) * 10,
        "has_subject": bool(read.subject.strip()),
        "read": read.read,
        "measures": {name: round(value, 3) for name, value in measure(read).items() if value},
    }


def _opening(session: Session, case: Case) -> Message | None:
    return session.exec(select(Message).where(col(Message.case_id) == case.id, col(Message.opened_case))).first()


def _original(session: Session, practice: Practice, case: Case) -> tuple[TextRead, Message] | Refused:
    if case.purged_at is not None:
        return Refused(f"{case.reference} is purged.")
    if case.restricted:
        return Refused(f"{case.reference} is restricted, and {_NOT_IN_IT}.")
    message = _opening(session, case)
    suggestion, _ = views.suggestions(session, case.id)
    read = views.text_for_triage(practice, message, suggestion) if message is not None else None
    if message is None or read is None:
        return Refused(f"{case.reference} has no text that could be read.")
    return read, message


def _known_of(practice: Practice, case: Case, message: Message) -> list[str]:
    """What the message's own header and its mail domain tell: names, addresses, the organisation."""
    content = practice.vault.open_json(Place("messages", message.id, "content", message.case_id), message.content)
    addresses = [content.get("sender"), content.get("answer_to"), *content.get("recipients", ())]
    theirs = [address for address in addresses if address and not practice.is_ours(address)]
    return [given for given in (content.get("sender_name"), case.organisation, *theirs) if given]


def _redacted(session: Session, practice: Practice, case: Case) -> str | None:
    """The redacted text that was kept last."""
    row = session.exec(
        select(NoteRow)
        .where(col(NoteRow.case_id) == case.id, col(NoteRow.act) == REDACTED)
        .order_by(col(NoteRow.at).desc(), col(NoteRow.id).desc())
        .limit(1)
    ).first()
    if row is None or not row.content:
        return None
    return str(practice.vault.open_json(Place("notes", row.id, "content", case.id), row.content)["text"])


def _as_file(read: TextRead) -> str:
    return f"{_SUBJECT}{' '.join(read.subject.split())}\n\n{read.text.strip()}\n"


def _from_file(words: str) -> tuple[str, str]:
    """Subject and body; without a subject line all of it is the body."""
    first, _, rest = words.lstrip("\ufeff\r\n").partition("\n")
    if not first.startswith(_SUBJECT.strip()):
        return "", words.strip()
    return first.removeprefix(_SUBJECT.strip()).strip(), rest.strip()
