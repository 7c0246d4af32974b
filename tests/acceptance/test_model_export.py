"""The export for training through the real commands: off by default, and no name leaves although an officer overlooks it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from acceptance.harness import House
from contract.test_casework import SUGGESTION, Desk, referral
from intake_bot.casework.vocabulary import DecisionKind

BODY = "On Friday our coach Mr Kestrel Ambleforth shouted at Amina, who is 9.\n\nJane Farrier, 01632 960123"


def decided_case(house: House) -> str:
    with house.inside() as (opened, _):
        desk = Desk(opened.database, opened.practice)
        filed = desk.file(desk.incoming(body_text=BODY, full_text=BODY, sender_name="Jane Farrier"), SUGGESTION)
        desk.perform(replace(referral(filed.case_id), decision=DecisionKind.CONSULTATION))
    assert filed.reference is not None
    return filed.reference


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "examples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_by_default_labels_leave_and_no_text_is_even_written_out(tmp_path: Path) -> None:
    house = House(tmp_path)
    case = decided_case(house)
    out = tmp_path / "out"
    house.run_here("model", "redact", case, "--out", str(tmp_path / "text.txt"), expect=1)
    assert not (tmp_path / "text.txt").exists()
    house.run_here("model", "export", "--out", str(out), "--by", "Noa")
    (line,) = lines(out)
    assert line["labels"]["threshold"] == "below_harm_threshold"  # type: ignore[index]
    assert line["features"]["measures"]  # type: ignore[index]
    assert (out / "examples.jsonl").stat().st_mode & 0o777 == 0o600
    for told in (case, "Kestrel", "Amina", "Farrier", "shouted", "school.example"):
        assert told.lower() not in json.dumps(line).lower()
    house.run_here("model", "export", "--out", str(out), expect=1)


def test_an_officer_redacts_and_what_is_overlooked_is_refused_without_being_said(tmp_path: Path) -> None:
    house = House(tmp_path, triage_export_texts="true")
    case = decided_case(house)
    text = tmp_path / "text.txt"
    house.run_here("model", "redact", case, "--out", str(text))
    words = text.read_text(encoding="utf-8")
    assert BODY in words
    text.write_text(words.replace("Mr Kestrel Ambleforth", "[adult]").replace(", 01632 960123", ""), encoding="utf-8")
    house.run_here("model", "redacted", case, "--file", str(text), "--by", "Noa", expect=1)
    assert "a name of a person or a place" in house.last_error
    assert "Amina" not in house.last_error
    words = text.read_text(encoding="utf-8").replace("Amina", "[child]").replace("Jane Farrier", "The head")
    text.write_text(words, encoding="utf-8")
    house.run_here("model", "redacted", case, "--file", str(text), "--by", "Noa")
    house.run_here("model", "export", "--out", str(tmp_path / "out"))
    (line,) = lines(tmp_path / "out")
    assert line["text"]["body"].startswith("On Friday our coach [adult] shouted at [child], who is 9.")  # type: ignore[index]
    house.run_here("verify")
