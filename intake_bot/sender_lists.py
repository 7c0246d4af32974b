"""Lists of known senders as CSV: our own format, and the national register of schools as it is published.

A row that cannot be used is reported by its line and stops nothing; nothing is written before the whole file is read.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from intake_bot.casework.directory import OWN_LIST, REGISTER, is_shared

OWN_COLUMNS = ("domain", "organisation")
"""Needed; type, trust, sector, authority and other_authority (yes or no) may stand beside them."""
REGISTER_COLUMNS = (
    "URN",
    "EstablishmentName",
    "LA (name)",
    "TypeOfEstablishment (name)",
    "PhaseOfEducation (name)",
    "SchoolWebsite",
)
_NOT_SAID = frozenset({"", "not applicable", "not recorded", "unknown", "none"})
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}


class NotAList(Exception):
    """The file is neither format, or nothing in it can be used. The text is ours."""


@dataclass(slots=True)
class SenderList:
    """What a file holds: rows for the directory, and what was passed over."""

    source: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line and what is wrong with it, in our words."""
    passed_over: int = 0
    """Rows that are well, but tell no domain: no website, one that many share, or a school that is closed."""


def read(path: Path, *, shared: Sequence[str], now: datetime) -> SenderList:
    """Read a list. Raises OSError, and :class:`NotAList` where it is neither format or holds nothing usable."""
    with open(path, encoding=_encoding(path), errors="replace", newline="") as file:
        reader = csv.reader(file)
        try:
            header = [name.strip() for name in next(reader)]
        except (StopIteration, csv.Error):
            raise NotAList("it is empty, or no CSV") from None
        found, take = _format(header)
        seen: dict[tuple[str, str], dict[str, Any]] = {}
        for line, values in _lines(reader, found):
            if not any(values):
                continue
            if len(values) < len(header):
                found.bad.append((line, "has fewer columns than the first line"))
                continue
            row = take(dict(zip(header, (value.strip() for value in values), strict=False)), shared)
            if isinstance(row, str):
                found.bad.append((line, row))
            elif row is None:
                found.passed_over += 1
            else:
                seen[row["identity"], row["domain"]] = row | {"source": found.source, "imported_at": now}
    found.rows = list(seen.values())
    if not found.rows:
        raise NotAList("no row of it can be used, so that nothing was changed")
    return found


def domain_of_website(text: str) -> str | None:
    """The domain that an organisation with this website is taken to write from; None for what is no web address."""
    host = re.sub(r"^\s*(?:https?\s*[:;]?\s*/*\s*)?", "", text.strip().lower())
    host = re.split(r"[/?#\s,;:]", host, maxsplit=1)[0].rpartition("@")[2].strip(".")
    host = re.sub(r"^(?:www?\d?\.)+", "", host)
    return host if _HOST.fullmatch(host) and len(host) <= 255 else None


_Row = dict[str, Any] | str | None
"""A row of the directory; or what is wrong; or None where it is well but tells no domain."""


def _format(header: Sequence[str]) -> tuple[SenderList, Callable[[Mapping[str, str], Sequence[str]], _Row]]:
    if set(REGISTER_COLUMNS) <= set(header):
        return SenderList(REGISTER), _of_register
    if set(OWN_COLUMNS) <= set(header):
        return SenderList(OWN_LIST), _of_own_list
    raise NotAList(
        f"its first line names neither {', '.join(OWN_COLUMNS)} nor the register's {', '.join(REGISTER_COLUMNS)}"
    )


def _lines(reader: Any, found: SenderList) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it ends on."""
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            found.bad.append((reader.line_num, "is no CSV"))
            continue
        yield reader.line_num, values


def _of_own_list(row: Mapping[str, str], shared: Sequence[str]) -> _Row:
    domain = domain_of_website(row["domain"])
    if domain is None:
        return "has no domain"
    if not row["organisation"]:
        return "has no organisation"
    if is_shared(domain, shared):
        return "has a domain that many share"
    elsewhere = row.get("other_authority", "").lower()
    if elsewhere not in _YES_OR_NO:
        return "says neither yes nor no in other_authority"
    return {
        "identity": hashlib.sha256(row["organisation"].casefold().encode("utf-8", "replace")).hexdigest()[:32],
        "domain": domain,
        "organisation": row["organisation"][:200],
        "kind": _said(row.get("type", ""), 100),
        "trust": _said(row.get("trust", ""), 200),
        "sector": _said(row.get("sector", ""), 64),
        "authority": _said(row.get("authority", ""), 100),
        "elsewhere": _YES_OR_NO[elsewhere],
    }


def _of_register(row: Mapping[str, str], shared: Sequence[str]) -> _Row:
    if not row["URN"].isdecimal() or len(row["URN"]) > 12:
        return "has no URN"
    if not row["EstablishmentName"]:
        return "has no EstablishmentName"
    if row["SchoolWebsite"].lower() in _NOT_SAID or row.get("EstablishmentStatus (name)", "").lower() == "closed":
        return None
    domain = domain_of_website(row["SchoolWebsite"])
    if domain is None:
        return "has a SchoolWebsite that is no web address"
    if is_shared(domain, shared):
        return None
    kind, phase = row["TypeOfEstablishment (name)"], row["PhaseOfEducation (name)"]
    return {
        "identity": row["URN"],
        "domain": domain,
        "organisation": row["EstablishmentName"][:200],
        "kind": _said(kind if phase.lower() in _NOT_SAID else f"{kind} ({phase})", 100),
        "trust": _said(row.get("Trusts (name)", ""), 200),
        "sector": _sector(kind.lower(), phase.lower()),
        "authority": _said(row["LA (name)"], 100),
        "elsewhere": None,
    }


def _sector(kind: str, phase: str) -> str:
    """Everything in the register is a school or a college, but for these."""
    if phase == "nursery" or "nursery" in kind or "children's centre" in kind:
        return "Early years"
    if "secure" in kind:
        return "Secure estate"
    return "Education"


def _said(text: str, length: int) -> str | None:
    return None if text.lower() in _NOT_SAID else text[:length]


def _encoding(path: Path) -> str:
    """UTF-8 where the whole file is, else cp1252, as the register is published."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
