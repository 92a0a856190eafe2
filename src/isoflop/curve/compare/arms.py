"""The arms of a comparison: the runs of each curve, selected as for a fit, and whether they compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import graded, points
from isoflop.curve.observations import Observations
from isoflop.curve.points import NothingToFitError, Points
from isoflop.curve.result import Excluded
from isoflop.table import derived, target

Array = npt.NDArray[np.float64]

_ONE = {
    "data": "data sets",
    "split_sha256": "splits of the data",
    "test_n": "sizes of the test set",
    "context": "context lengths",
}
"""Columns in which the arms must agree: errors on other data are no difference of the recipe."""
_ONE_MACHINE = {"device": "devices", "power_limit_watts": "power caps"}
_NOTED = {"isoflop_version": "isoflop versions", "git_commit": "git commits", "device": "devices"}
_SETTING = ("width", "depth", "examples_seen", "batch_size")


@dataclasses.dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm as they come: a table like that of aggregate.tabulate or external.read_runs.

    Attributes:
        name: of the arm; the names of a comparison differ.
        table: one row a run, with run_id, config_id, x and y; seed, shape and provenance are used if there.
        x, y: names of columns.
        excluded: rows that the table leaves out already.
        left_out: runs of the table that are not to be used, with reasons.
        warnings: about the table.
    """

    name: str
    table: pd.DataFrame
    x: str
    y: str
    excluded: tuple[Excluded, ...] = ()
    left_out: tuple[Excluded, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Arm:
    """The runs of one arm that are used.

    Attributes:
        name: of the arm.
        points: runs and configuration means.
        rows: the table's rows of the runs, in their order.
        warnings: about them.
    """

    name: str
    points: Points
    rows: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def means(self) -> Observations:
        """The configuration means."""
        return self.points.means


def select(arm: ArmRuns, *, least_energy_grade: str, mixed: bool) -> Arm:
    """Return the runs of an arm that can be used (points.select).

    Raises:
        NothingToFitError: they are too few, or all alike. The message begins with the arm's name.
        ValueError: as points.select, with the arm's name.
    """
    try:
        chosen = points.select(
            *(arm.table, arm.x, arm.y),
            least_energy_grade=least_energy_grade,
            mixed=mixed,
            left_out={each.run_id: each.reason for each in arm.left_out},
        )
    except NothingToFitError as error:
        raise NothingToFitError(f"{arm.name}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{arm.name}: {error}") from error
    excluded = tuple(dict.fromkeys((*arm.excluded, *chosen.excluded)))
    by_id = arm.table.drop_duplicates("run_id").set_index(arm.table["run_id"].drop_duplicates().astype(str))
    rows = by_id.loc[list(chosen.run_ids)]
    said = [*arm.warnings, *chosen.warnings, *_trials(rows)]
    return Arm(arm.name, dataclasses.replace(chosen, excluded=excluded), rows, tuple(dict.fromkeys(said)))


def _trials(rows: pd.DataFrame) -> list[str]:
    """Return a warning where shapes were trained at several learning rates, as in a search."""
    setting = [name for name in _SETTING if name in rows]
    if not {"width", "depth", "lr"} <= set(rows.columns) or rows[["width", "depth"]].isna().to_numpy().any():
        return []
    rates = rows.groupby(setting, dropna=False)["lr"].nunique()
    if rates.max() < 2:
        return []
    return [
        f"{int((rates > 1).sum())} of {len(rates)} shapes were trained at several learning rates: the curve "
        "goes through all of them, not through the best"
    ]


def check_axes(arms: Sequence[ArmRuns]) -> None:
    """Raise ValueError where the arms' axes or domains differ: no option makes them one."""
    first = arms[0]
    of_first = target.of(first.table, first.name)
    for other in arms[1:]:
        if (domain := target.of(other.table, other.name).domain) != of_first.domain:
            raise ValueError(
                f"{first.name} was trained on {of_first.domain}s and {other.name} on {domain}s: they have no "
                "error in common"
            )
        for axis in ("x", "y"):
            of_baseline, of_other = getattr(first, axis), getattr(other, axis)
            if of_baseline != of_other:
                raise ValueError(
                    f"{axis} is {of_baseline} in {first.name} and {of_other} in {other.name}: say --{axis} "
                    "for a column that both have, in one unit"
                )


def compared(baseline: Arm, other: Arm, x: str, *, mixed: bool) -> list[str]:
    """Return warnings about what differs between two arms besides the change that is compared.

    Raises:
        ValueError: unless `mixed`, they are of other data or, on an axis that depends on the machine, of
            other machines.
    """
    refused = _ONE | (_ONE_MACHINE if graded.on_machine(baseline.rows, x) else {})
    read = derived.behind(baseline.rows, x)
    refused |= {f"{name}_factors": "prices" for name in read & graded.PRICED}
    warnings = []
    for name, plural in (_NOTED | refused).items():
        first, second = (_values(arm.rows, name) for arm in (baseline, other))
        if not first or not second or first == second:
            continue
        differ = (
            f"{plural} differ ({name}): {_shown(first)} in {baseline.name}, {_shown(second)} in {other.name}"
        )
        if name in refused and not mixed:
            raise ValueError(
                f"{differ}. A difference between the curves would say nothing of a change: compare runs of "
                "the same, or say --mixed"
            )
        warnings.append(f"{differ}: the comparison cannot tell their effect from the change's")
    return warnings


def _values(rows: pd.DataFrame, name: str) -> list[str]:
    return sorted({str(value) for value in rows[name].dropna()}) if name in rows else []


def _shown(values: list[str]) -> str:
    short = [value[: points.HASH_DIGITS] if len(value) in (40, 64) else value for value in values]
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")
