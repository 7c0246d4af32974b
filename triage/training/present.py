"""The present model's weights, taken back out of the file that ships, so that learning can go on from them.

The file holds them in eight bits: what is lost by that is little, and learning makes it good.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from triage.training.network import HIDDEN, Network

_WITHIN = "network."
"""How the exported module calls what was learned."""


def weights(file: Path, sizes: Mapping[str, int], measures: int) -> dict[str, Tensor]:
    """What ``Network.load_state_dict`` takes. Raises KeyError where the file is not one that ``export`` wrote."""
    graph = onnx.load(str(file)).graph
    held: dict[str, Any] = {each.name: numpy_helper.to_array(each) for each in graph.initializer}

    def eight_bits(name: str) -> Any:
        whole = held[f"{name}_quantized"].astype(np.float32) - held[f"{name}_zero_point"].astype(np.float32)
        return whole * held[f"{name}_scale"]

    found: dict[str, Any] = {}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            # "/network/layers.0/query/MatMul_quant"; the heads are named by their own name alone.
            place = ".".join(node.name.split("/")[2:-1])
            name = f"heads.{place}.weight" if place in sizes else f"{place}.weight"
            found[name] = eight_bits(node.input[1].removesuffix("_quantized")).T
    # The kind of a piece is the same for all: the export has made one constant of it.
    kinds = next(value for value in held.values() if value.shape == (1, 1, HIDDEN))
    found["kinds.weight"] = np.concatenate([kinds.reshape(1, HIDDEN), np.zeros((1, HIDDEN), dtype=np.float32)])
    for name in Network(sizes, measures).state_dict():
        if name not in found:
            plain = _WITHIN + name
            found[name] = held[plain] if plain in held else eight_bits(plain)
    return {name: torch.tensor(np.array(value, dtype=np.float32)) for name, value in found.items()}
