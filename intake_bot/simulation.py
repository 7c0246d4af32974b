"""A plausible fictional year, lived through the real casework with a clock that moves: for demos, training and load.

The shares are those of published annual reports (docs/reports.md); the people, places and words are made up, and nothing is
sent: whatever would leave is marked as sent. A record that holds anything real is not touched.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, TypeVar

from sqlalchemy import bindparam, exists, literal, union_all, update
from sqlalchemy import select as select_rows
from sqlmodel import Session, col, select

from intake_bot.casework import chasing, officer, receive, reminders
from intake_bot.casework.acts import (
    Act,
    Claim,
    Conclude,
    Decide,
    Done,
    EndClock,
    PauseCase,
    RecordMeeting,
    ResumeCase,
    SetFacts,
    SetStrand,
    TellRegulator,
    Transfer,
)
from intake_bot.casework.calendar import MIDNIGHT
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import ADVICE
from intake_bot.casework.receive import Incoming
from intake_bot.casework.sectors import FOSTERING
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    ClockEnd,
    DeadlineState,
    DecisionKind,
    EmployerAction,
    MeetingKind,
    PauseReason,
    RegulatorBody,
    ReminderState,
    Source,
    StrandKind,
)
from intake_bot.house import House
from storage import spool
from storage.claims import DONE, WAITING
from storage.spool import Channel, Offer
from storage.tables import SIMULATED, Case, Chaser, Deadline, Message, Meta, Outgoing, Reminder, Spooled
from triage.suggestion import Suggestion
from triage.vocabulary import Category, Criterion, Threshold

SWEEPS = (timedelta(hours=9, minutes=5), timedelta(hours=16, minutes=5))
"""When in a day the clocks are looked at, local time."""
OFFICERS = tuple(Actor("terminal", name) for name in ("Amina Duty (fictional)", "Ben Duty (fictional)"))

_Value = TypeVar("_Value")
_Shares = tuple[tuple[_Value, float], ...]

_SECTORS: _Shares[str | None] = (
    ("Education", 0.41),
    ("Early years", 0.16),
    ("Social care", 0.12),
    (FOSTERING, 0.09),
    ("Health", 0.06),
    ("Police", 0.03),
    ("Sport", 0.03),
    ("Voluntary organisation", 0.03),
    ("Council or government", 0.02),
    ("Faith group", 0.02),
    ("Transport", 0.02),
    (None, 0.01),
)
_SOURCES: _Shares[Source] = (
    (Source.EMPLOYER, 0.60),
    (Source.SOCIAL_CARE, 0.15),
    (Source.POLICE, 0.09),
    (Source.PARENT_OR_CARER, 0.05),
    (Source.OFSTED, 0.04),
    (Source.HEALTH, 0.03),
    (Source.PUBLIC, 0.02),
    (Source.ANOTHER_AUTHORITY, 0.02),
)
_CATEGORIES: _Shares[Category] = (
    (Category.PHYSICAL, 0.32),
    (Category.EMOTIONAL, 0.15),
    (Category.SEXUAL, 0.13),
    (Category.NEGLECT, 0.10),
    (Category.CONDUCT, 0.14),
    (Category.PRIVATE_LIFE, 0.16),
)
_DECISIONS: _Shares[DecisionKind] = (
    (DecisionKind.REFERRAL, 0.424),
    (DecisionKind.CONSULTATION, 0.46),
    (DecisionKind.NO_FURTHER_ACTION, 0.08),
    (DecisionKind.TRANSFERRED, 0.036),
)
_OUTCOMES: _Shares[CaseOutcome] = (
    (CaseOutcome.SUBSTANTIATED, 0.45),
    (CaseOutcome.UNSUBSTANTIATED, 0.155),
    (CaseOutcome.UNFOUNDED, 0.385),
    (CaseOutcome.FALSE, 0.008),
    (CaseOutcome.MALICIOUS, 0.002),
)
_REGULATORS: _Shares[RegulatorBody] = (
    (RegulatorBody.OFSTED, 0.53),
    (RegulatorBody.DBS, 0.32),
    (RegulatorBody.SPORT, 0.09),
    (RegulatorBody.TRA, 0.06),
)
_MONTHS = (0.075, 0.09, 0.095, 0.08, 0.035, 0.095, 0.095, 0.1, 0.075, 0.085, 0.08, 0.095)
"""From April: fewer in the holidays."""
_THEMES = ("online", "disability", "sport", "faith", "missing", "restraint")
_DAYS_TO_CONCLUDE: _Shares[tuple[int, int]] = (((10, 28), 0.28), ((32, 88), 0.49), ((95, 350), 0.2), ((370, 600), 0.03))


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulated year came to."""

    contacts: int
    acts: int
    reminders: int
    since: date
    until: date


