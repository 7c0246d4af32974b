"""The full reading of what the rules alone had read while many messages waited: what is due, and what it changes.

What is due is told by the rows: a suggestion by the rules alone, with no full one for the same message, on a case that
nobody has decided. A case that was decided meanwhile is left as it is: whoever decided has read it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Exists, Select, exists
from sqlalchemy import select as sqlalchemy_select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from intake_bot.casework import deadlines, desk_queue, views
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import add_suggestion
from intake_bot.casework.views import TextRead
from intake_bot.casework.vocabulary import UNDECIDED, Remark
from storage import audit
from storage.tables import Case, Message, SuggestionRow
from triage.suggestion import RULES_ALONE, Suggestion
from triage.vocabulary import URGENT_FLAGS, Threshold


@dataclass(frozen=True, slots=True)
class Due:
    """A message to read in full. ``suggestion_id`` is that of the suggestion by the rules alone."""

    suggestion_id: str
    case_id: str
    message_id: str


def due(session: Session, *, limit: int, put_off: Collection[str] = ()) -> list[Due]:
    """The next messages to read in full, those of the oldest cases first; not those of suggestions ``put_off``."""
    rows = session.connection().execute(due_statement().limit(limit + len(put_off))).all()
    return [Due(*row) for row in rows if row[0] not in put_off][:limit]


def due_statement() -> Select[str, str, str]:
    """Goes by the cases that are undecided, and from each to its suggestions: there is an index for either step."""
    return (
        sqlalchemy_select(col(SuggestionRow.id), col(SuggestionRow.case_id), col(SuggestionRow.message_id))
        .join(Case, col(Case.id) == col(SuggestionRow.case_id))
        .where(col(Case.status).in_(UNDECIDED), col(SuggestionRow.engine) == RULES_ALONE, ~read_in_full())
        .order_by(col(Case.received_at), col(SuggestionRow.id))
    )


def read_in_full() -> Exists:
    """Whether there is a full suggestion for the message that a row of ``suggestions`` is about."""
    other = aliased(SuggestionRow)
    return exists().where(
        col(other.case_id) == col(SuggestionRow.case_id),
        col(other.message_id) == col(SuggestionRow.message_id),
        col(other.engine) != RULES_ALONE,
    )


def text_of(session: Session, practice: Practice, one: Due) -> TextRead | None:
    """What to read; None where nothing can be read any more."""
    message, made = session.get(Message, one.message_id), session.get(SuggestionRow, one.suggestion_id)
    return views.text_for_triage(practice, message, made) if message is not None and made is not None else None


def keep(
    session: Session, practice: Practice, one: Due, suggestion: Suggestion, *, read: str, now: datetime
) -> str | None:
    """Put a full suggestion beside the one by the rules alone, in the caller's transaction; the case's reference.

    The case shows it from now on. None, and nothing changed, where it was decided meanwhile, or another node was faster.
    """
    case = session.exec(
        select(Case).where(col(Case.id) == one.case_id).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    of_message = select(SuggestionRow).where(
        col(SuggestionRow.case_id) == one.case_id, col(SuggestionRow.message_id) == one.message_id
    )
    made = session.exec(of_message).all()
    before = next((row for row in made if row.id == one.suggestion_id), None)
    if case is None or case.status not in UNDECIDED or case.purged_at is not None or before is None:
        return None
    if any(row.engine != RULES_ALONE for row in made):
        return None
    add_suggestion(session, practice, case, one.message_id, suggestion, read=read, now=now)
    session.flush()
    opened = session.get_one(Message, one.message_id).opened_case
    if opened and case.category_by == "suggestion":
        case.category, case.threshold = suggestion.category, suggestion.threshold
    standing, later = views.suggestions(session, case.id)
    if not any(row.engine == RULES_ALONE for row in (*([standing] if standing else []), *later)):
        case.remarks = [remark for remark in case.remarks if remark != Remark.RULES_ALONE]
    session.add(case)
    same = (before.threshold, before.category) == (suggestion.threshold, suggestion.category)
    audit.record(
        session,
        case.id,
        at=now,
        actor=str(SYSTEM),
        act="fully_read",
        code="as before" if same else "changed",
        detail={
            "message": one.message_id,
            "version": suggestion.version,
            "threshold": suggestion.threshold.value,
            "category": suggestion.category.value,
            "threshold_before": before.threshold,
            "category_before": before.category,
        },
    )
    # A folded case gets its card when somebody takes it up: the flood that folded it must not come over the desk now.
    if Remark.FOLDED not in case.remarks:
        desk_queue.update_card(session, practice, case, now=now)
        urgent = tuple(flag for flag in suggestion.flags if flag in URGENT_FLAGS and flag not in before.flags)
        if urgent or (suggestion.threshold is Threshold.MEETS and before.threshold != Threshold.MEETS):
            # A card that changes rings no bell.
            notice = Notice(
                NoticeKind.MORE_URGENT,
                reference=case.reference,
                owner=Actor.parse(case.officer) if case.officer else None,
                urgent=urgent,
            )
            if urgent:
                deadlines.hurry(session, practice, case, now=now)
            desk_queue.post_notice(
                session, practice, notice, key=f"more_urgent:{one.message_id}", now=now, case_id=case.id
            )
    return case.reference
