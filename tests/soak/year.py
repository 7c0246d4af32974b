"""A year of cases at accelerated time, with nodes that are killed, away, or have a wrong clock: part of ``make soak``.

The world goes from moment to moment: what an officer does, what arrives, what becomes due, when an office day opens. The
nodes are processes of their own that look at the clocks without pause; the officers' acts run beside them, many at the very
moment at which a reminder of that case comes. Now and then a node is killed with SIGKILL a few milliseconds into a moment,
and some days none is there. Then the books are opened (:mod:`soak.books`). Exits with 1 where a promise broke.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import bindparam, exists, func, literal, union_all
from sqlalchemy import select as rows
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from conftest import PostgresCluster, postgres_binaries
from intake_bot.casework import officer, receive
from intake_bot.casework.acts import Done
from intake_bot.casework.receive import Incoming
from intake_bot.casework.vocabulary import ActionState, DeadlineState, ReminderState
from soak.books import Span, broken, counts
from soak.lives import Answer, Life, Lives, OpenActions, Until, Wish
from soak.node import Here, Place, live
from storage import schema, spool
from storage.claims import LEASED, WAITING
from storage.engine import sqlite_url
from storage.outbox import Via
from storage.spool import Channel, Offer
from storage.tables import Action, Case, Chaser, Deadline, Outgoing, Reminder

BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
PATIENCE_SECONDS = 60.0
"""How long what is due may take while a node is there that knows the time."""
LOOK_SECONDS = 0.003
TRIES = 5
SKEWS = (0.0, 0.0, -40.0, 20.0, -3600.0)
"""Seconds by which a node's clock may be wrong: the last is a machine that was suspended, or thinks that it is winter."""
TICK = timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much happens. ``kills`` is how likely one is at a moment, ``outages`` how many times no node is there at all."""

    cases: int
    days: int
    nodes: int
    kills: float
    outages: int
    seed: int = 1
    minutes: float | None = None
    """Of real time, after which the year ends where it stands."""
    here: bool = False
    """The nodes are in this process and die at a statement, instead of processes that are killed: quick and repeatable."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--kills", type=float, default=0.03, help="how likely one is at each moment")
    parser.add_argument("--outages", type=int, default=25)
    parser.add_argument("--sqlite", action="store_true", help="one node on SQLite, instead of two on PostgreSQL")
    parser.add_argument(
        "--minutes", type=float, help="end the year after so long, and open the books on what there was"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="intake-bot-year-")))
        url = sqlite_url(folder / "intake.db")
        if not options.sqlite:
            binaries = postgres_binaries()
            if binaries is None:
                print("no PostgreSQL server binaries on this machine: left out")
                return
            cluster = PostgresCluster(binaries)
            stack.callback(cluster.stop)
            url = cluster.new_database()
        shape = Shape(
            cases=options.cases, days=options.days, nodes=1 if options.sqlite else 2, kills=options.kills,
            outages=options.outages, seed=options.seed, minutes=options.minutes,
        )  # fmt: skip
        faults = run(shape, Place(url, folder), say=lambda line: print(line, file=sys.stderr, flush=True)).faults
        for line in faults[:50]:
            print(f"BROKEN  {line}")
        print(f"{len(faults)} promises broken" if faults else "every promise held")
        sys.exit(bool(faults))


@dataclass(frozen=True)
class Lived:
    """What broke (nothing, where every promise held), and how much of what there was."""

    faults: list[str]
    counts: dict[str, int]


def run(shape: Shape, place: Place, *, say: Callable[[str], None] = lambda _: None) -> Lived:
    """Live through it and open the books."""
    began = time.monotonic()
    house = place.open()
    try:
        schema.upgrade(house.database)
        with house.database.write() as session:
            schema.check_key(session, house.practice.vault)
        with Year(shape, place, say) as year:
            faults = year.live()
        with house.database.read() as session:
            dark = [*year.dark]
            faults += broken(session, house.practice, since=BEGIN, until=year.now, dark=dark)
            totals = counts(session) | dict(year.counted)
        lived = (year.now - BEGIN) / timedelta(days=1)
        say(f"{totals['cases']} cases, {lived:.0f} days, {shape.nodes} node(s) in {time.monotonic() - began:.0f} s")
        say(
            f"without a node that knew the time: {len(dark)} times, {sum((e - b for b, e in dark), timedelta())} in all"
        )
        for name, number in sorted(totals.items()):
            say(f"  {name:44} {number:8,}")
        return Lived(faults, totals)
    finally:
        house.close()


