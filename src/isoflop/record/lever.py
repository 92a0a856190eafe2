"""What a lever made of a run, and what the finished network costs to use.

Unknown is a reason beside the value (schema.py).
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class LeverFacts:
    """A lever of a run (docs/levers.md).

    `settings` tells two levers of one name apart. `density` is the share of the weights that are not zero,
    and `nominal_inference_flops_per_example` the work if zeros and skipped parts cost nothing; what was
    executed is in the section compute. `prior_...` is the work of the runs that had to be trained before (a
    teacher, the dense network, earlier rounds): 0 where there were none.
    """

    name: str
    settings: dict[str, Any]
    density: float
    nominal_inference_flops_per_example: float | None
    nominal_inference_flops_per_example_reason: str | None
    prior_runs: tuple[str, ...]
    prior_train_flops: float | None
    prior_train_flops_reason: str | None
    prior_joules: float | None
    prior_joules_reason: str | None
    prior_seconds: float


@dataclasses.dataclass(frozen=True)
class Inference:
    """Forward passes of the finished network, measured one after another on batches of `batch_size`.

    An example is an image, or a byte of text. `examples` is how many went through in all; seconds are those
    of the median pass, joules the mean.
    """

    batch_size: int
    examples: int
    seconds_per_example: float
    joules_per_example: float | None
    joules_per_example_reason: str | None
