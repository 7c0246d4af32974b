"""When the employer first knew, on both databases: from an officer, the form and the tracker, to the report."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from contract.test_acts import done, refused
from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk
from contract.test_chasing import show
from contract.test_tracker import BLIND, NOW, write_csv
from intake_bot.casework import imported
from intake_bot.casework.acts import SetFacts
from intake_bot.casework.desk import Actor
from intake_bot.reports import figures, tracker, tracker_file, tracker_mapping
from intake_bot.reports.periods import Kind, Period
from intake_bot.reports.tracker import Refusal
from storage.tables import AuditEntry

__all__ = ["desk"]


def knew(desk: Desk, case_id: str) -> str | None:
    told: str | None = show(desk, case_id)["employer_knew_at"]
    return told


def test_an_officer_records_corrects_and_takes_it_back(desk: Desk) -> None:
    case_id = desk.opened().case_id or ""
    assert knew(desk, case_id) is None
    done(desk, SetFacts(case_id, AMINA, employer_knew="25/11/2026 09:10"))
    assert knew(desk, case_id) == "2026-11-25T09:10:00Z"
    assert not done(desk, SetFacts(case_id, AMINA, employer_knew="2026-11-25 09:10")).changed
    assert "2026-11-27" in refused(desk, SetFacts(case_id, AMINA, employer_knew="last week"))
    refused(desk, SetFacts(case_id, AMINA, employer_knew="2026-12-01"))
    done(desk, SetFacts(case_id, AMINA, employer_knew=""))
    assert knew(desk, case_id) is None
    with desk.database.read() as session:
        details = session.exec(select(AuditEntry.detail).where(col(AuditEntry.act) == "facts_set")).all()
    assert details[0] == {"employer_knew_at": {"from": None, "to": "2026-11-25T09:10:00+00:00"}}


@pytest.mark.parametrize(
    ("said", "kept"), [("26/11/2026", "2026-11-26T12:00:00Z"), ("on Thursday", None), ("28/11/2026", None), ("", None)]
)
def test_the_form_says_it(desk: Desk, said: str, kept: str | None) -> None:
    assert knew(desk, desk.opened(employer_knew=said).case_id or "") == kept


def test_the_report_tells_the_share_within_a_working_day(desk: Desk) -> None:
    for day in ("2026-11-27", "2026-11-26", "2026-11-25"):
        done(desk, SetFacts(desk.opened().case_id or "", AMINA, sector="Education", employer_knew=day))
    desk.opened()
    period = Period(date(2026, 4, 1), date(2027, 4, 1))
    with desk.database.read() as session:
        made = figures.make(session, desk.practice, Kind.ANNUAL, period, now=FRIDAY_1640 + timedelta(days=200))
    table = made.table("employer_to_officer")
    assert [(row.label, row.values) for row in table.rows] == [("Education", (3, 2, 66.7))]
    assert made.faults == ()


def test_the_tracker_tells_it_and_rows_that_cannot_be_so_are_refused(desk: Desk, tmp_path: Path) -> None:
    heads = ["Ref No", "Date of contact", "Date employer first aware", "Date of decision", "Date closed", "Outcome"]
    rows = [
        ["1", "02/04/2024", "01/04/2024", "03/04/2024", "03/04/2024", "Unfounded"],
        ["2", "02/04/2024", "", "05/04/2024", "04/04/2024", "Unfounded"],
        ["3", "02/04/2024", "", "01/04/2024", "04/04/2024", "Unfounded"],
        ["4", "02/04/2024", "", "03/04/2024", "01/04/2024", "Unfounded"],
        ["5", "02/04/2024", "01/04/2030", "", "", ""],
    ]
    sheet = tracker_file.read(write_csv(tmp_path / "t.csv", [heads, *rows]))
    guessed = tracker_mapping.guess(sheet)
    assert guessed.columns["employer_knew"] == "Date employer first aware"
    past, *refusals = tracker.rows(sheet, guessed, desk.practice.calendar, NOW, BLIND)
    assert [one.why for one in refusals if isinstance(one, Refusal)] == [
        "concluded: it lies before the day it was decided",
        "decided: it lies before the day it was received",
        "concluded: it lies before the day it was received",
        "employer_knew: it lies ahead",
    ]
    assert isinstance(past, imported.Past)
    with desk.database.write() as session:
        by = Actor("terminal", "Mara")
        case_id = imported.keep(session, desk.practice, past, by=by, source="x", now=NOW)
    assert knew(desk, case_id) == "2024-04-01T11:00:00Z"
