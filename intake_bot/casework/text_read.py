"""The text that triage reads of a message and that officers are shown: the writer's words, signature, attached documents.

Where the new words may not be all that is new to us, it reads the whole text (:data:`FULL_TEXT`) instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NEW_WORDS, FULL_TEXT = "new_words", "full_text"
_BETWEEN = "\n\n"

Parts = tuple[str, str, Sequence[Mapping[str, str]]]


def parts_read(
    read: str, body_text: str, full_text: str, signature_text: str, documents: Sequence[Mapping[str, str]]
) -> Parts:
    """What :func:`text_read` and :func:`located` are given, where ``read`` says which text triage read."""
    return (full_text, "", documents) if read == FULL_TEXT else (body_text, signature_text, documents)


def is_shortened(body_text: str, full_text: str, signature_text: str) -> bool:
    """Whether words of the full text are in neither the new words nor the signature."""
    return len(full_text.split()) > len(body_text.split()) + len(signature_text.split())


def text_read(body_text: str, signature_text: str, documents: Sequence[Mapping[str, str]]) -> str:
    """The body and its signature, then each document under its file's name. Evidence of a suggestion points into this text.

    ``documents`` hold ``filename`` and ``text``.
    """
    named = (f"{document['filename']}\n{document['text']}" for document in documents)
    return _BETWEEN.join((*filter(None, (body_text, signature_text)), *named))


def located(
    evidence: Sequence[dict[str, Any]], body_text: str, signature_text: str, documents: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Evidence with offsets into the one text that it comes from: the body, or where it says ``signature`` that, or where
    it has a ``document`` that one, counted from 0. What lies in a file's name points at the beginning of its document.
    """
    signature = len(body_text) + len(_BETWEEN) if body_text else 0
    position = signature + (len(signature_text) + len(_BETWEEN) if signature_text else 0)
    in_documents = position
    starts = []
    for document in documents:
        starts.append(position + len(document["filename"]) + 1)
        position = starts[-1] + len(document["text"]) + len(_BETWEEN)
    found = []
    for item in evidence:
        if item["start"] < len(body_text) or not (signature_text or documents):
            found.append(item)
        elif signature_text and item["start"] < in_documents:
            start, end = (max(0, item[name] - signature) for name in ("start", "end"))
            found.append(item | {"start": start, "end": end, "signature": True})
        else:
            found.append(_in_document(item, starts, documents))
    return found


def _in_document(item: dict[str, Any], starts: Sequence[int], documents: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    begun = [n for n, start in enumerate(starts) if start - len(documents[n]["filename"]) - 1 <= item["start"]]
    number = begun[-1] if begun else 0
    start, end = (max(0, item[name] - starts[number]) for name in ("start", "end"))
    return item | {"start": start, "end": end, "document": number}
