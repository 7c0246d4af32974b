"""What of ours is taken back from the desk, and when, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, select

from contract.test_acts import MONDAY, WORDS, done, referred
from contract.test_casework import AMINA, Desk, desk
from intake_bot.casework import own_posts, threads
from intake_bot.casework.acts import Conclude, Merge, Note
from intake_bot.casework.desk import Posted
from intake_bot.casework.own_posts import ANSWER_STAYS, Holds, Standing
from intake_bot.casework.vocabulary import CaseOutcome
from storage.outbox import Kind
from storage.tables import Case, Outgoing
from storage.vault import Place

__all__ = ["desk"]


def answered(desk: Desk, case_id: str, post_id: str = "01POST") -> None:
    with desk.database.write() as session:
        post = Standing(post_id, Holds.ANSWER, Posted("D1", "1.1"))
        own_posts.remember(session, desk.practice, session.get_one(Case, case_id), post, now=MONDAY)


def orders(desk: Desk) -> list[datetime | None]:
    """When each order to take something back is due."""
    with desk.database.read() as session:
        return list(session.exec(select(Outgoing.available_at).where(col(Outgoing.kind) == Kind.ERASE)).all())


def test_an_answer_is_ordered_back_once_when_the_case_closes(desk: Desk) -> None:
    _, case_id = referred(desk)
    answered(desk, case_id)
    done(desk, Note(case_id, AMINA, WORDS))
    assert orders(desk) == []
    done(desk, Conclude(case_id, AMINA, CaseOutcome.FALSE, "Over."))
    assert len(orders(desk)) == 1
    with desk.database.write() as session:
        own_posts.erased(session, {"post": "01POST"}, now=MONDAY)
        assert own_posts.to_erase(session, {"post": "01POST"}) is None
    done(desk, Note(case_id, AMINA, "Later."))
    assert len(orders(desk)) == 1


def test_an_answer_that_comes_after_the_end_stays_a_day(desk: Desk) -> None:
    _, case_id = referred(desk)
    done(desk, Conclude(case_id, AMINA, CaseOutcome.FALSE, "Over."))
    answered(desk, case_id)
    assert orders(desk) == [MONDAY + ANSWER_STAYS]


def test_of_a_merged_case_it_goes_when_the_other_closes(desk: Desk) -> None:
    _, into = referred(desk)
    case_id = desk.opened().case_id or ""
    answered(desk, case_id)
    done(desk, Merge(case_id, AMINA, into, "The same matter."))
    assert orders(desk) == []
    done(desk, Conclude(into, AMINA, CaseOutcome.FALSE, "Over."))
    assert len(orders(desk)) == 1


def test_many_events_are_told_in_several_posts_each_once(desk: Desk) -> None:
    _, case_id = referred(desk)
    for number in range(2 * threads.AT_ONCE):
        done(desk, Note(case_id, AMINA, f"{WORDS} {number}"))
    with desk.database.write() as session:
        case = session.get_one(Case, case_id)
        case.desk_channel, case.desk_ts = "C0DUTY", "1.1"
        for later in range(2):
            threads.tell(session, desk.practice, case, now=MONDAY + timedelta(minutes=later))
    with desk.database.read() as session:
        case = session.get_one(Case, case_id)
        rows = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.EVENT)).all()
        assert len(rows) == 3
        told = [entry for row in rows for entry in entries(desk, row)]
        assert len(told) == len(set(told)) > 2 * threads.AT_ONCE
        lines = threads.lines(session, case, told)
    assert sum("added a note" in line for line in lines) == 2 * threads.AT_ONCE
    assert not any("U1" in line for line in lines)


def entries(desk: Desk, row: Outgoing) -> list[int]:
    place = Place("outbox", row.id, "content", row.case_id)
    return list(desk.practice.vault.open_json(place, row.content)["entries"])
