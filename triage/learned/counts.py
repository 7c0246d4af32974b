"""The second half of the learned layer: how often which pieces and pairs of pieces stand in a text, weighed one by one.

The encoder reads in order and in context; this counts. They err on different texts, so together they err less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]

_PAIR = 1 << 15
"""More than the encoder's vocabulary, so that a pair of pieces is one number."""


class Counts:
    """Weights over counts: ``terms`` sorted, ``rarity`` of each, ``weights`` terms by answers, ``bias`` by answer.

    ``heads`` says how many answers each head gives, in their order.
    """

    def __init__(self, arrays: Mapping[str, Floats], heads: Mapping[str, int]) -> None:
        self._terms, self._rarity = arrays["terms"], arrays["rarity"].astype(np.float32)
        self._weights, self._bias = arrays["weights"], arrays["bias"].astype(np.float32)
        self._heads = dict(heads)

    @classmethod
    def load(cls, file: Path, heads: Mapping[str, int]) -> Counts:
        """Raises OSError or KeyError where the file is none of these."""
        with np.load(file, allow_pickle=False) as held:
            return cls({name: held[name] for name in held.files}, heads)

    def answer(self, ids: Sequence[int] | Floats) -> dict[str, Floats]:
        """Logits by head of the text with these pieces."""
        found, much = self.weighed(ids)
        answers = self._bias + (much @ self._weights[found].astype(np.float32))
        ends = np.cumsum(list(self._heads.values()))
        return dict(zip(self._heads, np.split(answers, ends[:-1]), strict=True))

    def weighed(self, ids: Sequence[int] | Floats) -> tuple[Floats, Floats]:
        """Which of the terms a text holds, and how much of each: its logarithm by its rarity, at length one."""
        return weighed(ids, self._terms, self._rarity)


def terms_of(ids: Sequence[int] | Floats) -> tuple[Floats, Floats]:
    """The numbers of a text's pieces and of its pairs of pieces, sorted, and how often each stands there."""
    pieces = np.asarray(ids, dtype=np.int64)
    pairs = (pieces[:-1] + 1) * _PAIR + pieces[1:]
    return np.unique(np.concatenate([pieces, pairs]), return_counts=True)


def weighed(ids: Sequence[int] | Floats, terms: Floats, rarity: Floats) -> tuple[Floats, Floats]:
    """As :meth:`Counts.weighed`, of any list of terms."""
    held, often = terms_of(ids)
    places = np.searchsorted(terms, held)
    known = (places < len(terms)) & (terms[np.minimum(places, len(terms) - 1)] == held)
    places, much = places[known], (1.0 + np.log(often[known])) * rarity[places[known]]
    length = float(np.sqrt((much * much).sum()))
    return places, (much / length if length else much).astype(np.float32)
