"""The old tracker, read: a spreadsheet or CSV, a mapping of its columns and values, and what of it does not fit, row by row.

A mapping is a TOML file that ``--guess`` proposes and the manager corrects. Nothing here touches the record.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import Any

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.imported import PREFIX, Past
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind, EmployerAction, Source
from triage.vocabulary import Category, Criterion

MOST_ROWS = 200_000
MOST_COLUMNS = 500
MOST_BYTES = 64 * 1024 * 1024
MOST_UNPACKED = 512 * 1024 * 1024
"""Bytes of a workbook once it is unpacked."""
_HEAD_WITHIN = 20
"""Rows above the head of the table: a title, a logo, a blank line."""


class NotATracker(Exception):
    """The file, or its mapping, cannot be used. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The table in a file: its heads, and its rows by their numbers in the file."""

    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Any, ...]], ...]
    digest: str
    """The file's SHA-256."""

    def values(self, head: str) -> Counter[str]:
        """The different values of a column, with how often each comes."""
        at = self.heads.index(head)
        return Counter(text for _, row in self.rows if (text := _text(row[at])))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not imported, by its number in the file, and why."""

    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which column is what, and what a column's values mean: code by the value's words in lower case."""

    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read(path: Path) -> Sheet:
    """The table of a .csv or .xlsx file. Raises OSError, or NotATracker for what is neither."""
    raw = path.read_bytes()
    if len(raw) > MOST_BYTES:
        raise NotATracker(f"it has more than {MOST_BYTES // 2**20} MiB")
    lines = _workbook(raw) if raw[:2] == b"PK" else _csv(raw)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if any(map(_text, line))]
    if len(numbered) > MOST_ROWS:
        raise NotATracker(f"it has more than {MOST_ROWS:,} rows")
    if not numbered:
        raise NotATracker("there is nothing in it")
    head = max(range(min(_HEAD_WITHIN, len(numbered))), key=lambda at: (_like_a_head(numbered[at][1]), -at))
    heads = tuple(_text(cell) or f"column {at + 1}" for at, cell in enumerate(numbered[head][1]))
    if len(set(heads)) < len(heads):
        twice = ", ".join(sorted(name for name, count in Counter(heads).items() if count > 1))
        raise NotATracker(f"these columns are there twice: {twice}")
    width = len(heads)
    rows = tuple(
        (number, (*line, *([None] * (width - len(line))))[:width])
        for number, line in numbered[head + 1 :]
        if not _is_footer(line)
    )
    return Sheet(heads, rows, hashlib.sha256(raw).hexdigest())


