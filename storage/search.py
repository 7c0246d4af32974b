"""Word search over sealed content: newest first, opened and looked through one by one, within a time budget.

There is no index of words: one would tell, to whoever has the disk, what the texts say. So a search reads: what was sent to
us with its documents, what officers wrote (our other letters come from templates), and the reasons of decisions. It gives
places (a case, an id, a time), never a quotation, and where it had to stop, a cursor to go on from.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import re
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import Mapped
from sqlmodel import col

from storage.engine import Database
from storage.keys import KeyProblem
from storage.keystore import KeyGone, KeyStore, KeyUnknown
from storage.outbox import ADVICE_KEY
from storage.tables import Case, DecisionRow, Message, Outgoing
from storage.vault import Place, Tampered, key_of, unseal

SECONDS = 5.0
"""How long a search may look before it stops and offers to go on."""
MAX_WORDS = 20
_PAGE = 1_000
LARGE_BYTES = 64 * 1024
"""Sealed content longer than this is fetched by itself."""
_KEYS_HELD = 20_000
_PART = re.compile(r"[^\W_]+")
_BETWEEN = r"[\W_]+"
"""What may stand between the parts of one word, as in O'Brien or a mail address."""
_FIELDS = {
    "messages": ("subject", "sender", "sender_name", "body_text", "full_text"),
    "decisions": ("reason",),
}
_ASCII = bytes(range(128))
_PUNCTUATION = re.compile(
    rb"(?:\xe2\x80[\x90-\xa7\xb0-\xbb]|\xe2\x82\xac|\xc2[\xa0-\xa9\xab\xac\xae-\xb1\xb4\xb6-\xb8\xbb\xbf])*"
)
"""UTF-8 of what is not ASCII in most English mail: typographic quotes, dashes, currency signs, no letter among them."""
_ALIKE = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
"""Letters that Unicode does not take apart, as they are typed on an English keyboard."""


class NoWords(Exception):
    """There is nothing to look for, or too much."""


