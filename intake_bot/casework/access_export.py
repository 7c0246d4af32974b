"""Subject access: what is held about one person, case by case, for an officer to redact.

Every case's content is opened and read, a batch at a time; names are compared in normalised form. What a person reads before
it goes out may hold too much, never too little: a case in which the person is named is written whole, and one in which only
the surname stands alone is listed for a look.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, func, select

from intake_bot.casework.desk import Actor
from intake_bot.casework.history import history
from intake_bot.casework.letters import say_time
from intake_bot.casework.practice import Practice
from intake_bot.casework.text_read import text_read
from intake_bot.casework.views import rfc3339
from storage import audit
from storage.claims import PARKED
from storage.engine import Database
from storage.ids import new_id
from storage.keystore import KeyGone
from storage.tables import Case, DecisionRow, Message, NoteRow, Participant, Spooled, SuggestionRow
from storage.vault import Place

BATCH = 100
INDEX = "index.txt"
UNFILED = "unfiled.txt"

_TITLES = frozenset("mr mrs ms miss mx dr prof professor rev reverend revd fr father sir sister br coach pc dc".split())
_BETWEEN = 3
"""How many words of a name may stand between its first and its last: middle names, and "van der"."""
_SHY = str.maketrans(dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff"))


class Match(IntEnum):
    """How surely a text is about the person."""

    NONE = 0
    SURNAME = 1
    NAMED = 2


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. No name in it."""

    folder: Path
    cases: int
    messages: int
    """Messages in those cases that name the person."""
    to_check: int
    """Cases in which the surname alone stands."""


class Person:
    """Finds one person in text, by name or by mail address. Raises ValueError where nothing is left to look for."""

    def __init__(self, text: str) -> None:
        self._address = text.strip().casefold() if "@" in text else None
        self._pattern: re.Pattern[str] | None = None
        self._first: str | None = None
        self._middle: tuple[str, ...] = ()
        self._last: tuple[str, ...] = ()
        if self._address is not None:
            self._pattern = re.compile(rf"(?<![\w.+%-]){re.escape(self._address)}(?![\w-]|\.\w)")
            self.normalised = self._address
            return
        if "," in text:
            # "Hartwell, Daniel" is how registers have it.
            last, _, first = text.partition(",")
            text = f"{first} {last.strip().replace(' ', '-')}"
        words = [parts for word in text.split() if (parts := tokens(word)) and not _is_title(parts)]
        if not words:
            raise ValueError("there is no name to look for")
        self._last = tuple(words[-1])
        given = [token for parts in words[:-1] for token in parts]
        if given:
            self._first, self._middle = given[0], tuple(given[1:])
        self.normalised = " ".join([*given, *self._last])

    def __repr__(self) -> str:
        return "Person(...)"

    def found_in(self, text: str) -> Match:
        """How surely the person stands in a text, whatever the letter case, accents, punctuation and order of the name."""
        if self._pattern is not None:
            return Match.NAMED if self._pattern.search(_plain(text)) else Match.NONE
        words = tokens(text)
        best = Match.NONE
        size = len(self._last)
        for start in range(len(words) - size + 1):
            if words[start] != self._last[0] or tuple(words[start : start + size]) != self._last:
                continue
            if self._first is None or self._is_named(words, start, start + size):
                return Match.NAMED
            best = Match.SURNAME
        return best

    def _is_named(self, words: list[str], start: int, end: int) -> bool:
        """Whether a title, the first name or its initial goes with the surname at ``start`` to ``end``."""
        for distance in range(1, _BETWEEN + 2):
            if start - distance < 0:
                break
            between = words[start - distance + 1 : start]
            before = words[start - distance]
            if (self._is_first(before) or before in _TITLES) and self._may_stand_between(between, before):
                return True
        # "Hartwell, Daniel" and "Hartwell, Mr D"
        after = next((word for word in words[end : end + 2] if word not in _TITLES), "")
        return self._is_first(after)

    def _is_first(self, word: str) -> bool:
        """Whether a word is the first name, its initial, or the initials; of a bare initial, whatever begins with it."""
        assert self._first is not None  # noqa: S101 (the caller has looked)
        initials = "".join(name[0] for name in (self._first, *self._middle))
        return word in (self._first, self._first[0], initials) or (
            len(self._first) == 1 and word.startswith(self._first)
        )

    def _may_stand_between(self, words: list[str], before: str) -> bool:
        strange = [word for word in words if len(word) > 1 and word not in self._middle]
        # A middle name that we were not told is no hindrance after the whole first name; a sentence is.
        return not strange or (len(words) == 1 and len(before) > 1 and before not in _TITLES)


def tokens(text: str) -> list[str]:
    """The words of a text for comparing names: small letters, no accents, no punctuation, no possessive s."""
    plain = re.sub(r"['’ʼ`]s\b", " ", _plain(text))
    plain = re.sub(r"['’ʼ`]", "", plain)
    return re.findall(r"[^\W_]+", plain)


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.translate(_SHY)).casefold()
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _is_title(parts: list[str]) -> bool:
    return len(parts) == 1 and parts[0] in _TITLES


