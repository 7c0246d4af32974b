"""What becomes of the simulated year's cases: each a life of waits and acts, made to meet its own reminders at times."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from random import Random

from intake_bot.casework.acts import (
    Act,
    Claim,
    CloseAction,
    Conclude,
    CorrectReceipt,
    Decide,
    EndClock,
    NotAConsultation,
    PauseCase,
    RecordAction,
    RecordMeeting,
    Release,
    Reopen,
    Restrict,
    ResumeCase,
    SetStrand,
    StopChasing,
)
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import ADVICE, FIRST_MEETING
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    ClockEnd,
    DecisionKind,
    EmployerAction,
    MeetingKind,
    Owner,
    PauseReason,
    SetAside,
    StrandKind,
)
from triage.vocabulary import Category, Criterion

OFFICERS = tuple(Actor("terminal", name) for name in ("Amina Duty (fictional)", "Ben Duty (fictional)"))


class Until(Enum):
    """A moment that the year knows."""

    NEXT_REMINDER = "next_reminder"
    """The very moment at which this case's next reminder or chaser comes."""


@dataclass(frozen=True)
class Answer:
    """The referrer writes on the case."""

    case_id: str


@dataclass(frozen=True)
class OpenActions:
    """Which actions are owed on the case: their ids are sent back."""

    case_id: str


Wish = timedelta | Until | Act | Answer | OpenActions
Life = Generator[Wish, list[str], None]
"""Is sent the ids that it asked for, else nothing in particular."""


@dataclass
class Lives:
    """Makes lives by chance."""

    chance: Random
    now: Callable[[], datetime]

    def of(self, case_id: str, sender: str) -> Life:
        by = self.chance.choice(OFFICERS)
        if self._is(0.04):
            return  # nobody ever looks at it
        yield self._wait(hours=3)
        yield Claim(case_id, by)
        if self._is(0.1):
            yield self._wait(hours=2)
            yield Release(case_id, by)
            yield self._wait(hours=4)
            yield Claim(case_id, by)
        if self._is(0.05):
            yield self._wait(hours=8)
            yield NotAConsultation(case_id, by, SetAside.INFORMATION_ONLY)
            yield self._wait(hours=30)
            yield Reopen(case_id, by, "It is one after all.")
        if self._is(0.05):
            yield CorrectReceipt(case_id, by, self.now() - timedelta(hours=20), "It lay in another mailbox.")
        if self._is(0.2):
            yield from self._ask(case_id, by, sender)
        yield self._wait(hours=12)
        referral = self._is(0.5)
        yield self._decision(case_id, by, referral=referral)
        yield from self._referral(case_id, by, sender) if referral else self._advice(case_id, by, sender)
        yield self._wait(hours=300)
        outcome = CaseOutcome.UNSUBSTANTIATED if referral else None
        action = EmployerAction.TRAINING if referral else None
        yield Conclude(case_id, by, outcome, "It has ended.", employer_action=action)
        if self._is(0.1):
            yield self._wait(hours=200)
            yield Reopen(case_id, by, "Something new has come.")
            yield self._wait(hours=400)
            yield Conclude(case_id, by, outcome, "It has ended again.", employer_action=action)

    def _advice(self, case_id: str, by: Actor, sender: str) -> Life:
        if self._is(0.3):
            yield from self._ask(case_id, by, sender)
        if self._is(0.7):
            yield self._wait(hours=90)
            yield EndClock(case_id, by, ADVICE, ClockEnd.MET, "Told by telephone.")

    def _referral(self, case_id: str, by: Actor, sender: str) -> Life:
        if self._is(0.5):
            yield SetStrand(case_id, by, StrandKind.EMPLOYER, True, "")
        if self._is(0.6):
            yield from self._ask(case_id, by, sender)
        if self._is(0.1):
            yield Restrict(case_id, by, (), "Somebody in the service is meant.")
        if self._is(0.8):
            yield self._wait(hours=100)
            yield RecordMeeting(case_id, by, MeetingKind.INITIAL, self.now())
        elif self._is(0.5):
            yield EndClock(case_id, by, FIRST_MEETING, ClockEnd.NO_CLOCK, "None is needed.")
            yield self._wait(hours=100)
            yield EndClock(case_id, by, FIRST_MEETING, ClockEnd.RESTART, "One is needed after all.")
        if self._is(0.25):
            yield self._wait(hours=200)
            yield PauseCase(case_id, by, PauseReason.POLICE, "They ask us to wait.")
            yield timedelta(hours=self.chance.uniform(2, 1000))
            yield ResumeCase(case_id, by)
        if self._is(0.08):
            yield self._wait(hours=50)
            yield Reopen(case_id, by, "The decision was on the wrong facts.")
            yield self._wait(hours=20)
            yield self._decision(case_id, by, referral=True)
        if self._is(0.5):
            yield self._wait(hours=400)
            yield SetStrand(case_id, by, StrandKind.EMPLOYER, False, "")
        if self._is(0.4):
            yield timedelta(hours=self.chance.uniform(300, 3000))

    def _ask(self, case_id: str, by: Actor, sender: str) -> Life:
        """Something is owed, by email or not; it is answered, done, stopped, or nothing of the kind."""
        due_at = self.now() + timedelta(hours=self.chance.uniform(2, 250))
        address = sender if self._is(0.8) else ""
        yield RecordAction(case_id, by, Owner.EMPLOYER, due_at, "Say what was found.", address)
        yield self._wait(hours=150)
        dice = self.chance.random()
        if dice < 0.3:
            yield Answer(case_id)
        if dice < 0.5:
            for action_id in (yield OpenActions(case_id)):
                yield CloseAction(case_id, by, action_id)
        elif dice < 0.6:
            for action_id in (yield OpenActions(case_id)):
                yield StopChasing(case_id, by, action_id)

    def _decision(self, case_id: str, by: Actor, *, referral: bool) -> Act:
        kind = DecisionKind.REFERRAL if referral else DecisionKind.CONSULTATION
        criteria = (Criterion.HARMED,) if referral else ()
        return Decide(case_id, by, kind, Category.PHYSICAL, criteria, "Simulated reasons.")

    def _wait(self, *, hours: float) -> timedelta | Until:
        """Some time up to so long; or to the moment at which the case's next reminder comes, so that the two meet."""
        return Until.NEXT_REMINDER if self._is(0.4) else timedelta(hours=self.chance.uniform(0.01, hours))

    def _is(self, likely: float) -> bool:
        return self.chance.random() < likely
