"""The bounds within which a message is read, and what is raised where a bound or a promise does not hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one message. Sizes are in bytes, lengths in characters, times in seconds of processor time.

    What exceeds a bound on *structure* raises :class:`TooLarge`; what exceeds a bound on *length* is cut, and the cut
    is named among the reading's defects, because the raw bytes are kept anyway and a person can still be answered.
    A document that exceeds a bound is not turned to text, or only so far, and that is named too.
    """

    max_raw_bytes: int = 64 * 1024 * 1024
    max_parts: int = 500
    max_depth: int = 30
    max_attachments: int = 200
    max_header_fields: int = 5_000
    max_text_chars: int = 2_000_000
    max_html_chars: int = 400_000
    max_subject_chars: int = 500
    max_name_chars: int = 200
    max_filename_chars: int = 120
    max_addresses: int = 5_000
    max_references: int = 200
    max_documents: int = 50
    max_document_bytes: int = 40 * 1024 * 1024
    """Of one document, and of what one of its members may hold when it is decompressed."""
    max_document_pages: int = 200
    max_document_chars: int = 200_000
    max_documents_chars: int = 1_000_000
    """Of all the documents of a message together."""
    document_seconds: float = 4.0
    """For one document, or for opening one file that holds other files."""
    documents_seconds: float = 12.0
    """For all that a message carries."""


class ReadingFault(Exception):
    """A message that is not read. ``code`` is one of a fixed few and carries nothing of the message."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TooLarge(ReadingFault):
    """The message exceeds a bound of :class:`Limits`: ``too_many_parts``, ``too_deep``, ``too_many_attachments`` or
    ``raw_too_large``. The caller parks it.
    """


class Unreadable(ReadingFault):
    """There is nothing to read where the caller asked: ``no_such_part``."""


class DocumentFault(ReadingFault):
    """A document, or a file that holds others, that is not read: ``DocumentEncrypted``, ``DocumentBroken``,
    ``DocumentTooLarge`` or ``DocumentTooSlow``. The message is read all the same, and its defects name the code.
    """
