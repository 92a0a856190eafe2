"""What it takes to reach a performance: between simulated sizes for the lasso, exactly for least squares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from isoflop.paper.theory import laws
from isoflop.paper.theory.result import Case, Reach, Row, SimulatedMean, TheorySettings, Variation

Crossing = tuple[float, float]


def reach(case: Case, rows: Sequence[Row], performance: float) -> Reach:
    """Return the examples and FLOPs at which `rows` of one case, by size, pass `performance` for good."""
    crossings: list[Crossing | None] = []
    for side in ("value", "high", "low"):
        curve = [(float(row.examples), row.flops, float(getattr(row.performance, side))) for row in rows]
        crossings.append(_crossing(curve, performance))
    middle, early, late = crossings
    if middle is None:
        below = max(rows, key=lambda row: row.examples).performance.value < performance
        most = f"not reached by {rows[-1].examples:,} examples"
        return Reach(case, performance, None, None, most if below else "reached at the least size already")
    ends = (early or middle, late or middle)
    examples, flops = (SimulatedMean(middle[i], ends[0][i], ends[1][i]) for i in (0, 1))
    return Reach(case, performance, examples, flops, None)


def _crossing(curve: Sequence[tuple[float, float, float]], performance: float) -> Crossing | None:
    """Return (examples, FLOPs) of the last upward crossing, by straight lines on logarithmic scales."""
    for (n0, c0, y0), (n1, c1, y1) in reversed(list(itertools.pairwise(curve))):
        if y1 < performance:
            return None
        if y0 < performance:
            share = (performance - y0) / (y1 - y0)
            return n0 * (n1 / n0) ** share, c0 * (c1 / c0) ** share
    return None


def variation(
    settings: TheorySettings, name: str, value: str, chosen: bool, rows: Sequence[Row]
) -> Variation:
    """Return ratios of data and computation to reach the target, the lasso by its rows, the others exactly.

    Args:
        settings: with the one choice changed.
        name: of the setting changed.
        value: that it was given.
        chosen: whether that is our own choice.
        rows: of the lasso, by size.
    """
    ceiling = -math.log10(laws.missed(settings.relevant, settings.coefficients) ** 2 / settings.relevant)
    lasso = reach("regularised", rows, settings.target)
    examples: dict[Case, float] = {}
    for case in ("oracle", "flexible"):
        needed = laws.examples_for(
            case,
            settings.target,
            features=settings.features,
            relevant=settings.relevant,
            kind=settings.coefficients,
            noise_variance=settings.noise_variance,
        )
        assert needed is not None
        examples[case] = needed
    flops = {
        case: laws.least_squares_flops(
            n, settings.features if case == "flexible" else settings.relevant, settings.counting
        )
        for case, n in examples.items()
    }
    n = lasso.examples.value if lasso.examples else None
    c = lasso.flops.value if lasso.flops else None
    return Variation(
        setting=name,
        value=value,
        chosen=chosen,
        simulations=rows[0].simulations,
        lasso_examples=n,
        lasso_to_oracle_examples=n and n / examples["oracle"],
        flexible_to_lasso_examples=n and examples["flexible"] / n,
        lasso_to_oracle_flops=c and c / flops["oracle"],
        flexible_to_lasso_flops=c and flops["flexible"] / c,
        expert_ceiling=ceiling,
    )
