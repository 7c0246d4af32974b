"""Attachment names that are safe to write, to show and to send on."""

from __future__ import annotations

import re
import unicodedata

_FALLBACK_EXTENSIONS = {
    "application/msword": ".doc",
    "application/ms-tnef": ".dat",
    "application/octet-stream": ".bin",
    "application/pdf": ".pdf",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/pgp-encrypted": ".asc",
    "application/pgp-signature": ".asc",
    "application/vnd.ms-outlook": ".msg",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "message/delivery-status": ".txt",
    "message/global": ".eml",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/vcard": ".vcf",
    "video/mp4": ".mp4",
}

# Names that Windows opens as devices, whatever their extension.
_RESERVED = re.compile(r"(?i)^(?:con|prn|aux|nul|clock\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_EXTENSION = re.compile(r"\.[^\W_]{1,10}\Z")


def safe_name(name: str, content_type: str, part_index: int, max_chars: int) -> str:
    """A file name of at most ``max_chars`` characters without path, control or direction-changing characters.

    Never empty, never ``.`` or ``..``, never a reserved device name, never starting with a dot or a dash. Where
    nothing usable is left the name is made from the part's number and type, as in ``attachment-3.pdf``.
    """
    text = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    # Cf holds the right-to-left override that turns "txt.exe" into "exe.txt"; the rest of C would break a listing.
    text = "".join(
        char for char in text if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    )
    text = " ".join(_FORBIDDEN.sub("_", text).split()).strip(" .").lstrip("-. ")
    if _RESERVED.match(text):
        text = f"_{text}"
    if not text.strip("_ "):
        return f"attachment-{part_index}{_FALLBACK_EXTENSIONS.get(content_type, '.bin')}"
    return _shortened(text, max_chars)


def _shortened(text: str, max_chars: int) -> str:
    """Cut in the middle, so that the extension, by which people know a document, stays."""
    if len(text) <= max_chars:
        return text
    extension = _EXTENSION.search(text)
    tail = extension.group() if extension else ""
    return text[: max_chars - len(tail)].rstrip(" .") + tail