# ---- the export


@dataclass
class _Held:
    """One case's content, opened."""

    case: Case
    messages: list[tuple[Message, dict[str, Any]]] = field(default_factory=list)
    suggestions: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[tuple[DecisionRow, str]] = field(default_factory=list)
    notes: list[tuple[NoteRow, str]] = field(default_factory=list)
    participants: list[str] = field(default_factory=list)

    def words(self) -> Iterator[str]:
        """Everything that may name somebody, but for the messages."""
        yield self.case.organisation or ""
        yield from self.participants
        yield from (reason for _, reason in self.decisions)
        yield from (text for _, text in self.notes)
        for suggestion in self.suggestions:
            yield suggestion.get("reason") or ""
            yield from (item.get("text") or "" for item in suggestion.get("evidence", ()))


def export(
    database: Database, practice: Practice, person: Person, folder: Path, *, by: Actor, now: datetime
) -> Exported:
    """Write what is held about a person into a new folder: a file a case, and an index.

    Each case's file is on that case's record before it is written; the service's record holds the counts and a keyed hash of
    the name. Raises OSError where the folder is there already or cannot be written.
    """
    folder.mkdir(mode=0o700, parents=False)
    lines: list[str] = []
    to_check: list[str] = []
    named = 0
    for held in _all_held(database, practice):
        messages = {row.id: _match_of_message(person, content) for row, content in held.messages}
        match = max([*messages.values(), *map(person.found_in, held.words())], default=Match.NONE)
        if match is Match.SURNAME:
            to_check.append(held.case.reference)
        if match is not Match.NAMED:
            continue
        naming = {message_id for message_id, one in messages.items() if one is Match.NAMED}
        named += len(naming)
        with database.write() as session:
            case = session.get_one(Case, held.case.id)
            audit.record(
                session, case.id, at=now, actor=str(by), act="exported", detail={"messages_naming": len(naming)}
            )
            words = _case_text(session, practice, held, naming)
        _write(folder / f"{case.reference}.txt", words)
        lines.append(f"{case.reference}.txt  {len(held.messages)} messages, {len(naming)} of them naming the person")
    unfiled = _unfiled(database, practice, person)
    with database.write() as session:
        audit.record(
            session,
            audit.SERVICE_CHAIN,
            at=now,
            actor=str(by),
            act="exported",
            detail={
                "person": practice.vault.blind("access-export", person.normalised),
                "cases": len(lines),
                "messages_naming": named,
                "unfiled": len(unfiled),
                "to_check": len(to_check),
            },
        )
        unread = session.exec(select(func.count()).select_from(Spooled).where(col(Spooled.state) == PARKED)).one()
    if unfiled:
        _write(folder / UNFILED, [line for content in unfiled for line in (*_message_lines(content), "")])
        lines.append(f"{UNFILED}  {len(unfiled)} messages that belong to no case")
    _write(folder / INDEX, _index(lines, to_check, unread=unread, made=say_time(now, practice.calendar.zone)))
    return Exported(folder, len(lines) - bool(unfiled), named, len(to_check))


def _index(lines: list[str], to_check: list[str], *, unread: int, made: str) -> list[str]:
    return [
        f"What is held about one person, as at {made}.",
        "To be read and redacted by an officer before it goes out: the files name other people.",
        "",
        *(lines or ["Nothing was found."]),
        "",
        *(
            ["The surname stands alone in these cases; look whether it is the same person:", *to_check, ""]
            if to_check
            else []
        ),
        "Not searched: what is inside attachments (their names are), and spellings that nobody gave.",
        *([f"Not searched: {unread} parked messages that could not be read (intake-bot parked)."] if unread else []),
    ]


def _all_held(database: Database, practice: Practice) -> Iterator[_Held]:
    """Every case that has content, opened, in the order of their ids; a batch in memory at a time."""
    after = ""
    while True:
        with database.read() as session:
            cases = session.exec(
                select(Case)
                .where(col(Case.id) > after, col(Case.purged_at).is_(None))
                .order_by(col(Case.id))
                .limit(BATCH)
            ).all()
            held = _opened(session, practice, list(cases))
        if not held:
            return
        yield from held
        after = held[-1].case.id


