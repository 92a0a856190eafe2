"""How often 95% intervals held the truth in simulations, in words where that is not as often as they say.

MEASURED is read off results/coverage-simulated/coverage.csv (scripts/bench_coverage.py): sweeps with three
seeds over four decades of x, 5% noise between seeds and, on all runs, 3% between configurations.
"""

from __future__ import annotations

LEAST, MOST = 0.93, 0.97
"""Shares of simulations within which an interval is said to hold what it says."""
QUANTITIES = ("b", "E", "y at x_max", "y at 10 x_max", "new run at x_max")

Key = tuple[str, bool, int]
"""Law, whether of the frontier, configurations."""

MEASURED: dict[Key, dict[str, tuple[float, int]]] = {
    ("power", False, 8): {
        "b": (0.9429, 175),
        "b, profile": (0.9492, 59),
        "y at x_max": (0.9257, 175),
        "y at 10 x_max": (0.9257, 175),
        "new run at x_max": (0.9886, 175),
    },
    ("power", True, 8): {
        "b": (0.9771, 175),
        "y at x_max": (0.9657, 175),
        "y at 10 x_max": (0.9714, 175),
        "new run at x_max": (0.9886, 175),
    },
    ("power", False, 15): {
        "b": (0.9314, 175),
        "b, profile": (1.0, 59),
        "y at x_max": (0.9314, 175),
        "y at 10 x_max": (0.92, 175),
        "new run at x_max": (0.9829, 175),
    },
    ("power", True, 15): {
        "b": (0.9486, 175),
        "y at x_max": (0.9257, 175),
        "y at 10 x_max": (0.9429, 175),
        "new run at x_max": (0.9829, 175),
    },
    ("power", False, 30): {
        "b": (0.9657, 175),
        "b, profile": (0.9661, 59),
        "y at x_max": (0.9371, 175),
        "y at 10 x_max": (0.9429, 175),
        "new run at x_max": (0.9486, 175),
    },
    ("power", True, 30): {
        "b": (0.9714, 175),
        "y at x_max": (0.9429, 175),
        "y at 10 x_max": (0.9657, 175),
        "new run at x_max": (0.9771, 175),
    },
    ("power_floor", False, 8): {
        "E": (0.9771, 175),
        "b": (0.9657, 175),
        "b, profile": (1.0, 59),
        "y at x_max": (0.8971, 175),
        "y at 10 x_max": (0.9543, 175),
        "new run at x_max": (0.9829, 175),
    },
    ("power_floor", True, 8): {
        "E": (0.9943, 175),
        "b": (0.9886, 175),
        "y at x_max": (0.9314, 175),
        "y at 10 x_max": (0.9886, 175),
        "new run at x_max": (1.0, 175),
    },
    ("power_floor", False, 15): {
        "E": (0.9543, 175),
        "b": (0.96, 175),
        "b, profile": (0.9322, 59),
        "y at x_max": (0.9257, 175),
        "y at 10 x_max": (0.9257, 175),
        "new run at x_max": (0.9886, 175),
    },
    ("power_floor", True, 15): {
        "E": (0.9771, 175),
        "b": (0.9943, 175),
        "y at x_max": (0.92, 175),
        "y at 10 x_max": (0.9714, 175),
        "new run at x_max": (0.9886, 175),
    },
    ("power_floor", False, 30): {
        "E": (0.9314, 175),
        "b": (0.92, 175),
        "b, profile": (0.9831, 59),
        "y at x_max": (0.96, 175),
        "y at 10 x_max": (0.9371, 175),
        "new run at x_max": (0.9657, 175),
    },
    ("power_floor", True, 30): {
        "E": (0.9667, 150),
        "b": (0.9733, 150),
        "y at x_max": (0.9267, 150),
        "y at 10 x_max": (0.9533, 150),
        "new run at x_max": (0.9733, 150),
    },
}


def nearest(configs: int) -> int:
    """The number of configurations, of those that were simulated, that is nearest in ratio."""
    return min((8, 15, 30), key=lambda simulated: max(simulated / configs, configs / simulated))


def words(law: str, quantity: str, configs: int, frontier: bool) -> str | None:
    """What simulations say of the 95% interval of `quantity`; None where it held the truth, within LEAST to
    MOST, as often as it says, or where the law was not simulated."""
    simulated = nearest(configs)
    found = MEASURED.get((law, frontier, simulated), {}).get(quantity)
    if found is None or LEAST <= found[0] <= MOST:
        return None
    share, cases = found
    return (
        f"in simulations of {simulated} configurations, 95% intervals of {quantity} held the truth in "
        f"{share:.0%} of {cases:,} cases"
    )
