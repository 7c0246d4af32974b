"""Earlier contacts about the same adult or setting: found under keyed hashes, compared in the open, shown to officers.

Names that stand in a message, and the one that an officer gives, are kept sealed under the case's key; beside them stand
keyed hashes of what two writings of a name share. What is said of a match holds no name, but how sure it is and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, bindparam, insert
from sqlalchemy import select as select_rows
from sqlmodel import Session, col, delete, select

from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import Remark, Status
from storage.ids import new_id
from storage.tables import Case, Subject, SubjectKey, rows_of
from storage.vault import UNOPENABLE, Place
from triage import names
from triage.names import Likeness, Name

TEXT, OFFICER = "text", "officer"
"""Where a name comes from: a message, or an officer's own word on who it is about."""
MOST_NAMES = 4
"""Names of one message that are kept: whoever it is about is named early."""
SURE_ENOUGH = 0.6
"""From here a card says that there are earlier contacts."""
LEAST_SURE = 0.4
"""Below it is not shown."""
MOST_CANDIDATES = 100
"""The newest that share a key are compared when an officer looks; when a message comes, fewer, for it must not wait."""
MOST_AT_ONCE = 10
MOST_SHOWN = 10
PATTERN, PATTERN_DAYS = 4, 90
"""So many contacts about one setting within so many days, this one among them, are a flag."""
_SAME_SETTING = 0.08