@dataclass
class Node:
    """One node's process, or the node in this one, and when it comes back where it is away."""

    process: BaseProcess | Here | None = None
    back_at: datetime = BEGIN


class Year:
    """The world: its clock, its nodes and what happens in it."""

    def __init__(self, shape: Shape, place: Place, say: Callable[[str], None]) -> None:
        self._shape, self._place, self._say = shape, place, say
        self._house = place.open()
        self._calendar = self._house.practice.calendar
        self._chance = Random(shape.seed)
        self._lives = Lives(self._chance, lambda: self.now)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["intake_bot.delivery", "intake_bot.service", "conftest", "soak.books", "soak.node"]
        )
        self._context = context
        self._clock = context.RawArray("d", [BEGIN.timestamp()])
        self._skew = context.RawArray("d", [0.0] * shape.nodes)
        self._nodes = [Node() for _ in range(shape.nodes)]
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = 0
        self._digest_of = ""
        self._dark_since: datetime | None = BEGIN
        self._dark: list[Span] = []
        self.counted: Counter[str] = Counter()
        self.now = BEGIN

    def __enter__(self) -> Year:
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self._nodes)):
            self._kill(number)
        self._house.close()

    @property
    def dark(self) -> list[Span]:
        """When no node was there that knew the time."""
        return self._dark + ([(self._dark_since, self.now)] if self._dark_since is not None else [])

    def live(self) -> list[str]:
        """To the end, when every node is back and nothing that was due waits; what was not dealt with in time."""
        end = BEGIN + timedelta(days=self._shape.days)
        for number in range(self._shape.cases):
            self._at(self._arrival(), lambda number=number: self._arrive(number))  # type: ignore[misc]
        for _ in range(self._shape.outages):
            self._at(BEGIN + self._chance.random() * (end - BEGIN), self._outage)
        for number in range(self._shape.nodes):
            self._at(BEGIN, lambda number=number: self._come_back(number))  # type: ignore[misc]
        said, began = 0, time.monotonic()
        while (moment := self._next_moment()) <= end:
            if self._shape.minutes is not None and time.monotonic() > began + 60 * self._shape.minutes:
                break
            self._advance(moment)
            if not self._settled():
                return [f"what was due at {self.now} was not sent by a node that was there"]
            if (day := (self.now - BEGIN).days) >= said + 14:
                said = day
                self._say(f"day {day:3}: {sum(self.counted.values())} things done")
        self._agenda.clear()
        for number, node in enumerate(self._nodes):
            node.back_at = self.now
            self._come_back(number, sound=True)
        for _ in range(2):  # the letters that waited, then what waited for the letters
            self.now += TICK
            self._clock[0] = self.now.timestamp()
            if not self._settled(letters=True):
                return ["it has not settled at the end"]
        return []

    def _next_moment(self) -> datetime:
        """When something happens next: a deed, something due, or the opening of an office day with its digest."""
        with self._house.database.read() as session:
            due = [at for at in session.connection().execute(_NEXT, {"now": self.now}).scalars() if at is not None]
        opening = self._calendar.next_opening(self.now + timedelta(seconds=1))
        moments = [*due, opening, *([self._agenda[0][0]] if self._agenda else [])]
        return max(self.now, _whole(min(moments)))

    def _advance(self, moment: datetime) -> None:
        self.now = moment
        self._clock[0] = moment.timestamp()
        if self._chance.random() < self._shape.kills:
            number = self._chance.randrange(len(self._nodes))
            process = self._nodes[number].process
            if isinstance(process, Here):
                process.look(dies_after=self._chance.randrange(60))
            elif process is not None:
                time.sleep(self._chance.uniform(0, 0.008))
            self.counted["kills"] += process is not None
            self._go_away(number, timedelta(hours=self._chance.expovariate(1 / 6)))
        if self._chance.random() < self._shape.kills / 2:
            self._skew[self._chance.randrange(len(self._nodes))] = self._chance.choice(SKEWS)
            self._note_dark()
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()

    def _settled(self, *, letters: bool = False) -> bool:
        """Wait until all is sent that is due by now, while somebody is there to do it; whether that came in time."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self._dark_since is None and self._waits(letters=letters):
            if time.monotonic() > until:
                return False
            self._look()
        return True

    def _look(self) -> None:
        """Let the nodes in this process look, in any order; for those in others wait a moment."""
        here = [node.process for node in self._nodes if isinstance(node.process, Here)]
        for node in self._chance.sample(here, len(here)):
            node.look()
        if not here:
            time.sleep(LOOK_SECONDS)

    def _waits(self, *, letters: bool) -> bool:
        at = {"now": self.now, "chased": self.now if self._calendar.office_open_at(self.now) else BEGIN}
        with self._house.database.read() as session:
            found = session.connection().execute(_WAITS_WITH_LETTERS if letters else _WAITS, at).first()
            return found is not None or self._digest_waits(session)

    def _digest_waits(self, session: Session) -> bool:
        today = self._calendar.local(self.now).date()
        opens = self._calendar.instant_at(today, self._calendar.opens)
        if not self._calendar.is_working_day(today) or self.now < opens or self._digest_of == str(today):
            return False
        if session.exec(select(Case.id).where(col(Case.received_at) < opens).limit(1)).first() is None:
            return False
        if session.exec(select(Outgoing.id).where(col(Outgoing.key) == f"digest:{today}")).first() is None:
            return True
        self._digest_of = str(today)
        return False

    # The nodes.

    def _outage(self) -> None:
        """All of them are away: for minutes, or for days."""
        self.counted["outages"] += 1
        length = timedelta(hours=self._chance.choice((0.2, 3, 20, 100)) * self._chance.random())
        for number in range(len(self._nodes)):
            self._go_away(number, length)

    def _go_away(self, number: int, length: timedelta) -> None:
        self._kill(number)
        node = self._nodes[number]
        node.back_at = max(node.back_at, self.now + length)
        self._at(node.back_at, lambda: self._come_back(number))
        self._note_dark()

    def _kill(self, number: int) -> None:
        node = self._nodes[number]
        if node.process is None:
            return
        if not isinstance(node.process, Here):
            node.process.kill()
            node.process.join()
        node.process.close()
        node.process = None

    def _come_back(self, number: int, *, sound: bool = False) -> None:
        node = self._nodes[number]
        if sound:
            self._skew[number] = 0.0
        if node.process is None and self.now >= node.back_at:
            node.process = self._start(number)
            self.counted["starts of a node"] += 1
        self._note_dark()

    def _start(self, number: int) -> BaseProcess | Here:
        if self._shape.here:
            return Here(self._place, number, lambda: self.now + timedelta(seconds=self._skew[number]))
        arguments = (self._place, number, self._clock, self._skew)
        process = self._context.Process(target=live, args=arguments, daemon=True)
        process.start()
        return process

    def _note_dark(self) -> None:
        lit = any(node.process is not None and self._skew[at] >= 0 for at, node in enumerate(self._nodes))
        if lit and self._dark_since is not None:
            self._dark.append((self._dark_since, self.now))
            self._dark_since = None
        elif not lit and self._dark_since is None:
            self._dark_since = self.now

    # What happens.

    def _at(self, moment: datetime, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (_whole(moment), self._order, what))

    def _arrival(self) -> datetime:
        """Mostly in school hours."""
        day = BEGIN + timedelta(days=self._chance.randrange(max(1, self._shape.days - 1)))
        return day + timedelta(hours=self._chance.triangular(7, 23, 14))

    def _arrive(self, number: int) -> None:
        sender = f"lead@setting-{number % 200}.example"
        case_id = self._file(sender, f"This is a simulated consultation, number {number}.", ())
        if case_id is not None:
            self._go_on(self._lives.of(case_id, sender), case_id, sender, None)

    def _file(self, sender: str, body: str, recipients: tuple[str, ...]) -> str | None:
        house = self._house
        (identity,) = spool.accept(
            house.database,
            house.practice.vault,
            [Offer(Channel.EMAIL, body.encode(), {"from": sender, "to": []}, self.now)],
        )
        assert identity is not None
        with house.database.read() as session:
            key_id = spool.key_id_of(session, identity)
        incoming = Incoming(
            id=identity, channel="email", received_at=self.now, raw_id=identity, key_id=key_id, sender=sender,
            sender_name="A Lead (fictional)", answer_to=sender, recipients=recipients or (house.practice.address,),
            message_id=f"<{identity}@setting.example>", in_reply_to=(), references=(), date="",
            subject="Consultation (simulated)", body_text=body, full_text=body,
            digest=hashlib.sha256(body.encode()).hexdigest(),
        )  # fmt: skip

        def file(session: Session) -> str | None:
            filed = receive.file(session, house.practice, incoming, None, now=self.now)
            return filed.case_id if filed is not None else None

        self.counted["messages"] += 1
        return self._write(file)

    def _write(self, what: Callable[[Session], str | None]) -> str | None:
        """One transaction beside the nodes. Where it lost a race, by the database's word, it is tried again."""
        for _ in range(TRIES):
            try:
                with self._house.database.write() as session:
                    return what(session)
            except OperationalError:
                self.counted["tried again by the database's wish"] += 1
        raise AssertionError("no try of an act came through")

    def _go_on(self, life: Life, case_id: str, sender: str, answer: list[str] | None) -> None:
        """Let a case live until it waits."""
        try:
            wish = life.send(answer) if answer is not None else next(life)
            while True:
                moment = self._moment(wish, case_id)
                if moment is not None:
                    self._at(moment, lambda: self._go_on(life, case_id, sender, []))
                    return
                wish = life.send(self._do(wish, sender))
        except StopIteration:
            self.counted["lives lived to their end"] += 1

    def _moment(self, wish: Wish, case_id: str) -> datetime | None:
        if isinstance(wish, timedelta):
            return self.now + wish
        if wish is not Until.NEXT_REMINDER:
            return None
        with self._house.database.read() as session:
            found = session.connection().execute(_NEXT_OF_CASE, {"now": self.now, "case": case_id}).scalars().all()
        return min((at for at in found if at is not None), default=self.now + timedelta(hours=20))

    def _do(self, wish: Wish, sender: str) -> list[str]:
        match wish:
            case OpenActions(case_id):
                with self._house.database.read() as session:
                    owed = select(Action.id).where(
                        col(Action.case_id) == case_id, col(Action.state) == ActionState.OPEN
                    )
                    return list(session.exec(owed).all())
            case Answer(case_id):
                with self._house.database.read() as session:
                    to = self._house.practice.reply_address(session.get_one(Case, case_id).reply_tag)
                self._file(sender, f"This is what was found, at {self.now}.", (to,))
            case timedelta() | Until():
                raise AssertionError("a wait is no deed")
            case act:

                def perform(session: Session) -> str:
                    done = officer.perform(session, self._house.practice, act, now=self.now)
                    return "acts" if isinstance(done, Done) else "acts refused"

                # Before the nodes' look at this moment, in the midst of it, or after it.
                if self._shape.here and self._chance.random() < 0.3:
                    self._look()
                time.sleep(0 if self._shape.here else self._chance.choice((0, 0, 0.002)))
                self.counted[self._write(perform) or ""] += 1
        return []


