"""Notices about a restricted case: the channel hears that there is something, and those who are named on it what."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlmodel import Session

from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.letters import say_time
from intake_bot.casework.notices import Voice, sentence
from intake_bot.casework.practice import Practice
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import Case


def for_the_channel(notice: Notice) -> Notice:
    """What a channel may know of it: no target, no flag, no code, and not who has the case."""
    return Notice(NoticeKind.RESTRICTED, reference=notice.reference)


def tell_named(session: Session, practice: Practice, case: Case, notice: Notice, *, key: str, now: datetime) -> None:
    """Say it in their own conversations to those in Slack who may see the case. ``key`` is the notice's outbox row."""
    named = {*(case.restricted_to or ()), *([case.officer] if case.officer else [])}
    for one in sorted(named):
        actor = Actor.parse(one)
        if actor.kind != "slack":
            continue
        voice = Voice(
            partial(say_time, zone=practice.calendar.zone),
            lambda owner, actor=actor: "you" if owner == actor else "another officer",  # type: ignore[misc]
        )
        outbox.put(
            session,
            practice.vault,
            key=f"named:{key}:{one}",
            via=Via.DESK,
            kind=Kind.DIRECT,
            now=now,
            content={"actor": one, "text": sentence(notice, voice), "form": False},
            case_id=case.id,
        )
