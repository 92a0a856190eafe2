"""How much of N GPUs data-parallel training uses: predicted, measured, or taken as all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Efficiency:
    """Speed-up on N GPUs over N, with the ends of its interval, and where it is from.

    `is_known` is False where nothing tells it and 1, an upper bound, stands in its place.
    """

    value: float
    low: float
    high: float
    source: str
    is_known: bool = True


EfficiencyAt = Callable[[int, float], Efficiency]
"""GPUs, log10 of training GFLOPs (by which the model's size is known) -> efficiency."""

AS_ONE = (
    "efficiency at N is taken as 1, an upper bound, so that times on several GPUs are the least they can be: "
    "say how they are joined by --link (such as nvlink4 or ethernet-100)"
)


ONE = Efficiency(1.0, 1.0, 1.0, "one GPU")


def taken_as_one(gpus: int, log10_gflops: float) -> Efficiency:
    """Return 1, of one GPU by definition, of several as an upper bound."""
    del log10_gflops
    if gpus == 1:
        return ONE
    return Efficiency(1.0, 1.0, 1.0, AS_ONE, is_known=False)
