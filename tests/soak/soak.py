"""Minutes of mail from several mail servers while ``intake-bot serve`` is killed at random: ``make soak``.

The servers send as mail servers do: what has no 250 is sent again. Some messages come twice by two paths, some answer the
acknowledgement of an earlier case, some are its bounce. Then one sender floods, everything settles, and the books are
opened: what got a 250 is what is stored, each message once, in its case, with its clock and one acknowledgement. Exits with
1 where a promise broke. Figures are this machine's alone, which the client and the relay share with the service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import OperationalError
from sqlmodel import col, select

from acceptance.harness import TO, House
from conftest import PostgresCluster, postgres_binaries
from intake_bot.casework import views
from intake_bot.casework.plan import UNCLAIMED
from soak.ledger import Ledger
from soak.mails import CANARY, Composer, Mail
from soak.own_postfix import free_port
from soak.running import Look, Runner, killed_at_random, look
from soak.servers import Relay, Sending, Server
from storage.engine import Database, sqlite_url
from storage.tables import Reminder

LOOK_SECONDS = 5.0
RECENT = 200
FLOOD_CARDS, FLOOD_LETTERS = 20, 10
"""The settings' own defaults."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="mails a second")
    parser.add_argument("--sessions", type=int, default=8, help="mail servers, each with one connection at a time")
    parser.add_argument("--kills", default="5,20", help="least and most seconds between two; 0,0: none")
    parser.add_argument("--nodes", type=int, default=1, help="several share a PostgreSQL; each kill is of one of them")
    parser.add_argument("--restarts", type=int, default=0, help="of the PostgreSQL, evenly over the minutes")
    parser.add_argument("--flood", type=int, default=200, help="mails of the one sender who floods")
    parser.add_argument("--settle-minutes", type=float, default=60, help="how long settling may take")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--triage", action="store_true", help="with suggestions")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.postgres |= options.nodes > 1 or options.restarts > 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="intake-bot-soak-")))
        url, cluster = "", None
        if options.postgres:
            binaries = postgres_binaries()
            if binaries is None:
                sys.exit("no PostgreSQL server binaries on this machine")
            cluster = PostgresCluster(binaries, fsync="on")
            stack.callback(cluster.stop)
            url = cluster.new_database()
        sys.exit(asyncio.run(Soak(options, folder, url, cluster).run()))


