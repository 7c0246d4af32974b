"""A report as documents: HTML that needs nothing else, a Word draft, a workbook with a sheet for each table, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from intake_bot.casework.letters import say_time
from intake_bot.reports.figures import Report
from intake_bot.reports.periods import Kind
from intake_bot.reports.tables import Cell, Hidden, Table

if TYPE_CHECKING:
    from intake_bot.reports.charts import Drawn

TITLES = {Kind.ANNUAL: "Annual report", Kind.QUARTERLY: "Quarterly report", Kind.MONTHLY: "Monthly measures"}
NOT_SHOWN = "c"


def write(report: Report, folder: Path, zone: ZoneInfo) -> list[Path]:
    """Every document of a report, each under the report's name, readable by the owner alone; their paths.

    Raises OSError where the folder cannot be written.
    """
    from intake_bot.reports import charts  # a second, which only a report is worth

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    last = report.period.until - timedelta(days=1)
    name = f"lado-{report.kind}-{report.period.since}-to-{last}{'-published' if report.is_published else ''}"
    written = []
    drawn = {table.id: charts.draw(table) for table in report.tables if _is_drawn(table)}
    for suffix, content in (
        ("json", json.dumps(report.to_json(), indent=1, ensure_ascii=False).encode()),
        ("html", html(report, drawn, zone).encode()),
        ("docx", docx(report, drawn, zone)),
        ("xlsx", xlsx(report)),
    ):
        path = folder / f"{name}.{suffix}"
        path.touch(mode=0o600)
        path.write_bytes(content)
        written.append(path)
    return written


def html(report: Report, drawn: Mapping[str, Drawn], zone: ZoneInfo) -> str:
    """One page: headings, tables with captions and scopes, charts with their words, and nothing fetched from anywhere."""
    from intake_bot.reports import charts

    shown = [
        {
            "table": table,
            # matplotlib's own output, whose texts it has escaped.
            "chart": Markup(drawn[table.id].svg) if table.id in drawn else None,  # noqa: S704
            "chart_title": charts.title(table) if table.id in drawn else "",
            "chart_words": charts.in_words(table) if table.id in drawn else "",
        }
        for table in report.tables
    ]
    return page(
        "report.html",
        report=report,
        title=TITLES[report.kind],
        shown=shown,
        headlines=headlines(report),
        made=say_time(report.made_at, zone),
    )


def page(template: str, **facts: Any) -> str:
    """A page of our own that fetches nothing; whatever is put into it is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files("intake_bot") / "templates"
    style = Markup((folder / "report.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    made = environment.from_string((folder / template).read_text(encoding="utf-8"))
    return made.render(style=style, say=said, **facts)


def docx(report: Report, drawn: Mapping[str, Drawn], zone: ZoneInfo) -> bytes:
    """A draft that an officer finishes: every table and chart in its place, and prose to go on from."""
    import io

    from docx import Document
    from docx.enum.section import WD_ORIENT
    from docx.shared import Cm, Pt

    from intake_bot.reports import charts

    document = Document()
    document.core_properties.title = f"{TITLES[report.kind]}, {report.period.label}"
    document.core_properties.author = report.service
    document.styles["Normal"].font.name = "Arial"
    document.styles["Normal"].font.size = Pt(11)
    document.add_heading(f"{report.service}: {TITLES[report.kind].lower()}", 0)
    document.add_paragraph(f"{report.authority}\n{report.period.label}")
    document.add_paragraph(
        f"Draft made {say_time(report.made_at, zone)} from the record. What stands in [square brackets] is for you to write."
    )
    document.add_heading("Summary", 1)
    for line in headlines(report):
        document.add_paragraph(line, style="List Bullet")
    document.add_paragraph("[What stood out in this period, and why.]")
    for number, table in enumerate(report.tables, 1):
        wide = len(table.head) > _MOST_ACROSS
        if wide:
            _turn(document, WD_ORIENT.LANDSCAPE)
        document.add_heading(table.title, 1)
        document.add_paragraph(table.definition)
        document.add_paragraph(f"Table {number}. {table.title}", style="Caption")
        grid = document.add_table(rows=1, cols=len(table.head), style="Light Grid Accent 1")
        for cell, words in zip(grid.rows[0].cells, table.head, strict=True):
            cell.text = words
        for row in (*table.rows, *([table.total] if table.total else [])):
            cells = grid.add_row().cells
            cells[0].text = row.label
            for cell, value in zip(cells[1:], row.values, strict=True):
                cell.text = said(value)
                cell.paragraphs[0].alignment = 2
        for written in (line for cells in grid.rows for cell in cells.cells for line in cell.paragraphs):
            for run in written.runs:
                run.font.size = Pt(7 if wide else 9)
        if table.note:
            document.add_paragraph(table.note)
        if table.id in drawn:
            document.add_picture(io.BytesIO(drawn[table.id].png), width=Cm(16))
            document.paragraphs[-1].paragraph_format.space_before = Pt(8)
            picture = document.inline_shapes[-1]
            picture._inline.docPr.set("descr", charts.in_words(table))
            document.add_paragraph(f"Figure {number}. {charts.title(table)}", style="Caption")
        document.add_paragraph("[What this shows, and what you make of it.]").paragraph_format.space_before = Pt(6)
        if wide:
            _turn(document, WD_ORIENT.PORTRAIT)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


_MOST_ACROSS = 8
"""Columns that a page of the draft holds upright; a wider table has a page on its side."""


def _turn(document: Any, way: Any) -> None:
    from docx.enum.section import WD_SECTION

    section = document.add_section(WD_SECTION.NEW_PAGE)
    if section.orientation != way:
        section.orientation = way
        section.page_width, section.page_height = section.page_height, section.page_width


def xlsx(report: Report) -> bytes:
    """A workbook: a sheet of what it is, then one for each table, with a chart of the workbook program's own."""
    return workbook(
        [
            (f"{report.service}, {report.authority}: {TITLES[report.kind].lower()}",),
            (report.period.label,),
            (
                "Every total reconciles."
                if not report.faults
                else "These do not reconcile: " + "; ".join(report.faults),
            ),
            (),
            *((table.title, table.definition) for table in report.tables),
        ],
        report.tables,
    )


def workbook(about: Sequence[tuple[str, ...]], tables: Sequence[Table]) -> bytes:
    """A sheet with the lines ``about``, and one for each table."""
    import io

    from openpyxl import Workbook
    from openpyxl.chart import BarChart, Reference
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    first = book.active
    first.title = "About"
    for line in about:
        first.append(inert(line))
    first["A1"].font = Font(bold=True, size=14)
    first.column_dimensions["A"].width, first.column_dimensions["B"].width = 44, 110
    for table in tables:
        sheet = book.create_sheet(table.id[:31])
        sheet.append(inert((table.title,)))
        sheet.append(inert((table.definition,)))
        sheet.append(())
        sheet.append(inert(table.head))
        for row in (*table.rows, *([table.total] if table.total else [])):
            values = [NOT_SHOWN if isinstance(value, Hidden) else value for value in row.values]
            sheet.append(inert((row.label, *values)))
        if table.note:
            sheet.append(inert((table.note,)))
        sheet["A1"].font = Font(bold=True, size=13)
        for cell in sheet[4]:
            cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
        sheet.freeze_panes = "B5"
        sheet.column_dimensions["A"].width = 44
        for column in range(2, len(table.head) + 1):
            sheet.column_dimensions[get_column_letter(column)].width = 16
        if _is_drawn(table):
            chart = BarChart()
            chart.type, chart.style, chart.title = "bar" if len(table.rows) > 12 else "col", 1, table.title
            end = 4 + len(table.rows)
            for column in table.drawn:
                chart.add_data(Reference(sheet, min_col=column + 2, min_row=4, max_row=end), titles_from_data=True)
            chart.set_categories(Reference(sheet, min_col=1, min_row=5, max_row=end))
            chart.width, chart.height = 24, 12
            sheet.add_chart(chart, f"{get_column_letter(len(table.head) + 2)}4")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def headlines(report: Report) -> list[str]:
    """The report in a few sentences, with the numbers filled in."""
    by_name = {table.id: table for table in report.tables}
    lines = [f"{_total(by_name, 'contacts_by_month', 0)} contacts were received{_before(report, by_name)}."]
    decisions = {row.label: row.values[0] for row in by_name["decisions"].rows}
    if "threshold" in by_name:
        decided, met, portion = by_name["threshold"].rows[0].values
        lines.append(
            f"Of {said(decided)} that were decided, {said(met)} met the harm threshold ({said(portion)} %); "
            f"{said(decisions.get('Not decided yet', 0))} are not decided yet."
        )
    for name, words in (
        ("decision_in_time", "decisions were made within 24 hours"),
        ("advice_in_time", "consultations had advice within five working days"),
        ("meeting_in_time", "referrals had their first meeting within five working days"),
    ):
        total = by_name[name].total if name in by_name else None
        if total is not None and total.values[0]:
            due, in_time, portion = total.values
            lines.append(f"{said(in_time)} of {said(due)} {words} ({said(portion)} %).")
    for row in by_name["concluded_share"].rows if "concluded_share" in by_name else ():
        if row.values[0] and row.label.startswith("Referrals") and "pauses" not in row.label:
            lines.append(
                f"{row.label} concluded: {said(row.values[2])} %, where {said(row.values[3])} % are asked for."
            )
    lines.append(f"{_total(by_name, 'open', 4)} contacts are open at the end of the period.")
    return lines


def said(value: Cell | Hidden) -> str:
    """A cell in words: thousands apart, one decimal of a share."""
    if isinstance(value, Hidden):
        return NOT_SHOWN
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return value or "–"


def _before(report: Report, by_name: Mapping[str, Table]) -> str:
    if not report.compared:
        return ""
    return f", after {_total(by_name, 'contacts_by_month', 1)} in {report.compared[0].short}"


def _total(by_name: Mapping[str, Table], name: str, column: int) -> str:
    total = by_name[name].total
    return said(total.values[column]) if total is not None else "–"


def _is_drawn(table: Table) -> bool:
    return any(row.values[column] for row in table.rows for column in table.drawn)


def inert(cells: Sequence[Any]) -> list[Any]:
    """Cells in which no text is a formula: a label may come from what somebody typed."""
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell for cell in cells]