_ADD_SUBJECTS, _ADD_KEYS = insert(rows_of(Subject)), insert(rows_of(SubjectKey))
_KEYS = rows_of(SubjectKey).c
_OWN: BindParameter[list[str]] = bindparam("own", expanding=True)
_LIKE = (
    select_rows(_KEYS.case_id)
    .where(_KEYS.key.in_(select_rows(_KEYS.key).where(_KEYS.case_id.in_(_OWN))), _KEYS.case_id.not_in(_OWN))
    .distinct()
    .order_by(_KEYS.case_id.desc())
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A contact that may concern the same adult. ``reference`` is None for one that is restricted."""

    reference: str | None
    received_at: datetime
    sure: float
    why: str
    decision: str | None
    outcome: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.reference,
            "received_at": self.received_at.isoformat().replace("+00:00", "Z"),
            "sure": self.sure,
            "why": self.why,
            "decision": self.decision,
            "outcome": self.outcome,
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """Contacts about one setting within :data:`PATTERN_DAYS`, the newest first; restricted ones are counted alone."""

    contacts: int
    references: tuple[str, ...]


def note(
    session: Session, practice: Practice, case: Case, found: Iterable[Name], *, source: str, now: datetime
) -> None:
    """Keep names on a case. In a no-names consultation nobody is kept."""
    if case.no_names:
        return
    rows, keys = [], []
    for name in found:
        row_id = new_id(now)
        place = Place("subjects", row_id, "content", case.id)
        content = practice.vault.seal_json(place, {"first": name.first, "last": name.last}, key=case.key_id)
        rows.append({"id": row_id, "case_id": case.id, "source": source, "created_at": now, "content": content})
        keys += [
            {"subject_id": row_id, "key": practice.vault.blind("name", key), "case_id": case.id}
            for key in names.keys(name)
        ]
    if rows:
        session.flush()
        # Rows, not objects: each message brings a few dozen.
        connection = session.connection()
        connection.execute(_ADD_SUBJECTS, rows)
        connection.execute(_ADD_KEYS, keys)


def named_by_officer(session: Session, practice: Practice, case: Case, name: Name, *, now: datetime) -> None:
    """Who it is about, as an officer says: in place of what they said before. What stands in messages stays."""
    before = select(Subject.id).where(col(Subject.case_id) == case.id, col(Subject.source) == OFFICER)
    session.exec(delete(SubjectKey).where(col(SubjectKey.subject_id).in_(before)))
    session.exec(delete(Subject).where(col(Subject.case_id) == case.id, col(Subject.source) == OFFICER))
    note(session, practice, case, [name], source=OFFICER, now=now)
    session.flush()


def earlier(
    session: Session,
    practice: Practice,
    case: Case,
    *,
    most: int = MOST_CANDIDATES,
    named: Sequence[Name] | None = None,
) -> list[Earlier]:
    """Other contacts that may concern the same adult, the surest first; of those that share a key, the ``most`` newest.

    ``named``: for a case that is new, the names that were just noted on it, so that nothing of its own is looked for.
    """
    # What was merged into this case is this one's.
    merged = () if named is not None else session.exec(_MERGED, params={"into": case.id})
    own = [case.id, *merged]
    # Most are like nobody, and that is told by the index alone.
    ids = list(session.connection().execute(_LIKE, {"own": own, "most": most}).scalars())
    if not ids:
        return []
    if named is None:
        ours = [(source, name) for _, source, name in _names(session, practice, own)]
    else:
        ours = [(TEXT, name) for name in named]
    candidates = session.exec(
        select(Case)
        .where(
            col(Case.id).in_(ids),
            col(Case.purged_at).is_(None),
        )
        .order_by(col(Case.received_at).desc())
    ).all()
    theirs: dict[str, list[tuple[str, Name]]] = {}
    for case_id, source, name in _names(session, practice, ids):
        theirs.setdefault(case_id, []).append((source, name))
    found: dict[str, Earlier] = {}
    for candidate in candidates:
        best = _best(ours, theirs.get(candidate.id, []))
        if best is None:
            continue
        # What was merged is dealt with under the other reference.
        other = session.get(Case, candidate.merged_into) if candidate.merged_into else candidate
        if other is None or other.id in own:
            continue
        sure, why = best.sure, best.why
        if case.organisation and case.organisation == other.organisation:
            sure, why = min(sure + _SAME_SETTING, 0.98), f"{why}, and the same setting"
        known = found.get(other.id)
        if sure < LEAST_SURE or (known is not None and known.sure >= sure):
            continue
        hidden = other.restricted or candidate.restricted
        found[other.id] = Earlier(
            reference=None if hidden else other.reference,
            received_at=other.received_at,
            sure=round(sure, 2),
            why=why,
            decision=None if hidden else other.decision,
            outcome=None if hidden else other.outcome,
        )
    return sorted(found.values(), key=lambda one: (-one.sure, -one.received_at.timestamp()))[:MOST_SHOWN]


_AT_SETTING = (
    select(Case.id, Case.reference, Case.restricted)
    .where(
        col(Case.organisation) == bindparam("organisation"),
        col(Case.received_at) > bindparam("since"),
        col(Case.received_at) <= bindparam("until"),
        col(Case.status) != Status.NOT_A_CONSULTATION,
    )
    .order_by(col(Case.received_at).desc())
)
_MERGED = select(Case.id).where(col(Case.merged_into) == bindparam("into"))


def setting(session: Session, case: Case) -> Setting | None:
    """The contacts about this case's setting up to its receipt, this one among them; None where no setting is known."""
    if not case.organisation:
        return None
    since = case.received_at - timedelta(days=PATTERN_DAYS)
    facts = {"organisation": case.organisation, "since": since, "until": case.received_at}
    rows = session.exec(_AT_SETTING, params=facts).all()
    references = tuple(reference for case_id, reference, restricted in rows if case_id != case.id and not restricted)
    return Setting(len(rows), references[:MOST_SHOWN])


def look(session: Session, practice: Practice, case: Case, *, named: Sequence[Name] | None = None) -> None:
    """Set on the card whether there is anything earlier to look at. The caller draws the card anew.

    ``named`` as :func:`earlier` takes it.
    """
    session.flush()
    now_true = []
    if any(one.sure >= SURE_ENOUGH for one in earlier(session, practice, case, most=MOST_AT_ONCE, named=named)):
        now_true.append(Remark.EARLIER_CONTACT.value)
    about = setting(session, case)
    if about is not None and about.contacts >= PATTERN:
        now_true.append(Remark.SETTING_PATTERN.value)
    kept = [remark for remark in case.remarks if remark not in (Remark.EARLIER_CONTACT, Remark.SETTING_PATTERN)]
    case.remarks = [*kept, *now_true]
    session.add(case)


def _names(session: Session, practice: Practice, ids: Iterable[str]) -> list[tuple[str, str, Name]]:
    """Case, source and name of each that is kept on these cases. One that does not open is passed over."""
    found = []
    for row in session.exec(select(Subject).where(col(Subject.case_id).in_(list(ids)))).all():
        try:
            content = practice.vault.open_json(Place("subjects", row.id, "content", row.case_id), row.content)
        except (*UNOPENABLE, ValueError):
            continue
        found.append((row.case_id, row.source, Name(content["first"], content["last"])))
    return found


def _best(ours: list[tuple[str, Name]], theirs: list[tuple[str, Name]]) -> Likeness | None:
    """The likest pair. A name that only stands in a message may be anybody's: less sure than one that an officer gave."""
    best: Likeness | None = None
    for source, one in ours:
        for other_source, other in theirs:
            likeness = names.compare(one, other)
            if likeness is None:
                continue
            said = [source, other_source] == [OFFICER, OFFICER]
            sure = (
                likeness.sure if said else round(likeness.sure * (0.9 if OFFICER in (source, other_source) else 0.8), 2)
            )
            why = likeness.why if said else f"{likeness.why} (a name in a message, which may be anybody's)"
            if best is None or sure > best.sure:
                best = Likeness(sure, why)
    return best
