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

# Newer wheels report home unless this stands before the import; nothing of ours may speak to anybody.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
import onnxruntime

MODEL = Path(__file__).parent.parent / "model"
MANIFEST, ENCODER, TOKENIZER, WORDS = "model.json", "encoder.onnx", "tokenizer.json", "words.txt"

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
        self.version: str = self.manifest["version"]

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
        return Answers(
            logits={name: values[0] for name, values in zip(heads, logits, strict=True)},
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
