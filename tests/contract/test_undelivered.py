"""What could not be said in Slack to somebody who waits for it, on both databases: the desk is told to telephone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rich.console import Console

from contract.test_acts import MONDAY, WORDS, referred
from contract.test_casework import Desk, desk
from contract.test_chasing import told
from intake_bot.casework.desk import Actor, DeliveryFailed, Direct, NoticeKind, Posted
from intake_bot.casework.vocabulary import Remark
from intake_bot.delivery import DeliveryWorker
from intake_bot.mail.outgoing import FolderPost
from intake_bot.terminal import TerminalDesk
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import Case

__all__ = ["desk"]

ASKER = "slack:T0TEAM/U0GONE"


class Unreachable(TerminalDesk):
    """A desk whose asker has left."""

    async def direct(self, actor: Actor, said: Direct, post_id: str, *, look_first: bool) -> Posted:
        raise DeliveryFailed("user_disabled", permanent=True)


async def say(desk: Desk, tmp_path: Any, kind: Kind, case_id: str, **content: Any) -> None:
    with desk.database.write() as session:
        outbox.put(
            session,
            desk.practice.vault,
            key=f"said:{kind}",
            via=Via.DESK,
            kind=kind,
            now=MONDAY,
            case_id=case_id,
            content={"actor": ASKER, "text": WORDS} | content,
        )
    worker = DeliveryWorker(
        desk.database,
        desk.practice,
        Via.DESK,
        FolderPost(tmp_path),
        Unreachable(Console(quiet=True), desk.practice.calendar.zone),
        "LADO",
        lambda: MONDAY + timedelta(days=1),
        timedelta(minutes=5),
        "test",
    )
    while await worker.step():
        pass


async def test_an_answer_that_its_asker_cannot_get_is_told_without_its_words(desk: Desk, tmp_path: Any) -> None:
    _, case_id = referred(desk)
    await say(desk, tmp_path, Kind.DIRECT, case_id, message="01MESSAGE", act="answered", form=False)
    (notice,) = told(desk, NoticeKind.DELIVERY_FAILED)
    with desk.database.read() as session:
        case = session.get_one(Case, case_id)
        assert (notice.reference, notice.code) == (case.reference, "user_disabled")
        assert Remark.NOT_DELIVERED in case.remarks


async def test_what_those_named_on_a_case_cannot_be_told_makes_no_round(desk: Desk, tmp_path: Any) -> None:
    _, case_id = referred(desk)
    await say(desk, tmp_path, Kind.DIRECT, case_id, form=False)
    assert told(desk, NoticeKind.DELIVERY_FAILED) == []
