"""What leaves for training tells nobody who is meant, and no text leaves that an officer has not redacted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session, col, select

from conftest import FRIDAY_1640
from contract.test_casework import AMINA, SUGGESTION, Desk, referral
from intake_bot.casework import retention, retraining, views
from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.desk import Actor
from intake_bot.casework.history import history
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed
from intake_bot.casework.views import TextRead
from intake_bot.casework.vocabulary import DecisionKind
from storage import shredding, verify
from storage.engine import Database
from storage.tables import AuditEntry, Case, NoteRow
from triage.vocabulary import Threshold

CANARY = "zylophantine marmalade"
BODY = f"On Friday our coach Kestrel Ambleforth shouted at a boy. {CANARY.capitalize()}."
CAREFUL = "Subject: Advice\n\nOn Friday our coach [adult] shouted at a boy.\n"
NOA = Actor("terminal", "Noa")


def measure(read: TextRead) -> Mapping[str, float]:
    return {"letters": float(len(read.text)), "nothing": 0.0}


def nothing_left(redacted: str, original: str, known_of: Sequence[str]) -> Sequence[str]:
    return ()


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    return Desk(database, practice)


def decided(desk: Desk, kind: DecisionKind = DecisionKind.REFERRAL, **facts: Any) -> Filed:
    filed = desk.opened(body_text=BODY, full_text=BODY, **facts)
    assert isinstance(desk.perform(replace(referral(filed.case_id), decision=kind, reason=CANARY)), Done)
    return filed


def exported(desk: Desk, *, with_texts: bool = False) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        with desk.database.read() as session:
            found, after = retraining.examples(session, desk.practice, measure, after=after, with_texts=with_texts)
        with desk.database.write() as session:
            lines += [one.line for one in retraining.record_export(session, found, by=NOA, now=FRIDAY_1640)]
    return lines


def keep(desk: Desk, filed: Filed, words: str, what_is_left: Any = nothing_left) -> Done | Refused:
    with desk.database.write() as session:
        case = session.get_one(Case, filed.case_id)
        return retraining.keep_redacted(session, desk.practice, case, words, what_is_left, by=NOA, now=FRIDAY_1640)


def test_a_line_holds_labels_and_counts_and_nothing_that_tells_which_case(desk: Desk) -> None:
    filed = decided(desk, subject=CANARY, sender_name="J Farrier")
    (line,) = exported(desk)
    assert line["labels"] == {
        "decision": "referral",
        "threshold": Threshold.MEETS,
        "category": "physical",
        "criteria": [1],
    }
    assert (line["suggestion"]["version"], line["suggestion"]["flags"]) == (SUGGESTION.version, ["injury"])
    assert line["features"] == {
        "words": 20,
        "has_subject": True,
        "read": "new_words",
        "measures": {"letters": float(len(BODY))},
    }
    shown = desk.show(filed)
    printed = json.dumps(line).lower()
    for told in (
        CANARY,
        "kestrel",
        "farrier",
        "school.example",
        "grabbed",
        "2026",
        shown["case"].lower(),
        shown["id"].lower(),
    ):
        assert told not in printed
    assert set(line) == {"id", "labels", "suggestion", "features"}
    assert exported(desk)[0]["id"] != line["id"]


def test_what_a_decision_says_of_the_threshold(desk: Desk) -> None:
    for kind in DecisionKind:
        decided(desk, kind)
    found = {line["labels"]["decision"]: line["labels"]["threshold"] for line in exported(desk)}
    assert found == {
        "referral": "meets_harm_threshold",
        "consultation": "below_harm_threshold",
        "no_further_action": "below_harm_threshold",
        "transferred": None,
    }


def test_every_decided_case_is_in_it_once_and_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "BATCH", 2)
    desk.opened()
    for _ in range(4):
        decided(desk)
    filed = decided(desk)
    with desk.database.write() as session:
        session.get_one(Case, filed.case_id).restricted = True
    assert len(exported(desk)) == 4


def test_a_text_leaves_only_when_it_was_redacted_and_the_setting_allows_it(desk: Desk) -> None:
    filed = decided(desk)
    decided(desk)
    assert all("text" not in line for line in exported(desk, with_texts=True))
    assert isinstance(keep(desk, filed, CAREFUL.replace("[adult]", "someone")), Done)
    assert isinstance(keep(desk, filed, CAREFUL), Done)
    assert all("text" not in line for line in exported(desk))
    (text,) = [line["text"] for line in exported(desk, with_texts=True) if "text" in line]
    assert text == {"subject": "Advice", "body": "On Friday our coach [adult] shouted at a boy."}


def test_what_still_tells_who_is_meant_is_refused_by_kinds_and_nothing_is_kept(desk: Desk) -> None:
    filed = decided(desk)
    seen: list[tuple[str, str, Sequence[str]]] = []

    def left(*given: Any) -> Sequence[str]:
        seen.append(given)
        return ("a name of a person or a place", "an email address")

    refused = keep(desk, filed, CAREFUL, left)
    assert isinstance(refused, Refused)
    assert "a name of a person or a place, an email address" in refused.said
    ((redacted, original, known_of),) = seen
    assert (redacted, CANARY.capitalize() in original) == (CAREFUL, True)
    assert {"J Farrier", "dsl@school.example"} <= set(known_of)
    assert "lado@elmshire.example" not in known_of
    assert desk.count(NoteRow) == 0
    for words in (" \n", "a" * (retraining.MAX_CHARACTERS + 1)):
        assert isinstance(keep(desk, filed, words), Refused)


def test_all_of_it_is_on_the_record_in_plain_words(desk: Desk) -> None:
    filed = decided(desk)
    with desk.database.write() as session:
        case = session.get_one(Case, filed.case_id)
        words = retraining.to_redact(session, desk.practice, case, by=NOA, now=FRIDAY_1640)
    assert words == f"Subject: Advice\n\n{BODY}\n"
    keep(desk, filed, CAREFUL)
    exported(desk, with_texts=True)
    with desk.database.read() as session:
        case = session.get_one(Case, filed.case_id)
        said = history(session, case, desk.practice.calendar.zone)
    assert [sentence.partition(": ")[2] for sentence in said[-3:]] == [
        "Noa read the case (redact).",
        "Noa kept a redacted text of the case for training.",
        "Noa exported the case's labels for training, with its redacted text.",
    ]


def test_the_redacted_text_is_sealed_proven_and_gone_with_the_case(desk: Desk) -> None:
    filed = decided(desk, DecisionKind.CONSULTATION)
    keep(desk, filed, CAREFUL)
    with desk.database.read() as session:
        assert [row for row in session.exec(select(NoteRow)) if b"coach" in row.content] == []
        (entry,) = session.exec(select(AuditEntry).where(col(AuditEntry.act) == "redacted"))
        assert "note_sha256" in entry.detail
        case = session.get_one(Case, filed.case_id)
        (note,) = views.show_json(session, desk.practice, case)["notes"]
        assert note["text"] == CAREFUL
    with desk.database.write() as session:
        (row,) = session.exec(select(NoteRow))
        sealed, row.content = row.content, b"another"
        session.add(row)
    assert any("is not what went on the record" in fault for fault in _faults(desk))
    with desk.database.write() as session:
        (row,) = session.exec(select(NoteRow))
        row.content = sealed
        session.add(row)
    with desk.database.write() as session:
        retention.destroy(session, desk.practice, _case(session, filed), retention.Why.EARLY, by=AMINA, now=FRIDAY_1640)
    shredding.finish(desk.database, desk.practice.vault.keys, now=FRIDAY_1640)
    assert _faults(desk) == []
    assert exported(desk, with_texts=True) == []
    assert isinstance(keep(desk, filed, CAREFUL), Refused)


def test_a_case_purged_while_it_is_read_does_not_leave(desk: Desk) -> None:
    filed = decided(desk, DecisionKind.CONSULTATION)
    with desk.database.read() as session:
        found, _ = retraining.examples(session, desk.practice, measure)
    with desk.database.write() as session:
        retention.destroy(session, desk.practice, _case(session, filed), retention.Why.EARLY, by=AMINA, now=FRIDAY_1640)
    with desk.database.write() as session:
        assert retraining.record_export(session, found, by=NOA, now=FRIDAY_1640) == []


def _case(session: Session, filed: Filed) -> Case:
    return session.get_one(Case, filed.case_id)


def _faults(desk: Desk) -> list[str]:
    with desk.database.read() as session:
        return list(verify.faults(session, desk.practice.vault))
