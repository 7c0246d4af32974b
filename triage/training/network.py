"""The network that is learned: a small encoder (MiniLM, six layers) and several heads over one pooled text.

A text is read in windows; all windows of a text are pooled together, so that its length costs only time. The rules'
own findings are given to the heads beside the pooled text. PyTorch is needed here and nowhere in the service.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS, VOCABULARY = 384, 6, 12, 1536, 512, 30522
EVIDENCE = 3
"""What a word says: nothing, for, against."""


class Layer(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(HIDDEN, eps=1e-12), nn.LayerNorm(HIDDEN, eps=1e-12)
        self.up, self.down = nn.Linear(HIDDEN, INTERMEDIATE), nn.Linear(INTERMEDIATE, HIDDEN)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.reshape(y.shape[0], -1, HEADS, HIDDEN // HEADS).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = q @ k.transpose(2, 3) / math.sqrt(HIDDEN // HEADS) + bias
        mixed = (self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).reshape(x.shape[0], -1, HIDDEN)
        x = self.norm1(x + self.dropout(self.out(mixed)))
        return self.norm2(x + self.dropout(self.down(functional.gelu(self.up(x)))))


class Network(nn.Module):
    """``sizes``: how many answers each head gives; ``rules``: how many numbers the rules give."""

    def __init__(
        self, sizes: Mapping[str, int], rules: int, *, dropout: float = 0.1, head_dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, HIDDEN)
        self.positions = nn.Embedding(POSITIONS, HIDDEN)
        self.kinds = nn.Embedding(2, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(LAYERS))
        self.evidence = nn.Linear(HIDDEN, EVIDENCE)
        self.attend = nn.Linear(HIDDEN, 4)
        width = HIDDEN * 5 + rules
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
        self.dropout = nn.Dropout(dropout)
        self.head_dropout = nn.Dropout(head_dropout)
        self.rules_dropout = nn.Dropout(head_dropout)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Windows by tokens in, windows by tokens by hidden out. ``mask`` is 1 for a token and 0 for padding."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.words(ids) + self.positions(places)[None] + self.kinds.weight[0][None, None]
        x = self.dropout(self.norm(x))
        bias = (1.0 - mask)[:, None, None, :] * -10000.0
        for layer in self.layers:
            x = layer(x, bias)
        return x

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        """All tokens of one text (windows by tokens) as one vector: their mean, and what four attentions look at."""
        flat, kept = x.reshape(-1, HIDDEN), mask.reshape(-1, 1)
        mean = (flat * kept).sum(0) / kept.sum().clamp(min=1.0)
        weights = (self.attend(flat) - (1.0 - kept) * 10000.0).softmax(0)
        return torch.cat([mean, (weights.transpose(0, 1) @ flat).reshape(-1)])

    def answer(self, pooled: Tensor, rules: Tensor) -> dict[str, Tensor]:
        """Logits of each head for texts (texts by width)."""
        joined = torch.cat([self.head_dropout(pooled), self.rules_dropout(rules)], 1)
        return {name: head(joined) for name, head in self.heads.items()}

    def forward(self, ids: Tensor, mask: Tensor, rules: Tensor) -> tuple[Tensor, ...]:
        """One text: its windows, and the rules' numbers (1 by n). Answers of the heads in order, then the evidence."""
        x = self.encode(ids, mask)
        answers = self.answer(self.pool(x, mask)[None], rules)
        return (*(answers[name] for name in self.heads), self.evidence(x))


def from_minilm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published encoder's weights under this network's names. Raises KeyError where one is missing."""
    names = {
        "words.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "kinds.weight": "embeddings.token_type_embeddings.weight",
        "norm.weight": "embeddings.LayerNorm.weight",
        "norm.bias": "embeddings.LayerNorm.bias",
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for number in range(LAYERS):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                names[f"layers.{number}.{ours}.{kind}"] = f"encoder.layer.{number}.{theirs}.{kind}"
    return {ours: weights[theirs].float() for ours, theirs in names.items()}
