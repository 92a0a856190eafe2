"""Whether compiling the step is worth its time: a rule without torch, from what an H200 measured.

    saved seconds = steps x (seconds saved a step) - seconds of compiling

Compiling fuses batch norm, ReLU and additions, so that a step saves launches of kernels and traffic to
memory: a constant and a share of the bytes that a step without fusion moves (train_bytes_per_example of a
record). The two constants solve the two shapes that were measured, CIFAR-10 in batches of 512 in bf16
(docs/performance.md): 2014 to 1821 us at width 4, depth 1 and 10451 to 7495 us at width 64, depth 3. A faster
memory saves less, a slower one more; the sign of the decision, not the third digit, is what the rule is for.
"""

from __future__ import annotations

import dataclasses

LAUNCHES_SAVED_SECONDS = 118e-6
"""Seconds a step that do not depend on its size."""
SAVED_SECONDS_PER_BYTE = 1.955e-13
"""Seconds for each byte of a step without fusion: 83% of what a copy of it takes at 4.23 TB/s."""
LARGEST_SHARE = 0.4
"""A saving above this share of the predicted step is not believed: the largest measured is 0.28."""
STEP_OVERHEAD_SECONDS = 2.23e-3
STEP_SECONDS_PER_BYTE = 3.58e-13
STEP_FLOPS_PER_SECOND = 7.836e14
"""The plain graph's step: the measured rate of a large bf16 product, and two constants fitted to the 21
shapes of the same sweep, in logarithms: within a factor of 1.6 of each."""
COMPILE_SECONDS = 17.0
"""On an empty cache: 16.0 and 17.6 s were measured."""
CACHED_SECONDS = 4.0
"""From the cache: 0.4 and 1.2 s were measured in a process that had compiled before; another one loads the
compiler first."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is known of the steps that one compiled step would take.

    Attributes:
        flops_per_step: training FLOPs of a step; None where unknown.
        bytes_per_step: bytes that a step without fusion moves; None where unknown.
        steps: all steps that share the compiled step: trunk, cooldown branches and the seeds of its shape.
        cached: whether the compiler's cache on disk holds it.
    """

    flops_per_step: float | None
    bytes_per_step: float | None
    steps: int
    cached: bool


@dataclasses.dataclass(frozen=True)
class Saving:
    """Seconds that compiling is predicted to save and to cost, and the steps from which it saves time."""

    saved_seconds: float
    compile_seconds: float
    break_even_steps: float

    @property
    def worthwhile(self) -> bool:
        """Whether more is saved than spent."""
        return self.saved_seconds > self.compile_seconds


def step_seconds(flops_per_step: float, bytes_per_step: float) -> float:
    """Return the predicted seconds of a plain graph's step on an H200."""
    moved = STEP_SECONDS_PER_BYTE * bytes_per_step
    return STEP_OVERHEAD_SECONDS + moved + flops_per_step / STEP_FLOPS_PER_SECOND


def saved_step_seconds(flops_per_step: float, bytes_per_step: float) -> float:
    """Return the seconds by which a compiled step inside a graph is predicted to be shorter."""
    saved = LAUNCHES_SAVED_SECONDS + SAVED_SECONDS_PER_BYTE * bytes_per_step
    return min(saved, LARGEST_SHARE * step_seconds(flops_per_step, bytes_per_step))


def predict(work: Workload) -> Saving | None:
    """Return what compiling saves and costs, or None where FLOPs or bytes are unknown."""
    if work.flops_per_step is None or work.bytes_per_step is None:
        return None
    sizes = (work.flops_per_step, work.bytes_per_step)
    return Saving(
        saved_seconds=work.steps * saved_step_seconds(*sizes),
        compile_seconds=CACHED_SECONDS if work.cached else COMPILE_SECONDS,
        break_even_steps=break_even_steps(*sizes, cached=work.cached),
    )


def break_even_steps(flops_per_step: float, bytes_per_step: float, *, cached: bool) -> float:
    """Return the number of steps from which compiling saves time."""
    cost = CACHED_SECONDS if cached else COMPILE_SECONDS
    return cost / saved_step_seconds(flops_per_step, bytes_per_step)
