"""What the clocks cost: many overdue at once, a look with nothing due on a million rows, the start, planning.

.venv/bin/python bench/clocks.py [--rows 1000000] [--overdue 10000] [--cases 300]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import insert

from intake_bot.casework import deadlines, reminders
from intake_bot.casework.practice import TRIAGE
from intake_bot.house import make_practice
from intake_bot.settings import Settings
from storage import audit, schema
from storage.engine import Database
from storage.ids import new_id
from storage.keys import FixedSource
from storage.keystore import KeyStore
from storage.tables import Case, Deadline, Reminder, rows_of
from storage.vault import Vault

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CASES = 2000
WAITING_AT_START = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--overdue", type=int, default=10_000)
    parser.add_argument("--cases", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        database = Database(f"sqlite:///{path / 'bench.db'}")
        schema.upgrade(database)
        keys = KeyStore(Database(f"sqlite:///{path / 'keys.db'}"), FixedSource("0f" * 32), ahead=256)
        keys.open()
        practice = make_practice(Settings(), Vault(keys))
        ids = fill_cases(database)

        fill(database, ids, options.rows, due_at=NOW + timedelta(days=30))
        print(
            f"a look with nothing due, {options.rows:,} reminders waiting: {look(database, practice):.2f} ms (goal 2)"
        )
        fill(database, ids, options.overdue, due_at=NOW - timedelta(hours=1))
        began, sent = time.perf_counter(), 0
        while True:
            with database.write() as session:
                batch = reminders.send_due(session, practice, now=NOW)
            sent += len(batch)
            if len(batch) < reminders.BATCH:
                break
        print(f"{sent:,} overdue reminders put in the outbox: {time.perf_counter() - began:.2f} s (goal 2)")

        spent = [started(path / "house", first=number == 0) for number in range(3)]
        print(
            f"start to taking mail, {WAITING_AT_START:,} reminders waiting, without the model: "
            f"{statistics.median(spent):.2f} s (goal 1)"
        )
        # In turn, so that a busy minute is shared by both.
        runs = [
            (planned(database, practice, options.cases, FIVE), planned(database, practice, options.cases, ()))
            for _ in range(5)
        ]
        ours = 5 / statistics.median(five for five, _ in runs)
        theirs = apscheduler(path, options.cases)
        added = statistics.median(five - none for five, none in runs)
        print(
            f"planning, reminders a second: ours {ours:,.0f} with their deadlines and audit, one transaction a case; "
            f"APScheduler's store {theirs:,.0f}; ratio {ours / theirs:.1f} (goal 5)\n"
            f"what the five reminders add to their case: {added * 1000:.2f} ms, {5 / added:,.0f} reminders a second"
        )


def fill_cases(database: Database) -> list[tuple[str, str]]:
    ids = [(new_id(NOW), new_id(NOW)) for _ in range(CASES)]
    cases = [
        {
            "id": case_id, "key_id": "0" * 32, "reference": f"B-{number}", "reply_tag": f"b{number}", "status": "claimed",
            "channel": "email", "received_at": NOW, "no_names": False, "restricted": False, "hold": False,
            "strip_names": False, "remarks": [], "revision": 1,
        }
        for number, (case_id, _) in enumerate(ids)
    ]  # fmt: skip
    clocks = [
        {
            "id": deadline_id, "case_id": case_id, "target": TRIAGE, "rule": "bench", "calendar": "bench", "started_at": NOW,
            "due_at": NOW + timedelta(days=40), "state": "running", "steps": {},
        }
        for case_id, deadline_id in ids
    ]  # fmt: skip
    with database.write() as session:
        session.connection().execute(insert(rows_of(Case)), cases)
        session.connection().execute(insert(rows_of(Deadline)), clocks)
    return ids


def fill(database: Database, ids: list[tuple[str, str]], count: int, *, due_at: datetime) -> None:
    for begin in range(0, count, 50_000):
        rows = [
            {
                "id": new_id(NOW), "case_id": ids[number % CASES][0], "deadline_id": ids[number % CASES][1],
                "kind": "before", "recipient": "duty", "due_at": due_at + timedelta(microseconds=number), "state": "waiting",
            }
            for number in range(begin, min(begin + 50_000, count))
        ]  # fmt: skip
        with database.write() as session:
            session.connection().execute(insert(rows_of(Reminder)), rows)


def look(database: Database, practice: object) -> float:
    def once() -> None:
        with database.write() as session:
            reminders.mark_missed(session, practice, now=NOW)  # type: ignore[arg-type]
            reminders.send_due(session, practice, now=NOW)  # type: ignore[arg-type]

    return median_ms(once, 50)


def started(data: Path, *, first: bool) -> float:
    """Seconds from the program's start until it takes mail; ``first``: in a house that is made and filled before."""
    settings = {
        "TRIAGE_ENABLED": "false",
        "MAIL_PORT": "0",
        "MONITORING_PORT": "0",
        "MAIL_ADDRESS": "lado@elmshire.example",
    }
    environment = os.environ | {f"INTAKE_BOT_{name}": value for name, value in settings.items()}
    program = [sys.executable, "-m", "intake_bot"]
    if first:
        subprocess.run([*program, "status", "--data", str(data)], env=environment, check=True, capture_output=True)
        database = Database(f"sqlite:///{data / 'intake.db'}")
        fill(database, fill_cases(database), WAITING_AT_START, due_at=NOW + timedelta(days=3650))
        database.dispose()
    began = time.perf_counter()
    with subprocess.Popen(
        [*program, "serve", "--data", str(data)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as service:  # fmt: skip
        assert service.stdout is not None
        taking = any("taking mail" in line for line in service.stdout)
        spent = time.perf_counter() - began
        service.terminate()
        service.communicate()
    if not taking:
        sys.exit("the service did not start")
    return spent


FIVE = ("-8h", "-4h", "-1h", "0", "+1h")
_NUMBERS = itertools.count()


def planned(database: Database, practice: object, cases: int, reminders: tuple[str, ...]) -> float:
    """Seconds for a case with one clock and these reminders, as they are planned when a case opens."""
    from dataclasses import replace

    from intake_bot.casework.plan import ReminderPlan

    five = replace(practice.clocks[TRIAGE], plan=ReminderPlan.parse(reminders))  # type: ignore[attr-defined]
    fit = replace(practice, clocks={TRIAGE: five}, nudges_in_office_hours=False, unclaimed_after=None)  # type: ignore[type-var]
    made = [(new_id(NOW), next(_NUMBERS)) for _ in range(cases)]
    began = time.perf_counter()
    for case_id, number in made:
        with database.write() as session:
            case = Case(
                id=case_id, key_id="0" * 32, reference=f"P-{number}", reply_tag=f"p{number}", status="new", channel="email",
                received_at=NOW,
            )  # fmt: skip
            session.add(case)
            session.flush()
            deadlines.start_first(session, fit, case, urgent=False, now=NOW)
            audit.record(session, case_id, at=NOW, actor="system:bench", act="case_opened")
    return (time.perf_counter() - began) / cases


def nothing() -> None:
    """What APScheduler would run."""


def apscheduler(folder: Path, cases: int) -> float:
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_jobstore(SQLAlchemyJobStore(url=f"sqlite:///{folder / 'jobs.db'}"))
    scheduler.start(paused=True)
    began = time.perf_counter()
    for _ in range(5 * cases):
        scheduler.add_job(nothing, "date", run_date=datetime.now(UTC) + timedelta(days=30))
    spent = time.perf_counter() - began
    scheduler.shutdown()
    return 5 * cases / spent


def median_ms(what: Callable[[], None], times: int) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        what()
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent)


if __name__ == "__main__":
    main()
