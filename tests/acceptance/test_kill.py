"""kill -9 at each step between the dot and the acknowledgement, then again: nothing lost, nothing doubled (invariant 1).

The real process is killed at the named step, started again as anybody would, and the sending mail server, which got no
250, sends its message again as mail servers do.
"""

from __future__ import annotations

import email
import re
import smtplib
from pathlib import Path

import pytest
from sqlmodel import select

from acceptance.harness import House, mail, wait_until
from conftest import PostgresCluster, often
from intake_bot.casework import views
from storage import audit
from storage.tables import Case

STEPS = [
    "storage.spool:accept:before",
    "storage.spool:accept:after",
    "storage.spool:take:after",
    "intake_bot.service:SandboxReader.read:before",
    "intake_bot.service:SandboxReader.read:after",
    "intake_bot.intake:file:before",
    "intake_bot.intake:file:after",
    "intake_bot.intake:IntakeWorker._file:after",
    "storage.outbox:take:after",
    "intake_bot.mail.outgoing:FolderPost._write:before",
    "intake_bot.mail.outgoing:FolderPost._write:after",
    "intake_bot.delivery:DeliveryWorker._delivered:before:acknowledgement",
    "intake_bot.delivery:DeliveryWorker._delivered:after:acknowledgement",
]


# One on each side of each promise: kept, filed, sent. make soak has them all.
ALWAYS = {
    "storage.spool:accept:after",
    "intake_bot.intake:file:after",
    "storage.outbox:take:after",
    "intake_bot.delivery:DeliveryWorker._delivered:before:acknowledgement",
}


@pytest.mark.parametrize("step", often(STEPS, always=ALWAYS))
def test_a_kill_at(step: str, tmp_path: Path) -> None:
    kill_and_start_again(House(tmp_path, triage_enabled="false"), step)


# The steps at which rows are written: there the two databases could differ.
WRITES = [step for step in STEPS if re.search(r"accept|:file|_file|take|_delivered", step)]


@pytest.mark.parametrize("step", often(WRITES, always={"intake_bot.intake:file:after"}))
def test_a_kill_at_a_write_to_postgresql(step: str, tmp_path: Path, postgres: PostgresCluster) -> None:
    kill_and_start_again(House(tmp_path, triage_enabled="false", database_url=postgres.new_database()), step)


def kill_and_start_again(house: House, step: str) -> None:
    raw = mail()
    dying = house.serve(kill_at=step).ready()
    try:
        kept = dying.send(raw)[0] == 250
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        kept = False
    dying.wait_for_death()

    service = house.serve().ready()
    try:
        if not kept:
            assert service.send(raw)[0] == 250
        wait_until(lambda: len(house.letters()) >= 1)
        service.settle()
    finally:
        printed = service.stop()

    with house.inside() as (opened, session):
        (case,) = session.exec(select(Case)).all()
        messages = list(views.messages_json(session, opened.practice))
        shown = views.show_json(session, opened.practice, case)
        assert list(audit.broken_links(session)) == []
    assert [m["case"] for m in messages if m["direction"] == "in"] == [case.reference]
    letters = [email.message_from_bytes(raw) for raw in house.letters()]
    assert len({letter["Message-ID"] for letter in letters}) == 1
    assert sorted(one["kind"] for one in shown["reminders"]) == ["after", "at", "before", "unclaimed"]
    assert [deadline["target"] for deadline in shown["deadlines"]] == ["triage"]
    assert case.reference in printed + dying.printed