class Soak:
    """One soak from its first mail to its books."""

    def __init__(self, options: argparse.Namespace, folder: Path, url: str, cluster: PostgresCluster | None) -> None:
        self._options = options
        self._cluster = cluster
        self._chance = random.Random(options.seed)
        self._composer = Composer(self._chance)
        self._sending = Sending()
        self._relay = Relay(random.Random(options.seed + 1))
        self._relay_port = free_port()
        ports = [free_port() for _ in range(options.nodes)]
        (folder / "key").mkdir()
        settings = {"database_url": url} if url else {}
        houses = []
        for number, port in enumerate(ports, 1):
            (folder / f"node{number}").mkdir()
            house = House(
                folder / f"node{number}",
                service_node=f"node{number}",
                keys_file=str(folder / "key" / "master.key"),
                mail_port=str(port),
                mail_recipients=TO,
                mail_relay_host="127.0.0.1",
                mail_relay_port=str(self._relay_port),
                mail_relay_starttls="false",
                # So that reminders fall due under the kills, at whatever hour.
                reminders_unclaimed_minutes="1",
                office_opens="00:00",
                office_closes="23:59",
                office_days_on=",".join(f"{datetime.now(UTC).date() + timedelta(days=days)}" for days in range(-1, 3)),
                triage_enabled=str(options.triage).lower(),
                **settings,
            )
            houses.append(house)
        self._house = houses[0]
        self._runners = [Runner(house, port) for house, port in zip(houses, ports, strict=True)]
        self._database = Database(url or sqlite_url(self._house.data / "intake.db"))
        self._servers = [Server(ports, self._sending, self._chance) for _ in range(options.sessions)]
        self._sent: list[Mail] = []
        self._recent: deque[Mail] = deque(maxlen=RECENT)
        self._opening: dict[str, Mail] = {}
        self._bounced: set[str] = set()
        self._looks: list[Look] = []
        self._marks: dict[str, float] = {}
        self._began = 0.0

    async def run(self) -> int:
        """The exit status."""
        await self._relay.start(self._relay_port, CANARY)
        for runner in self._runners:
            await runner.start()
        self._began = time.monotonic()
        sending = [asyncio.create_task(server.run()) for server in self._servers]
        looking = asyncio.create_task(self._look())
        await self._send_under_kills()
        settled = await self._settle()
        for task in [*sending, looking]:
            task.cancel()
        await asyncio.gather(*sending, looking, return_exceptions=True)
        await asyncio.to_thread(self._look_once)
        broken = [] if settled else ["it has not settled"]
        before = cpu_of_children()
        for runner in self._runners:
            broken += self._of_the_process(runner, await runner.stop())
        # Of their last lives alone: without kills that is all.
        self._marks["cpu of the nodes"] = cpu_of_children() - before
        ledger = Ledger(self._sent, self._sending, self._relay)
        broken += ledger.broken(self._house, flood_cards=FLOOD_CARDS, flood_acknowledgements=FLOOD_LETTERS)
        broken += self._verify()
        self._report(ledger, broken)
        return 1 if broken else 0

    async def _send_under_kills(self) -> None:
        least, most = map(float, self._options.kills.split(","))
        killing = None
        if most:
            killing = asyncio.create_task(killed_at_random(self._runners, self._chance, least, most))
        restarting = asyncio.create_task(self._restart_database())
        total = int(self._options.minutes * 60 * self._options.rate)
        for number in range(total):
            await asyncio.sleep(max(0.0, self._began + number / self._options.rate - time.monotonic()))
            self._queue(self._next())
        self._marks["sent"] = time.monotonic() - self._began
        for _ in range(self._options.flood):
            self._queue(self._composer.flood())
        while self._sending.open and (killing is None or not killing.done()):
            await asyncio.sleep(0.1)
        self._marks["taken"] = time.monotonic() - self._began
        await restarting
        if killing is not None:
            if killing.done():
                killing.result()  # it cannot be started any more: raises what it has to say
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing
            await asyncio.sleep(1)  # where it was cut off behind a SIGKILL
            for runner in self._runners:
                if runner.pid is None:
                    await runner.start()

    async def _restart_database(self) -> None:
        """Without a word of warning, as when its machine dies; it is away for a few seconds each time."""
        for number in range(self._options.restarts):
            at = self._began + self._options.minutes * 60 * (number + 1) / (self._options.restarts + 1)
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            assert self._cluster is not None
            await asyncio.to_thread(self._cluster.halt)
            await asyncio.sleep(3)
            await asyncio.to_thread(self._cluster.resume)

    def _queue(self, mail: Mail) -> None:
        self._sent.append(mail)
        self._chance.choice(self._servers).queue(mail)

    def _next(self) -> Mail:
        """Most open a case; some have to do with one that is there."""
        dice = self._chance.random()
        if dice < 0.05 and self._recent:
            return self._composer.copy(self._chance.choice(self._recent))
        if dice < 0.16 and self._relay.arrived:
            letter = self._chance.choice(self._relay.arrived)
            mail = self._opening.get(letter.in_reply_to)
            if mail is not None and (dice < 0.13 or letter.mail_id in self._bounced):
                return self._composer.reply(mail, letter)
            if mail is not None:
                self._bounced.add(letter.mail_id)
                return self._composer.bounce(mail, letter)
        mail = self._composer.new()
        self._opening[mail.message_id] = mail
        self._recent.append(mail)
        return mail

    async def _settle(self) -> bool:
        """Wait until nothing is left to do; whether that came in time. What is not due yet is not waited for."""
        until = time.monotonic() + self._options.settle_minutes * 60
        while time.monotonic() < until:
            if await asyncio.to_thread(self._nothing_left):
                self._marks["settled"] = time.monotonic() - self._began
                await asyncio.sleep(11)  # the last look for children of killed services
                return True
            await asyncio.sleep(0.5)
        return False

    def _nothing_left(self) -> bool:
        if not self._looks or self._looks[-1].letters:
            return False
        # Each case has one reminder that is due after a minute: the books are not opened while one is on its way.
        coming = select(Reminder.id).where(col(Reminder.kind) == UNCLAIMED, col(Reminder.state) == "waiting").limit(1)
        with self._database.read() as session:
            return session.exec(coming).first() is None and not views.busy(session, now=datetime.now(UTC))

    async def _look(self) -> None:
        said = 0.0
        while True:
            # Without the database there is nothing to be seen.
            with suppress(OperationalError):
                await asyncio.to_thread(self._look_once)
            if self._looks and self._looks[-1].at >= said:
                said = self._looks[-1].at + 30
                print(line_of(self._looks[-1]), file=sys.stderr, flush=True)
            await asyncio.sleep(LOOK_SECONDS)

    def _look_once(self) -> None:
        pids = [runner.pid for runner in self._runners if runner.pid is not None]
        seen = look(self._database, began=self._began, without_250=self._sending.open, pids=pids)
        self._looks.append(seen)

    @staticmethod
    def _of_the_process(runner: Runner, status: int) -> list[str]:
        broken = [f"the service ended by itself with {status}" for status in runner.ended]
        if status != 0:
            broken.append(f"SIGTERM ended it with {status}")
        if runner.orphans:
            broken.append(f"{len(runner.orphans)} processes have outlived their service")
        if CANARY in runner.log.read_text(errors="replace"):
            broken.append("the log holds words of a message")
        return broken

    def _verify(self) -> list[str]:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "intake_bot", "verify", "--data", str(self._house.data)],
            env=self._house.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self._marks["verify"] = time.monotonic() - began
        return [] if done.returncode == 0 else [f"verify: {line}" for line in (done.stdout + done.stderr).splitlines()]

    def _report(self, ledger: Ledger, broken: list[str]) -> None:
        options, marks = self._options, self._marks
        print(f"{options.minutes:g} minutes at {options.rate:g} mails/s over {options.sessions} connections, "
              f"nodes: {options.nodes}, "
              f"{'PostgreSQL' if options.postgres else 'SQLite'}, triage {'on' if options.triage else 'off'}, "
              f"{os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f} at the end\n")  # fmt: skip
        for name, number in ledger.counts.items():
            print(f"  {name:36} {number:8}")
        print(f"  {'SIGKILLs':36} {self._kills():8}")
        print(f"  {'restarts of the database':36} {options.restarts:8}")
        print(f"  {'starts without the database':36} {sum(runner.again for runner in self._runners):8}")
        filed = [runner.filed() for runner in self._runners]
        shares = ", ".join(f"{100 * count / sum(filed):.1f} %" for count in filed)
        print(f"  {'filed by each node':36} {shares}")
        print(f"  {'sent again for want of a 250':36} {self._sending.again:8}")
        seconds = sorted(self._sending.seconds)
        parts = [f"{seconds[int(len(seconds) * part)] * 1000:.1f}" for part in (0.5, 0.95, 0.99)]
        print(f"\n  dot to 250, ms: p50 {parts[0]}, p95 {parts[1]}, p99 {parts[2]}, most {seconds[-1] * 1000:.0f}")
        if not self._kills():
            each = len(self._sending.kept) / 1000
            parts = {"the nodes": self._marks["cpu of the nodes"]}
            if self._cluster is not None and not options.restarts:
                self._database.dispose()
                parts["PostgreSQL"] = self._cluster.cpu_seconds
            print("  CPU ms for a message: " + ", ".join(f"{name} {spent / each:.1f}" for name, spent in parts.items()))
        starts = sorted(seconds for runner in self._runners for seconds in runner.starts)
        print(f"  from start to taking mail, s: median {statistics.median(starts):.2f}, most {starts[-1]:.2f}")
        print("  dealt with: " + ", ".join(f"{name} {rate:.1f}/s" for name, rate in self._rates().items()))
        print(f"  sent after {marks['sent']:.0f} s, all taken after {marks['taken']:.0f} s, "
              f"settled after {marks.get('settled', -1):.0f} s, verified in {marks['verify']:.0f} s\n")  # fmt: skip
        for seen in thinned(self._looks, 24):
            print(f"  {line_of(seen)}")
        print()
        for line in broken[:50]:
            print(f"BROKEN  {line}")
        print(f"{len(broken)} promises broken" if broken else "every promise held")

    def _kills(self) -> int:
        return sum(runner.lives - 1 for runner in self._runners)

    def _rates(self) -> dict[str, float]:
        """Arrivals dealt with a second, while they came under kills and afterwards."""
        taken, settled = self._marks["taken"], self._marks.get("settled", self._looks[-1].at)
        spans = {"under load and kills": (0.0, self._marks["sent"]), "afterwards": (taken + LOOK_SECONDS, settled)}
        found = {}
        for name, (first, last) in spans.items():
            looks = [seen for seen in self._looks if first <= seen.at <= last]
            if len(looks) > 1:
                found[name] = (looks[-1].done - looks[0].done) / (looks[-1].at - looks[0].at)
        return found


def cpu_of_children() -> float:
    """Seconds, of the children that have ended and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def line_of(seen: Look) -> str:
    return (
        f"{seen.at:6.0f} s  no 250 yet {seen.without_250:5}  waiting {seen.waiting:6}  done {seen.done:6}  "
        f"parked {seen.parked}  letters {seen.letters:5}  MiB {seen.service:5.0f} + {seen.children:4.0f}"
    )


def thinned(looks: list[Look], most: int) -> list[Look]:
    """At most so many, evenly spread, the last among them."""
    step = max(1, -(-len(looks) // most))
    return [*looks[:-1:step], looks[-1]]


if __name__ == "__main__":
    main()
