"""From a table to the rows of a law in several resources: each row is used or excluded by name."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import bootstrap
from isoflop.curve.result import Excluded
from isoflop.table import columns, held_out, target
from isoflop.table.columns import nearest
from isoflop.table.grouping import distinct_scales

Array = npt.NDArray[np.float64]

REFUSED_SHARE = 0.999
"""A resource is refused if the others explain a greater share of the variance of its logarithm."""
WARNED_SHARE = 0.95


@dataclasses.dataclass(frozen=True)
class JointRows:
    """The n rows that are fitted, of k resources.

    Attributes:
        x: resources (n, k).
        y: error or loss (n,).
        config: index (n,) of the configuration of each row.
        compute: (n,), None if no column was named.
        names: of the rows.
        excluded: the rows that are not fitted.
        reference: the value (k,) that each resource is measured from; None for its greatest.
    """

    x: Array
    y: Array
    config: npt.NDArray[np.intp]
    compute: Array | None
    names: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    reference: Array | None = None

    @property
    def log_x_max(self) -> Array:
        """ln of the value (k,) that each resource is measured from: `reference`, else its greatest."""
        return np.asarray(np.log(self.x.max(axis=0) if self.reference is None else self.reference))

    @property
    def configs(self) -> int:
        """Number of configurations."""
        return int(self.config.max()) + 1 if len(self.config) else 0

    def v(self, x: Array) -> Array:
        """Return ln(x_max / x) (m, k)."""
        return np.asarray(self.log_x_max - np.log(x))


def column(table: pd.DataFrame, name: str) -> Array:
    """Return a column as floats (n,), unknown as NaN. ValueError if it is missing or holds text."""
    if name not in table:
        raise ValueError(f"no column {name} in the table: {nearest(name, map(str, table.columns))}")
    try:
        return np.asarray(pd.to_numeric(table[name]), dtype=float)
    except (ValueError, TypeError):
        text = columns.holds_text(table, name)
        raise ValueError(f"column {text}: choose a column of numbers") from None


def select(
    table: pd.DataFrame,
    resources: Sequence[str],
    y: str,
    *,
    group: str | None = None,
    chance: float | None = None,
    compute: str | None = None,
) -> JointRows:
    """Return the rows with a positive, finite value in each column; the others are excluded by name.

    Args:
        table: one row a run.
        resources: columns of the resources.
        y: column of the error or loss.
        group: column whose values are the configurations; without it config_id, else each row is one.
        chance: rows with y at or above it are excluded. Without it, for a counted y, column chance_error.
        compute: column of the compute.

    Raises:
        ValueError: a column is missing, holds text or is named twice.
    """
    needed = (*resources, y) if compute is None else (*resources, y, compute)
    if twice := [name for name, times in Counter(needed).items() if times > 1]:
        raise ValueError(
            f"{twice[0]} is named twice: give a column of its own for each resource, compute and y"
        )
    values = np.column_stack([column(table, name) for name in needed])
    names = table["run_id"].astype(str) if "run_id" in table else [f"row {i + 1}" for i in range(len(table))]
    group = group or ("config_id" if "config_id" in table else None)
    if group is not None and group not in table:
        raise ValueError(f"no column {group} in the table: {nearest(group, map(str, table.columns))}")
    level = np.full(len(table), math.inf if chance is None else chance)
    if chance is None and target.quantity(y).counted and "chance_error" in table:
        level = column(table, "chance_error")
    reasons = [
        held_out.EXCLUDED if held else _problem(needed, row, len(resources), guess)
        for row, guess, held in zip(values, level, held_out.mask(table), strict=True)
    ]
    keep = np.array([reason is None for reason in reasons], dtype=bool)
    labels = np.arange(len(table)) if group is None else table[group].astype(str).to_numpy()
    config, _ = pd.factorize(labels[keep])
    return JointRows(
        x=values[keep, : len(resources)],
        y=values[keep, len(resources)],
        config=np.asarray(config, dtype=np.intp),
        compute=None if compute is None else values[keep, -1],
        names=tuple(name for name, kept in zip(names, keep, strict=True) if kept),
        excluded=tuple(Excluded(n, r) for n, r in zip(names, reasons, strict=True) if r is not None),
    )


def _problem(names: tuple[str, ...], row: Array, y: int, chance: float) -> str | None:
    """Return why a row cannot be used, or None; `y` is the index of y in it, `chance` may be NaN."""
    for name, value in zip(names, row, strict=True):
        if math.isnan(value):
            return f"unknown {name}"
        if math.isinf(value) or value <= 0:
            return f"{name} is {value:g}: a law on log scales needs it finite and above 0"
    if row[y] >= chance:
        return f"{names[y]} is {row[y]:.4g}, at chance ({chance:.4g}): no information about the law"
    return None


def refuse_too_few(law: str, free: int, resources: Sequence[str], rows: JointRows) -> None:
    """Raise ValueError if the rows cannot determine a law of `free` parameters."""
    left_out = ""
    if rows.excluded:
        reason, times = Counter(e.reason for e in rows.excluded).most_common(1)[0]
        left_out = f"; {len(rows.excluded)} rows excluded, {times} of them: {reason}"
    if len(np.unique(rows.x, axis=0)) <= free:
        raise ValueError(
            f"{law} has {free} parameters: {len(np.unique(rows.x, axis=0))} distinct combinations of "
            f"{', '.join(resources)} in {len(rows.y)} usable rows cannot carry it, measure more{left_out}"
        )
    for j, name in enumerate(resources):
        scales = int(distinct_scales(rows.x[:, j]).max()) + 1
        if scales < bootstrap.MIN_SCALES:
            raise ValueError(
                f"{name} has {scales} distinct values in {len(rows.y)} usable rows: an "
                f"exponent needs at least {bootstrap.MIN_SCALES}{left_out}"
            )
    if float(rows.y.min()) == float(rows.y.max()):
        raise ValueError("y is the same in every row: there is no fall to fit")


def _explained_shares(rows: JointRows) -> Array:
    """Return the share (k,) of the variance of ln x_j that a linear function of the others explains."""
    logs = np.log(rows.x) - np.log(rows.x).mean(axis=0)
    share = np.empty(logs.shape[1])
    for j, own in enumerate(logs.T):
        others = np.delete(logs, j, axis=1)
        left = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
        share[j] = 1.0 - float(left @ left) / float(own @ own)
    return share


def collinearity_warnings(rows: JointRows, resources: Sequence[str]) -> list[str]:
    """Return warnings about collinear resources; ValueError if one follows from the others."""
    share = _explained_shares(rows)
    worst = int(share.argmax())
    others = " and ".join(name for j, name in enumerate(resources) if j != worst)
    if share[worst] > REFUSED_SHARE:
        raise ValueError(
            f"{resources[worst]} follows from {others} in these rows (R2 {share[worst]:.5f} of its log): "
            "their terms cannot be separated, vary one while holding the other"
        )
    if share[worst] > WARNED_SHARE:
        return [
            f"{resources[worst]} nearly follows from {others} (R2 {share[worst]:.3f}): uncertain exponents"
        ]
    return []


def resample(rows: JointRows, resamples: int, seed: int) -> Array:
    """Return weights (1 + resamples, n): the sample itself, then resamples of whole configurations."""
    generator = np.random.default_rng(seed)
    return np.asarray(bootstrap.resample(rows.configs, resamples, generator)[:, rows.config])
