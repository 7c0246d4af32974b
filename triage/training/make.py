"""From the corpus to arrays, and from learned weights to the model that ships: the two ends of ``model train``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from triage import neutral
from triage.learned.model import COUNTS, ENCODER, MANIFEST, MODEL, TOKENIZER, WORDS
from triage.training import prepare, texts
from triage.training.adopt import adopt
from triage.training.calibrate import calibrate

BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""all-MiniLM-L6-v2, Apache-2.0, model.safetensors of revision 1110a243: the weights that learning begins with."""
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

LEARNED = "learned-from.txt"
"""Beside the model: the fingerprints of the texts it has learned from, which tell nothing of how sure it may be."""
GO_ON = ("--epochs", "3", "--rate", "5e-5", "--folds", "3", "--seeds", "1")
"""How learning goes on from a model that exists: shorter and gentler than from the base."""

CANDIDATE = "candidate"
"""The folder of a model that is not adopted yet."""
NUMBER = 3
"""Raised when what is learned from, or how, changes what a model means."""


class BaseFaulty(Exception):
    """A base file is not the published one; the text says which."""


def prepared(folder: Path, to: Path, learned: Collection[str] = ()) -> list[texts.Text]:
    """Writes the arrays to learn from and the words that are no names; returns the texts in the arrays' order.

    ``learned`` are the fingerprints of the texts that the weights to begin with have learned from.

    Raises CorpusFaulty where the corpus is not as the guide says, and BaseFaulty where the tokenizer is another.
    """
    tokenizer_file = MODEL / TOKENIZER
    if _hash(tokenizer_file) != TOKENIZER_SHA256:
        raise BaseFaulty(TOKENIZER)
    corpus = texts.read(folder)
    # The test's texts tell nothing, not even which words are written small.
    known = neutral.small_words(f"{text.subject}\n{text.body}" for text in corpus if not text.is_test)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    arrays = prepare.prepare(corpus, tokenizer, neutral.neutral(known))
    prepare.save(to, arrays, corpus, learned)
    to.with_suffix(".words.txt").write_text("\n".join(known) + "\n", encoding="utf-8")
    return corpus


def train(corpus: Path, base: Path | None, to: Path) -> dict[str, Any]:
    """Learns a model from the corpus, on the machine's accelerator where it has one, and writes it into a folder.

    It begins with the published encoder's file, or goes on from the present model (None). It is written there only where it
    beats the present model on the test split. Raises NotAdopted, CorpusFaulty, BaseFaulty, OSError; ImportError where
    PyTorch is missing.
    """
    from triage import evaluate
    from triage.training import learn

    if base is not None and _hash(base) != BASE_SHA256:
        raise BaseFaulty(f"{base.name} is not the published file")
    refuse_test_texts(texts.read(corpus))
    to.mkdir(parents=True, exist_ok=True)
    arrays = to / "prepared.npz"
    learning = [str(arrays), str(base), str(to / "learned")]
    if base is None:
        learning += ["--start", str(_present(to)), *GO_ON]
    before = learned_from(MODEL) if base is None else frozenset()
    read = prepared(corpus, arrays, before)
    learn.learn_all(learn.options(learning))
    finish(arrays, to / "learned", learn.CHOSEN, corpus, to / CANDIDATE, number=NUMBER)
    held_back = _held_back(to / "learned", read) if base is None else frozenset()
    known = before | {text.fingerprint for text in read if not text.is_test} - held_back
    (to / CANDIDATE / LEARNED).write_text("\n".join(sorted(known)) + "\n", encoding="utf-8")
    return adopt(to / CANDIDATE, to, lambda model: evaluate.report(None, model))


def learned_from(model: Path) -> frozenset[str]:
    """The fingerprints of the texts that the model in a folder has learned from. Raises OSError where it does not say."""
    return frozenset((model / LEARNED).read_text(encoding="utf-8").split())


def _held_back(learned: Path, corpus: Sequence[texts.Text]) -> frozenset[str]:
    """The texts that the encoder was calibrated on, and may be calibrated on again: it has not learned from them."""
    folds = [np.load(file)["index"] for file in sorted(learned.glob("fold-*.npz"))]
    return frozenset(corpus[int(number)].fingerprint for fold in folds for number in fold)


