"""From characters to words: HTML turned to text, nothing that a store refuses, and what makes two texts the same."""

from __future__ import annotations

import html as html_entities
import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

REPLACEMENT = "\ufffd"

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# Direction overrides and isolates: they make a line read otherwise than it is stored.
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"\w+")

_QUOTE_OPENS, _QUOTE_CLOSES = "\ue000", "\ue001"
# Hints in ``HtmlText.marked``, each on a line of its own: what a program's own marks say of the lines after it.
HISTORY_BEGINS, SIGNATURE_BEGINS, SIGNATURE_ENDS = "\ue002", "\ue003", "\ue004"
COLOURED = "\ue005"
_HINT_CHARACTERS = re.compile("[\ue000-\ue005]")
# Containers and dividers by which mail programs mark history, by id, class or name; a prefix of it is enough.
_HISTORY_MARKS = re.compile(
    r"(?i)(?:^|\s)(?:x_)*(?:gmail_quote|gmail_extra|divrplyfwdmsg|olk_src_body_section|outlookmessageheader|"
    r"moz-cite-prefix|yahoo_quoted|yahooquoted|protonmail_quote|tutanota_quote|zmail_extra|zm-_id_-sgn|__headers__|"
    r"__divider__|zwchr|stopspelling|mail-editor-reference-message|reply-intro|messagereplysection|front-quote|"
    r"front-blockquote|missive_quote|hw-quote|isreplycontent|ntes-mailmaster-quote|aolmsgpart|bloop_original|"
    r"airmail_on|sparrowquote|mailbox-quote|mb-quote|originalmessage|original_message|edo-original|mcnt-quote|"
    r"freshdesk_quote|zd-comment-quote|moz-email-headers|mobile-quote|quoted-text|replyheader|_rc_quote|wmquote|"
    r"mailquote|quoteheader|quote-header|skymail|tobquote)"
)
_SIGNATURE_MARKS = re.compile(
    r"(?i)(?:^|\s)(?:x_)*(?:gmail_signature|gmailsignature|moz-signature|signature$|signature\s|"
    r"ms-outlook-mobile-signature|applemailsignature|protonmail_signature|messagesignaturesection|composer_signature|"
    r"front-signature|mailbox_signature|bloop_sign|zm-signature|zmailsignature|missive_signature|hw-signature|"
    r"tutanota-signature|ymail_android_signature|blackberry_signature|__signature__|x-signature|email-signature|"
    r"mail-signature|spark-signature)"
)
# Outlook draws this border over its block of headers, and over nothing else.
_OUTLOOK_BORDER = re.compile(r"(?i)border-top:\s?(?:solid #(?:e1e1e1|b5c4df)|#(?:e1e1e1|b5c4df) \d(?:\.\d)?pt solid)")
_COLOUR = re.compile(
    r"(?i)(?<![\w-])color\s{0,3}:\s{0,3}(?:#(?P<hex>[0-9a-f]{6}|[0-9a-f]{3})\b|rgb\((?P<rgb>\d{1,3}, ?\d{1,3}, ?\d{1,3})\)|"
    r"(?P<name>red|green|blue|purple|magenta|fuchsia|orange|crimson|teal|darkred)\b)"
)
# In these Outlook sets whole replies.
_REPLY_COLOURS = frozenset({(0x1F, 0x49, 0x7D), (0x1F, 0x4E, 0x79), (0x2F, 0x54, 0x96), (0x44, 0x54, 0x6A)})
_LEAST_COLOUR = 90
_COLOURED_TAGS = frozenset({"span", "font", "p", "div", "b", "i", "em", "strong", "li", "td"})
_MAX_COLOURED = 200

