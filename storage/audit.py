"""The record of acts: append-only, content-free, hash-chained per case, with one chain for the service itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import bindparam, insert, update
from sqlmodel import Session, col, select, tuple_

from storage.batches import batches
from storage.tables import AuditEntry, ChainHead, SignedHead, rows_of

SERVICE_CHAIN = "service"
_GENESIS = "0" * 64


_ENTRIES, _HEADS = rows_of(AuditEntry), rows_of(ChainHead)
_HEAD = select(_HEADS.c.seq, _HEADS.c.hash).where(_HEADS.c.chain == bindparam("of")).with_for_update()
_ADD_ENTRY, _ADD_HEAD = insert(_ENTRIES), insert(_HEADS)
_MOVE_HEAD = (
    update(_HEADS).where(_HEADS.c.chain == bindparam("of")).values(seq=bindparam("seq"), hash=bindparam("hash"))
)
HEADS_AT_ONCE = 5000
"""Heads in one signed head; more make another."""


@dataclass(frozen=True, slots=True)
class Note:
    """The words behind an act, as they are kept: the row's id and its sealed bytes."""

    id: str
    sealed: bytes


def record(
    session: Session,
    chain: str,
    *,
    at: datetime,
    actor: str,
    act: str,
    code: str | None = None,
    detail: Mapping[str, Any] | None = None,
    note: Note | None = None,
) -> None:
    """Add an entry in the caller's transaction, so that an act and its record stand or fall together.

    ``chain`` is a case's id or :data:`SERVICE_CHAIN`. ``detail`` holds codes, ids, counts and hashes, never content. Of a
    ``note`` the id and the hash of its sealed bytes go on the record, so that a changed note shows.
    """
    detail = dict(detail or {})
    if note is not None:
        detail |= {"note": note.id, "note_sha256": hashlib.sha256(note.sealed).hexdigest()}
    # Rows for the driver, not objects: this is on the way of every message.
    connection, held = session.connection(), _held(session)
    head = held.get(chain) or connection.execute(_HEAD, {"of": chain}).first()
    last, previous = head or (0, _GENESIS)
    entry: dict[str, Any] = {
        "chain": chain,
        "seq": last + 1,
        "at": at,
        "actor": actor,
        "act": act,
        "code": code,
        "detail": detail,
        "previous": previous,
    }
    entry["hash"] = _hash(entry)
    connection.execute(_ADD_ENTRY, entry)
    now = {"seq": entry["seq"], "hash": entry["hash"]}
    if head is None:
        connection.execute(_ADD_HEAD, {"chain": chain, "signed_seq": 0} | now)
    else:
        connection.execute(_MOVE_HEAD, {"of": chain} | now)
    held[chain] = (entry["seq"], entry["hash"])


_HELD = "audit_heads"


def _held(session: Session) -> dict[str, tuple[int, str]]:
    """The heads that this transaction has moved: it holds their rows, so nobody moves them before it ends.

    A savepoint is a transaction of its own here: what it moved and took back is forgotten with it.
    """
    transaction = session.get_nested_transaction() or session.get_transaction()
    of, heads = session.info.get(_HELD, (None, None))
    if heads is None or of is not transaction:
        heads = {}
        session.info[_HELD] = (transaction, heads)
    return cast(dict[str, tuple[int, str]], heads)


@dataclass(frozen=True, slots=True)
class Act:
    """An entry to be added: as :func:`record` takes it, without a note."""

    chain: str
    act: str
    code: str | None
    detail: Mapping[str, Any]


CHAINS_AT_ONCE = 500