def _present(to: Path) -> Path:
    import torch

    from triage.training import present

    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    path = to / "present.pt"
    torch.save(present.weights(MODEL / ENCODER, prepare.HEADS, manifest["measures"]), path)
    return path


def refuse_test_texts(corpus: Sequence[texts.Text]) -> None:
    """Raises CorpusFaulty where a text that the shipped corpus sets apart for the test would be learned from."""
    apart = {text.body for text in texts.read() if text.is_test}
    learned = [text.id for text in corpus if not text.is_test and text.body in apart]
    if learned:
        raise texts.CorpusFaulty(f"texts of the test split are among those to learn from: {', '.join(learned[:5])}")


def finish(arrays: Path, learned: Path, weights: str, corpus: Path, to: Path, *, number: int) -> dict[str, Any]:
    """Exports learned weights, calibrates on the folds' answers, writes the manifest. Returns the manifest."""
    import torch

    from triage.training import counting
    from triage.training.export import export

    with np.load(arrays) as file:
        data = {name: file[name] for name in file.files}
    labels = {name.removeprefix("label_"): values for name, values in data.items() if name.startswith("label_")}
    folds = [np.load(file) for file in sorted(learned.glob("fold-*.npz"))]
    index = np.concatenate([fold["index"] for fold in folds])
    learning = np.flatnonzero(~data["test"])
    counted = [
        counting.answers(counting.learn(data, np.setdiff1d(learning, fold["index"])), data, fold["index"])
        for fold in folds
    ]
    calibration = calibrate(
        {name: np.concatenate([fold[name] for fold in folds]) for name in prepare.HEADS},
        {name: np.concatenate([said[name] for said in counted]) for name in prepare.HEADS},
        {name: values[index] for name, values in labels.items()},
    )
    to.mkdir(parents=True, exist_ok=True)
    state = torch.load(learned / weights, map_location="cpu", weights_only=True)
    export(state, prepare.HEADS, data["measures"].shape[1], to / ENCODER)
    counts: dict[str, Any] = counting.learn(data, learning)
    np.savez_compressed(to / COUNTS, **counts)
    (to / TOKENIZER).write_bytes((MODEL / TOKENIZER).read_bytes())
    (to / WORDS).write_text(arrays.with_suffix(".words.txt").read_text(encoding="utf-8"), encoding="utf-8")
    return write_manifest(
        to,
        calibration,
        corpus,
        measures=int(data["measures"].shape[1]),
        learned_from=int((~data["test"]).sum()),
        number=number,
    )


def write_manifest(
    to: Path, calibration: Mapping[str, Any], corpus: Path, *, measures: int, learned_from: int, number: int
) -> dict[str, Any]:
    """The papers of the model in a folder: what it is made of, and the hashes that loading holds it to."""
    hashes = {name: _hash(to / name) for name in (ENCODER, COUNTS, TOKENIZER, WORDS)}
    manifest = {
        "version": version(number, hashes, calibration),
        "sha256": hashes,
        "heads": list(prepare.HEADS),
        "answers": list(prepare.HEADS.values()),
        "measures": measures,
        "calibration": calibration,
        "base": {"name": "all-MiniLM-L6-v2", "licence": "Apache-2.0", "sha256": BASE_SHA256},
        "corpus": {"sha256": corpus_hash(sorted(corpus.glob("*.txt"))), "learned_from_texts": learned_from},
    }
    (to / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def version(number: int, hashes: Mapping[str, str], calibration: Mapping[str, Any]) -> str:
    """What a model is called: two that differ in any file, or in how sure they are, never share a name."""
    whole = json.dumps([sorted(hashes.items()), calibration], sort_keys=True, separators=(",", ":"))
    return f"learned-{number}.{sha256(whole.encode()).hexdigest()[:8]}"


def corpus_hash(files: Sequence[Path]) -> str:
    """One hash over every file of the corpus, in order."""
    whole = sha256()
    for file in files:
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
