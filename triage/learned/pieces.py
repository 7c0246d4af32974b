"""A text as the pieces that the encoder reads, with the place of each piece in the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from triage import neutral

WINDOW = 256
"""Pieces that the encoder reads at once, the first and the last of them special."""
MAX_WINDOWS = 16
"""Windows of one text that are read, about 3,000 words; of a longer text its first and its last."""
START, END, PADDING = 101, 102, 0

MAX_SUBJECT_WORDS = 60


@dataclass(frozen=True, slots=True)
class Pieces:
    """``ids`` of the pieces; ``places`` of what each stands for in the body, None for the subject's."""

    ids: list[int]
    places: list[tuple[int, int] | None]


def read(subject: str, body: str, tokenizer: Tokenizer, using: neutral.Neutral) -> Pieces:
    """The pieces of subject and body, one after the other. Any strings are taken."""
    in_subject = neutral.read(subject, using)[:MAX_SUBJECT_WORDS]
    in_body = neutral.read(body, using)
    words = [word.read for word in in_subject] + ["|"] + [word.read for word in in_body]
    places: list[tuple[int, int] | None] = [None] * (len(in_subject) + 1)
    places += [(word.start, word.end) for word in in_body]
    encoded = tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
    return Pieces(encoded.ids, [None if number is None else places[number] for number in encoded.word_ids])


def windows(ids: list[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[range]]:
    """Ids and mask (windows by pieces) of equal length, and which of ``ids`` each window holds."""
    inside = WINDOW - 2
    count = max(1, -(-len(ids) // inside))
    size = -(-len(ids) // count)
    held = [range(start, min(start + size, len(ids))) for start in range(0, max(1, len(ids)), max(1, size))]
    if len(held) > MAX_WINDOWS:
        held = held[: MAX_WINDOWS // 2] + held[-MAX_WINDOWS // 2 :]
    width = max(len(one) for one in held) + 2
    out = np.full((len(held), width), PADDING, dtype=np.int64)
    mask = np.zeros((len(held), width), dtype=np.float32)
    for row, one in enumerate(held):
        filled = [START, *(ids[number] for number in one), END]
        out[row, : len(filled)] = filled
        mask[row, : len(filled)] = 1.0
    return out, mask, held
