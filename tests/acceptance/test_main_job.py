"""The main job, as its people see it: the real program in a clean folder, over real SMTP."""

from __future__ import annotations

import email
import email.policy
import hashlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.harness import TO, House, Service, mail, wait_until

CANARY = "zylophantine marmalade"

ALLEGATION = f"""Dear LADO,

A teaching assistant at our school, Mr Daniel Hartwell, grabbed a pupil (Kieran, 6) by the arm on 26 November and there is
a bruise. {CANARY}. Mum has been told.

Joanne Farrier, DSL, Brookfield Primary School, 01632 960 114
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"), office_duty_phone="01632 960 500")


@pytest.fixture(scope="module")
def service(house: House) -> Iterator[Service]:
    service = house.serve().ready()
    yield service
    service.kill()


def arrive(house: House, service: Service, raw: bytes, **options: object) -> dict[str, object]:
    """Send, settle, and give the one new inbound message."""
    before = {message["id"] for message in house.json("messages")}
    assert service.send(raw, **options)[0] == 250  # type: ignore[arg-type]
    service.settle()
    new = [m for m in house.json("messages") if m["id"] not in before and m["direction"] == "in"]
    assert len(new) == 1
    return dict(new[0])


def test_a_referral_form_alone_is_read_by_triage(house: House, service: Service) -> None:
    raw = (Path(__file__).parents[1] / "corpus" / "document-alone.eml").read_bytes()
    message = arrive(house, service, raw)
    (form,) = message["documents"]  # type: ignore[misc]
    assert message["body_text"] == ""
    case = house.show(str(message["case"]))
    assert case["suggestion"]["evidence"]
    for evidence in case["suggestion"]["evidence"]:
        assert evidence["document"] == 0
        assert form["text"][evidence["start"] : evidence["end"]] == evidence["text"]
    assert "child_name_or_age" not in case["suggestion"]["missing"]
    house.run_here("attachment", str(message["case"]), "1", "--out", str(house.folder / "form.docx"))
    assert hashlib.sha256((house.folder / "form.docx").read_bytes()).hexdigest() == message["attachments"][0]["sha256"]  # type: ignore[index]


def letter_of(house: House, reference: str) -> email.message.EmailMessage | None:
    for raw in house.letters():
        letter = email.message_from_bytes(raw, policy=email.policy.default)
        if reference in letter["Subject"]:
            return letter  # type: ignore[return-value]
    return None


def test_an_officer_added_to_a_conversation_is_shown_what_it_is_about(house: House, service: Service) -> None:
    raw = mail(
        "As agreed on the telephone this morning.\n\nJoanne\n\n"
        "On 23 Nov 2026, at 07:30, Sally Moss <sally@home.example> wrote:\n\n"
        "> A parent told us that the coach hit her son on Friday. He has a bruise on his arm.\n",
        message_id="<added@brookfield.example>",
        sender="Joanne Farrier <office@brookfield.example>",
        subject="RE: My son",
        headers={"In-Reply-To": "<unseen@home.example>"},
    )
    message = arrive(house, service, raw)
    suggestion = house.show(str(message["case"]))["suggestion"]
    assert (suggestion["category"], suggestion["read"]) == ("physical", "full_text")
    assert "injury" in suggestion["flags"]
    assert all(
        str(message["full_text"])[item["start"] : item["end"]] == item["text"] for item in suggestion["evidence"]
    )


def test_an_allegation_is_kept_acknowledged_triaged_shown_and_watched(house: House, service: Service) -> None:
    message = arrive(house, service, mail(ALLEGATION, message_id="<harm@brookfield.example>", subject=f"Re: {CANARY}"))
    case = house.show(str(message["case"]))

    assert case["status"] == "new"
    assert case["suggestion"]["threshold"] == "meets_harm_threshold"
    assert case["suggestion"]["category"] == "physical"
    body = message["body_text"]
    for evidence in case["suggestion"]["evidence"]:
        assert body[evidence["start"] : evidence["end"]] == evidence["text"]  # type: ignore[index]
    (deadline,) = case["deadlines"]
    assert (deadline["target"], deadline["state"]) == ("triage", "running")
    assert [r["state"] for r in case["reminders"]] == ["waiting"] * 4

    letter = letter_of(house, case["case"])
    assert letter is not None
    assert letter["To"] == "dsl@brookfield.example"
    assert letter["In-Reply-To"] == "<harm@brookfield.example>"
    assert letter["Auto-Submitted"] == "auto-replied"
    assert not letter["Subject"].lower().startswith("re:")
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    html = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
    for words in (text, html):
        assert case["case"] in words
        assert "999" in words
        assert "01632 960 500" in words
        assert "if you have not already told us" in words or not case["suggestion"]["missing"]
        for private in (CANARY, "Hartwell", "Kieran", "Farrier", "Brookfield"):
            assert private not in words
    assert "privacy" not in text.lower()  # a setting that is not set is left out

    printed = service.drain()
    assert case["case"] in printed
    assert "Hartwell" not in printed


def test_a_reply_from_the_referrer_joins_by_the_reply_address(house: House, service: Service) -> None:
    first = arrive(house, service, mail(message_id="<join-1@brookfield.example>"))
    letter = letter_of(house, str(first["case"]))
    assert letter is not None
    raw = mail("The child's name is Sam.", message_id="<join-2@brookfield.example>", subject="more")
    second = arrive(house, service, raw, to=(letter["Reply-To"].addresses[0].addr_spec,))
    assert (second["case"], second["opened_case"]) == (first["case"], False)


def test_a_reply_from_the_referrer_joins_by_our_message_id(house: House, service: Service) -> None:
    first = arrive(house, service, mail(message_id="<thread-1@brookfield.example>"))
    letter = letter_of(house, str(first["case"]))
    assert letter is not None
    raw = mail("More.", message_id="<thread-2@brookfield.example>", headers={"In-Reply-To": letter["Message-ID"]})
    assert arrive(house, service, raw)["case"] == first["case"]


def test_a_stranger_who_knows_everything_joins_nothing(house: House, service: Service) -> None:
    first = arrive(house, service, mail("About a volunteer at our club.", message_id="<stranger-1@brookfield.example>"))
    letter = letter_of(house, str(first["case"]))
    assert letter is not None
    raw = mail(
        "I would like to know what was said.",
        message_id="<stranger-2@elsewhere.example>",
        sender="Daniel <d.hartwell@brookfield.example>",
        subject=f"Re: {first['case']}",
        headers={"In-Reply-To": letter["Message-ID"], "References": "<stranger-1@brookfield.example>"},
    )
    second = arrive(house, service, raw, to=(letter["Reply-To"].addresses[0].addr_spec,))
    assert second["case"] != first["case"]
    assert second["opened_case"] is True
    links = house.show(str(second["case"]))["links"]
    assert [(link["case"], link["state"]) for link in links] == [(first["case"], "proposed")]


def test_the_same_mail_twice_is_one_case(house: House, service: Service) -> None:
    raw = mail("The same words.", message_id="<twice@brookfield.example>")
    first = arrive(house, service, b"Received: from mx1.example\r\n" + raw)
    letters = len(house.letters())
    assert service.send(b"Received: from mx2.example\r\nX-Path: other\r\n" + raw)[0] == 250
    service.settle()
    arrived = [m for m in house.json("messages") if m["message_id"] == "<twice@brookfield.example>"]
    assert [m["case"] for m in arrived] == [first["case"]]
    assert len(house.letters()) == letters


def test_the_same_mail_five_times_at_once_is_one_case(house: House, service: Service) -> None:
    raw = mail("At once.", message_id="<at-once@brookfield.example>")
    clients = [smtplib.SMTP("127.0.0.1", service.port, timeout=20) for _ in range(5)]
    for client in clients:
        client.ehlo()
        client.mail("dsl@brookfield.example")
        client.rcpt(TO)
        client.putcmd("data")
        assert client.getreply()[0] == 354
    for client in clients:
        client.send(raw + b"\r\n.\r\n")
    assert [client.getreply()[0] for client in clients] == [250] * 5
    for client in clients:
        client.close()
    service.settle()
    assert len([m for m in house.json("messages") if m["message_id"] == "<at-once@brookfield.example>"]) == 1


def test_other_words_under_the_same_id_are_another_version_on_the_case(house: House, service: Service) -> None:
    first = arrive(house, service, mail("First words.", message_id="<version@brookfield.example>"))
    second = arrive(house, service, mail("Other words.", message_id="<version@brookfield.example>"))
    assert (second["case"], second["version_of"]) == (first["case"], first["id"])


def test_another_sender_under_the_same_id_is_a_new_case_and_flagged(house: House, service: Service) -> None:
    first = arrive(house, service, mail("Some words.", message_id="<stolen@brookfield.example>"))
    raw = mail("Some words.", message_id="<stolen@brookfield.example>", sender="x@elsewhere.example")
    second = arrive(house, service, raw, sender="x@elsewhere.example")
    assert second["case"] != first["case"]
    assert "same_id_other_sender" in house.show(str(second["case"]))["remarks"]


def test_an_out_of_office_reply_is_kept_without_case_or_answer(house: House, service: Service) -> None:
    letters = len(house.letters())
    raw = mail("I am away.", message_id="<oof@school.example>", headers={"Auto-Submitted": "auto-replied"})
    message = arrive(house, service, raw)
    assert (message["case"], bool(message["machine_sent"])) == (None, True)
    assert len(house.letters()) == letters
    assert house.json("status")[0]["unfiled"] >= 1


def test_a_portal_s_mail_opens_a_case_unacknowledged_and_says_so(house: House, service: Service) -> None:
    letters = len(house.letters())
    raw = mail(ALLEGATION, message_id="<portal@forms.example>", headers={"Auto-Submitted": "auto-generated"})
    message = arrive(house, service, raw)
    case = house.show(str(message["case"]))
    assert "not_acknowledged_machine" in case["remarks"]
    assert [deadline["target"] for deadline in case["deadlines"]] == ["triage"]
    assert len(house.letters()) == letters


def test_a_decision_meets_the_target_cancels_reminders_and_starts_the_month(house: House, service: Service) -> None:
    message = arrive(house, service, mail(ALLEGATION, message_id="<decide@brookfield.example>"))
    reference = str(message["case"])
    house.run("claim", reference, "--by", "amina")
    decide = [
        "decide",
        reference,
        "--decision",
        "referral",
        "--category",
        "physical",
        "--reason",
        CANARY,
        "--by",
        "amina",
    ]
    house.run_here(*decide, expect=2)  # a referral without a criterion
    house.run_here(*decide, "--criteria", "1,3")
    case = house.show(reference)
    assert case["decision"]["decision"] == "referral"
    assert case["decision"]["criteria"] == [1, 3]
    assert case["decision"]["by"] == "terminal:amina"
    by_target = {deadline["target"]: deadline for deadline in case["deadlines"]}
    assert by_target["triage"]["state"] == "met"
    assert by_target["one_month"]["started_at"] == case["received_at"]
    states = {(r["deadline"], r["state"]) for r in case["reminders"]}
    assert states == {("triage", "cancelled"), ("claim", "cancelled")} | {
        (target, "waiting") for target in ("first_meeting", "one_month", "three_months", "twelve_months")
    }
    acts = [entry["act"] for entry in case["audit"]]
    assert acts.index("claimed") < acts.index("decided")
    house.run_here("release", reference, expect=1)
    assert "working day" in house.run_here("explain", reference, "triage")


def test_reminders_come_once_late_ones_marked_and_none_after_the_decision(house: House, service: Service) -> None:
    message = arrive(house, service, mail(ALLEGATION, message_id="<remind@brookfield.example>"))
    reference = str(message["case"])
    before, at, after = (r for r in house.show(reference)["reminders"] if r["deadline"] == "triage")

    def tick(moment: str) -> list[tuple[str, str]]:
        return [
            (r["kind"], r["state"])
            for r in house.json("tick", "--now", moment)
            if (r["case"], r["deadline"]) == (reference, "triage")
        ]

    assert tick(before["due_at"]) == [("before", "sent")]
    assert tick(before["due_at"]) == []
    assert tick(after["due_at"].replace("Z", "+00:00")) == [("at", "late"), ("after", "sent")]
    assert [d["state"] for d in house.show(reference)["deadlines"]] == ["missed"]
    assert at["state"] == "waiting"


def test_every_chain_holds_after_all_that(house: House, service: Service) -> None:
    assert "hold" in house.run_here("verify")


def test_the_canary_is_in_no_log_line_and_in_nothing_sent(house: House, service: Service) -> None:
    assert CANARY in house.run("messages", "--json")
    assert CANARY not in service.drain()
    for letter in house.letters():
        assert CANARY.encode() not in letter
        assert b"Hartwell" not in letter
    for path in house.data.rglob("*.log"):
        assert CANARY not in path.read_text()


def test_nothing_in_the_data_folder_can_be_read(house: House, service: Service) -> None:
    """Not from the database, its log, the key store or anywhere else: no word, no name, no address of a school."""
    assert CANARY in house.run("messages", "--json")
    files = [path for path in house.data.rglob("*") if path.is_file() and "outgoing" not in path.parts]
    assert len(files) >= 4
    for path in files:
        content = path.read_bytes()
        for private in (CANARY, "Hartwell", "Kieran", "Farrier", "dsl@brookfield.example", "Brookfield Primary"):
            assert private.encode() not in content, f"{private} in {path.name}"


def test_it_says_that_it_starts_within_a_second_and_takes_mail_within_three(tmp_path: Path) -> None:
    house = House(tmp_path)
    service = house.serve()
    service.wait_for(re.compile("is starting"))
    starting = time.monotonic() - service.began
    service.ready()
    listening = time.monotonic() - service.began
    service.send(mail())
    service.settle()
    service.stop()
    # The promise is 1 s and 3 s; twice that here, so that a busy machine does not make a fault of it.
    assert starting < 2
    assert listening < 6
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    key = tmp_path / "home" / "config" / "intake-bot" / "master.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_sigterm_in_the_middle_of_a_message_lets_the_client_finish_or_come_again(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    for number in range(20):
        assert service.send(mail(message_id=f"<{number}@school.example>"))[0] == 250
    printed = service.stop()
    assert "stopped" in printed
    again = house.serve().ready()
    wait_until(lambda: len(house.json("cases")) == 20)
    again.settle()
    again.stop()


def test_an_officer_who_pages_holds_nobody_up(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    service.send(mail("A long account. " * 20_000))
    service.settle()
    (case,) = house.json("cases")
    pager = subprocess.Popen(
        [sys.executable, "-m", "intake_bot", "show", case["case"], "--json", "--data", str(house.data)],
        env=house.environment,
        stdout=subprocess.PIPE,
    )
    assert pager.stdout is not None
    pager.stdout.read(1)  # it is printing, and nobody reads on
    assert service.send(mail(message_id="<two@school.example>"))[0] == 250
    wait_until(lambda: len(house.json("cases")) == 2, seconds=10)
    pager.kill()
    pager.wait()
    pager.stdout.close()
    service.stop()


def test_sigterm_before_the_service_runs_ends_with_0(tmp_path: Path) -> None:
    service = House(tmp_path, triage_enabled="false").serve()
    service.wait_for(re.compile("is starting"))
    service.stop()


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    first = house.serve().ready()
    second = house.serve()
    assert "another intake-bot" in second.rest()
    assert second.process.returncode == 2
    first.stop()


def test_a_client_that_hangs_up_after_the_dot_loses_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, triage_enabled="false")
    service = house.serve().ready()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        for line in (b"EHLO a\r\n", b"MAIL FROM:<a@b.example>\r\n", f"RCPT TO:<{TO}>\r\n".encode(), b"DATA\r\n"):
            client.recv(4096)
            client.sendall(line)
        client.recv(4096)
        client.sendall(mail() + b"\r\n.\r\n")
    assert service.send(mail())[0] == 250
    service.settle()
    assert len(house.json("cases")) == 1
    service.stop()


def test_a_killed_reader_is_replaced(tmp_path: Path) -> None:
    """Nothing about one message's fate stops the others."""
    house = House(tmp_path, triage_enabled="false", intake_reading_timeout_seconds="5")
    service = house.serve().ready()
    service.send(mail(message_id="<1@school.example>"))
    service.settle()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    service.send(mail(message_id="<2@school.example>"))
    wait_until(lambda: len(house.json("cases")) == 2)
    service.stop()
