"""Who does what, on both databases: the rota, whom a case is proposed to, which senior managers are told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlmodel import col, select

from conftest import FRIDAY_1640
from contract.test_casework import AMINA, BEN, SUGGESTION, Desk, desk
from intake_bot.casework import rota, seniors
from intake_bot.casework.acts import Claim, Decide, Done, Escalate, HandOver, Refused, Restrict, SetFacts
from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.duty import Routing, Rule, SeniorManagers, ServiceManagers, Week, person, reachable
from intake_bot.casework.vocabulary import DecisionKind, Escalation
from intake_bot.delivery import DeliveryWorker
from storage import outbox
from storage.outbox import Kind, Via
from storage.tables import AuditEntry, Case, Outgoing
from storage.vault import Place
from triage.vocabulary import Category, Criterion, Flag

__all__ = ["desk"]

ALEX, SAM, KIM = person("U0ALEX1"), person("U0SAM12"), person("Kim Holt")
WEEK = Week(((ALEX,), (SAM,), (ALEX,), (SAM,), (ALEX, KIM), (), (KIM,)), time(9, 0))
ANYBODY = Actor("terminal", "manager")
FRIDAY = date(2026, 11, 27)


def with_week(desk: Desk, week: Week = WEEK, **changes: Any) -> Desk:
    desk.practice = replace(desk.practice, week=week, **changes)
    return desk


def on_duty(desk: Desk, at: datetime) -> list[str]:
    with desk.database.read() as session:
        return [one.id for one in rota.on_duty(session, desk.practice, at)]


def away(desk: Desk, who: Actor, first: date, last: date, cover: Actor | None = None, now: datetime = FRIDAY_1640):
    with desk.database.write() as session:
        return rota.away(session, desk.practice, who, first=first, last=last, cover=cover, by=ANYBODY, now=now)


def notices(desk: Desk) -> list[Notice]:
    from intake_bot.casework.desk_queue import notice_from_json

    with desk.database.read() as session:
        rows = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.NOTICE).order_by(col(Outgoing.id))).all()
        opened = [
            desk.practice.vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content) for row in rows
        ]
    return [notice_from_json(content) for content in opened]


class TestRota:
    @pytest.mark.parametrize(
        ("at", "who"),
        [
            (datetime(2026, 11, 27, 8, 59, tzinfo=UTC), ["U0SAM12"]),
            (datetime(2026, 11, 27, 9, 0, tzinfo=UTC), ["U0ALEX1", "Kim Holt"]),
            (datetime(2026, 11, 28, 8, 0, tzinfo=UTC), ["U0ALEX1", "Kim Holt"]),
            (datetime(2026, 11, 28, 9, 0, tzinfo=UTC), []),
            # In summer time nine o'clock is eight in UTC, and on the days of change it stays nine by the clock on the wall.
            (datetime(2026, 7, 6, 7, 59, tzinfo=UTC), ["Kim Holt"]),
            (datetime(2026, 7, 6, 8, 0, tzinfo=UTC), ["U0ALEX1"]),
            (datetime(2026, 3, 29, 7, 59, tzinfo=UTC), []),
            (datetime(2026, 3, 29, 8, 0, tzinfo=UTC), ["Kim Holt"]),
            (datetime(2026, 10, 25, 8, 59, tzinfo=UTC), []),
            (datetime(2026, 10, 25, 9, 0, tzinfo=UTC), ["Kim Holt"]),
            # Christmas Day is a Friday: a closed day goes by Sunday's.
            (datetime(2026, 12, 25, 12, 0, tzinfo=UTC), ["Kim Holt"]),
        ],
    )
    def test_duty_passes_on_at_the_handover_by_the_clock_on_the_wall(
        self, desk: Desk, at: datetime, who: list[str]
    ) -> None:
        assert on_duty(with_week(desk), at) == who

    def test_a_cover_stands_in_on_the_days_said_and_a_cover_of_a_cover_too(self, desk: Desk) -> None:
        with_week(desk)
        noon = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
        assert away(desk, Actor("slack", "T1/U0ALEX1"), date(2026, 11, 30), date(2026, 12, 2), SAM) == Done(
            "It is on the rota."
        )
        assert on_duty(desk, noon) == ["U0SAM12"]
        assert on_duty(desk, noon + timedelta(days=4)) == ["U0ALEX1", "Kim Holt"]
        away(desk, SAM, date(2026, 11, 30), date(2026, 11, 30), KIM)
        assert on_duty(desk, noon) == ["Kim Holt"]
        away(desk, KIM, date(2026, 11, 30), date(2026, 11, 30), ALEX)
        assert on_duty(desk, noon) == [], "who cover for each other in a ring are all away"

    def test_said_twice_is_said_once_and_nobody_left_is_told(self, desk: Desk) -> None:
        with_week(desk)
        first = away(desk, ALEX, date(2026, 11, 30), date(2026, 12, 2))
        assert isinstance(first, Done)
        assert "Nobody is on duty on 2 of these days, from Monday 30 November" in first.said
        again = away(desk, ALEX, date(2026, 11, 30), date(2026, 12, 2))
        assert (isinstance(again, Done), again.changed) == (True, False)  # type: ignore[union-attr]

    def test_what_is_said_again_after_something_else_holds_again(self, desk: Desk) -> None:
        with_week(desk)
        monday, noon = date(2026, 11, 30), datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
        for cover in (SAM, KIM, SAM):
            assert away(desk, ALEX, monday, monday, cover) == Done("It is on the rota.")
            assert on_duty(desk, noon) == [cover.id]
        away(desk, ALEX, monday, date(2026, 12, 1), KIM)
        assert away(desk, ALEX, monday, monday, SAM) == Done("It is on the rota."), "longer days overtook it too"
        assert on_duty(desk, noon) == [SAM.id]

    def test_back_keeps_the_past_and_frees_what_is_to_come(self, desk: Desk) -> None:
        with_week(desk)
        away(desk, ALEX, date(2026, 11, 25), date(2026, 12, 7), KIM)
        away(desk, ALEX, date(2026, 12, 14), date(2026, 12, 14), KIM)
        with desk.database.write() as session:
            assert rota.back(session, desk.practice, ALEX, by=ANYBODY, now=FRIDAY_1640) == Done("It is on the rota.")
        assert on_duty(desk, datetime(2026, 11, 25, 12, tzinfo=UTC)) == ["Kim Holt"]
        assert on_duty(desk, FRIDAY_1640) == ["U0ALEX1", "Kim Holt"]
        assert on_duty(desk, datetime(2026, 12, 14, 12, tzinfo=UTC)) == ["U0ALEX1"]
        with desk.database.read() as session:
            codes = session.exec(select(AuditEntry.code).where(col(AuditEntry.act) == "rota_changed")).all()
        assert sorted(codes) == ["away", "away", "back"]

    @pytest.mark.parametrize(
        ("who", "first", "last", "cover", "said"),
        [
            (person("U0NOBODY1"), FRIDAY, FRIDAY, None, "not on the rota"),
            (ALEX, FRIDAY, FRIDAY - timedelta(days=1), None, "before the first"),
            (ALEX, FRIDAY - timedelta(days=9), FRIDAY - timedelta(days=8), None, "are over"),
            (ALEX, FRIDAY, FRIDAY + timedelta(days=400), None, "more than a year"),
            (ALEX, FRIDAY, FRIDAY, Actor("slack", "T1/U0ALEX1"), "covers for themselves"),
        ],
    )
    def test_what_cannot_be_is_refused(self, desk: Desk, who, first, last, cover, said: str) -> None:
        refused = away(with_week(desk), who, first, last, cover)
        assert isinstance(refused, Refused)
        assert said in refused.said

    def test_an_empty_rota_mentions_nobody(self, desk: Desk) -> None:
        desk.opened()
        desk.tick(FRIDAY_1640 + timedelta(days=4))
        assert all(notice.on_duty == () for notice in notices(desk))
        assert on_duty(desk, FRIDAY_1640) == []

    def test_reminders_of_what_nobody_has_mention_who_is_on_duty(self, desk: Desk) -> None:
        with_week(desk)
        desk.opened()
        mine = desk.opened().case_id or ""
        desk.perform(Claim(mine, AMINA))
        desk.tick(datetime(2026, 11, 30, 16, 45, tzinfo=UTC))
        told = [(notice.owner, notice.on_duty) for notice in notices(desk) if notice.kind is NoticeKind.REMINDER]
        assert (None, (ALEX,)) in told
        assert (AMINA, ()) in told
        assert all(bool(owner) is not bool(duty) for owner, duty in told)


class TestRouting:
    RULES = (Rule.parse("Education urgent: U0SAM12; Kim Holt"), Rule.parse("Education: Kim Holt"))

    def proposed(self, desk: Desk, case_id: str | None) -> str | None:
        with desk.database.read() as session:
            return session.get_one(Case, case_id).proposed

    def test_the_first_rule_that_fits_names_whom_it_is_for_and_claims_nothing(self, desk: Desk) -> None:
        with_week(desk, routing=Routing(self.RULES, (AMINA, BEN)))
        urgent = desk.opened(sender="head@brook.sch.uk").case_id
        calm = desk.file(desk.incoming(sender="head@brook.sch.uk"), replace(SUGGESTION, flags=(Flag.ONLINE,))).case_id
        other = desk.opened(sender="a@fostering.example").case_id
        assert [self.proposed(desk, one) for one in (urgent, calm, other)] == [
            "slack:U0SAM12",
            "terminal:Kim Holt",
            str(AMINA),
        ]
        with desk.database.read() as session:
            assert {case.officer for case in session.exec(select(Case))} == {None}

    def test_who_has_room_is_whoever_has_fewest_open(self, desk: Desk) -> None:
        with_week(desk, routing=Routing((), (AMINA, person("U2")), most_open=2))
        loaded = [desk.opened().case_id or "" for _ in range(2)]
        for one in loaded:
            desk.perform(Claim(one, AMINA))
        assert self.proposed(desk, desk.opened().case_id) == "terminal:U2"

    def test_nobody_with_room_is_nobody(self, desk: Desk) -> None:
        with_week(desk, routing=Routing((), (AMINA,), most_open=1))
        desk.perform(Claim(desk.opened().case_id or "", AMINA))
        assert self.proposed(desk, desk.opened().case_id) is None

    def test_whoever_is_away_is_not_proposed_and_the_proposal_does_not_wander(self, desk: Desk) -> None:
        with_week(desk, routing=Routing((), (ALEX, KIM)))
        first = desk.opened().case_id or ""
        assert self.proposed(desk, first) == "slack:U0ALEX1"
        desk.perform(HandOver(desk.opened().case_id or "", AMINA, ALEX))
        desk.perform(SetFacts(first, AMINA, sub_sector="Primary"))
        assert self.proposed(desk, first) == "slack:U0ALEX1", "another case on their desk takes nothing away"
        away(desk, ALEX, FRIDAY, FRIDAY)
        assert self.proposed(desk, desk.opened().case_id) == "terminal:Kim Holt"
        desk.perform(SetFacts(first, AMINA, sub_sector="Secondary"))
        assert self.proposed(desk, first) == "terminal:Kim Holt"

    def test_a_corrected_sector_is_routed_anew(self, desk: Desk) -> None:
        with_week(desk, routing=Routing(self.RULES, (AMINA,)))
        case_id = desk.opened(sender="a@elsewhere.example").case_id or ""
        assert self.proposed(desk, case_id) == str(AMINA)
        desk.perform(SetFacts(case_id, BEN, sector="Education"))
        assert self.proposed(desk, case_id) == "slack:U0SAM12"


LATER = FRIDAY_1640 + timedelta(days=3, hours=1)
HEAD, BOSS = reachable("head.of.fostering@elmshire.example"), reachable("U0BOSS1")


class TestSeniorManagers:
    def seniors(self, desk: Desk) -> list[outbox.Parcel]:
        return [
            parcel
            for via in Via
            for parcel in self.taken(desk, via, FRIDAY_1640 + timedelta(days=3))
            if parcel.kind is Kind.SENIOR
        ]

    def taken(self, desk: Desk, via: Via, now: datetime) -> list[outbox.Parcel]:
        return outbox.take(
            desk.database, desk.practice.vault, via=via, now=now, lease=timedelta(minutes=1), worker="t", limit=500
        )

    async def deliver(self, desk: Desk) -> list[str]:
        """Deliver what is due, as the service does. Whom the messages that went were for."""
        reached: list[str] = []
        post, shown = AsyncMock(), AsyncMock()
        post.send.side_effect = lambda *_, to, **__: reached.append(f"mail:{to}")
        shown.direct.side_effect = lambda to, *_, **__: reached.append(str(to))
        for via in Via:
            worker = DeliveryWorker(
                desk.database, desk.practice, via, post, shown, "LADO", lambda: LATER, timedelta(minutes=1), "t"
            )
            for parcel in [one for one in self.taken(desk, via, LATER) if one.kind is Kind.SENIOR]:
                await worker._handle(parcel)
        return reached

    def on_record(self, desk: Desk) -> list[str]:
        with desk.database.read() as session:
            told_of = select(AuditEntry.code).where(col(AuditEntry.act) == "manager_told")
            return sorted(str(code) for code in session.exec(told_of))

    def named(self, desk: Desk) -> Desk:
        return with_week(
            desk,
            seniors=SeniorManagers(
                (BOSS,), (ServiceManagers.parse("Fostering: head.of.fostering@elmshire.example; U0BOSS1"),)
            ),
        )

    def decided(self, desk: Desk, kind: DecisionKind = DecisionKind.REFERRAL) -> str:
        case_id = desk.opened(sender="a@fostering.example", body_text="Marmalade on the carer's hands.").case_id or ""
        desk.perform(Decide(case_id, AMINA, kind, Category.PHYSICAL, (Criterion.HARMED,), "Marmalade."))
        return case_id

    def test_are_told_once_for_each_reason_and_without_content(self, desk: Desk) -> None:
        case_id = self.decided(self.named(desk))
        for note in ("Marmalade.", "More."):
            desk.perform(Escalate(case_id, AMINA, Escalation.COMPLEX, note))
        desk.perform(SetFacts(case_id, AMINA, sub_sector="Kinship"))
        told = self.seniors(desk)
        assert sorted((parcel.via.value, parcel.content["actor"]) for parcel in told) == [
            ("desk", "slack:U0BOSS1"),
            ("desk", "slack:U0BOSS1"),
            ("mail", "mail:head.of.fostering@elmshire.example"),
        ]
        assert {"was escalated to a senior manager (complex)", "concerns your service"} == {
            found for parcel in told for found in ("was escalated to a senior manager (complex)", "concerns your service")
            if found in parcel.content["text"]
        }  # fmt: skip
        assert not any("armalade" in str(parcel.content) for parcel in told)
        assert self.on_record(desk) == [], "none has gone"
        asyncio.run(self.deliver(desk))
        assert self.on_record(desk) == ["escalated/complex", "service", "service"]

    def test_whoever_was_not_told_for_a_restriction_is_told_once_they_may_know(self, desk: Desk) -> None:
        case_id = self.decided(self.named(desk))
        for _ in range(2):
            desk.perform(Restrict(case_id, AMINA, (), "A colleague of ours."))
            assert asyncio.run(self.deliver(desk)) == []
            assert self.on_record(desk) == []
            desk.perform(Restrict(case_id, AMINA, (), "Over.", lift=True))
        to = ["mail:head.of.fostering@elmshire.example", "slack:U0BOSS1"]
        assert sorted(asyncio.run(self.deliver(desk))) == to
        assert self.on_record(desk) == ["service", "service"]
        desk.perform(SetFacts(case_id, AMINA, sub_sector="Kinship"))
        assert asyncio.run(self.deliver(desk)) == []

    @pytest.mark.parametrize("kind", [DecisionKind.NO_FURTHER_ACTION, None])
    def test_no_service_hears_of_what_no_officer_holds_for_a_case(self, desk: Desk, kind: DecisionKind | None) -> None:
        self.named(desk)
        if kind is None:
            desk.opened(sender="a@fostering.example")
        else:
            self.decided(desk, kind)
        assert self.seniors(desk) == []

    def test_of_a_restricted_case_only_those_named_in_it(self, desk: Desk) -> None:
        self.named(desk)
        case_id = desk.opened(sender="a@fostering.example").case_id or ""
        desk.perform(Restrict(case_id, AMINA, (Actor("slack", "T1/U0BOSS1"),), "A colleague of ours."))
        desk.perform(Decide(case_id, AMINA, DecisionKind.CONSULTATION, Category.PHYSICAL, (), "So."))
        assert [parcel.content["actor"] for parcel in self.seniors(desk)] == ["slack:U0BOSS1"]
        desk.perform(Restrict(case_id, AMINA, (), "Over.", lift=True))
        assert [parcel.content["actor"] for parcel in self.seniors(desk)] == ["mail:head.of.fostering@elmshire.example"]

    def test_what_is_restricted_before_the_message_leaves_is_not_told(self, desk: Desk) -> None:
        case_id = self.decided(self.named(desk))
        (mail, _) = sorted(self.seniors(desk), key=lambda parcel: parcel.via.value, reverse=True)
        with desk.database.read() as session:
            assert seniors.is_true_still(session, case_id, mail.content)
        desk.perform(Restrict(case_id, AMINA, (), "A colleague of ours."))
        with desk.database.read() as session:
            assert not seniors.is_true_still(session, case_id, mail.content)


@pytest.mark.parametrize("text", ["Education", "Education:", ": U0SAM12", "Education: a:b", "Education: \x07"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rule|nobody"):
        Rule.parse(text)


def test_who_is_named_is_known_by_the_form() -> None:
    assert person("UWE") == Actor("terminal", "UWE")
    assert person("T0TEAM/U0ALEX1") == Actor("slack", "T0TEAM/U0ALEX1")
    assert person("terminal:U0ALEX1") == Actor("terminal", "U0ALEX1")
    with pytest.raises(ValueError, match="mail address"):
        reachable("Kim Holt")
