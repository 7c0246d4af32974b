"""A node in a network of its own whose line to the database is slow, and is cut: as root on Linux, with ``ip`` and ``tc``.

Nobody hangs up when a line is cut: each side has to find out for itself. The other node has a line of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.harness import House, Service, mail, wait_until
from conftest import PostgresCluster, postgres_binaries

HERE, THERE = "10.203.77.1", "10.203.77.2"
SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=120) as client:
    client.ehlo("mx.school.example")
    client.mail("dsl@brookfield.example")
    client.rcpt("lado@elmshire.example")
    print(client.data(sys.stdin.buffer.read())[0])
"""
CUT_SECONDS = 60.0
"""More than what a node takes to find out: fifteen seconds, and a connection or two to try."""
SETTLE_SECONDS = 150.0
"""More than PostgreSQL takes to give the node up, and what it had in hand to be another's: half a minute, and a lease."""


class Line:
    """From a namespace of its own to this one."""

    def __init__(self) -> None:
        self.name = f"intake-bot-{os.getpid()}"
        self._here = f"ib{os.getpid() % 100000}h"
        self._there = f"ib{os.getpid() % 100000}t"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
        run("ip", "address", "add", f"{HERE}/30", "dev", self._here)
        run("ip", "-n", self.name, "address", "add", f"{THERE}/30", "dev", self._there)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        run("ip", "-n", self.name, "link", "set", self._there, "up")
        self.mend()

    def mend(self) -> None:
        run("ip", "link", "set", self._here, "up")

    def cut(self) -> None:
        run("ip", "link", "set", self._here, "down")

    def slow_down(self) -> None:
        """As over a modem: what is sent to the database waits its turn."""
        run("ip", "netns", "exec", self.name, "tc", "qdisc", "add", "dev", self._there, "root",
            "tbf", "rate", "256kbit", "burst", "4kb", "latency", "2s")  # fmt: skip

    def speed_up(self) -> None:
        run("ip", "netns", "exec", self.name, "tc", "qdisc", "del", "dev", self._there, "root")

    def remove(self) -> None:
        run("ip", "netns", "delete", self.name)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def line() -> Iterator[Line]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc"))):
        pytest.skip("network namespaces need root, ip and tc")
    try:
        line = Line()
    except subprocess.CalledProcessError as fault:
        pytest.skip(f"no network namespaces on this machine: {fault.stderr.decode().strip()}")
    yield line
    for service in set(Service.running):
        service.kill()
    line.remove()


@pytest.fixture
def cluster(line: Line) -> Iterator[PostgresCluster]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries on this machine")
    cluster = PostgresCluster(binaries, also_at=HERE, also_for=f"{THERE}/32")
    yield cluster
    cluster.stop()


def test_a_line_to_the_database_that_is_slow_and_then_cut(line: Line, cluster: PostgresCluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    (tmp_path / "key").mkdir()
    shared = {"keys_file": str(tmp_path / "key" / "master.key"), "triage_enabled": "false", "intake_lease_seconds": "5"}
    shared |= {"intake_reading_timeout_seconds": "10"}
    houses = []
    for name, at in (("far", url.replace("127.0.0.1", HERE)), ("near", url)):
        (tmp_path / name).mkdir()
        houses.append(House(tmp_path / name, service_node=name, database_url=at, **shared))
    far_house, near_house = houses
    far = far_house.serve(within=("ip", "netns", "exec", line.name)).ready()
    near = near_house.serve().ready()
    number = 0

    def send_far() -> int:
        """The answer to a consultation that is sent to the node behind the line."""
        nonlocal number
        number += 1
        raw = mail(
            message_id=f"<{number}@brookfield.example>", sender=f"Joanne Farrier <dsl.{number}@brookfield.example>"
        )
        command = ["ip", "netns", "exec", line.name, sys.executable, "-c", SEND, str(far.port)]
        return int(subprocess.run(command, input=raw, capture_output=True, check=True).stdout)

    assert send_far() == 250
    line.slow_down()
    assert [send_far() for _ in range(3)] == [250] * 3
    line.speed_up()

    line.cut()
    began = time.monotonic()
    assert send_far() == 451
    assert time.monotonic() - began < CUT_SECONDS
    # The other has its own line, and is not held up by what the one had locked.
    assert near.send(mail(message_id="<near@brookfield.example>"))[0] == 250
    wait_until(near_house.settled, seconds=SETTLE_SECONDS)
    assert len(near_house.json("cases")) == 5

    line.mend()

    def goes_on() -> bool:
        return send_far() == 250

    wait_until(goes_on, seconds=CUT_SECONDS)
    wait_until(near_house.settled, seconds=SETTLE_SECONDS)
    cases = near_house.json("cases")
    far.stop()
    near.stop()
    assert len(cases) == 6
    near_house.run_here("verify")
