"""The record's codes and times for other programs: CSV with a dictionary of its columns, the tracker as people know it, and
a benchmark file. No content, no names, no organisation: what a school is called may tell who is meant.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from intake_bot.casework.calendar import MIDNIGHT, WorkingCalendar
from intake_bot.casework.practice import TRIAGE
from intake_bot.casework.vocabulary import DeadlineState, DecisionKind
from intake_bot.reports import records
from intake_bot.reports.documents import inert
from intake_bot.reports.figures import Report
from intake_bot.reports.periods import Period
from intake_bot.reports.records import Record
from triage.vocabulary import Category

BENCHMARK = 1
"""The version of the benchmark file's form."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    what: str
    of: Callable[[Record], Any]


CONTACTS = (
    Column("case_key", "Stays the same for a case in every export", lambda one: one.case_id),
    Column("reference", "The case's reference", lambda one: one.reference),
    Column("status", "new, claimed, decided, in_progress, paused or concluded", lambda one: one.status),
    Column("channel", "email, slack, phone or tracker", lambda one: one.channel),
    Column("received_at", "When it was received, RFC 3339 UTC", lambda one: one.received_at),
    Column("sector", "Where the adult works; empty where it is not known", lambda one: one.sector),
    Column("sub_sector", "And within it", lambda one: one.sub_sector),
    Column("source", "Who brought it: a code", lambda one: one.source),
    Column("category", "The main category: a code", lambda one: one.category),
    Column(
        "decision", "referral, consultation, transferred, no_further_action; empty: none yet", lambda one: one.decision
    ),
    Column("criteria", "Numbers of the criteria that it met, with spaces between", lambda one: one.criteria),
    Column("decided_at", "When it was first decided", lambda one: one.decided_at),
    Column("outcome", "Of a referral: a code", lambda one: one.outcome),
    Column("employer_action", "What the employer did: a code", lambda one: one.employer_action),
    Column("concluded_at", "When it was concluded", lambda one: one.concluded_at),
    Column(
        "employer_knew_at",
        "When the employer first knew; noon where only the day is known",
        lambda one: one.employer_knew_at,
    ),
    Column("has_police", "1: the police or a court take part, or did", lambda one: int(one.has_police)),
    Column(
        "paused_days",
        "Days that its clocks stood still, up to its conclusion; empty while it is not concluded",
        lambda one: round(one.paused(one.concluded_at).total_seconds() / 86400, 2) if one.concluded_at else None,
    ),
    Column("themes", "Officers' tags, with commas between", lambda one: ",".join(one.themes)),
    Column("suggested_threshold", "What triage suggested first: a code", lambda one: one.suggested),
    Column("suggested_category", "The same", lambda one: one.suggested_category),
)
_CLOCKS = (
    ("case_key", "The case, as in contacts.csv"),
    ("target", "The clock's name"),
    ("due_at", "When it is due"),
    ("state", "running, met, missed, cancelled or paused"),
    ("met_at", "When it was met, in time or late"),
)


def dataset(session: Session, period: Period, calendar: WorkingCalendar) -> dict[str, bytes]:
    """contacts.csv, clocks.csv and dictionary.csv of the consultations received in a period."""
    found = _received(session, period, calendar)
    return {
        "contacts.csv": _csv(
            [column.name for column in CONTACTS], ([column.of(one) for column in CONTACTS] for one in found)
        ),
        "clocks.csv": _csv(
            [name for name, _ in _CLOCKS],
            (
                [one.case_id, target, kept.due_at, kept.state, kept.met_at]
                for one in found
                for target, kept in sorted(one.clocks.items())
            ),
        ),
        "dictionary.csv": _csv(
            ["file", "column", "what"],
            [
                *(["contacts.csv", column.name, column.what] for column in CONTACTS),
                *(["clocks.csv", name, what] for name, what in _CLOCKS),
            ],
        ),
    }


