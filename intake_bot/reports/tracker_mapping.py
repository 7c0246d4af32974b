"""What a tracker's columns and values mean: guessed from them, and kept as a TOML file that the manager corrects."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intake_bot.reports.tracker_file import NotATracker, Sheet
from intake_bot.reports.tracker_words import FIELDS, VALUES, meant


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which column is what, and what a column's values mean: code by the value's words in lower case."""

    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def guess(sheet: Sheet) -> Meaning:
    """A mapping as far as the heads and the values tell; what they do not is left out."""
    columns: dict[str, str] = {}
    for name, form in FIELDS.items():
        taken = set(columns.values())
        found = next((head for head in sheet.heads if head not in taken and re.search(form, head, re.IGNORECASE)), None)
        if found is not None:
            columns[name] = found
    values = {
        name: {
            value.lower(): meant(value, meanings)
            for value, _ in sorted(sheet.values(columns[name]).items())[:_MOST_VALUES]
        }
        for name, (_, meanings) in VALUES.items()
        if name in columns
    }
    return Meaning(columns, values)


_MOST_VALUES = 100
"""Different values of a column beyond which it is no list of codes."""


def mapping_toml(mapping: Meaning, sheet: Sheet) -> str:
    """The mapping as a TOML file to look through and correct."""
    lines = [
        "# What intake-bot makes of this tracker. Correct it, then: intake-bot import FILE --map THIS",
        "# Left is what intake-bot calls it, right the head of the tracker's column. Needed: received. Columns that are not",
        "# named here are not read: "
        + (", ".join(h for h in sheet.heads if h not in mapping.columns.values()) or "none"),
        "",
        "[columns]",
        *(f"{name} = {_quoted(head)}" for name, head in mapping.columns.items()),
        *(f"# {name} = " for name in FIELDS if name not in mapping.columns),
    ]
    for name, (kind, _) in VALUES.items():
        if name in mapping.columns:
            codes = ", ".join(str(one.value) for one in kind)
            lines += ["", f"[values.{name}]", f'# one of: {codes}; or "" for nothing']
            lines += [f"{_quoted(value)} = {_quoted(code)}" for value, code in mapping.values.get(name, {}).items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in escaped) + '"'


def mapping_from(path: Path, sheet: Sheet) -> Meaning:
    """A mapping from its file. Raises OSError, or NotATracker, saying what is wrong with it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise NotATracker(f"the mapping is no TOML: {fault}") from None
    columns, values = data.get("columns", {}), data.get("values", {})
    if not isinstance(columns, dict) or not isinstance(values, dict) or data.keys() - {"columns", "values"}:
        raise NotATracker("a mapping has [columns] and [values.NAME], and nothing else")
    for name, head in columns.items():
        if name not in FIELDS:
            raise NotATracker(f"[columns] {name}: there is no such thing; there are {', '.join(FIELDS)}")
        if head not in sheet.heads:
            raise NotATracker(f"[columns] {name}: the tracker has no column {head!r}")
    if "received" not in columns:
        raise NotATracker("[columns] must name the column of received, the day on which it came")
    for name, meanings in values.items():
        if name not in VALUES or not isinstance(meanings, dict):
            raise NotATracker(f"[values.{name}]: there is no such thing; there are {', '.join(VALUES)}")
        codes = {"", *(str(one.value) for one in VALUES[name][0])}
        for value, code in meanings.items():
            if code not in codes:
                raise NotATracker(f"[values.{name}] {value!r}: {code!r} is none of {', '.join(sorted(codes - {''}))}")
    lowered = {name: {value.lower(): code for value, code in meanings.items()} for name, meanings in values.items()}
    return Meaning(columns, lowered)


def unmapped(mapping: Meaning) -> Iterable[tuple[str, str]]:
    """Values of which the guess makes nothing, by field."""
    return ((name, value) for name, known in mapping.values.items() for value, code in known.items() if not code)
