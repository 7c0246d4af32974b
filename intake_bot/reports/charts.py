"""Charts of tables by matplotlib, in greys and hatches that survive a black-and-white printer.

The library takes a second to load, so nothing here is imported before a report is made.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from intake_bot.reports.tables import Hidden, Row, Table

_FILLS = (
    ("#1d3a5f", ""),
    ("#8fa3b8", "///"),
    ("#d9d9d9", "..."),
    ("#5f5f5f", "xx"),
    ("#f0f0f0", "\\\\"),
    ("#bbbbbb", "--"),
)
"""Of the columns in turn: told apart by their grey, and by their hatch where a printer makes one grey of two."""
_MOST_UPRIGHT = 12
"""Labels that can stand side by side; more, or longer ones, lie one under another."""
_WIDTH, _DOTS = 7.2, 150
"""Inches, and dots to the inch."""
_SETTINGS: Any = {
    "svg.hashsalt": "intake-bot",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart as an SVG element, the same bytes each time, and as a PNG for documents that show no SVG."""

    svg: str
    png: bytes


def draw(table: Table) -> Drawn:
    """The chart of a table that has one."""
    with mpl.rc_context(_SETTINGS):
        figure = _figure(table)
        png, svg = io.BytesIO(), io.BytesIO()
        # By the canvases themselves: savefig draws each figure once more, to no end here.
        agg: Any = FigureCanvasAgg(figure)
        agg.print_png(png, metadata={"Software": None})
        # Where everything stands is found: finding it takes half of the time.
        figure.set_layout_engine("none")
        vector: Any = FigureCanvasSVG(figure)
        vector.print_svg(svg, metadata={"Date": None, "Creator": None})
    text = svg.getvalue().decode()
    return Drawn(text[text.index("<svg") :], png.getvalue())


def in_words(table: Table) -> str:
    """The chart's alternative text: what it shows, and every number of it."""
    heads = [table.head[column + 1] for column in table.drawn]
    rows = "; ".join(f"{row.label}: {', '.join(_said(row, column) for column in table.drawn)}" for row in table.rows)
    return f"Bar chart: {table.title} ({', '.join(heads)}). {rows}."


def title(table: Table) -> str:
    """What the chart shows, in a sentence of its own."""
    biggest = max(table.rows, key=lambda row: _height(row, table.drawn[0]), default=None)
    if biggest is None or not _height(biggest, table.drawn[0]):
        return f"{table.title}: nothing to show"
    return f"{table.title}: most, {_said(biggest, table.drawn[0])}, in {biggest.label}"


def _figure(table: Table) -> Figure:
    upright = len(table.rows) <= _MOST_UPRIGHT and all(len(row.label) <= 12 for row in table.rows)
    height = 3.2 if upright else 0.9 + 0.26 * len(table.rows) * max(1, len(table.drawn) * 0.7)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DOTS, layout="constrained")
    axes = figure.subplots()
    thick = 0.8 / len(table.drawn)
    for at, column in enumerate(table.drawn):
        colour, hatch = _FILLS[at % len(_FILLS)]
        places = [row + (at - (len(table.drawn) - 1) / 2) * thick for row in range(len(table.rows))]
        sizes = [_height(row, column) for row in table.rows]
        draw = axes.bar if upright else axes.barh
        bars = draw(places, sizes, thick, color=colour, hatch=hatch, edgecolor="#222222", linewidth=0.6)
        bars.set_label(table.head[column + 1])
        if len(table.drawn) == 1:
            axes.bar_label(bars, [_said(row, column) for row in table.rows], padding=2, fontsize=8)
    _label(axes, table, upright=upright)
    return figure


def _label(axes: Any, table: Table, *, upright: bool) -> None:
    names = [row.label if upright else textwrap.shorten(row.label, 48, placeholder="…") for row in table.rows]
    if upright:
        axes.set_xticks(
            range(len(names)),
            names,
            fontsize=8,
            rotation=30 if len(names) > 6 else 0,
            ha="right" if len(names) > 6 else "center",
        )
        axes.set_ylim(bottom=0)
    else:
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
    axes.tick_params(labelsize=8)
    (axes.yaxis if upright else axes.xaxis).get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12 if upright else 0.02, x=0.02 if upright else 0.1)
    if len(table.drawn) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))


def _height(row: Row, column: int) -> float:
    value = row.values[column]
    return float(value) if isinstance(value, int | float) else 0.0


def _said(row: Row, column: int) -> str:
    value = row.values[column]
    if isinstance(value, Hidden):
        return "c"
    return "" if value is None else str(value)
