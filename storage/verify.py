"""Proving that the record is whole: chains, signed heads, keys, and every sealed value opened at its place.

What does not hold is named by table, row and column, or by chain and entry; never by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlmodel import Session, col, select

from storage import audit
from storage.batches import batches
from storage.keystore import AUDIT_SIGNING, KeyStore
from storage.tables import (
    AuditEntry,
    Case,
    DecisionRow,
    Destruction,
    Message,
    NoteRow,
    Outgoing,
    Participant,
    Raw,
    Spooled,
    Subject,
    SuggestionRow,
)
from storage.vault import Place, Tampered, Vault, key_of, unseal

BATCH = 200
NOTED_ACTS = (
    *("decided", "concluded", "held", "hold_lifted", "purged", "advised", "noted", "handed_over", "signed_off"),
    *("sign_off_refused", "reopened", "set_aside", "meeting_recorded", "action_recorded", "strand_opened"),
    *("strand_closed", "regulator_told", "receipt_corrected", "paused", "resumed", "escalated", "restricted"),
    *(
        "restriction_lifted",
        "merged",
        "split_from",
        "redacted",
        "replied",
        "clock_ended",
        "telephone_wanted",
        "adult_named",
        "feedback_given",
    ),
)
"""Acts whose words are kept sealed, and whose record holds the hash of them."""
_NOTED_IN: dict[str, type[DecisionRow] | type[Message]] = {
    "decided": DecisionRow,
    "advised": Message,
    "replied": Message,
}
"""Where they are kept; the rest is in the notes."""


@dataclass(frozen=True, slots=True)
class _Value:
    place: Place
    sealed: bytes
    sha256: str | None = None
    """Of what it opens to, where that is kept beside it."""
    key_id: str | None = None
    """The data key that a column says it is sealed under."""


def signing_key(keys: KeyStore) -> Ed25519PrivateKey:
    """The key that signs the audit's heads."""
    return Ed25519PrivateKey.from_private_bytes(keys.secret(AUDIT_SIGNING))


def faults(session: Session, vault: Vault) -> Iterator[str]:
    """Everything that does not hold, named; nothing where the record is whole."""
    # Before the first look at the rows: what is signed from now on is in neither.
    expected = vault.keys.signed_head()
    yield from audit.broken_links(session)
    yield from audit.broken_signed_heads(session, signing_key(vault.keys), expected=expected)
    yield from vault.keys.faults()
    yield from _unopened(session, vault.keys)
    yield from _changed_notes(session)
    yield from _orphans(session)


def _unopened(session: Session, keys: KeyStore) -> Iterator[str]:
    """Sealed values that do not open where they stand. What a purge has emptied is no value any more."""
    for some in batches(_values(session), BATCH):
        ids, readable = set(), []
        for value in some:
            where = f"{value.place.table}/{value.place.row}/{value.place.column}"
            try:
                key_id = key_of(value.sealed)
            except Tampered:
                yield f"{where}: is not a sealed value"
                continue
            if value.key_id not in (None, key_id):
                yield f"{where}: is not sealed under the key that is named beside it"
            ids.add(key_id)
            readable.append((where, key_id, value))
        ciphers = keys.ciphers(sorted(ids))
        for where, key_id, value in readable:
            if key_id not in ciphers and _purged_meanwhile(session, key_id):
                continue
            fault = _fault(ciphers.get(key_id), value)
            if fault:
                yield f"{where}: {fault}"


def _purged_meanwhile(session: Session, key_id: str) -> bool:
    """Whether a purge has ordered the key's destruction since ``session``'s view of the rows began."""
    with Session(session.get_bind()) as fresh:
        return session.get(Destruction, key_id) is None and fresh.get(Destruction, key_id) is not None


def _fault(cipher: AESGCM | None, value: _Value) -> str | None:
    if cipher is None:
        return "its key is not in the key store"
    try:
        content = unseal(cipher, value.place, value.sealed)
    except Tampered:
        return "was changed, or moved here from another place"
    if value.sha256 is not None and hashlib.sha256(content).hexdigest() != value.sha256:
        return "is not what its hash says"
    return None


def _purged() -> Any:
    """The cases that the record says were purged. What the case's own row says, whoever can write to it can write."""
    return select(AuditEntry.chain).where(col(AuditEntry.act) == "purged")


