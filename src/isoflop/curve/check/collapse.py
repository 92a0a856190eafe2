"""Check of the collapse of normalised loss curves, for runs whose data grow with size.

Qiu et al. 2025 (arXiv 2507.02119): loss curves of compute-optimal runs of all sizes fall onto one curve when
compute and reducible loss are divided by their final values, to within the noise between seeds; where a
recipe does not scale, they do not. Their irreducible loss is that of a fitted law; here it is the one with
which the curves differ least, so that a deviation beyond seed noise is no artefact of that choice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.check import finding, repetition
from isoflop.curve.check.finding import Finding, Outcome, Subject
from isoflop.curve.check.loss_curves import LossCurve

Array = npt.NDArray[np.float64]

CHECK = "collapse"
LEAST_SIZES = 3
GROWTH = 1.5
"""Data scale with size if the largest size sees at least so many times the examples of the smallest."""
EDGES: Array = np.geomspace(0.08, 1.0, 13)
"""Ends of the parts of training that are compared, as shares of a run's compute; warm-up is left out."""
IRREDUCIBLE: Array = np.linspace(0.0, 0.95, 39)
"""Irreducible losses that are tried, as shares of the least loss in any part."""


@dataclasses.dataclass(frozen=True)
class NormalisedCurve:
    """Reducible loss over its final value, (m,), of one size: geometric mean over `seeds` runs."""

    subject: Subject
    size: float
    seeds: int
    ratio: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Collapse:
    """How far normalised loss curves of several sizes differ.

    Attributes:
        share: middle (m,) of each part of training, as a share of a run's compute.
        curves: one of each size, the smallest first.
        irreducible: the irreducible loss in nats with which they differ least.
        deviation: root mean square over parts of the standard deviation of ln ratio between sizes.
        noise: that of ln reducible loss between seeds of one size, for the mean of as many seeds; None where
            no size has several.
    """

    share: tuple[float, ...]
    curves: tuple[NormalisedCurve, ...]
    irreducible: float
    deviation: float
    noise: float | None


def measure(table: pd.DataFrame, curves: Mapping[str, LossCurve]) -> Collapse | str:
    """Return the collapse of the runs whose data grow with size, or what is lacking.

    Args:
        table: one row a run with run_id, config_id, examples_seen, and parameters or width.
        curves: loss curves by run_id.
    """
    size = next(
        (n for n in ("parameters", "width") if not finding.known(table, n, "examples_seen").empty), None
    )
    if size is None:
        return "examples_seen, and parameters or width"
    rows = finding.known(table, size, "examples_seen")
    rows = rows[rows["run_id"].isin(set(curves))]
    if rows.empty:
        return "train_loss intervals in the records (those of schema 4 have them)"
    ladder = _ladder(rows[~repetition.too_often(rows)], size)
    if len(ladder) < LEAST_SIZES:
        return (
            f"{LEAST_SIZES} sizes whose data grow with size (examples_seen), no example seen more than "
            f"{repetition.OFTEN:g} times"
        )
    losses = [np.array([curves[run].over(EDGES) for run in group["run_id"]]) for group in ladder]
    from scipy import optimize  # only sweeps with loss curves come here

    least = min(float(each.min()) for each in losses)

    def at(share: float) -> Collapse:
        return _at(ladder, size, losses, float(least * share))

    # The deviation may have several minima: the least on a grid is refined between its neighbours.
    best = int(np.argmin([at(share).deviation for share in IRREDUCIBLE]))
    ends = (IRREDUCIBLE[max(0, best - 1)], IRREDUCIBLE[min(len(IRREDUCIBLE) - 1, best + 1)])
    refined = optimize.minimize_scalar(lambda share: at(share).deviation, bounds=ends, method="bounded")
    return min(at(float(refined.x)), at(float(IRREDUCIBLE[best])), key=lambda seen: seen.deviation)


