"""Texts as numbers: the pieces of their words, the rules' measures, and the labels. What is learned from is this alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from triage import neutral, pipeline
from triage.learned import pieces
from triage.suggestion import Polarity
from triage.training.texts import Text
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

HEADS = {
    "category": len(Category),
    "secondary": len(Category),
    "threshold": len(Threshold),
    "criteria": len(Criterion),
    "flags": len(Flag),
    "missing": len(MissingDatum),
}
"""The heads in their order, and how many answers each gives."""

_SAYS = {Polarity.FOR: 1, Polarity.AGAINST: 2}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text: ``ids`` of its pieces without special ones, what each piece says (0 nothing, 1 for, 2 against)."""

    ids: np.ndarray[Any, Any]
    says: np.ndarray[Any, Any]
    measures: np.ndarray[Any, Any]
    labels: dict[str, np.ndarray[Any, Any]]


def prepare(texts: Sequence[Text], tokenizer: Tokenizer, using: neutral.Neutral) -> list[Prepared]:
    """Every text as numbers, in order."""
    rules = pipeline.load()
    prepared = []
    for text in texts:
        read = pieces.read(text.subject, text.body, tokenizer, using)
        says = np.zeros(len(read.ids), dtype=np.int64)
        for mark in text.marks:
            for number, place in enumerate(read.places):
                if place is not None and place[0] < mark.end and mark.start < place[1]:
                    says[number] = _SAYS[mark.polarity]
        verdict, _ = rules.judge(text.body, subject=text.subject, sender=text.sender)
        prepared.append(
            Prepared(
                ids=np.asarray(read.ids, dtype=np.int64),
                says=says,
                measures=np.asarray(verdict.measures, dtype=np.float32),
                labels=_labels(text),
            )
        )
    return prepared


def save(path: Any, prepared: Sequence[Prepared], texts: Sequence[Text], learned: Collection[str] = ()) -> None:
    """Writes what learning reads: arrays only, nothing of the texts' words.

    ``learned`` are the fingerprints of the texts that the weights to begin with have learned from: a text is ``fresh`` where
    neither it nor another of its group is among them.
    """
    known = {text.group for text in texts if text.fingerprint in learned}
    arrays: dict[str, Any] = {
        "lengths": np.array([len(one.ids) for one in prepared]),
        "ids": np.concatenate([one.ids for one in prepared]).astype(np.int32),
        "says": np.concatenate([one.says for one in prepared]).astype(np.int8),
        "measures": np.stack([one.measures for one in prepared]),
        "test": np.array([text.is_test for text in texts]),
        "fresh": np.array([text.group not in known for text in texts]),
        "group": np.unique([text.group for text in texts], return_inverse=True)[1],
    }
    for name in HEADS:
        arrays[f"label_{name}"] = np.stack([one.labels[name] for one in prepared])
    np.savez_compressed(path, **arrays)


def _labels(text: Text) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "category": np.array(list(Category).index(text.category)),
        "secondary": _many(list(Category), text.secondary),
        "threshold": np.array(list(Threshold).index(text.threshold)),
        "criteria": _many(list(Criterion), text.criteria),
        "flags": _many(list(Flag), text.flags),
        "missing": _many(list(MissingDatum), text.missing),
    }


def _many(every: Sequence[Any], these: Iterable[Any]) -> np.ndarray[Any, Any]:
    held = set(these)
    return np.array([float(one in held) for one in every], dtype=np.float32)
