"""Documents that people attach, turned to text: for triage, for the minimum-data check and for the officer's eyes.

What a file is, its first bytes say; its name and its type only where they cannot. Macros, scripts and links are never
run or followed: text is all that is taken out.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from intake_bot.mail.charsets import charset_decoded
from intake_bot.mail.limits import DocumentFault, Limits
from intake_bot.mail.secure_mail import is_envelope
from intake_bot.mail.text import clean, html_to_text, is_html_document

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PDF_WINDOW = 1_024
_MAX_MEMBERS = 5_000
_WORD_PARTS = re.compile(r"word/(?:document\d?|header\d{0,3}|footer\d{0,3}|footnotes|endnotes|comments)\.xml")
_WORD_ORDER = ("document", "header", "footer", "footnotes", "endnotes", "comments")
# A picture inside RTF: hexadecimal digits by the thousand.
_RTF_PICTURE = re.compile(r"[0-9A-Fa-f\r\n]{400,}")
# PGP, S/MIME; Galaxkey, Egress Switch, AxCrypt.
_ENCRYPTED_NAME = re.compile(r"(?i)\.(?:gpg|pgp|p7m|gxk|switch|axx)\Z")
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
_SEVEN_ZIP_AES = b"\x06\xf1\x07\x01"
_SEVEN_ZIP_HEADER_BYTES = 65_536
_TEXT_NAME = re.compile(r"(?i)\.(?:txt|text|md|csv|log)\Z")
_DATA_TYPES = {"text/css", "text/javascript", "text/xml", "text/x-amp-html", "text/watch-html",
               "text/rfc822-headers"}  # fmt: skip
# What of Word and of OpenDocument is no text of the document, or is there twice.
_LEFT_OUT = {"sectPr", "del", "moveFrom", "Fallback", "instrText", "delText", "pPr", "rPr", "tblPr", "tracked-changes"}
_CALENDAR_FIELDS = {
    "SUMMARY": "Summary",
    "DTSTART": "When",
    "DTEND": "Until",
    "LOCATION": "Where",
    "ORGANIZER": "Organiser",
    "ATTENDEE": "With",
    "DESCRIPTION": "Description",
    "COMMENT": "Comment",
    "FN": "Name",
    "ORG": "Organisation",
    "TITLE": "Title",
    "TEL": "Telephone",
    "EMAIL": "Email",
    "NOTE": "Note",
}
_CONTENT_LINE = re.compile(r'(?:[\w-]+\.)?([A-Za-z-]+)((?:;[^:;"]*(?:"[^"]*"[^:;"]*)*)*):(.*)', re.DOTALL)
_COMMON_NAME = re.compile(r'(?i);CN=(?:"([^"]*)"|([^;:]*))')


def document_text(
    data: bytes, *, filename: str, content_type: str, charset: str, limits: Limits, defects: set[str]
) -> str | None:
    """The text of a document, cut at ``max_document_chars``; None for a file that is none that we read.

    ``DocumentsCut`` among the defects says that there is more.

    :raises DocumentFault: it is encrypted, or exceeds a bound. A broken file raises whatever its parser raises:
        :class:`~intake_bot.mail.budget.Budget` makes one fault of that.
    """
    if not data:
        return None
    if len(data) > limits.max_document_bytes:
        raise DocumentFault("DocumentTooLarge")
    text = _text(data, limits, defects, filename=filename, content_type=content_type, charset=charset)
    if text is None:
        return None
    text = clean(text).strip()
    if len(text) > limits.max_document_chars:
        defects.add("DocumentsCut")
    return text[: limits.max_document_chars]


def _text(
    data: bytes, limits: Limits, defects: set[str], *, filename: str, content_type: str, charset: str
) -> str | None:
    if is_envelope(content_type, filename, data[:8]):
        raise DocumentFault("DocumentEncrypted")
    if data.startswith(_SEVEN_ZIP) and _SEVEN_ZIP_AES in data[-_SEVEN_ZIP_HEADER_BYTES:]:
        raise DocumentFault("DocumentEncrypted")
    if data.startswith(b"PK\x03\x04"):
        return _zipped_text(data, limits)
    if b"%PDF-" in data[:_PDF_WINDOW]:
        return _pdf_text(data, limits, defects)
    if data.startswith(b"{\\rtf"):
        return rtf_text(data.decode("latin-1"), limits)
    if data.startswith(_OLE):
        _refuse_encrypted_ole(data)
        return None
    if _ENCRYPTED_NAME.search(filename) or data.startswith(b"-----BEGIN PGP MESSAGE-----"):
        raise DocumentFault("DocumentEncrypted")
    if content_type in _DATA_TYPES:
        return None
    if content_type.startswith("text/") or _TEXT_NAME.search(filename):
        return data_text(charset_decoded(data, charset, set()), content_type, limits)
    return None


def data_text(text: str, content_type: str, limits: Limits) -> str:
    """A text under ``text/``, made readable: HTML, RTF, a calendar entry, a card; any other stays as it is."""
    start = text[:200].lstrip("\ufeff \t\r\n").upper()
    if start.startswith(("BEGIN:VCALENDAR", "BEGIN:VCARD")):
        return _content_lines_text(clean(text)) or text
    if content_type == "text/html" or is_html_document(text):
        return html_to_text(text, limits.max_html_chars).plain
    if text.startswith("{\\rtf"):
        return rtf_text(text, limits)
    return text


def rtf_text(source: str, limits: Limits) -> str:
    """The text of an RTF document; its pictures are left out."""
    from striprtf.striprtf import rtf_to_text

    source = _RTF_PICTURE.sub("", source[: limits.max_text_chars])
    text: str = rtf_to_text(source, errors="replace")  # type: ignore[no-untyped-call]
    return text


def _zipped_text(data: bytes, limits: Limits) -> str | None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS:
            raise DocumentFault("DocumentTooLarge")
        if any(member.flag_bits & 1 for member in members):
            raise DocumentFault("DocumentEncrypted")
        names = {member.filename for member in members}
        if any(name.startswith("word/document") for name in names):
            parts = sorted(filter(_WORD_PARTS.fullmatch, names), key=_word_order)
            # Headers and footers repeat from section to section: each text once.
            texts = (_xml_text(_member(archive, name, limits)) for name in parts)
            return "\n\n".join(dict.fromkeys(text for text in texts if text))
        if "content.xml" in names:
            if "META-INF/manifest.xml" in names and b"encryption-data" in _member(
                archive, "META-INF/manifest.xml", limits
            ):
                raise DocumentFault("DocumentEncrypted")
            return _xml_text(_member(archive, "content.xml", limits))
    return None


def _word_order(name: str) -> tuple[int, str]:
    stem = name.removeprefix("word/").rstrip(".xml0123456789")
    return next((rank for rank, known in enumerate(_WORD_ORDER) if known.startswith(stem)), len(_WORD_ORDER)), name


def _member(archive: zipfile.ZipFile, name: str, limits: Limits) -> bytes:
    """One member, read no further than its bound: what it declares about its own size may be false."""
    with archive.open(name) as source:
        content = source.read(limits.max_document_bytes + 1)
    if len(content) > limits.max_document_bytes:
        raise DocumentFault("DocumentTooLarge")
    return content


def _xml_text(source: bytes) -> str:
    """The text of a Word or OpenDocument part, paragraph by paragraph; tables row by row.

    The names of elements are enough: both editions of the Word standard, and OpenDocument, use the same few.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    root = etree.fromstring(source, parser)
    return "" if root is None else "\n".join(_blocks(root)).strip()