class NotEmpty(Exception):
    """The record holds something already."""


def simulate(
    house: House, *, year: int, contacts: int, seed: int = 1, progress: Callable[[int], None] = lambda _: None
) -> Simulated:
    """Live through the year that begins in April of ``year``, with so many contacts. ``progress`` is told of each.

    The same seed makes the same year, save what is random by design (references, keys). Raises NotEmpty.
    """
    with house.database.write() as session:
        for table in (Case, Message, Spooled, Outgoing):
            if session.exec(select(table.id).limit(1)).first() is not None:
                raise NotEmpty
        session.merge(Meta(name=SIMULATED, value=str(year)))
    return _Year(house, year, Random(seed), progress).live(contacts)  # noqa: S311 (a made-up year, no secret)


def _due(table: Any, *which: Any) -> Any:
    return select_rows(literal(1)).where(exists().where(*which, col(table.due_at) <= bindparam("now")))


_ANYTHING = union_all(
    _due(Reminder, col(Reminder.state) == ReminderState.WAITING),
    _due(Chaser, col(Chaser.state) == ReminderState.WAITING),
    _due(Deadline, col(Deadline.state) == DeadlineState.RUNNING),
).limit(1)
"""Whether a look at the clocks would find anything: at most of them nothing has become due."""


@dataclass(order=True, slots=True)
class _Event:
    at: datetime
    order: int
    act: Act | None = None
    """None: a look at the clocks."""


