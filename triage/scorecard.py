"""A report of scores as Markdown: the measures beside the baselines, the confusions, the reliability, the abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BAR = 20
"""Characters of a full bar of the reliability diagram."""


def markdown(report: Mapping[str, Any]) -> str:
    """What :func:`triage.evaluate.report` gives, for people. Figures are shares of one, unless they are counts."""
    columns = {"suggestion": report["scores"]}
    columns |= {
        name.removeprefix("baseline_"): scores for name, scores in report.items() if name.startswith("baseline_")
    }
    if report["second_reader"]:
        columns["second reader"] = report["second_reader"]
    return "\n\n".join(
        [
            f"{report['examples']} texts, `{report['version']}`.",
            _table(
                ["measure", *columns],
                [[name, *(_figure(scores[name]) for scores in columns.values())] for name in report["scores"]],
            ),
            "Thresholds (rows: as labelled, columns: as suggested):",
            _confusion(report["thresholds"]),
            "Categories (likewise):",
            _confusion(report["categories"]),
            "How sure of the threshold, and how often right:",
            _reliability(report["reliability"]),
            "When only the surer suggestions are given:",
            _table(
                ["answered", "right"],
                [[_figure(one["answered"]), _figure(one["right"])] for one in report["abstention"]],
            ),
        ]
    )


def _confusion(counts: Mapping[str, int]) -> str:
    pairs = {tuple(key.split(" as ")): count for key, count in counts.items()}
    rows, columns = sorted({one for one, _ in pairs}), sorted({other for _, other in pairs})
    return _table(["", *columns], [[row, *(str(pairs.get((row, column), "")) for column in columns)] for row in rows])


def _reliability(tenths: Sequence[Mapping[str, float]]) -> str:
    return _table(
        ["texts", "sure", "right", "diagram"],
        [
            [
                str(one["texts"]),
                _figure(one["confidence"]),
                _figure(one["right"]),
                f"`{'#' * round(one['right'] * _BAR):<{_BAR}}|`",
            ]
            for one in tenths
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
