"""From bytes to characters, under a charset label that may be wrong, misspelt, unknown or absent."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

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
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "ks_c_5601-1987": "cp949",
    "ksc5601": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "x-sjis": "cp932",
    "x-euc-jp": "euc-jp",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
}
_WINDOWS = re.compile(r"(?:x-)?(?:cp|win|windows|ms|ms-ansi|ibm)[-_ ]?(125[0-8]|874|932|936|949|950|866|850|437)(?!\d)")
_ISO_8859 = re.compile(r"(?:x-)?iso[-_ ]?8859[-_ ]?(\d{1,2})(?!\d)")
_LABEL = re.compile(r"(?:charset\s*=\s*)*[\"'\s]*([^\s\"'();,<>]{0,60})")
_META_CHARSET = re.compile(rb"(?i)<meta\b[^<>]{0,300}?\bcharset\s*=\s*[\"']?\s*([\w.:-]{2,40})")
_MAX_LABEL = 200
_META_WINDOW = 4_096
# Python codecs that are no charsets of mail: they rewrite escapes, take quadratic time or always raise.
_NOT_CHARSETS = {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "unicode_internal"}
# Charsets in which almost every byte is a letter: strict decoding proves nothing.
_ANY_BYTE_FITS = re.compile(r"cp(?:125\d|437|850|866)|koi8|iso.?8859|latin|mac")
_WIDE = ("utf-16", "utf-32")
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_JAPANESE_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\$\(D|\(J)")


def charset_decoded(data: bytes, charset: str, defects: set[str]) -> str:
    """Text under a charset label that may be wrong, unknown or absent; never raises.

    Tried in turn: what the bytes themselves say (a byte order mark, the NULs of UTF-16, the escapes of ISO-2022-JP);
    the label, strictly; UTF-8, strictly; the label with a few faults; UTF-8 with every ill-formed byte read as
    Windows-1252, which for a text that holds no UTF-8 is Windows-1252. A label in which any byte fits gives way to
    UTF-8 where the bytes are well-formed multi-byte UTF-8: chance does not write that.
    """
    codec = _codec(charset[:_MAX_LABEL])
    if data.isascii() and b"\0" not in data and b"\x1b" not in data and codec in {"", "ascii", "utf-8", "cp1252"}:
        return data.decode("ascii")
    told = _told_by_bytes(data, codec)
    for candidate in (told, *_candidates(data, codec)):
        text = _strictly(data, candidate)
        if text is not None:
            if candidate != codec and not (not codec and candidate == "utf-8") and _matters(data, candidate):
                defects.add("CharsetGuessed")
            return text.removeprefix("\ufeff")
    defects.add("CharsetGuessed")
    text = _with_few_faults(data, told or codec)
    return (_mixed(data) if text is None else text).removeprefix("\ufeff")


def declared_in_html(data: bytes) -> str:
    """The charset that an HTML document declares in a ``meta`` element; empty where there is none, or one that a
    document in which that element can be read cannot be in (WHATWG HTML, § 13.2.3.2).
    """
    match = _META_CHARSET.search(data[:_META_WINDOW])
    label = match[1].decode("ascii", "replace") if match else ""
    return "" if label.lower().startswith(_WIDE) else label


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    """The name of Python's codec for a label, however it is spelt; the label itself where there is none."""
    match = _LABEL.match(charset.strip().lower())
    label = match[1] if match else ""
    if label.startswith("http-equiv"):
        return ""
    label = label.partition("http-equiv")[0]
    if label in _ALIASES:
        return _ALIASES[label]
    if found := _ISO_8859.match(label):
        return _ALIASES.get(f"iso-8859-{found[1]}", f"iso-8859-{found[1]}")
    if found := _WINDOWS.match(label):
        return {"cp936": "gb18030", "cp950": "big5hkscs"}.get(f"cp{found[1]}", f"cp{found[1]}")
    try:
        return codecs.lookup(label).name if label else ""
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return label


def _told_by_bytes(data: bytes, codec: str) -> str:
    """The charset that the bytes name beyond doubt, or empty."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return "" if codec.startswith(name) and len(codec) > len(name) else name
    if b"\0" in data and codec not in {"utf-32", "utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"}:
        high, low = data[0::2].count(0), data[1::2].count(0)
        if codec == "utf-16" or (max(high, low) > max(len(data) // 4, 1) and min(high, low) * 10 <= max(high, low)):
            return "utf-16-be" if high > low else "utf-16-le"
    if data.isascii() and _JAPANESE_ESCAPE.search(data) and codec != "iso2022_jp":
        return "iso2022_jp"
    return ""


def _candidates(data: bytes, codec: str) -> tuple[str, ...]:
    """What is tried strictly, in turn."""
    if codec == "iso2022_jp":
        return ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_windows", "utf-8")
    any_byte_fits = _ANY_BYTE_FITS.match(codec) and not data.isascii()
    # ASCII under a label of UTF-16 decodes without complaint, to nonsense.
    not_wide = codec.startswith(_WIDE) and b"\0" not in data and data[:2] not in {b"\xff\xfe", b"\xfe\xff"}
    return ("utf-8", codec) if any_byte_fits or not_wide else (codec, "utf-8")


def _matters(data: bytes, codec: str) -> bool:
    return not data.isascii() or b"\0" in data or codec.startswith("iso2022")


def _strictly(data: bytes, codec: str) -> str | None:
    if not codec or codec.replace("-", "_") in _NOT_CHARSETS:
        return None
    try:
        if codec == "iso2022_jp_windows":
            # Windows' own signs (a number in a ring, say) lie in a row of JIS X 0208 that JIS X 0213 fills alike.
            return data.replace(b"\x1b$B", b"\x1b$(Q").decode("iso2022_jp_2004")
        return data.decode(codec)
    except (LookupError, ValueError):
        # LookupError: no such charset, or a codec that is none (hex, zip). ValueError: bytes that do not fit, and
        # labels with a NUL in them.
        return None


def _with_few_faults(data: bytes, codec: str) -> str | None:
    """The text under a label that a few bytes do not fit, such as half a character at its end."""
    if codec in {"", "ascii", "utf-8", "cp1252"} or codec.replace("-", "_") in _NOT_CHARSETS:
        return None
    try:
        text = data.decode(codec, "replace")
    except (LookupError, ValueError):
        return None
    telling = len(data) if codec.startswith((*_WIDE, "iso2022")) else len(data) - len(data.translate(None, _HIGH))
    return text if text.count("\ufffd") * 10 <= telling else None


def _mixed(data: bytes) -> str:
    """UTF-8 with every ill-formed byte read as Windows-1252, or where no UTF-8 is in it, Windows-1252 at once."""
    if len(data) > _MAX_MIXED or not _MULTI_BYTE.search(data):
        return codecs.charmap_decode(data, "strict", _CP1252)[0]
    return data.decode("utf-8", "intake_bot_cp1252")


_HIGH = bytes(range(0x80, 0x100))
_MULTI_BYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# A call for each byte takes seconds beyond this; no text is so long.
_MAX_MIXED = 4_000_000


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    text = "".join(_CP1252[byte] for byte in error.object[error.start : error.end])
    return text, error.end


# The five bytes that it does not define are control characters, as in ISO 8859-1.
_CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
codecs.register_error("intake_bot_cp1252", _as_cp1252)
