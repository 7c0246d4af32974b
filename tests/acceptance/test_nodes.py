"""Several real ``serve`` processes on one PostgreSQL: killed, stopped, without their database, and each with its part."""

from __future__ import annotations

import email
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest
from sqlmodel import col, select

from acceptance.harness import House, Service, mail, wait_until
from conftest import PostgresCluster, postgres_binaries
from intake_bot.casework import views
from storage import audit
from storage.tables import Case, Outgoing, Reminder

MONITORING = re.compile(r"monitoring on 127\.0\.0\.1:(\d+)")
MAILS = 6
REMINDERS = 4


def nodes(folder: Path, url: str, *names: str, **settings: str) -> list[House]:
    """As in docs/deploy.md: one configuration and one master key, a data folder and a name each."""
    (folder / "key").mkdir()
    shared = {"database_url": url, "keys_file": str(folder / "key" / "master.key"), "triage_enabled": "false"}
    shared |= {"monitoring_enabled": "true"}
    houses = []
    for name in names:
        (folder / name).mkdir()
        houses.append(House(folder / name, service_node=name, **(shared | settings)))
    return houses


def consultation(message_id: str) -> bytes:
    """From a sender of its own: how much one is answered has tests of its own."""
    return mail(message_id=message_id, sender=f"Joanne Farrier <dsl.{message_id[1:-1]}>")


def page(service: Service, name: str) -> tuple[int, dict[str, object]]:
    port = service.wait_for(MONITORING)[1]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def letters(*houses: House) -> list[email.message.Message]:
    return [email.message_from_bytes(raw) for house in houses for raw in house.letters()]


def test_what_a_killed_node_had_in_hand_another_takes_over(tmp_path: Path, postgres: PostgresCluster) -> None:
    quick = {"intake_lease_seconds": "5", "intake_reading_timeout_seconds": "1", "intake_tick_seconds": "0.5"}
    dying, other = nodes(tmp_path, postgres.new_database(), "mx1", "mx2", **quick)
    # Dies, for good, with its first message filed in a transaction that is not committed.
    doomed = dying.serve(kill_at="intake_bot.intake:file:after").ready()
    ids = [f"<{number}@brookfield.example>" for number in range(MAILS)]
    assert doomed.send(consultation(ids[0]))[0] == 250
    doomed.wait_for_death()
    living = other.serve().ready()
    for message_id in ids[1:]:
        assert living.send(consultation(message_id))[0] == 250
    living.settle()
    with other.inside() as (opened, session):
        due = max(reminder.due_at for reminder in session.exec(select(Reminder)).all()) + timedelta(hours=1)
    # Both a node and somebody at a terminal look at the clocks.
    sent = [json.loads(line) for line in other.run_here("tick", "--now", due.isoformat(), "--json").splitlines()]
    living.stop()

    with other.inside() as (opened, session):
        cases = session.exec(select(Case)).all()
        arrived = Counter(one["message_id"] for one in views.messages_json(session, opened.practice))
        reminders = session.exec(select(Reminder)).all()
        notices = session.exec(select(Outgoing).where(col(Outgoing.key).startswith("reminder:"))).all()
        assert list(audit.broken_links(session)) == []
    assert len(cases) == MAILS
    assert [arrived[message_id] for message_id in ids] == [1] * MAILS
    assert len(sent) == len(reminders) == len(notices) == REMINDERS * MAILS
    assert {notice.state for notice in notices} == {"done"}
    acknowledged = {(letter["In-Reply-To"], letter["Message-ID"]) for letter in letters(dying, other)}
    assert sorted(message_id for message_id, _ in acknowledged) == ids
    other.run_here("verify")


@pytest.mark.slow
def test_nodes_that_share_the_work_and_doctor_knows_what_nobody_does(tmp_path: Path, postgres: PostgresCluster) -> None:
    edge, inner = nodes(tmp_path, postgres.new_database(), "edge", "inner")
    taking = edge.serve(INTAKE_BOT_SERVICE_ONLY="mail").ready()
    assert taking.send(mail())[0] == 250
    assert page(taking, "readyz") == (200, {"ready": True, "wrong": [], "roles": ["mail"]})
    assert said_of_nodes(edge, expect=1) == [
        "edge does mail",
        "nobody does worker,clock: start a node with intake-bot serve --only worker,clock",
    ]

    working = Service(inner, None, {}, "--only", "clock,worker")
    working.wait_for(re.compile("this node does: worker,clock"))
    wait_until(lambda: len(inner.letters()) == 1)
    assert said_of_nodes(edge) == ["edge does mail; inner does worker,clock"]
    # With one name the same roles are refused nothing, and doctor says so.
    again = Service(inner, None, {}, "--only", "clock,worker")
    again.wait_for(re.compile("another node has this one's name"))
    assert "two nodes have one name" in said_of_nodes(edge, expect=1)[-1]
    for service in (again, working, taking):
        printed = service.stop()
    assert edge.letters() == []
    assert "outgoing mail" not in printed
    (case,) = edge.json("cases")
    assert case["status"] == "new"


def said_of_nodes(house: House, *, expect: int = 0) -> list[str]:
    found = [json.loads(line) for line in house.run_here("doctor", "--json", expect=expect).splitlines()]
    return [one["says"] for one in found if one["what"] == "nodes"]


@pytest.fixture
def own_cluster() -> Iterator[PostgresCluster]:
    """One that nobody else minds losing."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries on this machine")
    cluster = PostgresCluster(binaries)
    yield cluster
    cluster.stop()


def test_without_the_database_mail_comes_again_and_afterwards_all_goes_on(
    tmp_path: Path, own_cluster: PostgresCluster
) -> None:
    (house,) = nodes(tmp_path, own_cluster.new_database(), "mx1", intake_tick_seconds="0.5")
    service = house.serve().ready()
    assert service.send(mail(message_id="<before@brookfield.example>"))[0] == 250
    service.settle()
    own_cluster.halt()
    code, text = service.send(mail(message_id="<meanwhile@brookfield.example>"))
    assert (code, text[:5]) == (451, b"4.3.0")
    assert page(service, "readyz")[0] == 503
    # Nothing is wrong with the configuration: a supervisor is to start it again.
    house.run("serve", expect=1)
    own_cluster.resume()
    wait_until(lambda: page(service, "readyz")[0] == 200)
    assert service.send(mail("Another worry. Please advise.", message_id="<after@brookfield.example>"))[0] == 250
    service.settle()
    service.stop()
    assert len(house.json("cases")) == len(house.letters()) == 2
