"""Identifiers: sortable by the time they were made, so that an index on them grows at its end."""

from __future__ import annotations

import secrets
from datetime import datetime

from ulid import ULID

REFERENCE_ALPHABET = "23456789BCDFGHJKMNPQRSTVWXZ"
"""No vowels (no words come out), no 0, 1, I, L, O, U or Y (nothing is misheard or misread on the telephone)."""
REFERENCE_LENGTH = 6


def new_id(now: datetime) -> str:
    """A ULID of 26 characters: 48 bits of ``now``, 80 random bits. ``now`` must be aware."""
    return str(ULID.from_datetime(now))


def new_reference(prefix: str, year: int) -> str:
    """A reference to say over the telephone, such as ``LADO-26-7KMQ4D``. It opens nothing: knowing one is no right."""
    random_part = "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(REFERENCE_LENGTH))
    return f"{prefix}-{year % 100:02d}-{random_part}"
