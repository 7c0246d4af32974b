"""Drives the real program from outside: a clean folder, the real command line, real SMTP, real signals."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, ClassVar

from sqlmodel import Session
from typer.testing import CliRunner

from intake_bot.casework import views
from intake_bot.cli import app
from intake_bot.house import DATABASE_FILE, open_house
from intake_bot.house import House as OpenHouse
from intake_bot.settings import load
from storage.engine import Database, sqlite_url

KILLABLE = Path(__file__).with_name("killable.py")
WAIT = 30.0
TO = "lado@elmshire.example"
LISTENING = re.compile(r"taking mail: (?:smtp|lmtp) on [\d.]+:(\d+)")


class House:
    """A folder with a data folder, a key and settings of its own, and the commands run on it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / "home" / "config"),
            "LANG": "C.UTF-8",
            "COLUMNS": "160",
            "INTAKE_BOT_MAIL_PORT": "0",
            "INTAKE_BOT_MAIL_ADDRESS": TO,
            # The tests run at any hour: what office hours do to reminders has tests of its own.
            "INTAKE_BOT_REMINDERS_IN_OFFICE_HOURS": "false",
            # Those who look at it ask for it: loading it takes as long as much of a start.
            "INTAKE_BOT_MONITORING_ENABLED": "false",
            "INTAKE_BOT_MONITORING_PORT": "0",
        } | {f"INTAKE_BOT_{name.upper()}": value for name, value in settings.items()}

    def run(self, *arguments: str, expect: int = 0, stdin: str = "") -> str:
        """Run a command to its end; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "intake_bot", *arguments, *self._data_option(arguments)],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.last_error = done.stderr
        return done.stdout

    def run_here(self, *arguments: str, expect: int = 0, stdin: str = "") -> str:
        """The same in this process: quicker, where a test needs many. Nothing may rest on the process's own end."""
        done = CliRunner().invoke(
            app, [*arguments, *self._data_option(arguments)], input=stdin, env=self.environment
        )  # fmt: skip
        assert done.exit_code == expect, f"{arguments}: exit {done.exit_code}\n{done.output}"
        self.last_error = done.stderr
        return done.stdout

    def json(self, *arguments: str) -> list[Any]:
        """What a command answers as JSON, in this process: a look at the record is no test of the process it is made by."""
        return [json.loads(line) for line in self.run_here(*arguments, "--json").splitlines()]

    def show(self, reference: str) -> dict[str, Any]:
        (case,) = self.json("show", reference)
        return dict(case)

    def show_here(self, reference: str) -> dict[str, Any]:
        return dict(json.loads(self.run_here("show", reference, "--json")))

    def serve(self, *, kill_at: str | None = None, within: Sequence[str] = (), **environment: str) -> Service:
        """``within`` is a command that runs another, before it."""
        return Service(self, kill_at, environment, within=within)

    @contextmanager
    def inside(self) -> Iterator[tuple[OpenHouse, Session]]:
        """The house opened in this process, and a read session: quicker than a command for a look at many things."""
        opened = open_house(load(None, self.environment), self.data, self.environment)
        try:
            with opened.database.read() as session:
                yield opened, session
        finally:
            opened.close()

    def settled(self) -> bool:
        # The database alone: a house that is opened for each look takes the time that the service needs.
        url = self.environment.get("INTAKE_BOT_DATABASE_URL") or sqlite_url(self.data / DATABASE_FILE)
        database = Database(url)
        try:
            with database.read() as session:
                counts = views.status_json(session, now=datetime.now(UTC))
                return counts["spool"] == counts["outbox"] == 0
        finally:
            database.dispose()

    def letters(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.data / "outgoing").glob("*.eml"))]

    def _data_option(self, arguments: Iterable[str]) -> list[str]:
        return [] if "example" in arguments else ["--data", str(self.data)]


class Service:
    """``intake-bot serve`` as a process. Everything it prints is kept in ``printed``."""

    running: ClassVar[set[Service]] = set()

    def __init__(
        self,
        house: House,
        kill_at: str | None,
        environment: Mapping[str, str],
        *arguments: str,
        within: Sequence[str] = (),
    ) -> None:
        self.house = house
        program = [sys.executable, "-m", "intake_bot"] if kill_at is None else [sys.executable, str(KILLABLE), kill_at]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*within, *program, "serve", *arguments, "--data", str(house.data)],
            env=house.environment | environment,
            cwd=house.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.printed = ""
        self.port = 0
        Service.running.add(self)

    def ready(self) -> Service:
        """Wait until it takes mail."""
        match = self.wait_for(LISTENING)
        self.port = int(match.group(1))
        return self

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        deadline = time.monotonic() + WAIT
        while (found := pattern.search(self.printed)) is None:
            if not self._read(deadline) and self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}:\n{self.printed}")
        return found

    def send(
        self, raw: bytes, *, sender: str = "dsl@brookfield.example", to: tuple[str, ...] = (TO,)
    ) -> tuple[int, bytes]:
        """One SMTP transaction, as a mail server does it; code and text of the answer to DATA."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=WAIT) as client:
            client.ehlo("mx.school.example")
            client.mail(sender)
            for recipient in to:
                client.rcpt(recipient)
            return client.data(raw)

    def wait_for_death(self) -> None:
        self.process.wait(WAIT)
        printed = self.rest()
        assert self.process.returncode == -signal.SIGKILL, printed

    def settle(self) -> None:
        """Wait until nothing accepted is undealt with and nothing is left to deliver."""

        def settled() -> bool:
            self.drain()  # a pipe that nobody reads fills up, and the desk waits with its card
            return self.house.settled()

        try:
            wait_until(settled)
        except AssertionError:
            raise AssertionError(f"it does not settle: {self.house.json('status')}\n{self.drain()}") from None

    def stop(self) -> str:
        """SIGTERM; everything it printed. It must end with 0."""
        self.process.send_signal(signal.SIGTERM)
        printed = self.rest()
        assert self.process.wait(WAIT) == 0, printed
        return printed

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.rest()

    def rest(self) -> str:
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return self.printed
        while chunk := self.process.stdout.read():
            self.printed += chunk.decode("utf-8", "replace")
        self.process.wait(WAIT)
        self.process.stdout.close()
        Service.running.discard(self)
        return self.printed

    def drain(self) -> str:
        """What it has printed so far."""
        while self._read(time.monotonic()):
            pass
        return self.printed

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, min(0.2, deadline - time.monotonic())))
        if not ready:
            assert time.monotonic() <= deadline + 0.3 or deadline <= time.monotonic(), "waited too long"
            if time.monotonic() > deadline and self.port == 0 and self.process.poll() is None:
                raise AssertionError(f"waited too long:\n{self.printed}")
            return False
        chunk = os.read(descriptor, 65536)
        self.printed += chunk.decode("utf-8", "replace")
        return bool(chunk)


def wait_until(holds: Callable[[], bool], *, seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def mail(
    body: str = "A colleague raised a concern about how a teaching assistant spoke to a pupil. Please advise.",
    *,
    message_id: str | None = "<one@brookfield.example>",
    sender: str = "Joanne Farrier <dsl@brookfield.example>",
    subject: str = "Advice please",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = TO
    message["Subject"] = subject
    message["Date"] = "Fri, 27 Nov 2026 16:40:00 +0000"
    if message_id is not None:
        message["Message-ID"] = message_id
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(body)
    return message.as_bytes()
