"""What the machine around the service does to it, and what the service does then (docs/operations.md, "What it does when"),
with the real service over real SMTP on both databases."""

from __future__ import annotations

import asyncio
import io
import smtplib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from rich.console import Console
from sqlalchemy import event
from sqlmodel import Session, col, func, select

from acceptance.harness import TO, mail
from conftest import FRIDAY_1640
from intake_bot import clock_watch
from intake_bot.casework.desk import CaseCard, DeliveryFailed, Posted
from intake_bot.casework.own_posts import ANSWER_STAYS
from intake_bot.casework.retention import BATCH
from intake_bot.clock_watch import ClockWatch
from intake_bot.house import open_house
from intake_bot.service import Service
from intake_bot.settings import load
from intake_bot.terminal import TerminalDesk
from storage import audit, engine, outbox
from storage.claims import FURTHEST
from storage.outbox import Kind, Via
from storage.tables import Case, Outgoing, Raw, Reminder, Spooled

Trouble = Callable[[engine.Database], AbstractContextManager[None]]


class Machine:
    """What the service stands on, to be set and wound by the test: the wall's clock, and the time that passes."""

    def __init__(self) -> None:
        self.now = FRIDAY_1640
        self.passed = 0.0

    def clock(self) -> datetime:
        return self.now

    def wait(self, time: timedelta) -> None:
        self.now += time
        self.passed += time.total_seconds()