def _ladder(rows: pd.DataFrame, size: str) -> list[pd.DataFrame]:
    """Return the runs of each size, smallest first, whose examples grow with size.

    Where a size was trained for several lengths, the one nearest to the line from the smallest size at its
    shortest to the largest at its longest counts (ln examples against ln size); sizes that would not see more
    examples than the one before are left out.
    """
    if rows.empty:
        return []
    x, y = (np.log(rows[name].to_numpy(float)) for name in (size, "examples_seen"))
    first, last = float(y[x == x.min()].min()), float(y[x == x.max()].max())
    if x.max() == x.min() or last < first + np.log(GROWTH):
        return []
    off = np.abs(y - (first + (x - x.min()) * (last - first) / (x.max() - x.min())))
    key = "place_id" if "place_id" in rows else "config_id"
    nearest = rows.assign(off=off).groupby([size, key], sort=False)["off"].mean().reset_index()
    chosen = nearest.loc[nearest.groupby(size)["off"].idxmin()].sort_values(size)
    ladder: list[pd.DataFrame] = []
    for place in chosen[key]:
        group = rows[rows[key] == place]
        if not ladder or group["examples_seen"].mean() > 1.02 * ladder[-1]["examples_seen"].mean():
            ladder.append(group)
    return ladder


def _at(ladder: list[pd.DataFrame], size: str, losses: list[Array], irreducible: float) -> Collapse:
    """Return the collapse for one irreducible loss.

    Args:
        ladder: the rows of each size.
        size: the column of size.
        losses: training loss (seeds, parts) of each size.
        irreducible: in nats, below every loss.
    """
    reducible = [np.log(each - irreducible) for each in losses]
    normalised = [each - each[:, -1:] for each in reducible]
    means = np.array([each.mean(axis=0) for each in normalised])
    # The last part is 1 for every size by construction and says nothing.
    deviation = float(np.sqrt(np.mean(means[:, :-1].var(axis=0, ddof=1))))
    squares = [((each - each.mean(axis=0)) ** 2).sum(axis=0) for each in reducible]
    freedom = sum(len(each) - 1 for each in reducible)
    noise = None
    if freedom:
        of_mean = float(np.mean([1 / len(each) for each in reducible]))
        noise = float(np.sqrt(np.mean(np.sum(squares, axis=0)[:-1] / freedom) * of_mean))
    curves = tuple(
        NormalisedCurve(
            finding.subjects(group)[0], float(group[size].iloc[0]), len(group), tuple(np.exp(mean).tolist())
        )
        for group, mean in zip(ladder, means, strict=True)
    )
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])
    return Collapse(tuple(middle.tolist()), curves, irreducible, deviation, noise)


def farthest(seen: Collapse) -> NormalisedCurve:
    """Return the curve that differs most from the middle of the others."""
    logs = np.log(np.array([curve.ratio for curve in seen.curves]))
    off = np.abs(logs - np.median(logs, axis=0)).mean(axis=1)
    return seen.curves[int(off.argmax())]


def check(seen: Collapse | str) -> Outcome:
    """Return whether normalised loss curves of all sizes agree to within seed noise."""
    if isinstance(seen, str):
        return finding.needs(CHECK, seen)
    of = f"normalised loss curves of {len(seen.curves)} sizes"
    differ = f"differ by {seen.deviation:.2g} in ln (root mean square)"
    reducible = f"irreducible loss {seen.irreducible:.3g} nats"
    if seen.noise is None:
        sentence = f"{of} {differ}; no size has several seeds to judge that by ({reducible})"
        return Outcome(CHECK, (Finding(CHECK, "note", (), sentence, "run two seeds of each size"),))
    noise = f"seeds of one size by {seen.noise:.2g}"
    if seen.deviation <= seen.noise:
        return Outcome(CHECK, passed=f"{of} {differ}, {noise} ({reducible})")
    worst = farthest(seen)
    sentence = (
        f"{of} do not collapse: they {differ}, {noise} ({reducible}); {worst.subject.name} is farthest from "
        "the others"
    )
    what = "tune learning rate and length at that size: where a recipe scales, the curves fall onto one"
    return Outcome(CHECK, (Finding(CHECK, "note", (worst.subject,), sentence, what),))