class _Year:
    def __init__(self, house: House, year: int, random: Random, progress: Callable[[int], None]) -> None:
        self._house, self._random, self._progress = house, random, progress
        self._calendar = house.practice.calendar
        self._since, self._until = date(year, 4, 1), date(year + 1, 4, 1)
        self._end = self._calendar.instant_at(self._until, MIDNIGHT)
        self._agenda: list[_Event] = []
        self._order = 0
        self._acts = self._reminders = 0

    def live(self, contacts: int) -> Simulated:
        arrivals = sorted(self._moment_of_arrival() for _ in range(contacts))
        day, number = self._since, 0
        while day < self._until:
            tomorrow = day + timedelta(days=1)
            midnight = self._calendar.instant_at(tomorrow, MIDNIGHT)
            for sweep in SWEEPS:
                self._later(self._calendar.instant_at(day, MIDNIGHT) + sweep, None)
            today = []
            while arrivals and arrivals[0] < midnight:
                today.append(arrivals.pop(0))
            self._live_a_day(today, midnight, number)
            number += len(today)
            self._progress(number)
            day = tomorrow
        return Simulated(contacts, self._acts, self._reminders, self._since, self._until)

    def _live_a_day(self, arrivals: Sequence[datetime], midnight: datetime, number: int) -> None:
        practice = self._house.practice
        words = [f"This is a simulated consultation, number {number + at + 1}." for at in range(len(arrivals))]
        offers = [
            Offer(Channel.EMAIL, body.encode(), {"from": "", "to": []}, moment)
            for body, moment in zip(words, arrivals, strict=True)
        ]
        ids = spool.accept(self._house.database, practice.vault, offers) if offers else []
        coming = iter(
            [(moment, identity or "", body) for moment, identity, body in zip(arrivals, ids, words, strict=True)]
        )
        following = next(coming, None)
        with self._house.database.write() as session:
            while True:
                due = self._agenda[0].at if self._agenda else midnight
                if following is not None and following[0] <= due:
                    self._arrive(session, *following)
                    following = next(coming, None)
                elif due < midnight:
                    self._do(session, heapq.heappop(self._agenda))
                else:
                    break
            session.connection().execute(
                update(Outgoing)
                .where(col(Outgoing.state) == WAITING)
                .values(state=DONE, sent_at=Outgoing.created_at, available_at=None)
            )

    def _do(self, session: Session, event: _Event) -> None:
        practice = self._house.practice
        if event.act is None:
            if session.connection().execute(_ANYTHING, {"now": event.at}).first() is None:
                return
            session.flush()
            reminders.mark_missed(session, practice, now=event.at)
            self._reminders += len(reminders.send_due(session, practice, now=event.at))
            self._reminders += len(chasing.send_due(session, practice, now=event.at).sent)
            return
        done = officer.perform(session, practice, event.act, now=event.at)
        if not isinstance(done, Done):
            raise AssertionError(f"the simulated {type(event.act).__name__} was refused: {done.said}")
        self._acts += 1

    def _arrive(self, session: Session, moment: datetime, identity: str, body: str) -> None:
        sector, source = self._one(_SECTORS), self._one(_SOURCES)
        category, decision = self._one(_CATEGORIES), self._one(_DECISIONS)
        place = self._random.randrange(400)
        sender = f"lead@setting-{place}.example"
        incoming = Incoming(
            id=identity,
            channel="email",
            received_at=moment,
            raw_id=identity,
            key_id=spool.key_id_of(session, identity),
            sender=sender,
            sender_name="A Lead (fictional)",
            answer_to=sender,
            recipients=(self._house.practice.address,),
            message_id=f"<{identity}@setting-{place}.example>",
            in_reply_to=(),
            references=(),
            date="",
            subject="Consultation (simulated)",
            body_text=body,
            full_text=body,
            digest=hashlib.sha256(body.encode()).hexdigest(),
        )
        filed = receive.file(session, self._house.practice, incoming, self._suggestion(category, decision), now=moment)
        assert filed is not None and filed.case_id is not None  # noqa: S101, PT018 (it is new, and nobody else is at work)
        case_id, by = filed.case_id, self._random.choice(OFFICERS)
        themes = (self._random.choice(_THEMES),) if self._random.random() < 0.25 else None
        for at, act in (
            (moment, SetFacts(case_id, by, f"Setting {place} (fictional)", sector, None, source, themes)),
            *self._course(case_id, by, moment, category, decision),
        ):
            self._later(at, act)

    def _course(
        self, case_id: str, by: Actor, moment: datetime, category: Category, decision: DecisionKind
    ) -> Iterator[tuple[datetime, Act]]:
        """What becomes of one contact, act by act."""
        quick = self._random.random() < 0.9
        decided = self._office(moment, (0.2, 6) if quick else (9, 20))
        yield self._office(moment, (0.05, 0.15)), Claim(case_id, by)
        if decision is DecisionKind.TRANSFERRED:
            yield decided, Transfer(case_id, by, "Another council (fictional)", "Where the adult works.")
            yield decided + timedelta(days=1), Conclude(case_id, by, None, "Transferred.")
            return
        criteria = (self._random.choice(tuple(Criterion)),) if decision is DecisionKind.REFERRAL else ()
        yield decided, Decide(case_id, by, decision, category, criteria, "Simulated reasons.")
        if decision is not DecisionKind.REFERRAL:
            if decision is DecisionKind.CONSULTATION:
                yield (
                    self._office(decided, (0, 30)),
                    EndClock(case_id, by, ADVICE, ClockEnd.MET, "Advised by telephone."),
                )
            yield self._office(decided, (31, 200)), Conclude(case_id, by, None, "Advised.")
            return
        yield from self._referral(case_id, by, moment, decided)

    def _referral(self, case_id: str, by: Actor, moment: datetime, decided: datetime) -> Iterator[tuple[datetime, Act]]:
        first, last = self._one(_DAYS_TO_CONCLUDE)
        concluded = max(
            self._office(decided, (40, 50)),
            self._office(moment + timedelta(days=self._random.uniform(first, last)), (0, 6)),
        )
        if self._random.random() < 0.85:
            held = self._office(decided, (2, 30))
            yield held, RecordMeeting(case_id, by, MeetingKind.INITIAL, held)
            again = held + timedelta(days=21)
            if again < concluded and self._random.random() < 0.4:
                yield again, RecordMeeting(case_id, by, MeetingKind.RECONVENED, again)
        if self._random.random() < 0.25:
            yield decided, SetStrand(case_id, by, StrandKind.POLICE, True)
            paused, resumed = decided + timedelta(days=9), concluded - timedelta(days=3)
            if resumed > paused and self._random.random() < 0.5:
                yield paused, PauseCase(case_id, by, PauseReason.POLICE, "The police ask us to wait.")
                yield resumed, ResumeCase(case_id, by)
        if self._random.random() < 0.18:
            told = decided + timedelta(days=4)
            yield told, TellRegulator(case_id, by, self._one(_REGULATORS), told)
        outcome = self._one(_OUTCOMES)
        action = self._random.choice(tuple(EmployerAction))
        yield concluded, Conclude(case_id, by, outcome, "Simulated ending.", employer_action=action)

    def _suggestion(self, category: Category, decision: DecisionKind) -> Suggestion:
        met = decision is DecisionKind.REFERRAL
        threshold = self._one(
            ((Threshold.MEETS, 0.75), (Threshold.UNCLEAR, 0.15), (Threshold.LOW_LEVEL, 0.1))
            if met
            else (
                (Threshold.LOW_LEVEL, 0.5),
                (Threshold.UNCLEAR, 0.3),
                (Threshold.MEETS, 0.15),
                (Threshold.NOT_LADO, 0.05),
            )
        )
        return Suggestion(
            category=category if self._random.random() < 0.7 else self._one(_CATEGORIES),
            secondary_categories=(),
            category_confidence=0.6,
            threshold=threshold,
            threshold_confidence=0.6,
            criteria=(),
            flags=(),
            missing=(),
            evidence=(),
            reason="A simulated suggestion.",
            engine=SIMULATED,
            version=SIMULATED,
        )

    def _moment_of_arrival(self) -> datetime:
        """Mostly in school hours of a school week."""
        month = self._random.choices(range(12), _MONTHS)[0]
        year, month0 = divmod(self._since.year * 12 + 3 + month, 12)
        begin = date(year, month0 + 1, 1)
        length = (date(year + month0 // 11, (month0 + 1) % 12 + 1, 1) - begin).days
        while True:
            day = begin + timedelta(days=self._random.randrange(length))
            if day.weekday() < 5 or self._random.random() < 0.08:
                break
        hour = self._random.triangular(7.5, 21, 14)
        return self._calendar.instant_at(day, MIDNIGHT) + timedelta(hours=hour)

    def _office(self, moment: datetime, hours: tuple[float, float]) -> datetime:
        return self._calendar.office_time_after(moment, timedelta(hours=self._random.uniform(*hours)))

    def _later(self, at: datetime, act: Act | None) -> None:
        if at < self._end:
            self._order += 1
            heapq.heappush(self._agenda, _Event(at, self._order, act))

    def _one(self, shares: _Shares[_Value]) -> _Value:
        return self._random.choices([value for value, _ in shares], [weight for _, weight in shares])[0]
