"""The one door through which content goes into rows and comes out again, and the keyed hashes used to match it.

Every content column holds what :meth:`Vault.seal` returns. The first byte says how the rest is kept; today there is one
way, ``PLAIN``: content is readable in the database file. The record's encryption adds another format behind this same
door: :class:`Place` already names everything that a value must be bound to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

PLAIN = 0x00
TAG_BYTES = 10


class WrongKey(Exception):
    """The master key is not the one that this database was made with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lives. A sealed value opens only at the place it was sealed for."""

    table: str
    row: str
    column: str
    case_id: str | None = None


class Vault:
    """Seals content and makes keyed hashes. ``master`` is 32 random bytes and never leaves this object."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise ValueError("the master key must be 32 bytes")
        self._master = master

    def __repr__(self) -> str:
        return "Vault(...)"

    def seal(self, place: Place, content: bytes) -> bytes:
        """What goes into the column."""
        return bytes([PLAIN]) + content

    def open(self, place: Place, sealed: bytes) -> bytes:
        """What :meth:`seal` was given. Raises ValueError for a format that this version does not know."""
        if not sealed or sealed[0] != PLAIN:
            raise ValueError("sealed in a format that this version does not know")
        return bytes(sealed[1:])

    def seal_json(self, place: Place, value: Any) -> bytes:
        return self.seal(place, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    def open_json(self, place: Place, sealed: bytes) -> Any:
        return json.loads(self.open(place, sealed))

    def blind(self, purpose: str, value: str) -> str:
        """A keyed hash of ``value``, 64 hex digits: equal values match, and nobody without the key can guess them.

        ``purpose`` separates the uses, so that an address and a Message-ID of the same text do not match.
        """
        return hmac.new(self._derived(purpose), value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def tag(self, purpose: str, value: str) -> str:
        """An unguessable tag of 16 lower-case characters (80 bits), fit for the local part of a mail address."""
        digest = hmac.new(self._derived(purpose), value.encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:TAG_BYTES]).decode().lower()

    def fingerprint(self) -> str:
        """Names the key without telling it; kept in the database so that a wrong key is noticed at once."""
        return self.blind("fingerprint", "intake-bot")[:32]

    def _derived(self, purpose: str) -> bytes:
        return hmac.new(self._master, b"intake-bot/1/" + purpose.encode(), hashlib.sha256).digest()
