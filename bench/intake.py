"""How long a worried school waits, and what the service weighs: ``make bench``.

Starts the real ``intake-bot serve`` in a throw-away folder, once with triage and once without, sends mails one after the
other and then ten at once, and reads the times from the client's clock (250) and from the service's own rows
(acknowledgement written, card shown; both from the moment the message was taken). Figures are this machine's alone.

``--alone`` times reading and filing by themselves, without delivery and without triage, one message after the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import smtplib
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from rich.console import Console

from intake_bot.house import open_house
from intake_bot.service import Service
from intake_bot.settings import Settings
from storage.spool import Channel, Offer, accept

MESSAGES = 60
ALONE = 220
SESSIONS = 10
PER_SECOND, PACED_SECONDS = 50, 20


def main() -> None:
    if "--alone" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="intake-bot-bench-") as folder:
            asyncio.run(alone(Path(folder)))
        return
    text = resources.files("intake_bot").joinpath("demo_mail", "1-harm.eml").read_bytes()
    print(f"{MESSAGES} messages of {len(text)} bytes, one connection each; milliseconds as median / p95 / max\n")
    for triage in ("true", "false"):
        with tempfile.TemporaryDirectory(prefix="intake-bot-bench-") as folder:
            measure(Path(folder), text, triage=triage)


def measure(folder: Path, text: bytes, *, triage: str) -> None:
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "INTAKE_BOT_MAIL_PORT": "0",
        "INTAKE_BOT_TRIAGE_ENABLED": triage,
        # Every message of the bench comes from one address and says the same.
        "INTAKE_BOT_MAIL_ACKNOWLEDGEMENTS_PER_ADDRESS": "100000",
        "INTAKE_BOT_MAIL_ACKNOWLEDGEMENTS_SAME_WORDS": "100000",
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "intake_bot", "serve", "--data", str(folder / "data")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed, starting, port = "", 0.0, 0
    try:
        assert process.stdout is not None
        while not port:
            select.select([process.stdout], [], [], 10)
            printed += os.read(process.stdout.fileno(), 65536).decode()
            if not starting and "is starting" in printed:
                starting = time.monotonic() - began
            if found := re.search(r"taking mail: \w+ on 127\.0\.0\.1:(\d+)", printed):
                port = int(found.group(1))
        listening = time.monotonic() - began
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        time.sleep(6)  # let the pipeline load, so that its loading is not counted as a message's time
        print(f"triage {'on' if triage == 'true' else 'off'}")
        print(f"  start: said so after {starting * 1000:.0f} ms, took mail after {listening * 1000:.0f} ms")
        one = []
        for number in range(MESSAGES):
            one.append(send(port, text, number))
            settle(folder)  # each is dealt with before the next comes
        print(f"  alone:         dot to 250 {spread(one)}")
        print_rows(folder)
        many: list[float] = []
        threads = [
            threading.Thread(
                target=lambda first: many.extend(
                    send(port, text, n) for n in range(first, first + MESSAGES // SESSIONS)
                ),
                args=(1000 * (index + 1),),
            )
            for index in range(SESSIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settle(folder)
        print(f"  {SESSIONS} at once:    dot to 250 {spread(many)}")
        paced = at_a_pace(port, text)
        began = time.monotonic()
        settle(folder)
        print(
            f"  {PER_SECOND} a second:   dot to 250 {spread(paced)}; {len(paced)} in {PACED_SECONDS} s, "
            f"all dealt with {time.monotonic() - began:.1f} s after the last"
        )
        print_memory(process.pid)
        print()
    finally:
        process.terminate()
        process.wait(20)


async def alone(folder: Path) -> None:
    """Reading in the child process and filing in one transaction, by the service's own worker."""
    settings = Settings.model_validate({"triage": {"enabled": False}, "keys": {"file": folder / "master.key"}})
    house = open_house(settings, folder / "data", {}, keys_ahead=ALONE)
    service = Service(house, console=Console(quiet=True))
    text = resources.files("intake_bot").joinpath("demo_mail", "1-harm.eml").read_bytes()
    now = datetime.now(UTC)
    for number in range(ALONE):
        envelope = {"from": "dsl@brookfield.example", "to": ["lado@elmshire.example"], "client": "127.0.0.1"}
        accept(house.database, house.practice.vault, [Offer(Channel.EMAIL, numbered(text, number), envelope, now)])
    took, spent = [], time.process_time()
    while True:
        began = time.perf_counter()
        if not await service._intake.step():
            break
        took.append((time.perf_counter() - began) * 1000)
    spent = (time.process_time() - spent) * 1000 / len(took)
    print(f"reading and filing alone, {len(took)} messages: {spread(took[20:])} ms; processor {spent:.1f} ms each")
    await service.reader.sandbox.stop()
    house.close()


def at_a_pace(port: int, text: bytes) -> list[float]:
    """So many mails a second, each when its time has come, whether or not those before it are answered."""
    taken: list[float] = []
    began = time.monotonic()

    def later(number: int) -> None:
        time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        taken.append(send(port, text, 10_000 + number))

    threads = [threading.Thread(target=later, args=(number,)) for number in range(PER_SECOND * PACED_SECONDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def send(port: int, text: bytes, number: int) -> float:
    raw = numbered(text, number)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        # Without this the dot waits in our own kernel for an acknowledgement of the line before it (40 ms).
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.ehlo("mx.school.example")
        client.mail("dsl@brookfield.example")
        client.rcpt("lado@elmshire.example")
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.send(re.sub(rb"\r?\n", b"\r\n", raw))
        dot = time.monotonic()
        client.send(b"\r\n.\r\n")
        assert client.getreply()[0] == 250
        return (time.monotonic() - dot) * 1000


def numbered(text: bytes, number: int) -> bytes:
    """A message of its own. Each from a sender of its own: the cards of one who sends so many are folded into a line."""
    raw = text.replace(b"Message-ID: <", b"Message-ID: <%d." % number).replace(b"Kieran", b"Kieran%d" % number)
    return re.sub(rb"(?m)^(From: .*<)", rb"\g<1>%d." % number, raw)


def settle(folder: Path) -> None:
    while True:
        with closing(sqlite3.connect(folder / "data" / "intake.db")) as connection:
            waiting = (
                "SELECT (SELECT count(*) FROM spool WHERE available_at IS NOT NULL) + "
                "(SELECT count(*) FROM outbox WHERE available_at IS NOT NULL)"
            )
            if connection.execute(waiting).fetchone() == (0,):
                return
        time.sleep(0.01)


def print_rows(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data" / "intake.db")) as connection:
        for kind, label in (("acknowledgement", "to acknowledgement"), ("card", "to card")):
            rows = connection.execute(
                "SELECT received_at, sent_at FROM outbox JOIN cases ON cases.id = outbox.case_id WHERE kind = ?",
                (kind,),
            )
            times = [
                (datetime.fromisoformat(sent) - datetime.fromisoformat(received)).total_seconds() * 1000
                for received, sent in rows
            ]
            print(f"                 taken {label} {spread(times)}")


def print_memory(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    sizes = {"service": memory(pid)}
    for child in children:
        arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        sizes[arguments[3].decode()] = memory(int(child))
    listed = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    print(f"  memory, MiB (PSS): {sum(sizes.values()):.0f} in all: {listed}")


def memory(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE).group(1)) / 1024  # type: ignore[union-attr]


def spread(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):.1f} / {ordered[int(len(ordered) * 0.95)]:.1f} / {ordered[-1]:.1f}"


if __name__ == "__main__":
    main()
