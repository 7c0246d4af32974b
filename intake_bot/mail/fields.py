"""Header fields: where they end, what they say once unfolded and decoded, and their parameters."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from intake_bot.mail.charsets import charset_decoded
from intake_bot.mail.transfer import transfer_decoded

_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:[ \t]*(.*)", re.DOTALL)
_WORD = re.compile(rb"=\?([!->@-~]{1,80})\?([bBqQ])\?(.{0,4000}?)\?=")
_PARAMETER = re.compile(r';\s*([^\s=;"]{1,80})\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_MESSAGE_IDS = re.compile(r"<{1,8}[^<>]+>{1,8}")
# Beyond this a field that people read is not decoded: the longest honest subject is a hundredth of it.
_MAX_DECODED = 20_000
# RFC 5322 § 2.1.1. A longer id is stored by its hash, so that it fits an index and still differs from every other.
MAX_MESSAGE_ID = 998


@dataclass(frozen=True, slots=True)
class Fields:
    """The header of one entity: lower-case names with raw values, unfolded, in their order."""

    items: tuple[tuple[str, bytes], ...] = ()

    def all(self, name: str) -> tuple[bytes, ...]:
        return tuple(value for key, value in self.items if key == name)

    def first(self, name: str) -> bytes | None:
        return next((value for key, value in self.items if key == name), None)

    def text(self, name: str) -> str:
        """The first field of that name as it is spelt, undecoded but for its bytes; empty where there is none."""
        return as_text(self.first(name) or b"")

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self.items)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.items)


def read_fields(
    raw: bytes, start: int, is_boundary: Callable[[bytes], bool], max_fields: int, defects: set[str]
) -> tuple[Fields, int]:
    """The header that begins at ``start``, and where the body after it begins (RFC 5322 § 2.2).

    A line that is neither a field nor a continuation ends the header and belongs to the body, as Postfix has it, so
    that no words are lost; a boundary line does the same. A lone CR is white space, never the start of a field.
    """
    items: list[tuple[str, list[bytes]]] = []
    position, end = start, len(raw)
    while position < end:
        newline = raw.find(b"\n", position)
        stop = end if newline < 0 else newline + 1
        line = raw[position:stop].rstrip(b"\r\n")
        if not line:
            position = stop
            break
        if line.startswith(b"--") and is_boundary(line):
            defects.add("MissingHeaderBodySeparatorDefect")
            break
        if line[0] in b" \t" and items:
            items[-1][1].append(line)
        elif field := _FIELD.match(line):
            items.append((field[1].decode("ascii").lower(), [field[2]]))
        elif not line.startswith((b"From ", b">From ")):  # left by mailbox files
            defects.add("MissingHeaderBodySeparatorDefect")
            break
        position = stop
    if len(items) > max_fields:
        defects.add("HeaderCut")
    return Fields(tuple((name, _unfolded(lines)) for name, lines in items[:max_fields])), position


def as_text(value: bytes) -> str:
    """Header bytes as text: UTF-8 (RFC 6532), else Windows-1252, else ISO 8859-1."""
    return charset_decoded(value, "", set())


def decoded(value: bytes, defects: set[str]) -> str:
    """A field for people to read, its encoded words (RFC 2047) decoded.

    Mended on the way: raw 8-bit bytes, wrong and unknown charsets, bad padding, spaces inside a word, words glued to
    their neighbours, and characters cut in two between adjacent words of one charset.
    """
    if len(value) > _MAX_DECODED:
        defects.add("HeaderCut")
        value = value[:_MAX_DECODED]
    pieces: list[str] = []
    pending = b""
    pending_charset = ""
    position = 0
    for word in _WORD.finditer(value):
        between = value[position : word.start()]
        charset = word[1].decode("ascii").split("*", 1)[0].lower()
        if pending and (between.strip() or charset != pending_charset):
            pieces.append(charset_decoded(pending, pending_charset, defects))
            pending = b""
        # White space between two encoded words is not part of the text (RFC 2047 § 6.2).
        if between.strip() or (position == 0 and between):
            pieces.append(charset_decoded(between, "", defects))
        pending += _word_bytes(word[2], word[3])
        pending_charset = charset
        position = word.end()
    if pending:
        pieces.append(charset_decoded(pending, pending_charset, defects))
    pieces.append(charset_decoded(value[position:], "", defects))
    return "".join(pieces)


def parameters(value: bytes) -> dict[str, str]:
    """The parameters of a structured field (RFC 2045 § 5.1), by lower-case name; continuations and charsets by
    RFC 2231, and encoded words in quotes, which the standards forbid and half the world writes. The first wins.
    """
    simple: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(value[:_MAX_DECODED].decode("latin-1")):
        name, content = match[1].lower(), match[2].strip()
        if content.startswith('"'):
            content = re.sub(r"\\(.)", r"\1", content[1:].removesuffix('"'), flags=re.DOTALL)
        base, star, section = name.partition("*")
        if not star:
            simple.setdefault(name, content)
            continue
        number = section.removesuffix("*")
        if not number or (number.isascii() and number.isdigit() and len(number) <= 4):
            encoded = section.endswith("*") or not section
            extended.setdefault(base, {}).setdefault(int(number or 0), (content, encoded))
    result = {name: decoded(content.encode("latin-1"), set()) for name, content in simple.items()}
    for name, sections in extended.items():
        joined = _rfc2231(sections)
        if joined:
            result[name] = joined
    return result


def message_id(value: bytes) -> str | None:
    """A Message-ID field whole, unchanged but for the white space around it; None where it names nothing.

    Bytes that are no UTF-8 and control characters are written as escapes, so that two ids that differ stay two.
    """
    text = value.strip().decode("utf-8", "backslashreplace")
    text = "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode() for char in text
    )
    if not text.strip("<> "):
        return None
    encoded = text.encode()
    if len(encoded) <= MAX_MESSAGE_ID:
        return text
    import hashlib

    return f"{encoded[:200].decode('utf-8', 'ignore')}#sha256:{hashlib.sha256(encoded).hexdigest()}"


def message_ids(value: bytes, limit: int) -> tuple[str, ...]:
    """The Message-IDs that In-Reply-To or References name, in order, brackets kept, spelt as :func:`message_id` does.

    Without any bracket, what stands between white space and contains an ``@``, or the one word that there is.
    Beyond ``limit`` the first (the root of the thread) and the last ones are kept.
    """
    text = value.decode("latin-1")
    found = _MESSAGE_IDS.findall(text)
    if not found:
        tokens = text.split()
        found = tokens if len(tokens) == 1 else [token for token in tokens if "@" in token]
    if len(found) > limit:
        found = [found[0], *found[-(limit - 1) :]]
    ids = (message_id(token.encode("latin-1")) for token in found)
    return tuple(dict.fromkeys(token for token in ids if token))


def _unfolded(lines: list[bytes]) -> bytes:
    return b"".join(lines).replace(b"\r", b" ").strip(b" \t")


def _word_bytes(encoding: bytes, payload: bytes) -> bytes:
    if encoding in b"bB":
        return transfer_decoded(payload, "base64", set(), is_text=False)
    return binascii.a2b_qp(payload.replace(b" ", b"_"), header=True)


def _rfc2231(sections: dict[int, tuple[str, bool]]) -> str:
    first, first_encoded = sections[min(sections)]
    charset = ""
    if first_encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
    data = b""
    for number in sorted(sections):
        content, encoded = sections[number]
        content = first if number == min(sections) else content
        data += unquote_to_bytes(content.encode("latin-1")) if encoded else content.encode("latin-1")
    return charset_decoded(data, charset, set())