_DATA_URI = re.compile(r"(?i)\bdata:[a-z]+/[a-z0-9.+-]+;base64,[a-z0-9+/=\s]*")
_HIDDEN = re.compile(r"(?is)<!--.*?(?:-->|\Z)|<(script|style|head|title)\b.*?(?:</\1\s*>|\Z)")
_BLOCK_TAG = re.compile(r"(?i)<(?:br|/?(?:p|div|tr|li|h[1-6]|table|blockquote|ul|ol))\b[^<>]*>")
_CELL = re.compile(r"(?i)<t[dh]\b")
# Beyond this inscriptis takes seconds to line up the columns.
_MAX_CELLS = 4_000
_BODY_END = re.compile(r"(?i)</(?:body|html)\s*>")
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")
_HTML_DOCUMENT = re.compile(r"(?i)\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!doctype html\b|<html\b)")
_ENDLESS_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{8,};?")


@dataclass(frozen=True, slots=True)
class HtmlText:
    """An HTML body as text: ``plain`` as it reads, ``marked`` with every quoted line behind ``"> "`` and with hints."""

    plain: str
    marked: str
    defects: tuple[str, ...] = ()


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
    source = _HINT_CHARACTERS.sub("", _DATA_URI.sub("", clean(source)))
    bare = _without_tags(source)
    # libxml2 stops at the end of the first body, and gateways add their notices after it. Inscriptis takes entities off
    # what lxml took them off already.
    source = _BODY_END.sub("<div></div>", source).replace("&amp;", "&amp;amp;")
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


def unflowed(text: str, *, delsp: bool) -> str:
    """Paragraphs joined as format=flowed asks (RFC 3676 § 4): a line that ends in a space goes on in the next one.

    Lines quoted to one depth are joined with each other only; ``"-- "`` is a signature's delimiter, and never joined.
    """
    lines: list[list[str]] = []
    open_depth = None
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        # The space that a program put before a typed ">" stays: without it the writer's words look like a quotation.
        bare = bare if bare.startswith(" >") else bare.removeprefix(" ")
        flows = bare.endswith(" ") and bare != "-- "
        if open_depth == depth and bare != "-- ":
            lines[-1].append(bare)
        else:
            lines.append([">" * depth + " " * (depth > 0 and bool(bare)) + bare])
        open_depth = depth if flows else None
        if flows and delsp:
            lines[-1][-1] = lines[-1][-1][:-1]
    return "\n".join("".join(pieces) for pieces in lines)


def is_html_document(text: str) -> bool:
    """Whether a text is an HTML document from its first character on."""
    return bool(_HTML_DOCUMENT.match(text))


def _rendered(source: str) -> str:
    # Imported here: lxml takes a tenth of a second, and most of what imports this package never reads a message.
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.html_engine import Inscriptis
    from inscriptis.model.config import ParserConfig
    from lxml import etree
    from lxml import html as lxml_html

    try:
        # As bytes, so that a charset declared inside the document is not believed a second time.
        parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        tree = lxml_html.document_fromstring(source.encode(), parser=parser)
    except etree.LxmlError as error:
        raise ValueError("html") from error
    quotes = [element for element in tree.iter() if _is_quotation(element)]
    histories, signatures = _program_marks(tree)
    if histories:
        for coloured in itertools.islice((element for element in tree.iter() if _is_coloured(element)), _MAX_COLOURED):
            _mark_ends(coloured)
    for quote in quotes:
        _bracket(quote, _QUOTE_OPENS, _QUOTE_CLOSES)
    for signature in signatures:
        _bracket(signature, SIGNATURE_BEGINS, SIGNATURE_ENDS)
    for history in histories:
        _put_before(history, HISTORY_BEGINS)
    # The strict profile is a browser's; the relaxed one puts spaces around each span, and programs cut words into spans.
    return str(Inscriptis(tree, ParserConfig(css=CSS_PROFILES["strict"])).get_text())


def _is_quotation(element: Any) -> bool:
    """Whether a program made the quotation. People use bare blockquotes to indent, and to set apart what somebody said."""
    if element.tag == "div":
        return (element.attrib.get("name") or "").lower() == "quote"
    if element.tag != "blockquote":
        return False
    attributes = element.attrib
    made = "cite" in (attributes.get("type") or "").lower() or "cite" in attributes
    drawn = "border-left" in (attributes.get("style") or "").lower()
    return made or drawn or "quote" in (attributes.get("class") or "").lower()


