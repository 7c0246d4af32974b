"""Learned weights as the file that the service reads: an int8 ONNX graph, its hash and its papers beside it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from triage.training.network import Network


class _OneText(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor, rules: Tensor) -> tuple[Tensor, ...]:
        return self.network(ids, mask, rules)  # type: ignore[no-any-return]


def export(state: Mapping[str, Tensor], sizes: Mapping[str, int], measures: int, to: Path) -> None:
    """Writes the graph with weights of eight bits. The first inputs' lengths may vary: windows, and pieces of a window."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    network = Network(sizes, measures)
    network.load_state_dict({name: value.float() for name, value in state.items()})
    network.eval()
    whole = to.with_suffix(".fp32.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _OneText(network),
            (torch.ones(2, 40, dtype=torch.long), torch.ones(2, 40), torch.zeros(1, measures)),
            str(whole),
            input_names=["ids", "mask", "rules"],
            output_names=[*sizes, "evidence"],
            dynamic_axes={
                "ids": {0: "windows", 1: "pieces"},
                "mask": {0: "windows", 1: "pieces"},
                "evidence": {0: "windows", 1: "pieces"},
            },
            opset_version=17,
            dynamo=False,
        )
    quantize_dynamic(str(whole), str(to), weight_type=QuantType.QInt8)
    whole.unlink()
