"""Whom a new case is proposed to: by its sector and urgency, and among several by who has room. Nothing is claimed by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select

from intake_bot.casework import deadlines, rota
from intake_bot.casework.desk import Actor
from intake_bot.casework.duty import among, same
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import OPEN, Status
from storage.tables import Case


def propose(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Put on a new case for whom it is. Whoever it was for keeps it while the rules name them and they are there."""
    if not practice.routing.is_kept or case.status != Status.NEW or case.officer is not None or case.restricted:
        return
    session.flush()
    urgent = deadlines.is_urgent(session, case.id)
    named = practice.routing.people((case.sector, case.sub_sector), urgent=urgent)
    people = rota.present(session, practice, named, now)
    if case.proposed is not None and among(Actor.parse(case.proposed), people):
        return
    chosen = _with_room(session, people, practice.routing.most_open)
    case.proposed = str(chosen) if chosen is not None else None
    session.add(case)


def _with_room(session: Session, people: Sequence[Actor], most_open: int) -> Actor | None:
    """Whoever has fewest open cases, the first named of several; None where nobody has room."""
    if not people or (len(people) == 1 and not most_open):
        return people[0] if people else None
    rows = session.exec(
        select(Case.officer, func.count())
        .where(col(Case.status).in_(OPEN), col(Case.officer).is_not(None))
        .group_by(col(Case.officer))
    ).all()
    loads = [(Actor.parse(officer or ""), count) for officer, count in rows]
    having = {one: sum(count for officer, count in loads if same(officer, one)) for one in people}
    free = [one for one in people if not most_open or having[one] < most_open]
    return min(free, key=lambda one: having[one], default=None)
