"""What casework asks the desk to show: rows in the outbox, put there by the transaction that makes them true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from intake_bot.casework import own_posts, rota, routing
from intake_bot.casework.desk import Actor, Listed, Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import CLOSED, UNDECIDED, Remark
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import Case
from triage.vocabulary import Flag

FOLDED_TOGETHER = timedelta(minutes=10)


def post_card(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """One card a case, for ever: the key sees to it."""
    routing.propose(session, practice, case, now=now)
    outbox.put(
        session,
        practice.vault,
        key=f"card:{case.id}",
        via=Via.DESK,
        kind=Kind.CARD,
        now=now,
        content={},
        case_id=case.id,
    )


def post_card_anew(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Another card, where the first cannot be updated any more; once for each place that the first had."""
    place = case.desk_ts
    case.desk_channel = case.desk_ts = None
    session.add(case)
    outbox.put(
        session,
        practice.vault,
        key=f"card:{case.id}:{place}",
        via=Via.DESK,
        kind=Kind.CARD,
        now=now,
        content={},
        case_id=case.id,
    )


def update_card(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """The case has changed: count its revision up and have the card drawn anew, from whatever is then true.

    A case that was folded gets its card now: somebody has to do with it.
    """
    case.revision += 1
    session.add(case)
    routing.propose(session, practice, case, now=now)
    if case.status in CLOSED:
        for holds in (own_posts.Holds.ANSWER, own_posts.Holds.FILE):
            own_posts.take_back(session, practice, case, holds, now=now)
    if Remark.RULES_ALONE in case.remarks and case.status not in UNDECIDED:
        # Whoever decided has read it: no full reading follows any more.
        case.remarks = [remark for remark in case.remarks if remark != Remark.RULES_ALONE]
    if Remark.FOLDED in case.remarks:
        case.remarks = [remark for remark in case.remarks if remark != Remark.FOLDED]
        post_card(session, practice, case, now=now)
        return
    outbox.put(
        session,
        practice.vault,
        key=f"card_update:{case.id}:{case.revision}",
        via=Via.DESK,
        kind=Kind.CARD_UPDATE,
        now=now,
        content={"revision": case.revision},
        case_id=case.id,
    )


def fold_card(session: Session, practice: Practice, sender_key: str, *, now: datetime) -> None:
    """Instead of a card: one line for all that a sender's cases of these ten minutes would fill, when they are over."""
    fold_notice(session, practice, Notice(NoticeKind.FOLDED), key=f"folded:{sender_key}", now=now)


def fold_notice(session: Session, practice: Practice, notice: Notice, *, key: str, now: datetime) -> None:
    """One line for all of these ten minutes that have the same ``key``, with their count, when they are over."""
    begins = now - (now - datetime.min.replace(tzinfo=UTC)) % FOLDED_TOGETHER
    key = f"{key}:{begins:%Y-%m-%dT%H:%M}"
    if not outbox.amend(session, practice.vault, key, lambda line: line | {"count": line["count"] + 1}):
        outbox.put(
            session,
            practice.vault,
            key=key,
            via=Via.DESK,
            kind=Kind.NOTICE,
            now=now,
            content=notice_to_json(notice),
            not_before=begins + FOLDED_TOGETHER,
        )


def post_notice(
    session: Session, practice: Practice, notice: Notice, *, key: str, now: datetime, case_id: str | None = None
) -> bool:
    """Put a notice in the outbox; False where one under this key is there already."""
    content = notice_to_json(rota.mention(session, practice, notice, now=now))
    row = outbox.put(
        session, practice.vault, key=key, via=Via.DESK, kind=Kind.NOTICE, now=now, content=content, case_id=case_id
    )
    return row is not None


def tell(session: Session, practice: Practice, actor: Actor, text: str, *, key: str, now: datetime) -> None:
    """Answer one officer alone. ``text`` is ours, without content."""
    outbox.put(
        session,
        practice.vault,
        key=key,
        via=Via.DESK,
        kind=Kind.TELL,
        now=now,
        content={"actor": str(actor), "text": text},
    )


def notice_to_json(notice: Notice) -> dict[str, Any]:
    return {
        "kind": notice.kind.value,
        "reference": notice.reference,
        "target": notice.target,
        "moment": notice.moment,
        "due_at": notice.due_at.isoformat() if notice.due_at else None,
        "late": notice.late,
        "owner": str(notice.owner) if notice.owner else None,
        "count": notice.count,
        "code": notice.code,
        "urgent": [flag.value for flag in notice.urgent],
        "to": notice.to,
        "figures": [list(figure) for figure in notice.figures],
        "listed": [[one.reference, one.target, one.due_at.isoformat()] for one in notice.listed],
        "on_duty": [str(one) for one in notice.on_duty],
    }


def notice_from_json(data: dict[str, Any]) -> Notice:
    return Notice(
        kind=NoticeKind(data["kind"]),
        reference=data["reference"],
        target=data["target"],
        moment=data["moment"],
        due_at=datetime.fromisoformat(data["due_at"]) if data["due_at"] else None,
        late=data["late"],
        owner=Actor.parse(data["owner"]) if data["owner"] else None,
        count=data["count"],
        code=data["code"],
        # Absent from what a version before put there.
        urgent=tuple(Flag(value) for value in data.get("urgent", ())),
        to=data.get("to", "duty"),
        figures=tuple((name, number) for name, number in data.get("figures", ())),
        listed=tuple(
            Listed(reference, target, datetime.fromisoformat(due_at))
            for reference, target, due_at in data.get("listed", ())
        ),
        on_duty=tuple(Actor.parse(one) for one in data.get("on_duty", ())),
    )
