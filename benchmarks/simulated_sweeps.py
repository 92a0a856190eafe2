"""Simulated sweeps with a known law as tables of runs, for bench_coverage.py and bench_rivals.py.

y = law(x) e^(excess + configuration noise + seed noise), x over four decades. On all runs a configuration is
one shape at a compute of its own. For the frontier, `SHAPES` shapes share each compute level; the best of
them follows the law, the others lie above it by an excess drawn from an exponential distribution.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]

X_MAX = 1e4
SHAPES = {8: 2, 15: 3, 30: 3}
"""Configurations of a frontier sweep -> shapes at each compute level."""
MEAN_EXCESS = 0.15
"""Mean excess of ln y of the shapes that are not the best."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """y = floor + scale x^-b, falling faster (exponent `later` in place of b) beyond x = `bend` if given."""

    floor: float = 0.0
    scale: float = 0.6
    b: float = 0.3
    later: float | None = None
    bend: float = 1.0
    width: float = 0.5

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return y at x, of the same shape."""
        at = np.asarray(x, dtype=float)
        falling = self.scale * at**-self.b
        if self.later is not None:
            soft = np.logaddexp(0.0, np.log(at / self.bend) / self.width)
            falling = falling * np.exp(-(self.later - self.b) * self.width * soft)
        return np.asarray(self.floor + falling)


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of sweep. Noises are standard deviations of ln y; `trials`: y is counted on so many images."""

    truth: Truth
    configs: int
    seeds: int
    config_noise: float
    seed_noise: float
    of_frontier: bool = False
    trials: int | None = None


def new_run(case: Case, x: Array, generator: np.random.Generator) -> Array:
    """Return y of one new configuration with one seed at each x."""
    noise = np.hypot(case.config_noise, case.seed_noise) * generator.standard_normal(len(x))
    return counted(case, case.truth(x) * np.exp(noise), generator)


def counted(case: Case, y: Array, generator: np.random.Generator) -> Array:
    """Return y, or the share of wrong images among `trials` of which each is wrong with probability y."""
    if case.trials is None:
        return y
    return generator.binomial(case.trials, np.minimum(y, 1.0)) / case.trials


def simulate(case: Case, generator: np.random.Generator) -> pd.DataFrame:
    """Return one sweep: columns run_id, config_id, x, test_error, and test_n where errors are counted."""
    excess = np.zeros(case.configs)
    x = np.geomspace(1.0, X_MAX, case.configs)
    if case.of_frontier:
        shapes = SHAPES[case.configs]
        x = np.repeat(np.geomspace(1.0, X_MAX, case.configs // shapes), shapes)
        excess = np.where(
            np.arange(case.configs) % shapes == 0, 0.0, generator.exponential(MEAN_EXCESS, case.configs)
        )
    level = np.log(case.truth(x)) + excess + case.config_noise * generator.standard_normal(case.configs)
    config = np.repeat(np.arange(case.configs), case.seeds)
    y = np.exp(level[config] + case.seed_noise * generator.standard_normal(len(config)))
    table = pd.DataFrame(
        {
            "run_id": [f"run{i}" for i in range(len(config))],
            "config_id": [f"config{c}" for c in config],
            "x": x[config],
            "test_error": counted(case, y, generator),
        }
    )
    return table if case.trials is None else table.assign(test_n=float(case.trials))