def _values(session: Session) -> Iterator[_Value]:
    gone = _purged()
    for raw in session.exec(select(Raw).execution_options(yield_per=20)):
        yield _Value(Place("raw", raw.id, "data"), raw.data, raw.sha256, key_id=raw.key_id)
    for spooled in session.exec(
        select(Spooled)
        .where(col(Spooled.case_id).is_(None) | col(Spooled.case_id).not_in(gone))
        .execution_options(yield_per=BATCH)
    ):
        yield _Value(Place("spool", spooled.id, "content"), spooled.content)
    tables = (Message, SuggestionRow, DecisionRow, Outgoing, Subject)
    # The reason for a purge outlives it, under a key of its own; other notes are emptied with the case.
    for note in session.exec(select(NoteRow).where(col(NoteRow.content) != b"").execution_options(yield_per=BATCH)):
        yield _Value(Place("notes", note.id, "content", note.case_id), note.content)
    for table in tables:
        rows = session.exec(
            select(table, Case.key_id)
            .outerjoin(Case, col(Case.id) == col(table.case_id))
            .where(col(table.case_id).is_(None) | col(table.case_id).not_in(gone))
            .execution_options(yield_per=BATCH)
        )
        for row, key_id in rows:
            assert isinstance(row, tables)  # noqa: S101 (that is what was asked for)
            # A case's words are under the key that its row names: by that key a purge that a restore repeats knows it.
            named = key_id if isinstance(row, Message) else None
            yield _Value(Place(str(row.__tablename__), row.id, "content", row.case_id), row.content, key_id=named)
    for participant in session.exec(
        select(Participant).where(col(Participant.case_id).not_in(gone)).execution_options(yield_per=BATCH)
    ):
        place = Place("participants", participant.address_key, "content", participant.case_id)
        yield _Value(place, participant.content)


def _changed_notes(session: Session) -> Iterator[str]:
    """Reasons and notes that are not the ones that went on the record."""
    gone = _purged()
    entries = session.exec(
        select(AuditEntry.chain, AuditEntry.seq, AuditEntry.act, AuditEntry.detail)
        .where(
            col(AuditEntry.act).in_(NOTED_ACTS), (col(AuditEntry.act) == "purged") | col(AuditEntry.chain).not_in(gone)
        )
        .execution_options(yield_per=BATCH)
    )
    for chain, seq, act, detail in entries:
        note, expected = detail.get("note"), detail.get("note_sha256")
        if note is None:
            continue
        table: type[DecisionRow] | type[Message] | type[NoteRow] = _NOTED_IN.get(act, NoteRow)
        kept = session.exec(select(table.content).where(col(table.id) == note)).first()
        if kept is None:
            yield f"{table.__tablename__}/{note}: is on the record ({chain}/{seq}) and is gone"
        elif hashlib.sha256(kept).hexdigest() != expected:
            yield f"{table.__tablename__}/{note}: is not what went on the record ({chain}/{seq})"


def _orphans(session: Session) -> Iterator[str]:
    """Rows that lead nowhere, and destructions that were ordered and not carried out."""
    references: Sequence[tuple[str, str, object]] = (
        ("messages", "raw bytes", select(Message.id).outerjoin(Raw, col(Raw.id) == col(Message.raw_id)).where(
            col(Message.raw_id).is_not(None), col(Raw.id).is_(None))),
        ("suggestions", "message", select(SuggestionRow.id).outerjoin(
            Message, col(Message.id) == col(SuggestionRow.message_id)).where(col(Message.id).is_(None))),
    )  # fmt: skip
    for table, what, statement in references:
        for identity in session.exec(statement):  # type: ignore[call-overload]
            yield f"{table}/{identity}: its {what} is gone"
    for message_id in session.exec(
        select(Message.id).where(col(Message.raw_id).is_not(None), col(Message.raw_id) != col(Message.id))
    ):
        yield f"messages/{message_id}: its raw bytes are another message's"
    for case_id in session.exec(
        select(Case.id).where(col(Case.purged_at).is_not(None), col(Case.id).not_in(_purged()))
    ):
        yield f"cases/{case_id}: says that it was purged, and the record does not"
    yield from _missing_messages(session)
    for case_id in session.exec(
        select(Case.id)
        .outerjoin(AuditEntry, (col(AuditEntry.chain) == col(Case.id)) & (col(AuditEntry.seq) == 1))
        .where(col(AuditEntry.chain).is_(None))
    ):
        yield f"cases/{case_id}: has no audit chain"
    for key_id in session.exec(select(Destruction.key_id).where(col(Destruction.done_at).is_(None))):
        yield f"destructions/{key_id}: ordered and not carried out yet"


def _missing_messages(session: Session) -> Iterator[str]:
    """Messages that went on a case's record and are not there any more, or have lost their raw bytes."""
    entries = session.exec(
        select(AuditEntry.chain, AuditEntry.seq, AuditEntry.detail)
        .where(
            col(AuditEntry.act).in_(("case_opened", "message_joined", "message_version")),
            col(AuditEntry.chain).not_in(_purged()),
        )
        .execution_options(yield_per=BATCH)
    )
    for some in batches(entries, BATCH):
        named = {str(detail["message"]): f"{chain}/{seq}" for chain, seq, detail in some if "message" in detail}
        rows = session.exec(
            select(Message.id).join(Raw, col(Raw.id) == col(Message.raw_id)).where(col(Message.id).in_(list(named)))
        )
        for message_id in sorted(named.keys() - set(rows)):
            yield f"messages/{message_id}: is on the record ({named[message_id]}) and is gone"
