"""SPF, DKIM and DMARC by library, for when no mail server of our own stands in front and says what it found.

Runs in a child process of its own: it parses what strangers send and asks their name servers. Nothing here drops a message;
where DNS gives no answer the verdict is ``none``.
"""

from __future__ import annotations

from collections.abc import Callable
from email.parser import BytesHeaderParser
from email.policy import compat32
from functools import partial
from typing import Any

from intake_bot.mail.addresses import domain_of, mailboxes
from intake_bot.mail.trust import Trust, aligned

LOOKUP_SECONDS = 5.0
MAX_LOOKUPS = 60
"""For one message. SPF alone may need ten and some (RFC 7208 section 4.6.4)."""
MAX_SIGNATURES = 5
MIN_KEY_BITS = 1024
"""RFC 8301 section 3.2: shorter keys prove nothing."""

Resolve = Callable[[str, str], list[Any]]
"""Name and kind (TXT, A, AAAA, MX, PTR) to the answers: bytes; address; (preference, host); host. None is the empty list.
Raises :class:`DnsFault` where nobody can tell."""


class DnsFault(Exception):
    """The name servers gave no answer, or were asked too often."""


def verdict(raw: bytes, *, client: str, mail_from: str, resolve: Resolve) -> Trust:
    """Whether the From address is who wrote: DMARC's word, or without a policy an SPF or DKIM pass for the domain itself.

    ``client`` is the IP address that the message came from, ``mail_from`` its envelope sender. A message with two From
    fields or domains is ``fail``; one whose failure may be a fault of DNS is ``none``.
    """
    fields = BytesHeaderParser(policy=compat32).parsebytes(raw).get_all("From") or []
    domains = {domain_of(mailbox.address) for value in fields for mailbox in mailboxes(str(value), 10)}
    if len(fields) > 1 or len(domains) > 1:
        # Which of them would be believed is the sender's choice.
        return "fail"
    if not domains:
        return "none"
    domain = domains.pop()
    asked = _Asked(resolve)
    spf_domain = _spf(client, mail_from, asked)
    signed = _signed_by(raw, asked)
    try:
        results = _dmarc(domain, mail_from if spf_domain else None, signed, asked)
    except Exception:  # DnsFault; and a policy that the library stumbles over is none
        return "none"
    if "pass" in results:
        return "pass"
    if "fail" in results:
        return "none" if asked.fault else "fail"
    return "pass" if any(aligned(tested, domain) for tested in (*signed, spf_domain or "")) else "none"


def ask_dns(name: str, kind: str) -> list[Any]:
    """The system's resolver."""
    import dns.exception
    import dns.resolver

    try:
        answers = dns.resolver.resolve(name, kind, lifetime=LOOKUP_SECONDS, raise_on_no_answer=False)
    except (dns.resolver.NXDOMAIN, dns.exception.SyntaxError, UnicodeError):
        return []
    except dns.exception.DNSException as fault:
        raise DnsFault(type(fault).__name__) from None
    return [_plain(kind, record) for record in answers.rrset or ()]


def _plain(kind: str, record: Any) -> Any:
    match kind:
        case "TXT":
            return b"".join(record.strings)
        case "MX":
            return record.preference, record.exchange.to_text(omit_final_dot=True)
        case "PTR":
            return record.target.to_text(omit_final_dot=True)
        case _:
            return record.address


class _Asked:
    """Asks each thing once, not too often, and remembers whether an answer was missing."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._answers: dict[tuple[str, str], list[Any]] = {}
        self.fault = False

    def __call__(self, name: str, kind: str) -> list[Any]:
        key = (name.rstrip(".").lower(), kind)
        if key not in self._answers:
            try:
                if len(self._answers) >= MAX_LOOKUPS:
                    raise DnsFault("too many")
                self._answers[key] = self._resolve(*key)
            except DnsFault:
                self.fault = True
                raise
        return self._answers[key]


def _spf(client: str, mail_from: str, asked: _Asked) -> str | None:
    """The envelope sender's domain, where SPF passes it. Without a sender there is only a greeting, which proves no From."""
    import spf

    domain = domain_of(mail_from) if "@" in mail_from else ""
    if not domain or not client:
        return None

    def look_up(name: str, kind: str, strict: object = True, timeout: object = None) -> list[Any]:
        try:
            answers = asked(name, kind)
        except DnsFault:
            raise spf.TempError("no answer") from None
        return [((name, kind), (answer,) if kind == "TXT" else answer) for answer in answers]

    # The library takes its resolver from its module, and there is one message at a time here.
    kept, spf.DNSLookup = spf.DNSLookup, look_up
    try:
        result = spf.check2(i=client, s=mail_from, h=domain)[0]
    except Exception:  # what the library stumbles over passes nobody
        return None
    finally:
        spf.DNSLookup = kept
    return domain if result == "pass" else None


def _signed_by(raw: bytes, asked: _Asked) -> list[str]:
    """The domains whose DKIM signatures hold, over the whole body."""
    import dkim

    def text_of(name: bytes | str, timeout: object = None) -> bytes | None:
        answers = asked(name.decode("ascii") if isinstance(name, bytes) else name, "TXT")
        return answers[0] if answers else None

    found = []
    for number in range(MAX_SIGNATURES):
        try:
            message = dkim.DKIM(raw, minkey=MIN_KEY_BITS)
            if number >= sum(name.lower() == b"dkim-signature" for name, _ in message.headers):
                break
            holds = message.verify(idx=number, dnsfunc=text_of)
            signature = message.signature_fields
            # With l= anybody may add to the end of the body (RFC 6376 section 8.2).
            if holds and b"l" not in signature:
                found.append(signature[b"d"].decode("ascii").lower())
        except Exception:  # noqa: S112 (the library's faults are many; each means that nothing is proven)
            continue
    return found


def _dmarc(domain: str, mail_from: str | None, signed: list[str], asked: _Asked) -> set[str]:
    """DMARC's results, one for each signature that holds: pass, fail, or none where the domain has no policy."""
    from authheaders import dmarc_per_from
    from authheaders.dmarc_lookup import get_org_domain
    from authres import DKIMAuthenticationResult, SPFAuthenticationResult

    def policy_of(name: str) -> str | None:
        policies = [answer for answer in asked(name, "TXT") if answer.startswith(b"v=DMARC1")]
        # Two policies are none (RFC 7489 section 6.6.3).
        return policies[0].decode("ascii", "replace") if len(policies) == 1 else None

    # The library takes a top-level domain that its list of suffixes does not know for the organisation itself, so that all
    # domains beneath would speak for each other: there, only the very domain does.
    if "." not in get_org_domain(domain):
        signed = [signer for signer in signed if signer == domain]
        mail_from = mail_from if mail_from and domain_of(mail_from) == domain else None
    evaluate = partial(dmarc_per_from, domain, dnsfunc=policy_of)
    spf = SPFAuthenticationResult(result="pass", smtp_mailfrom=mail_from.lower()) if mail_from else None
    results = {evaluate(spf_result=spf)[0]}
    for signer in signed:
        results.add(evaluate(dkim_result=DKIMAuthenticationResult(result="pass", header_d=signer))[0])
    return results
