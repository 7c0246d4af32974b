"""The MIME structure of a message: which entity lies where in the raw bytes, however broken its boundaries are.

One pass over the lines that could be boundaries, on a stack, without recursion. Python's own parser is recursive and
takes time that grows with depth times lines: a nest of a few megabytes would stop the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from mimetypes import MimeTypes

from intake_bot.mail.budget import Budget
from intake_bot.mail.charsets import charset_decoded, declared_in_html
from intake_bot.mail.containers import Member, container_kind, is_cut, members, signed_content
from intake_bot.mail.fields import Fields, decoded, parameters, read_fields
from intake_bot.mail.limits import DocumentFault, Limits, TooLarge
from intake_bot.mail.names import safe_name
from intake_bot.mail.text import clean, unflowed
from intake_bot.mail.transfer import encoding_named, transfer_decoded, uu_files

_CONTENT_TYPE = re.compile(rb"\s*([A-Za-z0-9!#$&^_.+-]{1,80})\s*/\s*([A-Za-z0-9!#$&^_.+-]{1,120})")
_FILE_TYPES = {"application/octet-stream", "application/eml", "application/x-eml", "application/message"}
_BARE_MULTIPART = re.compile(rb"(?i)\s*multipart\b")
# What gateways and scripts put before a message: a byte order mark, empty lines.
_BEFORE_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*\r?\n){0,10}")
_SNIFFED = re.compile(rb"(?:^|[\r\n])--([^\r\n]{1,200}?)[ \t]*\r?\n(?i:Content-[A-Za-z-]{1,40}[ \t]*:)")
_DASHES = re.compile(rb"-*")
_LINE_END = re.compile(rb"\r*\n?")
# Fields of which any real message has one. A text that merely begins with a word and a colon has none.
_KNOWN = {
    "bcc", "cc", "content-type", "date", "from", "in-reply-to", "message-id", "mime-version", "received", "references",
    "reply-to", "return-path", "sender", "subject", "to",
}  # fmt: skip
# Without the files of the system, so that a name means the same type everywhere.
_TYPES = MimeTypes()
_BEGIN_WINDOW = 400
_MAX_BOUNDARY_LINE = 400
_SNIFF_WINDOW = 65_536
# message/partial: the first piece of a message that was cut in pieces, which begins with its header.
MESSAGE_TYPES = frozenset({"message/rfc822", "message/global", "message/news", "message/partial"})


@dataclass(slots=True)
class Part:
    """One entity. ``source[start:end]`` is its body, still transfer-encoded; ``index`` numbers it for good."""

    index: int
    parent: int | None
    depth: int
    fields: Fields
    content_type: str
    parameters: Mapping[str, str]
    encoding: str
    source: bytes
    start: int
    end: int
    children: list[int] = field(default_factory=list)
    closed: bool = False
    holes: list[tuple[int, int]] = field(default_factory=list)
    """Where in ``source`` files lie that were written into a text: parts of their own, and none of its words."""
    contained: list[int] = field(default_factory=list)
    """Parts that lie in this file (winmail.dat, .msg), its own text among them."""
    in_container: bool = False

    @property
    def is_multipart(self) -> bool:
        return self.content_type.startswith("multipart/") and bool(self.children)

    @property
    def is_message(self) -> bool:
        """Whether a message lies in it: by its type, or by the name that mail programs give one they save as a file."""
        return self.content_type in MESSAGE_TYPES or (
            self.content_type in _FILE_TYPES and self.filename.lower().endswith(".eml")
        )

    @property
    def disposition(self) -> str:
        return self.fields.text("content-disposition").partition(";")[0].strip().lower()

    @property
    def filename(self) -> str:
        """The name that the sender gave, decoded and unsafe; empty where there is none."""
        disposition = parameters(self.fields.first("content-disposition") or b"")
        return disposition.get("filename", "") or self.parameters.get("name", "")

    def safe_filename(self, max_chars: int) -> str:
        return safe_name(self.filename, self.content_type, self.index, max_chars)

    def content(self, defects: set[str]) -> bytes:
        """The body with its transfer encoding taken off."""
        return self._decoded(self.source[self.start : self.end], defects)

    def begin(self) -> bytes:
        """The first eight bytes of the content, by which the kind of a file is told."""
        coded = self.source[self.start : min(self.end, self.start + _BEGIN_WINDOW)]
        return transfer_decoded(coded, self.encoding, set(), is_text=False)[:8]

    def text(self, defects: set[str]) -> str:
        """The body as clean text, whatever its charset label says."""
        pieces, position = [], self.start
        for start, end in self.holes:
            pieces.append(self.source[position:start])
            position = end
        data = self._decoded(b"".join((*pieces, self.source[position : self.end])), defects)
        charset = self.parameters.get("charset", "")
        if not charset and self.content_type == "text/html":
            charset = declared_in_html(data)
        text = clean(charset_decoded(data, charset, defects))
        if self.content_type == "text/plain" and self.parameters.get("format", "").lower() == "flowed":
            text = unflowed(text, delsp=self.parameters.get("delsp", "").lower() == "yes")
        return text

    def _decoded(self, body: bytes, defects: set[str]) -> bytes:
        is_text = self.content_type.startswith(("text/", "multipart/"))
        return transfer_decoded(body, self.encoding, defects, is_text=is_text)


def parse(raw: bytes, limits: Limits, defects: set[str], budget: Budget | None = None) -> list[Part]:
    """Every entity of a message, the message itself first, each after its parent; then what lies in containers.

    :raises TooLarge: more than ``max_parts`` entities, nested deeper than ``max_depth``, or ``max_raw_bytes`` exceeded.
    """
    if len(raw) > limits.max_raw_bytes:
        raise TooLarge("raw_too_large")
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    found: set[str] = set()
    walk = _Walk(limits, found, {})
    walk.run(raw)
    sniffed = walk.sniffed_boundaries()
    if sniffed:
        found = {"StartBoundaryNotFoundDefect"}
        walk = _Walk(limits, found, sniffed)
        walk.run(raw)
    walk.open_containers(budget or Budget(limits))
    defects |= found
    return walk.parts


class _Walk:
    def __init__(self, limits: Limits, defects: set[str], boundaries: Mapping[tuple[int, int], bytes]) -> None:
        self.parts: list[Part] = []
        self._limits = limits
        self._defects = defects
        self._given = boundaries
        self._chain: list[Part] = []
        self._open: dict[bytes, list[Part]] = {}

    def run(self, raw: bytes) -> None:
        self._run(raw, None)
        # A whole message or multipart under a transfer encoding is forbidden (RFC 2046 § 5.2.1, RFC 2045 § 6.4) and
        # comes all the same.
        for part in self.parts:
            if part.encoding not in {"base64", "quoted-printable"} or part.children:
                continue
            if part.is_message:
                self._run(part.content(self._defects), part)
            elif part.content_type.startswith("multipart/") and part.start < part.end:
                header = b"Content-Type: " + (part.fields.first("content-type") or b"") + b"\n\n"
                self._run(header + part.content(self._defects), part)
        for part in self.parts[:]:
            if part.content_type == "text/plain" and part.encoding in {"", "7bit", "8bit", "binary"}:
                self._take_out_files(part)

    def _take_out_files(self, text: Part) -> None:
        """Make a part of every uuencoded file in a text."""
        for found in uu_files(text.source, text.start, text.end):
            if len(self.parts) >= self._limits.max_parts:
                raise TooLarge("too_many_parts")
            name = found.name.replace(b"\\", b"/").replace(b'"', b"")
            text.holes.append((found.start, found.end))
            self.parts.append(
                Part(
                    index=len(self.parts),
                    parent=text.index,
                    depth=text.depth + 1,
                    fields=Fields((("content-disposition", b'attachment; filename="%s"' % name),)),
                    content_type=_TYPES.guess_type(decoded(name, set()))[0] or "application/octet-stream",
                    parameters={},
                    encoding="x-uuencode",
                    source=text.source,
                    start=found.start,
                    end=found.end,
                )
            )

    def open_containers(self, budget: Budget) -> None:
        """Make parts of what lies in winmail.dat, in .msg and in opaque signatures; a broken one stays a file."""
        for part in self.parts:
            if part.children or part.content_type.startswith(("text/", "multipart/", "image/")) or part.is_message:
                continue
            kind = container_kind(part.content_type, part.filename, part.begin())
            if kind is None or part.depth >= self._limits.max_depth:
                continue
            try:
                with budget.document():
                    if kind == "cms":
                        inside = signed_content(part.content(set()))
                        found: list[Member] = []
                    else:
                        inside = None
                        content = part.content(set())
                        found = members(kind, content, self._limits)
                        if is_cut(kind, content):
                            self._defects.add("DocumentBroken")
            except DocumentFault as fault:
                self._defects.add(fault.code)
                continue
            if inside is not None:
                self._run(inside, part)
            for member in found:
                if len(self.parts) >= self._limits.max_parts:
                    self._defects.add("DocumentTooLarge")
                    return
                self._add_member(part, member)

    def _add_member(self, container: Part, member: Member) -> None:
        name = member.name.replace("\\", "/").replace('"', "")
        disposition = b'attachment; filename="%s"' % name.encode("utf-8", "replace")
        content_type = member.content_type or _TYPES.guess_type(member.name)[0] or "application/octet-stream"
        container.contained.append(len(self.parts))
        self.parts.append(
            Part(
                index=len(self.parts),
                parent=container.index,
                depth=container.depth + 1,
                fields=Fields() if member.content_type else Fields((("content-disposition", disposition),)),
                content_type=content_type,
                parameters={"charset": "utf-8"} if member.content_type else {},
                encoding="",
                source=member.data,
                start=0,
                end=len(member.data),
                in_container=True,
            )
        )

    def sniffed_boundaries(self) -> dict[tuple[int, int], bytes]:
        """The boundaries that multiparts really use, where the declared one is absent or nowhere in the body."""
        result = {}
        for part in self.parts:
            if part.content_type.startswith("multipart/") and not part.children:
                window = part.source[part.start : min(part.end, part.start + _SNIFF_WINDOW)]
                if match := _SNIFFED.search(window):
                    result[len(part.source), part.start] = match[1]
                else:
                    self._defects.add("StartBoundaryNotFoundDefect")
        return result

    def _run(self, raw: bytes, parent: Part | None) -> None:
        self._chain, self._open = [], {}
        self._enter(raw, 0, parent)
        for offset, key, following in _dash_lines(raw):
            multipart, closing = self._owner(key)
            if multipart is None or offset < multipart.start:
                continue
            self._leave(multipart, _before_newline(raw, offset))
            if closing:
                multipart.closed = True
            else:
                self._enter(raw, following, multipart)
        self._leave(None, len(raw))

    def _enter(self, raw: bytes, start: int, parent: Part | None) -> None:
        """Open the entity at ``start``, and the messages that lie directly inside it."""
        while True:
            part = self._part(raw, start, parent)
            self.parts.append(part)
            self._chain.append(part)
            if parent is not None:
                parent.children.append(part.index)
            if part.content_type.startswith("multipart/"):
                boundary = self._given.get((len(raw), part.start)) or _boundary(part)
                if boundary:
                    self._open.setdefault(boundary, []).append(part)
                else:
                    self._defects.add("NoBoundaryInMultipartDefect")
                return
            if not part.is_message or part.encoding in {"base64", "quoted-printable"}:
                return
            start, parent = part.start, part

    def _part(self, raw: bytes, start: int, parent: Part | None) -> Part:
        depth = parent.depth + 1 if parent else 0
        if len(self.parts) >= self._limits.max_parts:
            raise TooLarge("too_many_parts")
        if depth > self._limits.max_depth:
            raise TooLarge("too_deep")
        junk = _BEFORE_HEADER.match(raw) if parent is None else None
        begin = junk.end() if junk else start
        fields, body = read_fields(raw, begin, self._is_boundary, self._limits.max_header_fields, self._defects)
        if parent is None and not any(name in _KNOWN for name, _ in fields):
            fields, body = Fields(), start
        digest = parent is not None and parent.content_type == "multipart/digest"
        value = fields.first("content-type")
        content_type = "message/rfc822" if digest and value is None else _content_type(value, self._defects)
        given = parameters(value or b"")
        if content_type == "message/partial" and given.get("number", "1").strip() != "1":
            content_type = "text/plain"  # a later piece: it has no header, and may hold words
        encoding = encoding_named(fields.text("content-transfer-encoding"))
        return Part(
            index=len(self.parts),
            parent=parent.index if parent else None,
            depth=depth,
            fields=fields,
            content_type=content_type,
            parameters=given,
            encoding=encoding,
            source=raw,
            start=body,
            end=len(raw),
        )

    def _owner(self, key: bytes) -> tuple[Part | None, bool]:
        """The multipart whose boundary a line is, the innermost open one first, and whether the line closes it.

        A closed multipart may go on after all: what follows its end would otherwise be lost with the epilogue.
        """
        closing = False
        owners = self._open.get(key)
        if not owners and key.endswith(b"--"):
            owners, closing = self._open.get(key[:-2]), True
        if not owners:
            return None, False
        return next((part for part in reversed(owners) if not part.closed), owners[-1]), closing

    def _is_boundary(self, line: bytes) -> bool:
        return self._owner(line[2:].rstrip(b" \t\r"))[0] is not None

    def _leave(self, multipart: Part | None, end: int) -> None:
        """Close every entity that is open inside ``multipart`` (all, where it is None)."""
        while self._chain and self._chain[-1] is not multipart:
            part = self._chain.pop()
            part.end = max(part.start, end)
            for owners in self._open.values():
                if owners and owners[-1] is part:
                    owners.pop()
                    if part.children and not part.closed:
                        self._defects.add("CloseBoundaryNotFoundDefect")


def _boundary(part: Part) -> bytes:
    return part.parameters.get("boundary", "").encode("utf-8", "surrogateescape").rstrip(b" \t")


def _content_type(value: bytes | None, defects: set[str]) -> str:
    """RFC 2045 § 5.2: absent or malformed means text/plain, but for what has a boundary."""
    if value is None:
        return "text/plain"
    match = _CONTENT_TYPE.match(value)
    if match is None:
        if value.strip():
            defects.add("InvalidContentType")
        return "multipart/mixed" if _BARE_MULTIPART.match(value) else "text/plain"
    return f"{match[1].decode('ascii')}/{match[2].decode('ascii')}".lower()


def _dash_lines(raw: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Lines that begin with two hyphens: where they begin, what follows the hyphens, where the next line begins."""
    position = 0
    while (hit := raw.find(b"--", position)) >= 0:
        if hit == 0 or raw[hit - 1] in b"\r\n":
            line = raw[hit : hit + _MAX_BOUNDARY_LINE]
            for newline in (b"\n", b"\r"):
                cut = line.find(newline)
                line = line if cut < 0 else line[:cut]
            end = _LINE_END.match(raw, hit + len(line))
            yield hit, line[2:].rstrip(b" \t"), end.end() if end else len(raw)
        dashes = _DASHES.match(raw, hit)
        position = dashes.end() if dashes else hit + 2


def _before_newline(raw: bytes, offset: int) -> int:
    """The line end before a boundary belongs to the boundary (RFC 2046 § 5.1.1)."""
    if offset and raw[offset - 1 : offset] == b"\n":
        offset -= 1
    if offset and raw[offset - 1 : offset] == b"\r":
        offset -= 1
    return offset
