"""Learning the weights of :mod:`triage.learned.counts` from prepared texts: logistic regression, one answer at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from triage.learned.counts import Counts, terms_of, weighed
from triage.training.prepare import HEADS
from triage.vocabulary import Threshold

Arrays = dict[str, np.ndarray[Any, Any]]

FOUND_IN = 2
"""Texts that a term must stand in to be weighed."""
STRENGTH = 10.0
"""How freely weights may grow (the inverse of what restrains them)."""
_CERTAIN = 8.0
"""The logit against what no text teaches."""

_MEETS, _NOT_LADO, _UNCLEAR = (
    list(Threshold).index(one) for one in (Threshold.MEETS, Threshold.NOT_LADO, Threshold.UNCLEAR)
)


def learn(data: Arrays, index: np.ndarray[Any, Any]) -> Arrays:
    """What ``Counts`` takes, learned from the texts at ``index``. Raises ImportError where scikit-learn is missing."""
    from scipy.sparse import csr_array

    texts = _texts(data, index)
    held = [terms_of(ids)[0] for ids in texts]
    every, texts_with = np.unique(np.concatenate(held), return_counts=True)
    kept = texts_with >= FOUND_IN
    terms, rarity = every[kept], 1.0 + np.log((1 + len(texts)) / (1 + texts_with[kept]))
    rows = [weighed(ids, terms, rarity) for ids in texts]
    starts = np.cumsum([0] + [len(found) for found, _ in rows])
    matrix = csr_array(
        (np.concatenate([much for _, much in rows]), np.concatenate([found for found, _ in rows]), starts),
        shape=(len(texts), len(terms)),
    )
    threshold = data["label_threshold"][index]
    asked = {"criteria": np.isin(threshold, (_MEETS, _UNCLEAR)), "missing": threshold != _NOT_LADO}
    weights, bias = [], []
    for head, size in HEADS.items():
        labels, of = data[f"label_{head}"][index], asked.get(head, np.ones(len(index), dtype=bool))
        if labels.ndim == 1:
            one_weights, one_bias = _one_of(matrix[of], labels[of], size)
        else:
            parts = [_yes_or_no(matrix[of], labels[of][:, number] > 0.5) for number in range(size)]
            one_weights, one_bias = np.stack([part for part, _ in parts]), np.array([part for _, part in parts])
        weights.append(one_weights)
        bias.append(one_bias)
    return {
        "terms": terms.astype(np.int64),
        "rarity": rarity.astype(np.float32),
        "weights": np.concatenate(weights).T.astype(np.float16),
        "bias": np.concatenate(bias).astype(np.float32),
    }


def answers(arrays: Arrays, data: Arrays, index: np.ndarray[Any, Any]) -> Arrays:
    """Logits by head, text by text."""
    counts = Counts(arrays, HEADS)
    said = [counts.answer(ids) for ids in _texts(data, index)]
    return {head: np.stack([one[head] for one in said]) for head in HEADS}


def _texts(data: Arrays, index: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    ends = np.cumsum(data["lengths"])
    return [data["ids"][ends[i] - data["lengths"][i] : ends[i]] for i in index]


def _one_of(matrix: Any, labels: np.ndarray[Any, Any], size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced").fit(matrix, labels)
    weights, bias = np.zeros((size, matrix.shape[1])), np.full(size, -_CERTAIN)
    weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weights, bias


def _yes_or_no(matrix: Any, labels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], float]:
    from sklearn.linear_model import LogisticRegression

    if labels.all() or not labels.any():
        return np.zeros(matrix.shape[1]), _CERTAIN if labels.all() else -_CERTAIN
    model = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced").fit(matrix, labels)
    return model.coef_[0], float(model.intercept_[0])
