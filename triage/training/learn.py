"""Learning: the network over prepared texts, on whatever device there is, seeded. Reads arrays, writes weights.

    python -m triage.training.learn PREPARED.npz MINILM.safetensors OUT

Answers on texts that a fold did not learn from go into OUT/fold-N.npz, for the calibration; the texts set apart for the
test are answered by the last network alone, which learned from all others.

With ``--start`` learning goes on from a model's weights: one fold of the texts that these have not learned from is held
back for the calibration, and what ships is the mean of several networks that went on with other seeds and without it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # so that it runs where only PyTorch is installed
from network import HIDDEN, LAYERS, Network, from_minilm  # type: ignore[import-not-found]

START, END, PADDING, WINDOW = 101, 102, 0, 256
FOLDS = 5


CHOSEN = "student.pt"
"""Of the weights that are written, those that ship: one network taught by the others."""


def options(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What may be set, and how it is set where nothing is said."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prepared", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--head-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evidence", type=float, default=1.0)
    parser.add_argument("--alike", type=float, default=0.2)
    parser.add_argument("--drop-pieces", type=float, default=0.05)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--fold-seeds", type=int, default=3)
    parser.add_argument("--only", type=int)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--final", type=int, default=1)
    return parser.parse_args(given)


def learn_all(args: argparse.Namespace) -> None:
    """The folds, the last models, and what they score; as the module says."""
    args.out.mkdir(parents=True, exist_ok=True)
    data = Data(args.prepared)
    from safetensors.torch import load_file

    base = torch.load(args.start, weights_only=True) if args.start else from_minilm(load_file(str(args.weights)))
    learning = np.flatnonzero(~data.test)
    began = time.monotonic()
    if args.start:
        held = learning[data.fresh[learning] & (data.group[learning] % args.folds == 0)]
        network = gone_on(data, np.setdiff1d(learning, held), base, args, args.seeds, seed=100)
        keep(args.out, 0, held, answer(network, data, held))
        torch.save({key: value.half().cpu() for key, value in network.state_dict().items()}, args.out / CHOSEN)
        return
    for fold in range(args.folds) if args.only is None else [args.only]:
        held = learning[data.group[learning] % args.folds == fold]
        network = taught(data, np.setdiff1d(learning, held), base, args, args.fold_seeds, seed=fold * 10)
        said = answer(network, data, held)
        print(
            json.dumps({"fold": fold, "seconds": round(time.monotonic() - began)} | scores(said, data, held)),
            flush=True,
        )
        keep(args.out, fold, held, said)
    if args.final:
        test = np.flatnonzero(data.test)
        network = taught(data, learning, base, args, args.seeds, seed=100)
        print(json.dumps({"test": scores(answer(network, data, test), data, test)}), flush=True)
        torch.save({key: value.half().cpu() for key, value in network.state_dict().items()}, args.out / CHOSEN)
    print(json.dumps({"seconds": round(time.monotonic() - began)}), flush=True)


def taught(
    data: Data, index: np.ndarray[Any, Any], base: Mapping[str, Tensor], args: Any, teachers: int, *, seed: int
) -> Any:
    """One network that learned from the labels and from several others, which differ in their seeds alone."""
    if teachers < 2:
        return learn(data, index, base, args, seed=seed)
    others = [learn(data, index, base, args, seed=seed + number) for number in range(teachers)]
    return learn(data, index, base, args, seed=seed + teachers, teachers=others)


def keep(out: Path, fold: int, held: np.ndarray[Any, Any], said: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """The answers to the texts that were held back, for the calibration."""
    arrays: dict[str, Any] = {"index": held, **said}
    np.savez_compressed(out / f"fold-{fold}.npz", **arrays)


def gone_on(
    data: Data, index: np.ndarray[Any, Any], base: Mapping[str, Tensor], args: Any, seeds: int, *, seed: int
) -> Any:
    """One network: the mean of several that went on from the same weights, which errs less than each of them
    (Wortsman and others, 2022)."""
    networks = [learn(data, index, base, args, seed=seed + number) for number in range(seeds)]
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({name: torch.stack([one[name] for one in states]).mean(0) for name in states[0]})
    return networks[0]


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


class Data:
    """Prepared texts (``triage.training.prepare``), cut into windows once."""

    def __init__(self, path: Path) -> None:
        held = np.load(path)
        ends = np.cumsum(held["lengths"])
        starts = ends - held["lengths"]
        self.ids = [held["ids"][a:b].astype(np.int64) for a, b in zip(starts, ends, strict=True)]
        self.says = [held["says"][a:b].astype(np.int64) for a, b in zip(starts, ends, strict=True)]
        self.measures = held["measures"]
        self.test, self.group, self.fresh = held["test"], held["group"], held["fresh"]
        self.labels = {name[6:]: held[name] for name in held.files if name.startswith("label_")}
        self.sizes = {
            name: int(values.max()) + 1 if values.ndim == 1 else values.shape[1]
            for name, values in (
                (n, self.labels[n]) for n in ("category", "secondary", "threshold", "criteria", "flags", "missing")
            )
        }
        self.sizes["category"], self.sizes["threshold"] = 7, 4
        self.windows = [windows(ids, says) for ids, says in zip(self.ids, self.says, strict=True)]
        self.widths = np.array([max(len(ids) for ids, _ in each) for each in self.windows])


def windows(
    ids: np.ndarray[Any, Any], says: np.ndarray[Any, Any]
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    inside = WINDOW - 2
    count = max(1, -(-len(ids) // inside))
    size = max(1, -(-len(ids) // count))
    return [(ids[a : a + size], says[a : a + size]) for a in range(0, max(1, len(ids)), size)]


def batch(data: Data, index: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, list[range]]:
    rows = [(i, window) for i in index for window in data.windows[i]]
    width = max(len(w[0]) for _, w in rows) + 2
    ids = np.full((len(rows), width), PADDING, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.float32)
    says = np.full((len(rows), width), -100, dtype=np.int64)
    for row, (_, (window, said)) in enumerate(rows):
        ids[row, 0], ids[row, 1 : len(window) + 1], ids[row, len(window) + 1] = START, window, END
        mask[row, : len(window) + 2] = 1
        says[row, 1 : len(window) + 1] = said
    held, at = [], 0
    for i in index:
        held.append(range(at, at + len(data.windows[i])))
        at += len(data.windows[i])
    where = device()
    return torch.tensor(ids, device=where), torch.tensor(mask, device=where), torch.tensor(says, device=where), held


def run(network: Any, data: Data, index: Sequence[int], drop: float = 0.0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    ids, mask, says, held = batch(data, index)
    if drop:
        ids = torch.where(
            (torch.rand(ids.shape, device=ids.device) < drop) & (says >= 0), torch.full_like(ids, 103), ids
        )
    with torch.autocast(device(), dtype=torch.bfloat16, enabled=device() == "cuda"):
        x = network.encode(ids, mask)
    x = x.float()
    pooled = torch.stack([network.pool(x[one.start : one.stop], mask[one.start : one.stop]) for one in held])
    measures = torch.tensor(data.measures[list(index)], device=device())
    said = network.answer(pooled, measures)
    said["pooled"] = pooled
    return said, network.evidence(x), says


def learn(
    data: Data,
    index: np.ndarray[Any, Any],
    base: Mapping[str, Tensor],
    args: Any,
    *,
    seed: int,
    teachers: Sequence[Any] = (),
) -> Any:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    network = Network(data.sizes, data.measures.shape[1]).to(device())
    network.load_state_dict(base, strict=False)
    # Half of the weights are those of words. Going on changes them little, and they are what a step takes longest over.
    network.words.requires_grad_(not args.start)
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, value in network.named_parameters():
        if not value.requires_grad:
            continue
        groups.setdefault((name in base, value.ndim > 1), []).append(value)
    optimiser = torch.optim.AdamW(
        [
            {"params": values, "lr": args.rate if known else args.head_rate, "weight_decay": 0.01 if decays else 0.0}
            for (known, decays), values in groups.items()
        ]
    )
    epochs = args.epochs + (4 if teachers else 0)
    steps = epochs * -(-len(index) // args.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, step / (0.1 * steps + 1)) * max(0.0, 1 - step / steps)
    )
    for teacher in teachers:
        teacher.eval()
    network.train()
    for _ in range(epochs):
        for chosen in batches(index, args.batch, data.widths):
            said, evidence, says = run(network, data, chosen, args.drop_pieces)
            pooled = said.pop("pooled")
            loss = losses(said, data, chosen)
            if args.alike:
                loss = loss + args.alike * alike(pooled, data, chosen)
            if args.evidence:
                weights = torch.tensor([0.3, 1.0, 1.0], device=says.device)
                loss = loss + args.evidence * functional.cross_entropy(
                    evidence.flatten(0, 1), says.flatten(), weights, ignore_index=-100
                )
            if teachers:
                with torch.no_grad():
                    taught = [
                        {k: v for k, v in run(teacher, data, chosen)[0].items() if k != "pooled"}
                        for teacher in teachers
                    ]
                loss = 0.3 * loss + distillation(said, taught)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return network.eval()


def batches(index: np.ndarray[Any, Any], size: int, widths: np.ndarray[Any, Any]) -> Iterator[list[int]]:
    """All of ``index`` in an order drawn by lot, texts of about a length together: padding is read like words."""
    order, pool = np.random.permutation(index), size * 8
    drawn = []
    for start in range(0, len(order), pool):
        near = order[start : start + pool]
        near = near[np.argsort(widths[near], kind="stable")]
        drawn += [near[at : at + size] for at in range(0, len(near), size)]
    for number in np.random.permutation(len(drawn)):
        yield [int(i) for i in drawn[number]]


def losses(said: Mapping[str, Tensor], data: Data, index: Sequence[int]) -> Tensor:
    def labels(name: str) -> Tensor:
        return torch.tensor(data.labels[name][list(index)], device=device())

    threshold = labels("threshold")
    concerns = ((threshold == 0) | (threshold == 3)).float()[:, None]
    asked = (threshold != 2).float()[:, None]

    def many(name: str, of: Tensor | None = None) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(said[name], labels(name), reduction="none")
        return (each * of).sum() / (of.sum().clamp(min=1) * each.shape[1]) if of is not None else each.mean()

    return (
        functional.cross_entropy(said["category"], labels("category"), label_smoothing=0.05)
        + 1.5 * functional.cross_entropy(said["threshold"], threshold, label_smoothing=0.05)
        + 0.5 * many("secondary")
        + 2.0 * many("criteria", concerns)
        + 3.0 * many("flags")
        + 2.0 * many("missing", asked)
    )


def alike(pooled: Tensor, data: Data, index: Sequence[int]) -> Tensor:
    """Draws texts of one threshold and category together and others apart (supervised contrast; Khosla and others, 2020)."""
    vectors = functional.normalize(pooled[:, :HIDDEN], dim=1)
    kinds = torch.tensor(
        data.labels["threshold"][list(index)] * 10 + data.labels["category"][list(index)], device=pooled.device
    )
    itself = torch.eye(len(index), dtype=torch.bool, device=pooled.device)
    same = (kinds[:, None] == kinds[None]) & ~itself
    near = (vectors @ vectors.T / 0.1).masked_fill(itself, -1e4)
    likely = near - near.logsumexp(1, keepdim=True)
    has = same.any(1)
    if not has.any():
        return torch.zeros((), device=pooled.device)
    return -((likely * same).sum(1)[has] / same.sum(1)[has]).mean()


def distillation(said: Mapping[str, Tensor], taught: Sequence[Mapping[str, Tensor]]) -> Tensor:
    total = torch.zeros((), device=device())
    for name, logits in said.items():
        if name in ("category", "threshold"):
            target = torch.stack([one[name].softmax(-1) for one in taught]).mean(0)
            total = total + functional.cross_entropy(logits, target)
        else:
            target = torch.stack([one[name].sigmoid() for one in taught]).mean(0)
            total = total + 2.0 * functional.binary_cross_entropy_with_logits(logits, target)
    return total


def answer(network: Any, data: Data, index: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    network.eval()
    out: dict[str, list[np.ndarray[Any, Any]]] = {}
    with torch.no_grad():
        for start in range(0, len(index), 32):
            said, _, _ = run(network, data, [int(i) for i in index[start : start + 32]])
            for name in data.sizes:
                out.setdefault(name, []).append(said[name].cpu().numpy())
    return {name: np.concatenate(values) for name, values in out.items()}


def scores(said: Mapping[str, np.ndarray[Any, Any]], data: Data, index: np.ndarray[Any, Any]) -> dict[str, float]:
    """Plain figures to steer by; the service's own evaluation is ``intake-bot model evaluate``."""
    threshold, truth = said["threshold"].argmax(1), data.labels["threshold"][index]
    category, kind = said["category"], data.labels["category"][index]
    top2 = np.argsort(-category, 1)[:, :2]

    def f1(name: str, of: np.ndarray[Any, Any]) -> float:
        yes, expected = said[name][of] > 0, data.labels[name][index][of] > 0
        return float(2 * (yes & expected).sum() / max(1, yes.sum() + expected.sum()))

    meets, below = truth == 0, (truth == 1) | (truth == 2)
    every = np.ones(len(index), dtype=bool)
    found = {
        "n": float(len(index)),
        "sensitivity": float((threshold[meets] == 0).mean()),
        "caught": float(np.isin(threshold[meets], (0, 3)).mean()),
        "specificity": float((threshold[below] != 0).mean()),
        "threshold": float((threshold == truth).mean()),
        "top1": float((category.argmax(1) == kind).mean()),
        "top2": float((top2 == kind[:, None]).any(1).mean()),
        "criteria": f1("criteria", meets | (truth == 3)),
        "flags": f1("flags", every),
        "missing": f1("missing", truth != 2),
    }
    return {name: round(value, 3) for name, value in found.items()}


if __name__ == "__main__":
    assert LAYERS  # noqa: S101  # imported so that both ways of running find the network
    learn_all(options())
