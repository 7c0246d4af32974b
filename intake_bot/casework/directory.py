"""Which organisation writes from a mail domain, as imported lists say: a suggestion for the officer, never an identity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from storage import known_senders
from storage.tables import KnownSender

SHARED_DOMAINS = (
    # Mailboxes for anybody.
    "gmail.com", "googlemail.com", "outlook.*", "hotmail.*", "live.*", "msn.com", "yahoo.*", "ymail.com", "rocketmail.com",
    "icloud.com", "me.com", "mac.com", "aol.*", "btinternet.com", "btopenworld.com", "sky.com", "talktalk.net",
    "virginmedia.com", "ntlworld.com", "blueyonder.co.uk", "tiscali.co.uk", "plusnet.com", "plus.com", "o2.co.uk",
    "protonmail.com", "proton.me", "pm.me", "gmx.*", "mail.com", "fastmail.com", "zoho.com", "onmicrosoft.com", "hey.com",
    # Websites of anybody.
    "wordpress.com", "wixsite.com", "wix.com", "weebly.com", "blogspot.*", "webs.com", "squarespace.com", "jimdo.com",
    "google.com", "facebook.com", "instagram.com", "twitter.com", "x.com", "youtube.com", "linkedin.com", "tinyurl.com",
    "bit.ly", "linktr.ee", "eschools.co.uk", "e-schools.co.uk", "primarysite.net", "schooljotter2.com", "j2bloggy.com",
    "schoolspider.co.uk", "schudio.com", "service.gov.uk", "nhs.net",
)  # fmt: skip
"""Domains that many share: they tell nothing about who writes. A star stands for any country's ending."""

_SUFFIXES = frozenset("ac.uk co.uk gov.uk ltd.uk me.uk mod.uk net.uk nhs.uk org.uk plc.uk police.uk sch.uk".split())
_MAX_PARENTS = 4


@dataclass(frozen=True, slots=True)
class DirectoryRules:
    """``ours`` are names of the authority whose service this is; ``shared`` are domains that name nobody."""

    ours: tuple[str, ...] = ()
    shared: tuple[str, ...] = SHARED_DOMAINS


@dataclass(frozen=True, slots=True)
class Known:
    """What the lists say. ``elsewhere`` is None where they do not tell whose it is."""

    organisation: str
    sector: str | None
    elsewhere: bool | None


def look_up(session: Session, rules: DirectoryRules, address: str | None) -> Known | None:
    """Who writes from the address's domain, or from the nearest domain above it; None where nobody knows.

    An authority's own list is believed before a register. Where several share the domain, none of them is named: their
    trust is, or how many they are.
    """
    for domain in _domains((address or "").rpartition("@")[2], rules.shared):
        rows = known_senders.at(session, domain)
        if rows:
            own = [row for row in rows if row.source == OWN_LIST]
            return _known(own or rows, domain, rules.ours)
    return None


OWN_LIST = "list"
REGISTER = "register"


def is_shared(domain: str, shared: Iterable[str]) -> bool:
    """Whether the domain, or one above it, is one that many share."""
    above = list(_and_above(domain))
    return any(_matches(one, pattern) for pattern in shared for one in above)


def authority_key(name: str) -> str:
    """An authority's name without what some write and others do not: "London Borough of Oakham Council" is "oakham"."""
    words = re.sub(r"[^a-z0-9 ]", " ", name.casefold().replace("&", " and ")).split()
    return " ".join(word for word in words if word not in _COMMON_WORDS)


_COMMON_WORDS = frozenset(
    "the of council county city borough district metropolitan london royal unitary authority".split()
)


_ENDING = re.compile(r"[a-z]{2,3}(?:\.[a-z]{2})?")


def _matches(domain: str, pattern: str) -> bool:
    if not pattern.endswith(".*"):
        return domain == pattern
    stem = pattern[:-1]
    # An ending and no more: live.oakfield.sch.uk is no mailbox provider's.
    return domain.startswith(stem) and bool(_ENDING.fullmatch(domain.removeprefix(stem)))


def _domains(domain: str, shared: Sequence[str]) -> Iterator[str]:
    """The domain and those above it that still belong to one organisation."""
    domain = domain.strip().rstrip(".").lower()
    if not domain or is_shared(domain, shared):
        return
    yield domain
    for parent in list(_and_above(domain))[1:_MAX_PARENTS]:
        # X.sch.uk belongs to an authority or a broadband consortium, with all its schools beneath.
        if parent in _SUFFIXES or parent.partition(".")[2] == "sch.uk" or "." not in parent:
            return
        yield parent


def _and_above(domain: str) -> Iterator[str]:
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def _known(rows: Sequence[KnownSender], domain: str, ours: Sequence[str]) -> Known:
    names = {row.organisation for row in rows}
    sectors = {row.sector for row in rows}
    elsewhere = {_elsewhere(row, ours) for row in rows}
    return Known(
        organisation=names.pop() if len(names) == 1 else _many(rows, domain),
        sector=sectors.pop() if len(sectors) == 1 else None,
        elsewhere=elsewhere.pop() if len(elsewhere) == 1 else None,
    )


def _many(rows: Sequence[KnownSender], domain: str) -> str:
    count = len({row.organisation for row in rows})
    trusts = {row.trust for row in rows}
    trust = trusts.pop() if len(trusts) == 1 else None
    return f"{trust}: one of its {count}" if trust else f"one of {count} at {domain}"


def _elsewhere(row: KnownSender, ours: Sequence[str]) -> bool | None:
    if row.elsewhere is not None:
        return row.elsewhere
    keys = {key for name in ours if (key := authority_key(name))}
    if not row.authority or not keys:
        return None
    return authority_key(row.authority) not in keys
