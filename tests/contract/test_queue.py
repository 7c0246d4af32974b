"""The desk's lists on both databases: what waits for whom, in which order, and for whose eyes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import event

from conftest import FRIDAY_1640
from contract.test_acts import MONDAY, WORDS, done, referred
from contract.test_casework import AMINA, BEN, SUGGESTION, Desk, desk
from intake_bot.casework import views
from intake_bot.casework.acts import Claim, Conclude, PauseCase, RecordAction, Restrict
from intake_bot.casework.desk import Actor
from intake_bot.casework.queue import UNKNOWN, Overview, Which, board, overview, queued, sectors
from intake_bot.casework.vocabulary import CaseOutcome, Owner, PauseReason
from storage.tables import Case
from triage.vocabulary import URGENT_FLAGS, Flag

__all__ = ["desk"]


def listed(desk: Desk, which: Which, actor: Actor = AMINA, *, now=MONDAY) -> list[str]:
    with desk.database.read() as session:
        return [row.case_id for row in queued(session, desk.practice, which, actor, now=now, limit=50)]


def seen(desk: Desk, actor: Actor = AMINA, *, now=MONDAY) -> Overview:
    with desk.database.read() as session:
        return overview(session, desk.practice, actor, now=now)


def test_each_case_is_in_the_lists_that_it_belongs_to(desk: Desk) -> None:
    new, mine = desk.opened().case_id or "", desk.opened().case_id or ""
    done(desk, Claim(mine, AMINA))
    _, decided = referred(desk)
    done(desk, RecordAction(decided, AMINA, Owner.EMPLOYER, MONDAY, WORDS))
    _, paused = referred(desk)
    done(desk, PauseCase(paused, AMINA, PauseReason.POLICE, "x"))
    _, ended = referred(desk)
    done(desk, Conclude(ended, AMINA, CaseOutcome.FALSE, "Over."))
    assert listed(desk, Which.UNCLAIMED) == [new]
    assert set(listed(desk, Which.MINE)) == {mine, decided, paused}
    assert set(listed(desk, Which.MINE, BEN)) == set()
    assert set(listed(desk, Which.WAITING)) == {decided, paused}
    assert set(listed(desk, Which.OPEN)) == {new, mine, decided, paused}
    early = FRIDAY_1640 + timedelta(minutes=1)
    assert listed(desk, Which.OVERDUE, now=early) == []
    late = MONDAY + timedelta(hours=1)
    assert set(listed(desk, Which.OVERDUE, now=late)) == {new, mine}
    assert set(listed(desk, Which.DUE_TODAY, now=MONDAY - timedelta(hours=2))) == {new, mine}
    counts = seen(desk, now=late).counts
    assert {which: counts[which] for which in Which} == {which: len(listed(desk, which, now=late)) for which in Which}


def test_the_soonest_due_comes_first_with_its_target_and_what_is_urgent(desk: Desk) -> None:
    _, decided = referred(desk)
    new = desk.opened().case_id or ""
    with desk.database.read() as session:
        first, second = queued(session, desk.practice, Which.OPEN, AMINA, now=MONDAY, limit=2)
    assert (first.case_id, first.target, first.officer) == (new, "triage", None)
    assert (second.case_id, second.target) == (decided, "first_meeting")
    assert first.urgent == tuple(flag for flag in SUGGESTION.flags if flag in URGENT_FLAGS) == (Flag.INJURY,)


def test_a_restricted_case_is_in_nobody_elses_list(desk: Desk) -> None:
    _, case_id = referred(desk)
    done(desk, Restrict(case_id, AMINA, (BEN,), "A colleague of ours."))
    outsider = Actor("slack", "T1/U3")
    assert listed(desk, Which.OPEN) == listed(desk, Which.OPEN, BEN) == [case_id]
    assert listed(desk, Which.OPEN, outsider) == []
    assert seen(desk, outsider).counts[Which.OPEN] == 0
    assert listed(desk, Which.OPEN, Actor("slack", "T1/U")) == [], "a part of a name is no name"
    assert seen(desk, outsider).month.received == 1, "figures count it"


def test_a_restricted_case_is_in_the_lists_of_exactly_those_who_may_see_it(desk: Desk) -> None:
    """Whatever letters a name is made of, and in neither database for another who differs by capitals alone."""
    _, case_id = referred(desk)
    named = [Actor("terminal", name) for name in ("Zoë Ní Bhriain", 'Sam "Al" O\'Dea', "100%_Kim", "back\\slash")]
    done(desk, Restrict(case_id, AMINA, tuple(named), "A colleague of ours."))
    others = [Actor("terminal", name) for name in ("zoë ní bhriain", "Zoe Ni Bhriain", "100xxKim", "KIM", "")]
    with desk.database.read() as session:
        case = session.get_one(Case, case_id)
        assert [views.may_see(case, one) for one in (*named, *others)] == [True] * 4 + [False] * 5
    assert [listed(desk, Which.OPEN, one) for one in (*named, *others)] == [[case_id]] * 4 + [[]] * 5


def test_the_month_says_how_many_first_responses_were_in_time(desk: Desk) -> None:
    referred(desk)
    desk.opened()
    month = seen(desk, now=FRIDAY_1640 + timedelta(minutes=1)).month
    assert (month.received, month.answered, month.in_time) == (2, 1, 1)


def test_the_board_counts_and_turns_pages_within_a_sector(desk: Desk) -> None:
    schools = [desk.opened(sender="a@brook.sch.uk").case_id for _ in range(3)]
    unknown = desk.opened(sender="a@elsewhere.example").case_id
    with desk.database.read() as session:
        counts, lists = board(session, desk.practice, AMINA, {Which.OPEN: (2, 2)}, now=MONDAY, sector="Education")
        assert (counts[Which.OPEN], counts[Which.MINE]) == (3, 0)
        assert [case.case_id for case in lists[Which.OPEN]] == schools[2:]
        _, lists = board(session, desk.practice, AMINA, {Which.UNCLAIMED: (9, 0)}, now=MONDAY, sector=UNKNOWN)
        assert [case.case_id for case in lists[Which.UNCLAIMED]] == [unknown]
        assert sectors(session, AMINA) == [UNKNOWN, "Education"]


def test_a_restricted_case_gives_its_sector_to_nobody_else(desk: Desk) -> None:
    case_id = desk.opened(sender="a@brook.sch.uk").case_id or ""
    done(desk, Restrict(case_id, AMINA, (BEN,), "A colleague of ours."))
    with desk.database.read() as session:
        assert (sectors(session, Actor("slack", "T1/U3")), sectors(session, BEN)) == ([], ["Education"])


def test_no_list_looks_at_closed_cases_but_by_an_index(desk: Desk) -> None:
    """What a million closed cases cost is measured by bench/slack.py; here, that SQLite does not walk through them."""
    if not desk.database.is_sqlite:
        return
    statements = []
    for number in range(6):  # of one case SQLite asks well by itself
        desk.opened(message_id=f"<{number}@brook.example>")
    event.listen(desk.database.engine, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
    seen(desk)
    with desk.database.read() as session:
        assert queued(session, desk.practice, Which.OPEN, AMINA, now=MONDAY, limit=10)
    with desk.database.engine.connect() as connection:
        plans = [
            row[3]
            for sql, values in statements
            if sql.startswith(("SELECT", "WITH"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]
    assert not [step for step in plans if step.startswith(("SCAN cases", "SCAN deadlines", "SCAN messages"))]
    assert any("ix_deadlines_ticking" in step for step in plans)
    assert not [step for step in plans if "ix_deadlines_state_due (state=?)" in step], (
        "all clocks that were ever in a state are looked through"
    )
