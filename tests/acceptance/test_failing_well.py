"""The real process on a disk that is full, under SIGTERM with its hands full, and killed again and again as it starts."""

from __future__ import annotations

import os
import random
import smtplib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlmodel import select

from acceptance.harness import House, mail, wait_until
from conftest import PostgresCluster
from intake_bot.mail.reading import Reading
from intake_bot.sandbox import Sandbox, SandboxFailed
from storage import audit, schema
from storage.tables import Case

BIG = "A long account of one afternoon. " * 10_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of its own, of eight megabytes."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root, and a machine that lets root mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_452_and_what_had_room_is_kept_whole(small_disk: Path, tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    assert service.send(mail(message_id="<first@school.example>"))[0] == 250
    service.settle()
    filler = small_disk / "somebody-else-s"
    answers = []
    for left in (400_000, 100_000, 0):
        status = os.statvfs(small_disk)
        with filler.open("ab") as file:
            file.write(b"x" * max(0, status.f_bavail * status.f_frsize - left))
        for number in range(2):
            message_id = f"<{left}-{number}@school.example>"
            code, text = service.send(mail(BIG, message_id=message_id))
            assert (code == 250) or (code, text[:5]) == (452, b"4.3.1")
            answers.append(code)
    assert answers[-1] == 452
    service.kill()

    # It starts on a full disk too, and says the same.
    service = house.serve().ready()
    assert service.send(mail(BIG, message_id="<again@school.example>"))[0] == 452
    filler.unlink()
    assert service.send(mail(BIG, message_id="<again@school.example>"))[0] == 250
    service.settle()
    assert len(house.json("cases")) == 2 + answers.count(250)
    house.run_here("verify")
    assert "account" not in service.stop()


@pytest.mark.slow
def test_sigterm_with_many_sending_keeps_what_it_answered_and_ends_in_time(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    kept: list[str] = []

    def send_on(client: int) -> None:
        for number in range(12):
            message_id = f"<{client}-{number}@school.example>"
            try:
                if service.send(mail(message_id=message_id, sender=f"dsl-{client}-{number}@school.example"))[0] == 250:
                    kept.append(message_id)
            except (smtplib.SMTPException, OSError):
                return  # it is going: a mail server keeps the message and comes again

    with ThreadPoolExecutor(8) as senders:
        for client in range(8):
            senders.submit(send_on, client)
        wait_until(lambda: len(kept) >= 30)
        began = time.monotonic()
        assert "stopped" in service.stop()
        assert time.monotonic() - began < 20
    again = house.serve().ready()
    again.settle()
    again.stop()
    with house.inside() as (_, session):
        assert list(audit.broken_links(session)) == []
    found = [message["message_id"] for message in house.json("messages") if message["direction"] == "in"]
    assert sorted(set(found)) == sorted(found)
    assert set(kept) <= set(found)


def storm(house: House, kills: int) -> None:
    """Started and killed so often, at any moment from the first instruction on; then left to run."""
    chance = random.Random(7)
    kept: list[str] = []
    for number in range(kills):
        service = house.serve()
        if number % 4 == 3:
            # Now and then it lives long enough to take a message.
            service.ready()
            for which in range(2):
                message_id = f"<{number}-{which}@school.example>"
                assert service.send(mail(message_id=message_id, sender=f"dsl{number}-{which}@school.example"))[0] == 250
                kept.append(message_id)
        time.sleep(chance.uniform(0, 1.2))
        service.kill()
    service = house.serve().ready()
    service.settle()
    service.stop()
    with house.inside() as (_, session):
        assert schema.current(session.connection()) == schema.revisions()[-1]
        assert list(audit.broken_links(session)) == []
        assert len(session.exec(select(Case)).all()) == len(kept)
    house.run_here("verify")
    assert len(house.letters()) == len(kept)


@pytest.mark.slow
def test_twenty_starts_and_kills_in_a_row_lose_nothing(tmp_path: Path) -> None:
    storm(House(tmp_path, triage_enabled="false"), 20)


@pytest.mark.slow
def test_twenty_starts_and_kills_on_postgresql(tmp_path: Path, postgres: PostgresCluster) -> None:
    storm(House(tmp_path, triage_enabled="false", database_url=postgres.new_database()), 20)


async def test_the_reader_s_child_has_its_memory_and_no_more() -> None:
    """What asks for more gets an error, in the child alone, and the next mail a reader."""
    child = Sandbox("read", memory_mib=256)
    request = {"envelope_from": "", "envelope_to": [], "authserv_id": None, "own_addresses": []}
    with pytest.raises(SandboxFailed) as failed:
        await child.call(request, b"From: a@b.example\r\n\r\n" + b"x" * (300 * 1024 * 1024), seconds=60)
    assert failed.value.code in {"died", "out_of_memory"}
    answer = await child.call(request, mail(), seconds=60)
    assert Reading.from_json(answer["reading"]).sender == "dsl@brookfield.example"
    await child.stop()