def parquet(session: Session, period: Period, calendar: WorkingCalendar) -> dict[str, bytes]:
    """The same as Parquet, the dictionary too. Raises :class:`.parquet.NotInstalled`."""
    from intake_bot.reports.parquet import table

    found = _received(session, period, calendar)
    clocks = [(one.case_id, target, kept) for one in found for target, kept in sorted(one.clocks.items())]
    words = [
        *(("contacts", column.name, column.what) for column in CONTACTS),
        *(("clocks", name, what) for name, what in _CLOCKS),
    ]
    return {
        "contacts.parquet": table({column.name: [_typed(column.of(one)) for one in found] for column in CONTACTS}),
        "clocks.parquet": table(
            {
                "case_key": [case_id for case_id, _, _ in clocks],
                "target": [target for _, target, _ in clocks],
                "due_at": [kept.due_at for _, _, kept in clocks],
                "state": [kept.state for _, _, kept in clocks],
                "met_at": [kept.met_at for _, _, kept in clocks],
            }
        ),
        "dictionary.parquet": table(dict(zip(("file", "column", "what"), zip(*words, strict=True), strict=True))),
    }


TRACKER_HEADS = (
    "Ref No",
    "Date received",
    "Employment sector",
    "Sub-sector",
    "Contact from",
    "Category",
    "Decision",
    "Criteria",
    "Date of decision",
    "Within 24 hours",
    "Police",
    "Outcome",
    "Employer action",
    "Date closed",
    "Employer first knew",
    "Themes",
)
"""Heads that the import's guess knows again."""


def tracker(session: Session, period: Period, calendar: WorkingCalendar) -> bytes:
    """The consultations of a period as a workbook of one line each, as trackers are kept by hand."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    sheet.title = "Tracker"
    sheet.append(TRACKER_HEADS)
    for one in _received(session, period, calendar):
        triage = one.clocks.get(TRIAGE)
        in_time = (
            {DeadlineState.MET: "Yes", DeadlineState.MISSED: "No"}.get(DeadlineState(triage.state)) if triage else None
        )
        sheet.append(
            inert(
                (
                    one.reference,
                    _local(one.received_at, calendar),
                    one.sector,
                    one.sub_sector,
                    _said(one.source),
                    Category(one.category).label if one.category else None,
                    DecisionKind(one.decision).label.partition(":")[0] if one.decision else None,
                    ", ".join(map(str, one.criteria)),
                    _local(one.decided_at, calendar),
                    in_time,
                    "Yes" if one.has_police else "No",
                    _said(one.outcome),
                    _said(one.employer_action),
                    _local(one.concluded_at, calendar),
                    _local(one.employer_knew_at, calendar),
                    ", ".join(one.themes),
                )
            )
        )
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for at in range(1, len(TRACKER_HEADS) + 1):
        sheet.column_dimensions[get_column_letter(at)].width = 20
    sheet.freeze_panes, sheet.auto_filter.ref = "B2", sheet.dimensions
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def benchmark(report: Report) -> bytes:
    """A year's figures for other authorities, small numbers hidden. Raises ValueError for a report with them in it."""
    if not report.is_published:
        raise ValueError("a benchmark is made of a report for publication")
    return json.dumps({"benchmark": BENCHMARK} | report.to_json(), indent=1, ensure_ascii=False).encode()


def write(files: dict[str, bytes], folder: Path) -> list[Path]:
    """The files, readable by their owner alone; their paths. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = []
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        paths.append(path)
    return paths


def _received(session: Session, period: Period, calendar: WorkingCalendar) -> list[Record]:
    since, until = (calendar.instant_at(day, MIDNIGHT) for day in (period.since, period.until))
    return records.received(session, since, until)


def _csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows(inert([_plain(cell) for cell in row]) for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _typed(cell: Any) -> Any:
    return " ".join(map(str, cell)) if isinstance(cell, tuple) else cell


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    return " ".join(map(str, cell)) if isinstance(cell, tuple) else cell


def _local(moment: datetime | None, calendar: WorkingCalendar) -> datetime | None:
    """A time as the office's clocks show it, to the second, for a workbook, which knows no zones."""
    return calendar.local(moment).replace(tzinfo=None, microsecond=0) if moment else None


def _said(code: str | None) -> str | None:
    return code.replace("_", " ").capitalize() if code else None
