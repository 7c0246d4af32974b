"""The service in this process, where a test needs to reach into it: its clock, its patience, its connections."""

from __future__ import annotations

import asyncio
import io
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from sqlmodel import select

from acceptance.harness import mail
from conftest import FRIDAY_1640
from intake_bot import roles
from intake_bot import service as service_module
from intake_bot.casework.desk import Actor
from intake_bot.house import House, open_house
from intake_bot.mail.server import Listening, MailServer
from intake_bot.service import Service, tick
from intake_bot.settings import SettingsProblem, load
from storage.tables import Case, Outgoing, Reminder

SETTINGS = {
    "INTAKE_BOT_MAIL_PORT": "0",
    "INTAKE_BOT_MAIL_ADDRESS": "lado@elmshire.example",
    "INTAKE_BOT_TRIAGE_ENABLED": "false",
}


def house(folder: Path, **environment: str) -> House:
    environ = SETTINGS | environment | {"HOME": str(folder / "home")}
    return open_house(load(None, environ), folder / "data", environ)


async def arrive(service: Service) -> None:
    await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": ["lado@elmshire.example"]})
    await service.settle()


@pytest.fixture
def silent_relay() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_stopping_does_not_wait_for_a_relay_that_says_nothing(
    tmp_path: Path, silent_relay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "STOP_SECONDS", 0.2)
    opened = house(tmp_path, INTAKE_BOT_MAIL_RELAY_HOST="127.0.0.1", INTAKE_BOT_MAIL_RELAY_PORT=str(silent_relay))
    service = Service(opened, console=Console(file=io.StringIO()), clock=lambda: FRIDAY_1640)
    await service.start()
    await service._accept_mail(mail(), {"from": "dsl@brookfield.example", "to": ["lado@elmshire.example"]})

    def leased() -> bool:
        with opened.database.read() as session:
            return any(
                row.state == "leased" for row in session.exec(select(Outgoing).where(Outgoing.channel == "mail"))
            )

    async with asyncio.timeout(20):
        while not leased():
            await asyncio.sleep(0)
        await service.stop()
    # What was cut off is another node's at once, which looks first whether it has arrived.
    assert not leased()
    opened.close()


async def test_a_tick_as_at_another_time_touches_nobody_s_lease_and_postpones_nothing(tmp_path: Path) -> None:
    opened = house(tmp_path)
    service = Service(opened, console=Console(file=io.StringIO()), clock=lambda: FRIDAY_1640)
    await service.start()
    await arrive(service)
    await service.stop()
    with opened.database.write() as session:
        letter = session.exec(select(Outgoing).where(Outgoing.kind == "acknowledgement")).one()
        letter.state, letter.lease_by, letter.available_at = "leased", "the service", FRIDAY_1640 + timedelta(minutes=1)
        first = session.exec(select(Reminder).order_by(Reminder.due_at)).first()
        assert first is not None
        letter_id, due_at = letter.id, first.due_at
    sent, undelivered = await tick(opened, now=due_at, clock=lambda: FRIDAY_1640)
    assert ([one.kind for one in sent], undelivered) == (["unclaimed"], 0)
    with opened.database.read() as session:
        letter = session.get_one(Outgoing, letter_id)
        assert (letter.state, letter.lease_by) == ("leased", "the service")
        notice = session.exec(select(Outgoing).where(Outgoing.key == sent[0].key)).one()
        assert (notice.state, notice.sent_at) == ("done", FRIDAY_1640)
    opened.close()


def test_on_sqlite_one_process_does_everything(tmp_path: Path) -> None:
    opened = house(tmp_path)
    with pytest.raises(SettingsProblem, match="PostgreSQL"):
        Service(opened, console=Console(file=io.StringIO()), roles=roles.parse("mail, worker"))
    opened.close()
    with pytest.raises(ValueError, match="mail,worker,clock,slack"):
        roles.parse("mail,post")


async def test_a_name_with_brackets_is_no_markup(tmp_path: Path) -> None:
    from intake_bot.casework import officer, views
    from intake_bot.casework.acts import Claim
    from intake_bot.terminal import print_case

    opened = house(tmp_path)
    service = Service(opened, console=Console(file=io.StringIO()), clock=lambda: FRIDAY_1640)
    await service.start()
    await arrive(service)
    await service.stop()
    shown = io.StringIO()
    with opened.database.write() as session:
        case = session.exec(select(Case)).one()
        act = Claim(case.id, Actor("terminal", "[/x] [red]Amina"))
        officer.perform(session, opened.practice, act, now=FRIDAY_1640)
        print_case(views.whole(session, opened.practice, case), opened.settings.office.zone, Console(file=shown))
    assert "[/x] [red]Amina" in shown.getvalue()
    opened.close()


async def test_a_client_that_is_not_silent_is_not_let_go() -> None:
    """Every byte counts as a sign of life, and so does waiting for us."""

    async def accept(raw: bytes, facts: dict[str, object]) -> str:
        return "01"

    listening = Listening(
        host="127.0.0.1",
        port=0,
        protocol="smtp",
        recipients=frozenset(),
        max_message=1000,
        max_recipients=5,
        max_connections=5,
        idle_seconds=60,
    )
    server = MailServer(listening, accept)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    (connection,) = server._open
    first = connection._silent_at
    writer.write(b"NO")
    async with asyncio.timeout(20):
        while connection._silent_at == first:
            await asyncio.sleep(0)
    # The one timer goes off too early, and is set anew for the rest of the time.
    connection._look_at_the_time()
    assert connection.transport is not None
    assert not connection.transport.is_closing()
    assert connection._timeout_handle.when() == connection._silent_at
    with connection.waiting_for_us():
        assert connection._timeout_handle.cancelled()
    assert not connection._timeout_handle.cancelled()
    connection._silent_at = 0.0
    connection._look_at_the_time()
    assert connection.transport.is_closing()
    writer.close()
    await server.stop()


def test_the_service_loads_nothing_that_only_reports_need() -> None:
    """What draws takes a second to load, and mail is not kept waiting for it."""
    look = "import sys, intake_bot.service, intake_bot.cli; "
    look += "print(sorted({'matplotlib', 'openpyxl', 'docx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