def _blocks(element: Any) -> Iterator[str]:
    """The lines of what is inside an element. libxml2 refuses more than 256 levels, so this may recurse."""
    for child in element:
        name = _name(child)
        if name in _LEFT_OUT or (name == "sdt" and _is_placeholder(child)):
            continue
        if name in {"p", "h"}:
            yield from _paragraph(child).split("\n")
        elif name in {"tr", "table-row"}:
            yield _row(child)
        else:
            yield from _blocks(child)


def _row(row: Any) -> str:
    """A row of a table: a label and its value as ``label: value``, any others with bars between them."""
    cells = []
    for child in _cells(row):
        lines = [line.strip() for line in _blocks(child)]
        cells.append("\n".join(line for line in lines if line))
    # A merged cell, or an empty column of a form, is no cell to a reader.
    filled = [cell for cell in cells if cell]
    if len(filled) == 2 and len(filled[0]) <= 120 and "\n" not in filled[0]:
        label = filled[0].rstrip(" :")
        return f"{label}{'' if label.endswith('?') else ':'} {filled[1]}"
    return " | ".join(filled)


def _cells(row: Any) -> Iterator[Any]:
    """The cells of a row, those inside content controls too."""
    for child in row:
        if _name(child) in {"tc", "table-cell"}:
            yield child
        elif _name(child) in {"sdt", "sdtContent", "customXml"}:
            yield from _cells(child)


def _paragraph(paragraph: Any) -> str:
    pieces: list[str] = []
    _gather(paragraph, pieces, is_open_document=_is_open_document(paragraph))
    return "".join(pieces)


