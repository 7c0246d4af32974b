"""Files that hold a message and its files: winmail.dat, Outlook's .msg, and mail inside its own S/MIME signature."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from intake_bot.mail.charsets import charset_decoded, declared_in_html
from intake_bot.mail.documents import rtf_text
from intake_bot.mail.limits import DocumentFault, Limits

_TNEF = b"\x78\x9f\x3e\x22"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SMIME_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_MSG_TYPES = {"application/vnd.ms-outlook", "application/x-msg", "application/octet-stream", "application/msoutlook"}
# A message within a message within a message: as deep as anybody forwards.
_MAX_NESTED = 8
_ATTACHMENT = re.compile(r"__attach_version1\.0_#[0-9A-Fa-f]{8}")

Kind = Literal["tnef", "msg", "cms"]


@dataclass(frozen=True, slots=True)
class Member:
    """Something that lies in a container. The message's own text has no name."""

    name: str
    content_type: str
    data: bytes


def container_kind(content_type: str, filename: str, begin: bytes) -> Kind | None:
    """What kind of container a file is, by its type, its name and its first eight bytes; None where it is none."""
    name = filename.lower()
    if begin.startswith(_TNEF):
        return "tnef"
    if begin == _OLE and (name.endswith((".msg", ".oft")) or (content_type in _MSG_TYPES and "." not in name)):
        return "msg"
    if content_type in SMIME_TYPES or name.endswith("smime.p7m"):
        return "cms"
    return None


def members(kind: Kind, data: bytes, limits: Limits) -> list[Member]:
    """What lies in a ``tnef`` or ``msg`` container: its own text first, where it has one.

    :raises DocumentFault: there is nothing in it. What the parsers raise on broken files is passed on:
        :class:`~intake_bot.mail.budget.Budget` makes one fault of that.
    """
    if len(data) > limits.max_document_bytes:
        raise DocumentFault("DocumentTooLarge")
    found = _tnef_members(data, limits, 0) if kind == "tnef" else _msg_members(data, limits)
    if not found:
        raise DocumentFault("DocumentBroken")
    return found


def is_cut(kind: Kind, data: bytes) -> bool:
    """Whether the end of a ``tnef`` container is missing, which its library does not mind: what came first was read."""
    position = 6
    while kind == "tnef" and position < len(data):
        # [MS-OXTNEF] § 2.1.3.2: level, id and type, length, data, checksum.
        length = int.from_bytes(data[position + 5 : position + 9], "little")
        position += 9 + length + 2
        if position > len(data):
            return True
    return False


def signed_content(data: bytes) -> bytes | None:
    """The MIME entity inside an opaque signature (RFC 8551 § 3.5.2), which is not checked; None where there is none:
    the message is encrypted, or brings certificates only. Raises ValueError or TypeError on what is no CMS.
    """
    from asn1crypto import cms

    info = cms.ContentInfo.load(data)
    if info["content_type"].native != "signed_data":
        return None
    content = info["content"]["encap_content_info"]["content"].native
    return content if isinstance(content, bytes) and content else None


def _tnef_members(data: bytes, limits: Limits, depth: int) -> list[Member]:
    from tnefparse import TNEF

    logging.getLogger("tnefparse").setLevel(logging.CRITICAL + 1)  # it logs what it stumbles over
    return _of_tnef(TNEF(data, do_checksum=False), limits, depth)


def _of_tnef(tnef: Any, limits: Limits, depth: int) -> list[Member]:
    codepage = str(tnef.codepage or "")
    body = _body(
        plain=_tnef_text(tnef.body, codepage),
        html=_tnef_text(tnef.htmlbody, codepage),
        rtf=tnef.rtfbody,
        header=[],
        limits=limits,
    )
    found = [body] if body else []
    for attachment in tnef.attachments:
        nested = getattr(attachment, "embed", None)
        if nested is not None and depth < _MAX_NESTED:
            found += _of_tnef(nested, limits, depth + 1)
        elif isinstance(attachment.data, bytes) and attachment.data:
            found.append(_file(_tnef_name(attachment, codepage), attachment.data))
    return found


