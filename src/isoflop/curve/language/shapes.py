"""Width against depth: pairs of shapes of equal compute and nearly equal size, and how far seeds differ."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from isoflop.curve.bootstrap import CONFIDENCE
from isoflop.curve.joint.result import JointFit
from isoflop.curve.language.paired import paired
from isoflop.curve.language.result import PairedDifference, Shape, ShapePair, WidthDepth
from isoflop.curve.result import Estimate, Interval
from isoflop.table import target

Array = npt.NDArray[np.float64]

SAME_SIZE = 1.15
"""Sizes without embeddings within this factor count as equal."""
SAME_COMPUTE = 1.1
LEAST_PAIRS = 3
"""Fewer pairs give a mean without an interval."""

SIZE, SEEN, COMPUTE, BITS = (
    target.TEXTS.size,
    "examples_seen",
    "train_gflops",
    target.TEXTS.y,
)
_NEEDED = ("width", "depth", SIZE, SEEN, COMPUTE, BITS)


def width_against_depth(
    rows: pd.DataFrame, law: JointFit | None, directory: Path | None = None
) -> WidthDepth:
    """Compare shapes of equal size and compute.

    Args:
        rows: runs of text, with width, depth, SIZE, SEEN, COMPUTE, BITS and place_id or config_id.
        law: the joint law in SIZE and SEEN, for what it explains of a difference.
        directory: folder of the sweep, for the losses of single windows; None where there is none.

    Raises:
        ValueError: no two shapes of different depth share compute and size.
    """
    known = rows.dropna(subset=list(_NEEDED))
    configs = _means(known)
    if configs["depth"].nunique() < 2:
        raise ValueError("depth does not vary: there is nothing to compare at equal size")
    runs = dict(iter(known.groupby(_place(known).to_numpy(), sort=False)))

    def pair(i: int, j: int) -> ShapePair:
        of_both = [runs[configs.index[k]] for k in (i, j)]
        same_windows = _on_windows(of_both[0], of_both[1], directory)
        return _pair(configs.iloc[i], configs.iloc[j], law, *same_windows)

    pairs = tuple(pair(i, j) for i, j in _matches(configs))
    if not pairs:
        raise ValueError(
            f"no two shapes of different depth lie within a factor of {SAME_SIZE:g} in parameters and "
            f"{SAME_COMPUTE:g} in compute: add widths that match another depth's sizes"
        )
    left = [pair.difference - pair.explained for pair in pairs if pair.explained is not None]
    spread = _seed_spread(known)
    return WidthDepth(
        pairs=pairs,
        difference=_mean("difference", [pair.difference for pair in pairs]),
        unexplained=_mean("unexplained", left) if left else None,
        seed_spread=spread,
        seed_spread_reason=None if spread is not None else "no configuration has two seeds",
    )


def _place(rows: pd.DataFrame) -> pd.Series[str]:
    return rows["place_id"].fillna(rows["config_id"]) if "place_id" in rows else rows["config_id"]


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds of each configuration with its number of seeds, least compute first.

    The index is that of `_place`.
    """
    grouped = rows.groupby(_place(rows).to_numpy(), sort=False)[list(_NEEDED)]
    return grouped.mean().assign(seeds=grouped.size()).sort_values([COMPUTE, SIZE])


def _matches(configs: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the pairs (shallow, deep) that are each other's nearest in size among the other depths."""
    logs = np.log(configs[[SIZE, COMPUTE]].to_numpy(float))
    depth, width = configs["depth"].to_numpy(), configs["width"].to_numpy()
    apart = np.abs(logs[:, None] - logs[None])
    other = (depth[:, None] != depth[None]) & (width[:, None] != width[None])
    near = other & (apart[..., 0] <= math.log(SAME_SIZE)) & (apart[..., 1] <= math.log(SAME_COMPUTE))
    distance = np.where(near, apart[..., 0], np.inf)
    nearest = distance.argmin(axis=1)
    return [
        (i, int(j)) if depth[i] < depth[j] else (int(j), i)
        for i, j in enumerate(nearest)
        if i < j and near[i, j] and nearest[j] == i
    ]


def _on_windows(
    shallow: pd.DataFrame, deep: pd.DataFrame, directory: Path | None
) -> tuple[PairedDifference | None, str | None]:
    if directory is None:
        return None, "a table alone has no losses of single windows"
    return paired(shallow, deep, directory)


def _pair(
    shallow: pd.Series[float],
    deep: pd.Series[float],
    law: JointFit | None,
    on_windows: PairedDifference | None,
    why_none: str | None,
) -> ShapePair:
    """Return the pair.

    Args:
        shallow, deep: rows of `_means`.
        law: as in `width_against_depth`.
        on_windows: their difference over the same windows.
        why_none: the reason where it is None.
    """
    explained = None
    if law is not None:
        resources = np.array([[row[SIZE], row[SEEN]] for row in (shallow, deep)], dtype=float)
        at_shallow, at_deep = law.predict(resources)
        explained = float(at_deep - at_shallow)
    return ShapePair(
        compute=float(math.sqrt(shallow[COMPUTE] * deep[COMPUTE])),
        shallow=_shape(shallow),
        deep=_shape(deep),
        difference=float(deep[BITS] - shallow[BITS]),
        explained=explained,
        paired=on_windows,
        paired_reason=why_none,
    )


def _shape(row: pd.Series[float]) -> Shape:
    width, depth, size, seen, bits = (float(row[name]) for name in ("width", "depth", SIZE, SEEN, BITS))
    return Shape(width, depth, size, seen, bits, int(row["seeds"]))


def _mean(name: str, values: list[float]) -> Estimate:
    """Return the mean of pairs' values with Student's 95% interval: no configuration is in two pairs."""
    each, unit = np.array(values), "bits a byte, deeper less shallower"
    middle = float(each.mean())
    if len(each) < LEAST_PAIRS:
        return Estimate(name, middle, Interval(None, None), unit)
    reach = float(
        special.stdtrit(len(each) - 1, 0.5 + CONFIDENCE / 2) * each.std(ddof=1) / math.sqrt(len(each))
    )
    return Estimate(name, middle, Interval(middle - reach, middle + reach), unit)


def _seed_spread(rows: pd.DataFrame) -> float | None:
    """Return the pooled standard deviation of bits a byte between seeds; None where none repeats another."""
    grouped = rows.groupby(_place(rows).to_numpy(), sort=False)[BITS]
    freedom = int((grouped.size() - 1).sum())
    if freedom == 0:
        return None
    left = rows[BITS].to_numpy(float) - grouped.transform("mean").to_numpy(float)
    return math.sqrt(float(left @ left) / freedom)