def _there(*which: Any) -> Any:
    return rows(literal(1)).where(exists().where(*which))


_DUE = (
    _there(col(Reminder.state) == ReminderState.WAITING, col(Reminder.due_at) <= bindparam("now")),
    _there(col(Deadline.state) == DeadlineState.RUNNING, col(Deadline.due_at) < bindparam("now")),
    _there(col(Chaser.state) == ReminderState.WAITING, col(Chaser.due_at) <= bindparam("chased")),
)
"""Whether anything is due and not sent. Chasers wait for the office to open."""
_WAITS = union_all(*_DUE)
_WAITS_WITH_LETTERS = union_all(
    *_DUE, _there(col(Outgoing.channel) == Via.MAIL, col(Outgoing.state).in_((WAITING, LEASED)))
)


def _next(of: Callable[[Any], tuple[Any, ...]]) -> Any:
    """When the next reminder and the next chaser come that lie ahead."""
    return union_all(
        *(
            rows(func.min(table.due_at)).where(
                col(table.state) == ReminderState.WAITING, col(table.due_at) > bindparam("now"), *of(table)
            )
            for table in (Reminder, Chaser)
        )
    )


_NEXT = _next(lambda _: ())
_NEXT_OF_CASE = _next(lambda table: (col(table.case_id) == bindparam("case"),))


def _whole(moment: datetime) -> datetime:
    """The whole second at or after it: what the shared clock tells exactly."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)


if __name__ == "__main__":
    main()
