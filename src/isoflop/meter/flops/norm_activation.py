"""Work of normalisation layers and activations, which the curve's compute leaves out by convention.

The convention is that of fvcore's norm_flop_counter for a layer that computes its statistics: 5 FLOPs an
element (mean, variance, difference, scale; 4 without the affine part), and 1 FLOP an element of an
activation's result. A root mean square norm, which takes no mean, is counted like the others. It is counted
on the trace of a forward pass of one example.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

NORMS = {
    "aten::batch_norm": 1,
    "aten::instance_norm": 1,
    "aten::layer_norm": 2,
    "aten::group_norm": 2,
    "aten::rms_norm": 2,
}
"""Normalisation -> position of its weight among the arguments; without a weight it has no affine part."""
WITH_AFFINE, WITHOUT_AFFINE = 5, 4
ACTIVATIONS = (
    *("relu", "relu6", "hardtanh", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softmax"),
)

Handle = Callable[[Sequence[Any], Sequence[Any]], int]


@dataclasses.dataclass
class NormActivationCounter:
    """FLOPs of the normalisations and activations of a trace, summed by handles that are called once a node;
    each handle returns 0 MACs, so that the trace's own total stays as it is."""

    flops: int = 0

    def handles(self) -> dict[str, Handle]:
        """Return the handles of fvcore's trace: name of an operation -> function of its node's values."""
        names = [f"aten::{name}{end}" for name in ACTIVATIONS for end in ("", "_")]
        return dict.fromkeys(names, self._activation) | {
            name: self._norm(position) for name, position in NORMS.items()
        }

    def _activation(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        self.flops += math.prod(outputs[0].type().sizes())
        return 0

    def _norm(self, weight: int) -> Handle:
        def handle(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
            affine = inputs[weight].type().kind() == "TensorType"
            each = WITH_AFFINE if affine else WITHOUT_AFFINE
            self.flops += each * math.prod(outputs[0].type().sizes())
            return 0

        return handle
