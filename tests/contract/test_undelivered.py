"""What could not be said in Slack to somebody who waits for it, on both databases: the desk is told to telephone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from sqlmodel import col, select

from contract.test_acts import MONDAY, WORDS, done, referred
from contract.test_casework import AMINA, Desk, desk
from contract.test_chasing import told
from intake_bot.casework import own_posts, threads
from intake_bot.casework.acts import Restrict
from intake_bot.casework.desk import Actor, DeliveryFailed, Direct, NoticeKind, Posted
from intake_bot.casework.notices import UNREACHED, Voice, sentence
from intake_bot.casework.own_posts import Holds, Standing
from intake_bot.casework.vocabulary import Remark
from intake_bot.delivery import DeliveryWorker
from intake_bot.mail.outgoing import FolderPost
from intake_bot.terminal import TerminalDesk
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import AuditEntry, Case, Outgoing

__all__ = ["desk"]

ASKER = "slack:T0TEAM/U0GONE"


class Unreachable(TerminalDesk):
    """A desk whose asker has left."""

    async def direct(self, actor: Actor, said: Direct, post_id: str, *, look_first: bool) -> Posted:
        raise DeliveryFailed("user_disabled", permanent=True)

    async def erase(self, post: Posted) -> None:
        raise DeliveryFailed("cant_delete_message", permanent=True)


class Doubtful(Unreachable):
    """A desk whose first answer is lost, although what it posted stands there."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.said: list[tuple[str, ...]] = []

    async def post_event(self, said: tuple[str, ...], card: Posted, post_id: str, *, look_first: bool) -> Posted:
        self.said.append(said)
        if len(self.said) == 1:
            raise DeliveryFailed("timeout", uncertain=True)
        assert look_first
        return Posted(card.channel, "2.2")


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
    gone = Unreachable(Console(quiet=True), desk.practice.calendar.zone)
    await delivered(desk, tmp_path, gone, at=MONDAY + timedelta(days=1))


async def delivered(desk: Desk, tmp_path: Any, slack: TerminalDesk, *, at: datetime) -> None:
    """What the desk is to be told at that time, as far as it takes it."""
    worker = DeliveryWorker(
        desk.database,
        desk.practice,
        Via.DESK,
        FolderPost(tmp_path),
        slack,
        "LADO",
        lambda: at,
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


async def test_what_those_named_on_a_case_cannot_be_told_is_for_the_channel_and_makes_no_round(
    desk: Desk, tmp_path: Any
) -> None:
    _, case_id = referred(desk)
    await say(desk, tmp_path, Kind.DIRECT, case_id, form=False, named=True)
    assert told(desk, NoticeKind.DELIVERY_FAILED) == []
    (notice,) = told(desk, NoticeKind.RESTRICTED)
    assert notice.code == UNREACHED
    assert "could not be told" in sentence(notice, Voice(str, str))
    with desk.database.read() as session:
        rows = session.exec(select(Outgoing).where(col(Outgoing.key).startswith("untold:"))).all()
    assert [row.case_id for row in rows] == [None], "of a case's notice those named on it would be told again"


async def test_what_cannot_be_deleted_in_slack_is_told_and_on_the_record(desk: Desk, tmp_path: Any) -> None:
    _, case_id = referred(desk)
    with desk.database.write() as session:
        post = Standing("01POST", Holds.ANSWER, Posted("D1", "1.1"))
        own_posts.remember(session, desk.practice, session.get_one(Case, case_id), post, now=MONDAY)
    await say(desk, tmp_path, Kind.ERASE, case_id, post="01POST")
    (notice,) = told(desk, NoticeKind.NOT_ERASED)
    assert notice.code == "cant_delete_message"
    with desk.database.read() as session:
        acts = session.exec(select(AuditEntry.act).where(col(AuditEntry.chain) == case_id)).all()
    assert acts.count("erase_failed") == 1


async def test_an_event_that_may_stand_under_a_card_is_found_and_taken_back_once_the_case_is_restricted(
    desk: Desk, tmp_path: Any
) -> None:
    _, case_id = referred(desk)
    with desk.database.write() as session:
        case = session.get_one(Case, case_id)
        case.desk_channel, case.desk_ts = "C0DUTY", "1.1"
        threads.tell(session, desk.practice, case, now=MONDAY)
    slack = Doubtful(Console(quiet=True), desk.practice.calendar.zone)
    await delivered(desk, tmp_path, slack, at=MONDAY)
    done(desk, Restrict(case_id, AMINA, (AMINA,), "A colleague."))
    await delivered(desk, tmp_path, slack, at=MONDAY + timedelta(hours=1))
    assert (len(slack.said[0]) > 0, slack.said[1]) == (True, ())
    with desk.database.read() as session:
        orders = session.exec(select(Outgoing.id).where(col(Outgoing.kind) == Kind.ERASE)).all()
    assert len(orders) == 1