def _gather(element: Any, pieces: list[str], *, is_open_document: bool) -> None:
    """The characters of a paragraph. A text box inside it comes on lines of its own."""
    if is_open_document and element.text:
        pieces.append(element.text)
    for child in element:
        match _name(child):
            case "t":
                pieces.append(child.text or "")
            case "tab":
                pieces.append("\t")
            case "br" | "cr" | "line-break":
                pieces.append("\n")
            case "s":
                pieces.append(" ")
            case "noBreakHyphen":
                pieces.append("-")
            case "checkBox":
                pieces.append("[x] " if _is_checked(child) else "[ ] ")
            case "txbxContent" | "text-box":
                pieces.append("\n" + "\n".join(_blocks(child)) + "\n")
            case "sdt" if _is_placeholder(child):
                pass
            case name if name not in _LEFT_OUT or name == "rPr":
                _gather(child, pieces, is_open_document=is_open_document)
        if is_open_document and child.tail:
            pieces.append(child.tail)


def _is_checked(box: Any) -> bool:
    """Whether a box of an old form is ticked: by its state, else by what it starts with."""
    for wanted in ("checked", "default"):
        for child in box:
            if _name(child) == wanted:
                return not any(str(value).lower() in {"0", "false", "off"} for value in child.attrib.values())
    return False


def _is_placeholder(control: Any) -> bool:
    """Whether a content control shows its prompt ("Click here to enter text"), which nobody wrote."""
    return any(
        _name(item) == "showingPlcHdr" for settings in control if _name(settings) == "sdtPr" for item in settings
    )


def _is_open_document(element: Any) -> bool:
    return isinstance(element.tag, str) and element.tag.startswith("{urn:oasis:names:tc:opendocument")


def _name(element: Any) -> str:
    """An element's name without its namespace; empty for comments and the like."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _pdf_text(data: bytes, limits: Limits, defects: set[str]) -> str:
    """The text of a PDF's pages, and what was filled into its form."""
    from pypdf import PasswordType, PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it logs what it stumbles over
    reader = PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise DocumentFault("DocumentEncrypted")
    texts: list[str] = []
    length = 0
    broken = 0
    for number, page in enumerate(reader.pages):
        if number >= limits.max_document_pages or length > limits.max_document_chars:
            defects.add("DocumentsCut")
            break
        try:
            texts.append(page.extract_text().strip())
        except Exception:
            broken += 1
            defects.add("DocumentBroken")
            continue
        length += len(texts[-1])
    if broken and not texts:
        raise DocumentFault("DocumentBroken")
    return "\n\n".join((*texts, *_pdf_form(reader)))


def _pdf_form(reader: Any) -> list[str]:
    """``name: value`` for each field that is filled in. The page shows a value only where a program drew it there."""
    lines = []
    for name, settings in (reader.get_fields() or {}).items():
        value = settings.get("/V")
        # A tick box holds a name such as /Yes, a text a string; the rest is structure.
        if isinstance(value, str) and value.strip("/ ") not in {"", "Off"}:
            lines.append(f"{settings.get('/TU') or name}: {value.removeprefix('/')}")
    return ["\n".join(lines)] if lines else []


def _refuse_encrypted_ole(data: bytes) -> None:
    """A Word document with a password is an OLE file that holds an encrypted package ([MS-OFFCRYPTO] § 2.3.2)."""
    import olefile

    with olefile.OleFileIO(data) as ole:
        if ole.exists("EncryptedPackage"):
            raise DocumentFault("DocumentEncrypted")
        if ole.exists("WordDocument"):
            # fEncrypted in the base of the File Information Block ([MS-DOC] § 2.5.1).
            with ole.openstream("WordDocument") as stream:
                base = stream.read(12)
            if len(base) == 12 and base[11] & 1:
                raise DocumentFault("DocumentEncrypted")


def _content_lines_text(text: str) -> str:
    """What a person wants to know of a calendar entry or a card (RFC 5545 § 3.1, RFC 6350 § 3.3)."""
    lines: dict[str, None] = {}
    for line in re.sub(r"\n[ \t]", "", text).split("\n"):
        match = _CONTENT_LINE.fullmatch(line)
        label = _CALENDAR_FIELDS.get(match[1].upper()) if match else None
        if match is None or label is None:
            continue
        value = re.sub(r"\\([nN\\,;])", lambda found: "\n" if found[1] in "nN" else found[1], match[3]).strip()
        value = re.sub(r"(?i)^mailto:", "", value)
        if label == "Organisation":
            value = value.strip(";").replace(";", ", ")
        if name := _COMMON_NAME.search(match[2]):
            value = f"{name[1] or name[2]} <{value}>"
        if value:
            lines[f"{label}: {value}"] = None
    return "\n".join(lines)
