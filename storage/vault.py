"""The one door through which content goes into rows and comes out again, and the keyed hashes used to match it.

Every content column holds what :meth:`Vault.seal` returns: AES-256-GCM under a data key of the key store, bound to its
:class:`Place`. A value that was changed, or moved to another table, row, column or case, does not open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.keystore import INDEX_ROOT, KEY_ID_BYTES, NONCE_BYTES, KeyChanged, KeyGone, KeyStore, KeyUnknown

SEALED = 0x01
"""The first byte of a sealed value: format, then key id, nonce, ciphertext and tag."""
OVERHEAD = 1 + KEY_ID_BYTES + NONCE_BYTES + 16
TAG_BYTES = 10


class WrongKey(Exception):
    """The key store is not the one that this database was made with."""


class Tampered(Exception):
    """The value is not what was sealed for this place: it was changed, moved or cut."""


UNOPENABLE = (Tampered, KeyGone, KeyUnknown, KeyChanged)
"""What one value's opening raises when it is that value, or its key, that is at fault."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lives. A sealed value opens only at the place it was sealed for."""

    table: str
    row: str
    column: str
    case_id: str | None = None

    def bound(self) -> bytes:
        """What the seal is bound to, unambiguously. (Ids hold no NUL.)"""
        return "\x00".join(("intake-bot/1", self.table, self.row, self.column, self.case_id or "")).encode()


class Vault:
    """Seals content and makes keyed hashes, with the keys of an opened key store."""

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys

    def __repr__(self) -> str:
        return "Vault(...)"

    def seal(self, place: Place, content: bytes, *, key: str) -> bytes:
        """What goes into the column, sealed under the data key of that id. Raises KeyGone or KeyUnknown."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return (
            bytes([SEALED]) + bytes.fromhex(key) + nonce + self.keys.cipher(key).encrypt(nonce, content, place.bound())
        )

    def open(self, place: Place, sealed: bytes) -> bytes:
        """What :meth:`seal` was given. Raises Tampered, KeyGone or KeyUnknown."""
        return unseal(self.keys.cipher(key_of(sealed)), place, sealed)

    def seal_json(self, place: Place, value: Any, *, key: str) -> bytes:
        return self.seal(
            place,
            json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"),
            key=key,
        )

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
        """Names the key store without telling a key; kept in the database so that a wrong one is noticed at once.

        It outlives a rotation of the master key, as the keyed hashes and the reply addresses do.
        """
        return self.blind("fingerprint", "intake-bot")[:32]

    def _derived(self, purpose: str) -> bytes:
        return hmac.new(self.keys.secret(INDEX_ROOT), b"intake-bot/1/" + purpose.encode(), hashlib.sha256).digest()


def key_of(sealed: bytes) -> str:
    """The id of the data key that a value is sealed under. Raises Tampered for what is no sealed value."""
    if len(sealed) < OVERHEAD or sealed[0] != SEALED:
        raise Tampered("not a sealed value")
    return bytes(sealed[1 : 1 + KEY_ID_BYTES]).hex()


def unseal(cipher: AESGCM, place: Place, sealed: bytes) -> bytes:
    """Open with a key at hand. Raises Tampered."""
    start = 1 + KEY_ID_BYTES
    try:
        return cipher.decrypt(
            bytes(sealed[start : start + NONCE_BYTES]), bytes(sealed[start + NONCE_BYTES :]), place.bound()
        )
    except InvalidTag:
        raise Tampered(f"{place.table}/{place.row}/{place.column}") from None
