"""How often 95% intervals held the truth in simulations, and warnings where that differs from 95%.

MEASURED is copied from results/coverage-simulated/coverage.csv (benchmarks/bench_coverage.py): sweeps with
three seeds over four decades of x, 5% noise between seeds and, on all runs, 3% between configurations.
"""

from __future__ import annotations

import dataclasses

LEAST, MOST = 0.93, 0.97
"""An interval whose measured coverage lies between these shares gives no warning."""
NOISE = 0.058
"""Standard deviation of ln y of the simulated runs: 5% between seeds and 3% between configurations."""
NEAR_NOISE, NEAR_CONFIGS, LEAST_REPEATS = 2.0, 1.5, 2.0
"""Ratios up to which noise and configurations resemble the simulated ones, and the least runs of a
configuration."""
QUANTITIES = ("b", "E", "y at x_max", "y at 10 x_max", "new run at x_max")

Key = tuple[str, bool, int]
"""Law, whether on the frontier, number of configurations."""

MEASURED: dict[Key, dict[str, tuple[float, int]]] = {
    ("power_law", False, 8): {
        "b": (0.945, 1000),
        "b, profile": (0.9641, 334),
        "y at x_max": (0.926, 1000),
        "y at 10 x_max": (0.938, 1000),
        "new run at x_max": (0.977, 1000),
    },
    ("power_law", True, 8): {
        "b": (0.961, 1000),
        "y at x_max": (0.951, 1000),
        "y at 10 x_max": (0.963, 1000),
        "new run at x_max": (0.994, 1000),
    },
    ("power_law", False, 15): {
        "b": (0.947, 1000),
        "b, profile": (0.9581, 334),
        "y at x_max": (0.938, 1000),
        "y at 10 x_max": (0.944, 1000),
        "new run at x_max": (0.965, 1000),
    },
    ("power_law", True, 15): {
        "b": (0.974, 1000),
        "y at x_max": (0.958, 1000),
        "y at 10 x_max": (0.972, 1000),
        "new run at x_max": (0.989, 1000),
    },
    ("power_law", False, 30): {
        "b": (0.952, 1000),
        "b, profile": (0.9551, 334),
        "y at x_max": (0.954, 1000),
        "y at 10 x_max": (0.954, 1000),
        "new run at x_max": (0.948, 1000),
    },
    ("power_law", True, 30): {
        "b": (0.966, 1000),
        "y at x_max": (0.954, 1000),
        "y at 10 x_max": (0.963, 1000),
        "new run at x_max": (0.972, 1000),
    },
    ("power_law_floor", False, 8): {
        "E": (0.965, 1000),
        "b": (0.964, 1000),
        "b, profile": (0.9731, 334),
        "y at x_max": (0.922, 1000),
        "y at 10 x_max": (0.97, 1000),
        "new run at x_max": (0.986, 1000),
    },
    ("power_law_floor", True, 8): {
        "E": (0.983, 1000),
        "b": (0.976, 1000),
        "y at x_max": (0.964, 1000),
        "y at 10 x_max": (0.985, 1000),
        "new run at x_max": (0.999, 1000),
    },
    ("power_law_floor", False, 15): {
        "E": (0.947, 1000),
        "b": (0.953, 1000),
        "b, profile": (0.9551, 334),
        "y at x_max": (0.929, 1000),
        "y at 10 x_max": (0.959, 1000),
        "new run at x_max": (0.967, 1000),
    },
    ("power_law_floor", True, 15): {
        "E": (0.987, 1000),
        "b": (0.993, 1000),
        "y at x_max": (0.966, 1000),
        "y at 10 x_max": (0.991, 1000),
        "new run at x_max": (0.996, 1000),
    },
    ("power_law_floor", False, 30): {
        "E": (0.944, 1000),
        "b": (0.946, 1000),
        "b, profile": (0.9671, 334),
        "y at x_max": (0.924, 1000),
        "y at 10 x_max": (0.945, 1000),
        "new run at x_max": (0.954, 1000),
    },
    ("power_law_floor", True, 30): {
        "E": (0.972, 1000),
        "b": (0.974, 1000),
        "y at x_max": (0.957, 1000),
        "y at 10 x_max": (0.976, 1000),
        "new run at x_max": (0.968, 1000),
    },
}


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What a fit was made of, to be held against the simulated sweeps.

    Attributes:
        configs: number of configurations.
        frontier: whether only the frontier was fitted.
        noise: standard deviation of ln y of single runs about the law.
        repeats: runs of a configuration, on average.
        level: of the intervals.
        usual: the law is fitted to the middle of y, with all parameters free and configurations resampled.
    """

    configs: int
    frontier: bool
    noise: float
    repeats: float
    level: float = 0.95
    usual: bool = True


def nearest(configs: int) -> int:
    """Return the simulated number of configurations that is nearest in ratio."""
    return min((8, 15, 30), key=lambda simulated: max(simulated / configs, configs / simulated))


def resembles(fitted: Fitted) -> bool:
    """Return whether simulated sweeps are like a fit: in method, configurations, seeds and noise."""
    simulated = nearest(fitted.configs)
    return (
        fitted.usual
        and fitted.level == 0.95
        and fitted.repeats >= LEAST_REPEATS
        and max(simulated / fitted.configs, fitted.configs / simulated) <= NEAR_CONFIGS
        and NOISE / NEAR_NOISE <= fitted.noise <= NOISE * NEAR_NOISE
    )


def warning(law: str, quantity: str, fitted: Fitted) -> str | None:
    """Return a warning with the measured coverage of the 95% interval of `quantity`.

    None where that lies within LEAST to MOST, where the law was not simulated, or no simulated sweep
    resembles the data.
    """
    simulated = nearest(fitted.configs)
    measured = MEASURED.get((law, fitted.frontier, simulated), {}).get(quantity)
    if measured is None or LEAST <= measured[0] <= MOST or not resembles(fitted):
        return None
    share, cases = measured
    return (
        f"in simulations of {simulated} configurations, 95% intervals of {quantity} held the truth in "
        f"{100 * share:.3g}% of {cases:,} cases"
    )
