"""What a finished network costs an example. Without torch, as readers of checkpoints and records are."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class InferenceWork:
    """What a finished network costs an example.

    Attributes:
        flops: FLOPs of a forward pass as it is executed; None where unknown.
        nominal_flops: FLOPs if every zero weight and every skipped part cost nothing.
        density: share of the weights that are not zero.
    """

    flops: float | None
    nominal_flops: float | None
    density: float
