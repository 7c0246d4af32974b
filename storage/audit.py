"""The record of acts: append-only, content-free, hash-chained per case, with one chain for the service itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from storage.tables import AuditEntry, ChainHead

SERVICE_CHAIN = "service"
_GENESIS = "0" * 64


def record(
    session: Session,
    chain: str,
    *,
    at: datetime,
    actor: str,
    act: str,
    code: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry in the caller's transaction, so that an act and its record stand or fall together.

    ``chain`` is a case's id or :data:`SERVICE_CHAIN`. ``detail`` holds codes, ids, counts and hashes, never content.
    """
    head = session.exec(select(ChainHead).where(col(ChainHead.chain) == chain).with_for_update()).one_or_none()
    if head is None:
        head = ChainHead(chain=chain, seq=0, hash=_GENESIS)
    entry = AuditEntry(
        chain=chain,
        seq=head.seq + 1,
        at=at,
        actor=actor,
        act=act,
        code=code,
        detail=dict(detail or {}),
        previous=head.hash,
        hash="",
    )
    entry.hash = entry_hash(entry)
    head.seq, head.hash = entry.seq, entry.hash
    session.add(head)
    session.add(entry)
    session.flush()
    return entry


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256 over a canonical form of the entry and the hash before it."""
    body = json.dumps(
        [
            entry.chain,
            entry.seq,
            entry.at.isoformat(timespec="microseconds"),
            entry.actor,
            entry.act,
            entry.code,
            entry.detail,
            entry.previous,
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
