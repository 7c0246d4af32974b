"""From bytes to words: transfer encodings and charsets put right, HTML turned to text, nothing that a store refuses."""

from __future__ import annotations

import binascii
import html as html_entities
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

REPLACEMENT = "\ufffd"

# What mail programs call a charset where Python calls it otherwise, or means a smaller set by the same name.
_ALIASES = {
    "ansi": "cp1252",
    "big5": "big5hkscs",
    "cp-850": "cp850",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    # As every mail program and browser does (WHATWG Encoding, section 4.2): by Latin-1 they all mean Windows-1252, whose
    # dashes and quotation marks stand where Latin-1 has control characters.
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "x-sjis": "cp932",
    "x-mac-roman": "mac-roman",
}
# Python codecs that are no charsets of mail: they rewrite escapes, take quadratic time or always raise.
_NOT_CHARSETS = {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "unicode_internal"}
# Charsets in which almost every byte is a letter: strict decoding proves nothing.
_ANY_BYTE_FITS = {"iso-8859-1", "latin-1", "latin1", "cp1252", "windows-1252", "iso-8859-15", "cp437", "cp850"}

_BASE64_JUNK = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_CHUNK = re.compile(rb"[A-Za-z0-9+/]+=*")
_BASE64_END = re.compile(rb"=[ \t]*\r?\n")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# Direction overrides and isolates: they make a line read otherwise than it is stored.
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"\w+")

_QUOTE_OPENS, _QUOTE_CLOSES = "\ue000", "\ue001"
_DATA_URI = re.compile(r"(?i)\bdata:[a-z]+/[a-z0-9.+-]+;base64,[a-z0-9+/=\s]*")
_HIDDEN = re.compile(r"(?is)<!--.*?(?:-->|\Z)|<(script|style|head|title)\b.*?(?:</\1\s*>|\Z)")
_BLOCK_TAG = re.compile(r"(?i)<(?:br|/?(?:p|div|tr|li|h[1-6]|table|blockquote|ul|ol))\b[^<>]*>")
_CELL = re.compile(r"(?i)<t[dh]\b")
# Beyond this inscriptis takes seconds to line up the columns.
_MAX_CELLS = 4_000
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")
_ENDLESS_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{8,};?")


@dataclass(frozen=True, slots=True)
class HtmlText:
    """An HTML body as text: ``plain`` as it reads, ``marked`` with every quoted line behind ``"> "``."""

    plain: str
    marked: str
    defects: tuple[str, ...] = ()


def transfer_decoded(body: bytes, encoding: str, defects: set[str], *, is_text: bool) -> bytes:
    """The content under a Content-Transfer-Encoding (RFC 2045 § 6); an unknown one is taken as none.

    Broken base64 gives all that can be decoded. Where plain lines follow the padding, as mailing lists append their
    footers, a text keeps them: they may be words of the account.
    """
    match encoding:
        case "base64":
            return _base64_decoded(body, defects, is_text=is_text)
        case "quoted-printable":
            return binascii.a2b_qp(body)
        case "" | "7bit" | "8bit" | "binary" | "uuencode" | "x-uuencode" | "x-uue" | "uue":
            return body
        case _:
            defects.add("UnknownTransferEncoding")
            return body


