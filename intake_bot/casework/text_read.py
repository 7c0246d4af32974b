"""The text that triage reads of a message and that officers are shown: the writer's words, then the attached documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BETWEEN = "\n\n"


def text_read(body_text: str, documents: Sequence[Mapping[str, str]]) -> str:
    """The body, then each document under its file's name. Evidence of a suggestion points into this text.

    ``documents`` hold ``filename`` and ``text``.
    """
    named = (f"{document['filename']}\n{document['text']}" for document in documents)
    return _BETWEEN.join((*((body_text,) if body_text else ()), *named))


def located(
    evidence: Sequence[dict[str, Any]], body_text: str, documents: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Evidence with offsets into the one text that it comes from: the body, or where it has a ``document`` that one,
    counted from 0. What lies in a file's name points at the beginning of its document.
    """
    starts = []
    position = len(body_text) + len(_BETWEEN) if body_text else 0
    for document in documents:
        starts.append(position + len(document["filename"]) + 1)
        position = starts[-1] + len(document["text"]) + len(_BETWEEN)
    return [_located(item, len(body_text), starts, documents) for item in evidence]


def _located(
    item: dict[str, Any], body_length: int, starts: Sequence[int], documents: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    if item["start"] < body_length or not documents:
        return item
    begun = [n for n, start in enumerate(starts) if start - len(documents[n]["filename"]) - 1 <= item["start"]]
    number = begun[-1] if begun else 0
    start, end = (max(0, item[name] - starts[number]) for name in ("start", "end"))
    return item | {"start": start, "end": end, "document": number}
