"""What a larger batch costs in examples, once the critical batch size is known."""

from __future__ import annotations


def algorithmic_efficiency(batch: float, critical_batch: float) -> float:
    """Return the share of the examples of training that a much smaller batch would have needed too.

    E_min / E = 1 / (1 + B / B_crit), in (0, 1] (McCandlish et al. 2018, section 2): 1 for batches far below
    the critical size, 1/2 at it. This is the limit that the algorithm sets, not the machine: `batch` is that
    of all workers together.

    Args:
        batch: examples of a step.
        critical_batch: the critical batch size, in the same unit.

    Raises:
        ValueError: one of the two is not above 0.
    """
    for name, value in (("batch", batch), ("critical_batch", critical_batch)):
        if not value > 0:
            raise ValueError(f"{name}={value:g}: give a number of examples above 0")
    return 1 / (1 + batch / critical_batch)


def largest_batch(extra_examples: float, critical_batch: float) -> float:
    """Return the largest batch that needs at most this share more examples than small ones, 0.2 for 20%.

    E / E_min - 1 = B / B_crit, so it is B = share x B_crit.
    """
    return extra_examples * critical_batch


def step_speedup_limit(batch: float, critical_batch: float) -> float:
    """Return how many times fewer steps any larger batch can bring: S / S_min = 1 + B_crit / B.

    With `batch` on one worker and any number of workers, data parallelism makes training at most this many
    times faster, even if communication costs nothing.
    """
    return 1 + critical_batch / batch
