"""How often do intervals of the critical batch size hold the truth? Ours, and those of resampled seeds.

Simulated steps to a loss at eight batch sizes, three seeds each, on the curve of McCandlish et al. 2018 with
normal noise in ln steps; in the second case the best rate of each batch size also lies somewhere between two
that were tried, which costs all its seeds up to 10% more steps. About a minute and a half on one core:

    python benchmarks/batch_coverage.py [SIMULATIONS]
"""

from __future__ import annotations

import sys

import numpy as np

from isoflop.curve.batch import hyperbola

CRITICAL, STEPS_MIN, SEEDS, NOISE, RESAMPLES = 60.0, 40.0, 3, 0.05, 100
BATCHES = np.array([4.0, 8, 16, 32, 64, 128, 256, 512])


def resampled(ln_steps: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """Return the 95% percentile interval of the critical size over resampled seeds of ln steps (m, s)."""
    found = []
    for _ in range(RESAMPLES):
        pick = random.integers(0, SEEDS, ln_steps.shape)
        means = np.take_along_axis(ln_steps, pick, axis=1).mean(axis=1)
        found.append(hyperbola.fit(BATCHES, np.exp(means), 0.95).critical_batch)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def covered(between: float, simulations: int, random: np.random.Generator) -> tuple[float, float]:
    """Return the shares of simulations in which the profile's interval, and that of seeds, hold the truth."""
    truth = np.log(STEPS_MIN * (1 + CRITICAL / BATCHES))
    held = np.zeros(2)
    for _ in range(simulations):
        slower = between * (2 * random.uniform(-0.5, 0.5, len(BATCHES))) ** 2
        ln_steps = (truth + slower)[:, None] + NOISE * random.standard_normal((len(BATCHES), SEEDS))
        ours = hyperbola.fit(BATCHES, np.exp(ln_steps.mean(axis=1)), 0.95).critical_interval
        low, high = resampled(ln_steps, random)
        held += ((ours.low or 0.0) <= CRITICAL <= (ours.high or np.inf), low <= CRITICAL <= high)
    return float(held[0] / simulations), float(held[1] / simulations)


def main() -> None:
    """Print the shares for both cases."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    random = np.random.default_rng(0)
    print(f"share of {simulations} simulations whose 95% interval holds the critical batch size")
    for name, between in (("noise of seeds alone", 0.0), ("and rates up to 10% off", 0.1)):
        profile, seeds = covered(between, simulations, random)
        print(f"{name:24} profile {profile:.1%}   resampled seeds {seeds:.1%}", flush=True)


if __name__ == "__main__":
    main()