class MovableDesk(TerminalDesk):
    """A desk that may be away, as Slack is."""

    def __init__(self, console: Console, zone: ZoneInfo) -> None:
        super().__init__(console, zone)
        self.console = console
        self.away = False
        self.posted: list[str] = []

    async def post_card(self, card: CaseCard, row_id: str, *, look_first: bool) -> Posted:
        if self.away:
            raise DeliveryFailed("slack_unreachable")
        self.posted.append(card.reference)
        return await super().post_card(card, row_id, look_first=look_first)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def service(
    database_url: str, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    # A database that is held by another is waited for; the test has less patience.
    monkeypatch.setattr(engine, "SQLITE_BUSY_SECONDS", 0.3)
    monkeypatch.setattr(engine, "POSTGRES_LOCK_TIMEOUT_MS", 300)
    service = ready(database_url, tmp_path, machine)
    await service.start()
    yield service
    await service.stop()
    service.house.close()


def ready(database_url: str, tmp_path: Path, machine: Machine, **more: str) -> Service:
    """A service on that machine, not started."""
    environ = {
        "INTAKE_BOT_MAIL_PORT": "0",
        "INTAKE_BOT_MAIL_ADDRESS": TO,
        "INTAKE_BOT_TRIAGE_ENABLED": "false",
        "INTAKE_BOT_MONITORING_ENABLED": "false",
        "INTAKE_BOT_REMINDERS_IN_OFFICE_HOURS": "false",
        "INTAKE_BOT_RETENTION_UNATTENDED_PURGE": "true",
        "INTAKE_BOT_DATABASE_URL": database_url,
        "HOME": str(tmp_path / "home"),
    } | more
    house = open_house(load(None, environ), tmp_path / "data", environ)
    desk = MovableDesk(Console(file=io.StringIO()), house.settings.office.zone)
    service = Service(house, console=desk.console, clock=machine.clock, desk=desk)
    service._clock_watch = ClockWatch(machine.clock, lambda: machine.passed)
    return service


async def send(service: Service, name: str, body: str = "A concern about a volunteer.") -> tuple[int, bytes]:
    def transaction() -> tuple[int, bytes]:
        with smtplib.SMTP("127.0.0.1", service.mail.port, timeout=20) as client:
            client.ehlo("mx.school.example")
            client.mail("dsl@brookfield.example")
            client.rcpt(TO)
            return client.data(mail(body, message_id=f"<{name}@brookfield.example>"))

    return await asyncio.to_thread(transaction)


def count(session: Session, table: type[Raw | Spooled | Case | Reminder | Outgoing]) -> int:
    return session.exec(select(func.count()).select_from(table)).one()


@contextmanager
def full(database: engine.Database) -> Iterator[None]:
    """No page more than there are; PostgreSQL says so by a trigger, with the code that a full disk has."""
    if database.is_sqlite:
        with on_every_connection(database, "PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000"):
            yield
        return
    with psycopg.connect(driver_url(database)) as other:
        other.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        # The second of the two rows: what came before it must not stay.
        other.execute("CREATE TRIGGER full_disk BEFORE INSERT ON spool FOR EACH ROW EXECUTE FUNCTION full_disk()")
        other.commit()
        yield
        other.execute("DROP TRIGGER full_disk ON spool")


@contextmanager
def read_only(database: engine.Database) -> Iterator[None]:
    """As after a fault of the disk, or on a PostgreSQL that has become somebody's standby."""
    setting = "PRAGMA query_only=" if database.is_sqlite else "SET SESSION default_transaction_read_only="
    with on_every_connection(database, setting + "on", setting + "off"):
        yield


@contextmanager
def on_every_connection(database: engine.Database, statement: str, afterwards: str) -> Iterator[None]:
    now = [statement]

    @event.listens_for(database.engine, "checkout")
    def _checkout(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute(now[0])
        if not database.is_sqlite:
            connection.commit()

    yield
    now[0] = afterwards


def driver_url(database: engine.Database) -> str:
    return database.engine.url.set(drivername="postgresql").render_as_string(False)


@contextmanager
def locked(database: engine.Database) -> Iterator[None]:
    """Somebody else has the database and does not let it go."""
    if database.is_sqlite:
        with closing(sqlite3.connect(database.engine.url.database or "")) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.rollback()
        return
    with psycopg.connect(driver_url(database)) as other:
        other.execute("LOCK TABLE raw IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@pytest.mark.parametrize(("trouble", "code"), [(full, 452), (read_only, 451), (locked, 451)])
async def test_what_cannot_be_kept_is_refused_for_now_and_half_of_nothing_stays(
    trouble: Trouble, code: int, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await send(service, "before"))[0] == 250
    await service.settle()
    database = service.house.database
    with database.read() as session:
        before = count(session, Raw), count(session, Spooled)
    with trouble(database):
        answer, text = await send(service, "during", "The canary sings. " * 20_000)
        assert (answer, text[:3]) == (code, b"4.3")
        assert b"anary" not in text
    assert (await send(service, "after"))[0] == 250
    assert (await send(service, "during", "The canary sings. " * 20_000))[0] == 250
    async with asyncio.timeout(20):
        await service.settle()
    with database.read() as session:
        assert (count(session, Raw), count(session, Spooled)) == (before[0] + 2, before[1] + 2)
        assert count(session, Case) == 3
        assert list(audit.broken_links(session)) == []
    assert "anary" not in caplog.text


async def test_what_waits_for_a_desk_that_is_away_for_a_day_comes_once(service: Service, machine: Machine) -> None:
    assert isinstance(service.desk, MovableDesk)
    service.desk.away = True
    service._tasks[2].cancel()  # the test takes the steps itself, hour by hour
    for number in range(3):
        assert (await send(service, f"{number}"))[0] == 250
    database = service.house.database
    async with asyncio.timeout(20):
        while True:
            with database.read() as session:
                cases = session.exec(select(Case.reference)).all()
            if len(cases) == 3:
                break
            await asyncio.sleep(0.02)
    for _ in range(24):
        while await service._desk_out.step():
            pass
        machine.wait(timedelta(hours=1))
    assert service.desk.posted == []
    service.desk.away = False
    for _ in range(2):
        while await service._desk_out.step():
            pass
        machine.wait(timedelta(hours=1))
    assert sorted(service.desk.posted) == sorted(cases)
    with database.read() as session:
        assert set(session.exec(select(Outgoing.state).where(col(Outgoing.channel) == "desk")).all()) == {"done"}


async def test_mail_from_a_clock_that_ran_ahead_is_dealt_with_when_it_is_set_right(
    service: Service, machine: Machine
) -> None:
    for task in service._tasks:
        task.cancel()  # it is accepted, and nobody gets to it before the clock is set
    machine.now += timedelta(days=400)
    assert (await send(service, "ahead"))[0] == 250
    machine.now -= timedelta(days=400)
    assert await service._intake.step() is False
    await service.keep_house()
    assert await service._intake.step() is True
    with service.house.database.read() as session:
        assert count(session, Case) == 1
        row = session.exec(select(Outgoing)).first()
        assert row is not None
        assert row.available_at is not None
        assert row.available_at - machine.now < FURTHEST


async def test_what_waits_on_purpose_is_not_brought_back(service: Service, machine: Machine) -> None:
    later = {
        Kind.FEEDBACK: machine.now + timedelta(days=2, hours=16),  # the next opening
        Kind.ERASE: machine.now + ANSWER_STAYS,
    }
    with service.house.database.write() as session:
        for kind, not_before in later.items():
            outbox.put(
                session,
                service.house.practice.vault,
                key=kind,
                via=Via.MAIL,
                kind=kind,
                now=machine.now,
                content={},
                not_before=not_before,
            )
    await service.keep_house()
    with service.house.database.read() as session:
        rows = session.exec(select(Outgoing)).all()
        assert {row.kind: (row.available_at, row.state, row.claims) for row in rows} == {
            kind: (not_before, "waiting", 0) for kind, not_before in later.items()
        }


async def test_a_clock_that_jumps_ahead_for_a_minute_sends_no_reminder_and_one_that_stays_does(
    service: Service, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await send(service, "one"))[0] == 250
    await service.settle()

    def waiting() -> int:
        with service.house.database.read() as session:
            return session.exec(
                select(func.count()).select_from(Reminder).where(col(Reminder.state) == "waiting")
            ).one()

    await service._sweep_unless_in_doubt()
    before = waiting()
    assert before > 0
    machine.now += timedelta(days=365)
    await service._sweep_unless_in_doubt()
    machine.wait(timedelta(minutes=1))
    await service._sweep_unless_in_doubt()
    machine.now -= timedelta(days=365)
    await service._sweep_unless_in_doubt()
    assert waiting() == before
    assert caplog.text.count("the clock moved by") == 2
    # As after an outage, or a clock that was behind and was set right: what is due comes, if a little late.
    machine.now += timedelta(days=365)
    await service._sweep_unless_in_doubt()
    machine.wait(clock_watch.REMINDERS_WAIT)
    await service._sweep_unless_in_doubt()
    assert waiting() == 0


def test_nothing_is_destroyed_unattended_for_a_day_after_the_clock_has_jumped_or_a_long_absence() -> None:
    machine = Machine()

    def watch() -> ClockWatch:
        return ClockWatch(machine.clock, lambda: machine.passed)

    steady = watch()
    machine.wait(timedelta(days=400))  # a machine that is hardly ever looked at
    assert steady.look() is None
    steady.compare(machine.now - timedelta(days=1))
    assert (steady.may_destroy(), steady.may_remind()) == (True, True)
    for jump in (timedelta(days=400), timedelta(days=-400)):
        machine.now += jump
        assert steady.look() == jump
        machine.wait(timedelta(hours=23))
        assert steady.look() is None
        assert (steady.may_destroy(), steady.may_remind()) == (False, True)
        machine.wait(timedelta(hours=1))
        assert steady.may_destroy()
    for last in (machine.now - clock_watch.AWAY, machine.now + timedelta(hours=1)):
        started = watch()
        started.compare(last)
        assert (started.may_destroy(), started.may_remind()) == (False, True)


async def test_an_unattended_purge_asks_the_watch(
    service: Service, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []
    monkeypatch.setattr(
        "intake_bot.service.retention.purge_due", lambda session, practice, *, now: asked.append(now) or []
    )
    # Whichever part of the service looks at the clock first: none waits for another to have done so.
    machine.now += timedelta(days=400)
    await service.keep_house()
    assert asked == []
    machine.wait(clock_watch.DESTRUCTION_WAITS)
    await service.keep_house()
    assert asked == [machine.now]


@pytest.mark.parametrize(("jump", "batches"), [(timedelta(0), 3), (timedelta(days=400), 1)])
async def test_an_unattended_purge_has_one_time_and_ends_when_the_clock_jumps(
    jump: timedelta, batches: int, service: Service, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []

    def purge_due(_session: Session, _practice: object, *, now: datetime) -> list[str]:
        asked.append(now)
        machine.wait(timedelta(seconds=1))
        machine.now += jump
        return ["CASE"] * (BATCH if len(asked) < 3 else 0)

    monkeypatch.setattr("intake_bot.service.retention.purge_due", purge_due)
    began = machine.now
    await service.keep_house()
    assert asked == [began] * batches