def _program_marks(tree: Any) -> tuple[list[Any], list[Any]]:
    """The elements with which a program says that history begins, and those that it calls a signature."""
    histories: list[Any] = []
    signatures: list[Any] = []
    for element in tree.iter():
        if not isinstance(element.tag, str) or element.tag in {"html", "body"}:
            continue
        names = [(element.attrib.get(name) or "")[:200] for name in ("id", "class", "name", "data-marker")]
        named = element.tag != "blockquote" and any(_HISTORY_MARKS.search(name) for name in names if name)
        if any(_SIGNATURE_MARKS.search(name) for name in names if name):
            signatures.append(element)
        elif named or _OUTLOOK_BORDER.search((element.attrib.get("style") or "")[:400]):
            histories.append(element)
    return histories, signatures


def _is_coloured(element: Any) -> bool:
    """Whether the element's words stand out in a colour, as answers written into an old letter do. Black, grey and links do
    not, nor does what Outlook sets whole replies in.
    """
    if element.tag not in _COLOURED_TAGS:
        return False
    attributes = element.attrib
    style = f"color:{attributes['color']}" if "color" in attributes else (attributes.get("style") or "")[:400]
    found = _COLOUR.search(style)
    if found is None:
        return False
    if found["name"]:
        return True
    if found["rgb"]:
        channels = tuple(int(channel) for channel in found["rgb"].split(","))
    else:
        digits = found["hex"] if len(found["hex"]) == 6 else "".join(digit * 2 for digit in found["hex"])
        channels = tuple(int(digits[place : place + 2], 16) for place in (0, 2, 4))
    return max(channels) - min(channels) >= _LEAST_COLOUR and channels not in _REPLY_COLOURS


def _mark_ends(element: Any) -> None:
    """Put the mark of colour before and after the element's own words."""
    element.text = COLOURED + (element.text or "")
    if len(element):
        element[-1].tail = (element[-1].tail or "") + COLOURED
    else:
        element.text += COLOURED


def _bracket(element: Any, opening: str, closing: str) -> None:
    """Put two marks inside an element, each in a block of its own: before all that it holds, and after."""
    from lxml import etree

    opens, closes = etree.Element("div"), etree.Element("div")
    opens.text, opens.tail, element.text = opening, element.text, None
    closes.text = closing
    element.insert(0, opens)
    element.append(closes)


def _put_before(element: Any, mark: str) -> None:
    from lxml import etree

    hint = etree.Element("div")
    hint.text = mark
    element.addprevious(hint)


def _quote_marked(rendered: str) -> tuple[str, str]:
    plain: list[str] = []
    marked: list[str] = []
    depth = 0
    for line in rendered.split("\n"):
        marks = _HINT_CHARACTERS.findall(line)
        bare = (_HINT_CHARACTERS.sub("", line) if marks else line).rstrip()
        depth += marks.count(_QUOTE_OPENS)
        marked += [mark for mark in marks if mark in {HISTORY_BEGINS, SIGNATURE_BEGINS, COLOURED}]
        if bare or not marks:
            plain.append(bare)
            marked.append(f"{'>' * min(depth, 20)} {bare.lstrip()}".rstrip() if depth else bare)
        marked += [mark for mark in marks if mark == SIGNATURE_ENDS]
        depth = max(0, depth - marks.count(_QUOTE_CLOSES))
    return "\n".join(plain).strip("\n"), "\n".join(marked).strip("\n")


def _without_tags(source: str) -> str:
    source = _BLOCK_TAG.sub("\n", _HIDDEN.sub("", source))
    # int() of thousands of digits raises, so a reference that can name no character goes first.
    text = html_entities.unescape(_ENDLESS_REFERENCE.sub(REPLACEMENT, _TAG.sub("", source)))
    return "\n".join(line.strip() for line in clean(text).split("\n")).strip("\n")
