"""The figures of a simulated year on both databases: they reconcile, come out the same again, and are in the documents."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from docx import Document
from openpyxl import load_workbook
from sqlmodel import select

from conftest import PostgresCluster
from contract.test_tracker import BLIND
from intake_bot import dataset_job
from intake_bot.casework import imported
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import Practice
from intake_bot.house import House
from intake_bot.reports import documents, export, figures, tracker, tracker_file, tracker_mapping
from intake_bot.reports.figures import Report
from intake_bot.reports.parquet import NotInstalled
from intake_bot.reports.periods import Kind, Period
from intake_bot.reports.tables import HIDDEN
from intake_bot.settings import Settings
from intake_bot.simulation import NotEmpty, simulate
from storage.engine import Database
from storage.tables import SIMULATED, Case, Meta, Outgoing
from storage.verify import faults

GOLDEN = Path(__file__).with_name("golden") / "annual-2025.json"
"""Made anew with GOLDEN=1 in the environment; look at what changed before it is committed."""
CONTACTS = 60
YEAR = Period(date(2025, 4, 1), date(2026, 4, 1))
NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.fixture
def house(database: Database, practice: Practice, tmp_path: Path) -> House:
    return House(Settings(), tmp_path, database, practice)


def report(house: House, kind: Kind = Kind.ANNUAL, *, compare: int = 1, publish: bool = False) -> Report:
    with house.database.read() as session:
        return figures.make(
            session,
            house.practice,
            kind,
            YEAR,
            now=NOW,
            compare=compare,
            publish=publish,
            authority="Elmshire",
            service="The LADO's service",
        )


def test_a_simulated_year_reconciles_is_the_same_again_and_sends_nothing(house: House, tmp_path: Path) -> None:
    done = simulate(house, year=2025, contacts=CONTACTS, seed=7)
    assert (done.contacts, done.since, done.until) == (CONTACTS, YEAR.since, YEAR.until)
    with house.database.read() as session:
        assert session.get(Meta, SIMULATED) is not None
    with pytest.raises(NotEmpty):
        simulate(house, year=2025, contacts=1)
    made = report(house)
    assert made.faults == ()
    for name in ("contacts_by_month", "contacts_by_quarter", "decisions", "sectors", "sources", "categories"):
        total = made.table(name).total
        assert total is not None
        # Nothing is recorded of the year before: it is left out, and not shown as a year in which nothing happened.
        assert total.values == (CONTACTS,)
    referrals = made.table("decisions").rows[0].values[0]
    for name in ("outcomes", "concluded_referrals"):
        total = made.table(name).total
        assert total is not None
        assert total.values[0] == referrals
    with house.database.read() as session:
        assert set(session.exec(select(Outgoing.state)).all()) == {"done"}
        assert list(faults(session, house.practice.vault)) == []

    as_json = json.dumps(made.to_json(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(as_json, encoding="utf-8")
    assert as_json == GOLDEN.read_text(encoding="utf-8")

    paths = {path.suffix: path for path in documents.write(made, tmp_path / "out", house.settings.office.zone)}
    assert {path.stat().st_mode & 0o777 for path in paths.values()} == {0o600}
    page = paths[".html"].read_text(encoding="utf-8")
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    book = load_workbook(io.BytesIO(paths[".xlsx"].read_bytes()))
    assert book.sheetnames == ["About", *(table.id for table in made.tables)]
    draft = Document(io.BytesIO(paths[".docx"].read_bytes()))
    assert len(draft.tables) == len(made.tables)
    with zipfile.ZipFile(paths[".docx"]) as packed:
        assert b"Bar chart: Contacts by month" in packed.read("word/document.xml")
    for table in made.tables:
        assert table.title in page
        assert table.title in "\n".join(line.text for line in draft.paragraphs)

    shown = report(house, publish=True)
    assert shown.is_published
    assert {table.id for table in report(house, Kind.MONTHLY).tables} < {table.id for table in made.tables}


def test_what_is_published_gives_no_small_number_away_by_another_table(house: House) -> None:
    simulate(house, year=2025, contacts=45, seed=11)
    with house.database.write() as session:
        case = session.exec(select(Case).limit(1)).one()
        case.sector, case.themes = "The Oakfield tutor", ["oakfield"]
        session.add(case)
    whole, shown = report(house), report(house, publish=True)
    names = {table.id for table in shown.tables}
    assert not names & {
        "contacts_by_quarter",
        "source_by_sector",
        "sub_sectors",
        "seldom",
        "concluded_all",
        "concluded_share",
    }
    assert "akfield" in str(whole.to_json())
    assert "akfield" not in str(shown.to_json())
    months = [
        {row.label for row in table.rows if any(value is HIDDEN for value in row.values)}
        for table in shown.tables
        if table.id in {"contacts_by_month", "decision_in_time"}
    ]
    assert months[0] <= months[1]
    for table in shown.tables:
        for row in table.rows:
            counts = [row.values[column] for column in table.counts]
            assert not {1, 2, 3, 4} & {count for count in counts if isinstance(count, int)}, (table.id, row)
    assert documents.headlines(shown)


def test_a_record_without_anything_makes_a_report_all_the_same(house: House, tmp_path: Path) -> None:
    made = report(house)
    assert made.faults == ()
    assert documents.headlines(made)[0] == "0 contacts were received."
    assert len(documents.write(made, tmp_path / "out", house.settings.office.zone)) == 4


def test_the_exported_tracker_is_read_back_to_the_same_figures(
    house: House, tmp_path: Path, migrated: Callable[[PostgresCluster | None], str]
) -> None:
    simulate(house, year=2025, contacts=40, seed=3)
    calendar = house.practice.calendar
    with house.database.read() as session:
        (path,) = export.write({"t.xlsx": export.tracker(session, YEAR, calendar)}, tmp_path / "out")
        files = export.dataset(session, YEAR, calendar)
    assert path.stat().st_mode & 0o777 == 0o600
    sheet = tracker_file.read(path)
    guessed = tracker_mapping.guess(sheet)
    assert list(tracker_mapping.unmapped(guessed)) == []
    copy = tmp_path / "copy.db"
    shutil.copyfile(migrated(None).removeprefix("sqlite:///"), copy)
    other = House(house.settings, tmp_path, Database(f"sqlite:///{copy}"), house.practice)
    with other.database.write() as session:
        for past in tracker.rows(sheet, guessed, calendar, NOW, BLIND):
            assert isinstance(past, imported.Past)
            imported.keep(session, house.practice, past, by=Actor("terminal", "Mara"), source="t", now=NOW)
    ours, theirs = report(house), report(other)
    for name in (
        *(
            "contacts_by_month",
            "decisions",
            "threshold",
            "sectors",
            "sources",
            "source_by_sector",
            "categories",
            "criteria",
        ),
        *("decision_in_time", "outcomes", "employer_actions", "themes"),
    ):
        assert ours.table(name) == theirs.table(name), name
    other.close()

    contacts = list(csv.DictReader(io.StringIO(files["contacts.csv"].decode("utf-8-sig"))))
    assert len(contacts) == 40
    dictionary = list(csv.DictReader(io.StringIO(files["dictionary.csv"].decode("utf-8-sig"))))
    assert [row["column"] for row in dictionary if row["file"] == "contacts.csv"] == list(contacts[0])
    # Nothing of what anybody wrote, and no organisation.
    assert b"fictional" not in b"".join(files.values())
    assert b"setting-" not in b"".join(files.values())

    with pytest.raises(ValueError, match="publication"):
        export.benchmark(ours)
    shared = json.loads(export.benchmark(report(house, publish=True, compare=0)))
    assert (shared["benchmark"], shared["published"]) == (1, True)


def test_the_dataset_as_parquet_is_the_same_with_types(house: House) -> None:
    reader = pytest.importorskip("pyarrow.parquet", reason="pyarrow, an extra package, is not installed")
    simulate(house, year=2025, contacts=12, seed=3)
    calendar = house.practice.calendar
    with house.database.read() as session:
        files, plain = export.parquet(session, YEAR, calendar), export.dataset(session, YEAR, calendar)
    for name in ("contacts", "clocks", "dictionary"):
        kept = reader.read_table(io.BytesIO(files[f"{name}.parquet"]))
        rows = list(csv.DictReader(io.StringIO(plain[f"{name}.csv"].decode("utf-8-sig"))))
        assert kept.column_names == list(rows[0])
        assert kept.num_rows == len(rows)
    contacts = reader.read_table(io.BytesIO(files["contacts.parquet"]))
    assert str(contacts.schema.field("received_at").type) == "timestamp[us, tz=UTC]"
    assert str(contacts.schema.field("employer_knew_at").type) == "timestamp[us, tz=UTC]"
    assert str(contacts.schema.field("has_police").type) == "int64"
    assert str(contacts.schema.field("decision").type) == "string"
    assert [str(one) for one in contacts["case_key"].to_pylist()] == [
        row["case_key"] for row in csv.DictReader(io.StringIO(plain["contacts.csv"].decode("utf-8-sig")))
    ]


def test_without_the_package_one_is_told_how_to_get_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with house.database.read() as session, pytest.raises(NotInstalled, match=r"intake-bot\[parquet\]"):
        export.parquet(session, YEAR, house.practice.calendar)


def test_a_month_s_dataset_is_written_once_when_it_is_over(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    assert dataset_job.write_due(house, now=NOW) is None
    named = House(
        Settings.model_validate({"reports": {"folder": str(folder)}}), tmp_path, house.database, house.practice
    )
    assert dataset_job.write_due(named, now=NOW) == folder / "dataset-2026-04"
    assert sorted(path.name for path in folder.rglob("*.csv")) == ["clocks.csv", "contacts.csv", "dictionary.csv"]
    assert dataset_job.write_due(named, now=NOW) is None
    assert [path.name for path in folder.iterdir()] == ["dataset-2026-04"]


def test_a_label_that_somebody_typed_is_no_formula() -> None:
    assert documents.inert(("=1+1", "@x", 3, None, "Sport")) == ["'=1+1", "'@x", 3, None, "Sport"]
