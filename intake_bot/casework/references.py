"""The references by which people name cases."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from intake_bot.casework.practice import Practice
from storage.ids import new_reference
from storage.tables import Case

_HOLDER = select(Case.id).where(col(Case.reference) == bindparam("reference"))


def free_reference(session: Session, practice: Practice, received_at: datetime) -> str:
    """A reference that no case has yet."""
    year = received_at.astimezone(practice.calendar.zone).year
    while True:
        reference = new_reference(practice.reference_prefix, year)
        if session.exec(_HOLDER, params={"reference": reference}).first() is None:
            return reference
