"""How quick the desk in Slack is: ``.venv/bin/python bench/slack.py [--open N] [--closed N] [--presses N]``.

The Home tab as an officer opens it (the counts, the lists and its blocks), over a store with ``--open`` cases open and
``--closed`` concluded ones beside them; then a real service with real slack-bolt against the tests' fake Slack on loopback:
from a press to its acknowledgement, and on to the card that says so. Figures are this machine's: docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from rich.console import Console
from sqlalchemy import insert

from fakes.fake_slack import ALEX, APP_TOKEN, BOT_TOKEN, DUTY, FakeSlack
from intake_bot.casework.desk import Actor
from intake_bot.casework.queue import Which, board, overview
from intake_bot.house import House, open_house
from intake_bot.service import Service
from intake_bot.settings import Settings
from intake_bot.slack import home
from intake_bot.slack.ports import Board
from storage.batches import batches
from storage.tables import Action, Case, Deadline

NOW = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)
ME = Actor("slack", f"T0TEAM/{ALEX}")
LONDON = ZoneInfo("Europe/London")
ROUNDS = 30
PRESSES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=10_000, help="open cases (default: 10,000)")
    parser.add_argument("--closed", type=int, default=1_000_000, help="concluded ones beside them (default: 1,000,000)")
    parser.add_argument("--presses", type=int, default=PRESSES, help=f"claims that are pressed (default: {PRESSES})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="intake-bot-bench-") as name:
        folder = Path(name)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        if options.open:
            for closed in dict.fromkeys((0, options.closed)):
                measure_home(folder / f"home-{closed}", options.open, closed)
        if options.presses:
            asyncio.run(measure_presses(folder / "service", options.presses))
    print(f"\nmost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def measure_home(folder: Path, opened: int, closed: int) -> None:
    house = bench_house(folder)
    began = time.monotonic()
    fill(house, opened, closed)
    print(f"{opened:,} open and {closed:,} concluded cases, filled in {time.monotonic() - began:.0f} s")
    for name, shown in {
        "the overview": lambda: whole_home(house, home.FIRST, home.SHOWN),
        "all open cases, the first page": lambda: whole_home(house, (Which.OPEN,), home.ALL_SHOWN),
        "all open cases, the last page": lambda: whole_home(house, (Which.OPEN,), home.ALL_SHOWN, opened - 10),
    }.items():
        say(f"Home: {name}", timed(shown))
    house.close()


def whole_home(house: House, lists: tuple[Which, ...], limit: int, offset: int = 0) -> None:
    """What opening the Home tab costs here: everything but the call to Slack."""
    wanted = dict.fromkeys(lists, (limit, offset))
    with house.database.read() as session:
        counted, cases = board(session, house.practice, ME, wanted, now=NOW)
        counts = overview(session, house.practice, ME, now=NOW, counts=counted)
    home.home(Board(counts, cases), chosen=home.Chosen(), now=NOW, zone=LONDON)


async def measure_presses(folder: Path, presses: int) -> None:
    """Mail makes the cards; then each is claimed, one press after the other."""
    async with FakeSlack() as slack:
        slack_settings = {
            "bot_token": BOT_TOKEN,
            "app_token": APP_TOKEN,
            "channel": DUTY,
            "officers": [ALEX],
            "api_url": slack.api_url,
        }
        house = bench_house(folder, slack=slack_settings)
        service = Service(house, console=Console(quiet=True))
        await service.start()
        await slack.wait_connected()
        for number in range(presses):
            await service._accept_mail(letter(number), {"from": f"dsl{number}@school.example", "to": []})
        await service.settle()
        acks, cards = [], []
        for message in [one for one in slack.messages() if buttons(one)][:presses]:
            began = time.perf_counter()
            pressed = await slack.press(ALEX, "claim", message_ts=message["ts"])
            acks.append(pressed.acks[0].seconds * 1000)
            while f"<@{ALEX}>" not in str(message["blocks"]):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            cards.append((time.perf_counter() - began) * 1000)
        await service.stop()
        house.close()
    say("press to acknowledgement", acks)
    say("press to the updated card", cards)


def buttons(message: dict[str, Any]) -> bool:
    return "actions" in {block["type"] for block in message.get("blocks", [])}


def letter(number: int) -> bytes:
    return (
        f"From: DSL <dsl{number}@school.example>\r\nTo: lado@elmshire.example\r\nSubject: Advice {number}\r\n"
        f"Message-ID: <{number}@school.example>\r\nDate: Fri, 27 Nov 2026 16:40:00 +0000\r\n\r\n"
        f"Please ring me about something that a pupil told us, number {number}.\r\n"
    ).encode()


def bench_house(folder: Path, **settings: Any) -> House:
    made = Settings.model_validate(
        {
            "keys": {"file": folder / "keys" / "master.key"},
            "mail": {"address": "lado@elmshire.example", "port": 0},
            "monitoring": {"enabled": False},
            "triage": {"enabled": False},
        }
        | settings
    )
    folder.mkdir()
    return open_house(made, folder / "data", keys_ahead=256)


def fill(house: House, opened: int, closed: int) -> None:
    """Cases and their clocks as they are after years; the content, which no list opens, is left out."""
    chance = random.Random(7)
    numbers = itertools.count()
    with house.database.engine.begin() as connection:
        for rows in batches(list(range(closed + opened)), 20_000):
            made = [a_case(chance, next(numbers), open_from=closed) for _ in rows]
            connection.execute(insert(Case), [case for case, _, _ in made])
            connection.execute(insert(Deadline), [one for _, clocks, _ in made for one in clocks])
            if owed := [action for _, _, action in made if action]:
                connection.execute(insert(Action), owed)


def a_case(chance: random.Random, number: int, *, open_from: int) -> tuple[dict[str, Any], list[dict[str, Any]], Any]:
    is_open = number >= open_from
    identity = f"{number:026d}"
    received = NOW - timedelta(minutes=chance.randrange(60 * 24 * 60) if is_open else 90_000 + number % 5_000_000)
    status = chance.choice(["new", "claimed", "decided", "in_progress", "paused"]) if is_open else "concluded"
    taken = status != "new"
    case = {
        "id": identity,
        "key_id": "k",
        "reference": f"LADO-{number}",
        "reply_tag": f"t{number}",
        "status": status,
        "channel": "email",
        "received_at": received,
        "sector": chance.choice(["Education", "Early years", "Fostering", None]),
        "officer": f"slack:T0TEAM/{chance.choice([ALEX, 'U0SAM', 'U0KIM', 'U0LEE'])}" if taken else None,
        "no_names": False,
        "restricted": False,
        "hold": False,
        "strip_names": False,
        "remarks": [],
        "revision": 1,
    }
    clocks = [a_clock(chance, identity, received, "triage", timedelta(days=1), met=taken and chance.random() < 0.9)]
    if status not in ("new", "claimed"):
        clocks.append(
            a_clock(
                chance, identity, received, "one_month", timedelta(days=30), met=not is_open and chance.random() < 0.9
            )
        )
    action = None
    if is_open and chance.random() < 0.2:
        action = {
            "id": identity,
            "case_id": identity,
            "owner": "employer",
            "due_at": NOW,
            "state": "open",
            "by": str(ME),
            "recorded_at": received,
            "note_id": "",
        }
    return case, clocks, action


def a_clock(
    chance: random.Random, case_id: str, received: datetime, target: str, length: timedelta, *, met: bool
) -> dict[str, Any]:
    due_at = received + length
    missed = chance.random() < 0.1 if met else due_at < NOW
    return {
        "id": f"{case_id[4:]}{target[:4]}",
        "case_id": case_id,
        "target": target,
        "rule": "calendar_months 1",
        "calendar": "bench",
        "started_at": received,
        "due_at": due_at,
        "state": "missed" if missed else "met" if met else "running",
        "met_at": received + timedelta(hours=3) if met else None,
        "steps": {"days": "x" * 300},
    }


def timed(shown: Callable[[], None]) -> list[float]:
    def rounds() -> Iterator[float]:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            shown()
            yield (time.perf_counter() - began) * 1000

    shown()
    return list(rounds())


def say(what: str, times: list[float]) -> None:
    times = sorted(times)
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    print(f"  {what}: median {statistics.median(times):.1f} ms, p95 {p95:.1f}, most {times[-1]:.1f} ({len(times)})")


if __name__ == "__main__":
    main()
