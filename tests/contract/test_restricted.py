"""A restricted case does not exist for others, wherever cases are shown: each of these places, on both databases."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from conftest import FRIDAY_1640
from contract.test_acts import MONDAY, done, referred
from contract.test_casework import AMINA, BEN, SUGGESTION, Desk, desk
from intake_bot.casework import digest, matching, queue, restricted, threads, views
from intake_bot.casework.acts import Note, Restrict
from intake_bot.casework.desk import Actor, CaseCard, Notice, NoticeKind
from intake_bot.casework.notices import Voice, sentence
from intake_bot.casework.officer import Refused
from intake_bot.casework.plan import Recipient
from intake_bot.casework.queue import Which
from intake_bot.slack.act_forms import FORMS
from intake_bot.slack.cards import card_blocks, card_fallback
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import Case, Outgoing

__all__ = ["desk"]

PAT = Actor("slack", "T1/U3")
LONDON = ZoneInfo("Europe/London")
ORGANISATION = "Brookfield Primary School"


@pytest.fixture
def case_id(desk: Desk) -> str:
    _, case_id = referred(desk)
    with desk.database.write() as session:
        case = session.get_one(Case, case_id)
        case.organisation, case.sector = ORGANISATION, "Education: schools"
        case.desk_channel, case.desk_ts = "C0DUTY", "1.1"
        session.add(case)
    done(desk, Restrict(case_id, AMINA, (BEN,), "A colleague of ours."))
    return case_id


def card_of(desk: Desk, case_id: str) -> CaseCard:
    with desk.database.read() as session:
        return views.card(session, session.get_one(Case, case_id))


def test_it_is_in_nobody_elses_list_or_hands(desk: Desk, case_id: str) -> None:
    with desk.database.read() as session:
        case = session.get_one(Case, case_id)
        assert [views.may_see(case, one) for one in (AMINA, BEN, PAT)] == [True, True, False]
        assert list(views.cases_json(session, reader=PAT)) == []
        for which in Which:
            assert queue.queued(session, desk.practice, which, PAT, now=MONDAY, limit=9) == []
            assert queue.overview(session, desk.practice, PAT, now=MONDAY).counts[which] == 0
    refusal = desk.perform(Note(case_id, PAT, "x"))
    assert isinstance(refusal, Refused)
    assert refusal.said == "there is no such case"


def test_a_match_and_a_digest_name_it_to_nobody(desk: Desk, case_id: str) -> None:
    reference = card_of(desk, case_id).reference
    at = FRIDAY_1640 + timedelta(days=1)
    later = desk.file(desk.incoming(at=at), now=at).case_id
    with desk.database.write() as session:
        case = session.get_one(Case, later)
        case.organisation = ORGANISATION
        about = matching.setting(session, case)
        assert about is not None
        assert (about.contacts, about.references) == (2, ())
        assert reference not in str(matching.earlier(session, desk.practice, case))
    tuesday = MONDAY + timedelta(days=1)
    with desk.database.write() as session:
        digest.post_due(session, desk.practice, now=tuesday)
    parcels = outbox.take(
        desk.database,
        desk.practice.vault,
        via=Via.DESK,
        now=tuesday + timedelta(days=1),
        lease=timedelta(minutes=1),
        worker="t",
        limit=50,
    )
    digests = [one.content for one in parcels if one.kind is Kind.NOTICE and one.content["kind"] == NoticeKind.DIGEST]
    assert digests
    assert reference not in json.dumps(digests)


def test_its_card_says_that_there_is_one_and_no_more(desk: Desk, case_id: str) -> None:
    card = card_of(desk, case_id)
    shown = json.dumps(card_blocks(card, LONDON)) + card_fallback(card, LONDON)
    assert card.reference in shown
    said = [
        ORGANISATION, "Education", AMINA.id, "U1", SUGGESTION.category.label, SUGGESTION.threshold.label, "Received",
        *(flag.label for flag in SUGGESTION.flags), "Referral", "month",
    ]  # fmt: skip
    for gone in said:
        assert gone not in shown
    offered = card_blocks(card, LONDON)[-1]["elements"][-1]["options"]
    assert len(offered) == len(FORMS), "what fits would tell where it stands"


def test_its_events_are_told_to_nobody_and_taken_up_again_afterwards(desk: Desk, case_id: str) -> None:
    def told() -> list[str]:
        with desk.database.write() as session:
            threads.tell(session, desk.practice, session.get_one(Case, case_id), now=MONDAY)
        rows = outbox.take(
            desk.database, desk.practice.vault, via=Via.DESK, now=MONDAY, lease=timedelta(days=1), worker="t", limit=50
        )  # fmt: skip
        with desk.database.read() as session:
            case = session.get_one(Case, case_id)
            events = [row.content["entries"] for row in rows if row.kind is Kind.EVENT]
            return [line for entries in events for line in threads.lines(session, case, entries)]

    assert told() == []
    done(desk, Note(case_id, AMINA, "x"))
    assert told() == []
    done(desk, Restrict(case_id, AMINA, (), "It is known now.", lift=True))
    assert told() == ["An officer lifted the restriction."]


def test_a_notice_of_it_tells_the_channel_nothing_and_those_named_all(desk: Desk, case_id: str) -> None:
    notice = Notice(NoticeKind.JOINED, reference="LADO-26-X", owner=AMINA, code="joined", urgent=SUGGESTION.flags)
    with desk.database.write() as session:
        case = session.get_one(Case, case_id)
        assert restricted.for_the_channel(notice, case) == Notice(NoticeKind.RESTRICTED, reference="LADO-26-X")
        for _ in range(2):
            restricted.tell_named(session, desk.practice, case, notice, key="N1", now=MONDAY)
    assert desk.count(Outgoing, Outgoing.kind == Kind.DIRECT) == 2


def test_where_nobody_named_is_in_slack_the_channel_hears_how_to_look_and_not_that_anybody_was_told(desk: Desk) -> None:
    amina, ben = Actor("terminal", "Amina"), Actor("terminal", "Ben")
    case_id = desk.opened().case_id or ""
    done(desk, Restrict(case_id, amina, (ben,), "A colleague of ours."))
    overdue = Notice(NoticeKind.REMINDER, "LADO-26-X", "triage", "after", MONDAY, to=Recipient.MANAGER)

    def said() -> str:
        with desk.database.write() as session:
            case = session.get_one(Case, case_id)
            restricted.tell_named(session, desk.practice, case, overdue, key="N1", now=MONDAY)
            return sentence(restricted.for_the_channel(overdue, case), Voice(str, str))

    unheard = said()
    assert "intake-bot show LADO-26-X" in unheard
    assert "those named on it have been told" not in unheard
    assert desk.count(Outgoing, Outgoing.kind == Kind.DIRECT) == 0
    # A manager who is named hears of what is overdue, as anybody does who is named.
    done(desk, Restrict(case_id, amina, (ben, PAT), "And the manager."))
    heard = said()
    assert "have been told" in heard
    assert "intake-bot show" not in heard
    assert "manager" not in heard, "whom it is for says that something is late"
    rows = outbox.take(
        desk.database, desk.practice.vault, via=Via.DESK, now=MONDAY, lease=timedelta(days=1), worker="t", limit=50
    )
    (told,) = [row.content for row in rows if row.kind is Kind.DIRECT]
    assert told["actor"] == str(PAT)
    assert told["text"].startswith("For the manager: LADO-26-X")
