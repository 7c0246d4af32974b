"""What did not reach whom it was for, or did not go from where it was to go: on the record, and the desk is told."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from intake_bot.casework import desk_queue
from intake_bot.casework.desk import SYSTEM, Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import Remark
from storage import audit
from storage.tables import Case, DeskPost


def report(
    session: Session, practice: Practice, *, letter_id: str, case_id: str | None, code: str, now: datetime
) -> None:
    """``letter_id`` is the outbox row's id, about which the desk is told once; ``code`` a fixed word for what went wrong."""
    case = session.get(Case, case_id, with_for_update=True) if case_id else None
    notice = Notice(NoticeKind.DELIVERY_FAILED, reference=case.reference if case else None, code=code)
    desk_queue.post_notice(session, practice, notice, key=f"undelivered:{letter_id}", now=now, case_id=case_id)
    audit.record(
        session,
        case.id if case else audit.SERVICE_CHAIN,
        at=now,
        actor=str(SYSTEM),
        act="delivery_failed",
        code=code,
        detail={"letter": letter_id},
    )
    if case is not None and Remark.NOT_DELIVERED not in case.remarks:
        case.remarks = [*case.remarks, Remark.NOT_DELIVERED.value]
        session.add(case)
        desk_queue.update_card(session, practice, case, now=now)


def not_erased(session: Session, practice: Practice, post_id: str, code: str, *, now: datetime) -> None:
    """It stands there still, and nothing tries again: the desk is told, and it is on the record. ``code`` says why."""
    row = session.get(DeskPost, post_id)
    case = session.get(Case, row.case_id) if row is not None else None
    if row is None or case is None:
        return
    notice = Notice(NoticeKind.NOT_ERASED, reference=case.reference, code=code)
    desk_queue.post_notice(session, practice, notice, key=f"not_erased:{post_id}", now=now, case_id=case.id)
    detail = {"post": post_id}
    audit.record(session, case.id, at=now, actor=str(SYSTEM), act="erase_failed", code=code, detail=detail)
