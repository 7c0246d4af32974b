"""Addresses as mail headers write them: addr-specs out of phrases, comments, groups and plain mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Beyond this an address field is cut: it holds thousands of addresses.
_MAX_FIELD_CHARS = 300_000
_DOMAIN = re.compile(r"[^\s@<>()\[\],;:\"\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+|\[[0-9A-Za-z.:]+\]")
_LOCAL = re.compile(
    r"[^\s@<>()\[\],;:\"\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+|\"[^\"\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+\""
)
_LOOSE = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[^\s@<>()\[\],;:\"\\]{1,255}")
# RFC 5321's dot-string at a domain of letters, digits and hyphens: what every relay takes.
_PLAIN = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# An encoded word (RFC 2047 section 2), which may hold any special but those that would make an address of its inside.
_ENCODED = r'=\?[^\s?<>"]{1,60}\?[bBqQ]\?[^?<>"\r\n]{0,2000}\?='
# A quoted string, an encoded word, a special, or a run of anything else. A quotation mark never closed is a character.
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.){{0,256}}"|{_ENCODED}|[()<>:,;"=]|[^()<>:,;"=]+', re.DOTALL)
# RFC 5321 § 4.5.3.1: 64 for the local part, an @, 255 for the domain.
MAX_ADDRESS = 320


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name as it was written (encoded words and all) and a normalised addr-spec."""

    name: str
    address: str


def mailboxes(value: str, limit: int) -> list[Mailbox]:
    """Every mailbox of an address field (RFC 5322 § 3.4), those in groups too, at most ``limit``; never raises.

    What is in quotes, comments or encoded words is never taken for an address: it may be written to look like somebody
    else.
    """
    if len(value) > _MAX_FIELD_CHARS:
        value = value[:_MAX_FIELD_CHARS]
    found = [mailbox for draft in _drafts(value) if (mailbox := draft.mailbox())]
    return found[:limit]


def normalised(address: str) -> str | None:
    """An addr-spec with its domain in lower case and no dot at its end; None for what is none.

    The local part stays as it is: it is the receiving host's to interpret (RFC 5321 § 2.4).
    """
    local, at, domain = address.strip().rpartition("@")
    local, domain = local.strip(), domain.strip().rstrip(".").lower()
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        return None
    result = f"{local}@{domain}"
    return result if len(result) <= MAX_ADDRESS else None


def is_plain(address: str) -> bool:
    """Whether the address can be written to without quoting, literals or SMTPUTF8."""
    return len(address) <= MAX_ADDRESS and len(address.partition("@")[0]) <= 64 and bool(_PLAIN.fullmatch(address))


def domain_of(address: str) -> str:
    """The part after the last ``@``, in lower case."""
    return address.rpartition("@")[2].lower()


def without_tag(address: str) -> str:
    """The address folded for comparison, without a ``+tag`` in its local part (RFC 5233)."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}".casefold()


@dataclass(slots=True)
class _Draft:
    """One comma-separated member while it is read."""

    spelt: list[str] = field(default_factory=list)
    unquoted: list[str] = field(default_factory=list)
    comment: list[str] = field(default_factory=list)
    angle: list[str] | None = None
    encoded: bool = False

    def mailbox(self) -> Mailbox | None:
        phrase = "".join(self.spelt).strip()
        if self.angle is not None:
            # A route (RFC 5321 appendix F.2) ends with a colon; what follows it is the address.
            address = normalised("".join(self.angle).rpartition(":")[2] or "")
            if address:
                return Mailbox(_unquoted(phrase) or "".join(self.comment).strip(), address)
        address = None if self.encoded else normalised(phrase)
        if address is None and (loose := _LOOSE.search("".join(self.unquoted))):
            address = normalised(loose.group())
        return Mailbox("".join(self.comment).strip(), address) if address else None


def _drafts(value: str) -> list[_Draft]:
    """The members of an address field, told apart by tokens; comments nest, and quotes may stand in angles."""
    drafts = [_Draft()]
    in_angle = False
    depth = 0
    for piece in _TOKEN.findall(value):
        draft = drafts[-1]
        if piece in ("(", ")"):
            depth = max(0, depth + (1 if piece == "(" else -1))
        elif depth:
            draft.comment.append(piece)
        elif piece == "<":
            in_angle, draft.angle = True, []
        elif piece == ">":
            in_angle = False
        elif in_angle and draft.angle is not None:
            draft.angle.append(piece)
        elif piece == ":":
            drafts[-1] = _Draft()  # what came before was a group's name
        elif piece in (",", ";"):
            drafts.append(_Draft())
        else:
            draft.spelt.append(piece)
            encoded = piece.startswith("=?") and piece.endswith("?=")
            draft.encoded |= encoded
            draft.unquoted.append(" " if encoded or piece.startswith('"') else piece)
    return drafts


def _unquoted(phrase: str) -> str:
    return re.sub(r"\\(.)", r"\1", phrase).replace('"', "").strip()
