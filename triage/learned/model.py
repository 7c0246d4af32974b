"""The model file: checked against its hash, run on one thread, answers as probabilities.

``model.json`` beside it says what it is: its hash, its heads, its calibration, the corpus and the base it was made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from triage import neutral
from triage.learned import pieces
from triage.learned.counts import Counts

# Newer wheels report home unless this stands before the import; nothing of ours may speak to anybody.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
import onnxruntime

MODEL = Path(__file__).parent.parent / "model"
MANIFEST, ENCODER, TOKENIZER, WORDS = "model.json", "encoder.onnx", "tokenizer.json", "words.txt"
COUNTS = "counts.npz"

Floats = np.ndarray[Any, Any]


class ModelMissing(Exception):
    """There is no model file to read."""


class ModelFaulty(Exception):
    """A file of the model is not the one that its manifest names; the text says which."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model says of one text: logits by head, and for each piece how likely its words speak for and against."""

    logits: Mapping[str, Floats]
    read: pieces.Pieces
    speaks: Floats
    """Pieces by two: for, against; zero for a piece that no window held."""
    whole: bool
    """Whether all of the text was read."""


class Model:
    """Loaded weights. Not for several threads at once."""

    def __init__(self, folder: Path = MODEL) -> None:
        if not (folder / MANIFEST).exists() or not (folder / ENCODER).exists():
            raise ModelMissing(folder.name)
        self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in self.manifest["sha256"].items():
            if sha256((folder / name).read_bytes()).hexdigest() != expected:
                raise ModelFaulty(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(folder / ENCODER), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._neutral = neutral.neutral((folder / WORDS).read_text(encoding="utf-8").split())
        heads = dict(zip(self.manifest["heads"], self.manifest.get("answers", ()), strict=False))
        self._counts = Counts.load(folder / COUNTS, heads) if COUNTS in self.manifest["sha256"] else None
        self._mix: dict[str, float] = self.manifest["calibration"].get("mix", {})
        self.version: str = self.manifest["version"]

    @property
    def counts(self) -> bool:
        return self._counts is not None

    def counted(self, subject: str, body: str) -> Mapping[str, Floats]:
        """What counting alone says, as logits by head; nothing where the model does not count."""
        if self._counts is None:
            return {}
        return self._counts.answer(pieces.read(subject, body, self._tokenizer, self._neutral).ids)

    def answer(self, subject: str, body: str, measures: tuple[float, ...]) -> Answers:
        """What the model says of a text. Any strings are taken."""
        read = pieces.read(subject, body, self._tokenizer, self._neutral)
        ids, mask, held = pieces.windows(read.ids)
        *logits, evidence = self._session.run(
            None, {"ids": ids, "mask": mask, "rules": np.asarray([measures], dtype=np.float32)}
        )
        speaks = np.zeros((len(read.ids), 2), dtype=np.float32)
        probabilities = softmax(evidence)
        for row, window in enumerate(held):
            speaks[window.start : window.stop] = probabilities[row, 1 : len(window) + 1, 1:]
        heads: list[str] = list(self.manifest["heads"])
        encoded = {name: values[0] for name, values in zip(heads, logits, strict=True)}
        counted = self._counts.answer(read.ids) if self._counts is not None else {}
        return Answers(
            logits={
                name: values + self._mix[name] * counted[name] if name in counted else values
                for name, values in encoded.items()
            },
            read=read,
            speaks=speaks,
            whole=sum(len(window) for window in held) >= len(read.ids),
        )


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)