def _tnef_text(value: Any, codepage: str) -> str:
    if isinstance(value, bytes):
        return charset_decoded(value, declared_in_html(value) or codepage, set()).rstrip("\0")
    return value.rstrip("\0") if isinstance(value, str) else ""


def _tnef_name(attachment: Any, codepage: str) -> str:
    from tnefparse.mapi import TNEFMAPI_Attribute

    long = [item.data for item in attachment.mapi_attrs if item.name == TNEFMAPI_Attribute.MAPI_ATTACH_LONG_FILENAME]
    # The short name by the library's own property is UTF-8 or an exception; in the file it is in the code page.
    return _tnef_text(long[0] if long else vars(attachment).get("_name"), codepage)


def _msg_members(data: bytes, limits: Limits) -> list[Member]:
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        return list(_of_msg(ole, [], limits, 0))


def _of_msg(ole: Any, path: list[str], limits: Limits, depth: int) -> Iterator[Member]:
    """A message's text and files ([MS-OXMSG] § 2.2), and those of the messages that are attached to it."""
    shown = (("From", _sender(ole, path)), ("To", _text(ole, path, "0E04")), ("Subject", _text(ole, path, "0037")))
    html = _bytes(ole, path, "1013")
    body = _body(
        plain=_text(ole, path, "1000"),
        html=charset_decoded(html, declared_in_html(html), set()) if html else _text(ole, path, "1013"),
        rtf=_decompressed(_bytes(ole, path, "1009")),
        header=[f"{label}: {' '.join(value.split())}" for label, value in shown if value],
        limits=limits,
    )
    if body:
        yield body
    names = {entry[len(path)] for entry in ole.listdir() if len(entry) > len(path) and entry[: len(path)] == path}
    for name in sorted(filter(_ATTACHMENT.fullmatch, names)):
        inside = [*path, name]
        content = _bytes(ole, inside, "3701")
        if content:
            yield _file(_text(ole, inside, "3707") or _text(ole, inside, "3704"), content)
        elif depth < _MAX_NESTED and ole.exists([*inside, "__substg1.0_3701000D"]):
            yield from _of_msg(ole, [*inside, "__substg1.0_3701000D"], limits, depth + 1)


def _sender(ole: Any, path: list[str]) -> str:
    name, address = _text(ole, path, "0C1A"), _text(ole, path, "5D01") or _text(ole, path, "0C1F")
    return f"{name} <{address}>" if name and "@" in address else name or address


def _text(ole: Any, path: list[str], tag: str) -> str:
    wide = _stream(ole, [*path, f"__substg1.0_{tag}001F"])
    if wide:
        return wide.decode("utf-16-le", "replace").rstrip("\0")
    return charset_decoded(_stream(ole, [*path, f"__substg1.0_{tag}001E"]), "", set()).rstrip("\0")


def _bytes(ole: Any, path: list[str], tag: str) -> bytes:
    return _stream(ole, [*path, f"__substg1.0_{tag}0102"])


def _stream(ole: Any, path: list[str]) -> bytes:
    if not ole.exists(path):
        return b""
    with ole.openstream(path) as stream:
        content: bytes = stream.read()
    return content


def _decompressed(compressed: bytes) -> bytes:
    """RTF as Outlook compresses it ([MS-OXRTFCP])."""
    if not compressed:
        return b""
    from compressed_rtf import decompress

    return bytes(decompress(compressed))


def _body(*, plain: str, html: str, rtf: bytes | None, header: list[str], limits: Limits) -> Member | None:
    """The text in the best form there is, behind the lines of its header."""
    if not plain.strip() and not html.strip() and rtf:
        plain = rtf_text(rtf.decode("latin-1"), limits)
    above = "\n".join(header) + "\n\n" if header else ""
    if plain.strip():
        return Member("", "text/plain", (above + plain).encode("utf-8", "replace"))
    if html.strip():
        from html import escape

        shown = "".join(f"{escape(line)}<br>" for line in header)
        return Member("", "text/html", (shown + html).encode("utf-8", "replace"))
    return Member("", "text/plain", above.encode("utf-8", "replace")) if header else None


def _file(name: str, data: bytes) -> Member:
    return Member(name, "", data)