def charset_decoded(data: bytes, charset: str, defects: set[str]) -> str:
    """Text under a charset label that may be wrong, unknown or absent; never raises.

    Tried strictly in turn: the label, UTF-8, Windows-1252; then ISO 8859-1, which fits any byte. A label in which
    any byte fits gives way to UTF-8 where the bytes are well-formed multi-byte UTF-8: chance does not write that.
    """
    label = charset.strip().strip("'\"").lower()
    codec = _ALIASES.get(label, label)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and not codec.startswith(("utf-16", "utf-32")):
        defects.add("CharsetGuessed")
        codec = "utf-16"
    candidates = [codec, "utf-8", "cp1252"]
    if codec in _ANY_BYTE_FITS and not data.isascii():
        candidates.insert(0, "utf-8")
    elif codec.startswith(("utf-16", "utf-32")) and b"\0" not in data and data[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        # ASCII under such a label decodes without complaint, to nonsense.
        candidates = ["utf-8", "cp1252"]
    for candidate in candidates:
        text = _strictly(data, candidate)
        if text is not None:
            if candidate != codec and not (not codec and candidate == "utf-8") and not data.isascii():
                defects.add("CharsetGuessed")
            return text.removeprefix("\ufeff")
    defects.add("CharsetGuessed")
    return data.decode("latin-1")


def clean(text: str) -> str:
    """Text with ``\\n`` as its only line end, and without NUL, other controls or lone surrogates.

    PostgreSQL refuses NUL, UTF-8 refuses lone surrogates, and a terminal obeys the others.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n").replace("\x0c", "\n")
    return _CONTROLS.sub(REPLACEMENT, text.replace("\x85", "\n"))


def clean_line(text: str, max_chars: int) -> str:
    """One line of at most ``max_chars`` characters: no breaks, controls or direction changes, white space collapsed."""
    return " ".join(_BIDI.sub("", _CONTROLS.sub(" ", text)).split())[:max_chars].rstrip()


def words(text: str) -> list[str]:
    """The words of a text, folded for comparison."""
    return _WORD.findall(text.casefold())


def squeezed(text: str) -> str:
    """What two copies of one text share when charset, line ends and runs of white space differ."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def html_to_text(source: str, max_html_chars: int) -> HtmlText:
    """HTML as text, by inscriptis. Hidden elements, scripts and styles are not text; tables and lists keep shape.

    Longer than ``max_html_chars`` (images inside it not counted), with thousands of table cells, or where the parser
    loses most of the words, tags are simply taken out: slower reading for a person is the lesser fault.
    """
    source = _DATA_URI.sub("", clean(source).replace(_QUOTE_OPENS, "").replace(_QUOTE_CLOSES, ""))
    bare = _without_tags(source)
    if len(source) > max_html_chars or len(_CELL.findall(source)) > _MAX_CELLS:
        return HtmlText(bare, bare, ("HtmlTooLong",))
    try:
        rendered = _rendered(source)
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        # What inscriptis raises on tables and styles that it cannot follow, and lxml on what is no document.
        return HtmlText(bare, bare, ("HtmlParserFailed",))
    plain, marked = _quote_marked(clean(rendered))
    # libxml2 stops at 256 levels, and at an open comment; what is hidden on purpose is a lesser part of any mail.
    if 2 * len(_WORD.findall(plain)) < len(_WORD.findall(bare)):
        return HtmlText(bare, bare, ("HtmlParserLostWords",))
    return HtmlText(plain, marked)


def _base64_decoded(body: bytes, defects: set[str], *, is_text: bool) -> bytes:
    try:
        return binascii.a2b_base64(body.translate(None, b"\r\n\t "), strict_mode=True)
    except binascii.Error:
        return _broken_base64_decoded(body, defects, is_text=is_text)


def _broken_base64_decoded(body: bytes, defects: set[str], *, is_text: bool) -> bytes:
    tail = b""
    padding = _BASE64_END.search(body)
    if padding and is_text:
        rest = body[padding.end() :].strip()
        if b" " in rest:
            body, tail = body[: padding.end()], b"\n" + rest
            defects.add("TextAfterBase64")
    squeezed_body = _BASE64_JUNK.sub(b"", body)
    if len(squeezed_body) < len(body.translate(None, b"\r\n\t ")):
        defects.add("InvalidBase64CharactersDefect")
    bare = squeezed_body.rstrip(b"=")
    if b"=" not in bare:
        return _base64_run(bare, len(squeezed_body) - len(bare), defects) + tail
    # Some programs encode line by line and pad each: a decoder that stops at the first padding loses the rest.
    runs = (chunk.group() for chunk in _BASE64_CHUNK.finditer(squeezed_body))
    return b"".join(_base64_run(run.rstrip(b"="), run.count(b"="), defects) for run in runs) + tail


def _base64_run(bare: bytes, padding: int, defects: set[str]) -> bytes:
    if len(bare) % 4 == 1:
        defects.add("InvalidBase64LengthDefect")
        bare = bare[:-1]
    elif (len(bare) + padding) % 4:
        defects.add("InvalidBase64PaddingDefect")
    return binascii.a2b_base64(bare + b"=" * (-len(bare) % 4))


def _strictly(data: bytes, codec: str) -> str | None:
    if not codec or codec.replace("-", "_") in _NOT_CHARSETS:
        return None
    try:
        return data.decode(codec)
    except (LookupError, ValueError):
        # LookupError: no such charset, or a codec that is none (hex, zip). ValueError: bytes that do not fit, and
        # labels with a NUL in them.
        return None


def _rendered(source: str) -> str:
    # Imported here: lxml takes a tenth of a second, and most of what imports this package never reads a message.
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.html_engine import Inscriptis
    from inscriptis.model.config import ParserConfig
    from lxml import etree  # type: ignore[import-untyped]
    from lxml import html as lxml_html

    try:
        # As bytes, so that a charset declared inside the document is not believed a second time.
        parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        tree = lxml_html.document_fromstring(source.encode(), parser=parser)
    except etree.LxmlError as error:
        raise ValueError("html") from error
    for quote in [element for element in tree.iter("blockquote") if _is_quotation(element)]:
        _mark_quote(quote)
    # The strict profile is a browser's; the relaxed one puts spaces around each span, and programs cut words into spans.
    return str(Inscriptis(tree, ParserConfig(css=CSS_PROFILES["strict"])).get_text())


def _is_quotation(element: Any) -> bool:
    """Whether a program made the blockquote. People use bare ones to indent, and to set apart what somebody said."""
    attributes = element.attrib
    made = "cite" in (attributes.get("type") or "").lower() or "cite" in attributes
    drawn = "border-left" in (attributes.get("style") or "").lower()
    return made or drawn or "quote" in (attributes.get("class") or "").lower()


def _mark_quote(element: Any) -> None:
    from lxml import etree

    opens, closes = etree.Element("div"), etree.Element("div")
    opens.text, opens.tail, element.text = _QUOTE_OPENS, element.text, None
    closes.text = _QUOTE_CLOSES
    element.insert(0, opens)
    element.append(closes)


def _quote_marked(rendered: str) -> tuple[str, str]:
    plain: list[str] = []
    marked: list[str] = []
    depth = 0
    for line in rendered.split("\n"):
        opened, closed = line.count(_QUOTE_OPENS), line.count(_QUOTE_CLOSES)
        bare = line.replace(_QUOTE_OPENS, "").replace(_QUOTE_CLOSES, "").rstrip() if opened or closed else line.rstrip()
        depth += opened
        if bare or not (opened or closed):
            plain.append(bare)
            marked.append(f"{'>' * min(depth, 20)} {bare.lstrip()}".rstrip() if depth else bare)
        depth = max(0, depth - closed)
    return "\n".join(plain).strip("\n"), "\n".join(marked).strip("\n")


def _without_tags(source: str) -> str:
    source = _BLOCK_TAG.sub("\n", _HIDDEN.sub("", source))
    # int() of thousands of digits raises, so a reference that can name no character goes first.
    text = html_entities.unescape(_ENDLESS_REFERENCE.sub(REPLACEMENT, _TAG.sub("", source)))
    return "\n".join(line.strip() for line in clean(text).split("\n")).strip("\n")
