"""The old tracker's rows as consultations, and what of them does not fit, row by row. Nothing here touches the record.

:mod:`.tracker_file` reads the table, :mod:`.tracker_mapping` says what its columns and values mean.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.imported import PREFIX, Past
from intake_bot.casework.vocabulary import DecisionKind
from intake_bot.reports.tracker_file import Sheet, text_of
from intake_bot.reports.tracker_mapping import Meaning
from intake_bot.reports.tracker_words import VALUES, meant
from triage.vocabulary import Criterion


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not imported, by its number in the file, and why."""

    row: int
    why: str


def rows(
    sheet: Sheet, mapping: Meaning, calendar: WorkingCalendar, now: datetime, blind: Callable[[str], str]
) -> Iterator[Past | Refusal]:
    """Each row as a consultation, or why it is none. ``blind`` is a keyed hash, for references that may hold a name."""
    shared = _shared_words(sheet, mapping)
    places = {name: sheet.heads.index(head) for name, head in mapping.columns.items()}
    seen: dict[str, int] = {}
    for number, row in sheet.rows:
        cells = {name: row[at] for name, at in places.items()}
        if sum(bool(text_of(cell)) for cell in row) == 1:
            yield Refusal(number, "one cell alone is filled")
            continue
        try:
            past = _past(cells, row, mapping, calendar, now)
            past = replace(past, reference=_reference(text_of(cells.get("reference")), row, shared, blind))
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
    if (knew := days["employer_knew"]) is not None and calendar.local(knew).date() > calendar.local(now).date():
        raise ValueError("employer_knew: it lies ahead")
    decided, concluded = days["decided"], days["concluded"]
    if decided is not None and concluded is not None and concluded < decided:
        # Both may be noon of the same day: a time of one says nothing about the other.
        if calendar.local(concluded).date() < calendar.local(decided).date():
            raise ValueError("concluded: it lies before the day it was decided")
        days["concluded"] = decided
    decision = _code("decision", cells, mapping)
    outcome = _code("outcome", cells, mapping)
    if decision is None and outcome is not None:
        decision = DecisionKind.REFERRAL
    return Past(
        reference="",
        received_at=received,
        organisation=text_of(cells.get("organisation"))[:200] or None,
        sector=text_of(cells.get("sector"))[:64] or None,
        sub_sector=text_of(cells.get("sub_sector"))[:64] or None,
        source=_code("source", cells, mapping),
        category=_code("category", cells, mapping),
        decision=decision,
        criteria=_criteria(text_of(cells.get("criteria"))),
        decided_at=days["decided"],
        in_24_hours=_yes_or_no("in_24_hours", cells),
        meeting_at=days["meeting"],
        police=_yes_or_no("police", cells) or False,
        outcome=outcome,
        employer_action=_code("employer_action", cells, mapping),
        concluded_at=days["concluded"],
        employer_knew_at=days["employer_knew"],
        themes=tuple(one[:40] for text in text_of(cells.get("themes")).lower().split(",") if (one := text.strip()))[
            :20
        ],
    )


def _reference(text: str, row: Sequence[Any], shared: frozenset[str], blind: Callable[[str], str]) -> str:
    """The tracker's own, marked as such. One that may hold a name, or none, becomes a code: the same for the same reference.

    References stand in notices and letters. Letters in one are trusted singly, or as a word that most references share.
    """
    words = {word.lower() for word in _WORDS.findall(text)}
    if _CODE.fullmatch(text) and words <= shared:
        return f"{PREFIX}{text}"
    told = text or "\x1f".join(map(text_of, row))
    return f"{PREFIX}{blind(told)[:12].upper()}"


def _shared_words(sheet: Sheet, mapping: Meaning) -> frozenset[str]:
    """Words of letters that more than half of the references have, and no fewer than five: a prefix, and no name."""
    head = mapping.columns.get("reference")
    if head is None:
        return frozenset()
    at = sheet.heads.index(head)
    texts = [text for _, row in sheet.rows if (text := text_of(row[at]))]
    count = Counter(word for text in texts for word in {word.lower() for word in _WORDS.findall(text)})
    return frozenset(word for word, times in count.items() if times >= _ENOUGH and times * 2 > len(texts))


_ENOUGH = 5
_CODE = re.compile(r"(?=.*\d)[A-Za-z0-9/._-]{1,28}")
_WORDS = re.compile(r"[A-Za-z]{2,}")


def _code(name: str, cells: Mapping[str, Any], mapping: Meaning) -> Any:
    text = text_of(cells.get(name))
    if not text:
        return None
    kind, meanings = VALUES[name]
    known = mapping.values.get(name, {})
    code = known[text.lower()] if text.lower() in known else meant(text, meanings)
    if not code:
        if text.lower() in known:
            return None
        raise ValueError(f"{name}: the mapping does not say what {text[:40]!r} means")
    return kind(code)


def _yes_or_no(name: str, cells: Mapping[str, Any]) -> bool | None:
    text = text_of(cells.get(name))
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
        text = text_of(cell)
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


_DAYS = ("received", "decided", "concluded", "meeting", "employer_knew")
_YES = re.compile(r"(?i)y(?:es)?|true|1|x|✓|met|in time")
_NO = re.compile(r"(?i)n(?:o)?|false|0|missed|late|n/?a|-")