def record_each(session: Session, acts: Sequence[Act], *, at: datetime, actor: str) -> None:
    """Add many entries at once, in the caller's transaction and in their order: the same entries, in a few statements."""
    connection, held = session.connection(), _held(session)
    heads = {act.chain: held[act.chain] for act in acts if act.chain in held}
    for some in batches(sorted({act.chain for act in acts} - set(heads)), CHAINS_AT_ONCE):
        # In one order everywhere, so that two who add to the same chains do not wait for each other.
        found = select(_HEADS.c.chain, _HEADS.c.seq, _HEADS.c.hash).where(_HEADS.c.chain.in_(some))
        rows = connection.execute(found.order_by(_HEADS.c.chain).with_for_update())
        heads |= {chain: (seq, hash_) for chain, seq, hash_ in rows}
    known = set(heads)
    entries = []
    for act in acts:
        last, previous = heads.get(act.chain, (0, _GENESIS))
        entry: dict[str, Any] = {
            "chain": act.chain,
            "seq": last + 1,
            "at": at,
            "actor": actor,
            "act": act.act,
            "code": act.code,
            "detail": dict(act.detail),
            "previous": previous,
        }
        entry["hash"] = _hash(entry)
        heads[act.chain] = (last + 1, entry["hash"])
        entries.append(entry)
    if not entries:
        return
    connection.execute(_ADD_ENTRY, entries)
    moved = {chain: {"seq": seq, "hash": hash_} for chain, (seq, hash_) in heads.items()}
    if new := [{"chain": chain, "signed_seq": 0} | to for chain, to in moved.items() if chain not in known]:
        connection.execute(_ADD_HEAD, new)
    if old := [{"of": chain} | to for chain, to in moved.items() if chain in known]:
        connection.execute(_MOVE_HEAD, old)
    held.update(heads)


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256 over a canonical form of the entry and the hash before it."""
    return _hash(entry.model_dump(exclude={"hash"}))


def _hash(entry: Mapping[str, Any]) -> str:
    body = json.dumps(
        [
            entry["chain"],
            entry["seq"],
            entry["at"].isoformat(timespec="microseconds"),
            entry["actor"],
            entry["act"],
            entry["code"],
            entry["detail"],
            entry["previous"],
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(body.encode()).hexdigest()


def broken_links(session: Session) -> Iterator[str]:
    """Names the first fault of each chain that does not hold, as ``chain/seq: what``."""
    heads = {head.chain: (head.seq, head.hash) for head in session.exec(select(ChainHead))}
    previous: dict[str, tuple[int, str]] = {}
    faulty: set[str] = set()
    for entry in session.exec(select(AuditEntry).order_by(col(AuditEntry.chain), col(AuditEntry.seq))):
        if entry.chain in faulty:
            continue
        seq, before = previous.get(entry.chain, (0, _GENESIS))
        fault = None
        if entry.seq != seq + 1:
            fault = "an entry before this one is missing"
        elif entry.previous != before:
            fault = "does not follow the entry before it"
        elif entry_hash(entry) != entry.hash:
            fault = "was changed"
        if fault:
            faulty.add(entry.chain)
            yield f"{entry.chain}/{entry.seq}: {fault}"
        previous[entry.chain] = (entry.seq, entry.hash)
    for chain, head in heads.items():
        if chain not in faulty and previous.get(chain) != head:
            yield f"{chain}/{head[0]}: the chain ends before its head"
    for chain in previous.keys() - heads.keys() - faulty:
        yield f"{chain}/0: the chain has no head"


def sign_heads(session: Session, key: Ed25519PrivateKey, *, now: datetime) -> SignedHead | None:
    """Gather the heads that moved since the last time in a signed head; None where none has.

    Each signed head holds the hash of the one before, so a chain that was ever signed cannot be taken away unseen.
    """
    moved = session.exec(
        select(ChainHead)
        .where(col(ChainHead.seq) > col(ChainHead.signed_seq))
        .order_by(col(ChainHead.chain))
        .limit(HEADS_AT_ONCE)
        .with_for_update()
    ).all()
    if not moved:
        return None
    before = session.exec(select(SignedHead).order_by(col(SignedHead.seq).desc()).limit(1)).first()
    signed = SignedHead(
        seq=before.seq + 1 if before else 1,
        at=now,
        heads=[[head.chain, head.seq, head.hash] for head in moved],
        previous=before.hash if before else _GENESIS,
        hash="",
        signature="",
    )
    signed.hash = _signed_hash(signed)
    signed.signature = key.sign(bytes.fromhex(signed.hash)).hex()
    session.add(signed)
    for head in moved:
        head.signed_seq = head.seq
        session.add(head)
    session.flush()
    return signed


def latest_signed(session: Session) -> SignedHead | None:
    return session.exec(select(SignedHead).order_by(col(SignedHead.seq).desc()).limit(1)).first()


def follows(newest: SignedHead | None, mark: str) -> bool:
    """Whether the newest signed head is the one marked (``SEQ:HASH``), or a later one. All follow a mark of 0."""
    seq, _, digest = mark.partition(":")
    if int(seq) == 0:
        return True  # A backup from before the first was restored.
    return newest is not None and (newest.seq > int(seq) or (newest.seq == int(seq) and newest.hash == digest))


def broken_signed_heads(session: Session, key: Ed25519PrivateKey, *, expected: str | None) -> Iterator[str]:
    """Names what does not hold between the signed heads and the chains, as ``signed head N: what``.

    ``expected`` is the newest signed head as the key store knows it (``SEQ:HASH``), which a thief of rows cannot reach.
    """
    public = key.public_key()
    seq, before = 0, _GENESIS
    for signed in session.exec(select(SignedHead).order_by(col(SignedHead.seq)).execution_options(yield_per=50)):
        where = f"signed head {signed.seq}"
        if signed.seq != seq + 1:
            yield f"{where}: one before it is missing"
        elif signed.previous != before:
            yield f"{where}: does not follow the one before it"
        if _signed_hash(signed) != signed.hash:
            yield f"{where}: was changed"
        try:
            public.verify(bytes.fromhex(signed.signature), bytes.fromhex(signed.hash))
        except (InvalidSignature, ValueError):
            yield f"{where}: its signature is not ours"
        yield from (f"{where}: {fault}" for fault in _unkept_heads(session, signed.heads))
        seq, before = signed.seq, signed.hash
    if expected is not None and expected != f"{seq}:{before}":
        known = int(expected.partition(":")[0])
        if known >= seq:
            yield f"signed head {known}: is missing"


def _unkept_heads(session: Session, heads: list[Any]) -> Iterator[str]:
    for start in range(0, len(heads), 300):
        some = {(chain, seq): digest for chain, seq, digest in heads[start : start + 300]}
        rows = session.exec(
            select(AuditEntry.chain, AuditEntry.seq, AuditEntry.hash).where(
                tuple_(col(AuditEntry.chain), col(AuditEntry.seq)).in_(list(some))
            )
        )
        there = {(chain, seq): digest for chain, seq, digest in rows}
        for (chain, seq), digest in some.items():
            if (chain, seq) not in there:
                yield f"{chain}/{seq} was signed and is gone"
            elif there[chain, seq] != digest:
                yield f"{chain}/{seq} is not what was signed"


def _signed_hash(signed: SignedHead) -> str:
    body = json.dumps(
        [signed.seq, signed.at.isoformat(timespec="microseconds"), signed.heads, signed.previous],
        separators=(",", ":"),
    )
    return hashlib.sha256(body.encode()).hexdigest()