class WrongCursor(Exception):
    """The cursor is none that a search gave."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far back a search has looked: to go on is to look at what is older than this."""

    at: datetime
    id: str

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).isoformat()}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises WrongCursor."""
        moment, _, identity = text.partition("/")
        try:
            at = datetime.fromisoformat(moment)
        except ValueError:
            raise WrongCursor from None
        if at.tzinfo is None or not identity.isalnum():
            raise WrongCursor
        return cls(at.astimezone(UTC), identity)


@dataclass(frozen=True, slots=True)
class Match:
    """Where all the words are. ``kind`` is ``message`` or ``decision``; without a case it is on the unfiled list."""

    kind: str
    id: str
    at: datetime
    case_id: str | None
    reference: str | None

    @property
    def cursor(self) -> Cursor:
        """To go on after this match, for whoever has seen enough for now."""
        return Cursor(self.at, self.id)


@dataclass(frozen=True, slots=True)
class Looked:
    """How a search ended. Without a ``cursor`` it has seen everything that it was to see."""

    examined: int | None
    """How many texts; None where it was stopped at a number of matches."""
    unreadable: int
    """What was changed, or whose key is gone, and could not be looked into; ``verify`` names it."""
    back_to: datetime | None
    """When the oldest thing arrived that it looked at; None where there was nothing."""
    cursor: Cursor | None


_Rows: TypeAlias = Select[datetime, str, str | None, str, bytes | None]


class Words:
    """The words to find, all of them, whole, whatever their case and accents; a trailing ``*`` finds what begins so."""

    def __init__(self, given: Sequence[str]) -> None:
        """Raises NoWords. A word of several parts (O'Brien, a mail address) is found where they stand together."""
        found: dict[str, tuple[tuple[str, ...], bool]] = {}
        for word in (part for text in given for part in text.split()):
            parts = tuple(_PART.findall(fold(word)))
            if parts:
                is_prefix = word.endswith("*")
                found[".".join(parts) + "*" * is_prefix] = (parts, is_prefix)
        if not 0 < len(found) <= MAX_WORDS:
            raise NoWords
        self.canonical = tuple(sorted(found))
        """The words as they are looked for: the same for every way of writing the same search."""
        # The longest is the rarest, as a rule: most texts are left after one look.
        distinct = {part for some, _ in found.values() for part in some}
        self._parts = tuple(part.encode() for part in sorted(distinct, key=lambda part: (-len(part), part)))
        self._patterns = tuple(
            re.compile(
                r"(?<![^\W_])" + _BETWEEN.join(map(re.escape, some)) + ("" if is_prefix else r"(?![^\W_])"),
            )
            for some, is_prefix in found.values()
        )

    def __repr__(self) -> str:
        return f"Words({len(self.canonical)})"

    def may_be_in(self, content: bytes) -> bool:
        """False only where the words cannot be in this JSON. Cheap: it parses nothing, and most texts end here.

        JSON as the vault writes it escapes no letter and no digit, so a part that is in a text is in its JSON too.
        """
        folded = _folded(content)
        return all(part in folded for part in self._parts)

    def are_in(self, texts: Sequence[str]) -> bool:
        """Whether each word is in one of the texts."""
        # Most often the whole text is the text: no need to look twice.
        folded = [fold(text) for text in dict.fromkeys(texts)]
        return all(any(pattern.search(text) for text in folded) for pattern in self._patterns)


def fold(text: str) -> str:
    """Lower case without accents, character by character. Punctuation may stay as it is."""
    if text.isascii():
        return text.lower()
    return _folded(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _folded(content: bytes) -> bytes:
    """:func:`fold` on UTF-8. Few letters are strange as a rule, and replacing those is quicker than visiting all."""
    folded = content.lower()
    if not content.isascii():
        strange = content.translate(None, _ASCII)
        if not _PUNCTUATION.fullmatch(strange):
            for letter in set(strange.decode("utf-8", "surrogatepass")):
                folded = folded.replace(letter.encode("utf-8", "surrogatepass"), _plain(letter))
    return folded


@cache
def _plain(letter: str) -> bytes:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", letter).casefold())
    # Marks are what accents come apart into; format characters (a soft hyphen) are not seen by the reader.
    kept = (one for one in letters if unicodedata.category(one) not in {"Mn", "Cf"})
    return "".join(_ALIKE.get(one, one) for one in kept).encode("utf-8", "surrogatepass")


def scan(
    database: Database,
    keys: KeyStore,
    words: Words,
    *,
    clock: Callable[[], float],
    officer: str | None = None,
    since: datetime | None = None,
    before: Cursor | None = None,
    seconds: float = SECONDS,
) -> Iterator[Match | Looked]:
    """Gives matches as they are found, newest first, and at the end how far it looked.

    ``clock`` gives seconds (as ``time.monotonic`` does); after ``seconds`` of it the search stops, though never before it
    has looked at one thing, so that whoever goes on gets on. ``officer`` (a name, or an actor as the record has it): only
    that officer's cases. What is purged is passed over; what does not open is counted and passed over.
    """
    until = clock() + seconds
    examined = unreadable = 0
    last: _Item | None = None
    with database.read() as session, contextlib.ExitStack() as stack:
        ring = _KeyRing(keys)
        # Closed in the end, whoever leaves early: PostgreSQL keeps a cursor for each.
        sources = [
            stack.enter_context(contextlib.closing(_items(session.connection(), ring, *source)))
            for source in _sources(officer, since, before)
        ]
        for item in heapq.merge(*sources, reverse=True):
            if last is not None and clock() >= until:
                yield Looked(examined, unreadable, last.at, Cursor(last.at, last.id))
                return
            examined += 1
            found = item.has(words)
            if found is None:
                unreadable += 1
            elif found:
                yield Match(item.table.removesuffix("s"), item.id, item.at, item.case_id, item.reference)
            last = item
    yield Looked(examined, unreadable, last.at if last else None, None)


class _Item(NamedTuple):
    """Something to look into, with the key at hand (None where that is gone). Items are in order by their first fields."""

    at: datetime
    id: str
    table: str
    case_id: str | None
    reference: str | None
    sealed: bytes
    cipher: AESGCM | None

    def has(self, words: Words) -> bool | None:
        """None where it does not open."""
        if self.cipher is None:
            return None
        try:
            content = unseal(self.cipher, Place(self.table, self.id, "content", self.case_id), self.sealed)
        except Tampered:
            return None
        if not words.may_be_in(content):
            return False
        value: dict[str, Any] = json.loads(content)
        texts = [value.get(name) or "" for name in _FIELDS[self.table]]
        texts += [document["text"] for document in value.get("documents", ())]
        return words.are_in(texts)


def _sources(officer: str | None, since: datetime | None, before: Cursor | None) -> Iterator[tuple[str, _Rows]]:
    # Of our own letters (out) advice alone says something new: the others come from templates.
    written = select(col(Outgoing.id)).where(col(Outgoing.key) == literal(ADVICE_KEY) + col(Message.id)).exists()
    yield (
        "messages",
        _newest_first(Message, col(Message.received_at), officer, since, before).where(
            or_(col(Message.direction) == "in", written)
        ),
    )
    yield "decisions", _newest_first(DecisionRow, col(DecisionRow.at), officer, since, before)


def _newest_first(
    table: type[Message | DecisionRow],
    at: Mapped[datetime],
    officer: str | None,
    since: datetime | None,
    before: Cursor | None,
) -> _Rows:
    identity, case_id = col(table.id), col(table.case_id)
    # A page of what is usual is a few megabytes; of the largest mails it would be gigabytes, so those come one by one.
    content = case((func.length(col(table.content)) <= LARGE_BYTES, col(table.content)), else_=None)
    statement: _Rows = (
        select(at, identity, case_id, col(Case.reference), content)
        .outerjoin(Case, col(Case.id) == case_id)
        .where(col(Case.purged_at).is_(None))
        .order_by(at.desc(), identity.desc())
    )
    if officer is not None:
        # Wrapped, so that no planner begins with the cases and sorts all their content by time.
        statement = statement.where(
            func.coalesce(col(Case.officer), "").in_([officer, f"terminal:{officer}", f"slack:{officer}"])
        )
    if since is not None:
        statement = statement.where(at >= since)
    if before is not None:
        # The first condition says nothing that the second does not, but it is one that an index can use.
        statement = statement.where(at <= before.at, or_(at < before.at, and_(at == before.at, identity < before.id)))
    return statement


def _items(connection: Connection, ring: _KeyRing, table: str, statement: _Rows) -> Generator[_Item, None, None]:
    with connection.execution_options(yield_per=_PAGE).execute(statement) as rows:
        for page in rows.partitions():
            # What has lost its content with its key has nothing to look into.
            kept = [(row, _key_id(row[4]) if row[4] else "") for row in page if row[4] != b""]
            ring.fetch({key_id for _, key_id in kept if key_id})
            for (at, identity, case_id, reference, sealed), key_id in kept:
                if sealed is not None:
                    yield _Item(at, identity, table, case_id, reference, sealed, ring.opened.get(key_id))
                elif large := connection.execute(_content_of(table, identity)).scalar():
                    ring.fetch({_key_id(large)})
                    yield _Item(at, identity, table, case_id, reference, large, ring.opened.get(_key_id(large)))


def _content_of(table: str, identity: str) -> Select[bytes]:
    rows: type[Message | DecisionRow] = Message if table == "messages" else DecisionRow
    return select(col(rows.content)).where(col(rows.id) == identity)


class _KeyRing:
    """Opened keys, for a while: a decision is under the key of its case, and follows soon after the case's message."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self.opened: dict[str, AESGCM] = {}

    def fetch(self, key_ids: Set[str]) -> None:
        """Have these at hand, as far as they are there and unchanged."""
        wanted = list(key_ids - self.opened.keys())
        for oldest in list(islice(self.opened, max(0, len(self.opened) + len(wanted) - _KEYS_HELD))):
            if oldest not in key_ids:
                del self.opened[oldest]
        try:
            self.opened |= self._keys.ciphers(wanted)
        except KeyProblem:
            # One key that was tampered with must not hide the texts under the others.
            for key_id in wanted:
                with contextlib.suppress(KeyProblem, KeyGone, KeyUnknown):
                    self.opened[key_id] = self._keys.cipher(key_id)


def _key_id(sealed: bytes) -> str:
    try:
        return key_of(sealed)
    except Tampered:
        return ""
