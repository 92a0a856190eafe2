"""Was enough measured for an answer? The same thresholds as those of the checks (check/amount.py)."""

from __future__ import annotations

import math

from isoflop.curve.check.amount import LEAST_CONFIGS, LEAST_DECADES, LEAST_SCALES
from isoflop.curve.judge.answer import Reason


def reasons(
    decades: float, configs: int, scales: int, most_seeds: int, *, resource: str, is_compute: bool = True
) -> tuple[Reason, ...]:
    """Return why too little was measured, whatever a fit says; none where it was enough.

    Args:
        decades: log10 of the largest x over the smallest.
        configs: configurations.
        scales: distinct x.
        most_seeds: of any configuration; 0 where seeds are not known.
        resource: the name of x.
        is_compute: whether x is a compute, for the name of its scales.
    """
    missing = []
    if decades < LEAST_DECADES:
        # Rounded down, so that 1.499 decades are not said to be 1.5.
        spanned = math.floor(100 * decades) / 100
        sentence = f"{resource} spans only {spanned:g} decades, {LEAST_DECADES:g} are needed"
        missing.append(Reason("decades", sentence))
    if configs < LEAST_CONFIGS or scales < LEAST_SCALES:
        kind = "compute scale" if is_compute else "scale"
        there = f"{_plural(configs, 'configuration')} at {_plural(scales, kind)}"
        needed = f"{LEAST_CONFIGS} at {LEAST_SCALES} are needed"
        missing.append(Reason("configurations", f"there are only {there}, {needed}"))
    if most_seeds == 1:
        sentence = "each configuration was trained with a single seed, so luck and size are one"
        missing.append(Reason("seeds", sentence))
    return tuple(missing)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
