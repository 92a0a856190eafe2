"""Training loss of each shape, and which shapes are nested in which others."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd

from isoflop.curve.check.finding import Subject, subjects

ALIKE = (
    *("family", "architecture", "data", "data_fraction", "train_n", "examples_seen"),
    *("batch_size", "optimizer", "parametrization", "precision"),
)
"""Columns in which shapes must agree to be compared: they differ in size and learning rate only. Not among
them: the horizon, a fraction of the trunk's length; four epochs of a long and of a short trunk are alike."""
LENGTH = "length_rank"
CHOSEN_BY = ("val_loss", "val_error", "train_loss")
"""Of several learning rates of a shape the best by the first of these that is known counts."""

Key = tuple[int, float, float]
"""Group, width and depth of a ShapeLoss."""


@dataclasses.dataclass(frozen=True)
class ShapeLoss:
    """The training loss of one shape: ln of it, averaged over `seeds` runs.

    `spread` is the standard deviation of ln loss between seeds, None with one. `group` numbers the shapes
    that may be compared. A dimension that the table lacks is 0.
    """

    subject: Subject
    group: int
    width: float
    depth: float
    compute: float
    log_loss: float
    spread: float | None
    seeds: int

    @property
    def key(self) -> Key:
        """What tells it from all others. The configuration does not: horizons of one trunk share it."""
        return self.group, self.width, self.depth

    @property
    def loss(self) -> float:
        """The geometric mean of the training loss over seeds."""
        return float(np.exp(self.log_loss))


def shape_losses(table: pd.DataFrame) -> tuple[ShapeLoss, ...]:
    """Return the training loss of every shape, least compute first.

    Args:
        table: one row a run with run_id, config_id, train_loss, train_gflops (any unit), and width, depth or
            both; rows in which one of these is unknown, or the loss is not above 0, are left out.
    """
    sizes = [name for name in ("width", "depth") if name in table and table[name].notna().any()]
    needed = ("train_loss", "train_gflops", "config_id", *sizes)
    if not sizes or any(name not in table for name in needed):
        return ()
    rows = table.dropna(subset=list(needed))
    rows = rows[(rows["train_loss"] > 0) & (rows["train_gflops"] > 0)]
    rows = rows.assign(**{LENGTH: _length_ranks(rows)})
    alike = [*(name for name in ALIKE if name in rows), LENGTH]
    shapes = []
    for number, (_, group) in enumerate(rows.groupby(alike, dropna=False, sort=False)):
        for _, same in group.groupby(sizes, sort=False):
            best = _best_rate(same)
            shapes.append(_shape(best, number, sizes))
    return tuple(sorted(shapes, key=lambda shape: (shape.compute, shape.subject.name)))


def _length_ranks(rows: pd.DataFrame) -> pd.Series[float]:
    """Return 0 where the number of examples seen is known, else the rank of the row's length, from 1.

    Lengths of a configuration are told apart by `place_id` and ordered by compute. Where examples
    seen are unknown, the shortest lengths of all configurations are compared, then the next ones.
    """
    ranks = pd.Series(0.0, rows.index)
    unknown = rows[rows["examples_seen"].isna()] if "examples_seen" in rows else rows
    if "place_id" not in rows or unknown.empty:
        return ranks
    keys = ["config_id", "place_id"]
    compute = unknown.groupby(keys)["train_gflops"].transform("mean")
    ranks[unknown.index] = compute.groupby(unknown["config_id"]).rank(method="dense")
    return ranks


def _best_rate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the best configuration of one shape, where several learning rates were tried."""
    score = next((name for name in CHOSEN_BY if name in rows and rows[name].notna().all()), "train_loss")
    means = rows.groupby("config_id", sort=False)[score].mean()
    return rows[rows["config_id"] == means.idxmin()]


def _shape(rows: pd.DataFrame, group: int, sizes: list[str]) -> ShapeLoss:
    log_loss = np.log(rows["train_loss"].to_numpy(float))
    (subject,) = subjects(rows.assign(place_id=rows["config_id"]))
    return ShapeLoss(
        subject=subject,
        group=group,
        width=float(rows["width"].iloc[0]) if "width" in sizes else 0.0,
        depth=float(rows["depth"].iloc[0]) if "depth" in sizes else 0.0,
        compute=float(np.exp(np.log(rows["train_gflops"].to_numpy(float)).mean())),
        log_loss=float(log_loss.mean()),
        spread=float(log_loss.std(ddof=1)) if len(log_loss) > 1 else None,
        seeds=len(log_loss),
    )


def is_nested(small: ShapeLoss, large: ShapeLoss) -> bool:
    """Return whether `large` is no narrower and no shallower than `small`, and differs from it."""
    within = small.width <= large.width and small.depth <= large.depth
    return small.group == large.group and within and (small.width, small.depth) != (large.width, large.depth)


def nested_pairs(shapes: tuple[ShapeLoss, ...]) -> tuple[tuple[ShapeLoss, ShapeLoss], ...]:
    """Return every (small, large) of which the small shape is nested in the large one."""
    groups: dict[int, list[ShapeLoss]] = {}
    for shape in shapes:
        groups.setdefault(shape.group, []).append(shape)
    pairs = (pair for group in groups.values() for pair in itertools.permutations(group, 2))
    return tuple(pair for pair in pairs if is_nested(*pair))


def next_larger(shape: ShapeLoss, shapes: tuple[ShapeLoss, ...]) -> tuple[ShapeLoss, ...]:
    """Return the next wider shape of the same depth and the next deeper one of the same width."""
    larger = [each for each in shapes if is_nested(shape, each)]
    wider = [each for each in larger if each.depth == shape.depth]
    deeper = [each for each in larger if each.width == shape.width]
    nearest = [min(wider, key=lambda s: s.width)] if wider else []
    return (*nearest, *([min(deeper, key=lambda s: s.depth)] if deeper else []))
