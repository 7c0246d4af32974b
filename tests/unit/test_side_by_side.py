"""Benchmark files side by side: what each tells and hides, and one clear line for a file that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from intake_bot.cli import app


def benchmark(authority: str, *tables: dict[str, Any], **facts: Any) -> dict[str, Any]:
    plain = {"benchmark": 1, "authority": authority, "from": "2025-04-01", "to": "2026-03-31", "published": True}
    return plain | {"tables": list(tables)} | facts


def table(name: str, columns: list[str], total: list[Any] | None = None, **rows: list[Any]) -> dict[str, Any]:
    return {
        "id": name,
        "title": name.capitalize(),
        "definition": "What is counted.",
        "columns": columns,
        "rows": [
            {"label": label, "values": values, "hidden": [at for at, value in enumerate(values) if value == "h"]}
            for label, values in rows.items()
        ],
        "total": {"label": "Total", "values": total, "hidden": []} if total else None,
    }


def run(folder: Path, *files: Any) -> Any:
    paths = []
    for number, one in enumerate(files):
        path = folder / f"{number}.json"
        path.write_text(one if isinstance(one, str) else json.dumps(one), encoding="utf-8")
        paths.append(str(path))
    return CliRunner().invoke(app, ["report", "benchmark", *paths, "--out", str(folder / "out")])


def test_each_has_its_columns_and_what_is_hidden_stays_so(tmp_path: Path) -> None:
    elm = benchmark(
        "Elmshire",
        table("sectors", ["2025/26"], [30], Education=[20], Sport=["h"]),
        table("advice", ["Due", "In time"], **{"April": [10, 9]}),
    )
    ash = benchmark("<Ash> & Co", table("sectors", ["2025-26"], [12], Faith=[7], Education=[5]))
    done = run(tmp_path, elm, ash)
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        f"lado-side-by-side.{kind}" for kind in ("html", "json", "xlsx")
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.iterdir())
    data = json.loads((out / "lado-side-by-side.json").read_text())
    sectors, advice = data["tables"]
    assert sectors["columns"] == ["Elmshire", "<Ash> & Co"]
    assert [(row["label"], row["values"], row["hidden"]) for row in sectors["rows"]] == [
        ("Education", [20, 5], []),
        ("Sport", [None, None], [0]),
        ("Faith", [None, 7], []),
    ]
    assert sectors["total"]["values"] == [30, 12]
    assert advice["columns"] == ["Elmshire: Due", "Elmshire: In time", "<Ash> & Co: Due", "<Ash> & Co: In time"]
    assert "Not told by <Ash> & Co." in advice["note"]
    html = (out / "lado-side-by-side.html").read_text()
    assert "&lt;Ash&gt; &amp; Co" in html
    assert "<Ash>" not in html
    assert load_workbook(out / "lado-side-by-side.xlsx")["sectors"]["B6"].value == "c"


def test_other_times_are_said_at_the_head(tmp_path: Path) -> None:
    one = table("sectors", ["x"], Education=[20])
    assert run(tmp_path, benchmark("Elm", one), benchmark("Elm", one, to="2027-03-31")).exit_code == 0
    columns = json.loads((tmp_path / "out" / "lado-side-by-side.json").read_text())["tables"][0]["columns"]
    assert columns == ["Elm, 2025-04-01 to 2026-03-31", "Elm, 2025-04-01 to 2027-03-31"]


GOOD = benchmark("Elm", table("sectors", ["x"], Education=[20]))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("no json", "is no benchmark file"),
        (GOOD, "is of the same authority and time as"),
        (GOOD | {"published": False}, "published"),
        (GOOD | {"benchmark": 2}, "benchmark"),
        (benchmark("Ash", table("a/b", ["x"], Education=[1])), "tables.0.id"),
        (benchmark("Ash", table("sectors", ["x"], Education=[1, 2])), "another number of values"),
        (benchmark("Ash", table("s", ["x"], A=[1]), table("s", ["x"], A=[1])), "same id"),
        ("[" * 10_000, "is no benchmark file"),
    ],
)
def test_a_bad_file_gives_one_clear_line_and_nothing_is_written(tmp_path: Path, bad: Any, why: str) -> None:
    done = run(tmp_path, GOOD, bad)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "1.json" in line
    assert why in line
    assert not (tmp_path / "out").exists()


def test_the_command_line_is_told_apart(tmp_path: Path) -> None:
    assert "from 2 to" in run(tmp_path, GOOD).stderr
    done = CliRunner().invoke(app, ["report", "annual", "x.json", "--data", str(tmp_path / "d")])
    assert (done.exit_code, "benchmark alone" in done.stderr) == (2, True)
