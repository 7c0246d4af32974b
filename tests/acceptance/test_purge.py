"""Retention through the real command line: what is to go is in no file, and what is to stay is kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.harness import House, Service, mail

CANARY = "zylophantine marmalade"
NO_NAMES = f"""Dear LADO,

I would like to consult you on a no-names basis about a coach, Kestrel Ambleforth. {CANARY}.

Joanne Farrier
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"), triage_enabled="false")


@pytest.fixture(scope="module")
def service(house: House) -> Iterator[Service]:
    service = house.serve().ready()
    yield service
    service.kill()


def open_case(house: House, service: Service, raw: bytes) -> str:
    before = {case["case"] for case in house.json("cases")}
    assert service.send(raw)[0] == 250
    service.settle()
    (new,) = [case["case"] for case in house.json("cases") if case["case"] not in before]
    return str(new)


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_no_names_consultation_loses_its_content_when_it_is_concluded(house: House, service: Service) -> None:
    case = open_case(house, service, mail(NO_NAMES, message_id="<nn@brookfield.example>", subject=CANARY))
    shown = house.show(case)
    assert shown["no_names"] is True
    assert CANARY in shown["messages"][0]["body_text"]
    said = ["--decision", "consultation", "--category", "conduct", "--reason", f"{CANARY}: advised."]
    house.run_here("decide", case, *said)
    with sqlite3.connect(house.data / "keys" / "keystore.db") as keys:
        before = [bytes(row[0]) for row in keys.execute("SELECT wrapped FROM keystore_keys WHERE wrapped IS NOT NULL")]
    keys.close()
    printed = house.run_here("conclude", case, "--note", f"{CANARY}: done.", "--by", "Amina")
    assert "content has gone" in printed
    service.settle()

    shown = house.show(case)
    assert shown["purged_at"] is not None
    assert (shown["status"], shown["decision"]["decision"], shown["decision"]["reason"]) == (
        "concluded",
        "consultation",
        None,
    )
    assert [m["body_text"] for m in shown["messages"]] == [None, None]
    seen = house.run_here("show", case)
    assert "Purged on" in seen
    for words in (str(shown), str(house.json("messages")), printed, service.drain(), seen):
        assert CANARY not in words
        assert "Ambleforth" not in words
    everything = files(house.data)
    assert CANARY.encode() not in everything
    # The key that opened it is in no file of the key store, though the service that knew it still runs.
    left = files(house.data / "keys")
    assert sum(wrapped not in left for wrapped in before) == 1


def test_a_referral_is_kept_held_listed_and_purged_on_a_manager_s_word(house: House, service: Service) -> None:
    body = f"Mr Kestrel Ambleforth grabbed a pupil. {CANARY}"
    case = open_case(house, service, mail(body, message_id="<ref@brookfield.example>"))
    said = ["--decision", "referral", "--category", "physical", "--criteria", "1", "--reason", "Force was used."]
    house.run_here("decide", case, *said)
    house.run_here("conclude", case, "--note", "No basis.", "--outcome", "ongoing", expect=2)
    house.run_here("conclude", case, "--note", "No basis.", "--outcome", "unfounded")

    out = house.folder / "access"
    printed = house.run_here("access-export", "-", "--out", str(out), stdin="K Ambleforth\n")
    assert "Ambleforth" not in printed
    assert {path.name for path in out.iterdir()} == {f"{case}.txt", "index.txt"}
    assert CANARY in (out / f"{case}.txt").read_text()

    (due,) = house.run_here("purge", "--dry-run", "--due-by", "2100-01-01T00:00:00Z", "--json").splitlines()
    assert json.loads(due).items() >= {"case": case, "outcome": "unfounded", "hold": False}.items()
    house.run_here("purge", "--all-due", expect=2)  # nobody's word
    house.run_here("purge", "--all-due", "--by", "Morag", expect=2)  # and no reason
    word = ["--by", "Morag", "--reason", "An erasure was granted."]
    house.run_here("hold", case, "--reason", "The inquiry asks.")
    house.run_here("purge", case, *word, "--early", expect=1)
    house.run_here("hold", case, "--lift", "--reason", "The inquiry has ended.")
    house.run_here("purge", case, *word, expect=1)  # its time has not come
    house.run_here("purge", case, *word, "--early")
    shown = json.loads(house.run_here("show", case, "--json"))
    assert CANARY not in str(shown)
    assert (shown["outcome"], shown["category"]) == ("unfounded", "physical")
    assert [entry["code"] for entry in shown["audit"] if entry["act"] == "purged"] == ["early"]
    assert CANARY not in service.drain()
    house.run_here("verify")
    service.stop()