def _opened(session: Session, practice: Practice, cases: list[Case]) -> list[_Held]:
    held = {case.id: _Held(case) for case in cases}
    ids = list(held)

    def open_(row: Message | SuggestionRow | DecisionRow | NoteRow) -> Any:
        return _open(practice, str(row.__tablename__), row.id, row.case_id, row.content)

    messages = select(Message).where(col(Message.case_id).in_(ids))
    for message in session.exec(messages.order_by(col(Message.received_at), col(Message.id))):
        if message.case_id is not None and (content := open_(message)):
            held[message.case_id].messages.append((message, content))
    for suggestion in session.exec(select(SuggestionRow).where(col(SuggestionRow.case_id).in_(ids))):
        if content := open_(suggestion):
            held[suggestion.case_id].suggestions.append(content)
    decisions = select(DecisionRow).where(col(DecisionRow.case_id).in_(ids)).order_by(col(DecisionRow.id))
    for decision in session.exec(decisions):
        if content := open_(decision):
            held[decision.case_id].decisions.append((decision, content["reason"]))
    for note in session.exec(
        select(NoteRow).where(col(NoteRow.case_id).in_(ids)).order_by(col(NoteRow.at), col(NoteRow.id))
    ):
        if content := open_(note):
            held[note.case_id].notes.append((note, content["text"]))
    for participant in session.exec(select(Participant).where(col(Participant.case_id).in_(ids))):
        address = _open(practice, "participants", participant.address_key, participant.case_id, participant.content)
        if address:
            held[participant.case_id].participants.append(address)
    return list(held.values())


def _open(practice: Practice, table: str, row: str, case_id: str | None, sealed: bytes) -> Any:
    """What is sealed there, or None where it was purged while we read."""
    try:
        return practice.vault.open_json(Place(table, row, "content", case_id), sealed)
    except KeyGone:
        return None


def _unfiled(database: Database, practice: Practice, person: Person) -> list[dict[str, Any]]:
    """Messages of no case that name the person."""
    with database.read() as session:
        rows = session.exec(
            select(Message)
            .where(col(Message.case_id).is_(None))
            .order_by(col(Message.received_at), col(Message.id))
            .execution_options(yield_per=BATCH)
        )
        contents = (_open(practice, "messages", row.id, None, row.content) for row in rows)
        return [content for content in contents if content and _match_of_message(person, content) is Match.NAMED]


def _match_of_message(person: Person, content: dict[str, Any]) -> Match:
    words: list[str | None] = [
        content["subject"],
        content["full_text"] or content["body_text"],
        content["sender"],
        content.get("sender_name"),
        content.get("answer_to"),
        *content["recipients"],
        *(attachment["filename"] for attachment in content["attachments"]),
        *(document["text"] for document in content.get("documents", ())),
    ]
    return max(person.found_in(text) for text in (word or "" for word in words))


def _case_text(session: Session, practice: Practice, held: _Held, naming: set[str]) -> list[str]:
    case, zone = held.case, practice.calendar.zone
    lines = [
        f"{case.reference}: all that is held. For an officer to redact; it names other people.",
        "",
        *(
            f"{name.replace('_', ' ')}: {value}"
            for name, value in (
                ("status", case.status),
                ("received_at", rfc3339(case.received_at)),
                ("channel", case.channel),
                ("organisation", case.organisation),
                ("sector", case.sector),
                ("category", case.category),
                ("threshold", case.threshold),
                ("decision", case.decision),
                ("outcome", case.outcome),
                ("concluded_at", rfc3339(case.concluded_at)),
                ("kept_until_review_at", rfc3339(case.review_at)),
            )
            if value is not None
        ),
        *(f"takes part: {address}" for address in held.participants),
        "",
    ]
    for row, content in held.messages:
        mark = "names the person" if row.id in naming else "does not name the person"
        lines += [f"---- message {row.direction}, {say_time(row.received_at, zone)} ({mark})"]
        lines += [*_message_lines(content), ""]
    for suggestion in held.suggestions:
        lines += [
            f"---- suggestion by {suggestion['engine']} {suggestion['version']} (a machine's; an officer decides)",
            f"category: {suggestion['category']}; threshold: {suggestion['threshold']}",
            suggestion["reason"],
            *(f"evidence: {item['text']} ({item['label']}, {item['polarity']})" for item in suggestion["evidence"]),
            "",
        ]
    for decision, reason in held.decisions:
        lines += [
            f"---- decision, {say_time(decision.at, zone)}, by {Actor.parse(decision.by).id}",
            f"{decision.decision}; category {decision.category}; criteria {decision.criteria}",
            reason,
            "",
        ]
    for note, text in held.notes:
        lines += [f"---- note ({note.act}), {say_time(note.at, zone)}, by {Actor.parse(note.by).id}", text, ""]
    return [*lines, "---- history", *history(session, case, zone)]


def _message_lines(content: dict[str, Any]) -> list[str]:
    return [
        f"from: {content.get('sender_name') or ''} <{content['sender'] or ''}>",
        f"to: {', '.join(content['recipients'])}",
        f"subject: {content['subject'] or ''}",
        *(
            f"attachment (searched where its text is below): {attachment['filename']}"
            for attachment in content["attachments"]
        ),
        "",
        text_read(content["full_text"] or content["body_text"] or "", "", content.get("documents", ())),
    ]


def _write(path: Path, lines: Iterable[str]) -> None:
    text = "\n".join(lines) + "\n"
    # What strangers wrote must not act on the terminal that shows it.
    shown = "".join(character for character in text if character in "\n\t" or character.isprintable())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(shown)


def default_folder(now: datetime) -> Path:
    """A new folder's name in the current one. The person's name is not in it."""
    return Path(f"access-export-{new_id(now)[-8:].lower()}")
