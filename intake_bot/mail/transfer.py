"""Transfer encodings taken off (RFC 2045 § 6), and uuencode, which is older than they are."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

_BASE64_JUNK = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_CHUNK = re.compile(rb"[A-Za-z0-9+/]+=*")
# A line of code, long or padded; a single long word is rare enough.
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9+/]{2,}={1,2}")
_BASE64_TAIL = re.compile(rb"[A-Za-z0-9+/]{1,15}={0,2}")
_PROSE_LINE = re.compile(rb"\S[ \t]+\S")
_SOFT_BREAK = re.compile(rb"=[ \t]+(?=\r?\n|\Z)")
_ENCODING_NOISE = re.compile(r"\([^()]*\)|[\s_\"'-]")
_ENCODINGS = {
    "7bit": "7bit",
    "8bit": "8bit",
    "base64": "base64",
    "binary": "binary",
    "quotedprintable": "quoted-printable",
    "uue": "x-uuencode",
    "uuencode": "x-uuencode",
    "xuue": "x-uuencode",
    "xuuencode": "x-uuencode",
}
_UU_BEGIN = re.compile(rb"begin [0-7]{3,4} ([^\r\n]{1,200})\r?\n")
_UU_LINE = re.compile(rb"[ -`]+")
_UU_END = re.compile(rb"end[ \t]*(?:\r?\n|\Z)")
_MAX_UU_FILES = 50
# 63 bytes at most, as 84 characters, and what programs add.
_MAX_UU_LINE = 90


@dataclass(frozen=True, slots=True)
class UuFile:
    """A uuencoded file inside a text: where its block lies, and the name that it was given."""

    start: int
    end: int
    name: bytes


def encoding_named(value: str) -> str:
    """The encoding that a Content-Transfer-Encoding names, however it is spelt; what is none comes back as it is."""
    bare = value.partition(";")[0].strip().lower()
    return _ENCODINGS.get(_ENCODING_NOISE.sub("", bare), bare.strip("\"'"))


def transfer_decoded(body: bytes, encoding: str, defects: set[str], *, is_text: bool) -> bytes:
    """The content under an encoding as :func:`encoding_named` names it; an unknown one is taken as none.

    Broken base64 gives all that can be decoded. Where plain lines stand around it, as gateways put warnings before
    and mailing lists footers after, a text keeps them; a text that is all plain lines is no base64 at all: they may
    be words of the account.
    """
    match encoding:
        case "base64":
            return _base64_decoded(body, defects, is_text=is_text)
        case "quoted-printable":
            return binascii.a2b_qp(_SOFT_BREAK.sub(b"=", body))
        case "x-uuencode":
            return _uu_decoded(body, defects)
        case "" | "7bit" | "8bit" | "binary":
            return body
        case _:
            defects.add("UnknownTransferEncoding")
            return body


def uu_files(text: bytes, start: int, end: int) -> Iterator[UuFile]:
    """The uuencoded files between two positions of a text; the last may lack its end."""
    files = 0
    while files < _MAX_UU_FILES and (hit := text.find(b"begin ", start, end)) >= 0:
        begin = _UU_BEGIN.match(text, hit, end) if hit == 0 or text[hit - 1] in b"\r\n" else None
        if begin is None:
            start = hit + 1
            continue
        start = begin.end()
        lines = 0
        while start < end:
            newline = text.find(b"\n", start, end)
            stop = end if newline < 0 else newline + 1
            line = text[start:stop].rstrip(b"\r\n")
            if not _is_uu_line(line):
                # A last line that was cut off belongs to the file all the same.
                start = end if newline < 0 and lines and not _PROSE_LINE.search(line) else start
                break
            lines += len(line) > 1
            start = stop
        if closing := _UU_END.match(text, start, end):
            start = closing.end()
        files += lines > 0
        if lines:
            yield UuFile(begin.start(), start, begin[1].strip())


def _is_uu_line(line: bytes) -> bool:
    """Whether a line is as long as its first character says, give or take what programs add or strip at its end."""
    if len(line) > _MAX_UU_LINE or not _UU_LINE.fullmatch(line):
        return False
    coded = (((line[0] - 32) & 63) + 2) // 3 * 4
    return -4 <= len(line) - 1 - coded <= 2 and (coded > 0 or len(line) <= 2)


def _uu_decoded(body: bytes, defects: set[str]) -> bytes:
    found = next(uu_files(body, 0, len(body)), None)
    if found is None:
        defects.add("InvalidUuencode")
        return body
    decoded: list[bytes] = []
    for line in body[found.start : found.end].splitlines()[1:]:
        if line.strip() == b"end":
            break
        if line:
            decoded.append(_uu_line(line, defects))
    return b"".join(decoded)


def _uu_line(line: bytes, defects: set[str]) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # Trailing junk, or spaces that a mail program stripped: as long as the first character says, and no longer.
        coded = (((line[0] - 32) & 63) * 4 + 5) // 3
        defects.add("InvalidUuencode")
        try:
            return binascii.a2b_uu(line[: coded + 1])
        except binascii.Error:
            return b""


def _base64_decoded(body: bytes, defects: set[str], *, is_text: bool) -> bytes:
    try:
        return binascii.a2b_base64(body.translate(None, b"\r\n\t "), strict_mode=True)
    except binascii.Error:
        return _broken_base64_decoded(body, defects, is_text=is_text)


def _broken_base64_decoded(body: bytes, defects: set[str], *, is_text: bool) -> bytes:
    before, after = b"", b""
    if is_text and _PROSE_LINE.search(body):
        before, body, after = _prose_around(body)
        defects.add("TextAroundBase64")
    squeezed_body = _BASE64_JUNK.sub(b"", body)
    if len(squeezed_body) < len(body.translate(None, b"\r\n\t ")):
        defects.add("InvalidBase64CharactersDefect")
    bare = squeezed_body.rstrip(b"=")
    if b"=" not in bare:
        return before + _base64_run(bare, len(squeezed_body) - len(bare), defects) + after
    # Some programs encode line by line and pad each: a decoder that stops at the first padding loses the rest.
    runs = (chunk.group() for chunk in _BASE64_CHUNK.finditer(squeezed_body))
    return before + b"".join(_base64_run(run.rstrip(b"="), run.count(b"="), defects) for run in runs) + after


def _prose_around(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Plain lines before the code, the code, plain lines after it."""
    lines = body.split(b"\n")
    coded = [number for number, line in enumerate(lines) if _BASE64_LINE.fullmatch(line.strip())]
    if not coded:
        return body, b"", b""
    first, last = coded[0], coded[-1]
    if (
        last + 1 < len(lines)
        and not lines[last].rstrip().endswith(b"=")
        and _BASE64_TAIL.fullmatch(lines[last + 1].strip())
    ):
        last += 1
    before, after = b"\n".join(lines[:first]).strip(), b"\n".join(lines[last + 1 :]).strip()
    return before + b"\n" * bool(before), b"\n".join(lines[first : last + 1]), b"\n" * bool(after) + after


def _base64_run(bare: bytes, padding: int, defects: set[str]) -> bytes:
    if len(bare) % 4 == 1:
        defects.add("InvalidBase64LengthDefect")
        bare = bare[:-1]
    elif (len(bare) + padding) % 4:
        defects.add("InvalidBase64PaddingDefect")
    return binascii.a2b_base64(bare + b"=" * (-len(bare) % 4))