def _csv(raw: bytes) -> list[tuple[Any, ...]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    try:
        dialect: Any = csv.Sniffer().sniff(text[:65536], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        return [tuple(line[:MOST_COLUMNS]) for line in csv.reader(io.StringIO(text, newline=""), dialect)]
    except csv.Error:
        raise NotATracker("it is no CSV that can be read") from None


def _workbook(raw: bytes) -> list[tuple[Any, ...]]:
    """The sheet with the most in it, each merged cell's value in all that it covers."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MOST_UNPACKED:
                raise NotATracker(f"it unpacks to more than {MOST_UNPACKED // 2**20} MiB")
        book = load_workbook(io.BytesIO(raw), data_only=True)
    except NotATracker:
        raise
    except Exception:
        raise NotATracker("it is no workbook that can be read") from None
    sheet = max(book.worksheets, key=lambda one: one.max_row * one.max_column, default=None)
    if sheet is None:
        raise NotATracker("there is no sheet in it")
    if sheet.max_row > MOST_ROWS or sheet.max_column > MOST_COLUMNS:
        raise NotATracker(f"it has more than {MOST_ROWS:,} rows or {MOST_COLUMNS} columns")
    lines = [list(line) for line in sheet.iter_rows(values_only=True)]
    for merged in sheet.merged_cells.ranges:
        value = lines[merged.min_row - 1][merged.min_col - 1]
        if merged.min_row == merged.max_row:
            continue  # A title over the whole table is no value of each column.
        for row in range(merged.min_row - 1, min(merged.max_row, len(lines))):
            for column in range(merged.min_col - 1, merged.max_col):
                lines[row][column] = value
    return [tuple(line) for line in lines]


def _like_a_head(line: Sequence[Any]) -> int:
    """How many cells are words that a head would have, rather than data."""
    words = [_text(cell) for cell in line if isinstance(cell, str)]
    return sum(bool(word) for word in words) + 5 * sum(_field_of(word) is not None for word in words if word)


def _is_footer(line: Sequence[Any]) -> bool:
    filled = [text for cell in line if (text := _text(cell))]
    return bool(re.fullmatch(r"(?i)(?:grand |sub-?)?totals?:?", filled[0]))


def _text(cell: Any) -> str:
    return "" if cell is None else " ".join(str(cell).split())


# What a mapping may name, and how the heads of trackers call it.
_FIELDS: Mapping[str, str] = {
    "reference": r"ref(?:erence)?\b|^(?:case |lado )?(?:id|no|number)\.?$|unique",
    "received": r"(?:date|when).*(?:contact|receiv|referral|referred|consult|notif)|^date$|received",
    "decided": r"(?:date|when).*(?:decision|decided|threshold)",
    "concluded": r"(?:date|when).*(?:clos|conclu|outcome|end)|^(?:closed|concluded)$",
    "meeting": r"(?:date|when).*(?:meeting|asv|amm|strategy|iem)",
    "in_24_hours": r"24 ?h|one working day|1 working day|in time",
    "organisation": r"organi[sz]ation|employer\b(?!.*action)|school|setting|workplace|establishment",
    "sub_sector": r"sub.?sector|phase|type of (?:school|setting)",
    "sector": r"sector|workforce|profession\b|agency\b(?!.*ref)",
    "source": r"source|referr(?:er|ed by|ing)|who (?:contacted|referred)|contact from",
    "category": r"categor|type of (?:abuse|allegation|concern|harm)|nature of|allegation type|abuse type",
    "decision": r"decision|threshold|consultation.*referral|contact outcome|status of contact|^type$",
    "criteria": r"criteri",
    "outcome": r"^(?:final |lado )?outcome|finding",
    "employer_action": r"employer.*action|action.*employer|disciplinary",
    "police": r"police",
    "themes": r"theme|tag",
}
_Meanings = tuple[tuple[str, str], ...]
_VALUES: Mapping[str, tuple[type[Enum], _Meanings]] = {
    "decision": (
        DecisionKind,
        (
            (r"transfer|other (?:la|lado|authority)", DecisionKind.TRANSFERRED),
            (r"no further|^nfa", DecisionKind.NO_FURTHER_ACTION),
            (r"not met|below|advice|consult|guidance|threshold no|^no$|does not", DecisionKind.CONSULTATION),
            (r"met\b|referral|progress|^yes$|amm|asv|allegation", DecisionKind.REFERRAL),
        ),
    ),
    "category": (
        Category,
        (
            (r"physical|restraint", Category.PHYSICAL),
            (r"emotion|verbal", Category.EMOTIONAL),
            (r"sex|cse|indecent", Category.SEXUAL),
            (r"neglect", Category.NEGLECT),
            (r"personal|private|transfer|domestic|home life", Category.PRIVATE_LIFE),
            (r"conduct|boundar|suitab|behaviour|standard", Category.CONDUCT),
            (r"none|other|n/?a|undefined|unknown", Category.NONE),
        ),
    ),
    "outcome": (
        CaseOutcome,
        (
            (r"un-?substantiat", CaseOutcome.UNSUBSTANTIATED),
            (r"un-?founded", CaseOutcome.UNFOUNDED),
            (r"substantiat|founded", CaseOutcome.SUBSTANTIATED),
            (r"malicious", CaseOutcome.MALICIOUS),
            (r"false", CaseOutcome.FALSE),
        ),
    ),
    "source": (
        Source,
        (
            (r"social care|children.?s services|mash|front door|social work|fostering", Source.SOCIAL_CARE),
            (r"police", Source.POLICE),
            (r"health|nhs|hospital|gp\b", Source.HEALTH),
            (r"parent|carer", Source.PARENT_OR_CARER),
            (r"^child|young person", Source.CHILD),
            (r"ofsted", Source.OFSTED),
            (r"nspcc", Source.NSPCC),
            (r"other (?:la|lado|local authority)|another|lado", Source.ANOTHER_AUTHORITY),
            (r"public|anonym|neighbour", Source.PUBLIC),
            (r"regulat|profession|union", Source.PROFESSIONAL_BODY),
            (
                r"school|education|employer|nursery|early years|academy|college|setting|agency|charity|club",
                Source.EMPLOYER,
            ),
            (r"other|unknown", Source.OTHER),
        ),
    ),
    "employer_action": (EmployerAction, tuple((re.escape(one.value.replace("_", " ")), one) for one in EmployerAction)),
}
_DAYS = ("received", "decided", "concluded", "meeting")
_YES = re.compile(r"(?i)y(?:es)?|true|1|x|✓|met|in time")
_NO = re.compile(r"(?i)n(?:o)?|false|0|missed|late|n/?a|-")


def _field_of(head: str) -> str | None:
    return next((name for name, form in _FIELDS.items() if re.search(form, head, re.IGNORECASE)), None)


def guess(sheet: Sheet) -> Meaning:
    """A mapping as far as the heads and the values tell; what they do not is left out."""
    columns: dict[str, str] = {}
    for name, form in _FIELDS.items():
        taken = set(columns.values())
        found = next((head for head in sheet.heads if head not in taken and re.search(form, head, re.IGNORECASE)), None)
        if found is not None:
            columns[name] = found
    values = {
        name: {
            value.lower(): _meant(value, meanings)
            for value, _ in sorted(sheet.values(columns[name]).items())[:_MOST_VALUES]
        }
        for name, (_, meanings) in _VALUES.items()
        if name in columns
    }
    return Meaning(columns, values)


_MOST_VALUES = 100
"""Different values of a column beyond which it is no list of codes."""


def _meant(value: str, meanings: _Meanings) -> str:
    return next((str(code) for form, code in meanings if re.search(form, value, re.IGNORECASE)), "")


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
        *(f"# {name} = " for name in _FIELDS if name not in mapping.columns),
    ]
    for name, (kind, _) in _VALUES.items():
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
        if name not in _FIELDS:
            raise NotATracker(f"[columns] {name}: there is no such thing; there are {', '.join(_FIELDS)}")
        if head not in sheet.heads:
            raise NotATracker(f"[columns] {name}: the tracker has no column {head!r}")
    if "received" not in columns:
        raise NotATracker("[columns] must name the column of received, the day on which it came")
    for name, meanings in values.items():
        if name not in _VALUES or not isinstance(meanings, dict):
            raise NotATracker(f"[values.{name}]: there is no such thing; there are {', '.join(_VALUES)}")
        codes = {"", *(str(one.value) for one in _VALUES[name][0])}
        for value, code in meanings.items():
            if code not in codes:
                raise NotATracker(f"[values.{name}] {value!r}: {code!r} is none of {', '.join(sorted(codes - {''}))}")
    lowered = {name: {value.lower(): code for value, code in meanings.items()} for name, meanings in values.items()}
    return Meaning(columns, lowered)


def rows(
    sheet: Sheet, mapping: Meaning, calendar: WorkingCalendar, now: datetime, blind: Callable[[str], str]
) -> Iterator[Past | Refusal]:
    """Each row as a consultation, or why it is none. ``blind`` is a keyed hash, for references that may hold a name."""
    shared = _shared_words(sheet, mapping)
    places = {name: sheet.heads.index(head) for name, head in mapping.columns.items()}
    seen: dict[str, int] = {}
    for number, row in sheet.rows:
        cells = {name: row[at] for name, at in places.items()}
        if sum(bool(_text(cell)) for cell in row) == 1:
            yield Refusal(number, "one cell alone is filled")
            continue
        try:
            past = _past(cells, row, mapping, calendar, now)
            past = replace(past, reference=_reference(_text(cells.get("reference")), row, shared, blind))
        except ValueError as fault:
            yield Refusal(number, str(fault))
            continue
        if past.reference in seen:
            yield Refusal(number, f"its reference is that of row {seen[past.reference]} too")
            continue
        seen[past.reference] = number
        yield past


def _past(
    cells: Mapping[str, Any], row: Sequence[Any], mapping: Meaning, calendar: WorkingCalendar, now: datetime
) -> Past:
    """Raises ValueError, saying which field does not fit and why."""
    days = {name: _moment(name, cells.get(name), calendar) for name in _DAYS}
    received = days["received"]
    if received is None:
        raise ValueError("received: there is no day")
    day = calendar.local(received).date()
    if day > calendar.local(now).date():
        raise ValueError("received: it lies ahead")
    # A day without a time stands for its noon, which may lie before a time, or ahead of now, on the same day.
    received = min(received, now)
    for name in ("decided", "concluded", "meeting"):
        later = days[name]
        if later is not None and calendar.local(later).date() < day:
            raise ValueError(f"{name}: it lies before the day it was received")
        if later is not None and later > now:
            if calendar.local(later).date() > calendar.local(now).date():
                raise ValueError(f"{name}: it lies ahead")
            later = now
        days[name] = later and max(later, received)
    decision = _code("decision", cells, mapping)
    outcome = _code("outcome", cells, mapping)
    if decision is None and outcome is not None:
        decision = DecisionKind.REFERRAL
    return Past(
        reference="",
        received_at=received,
        organisation=_text(cells.get("organisation"))[:200] or None,
        sector=_text(cells.get("sector"))[:64] or None,
        sub_sector=_text(cells.get("sub_sector"))[:64] or None,
        source=_code("source", cells, mapping),
        category=_code("category", cells, mapping),
        decision=decision,
        criteria=_criteria(_text(cells.get("criteria"))),
        decided_at=days["decided"],
        in_24_hours=_yes_or_no("in_24_hours", cells),
        meeting_at=days["meeting"],
        police=_yes_or_no("police", cells) or False,
        outcome=outcome,
        employer_action=_code("employer_action", cells, mapping),
        concluded_at=days["concluded"],
        themes=tuple(one[:40] for text in _text(cells.get("themes")).lower().split(",") if (one := text.strip()))[:20],
    )


def _reference(text: str, row: Sequence[Any], shared: frozenset[str], blind: Callable[[str], str]) -> str:
    """The tracker's own, marked as such. One that may hold a name, or none, becomes a code: the same for the same reference.

    References stand in notices and letters. Letters in one are trusted singly, or as a word that most references share.
    """
    words = {word.lower() for word in _WORDS.findall(text)}
    if _CODE.fullmatch(text) and words <= shared:
        return f"{PREFIX}{text}"
    told = text or "\x1f".join(map(_text, row))
    return f"{PREFIX}{blind(told)[:12].upper()}"


def _shared_words(sheet: Sheet, mapping: Meaning) -> frozenset[str]:
    """Words of letters that more than half of the references have, and no fewer than five: a prefix, and no name."""
    head = mapping.columns.get("reference")
    if head is None:
        return frozenset()
    at = sheet.heads.index(head)
    texts = [text for _, row in sheet.rows if (text := _text(row[at]))]
    count = Counter(word for text in texts for word in {word.lower() for word in _WORDS.findall(text)})
    return frozenset(word for word, times in count.items() if times >= _ENOUGH and times * 2 > len(texts))


_ENOUGH = 5
_CODE = re.compile(r"(?=.*\d)[A-Za-z0-9/._-]{1,28}")
_WORDS = re.compile(r"[A-Za-z]{2,}")


def _code(name: str, cells: Mapping[str, Any], mapping: Meaning) -> Any:
    text = _text(cells.get(name))
    if not text:
        return None
    kind, meanings = _VALUES[name]
    known = mapping.values.get(name, {})
    code = known[text.lower()] if text.lower() in known else _meant(text, meanings)
    if not code:
        if text.lower() in known:
            return None
        raise ValueError(f"{name}: the mapping does not say what {text[:40]!r} means")
    return kind(code)


def _yes_or_no(name: str, cells: Mapping[str, Any]) -> bool | None:
    text = _text(cells.get(name))
    if not text:
        return None
    if _YES.fullmatch(text):
        return True
    if _NO.fullmatch(text):
        return False
    raise ValueError(f"{name}: {text[:40]!r} is neither yes nor no")


def _criteria(text: str) -> tuple[Criterion, ...]:
    found = sorted({int(one) for one in re.findall(r"\d+", text)})
    if any(number not in {1, 2, 3, 4} for number in found):
        raise ValueError("criteria: they are numbers from 1 to 4")
    return tuple(Criterion(number) for number in found)


def _moment(name: str, cell: Any, calendar: WorkingCalendar) -> datetime | None:
    """A day, British order, as noon of that day; with a time where one is given."""
    if isinstance(cell, datetime):
        day, at = cell.date(), cell.time()
    elif isinstance(cell, date):
        day, at = cell, time()
    else:
        text = _text(cell)
        if not text or text in {"-", "n/a", "N/A", "tbc", "TBC"}:
            return None
        day, at = _day(name, text)
    if not 1990 <= day.year <= 2100:
        raise ValueError(f"{name}: the year {day.year} cannot be meant")
    return calendar.instant_at(day, at if at != time() else time(12))


_FORMS = (
    *("%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d-%m-%y", "%d.%m.%Y", "%d.%m.%y", "%d %B %Y", "%d %b %Y", "%d %b %y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d/%m/%Y %H:%M", "%d/%m/%y %H:%M", "%d/%m/%Y %H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %H:%M"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
)
_ORDINAL = re.compile(r"(?i)(?<=\d)(?:st|nd|rd|th)\b")
_WEEKDAY = re.compile(r"(?i)^(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+")


def _day(name: str, text: str) -> tuple[date, time]:
    plain = _ORDINAL.sub("", _WEEKDAY.sub("", text))
    for form in _FORMS:
        try:
            found = datetime.strptime(plain, form)  # noqa: DTZ007 (a day of the office's own zone)
        except ValueError:
            continue
        return found.date(), found.time()
    raise ValueError(f"{name}: {text[:40]!r} is no day; write 30/11/2025")


def unmapped(mapping: Meaning) -> Iterable[tuple[str, str]]:
    """Values of which the guess makes nothing, by field."""
    return ((name, value) for name, known in mapping.values.items() for value, code in known.items() if not code)
