"""Seed noise of the training loss, pooled over healthy shapes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve.check.shapes import ShapeLoss

Array = npt.NDArray[np.float64]

LEAST_FREEDOM = 4
"""Fewer degrees of freedom than this cannot say what seed noise is."""
UNUSUAL = 0.001
"""A shape whose spread would be as large by chance with this probability does not count as healthy."""


@dataclasses.dataclass(frozen=True)
class SeedNoise:
    """Standard deviation of ln loss between seeds of a healthy shape, with its degrees of freedom."""

    deviation: float
    freedom: int


def pooled_noise(shapes: Sequence[ShapeLoss]) -> SeedNoise | None:
    """Return the pooled seed noise, without shapes whose spread is unusually large.

    It starts from the median of the variances, each divided by the median of chi2(f) / f for its f degrees of
    freedom, which unhealthy shapes move little while they are the minority, and then pools the shapes that
    this noise explains, until these no longer change.

    Returns None with fewer than LEAST_FREEDOM degrees of freedom, or if all seeds have one loss.
    """
    repeated = [shape for shape in shapes if shape.spread is not None]
    variance = np.array([shape.spread**2 for shape in repeated if shape.spread is not None])
    freedom = np.array([shape.seeds - 1 for shape in repeated], dtype=float)
    if freedom.sum() < LEAST_FREEDOM:
        return None
    pooled = float(np.median(variance / (special.chdtri(freedom, 0.5) / freedom)))
    healthy = np.ones(len(variance), dtype=bool)
    for _ in range(len(variance) + 1):
        if pooled <= 0:
            return None
        kept = special.chdtrc(freedom, freedom * variance / pooled) > UNUSUAL
        pooled = float(np.sum((freedom * variance)[kept]) / np.sum(freedom[kept])) if kept.any() else pooled
        if (kept == healthy).all():
            break
        healthy = kept
    # Horizons of one trunk share its seeds: they are no independent measurements, and count once.
    of_config: dict[str, int] = {}
    for shape in itertools.compress(repeated, healthy):
        config_id = shape.subject.config_id
        of_config[config_id] = max(of_config.get(config_id, 0), shape.seeds - 1)
    total = sum(of_config.values())
    return SeedNoise(float(np.sqrt(pooled)), total) if total >= LEAST_FREEDOM and pooled > 0 else None


def own_deviation(shape: ShapeLoss, shapes: Sequence[ShapeLoss], noise: SeedNoise) -> float:
    """Return the seed noise to expect of one shape: its own spread, but no less than that of healthy shapes.

    A shape with one seed takes the spread of the largest shape nested in it that has several.
    """
    spread = shape.spread
    if spread is None:
        smaller = [
            each
            for each in shapes
            if each.spread is not None
            and each.group == shape.group
            and each.width <= shape.width
            and each.depth <= shape.depth
        ]
        spread = max(smaller, key=lambda each: each.compute).spread if smaller else None
    return max(noise.deviation, spread or 0.0)
