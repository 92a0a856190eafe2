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

MEASURED: dict[Key, dict[str, tuple[float, int]]] = {}


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
