"""Whether the sender's address is who wrote, as our own mail server found and said (RFC 8601)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from intake_bot.mail.addresses import domain_of

Trust = Literal["pass", "fail", "none"]

# Longer than any field that a server writes: authres parses by recursion and backtracking.
_MAX_FIELD_CHARS = 8_000

# Ours stand at the top: beyond a few there is nothing but what a sender put there.
_MAX_FIELDS = 20

_PIECE = re.compile(r'\\.|[()";]|[^\\()";]+|\\', re.DOTALL)

UNNAMED = "unnamed"
"""As ``authserv_id``: our server names none (Exchange Online writes its results so), and its field is the topmost of all."""


def sender_trust(results: Iterable[str], *, authserv_id: str | None, from_addresses: Iterable[str]) -> Trust:
    """The verdict on the From address in the Authentication-Results fields ``results``, topmost first.

    Only the topmost field of the configured ``authserv_id`` passes anybody: a server puts its own above what came with
    the message, so that anything further down may be forged. A fail is believed further down too, for some servers write a
    field for each method, and nobody forges a fail of his own. ``fail`` is DMARC's fail, and a From that names two domains,
    or another than DMARC passed: of which one went untested. ``pass`` is DMARC's pass, or without DMARC an SPF or DKIM pass
    for the From domain itself or a domain under it. All else, garbage included, is ``none``, and so is a message without a
    From. A field of which a part cannot be read still fails, but passes nobody: the sender may have chosen the part.
    """
    domains = {domain_of(address) for address in from_addresses}
    if not authserv_id or not domains:
        return "none"
    read = [_methods(clauses) for clauses in _trusted(results, authserv_id)]
    methods, whole = read[0] if read else ([], True)
    found = [_of_dmarc(methods) for methods, _ in read]
    if any(result == "fail" for field in found for result, _ in field):
        return "fail"
    if len(domains) > 1 and read:
        # One author may be proven, and it is the other who would be believed. Nobody who means well writes so.
        return "fail"
    if len(domains) > 1 or not whole:
        return "none"
    domain = domains.pop()
    # The topmost that speaks of DMARC speaks of this From; one further down may be of what a mailing list has rewritten.
    if any(
        result == "pass" and tested and not _related(tested, domain)
        for result, tested in next((field for field in found if field), [])
    ):
        # Our server read another author out of From than we did: it was made to be read in two ways.
        return "fail"
    if dmarc := _of_dmarc(methods):
        passed = all(result == "pass" and tested in {"", domain} for result, tested in dmarc)
        # DMARC that did not conclude (no policy, a DNS fault) leaves the question to what it is made of.
        if passed or any(result == "pass" for result, _ in dmarc):
            return "pass" if passed else "none"
    spoken_for = any(
        method in {"spf", "dkim"} and result == "pass" and aligned(tested, domain) for method, result, tested in methods
    )
    return "pass" if spoken_for else "none"


def _related(one: str, other: str) -> bool:
    return aligned(one, other) or aligned(other, one)


def _of_dmarc(methods: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    return [(result, domain) for method, result, domain in methods if method == "dmarc"]


def _trusted(results: Iterable[str], authserv_id: str) -> list[list[str]]:
    """The results of each of our server's fields, topmost first, clause by clause; one that is too long has none."""
    found: list[list[str]] = []
    for text in results:
        first, *clauses = _clauses(text[:_MAX_FIELD_CHARS])
        fits = len(text) <= _MAX_FIELD_CHARS
        if authserv_id == UNNAMED:
            # Further down, a field without a name may be anybody's.
            return [[first, *clauses]] if "=" in first and fits else []
        words = first.split()
        # A version may follow (RFC 8601 section 2.2); there is one so far.
        if words and words[0].strip('"').casefold() == authserv_id.casefold() and words[1:] in ([], ["1"]):
            found.append(clauses if fits else [])
        if len(found) >= _MAX_FIELDS:
            break
    return found


def _clauses(text: str) -> list[str]:
    """The field cut at its semicolons, comments taken out; at least one. What is quoted is neither cut nor a comment."""
    clauses = [""]
    depth, quoted = 0, False
    for piece in _PIECE.findall(text):
        if quoted:
            quoted = piece != '"'
        elif piece in "()":
            depth = max(0, depth + (1 if piece == "(" else -1))
            # Two words with a comment between them are two words.
            clauses[-1] += " "
            continue
        elif depth:
            continue
        elif piece == '"':
            quoted = True
        elif piece == ";":
            clauses.append("")
            continue
        clauses[-1] += piece
    return clauses


def _methods(clauses: Iterable[str]) -> tuple[list[tuple[str, str, str]], bool]:
    """(method, result, domain it was found for) of each clause, and whether every clause could be read."""
    from authres import AuthenticationResultsHeader

    found: list[tuple[str, str, str]] = []
    whole = True
    for clause in clauses:
        if not clause.strip():
            continue
        try:
            header = AuthenticationResultsHeader.parse(f"Authentication-Results: x; {clause}")
            found += [
                (str(result.method).lower(), str(result.result).lower(), _tested_domain(result.properties))
                for result in header.results
                if getattr(result, "method", None)
            ]
        except Exception:
            # The field comes from outside and the parser's exceptions are many (its own, RecursionError, TypeError on
            # clauses cut short): none of them may stop the reading of a message.
            whole = False
    return found, whole


def _tested_domain(properties: Iterable[object]) -> str:
    values = {
        (getattr(item, "type", ""), getattr(item, "name", "")): str(getattr(item, "value", "")) for item in properties
    }
    for key in (("header", "from"), ("header", "d"), ("header", "i"), ("smtp", "mailfrom")):
        if values.get(key):
            return domain_of(values[key]).rstrip(".")
    return ""


def aligned(tested: str, domain: str) -> bool:
    """The tested domain is the From domain or lies under it.

    The other direction, a parent speaking for its child, is safe only beneath public suffixes (``*.sch.uk``), of
    which no list is at hand; it is left to DMARC.
    """
    return bool(tested) and (tested == domain or tested.endswith(f".{domain}"))
