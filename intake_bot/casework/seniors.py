"""Senior managers are told that a case was escalated, or that one is about children in their service. Never what it says.

One message to one person for one reason, for ever: the outbox's key sees to it. Of a restricted case only those are told who
are named in it, which is looked at again when the message leaves. One that did not leave for that is no telling: whoever may
know later is told then. The record says that somebody was told once the message has gone.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from intake_bot.casework.desk import SYSTEM, Actor
from intake_bot.casework.duty import MAIL, same
from intake_bot.casework.practice import Practice
from intake_bot.casework.vocabulary import DecisionKind
from storage import audit, outbox
from storage.claims import CANCELLED
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Case, Outgoing

ESCALATED, SERVICE = "escalated", "service"
_OF_THE_SERVICE = frozenset({DecisionKind.REFERRAL, DecisionKind.CONSULTATION})
"""An officer has looked at it, and holds it for a case of ours: a sector guessed from a mail domain tells no manager."""


def tell(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """Put on its way what somebody must be told of the case as it stands, and has not been told."""
    if not practice.seniors.are_named:
        return
    for who, reason in _due(practice, case):
        if not may_know(case, who):
            continue
        key = _free_key(session, case, who, reason)
        if key is not None:
            _put(session, practice, case, who, reason, key=key, now=now)


def told(session: Session, case_id: str, content: dict[str, Any], *, now: datetime) -> None:
    """Put on the record that a message has gone. One without its reason was written down when it was put in."""
    if "reason" not in content:
        return
    detail = {"to": content["actor"]}
    audit.record(session, case_id, at=now, actor=str(SYSTEM), act="manager_told", code=content["reason"], detail=detail)


def may_know(case: Case, who: Actor) -> bool:
    """Of a restricted case only those who are named in it; by mail, under the address as a name."""
    if not case.restricted:
        return True
    named = (Actor.parse(one) for one in case.restricted_to or ())
    return any(same(who, one) or (who.kind == MAIL and one.id.casefold() == who.id.casefold()) for one in named)


def is_true_still(session: Session, case_id: str, content: dict[str, Any]) -> bool:
    """Whether a message that is about to leave may still be read by whom it is for."""
    case = session.get(Case, case_id)
    return case is not None and may_know(case, Actor.parse(content["actor"]))


def _due(practice: Practice, case: Case) -> Iterator[tuple[Actor, str]]:
    if case.escalated is not None:
        for who in practice.seniors.escalated:
            yield who, f"{ESCALATED}/{case.escalated}"
    if case.decision in _OF_THE_SERVICE:
        for who in practice.seniors.of((case.sector, case.sub_sector)):
            yield who, SERVICE


def _free_key(session: Session, case: Case, who: Actor, reason: str) -> str | None:
    """The key of the message to be sent; None where one has gone or is on its way. After those taken out it is another."""
    key = f"senior:{case.id}:{reason}:{hashlib.sha256(str(who).casefold().encode()).hexdigest()[:24]}"
    rows = session.exec(
        select(Outgoing.key, Outgoing.state).where(
            col(Outgoing.case_id) == case.id, col(Outgoing.kind) == Kind.SENIOR, col(Outgoing.key).startswith(key)
        )
    ).all()
    if any(state != CANCELLED for _, state in rows):
        return None
    return f"{key}:{len(rows) + 1}" if rows else key


def _put(session: Session, practice: Practice, case: Case, who: Actor, reason: str, *, key: str, now: datetime) -> None:
    text = _words(case.reference, reason)
    content: dict[str, Any] = {"actor": str(who), "reason": reason, "text": text}
    if who.kind != MAIL:
        outbox.put(
            session,
            practice.vault,
            key=key,
            via=Via.DESK,
            kind=Kind.SENIOR,
            now=now,
            case_id=case.id,
            content=content,
        )
        return
    paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n"))
    outbox.put(
        session,
        practice.vault,
        key=key,
        via=Via.MAIL,
        kind=Kind.SENIOR,
        now=now,
        case_id=case.id,
        mail_id=practice.mail_id(new_id(now)),
        content=content
        | {
            "to": who.id,
            "reply_to": practice.address,
            "subject": f"{case.reference}: for your attention",
            "html": f"<!doctype html><html lang=en><meta charset=utf-8><body>{paragraphs}</body></html>",
            "in_reply_to": None,
            "references": [],
            "submitted": "auto-generated",
        },
    )


def _words(reference: str, reason: str) -> str:
    name, _, code = reason.partition("/")
    what = (
        f"{reference} was escalated to a senior manager ({code.replace('_', ' ')})."
        if name == ESCALATED
        else f"{reference} concerns your service."
    )
    return (
        f"{what}\n\nThis message says no more on purpose. Ask the duty officer by telephone, and give the reference. "
        "Please send nothing about the case in answer to this message."
    )
