"""A sender who floods: every case is made, with its clock; the desk is told in one line instead of many cards."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import col

from conftest import FRIDAY_1640
from contract.test_bounces import notices
from contract.test_casework import AMINA, Desk
from intake_bot.casework.acts import Claim
from intake_bot.casework.desk import Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed, Incoming
from storage import outbox
from storage.engine import Database
from storage.outbox import Kind, Via
from storage.tables import Case, Deadline, Outgoing


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    return Desk(database, replace(practice, sender_cards_per_hour=2))


def cards(desk: Desk) -> int:
    return desk.count(Outgoing, col(Outgoing.kind) == Kind.CARD)


def folded(desk: Desk, filed: Filed) -> bool:
    return "folded" in desk.show(filed)["remarks"]


def test_beyond_the_usual_cases_are_made_and_told_in_one_line_with_their_count(desk: Desk) -> None:
    filed = [desk.opened() for _ in range(5)]
    assert [folded(desk, one) for one in filed] == [False, False, True, True, True]
    assert (desk.count(Case), desk.count(Deadline), cards(desk)) == (5, 5, 2)
    assert notices(desk) == [Notice(NoticeKind.FOLDED, count=3)]
    # The line waits until the ten minutes are over, so that it has the whole count.
    due = outbox.take(
        desk.database,
        desk.practice.vault,
        via=Via.DESK,
        now=FRIDAY_1640 + timedelta(minutes=9),
        lease=timedelta(seconds=1),
        worker="t",
        limit=50,
    )
    assert {parcel.kind for parcel in due} == {Kind.CARD}
    assert not folded(desk, desk.opened(sender="head@oak.example"))


def test_another_ten_minutes_are_another_line_and_after_an_hour_all_is_as_before(desk: Desk) -> None:
    for minutes in (0, 1, 2, 30):
        later = FRIDAY_1640 + timedelta(minutes=minutes)
        desk.file(desk.incoming(at=later), now=later)
    assert notices(desk) == [Notice(NoticeKind.FOLDED), Notice(NoticeKind.FOLDED)]
    later = FRIDAY_1640 + timedelta(minutes=91)
    assert not folded(desk, desk.file(desk.incoming(at=later), now=later))


def test_a_folded_case_gets_its_card_when_somebody_takes_it_up(desk: Desk) -> None:
    *_, last = [desk.opened() for _ in range(3)]
    assert last.case_id is not None
    desk.perform(Claim(last.case_id, AMINA))
    assert not folded(desk, last)
    assert cards(desk) == 3
    assert desk.count(Outgoing, col(Outgoing.kind) == Kind.CARD_UPDATE) == 0


def test_a_forger_s_flood_folds_no_card_of_the_sender_whose_name_it_bears(desk: Desk) -> None:
    for _ in range(5):
        desk.opened(sender_trust="fail")
    assert not folded(desk, desk.opened(sender_trust="pass"))


def test_several_nodes_at_once_count_what_comes_from_one_sender_together(desk: Desk) -> None:
    node = Desk(desk.database, replace(desk.practice, acknowledgements_per_address=3))
    arrivals = [node.incoming() for _ in range(6)]
    barrier = threading.Barrier(len(arrivals))

    def work(incoming: Incoming) -> None:
        barrier.wait()
        node.file(incoming)

    threads = [threading.Thread(target=work, args=(incoming,)) for incoming in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    letters = desk.count(Outgoing, col(Outgoing.kind) == Kind.ACKNOWLEDGEMENT)
    assert (desk.count(Case), cards(desk)) == (6, 2)
    assert letters == 3
