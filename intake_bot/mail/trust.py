"""Whether the sender's address is who wrote, as our own mail server found and said (RFC 8601)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from intake_bot.mail.addresses import domain_of

Trust = Literal["pass", "fail", "none"]

# Longer than any field that a server writes: authres parses by recursion and backtracking.
_MAX_FIELD_CHARS = 8_000


def sender_trust(results: Iterable[str], *, authserv_id: str | None, from_addresses: Iterable[str]) -> Trust:
    """The verdict on the From address in the Authentication-Results fields ``results``, topmost first.

    Only the topmost field of the configured ``authserv_id`` counts: a server puts its own above what came with the
    message, so that anything further down may be forged. ``fail`` is DMARC's fail. ``pass`` is DMARC's pass, or
    without DMARC an SPF or DKIM pass for the From domain itself or a domain under it. All else, garbage included, is
    ``none``, and so is a message without a From, and a pass where From names two domains, of which one went untested.
    """
    domains = {domain_of(address) for address in from_addresses}
    if not authserv_id or not domains:
        return "none"
    trusted = next((text for text in results if _names(text, authserv_id)), None)
    if trusted is None or len(trusted) > _MAX_FIELD_CHARS:
        return "none"
    methods = _methods(trusted)
    dmarc = [(result, domain) for method, result, domain in methods if method == "dmarc"]
    if any(result == "fail" for result, _ in dmarc):
        return "fail"
    if len(domains) > 1:
        return "none"
    domain = domains.pop()
    if dmarc:
        passed = all(result == "pass" and tested in {"", domain} for result, tested in dmarc)
        # DMARC that did not conclude (no policy, a DNS fault) leaves the question to what it is made of.
        if passed or any(result == "pass" for result, _ in dmarc):
            return "pass" if passed else "none"
    aligned = any(
        method in {"spf", "dkim"} and result == "pass" and _aligned(tested, domain)
        for method, result, tested in methods
    )
    return "pass" if aligned else "none"


def _names(text: str, authserv_id: str) -> bool:
    """Whether the field is the configured server's: its first token, leading comments skipped, without case."""
    text = text.strip()
    while text.startswith("("):
        text = text.partition(")")[2].strip()
    token = text.partition(";")[0].strip().split()
    return bool(token) and token[0].strip('"').casefold() == authserv_id.casefold()


def _methods(text: str) -> list[tuple[str, str, str]]:
    """(method, result, domain it was found for) of each clause; empty for what cannot be parsed."""
    from authres import AuthenticationResultsHeader

    try:
        header = AuthenticationResultsHeader.parse(f"Authentication-Results: {text}")
        return [
            (str(clause.method).lower(), str(clause.result).lower(), _tested_domain(clause.properties))
            for clause in header.results
            if getattr(clause, "method", None)
        ]
    except Exception:
        # The field comes from outside and the parser's exceptions are many (its own, RecursionError, TypeError on
        # clauses cut short): none of them may stop the reading of a message, and all mean that nothing is proven.
        return []


def _tested_domain(properties: Iterable[object]) -> str:
    values = {
        (getattr(item, "type", ""), getattr(item, "name", "")): str(getattr(item, "value", "")) for item in properties
    }
    for key in (("header", "from"), ("header", "d"), ("header", "i"), ("smtp", "mailfrom")):
        if values.get(key):
            return domain_of(values[key]).rstrip(".")
    return ""


def _aligned(tested: str, domain: str) -> bool:
    """The tested domain is the From domain or lies under it.

    The other direction, a parent speaking for its child, is safe only beneath public suffixes (``*.sch.uk``), of
    which no list is at hand; it is left to DMARC.
    """
    return bool(tested) and (tested == domain or tested.endswith(f".{domain}"))
