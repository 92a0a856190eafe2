"""Which configurations and seeds of two arms pair up, and what is resampled as a whole.

Runs of one shape in both arms share what the law does not explain of that shape, and runs of one seed the
order of the data: resampled together, what they share cancels in a difference.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from isoflop.curve import solver
from isoflop.curve.compare.arms import Arm
from isoflop.curve.forms import POWER_LAW, POWER_LAW_FLOOR, Form
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

SHAPE = ("family", "architecture", "width", "depth", "data_fraction")
FURTHER = ("examples_seen", "batch_size", "lr")
"""Columns that tell configurations of one shape apart, added where SHAPE does not."""
POOLED_ABOVE = 0.1
"""Runs are resampled, not configurations, where the test of a misfit between configurations has a p above
this (Bancroft 1964, "Analysis and inference for incompletely specified models": preliminary tests at 25%)."""
ENOUGH_CONFIGS = 6
"""Configurations that each arm needs, for resamples of them to show their spread without that test."""
LEAST_SEED_FREEDOM = 6
"""Degrees of freedom between seeds below which their variance is too rough for that test."""
FLOOR_FROM = 6
"""Configurations of an arm from which the law of that test has a floor."""
_ROW = re.compile(r"(^|, )row \d+$")
"""Ids that are no names: those of a table without names of runs."""


@dataclasses.dataclass(frozen=True)
class Units:
    """What is resampled as a whole, for two arms.

    Attributes:
        kind: configurations, with all seeds and horizons of each, or runs.
        reason: why.
        observed: the points of each arm that are fitted: configuration means or runs.
        unit: index (n,) of the unit of each point, for each arm; a pair has one index.
        count: how many units there are.
        of_arm: how many each arm has.
        paired_configurations, paired_runs: how many both arms have.
    """

    kind: Literal["configurations", "runs"]
    reason: str
    observed: tuple[Observations, Observations]
    unit: tuple[Index, Index]
    count: int
    of_arm: tuple[int, int]
    paired_configurations: int
    paired_runs: int

    @property
    def paired(self) -> int:
        """How many units are pairs."""
        return sum(self.of_arm) - self.count

    def freedom(self, parameters: int) -> float:
        """Return the degrees of freedom of a difference of two curves of so many parameters each.

        For units that are all pairs it is that of one curve through differences, units - p; without pairs
        units - 2 p; in between linear.
        """
        return self.count * (1.0 - 2.0 * parameters / sum(self.of_arm))


def units(baseline: Arm, other: Arm) -> Units:
    """Return what is resampled for two arms.

    Units are configurations: what the law does not explain of one is in all its seeds. Where an arm has fewer
    than ENOUGH_CONFIGS, seeds repeat them, and their means scatter about the law by no more than seeds do
    (POOLED_ABOVE), nothing of that kind is seen, and units are runs, of which there are more. Where all runs
    pair up by configuration and seed, the differences of the pairs are judged, in which what is common to
    both arms cancels.
    """
    arms = (baseline, other)
    keys = config_keys(*arms)
    seeds = tuple(_seed_keys(arm, of) for arm, of in zip(arms, keys, strict=True))
    configs_both = len(set(keys[0]) & set(keys[1]))
    runs_both = len(set(seeds[0]) & set(seeds[1]) - {None})
    pooled, reason = _runs_are_units(arms, keys, seeds)
    if pooled:
        labels = [
            [("own", i, j) if key is None else key for j, key in enumerate(of)] for i, of in enumerate(seeds)
        ]
        observed = (baseline.points.runs, other.points.runs)
    else:
        labels = [[of[c] for c in arm.means.config] for arm, of in zip(arms, keys, strict=True)]
        observed = (baseline.means, other.means)
    first, second, count = _numbered(*labels)
    return Units(
        kind="runs" if pooled else "configurations",
        reason=reason,
        observed=observed,
        unit=(first, second),
        count=count,
        of_arm=(len(set(first.tolist())), len(set(second.tolist()))),
        paired_configurations=configs_both,
        paired_runs=runs_both,
    )


def _numbered(first: Sequence[Hashable], second: Sequence[Hashable]) -> tuple[Index, Index, int]:
    """Return the labels of both arms as indices, equal labels as equal ones, and how many there are."""
    number: dict[Hashable, int] = {}
    indices = [
        np.array([number.setdefault(label, len(number)) for label in of], dtype=np.intp)
        for of in (first, second)
    ]
    return indices[0], indices[1], len(number)


def config_keys(baseline: Arm, other: Arm) -> tuple[list[Hashable], list[Hashable]]:
    """Return for each configuration of each arm a key; configurations of equal keys pair up.

    Those with equal ids, or with equal shapes where this pairs more. A configuration that does not pair has a
    key of its own.
    """
    arms = (baseline, other)
    ids = tuple(_of_configs(arm, arm.rows["config_id"].astype(str).tolist()) for arm in arms)
    by_id = tuple([None if _ROW.search(key) else key for key in of] for of in ids)
    shapes = _shapes(arms)
    candidates = [by_id, shapes] if shapes is not None else [by_id]
    first, second = max(candidates, key=lambda of: len((set(of[0]) & set(of[1])) - {None}))
    both = (set(first) & set(second)) - {None}
    return (
        [key if key in both else ("baseline", i) for i, key in enumerate(first)],
        [key if key in both else ("other", i) for i, key in enumerate(second)],
    )


def _of_configs(arm: Arm, values: Sequence[str]) -> list[str]:
    """Return the value of each configuration, in the order of Observations.config, from those of the runs."""
    first = np.unique(arm.points.runs.config, return_index=True)[1]
    return [values[i] for i in first]


def _shapes(arms: tuple[Arm, Arm]) -> tuple[list[str | None], list[str | None]] | None:
    """Return a text for the shape of each configuration; None for the arms if shapes are not known.

    Shapes that several configurations of one arm share are told apart by FURTHER columns; those that even
    these do not tell apart are None, as nothing says which pair up.
    """
    shared = [name for name in (*SHAPE, *FURTHER) if all(name in arm.rows for arm in arms)]
    if not {"width", "depth"} <= set(shared):
        return None
    base = [name for name in shared if name in SHAPE and not _is_the_change(arms, name)]
    for more in range(len(FURTHER) + 1):
        names = base + [name for name in shared if name in FURTHER[:more]]
        keys = [_of_configs(arm, _joined(arm.rows, names)) for arm in arms]
        if all(len(set(of)) == len(of) for of in keys):
            break
    unique = [{key for key, times in Counter(of).items() if times == 1} for of in keys]
    first, second = (
        [key if key in only else None for key in of] for of, only in zip(keys, unique, strict=True)
    )
    return first, second


def _is_the_change(arms: tuple[Arm, Arm], name: str) -> bool:
    """Return whether a column has one value in each arm, and another in each: it is what is compared."""
    values = [set(arm.rows[name].dropna()) for arm in arms]
    return all(len(of) == 1 for of in values) and values[0] != values[1]


def _joined(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [
        ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
        for row in rows[list(names)].itertuples(index=False)
    ]


def _seed_keys(arm: Arm, config_keys: Sequence[Hashable]) -> list[Hashable]:
    """Return (configuration's key, seed) of each run; None where the seed is unknown."""
    config = arm.points.runs.config
    if "seed" not in arm.rows:
        return [None] * len(config)
    return [
        None if pd.isna(seed) else (config_keys[c], str(seed))
        for c, seed in zip(config, arm.rows["seed"], strict=True)
    ]


def _runs_are_units(
    arms: tuple[Arm, Arm],
    keys: tuple[list[Hashable], list[Hashable]],
    seeds: tuple[list[Hashable], ...],
) -> tuple[bool, str]:
    """Return whether runs are resampled instead of configurations, and why."""
    if any(len(arm.means.x) > arm.points.configs for arm in arms):
        return False, "runs of one trunk at several horizons belong together"
    if min(arm.points.configs for arm in arms) >= ENOUGH_CONFIGS:
        return False, "there are enough to show what a law does not explain of them"
    freedom = sum(len(arm.points.runs.x) - arm.points.configs for arm in arms)
    if freedom < LEAST_SEED_FREEDOM or any(arm.means.seed_variance is None for arm in arms):
        return False, "too few seeds repeat configurations to separate their spread"
    all_pairs = set(seeds[0]) == set(seeds[1]) and None not in seeds[0]
    # Three or more configurations, and three parameters only from FLOOR_FROM on: freedom is left.
    mean_square, left = _of_differences(arms, keys) if all_pairs else _of_both(arms)
    p = float(stats.f.sf(mean_square, left, freedom))
    what = "differences of paired configurations scatter" if all_pairs else "configurations scatter"
    if p > POOLED_ABOVE:
        return True, f"{what} about a curve by no more than seeds do (p = {p:.2g})"
    return False, f"{what} about a curve by more than seeds do (p = {p:.2g})"


def _standardised(arm: Arm) -> tuple[Array, Array, int]:
    """Return residuals of ln y of the configuration means about the arm's own curve, their variance from
    seeds alone, (n,) each, and the number of parameters of the curve."""
    means = arm.means
    form: Form = POWER_LAW_FLOOR if len(means.x) >= FLOOR_FROM else POWER_LAW
    variance = np.maximum((means.seed_variance or 0.0) / means.repeats, solver.LEAST_SPREAD**2)
    log_y = means.log_y[None]
    problem = solver.Problem(form, means.v, log_y, solver.log_error(log_y, np.sqrt(variance)))
    fitted = solver.solve(problem, np.ones_like(log_y), solver.COARSE)[0]
    return means.log_y - solver.log_curve(form, fitted, means.v)[0], variance, form.free_parameters


def _of_both(arms: tuple[Arm, Arm]) -> tuple[float, int]:
    """Return the mean square of configuration means about both curves in units of seeds' variance, and its
    degrees of freedom."""
    parts = [_standardised(arm) for arm in arms]
    left = sum(len(residual) - free for residual, _, free in parts)
    return sum(float(np.sum(residual**2 / variance)) for residual, variance, _ in parts) / left, left


def _of_differences(arms: tuple[Arm, Arm], keys: tuple[list[Hashable], list[Hashable]]) -> tuple[float, int]:
    """Return the same of the differences of paired configurations about the difference of the curves."""
    (first, var_first, free), (second, var_second, _) = (_standardised(arm) for arm in arms)
    at = {keys[1][c]: i for i, c in enumerate(arms[1].means.config)}
    order = np.array([at[keys[0][c]] for c in arms[0].means.config], dtype=np.intp)
    left = len(first) - free
    squares = (first - second[order]) ** 2 / (var_first + var_second[order])
    return float(np.sum(squares)) / left, left
