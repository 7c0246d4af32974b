"""Notices about a restricted case: the channel hears that there is something, and those who are named on it what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from intake_bot.casework import desk_queue
from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.letters import say_time
from intake_bot.casework.notices import UNREACHED, UNTOLD, Voice, sentence
from intake_bot.casework.practice import Practice
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import Case


def for_the_channel(notice: Notice, case: Case) -> Notice:
    """What a channel may know of it: no target, no flag, nobody whom it is for, and not who has the case.

    Where nobody who may see the case is in Slack, the notice says that it has to be opened elsewhere.
    """
    return Notice(NoticeKind.RESTRICTED, reference=notice.reference, code=None if _in_slack(case) else UNTOLD)


def tell_named(session: Session, practice: Practice, case: Case, notice: Notice, *, key: str, now: datetime) -> None:
    """Say it in their own conversations to those in Slack who may see the case. ``key`` is the notice's outbox row."""
    for actor in _in_slack(case):
        voice = Voice(
            partial(say_time, zone=practice.calendar.zone),
            lambda owner, actor=actor: "you" if owner == actor else "another officer",  # type: ignore[misc]
        )
        outbox.put(
            session,
            practice.vault,
            key=f"named:{key}:{actor}",
            via=Via.DESK,
            kind=Kind.DIRECT,
            now=now,
            content={"actor": str(actor), "text": sentence(notice, voice), "form": False, "named": True},
            case_id=case.id,
        )


def is_of_named(content: Mapping[str, Any]) -> bool:
    """Whether an outbox row's content is what one of those named on a restricted case is told."""
    return bool(content.get("named"))


def not_told(session: Session, practice: Practice, case_id: str, *, key: str, now: datetime) -> None:
    """One of those named could not be told (they may have left Slack): the channel hears that somebody must look.

    ``key`` is the outbox row of what could not be told.
    """
    case = session.get_one(Case, case_id)
    notice = Notice(NoticeKind.RESTRICTED, reference=case.reference, code=UNREACHED)
    # Without the case, whose named people would be told of it in the same way.
    desk_queue.post_notice(session, practice, notice, key=f"untold:{key}", now=now)


def _in_slack(case: Case) -> list[Actor]:
    """Those who may see the case and have a conversation with the app: managers too, where they are named."""
    named = {*(case.restricted_to or ()), *([case.officer] if case.officer else [])}
    return [actor for one in sorted(named) if (actor := Actor.parse(one)).kind == "slack"]
