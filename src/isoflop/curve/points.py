"""From the table to the points of a fit: every row is used or excluded by name, with warnings."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import energy_scatter, graded
from isoflop.curve.bootstrap import MIN_SCALES
from isoflop.curve.observations import Observations
from isoflop.curve.result import Excluded
from isoflop.table import categories, columns, held_out, target
from isoflop.table.columns import nearest
from isoflop.table.grouping import distinct_scales

Array = npt.NDArray[np.float64]

GRADES = "ABCD"
HASH_DIGITS = 8
LEAST_ENERGY_GRADE = "C"
"""Joules of a lower grade cannot be attributed to one run (meter/energy/grade.py) and are not fitted."""

_REASONS = dict.fromkeys(graded.JOULES, "energy_reason")
"""Column -> the column that says why it is unknown; of other columns it is NAME_reason."""
_REFUSED = {"isoflop_version": "isoflop versions", "git_commit": "git commits"}
_REFUSED_ON_MACHINE_DEPENDENT = {"device": "devices", "power_limit_watts": "power caps"}
_MIXABLE = {
    "device": "devices",
    "isoflop_version": "isoflop versions",
    "git_commit": "git commits",
    "precision": "precisions",
    "data": "data sets",
    "optimizer": "optimizers",
    "batch_size": "batch sizes",
    "parametrization": "parametrizations",
    "epochs": "training lengths in epochs",
}


class NothingToFitError(ValueError):
    """The points are good and too few for a law, or all the same: no mistake while a sweep is young."""


@dataclasses.dataclass(frozen=True)
class Points:
    """The rows that are fitted: n runs, k configurations, m configuration means (m = k without cooldowns).

    A configuration mean averages the seeds of one configuration and horizon (rows of equal place_id, or of
    equal config_id where the table has no place_id).

    Attributes:
        run_ids: of the runs.
        runs: the single runs (n). x is positive; y may be 0 where the counts behind it are known.
        means: the configuration means (m), with geometric means of x and arithmetic means of y.
        mean_of: index (n,) of the configuration mean that each run belongs to.
        chance: the error of guessing, if all rows agree on it.
        scales: number of distinct compute scales.
        configs: number of configurations.
        excluded: the rows that are not fitted.
        warnings: about the points.

    In `runs` and `means`, `config` indexes the configurations: all seeds and horizons of one are together.
    """

    run_ids: tuple[str, ...]
    runs: Observations
    means: Observations
    mean_of: npt.NDArray[np.intp]
    chance: float | None
    scales: int
    configs: int
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]


def numbers(table: pd.DataFrame, name: str) -> Array:
    """Return a column as floats (n,), unknown as NaN. ValueError if it holds text."""
    try:
        return np.asarray(pd.to_numeric(table[name]), dtype=float)
    except (ValueError, TypeError):
        text = columns.holds_text(table, name)
        raise ValueError(f"column {text}: choose a column of numbers") from None


def _text(row: Mapping[Hashable, object], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _axis_problem(name: str, value: float, reason: str | None) -> str | None:
    if math.isnan(value):
        return f"unknown {name}: {reason or 'no value in the table'}"
    if math.isinf(value):
        return f"{name} is infinite"
    return None


def _y_problem(name: str, value: float, chance: float, counted: bool) -> str | None:
    """Return why a known, finite y cannot be used, or None."""
    if not name.endswith("_error"):
        return None if value > 0 else f"{name} is {value:g}: a law on a log scale needs it above 0"
    if not 0 <= value <= 1:
        return f"{name} is {value:g}, outside [0, 1]: give the error as a fraction"
    if value == 0 and not counted:
        return "0 errors of an unknown number (test_n): no value on a log scale without it"
    if value >= chance:
        return f"{name} is {value:.4g}, at chance ({chance:.4g}): no information about the law"
    return None


def _grade_problem(grade: str | None, least: str) -> str | None:
    """Return why joules of this grade are not used, or None."""
    return f"energy graded {grade}, below {least}" if grade is not None and grade > least else None


def _exclusions(
    table: pd.DataFrame, x: str, y: str, least_energy_grade: str, left_out: Mapping[str, str]
) -> list[str | None]:
    """Return for each row the reason why it is not used, or None; arguments as in select."""
    values_x, values_y = numbers(table, x), numbers(table, y)
    chance, test_n = (
        numbers(table, name) if name in table else np.full(len(table), math.nan)
        for name in ("chance_error", "test_n")
    )
    counted = target.quantity(y).counted and bool(np.isfinite(test_n).all())
    reason_x, reason_y = (_REASONS.get(name, f"{name}_reason") for name in (x, y))
    of_energy = graded.of_energy(table, x) | graded.of_energy(table, y)
    graded_by = [name for name in {reason_x, reason_y, "energy_grade"} if name in table]
    kept = ["run_id", "config_id", *graded_by]
    held = held_out.mask(table)
    seen: set[str] = set()
    reasons: list[str | None] = []
    for i, row in enumerate(table[kept].to_dict("records")):
        run_id, at = str(row["run_id"]), float(values_x[i])
        reason = (
            ("listed twice: the first row is used" if run_id in seen else None)
            or ("no config_id" if pd.isna(row["config_id"]) else None)
            or left_out.get(run_id)
            or (held_out.EXCLUDED if held[i] else None)
            or _axis_problem(x, at, _text(row, reason_x))
            or (None if at > 0 else f"{x} is {at:g}: a law needs it above 0")
            or _axis_problem(y, float(values_y[i]), _text(row, reason_y))
            or _y_problem(y, float(values_y[i]), float(chance[i]), counted)
            or (_grade_problem(_text(row, "energy_grade"), least_energy_grade) if of_energy[i] else None)
        )
        seen.add(run_id)
        reasons.append(reason)
    return reasons


def _values(rows: pd.DataFrame, name: str) -> list[str]:
    return sorted({str(v) for v in rows[name].dropna()}) if name in rows else []


def _shown(values: list[str]) -> str:
    return ", ".join(values[:4]) + (f" and {len(values) - 4} more" if len(values) > 4 else "")


def refuse_mixed(rows: pd.DataFrame, x: str) -> None:
    """Raise ValueError where what is fitted together over x cannot be compared."""
    columns = _REFUSED | (_REFUSED_ON_MACHINE_DEPENDENT if graded.on_machine(rows, x) else {})
    for name, plural in columns.items():
        values = _values(rows, name)
        if len(values) > 1:
            raise ValueError(
                f"mixed {plural} ({_shown(values)}): what differs between them would be taken for an effect "
                f"of {x}. Fit them apart, or say --mixed"
            )
    if len(prices := graded.prices(rows, x)) > 1:
        raise ValueError(
            f"mixed prices ({_shown(prices)}): {x} of runs that are priced differently are no one axis. "
            "Price them alike by --cost, or say --mixed"
        )


LENGTHS = ("train_gflops", "examples_seen")
"""What a batch size may follow from: the budget, as in an IsoFLOP design, or the bytes read."""


def by_design(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return settings that vary with the length of training by a rule: on text the number of passes, which is
    below one, and the batch size where it never falls as the budget, or the number of bytes read, grows."""
    if target.of(rows).domain != target.TEXT:
        return ()
    one_rule = any(_never_falls(rows, length, "batch_size") for length in LENGTHS)
    return ("epochs", "batch_size") if one_rule else ("epochs",)


def _never_falls(rows: pd.DataFrame, x: str, y: str) -> bool:
    """Return whether y has one value at each scale of x and is no less at a larger one, over the rows where
    both are known; False where there are none."""
    if x not in rows or y not in rows:
        return False
    known = rows[[x, y]].dropna()
    by_scale = known[y].groupby(distinct_scales(numbers(known, x))).agg(["min", "max"])
    one_value = bool((by_scale["min"] == by_scale["max"]).all())
    return not known.empty and one_value and by_scale["max"].is_monotonic_increasing


def versions_of_data(rows: pd.DataFrame) -> dict[str, pd.Series[str]]:
    """Return, for each data set of one name and fraction of which the rows hold several, their hashes.

    Other data under one name are another text at data.path, the source of another interpreter, images of
    another resolution, or files that were changed between the runs.

    Returns:
        By "NAME" ("NAME, fraction F" of a part): split_sha256, indexed as its rows.
    """
    if "split_sha256" not in rows or "data" not in rows:
        return {}
    fractions = numbers(rows, "data_fraction") if "data_fraction" in rows else np.ones(len(rows))
    known = rows.assign(data_fraction=np.nan_to_num(fractions, nan=1.0))
    known = known.dropna(subset=["data", "split_sha256"])
    return {
        str(name) if fraction == 1 else f"{name}, fraction {fraction:g}": group["split_sha256"]
        for (name, fraction), group in known.groupby(["data", "data_fraction"])
        if len(set(group["split_sha256"])) > 1
    }


def _warnings(
    rows: pd.DataFrame, x: str, means: Observations, excluded: list[Excluded], zeros: int
) -> list[str]:
    """Return the warnings about the points.

    Args:
        rows: the rows that are fitted.
        x: name of the resource.
        means: the configuration means.
        excluded: the rows that are not fitted.
        zeros: number of runs with y = 0.
    """
    warnings = []
    single = int((means.repeats < 2).sum())
    if single:
        warnings.append(
            f"{single} of {len(means.repeats)} configurations have fewer than 2 seeds: the spread between "
            "seeds is not separated from that between configurations"
        )
    decades = math.log10(float(means.x.max() / means.x.min()))
    if decades < 2:
        warnings.append(f"x spans {decades:.2g} decades, under two: exponent and floor are hard to separate")
    columns = _MIXABLE | ({"energy_grade": "energy grades"} if graded.of_energy(rows, x).any() else {})
    columns = {name: plural for name, plural in columns.items() if name not in by_design(rows)}
    for name, plural in columns.items():
        values = _values(rows, name)
        if len(values) > 1:
            warnings.append(f"mixed {plural}: {_shown(values)}")
    warnings += categories.differing(rows, {*_MIXABLE})
    for name, hashes in versions_of_data(rows).items():
        shown = _shown(sorted({str(each)[:HASH_DIGITS] for each in hashes}))
        warnings.append(f"mixed data under the name {name}: split_sha256 {shown}")
    at_chance = sum(": no information about the law" in e.reason for e in excluded)
    if at_chance:
        warnings.append(
            f"{at_chance} runs at or above chance are left out: the fit is biased downwards at their x"
        )
    if zeros:
        warnings.append(
            f"{zeros} runs have 0 errors: power_law_ols and exponential, which need 1/y, leave them out and "
            "are biased upwards at their x"
        )
    return warnings


def _seed_variance(log_y: Array, mean_of: npt.NDArray[np.intp], repeats: Array) -> float | None:
    """Return the pooled variance of ln y between the runs of one configuration mean."""
    freedom = float((repeats - 1).sum())
    if freedom < 1:
        return None
    mean = np.bincount(mean_of, log_y, len(repeats)) / repeats
    return float(np.sum((log_y - mean[mean_of]) ** 2) / freedom)


def _observations(
    rows: pd.DataFrame, x: str, y: str, config: npt.NDArray[np.intp], mean_of: npt.NDArray[np.intp]
) -> tuple[Observations, Observations]:
    """Return the runs and the configuration means.

    Args:
        rows: the rows (n) that are fitted.
        x, y: names of their columns.
        config: index (n,) of the configuration of each row.
        mean_of: index (n,) of the configuration mean of each row.
    """
    values_x, values_y = numbers(rows, x), numbers(rows, y)
    counted = (
        numbers(rows, "test_n")
        if target.quantity(y).counted and "test_n" in rows
        else np.full(len(rows), np.nan)
    )
    trials = counted if len(counted) and np.isfinite(counted).all() else None
    count = int(mean_of.max()) + 1 if len(mean_of) else 0
    repeats = np.bincount(mean_of, minlength=count).astype(float)
    runs = Observations(values_x, values_y, config, np.ones(len(rows)), trials, None)
    variance = _seed_variance(runs.log_y, mean_of, repeats) if count else None
    config_of_mean = np.zeros(count, dtype=np.intp)
    config_of_mean[mean_of] = config
    means = Observations(
        np.exp(np.bincount(mean_of, np.log(values_x), count) / repeats),
        np.bincount(mean_of, values_y, count) / repeats,
        config_of_mean,
        repeats,
        None if trials is None else np.bincount(mean_of, trials, count).astype(float),
        variance,
    )
    return dataclasses.replace(runs, seed_variance=variance), means


def _mean_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """Return what rows of one configuration mean share: place_id, else the configuration."""
    return rows["place_id"].fillna(rows["config_id"]) if "place_id" in rows else rows["config_id"]


def select(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    least_energy_grade: str = LEAST_ENERGY_GRADE,
    mixed: bool = False,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Points:
    """Return the points of y against x.

    Args:
        table: one row a run, as aggregate.tabulate returns. It needs the columns run_id, config_id, x and y;
            others are used if present.
        x, y: names of columns.
        least_energy_grade: on an axis of joules, or of what is priced by them, runs of a lower grade are
            excluded.
        mixed: accept runs of several code versions or machines.
        left_out: reasons by run_id of rows that are excluded, such as those of undertrained shapes.

    Raises:
        NothingToFitError: fewer than three distinct compute scales remain, or y is the same in all runs.
        ValueError: a column is missing or holds text, there is no such grade, or, unless `mixed`, the rows
            come from several versions of the code or (on axes that depend on the machine) from several
            devices or power caps.
    """
    if len(least_energy_grade) != 1 or least_energy_grade not in GRADES:
        raise ValueError(f"no energy grade {least_energy_grade}: give one of {', '.join(GRADES)}")
    if x == y:
        raise ValueError(f"{x} against itself says nothing: choose another x or y")
    for name in (x, y, "run_id", "config_id"):
        if name not in table:
            raise ValueError(f"no column {name} in the table: {nearest(name, map(str, table.columns))}")
    reasons = _exclusions(table, x, y, least_energy_grade, left_out)
    excluded = [
        Excluded(str(run_id), reason)
        for run_id, reason in zip(table["run_id"], reasons, strict=True)
        if reason is not None
    ]
    rows = table[np.array([reason is None for reason in reasons], dtype=bool)]
    config, configs = pd.factorize(rows["config_id"])
    mean_of, _ = pd.factorize(_mean_ids(rows))
    config, mean_of = np.asarray(config, dtype=np.intp), np.asarray(mean_of, dtype=np.intp)
    runs, means = _observations(rows, x, y, config, mean_of)
    scale = distinct_scales(means.x)
    scales = int(scale.max()) + 1 if len(scale) else 0
    if scales < MIN_SCALES:
        raise NothingToFitError(_too_few(x, y, scales, len(rows), excluded))
    if float(runs.y.min()) == float(runs.y.max()):
        raise NothingToFitError(
            f"{y} is {runs.y[0]:g} in every run: there is no fall to fit, measure other scales"
        )
    if not mixed:
        refuse_mixed(rows, x)
    zeros = int((runs.y == 0).sum())
    of_energy = graded.of_energy(rows, x).any()
    grades = [_text(row, "energy_grade") or "" for row in rows.to_dict("records")] if of_energy else []
    scatter = energy_scatter.warnings(np.log(runs.x), runs.log_y, grades)
    return Points(
        run_ids=tuple(str(r) for r in rows["run_id"]),
        runs=runs,
        means=means,
        mean_of=mean_of,
        chance=_chance(rows, y),
        scales=scales,
        configs=len(configs),
        excluded=tuple(excluded),
        warnings=(*_warnings(rows, x, means, excluded, zeros), *scatter),
    )


def _chance(rows: pd.DataFrame, y: str) -> float | None:
    """Return the error of guessing if y is an error and all rows agree on it, else None."""
    known = set(numbers(rows, "chance_error").tolist()) if "chance_error" in rows else set()
    (chance,) = known if len(known) == 1 else (math.nan,)
    return chance if y.endswith("_error") and math.isfinite(chance) else None


def _too_few(x: str, y: str, scales: int, used: int, excluded: list[Excluded]) -> str:
    """Return the message that too few compute scales remain.

    Args:
        x, y: names of columns.
        scales: number of distinct compute scales.
        used: number of usable runs.
        excluded: the rows that cannot be used.
    """
    left_out = ""
    if excluded:
        reason, times = Counter(e.reason for e in excluded).most_common(1)[0]
        left_out = f", {len(excluded)} excluded, {times} of them: {reason}"
    return (
        f"{y} against {x}: {scales} distinct compute scales in {used} usable runs{left_out}. "
        f"A law needs at least {MIN_SCALES}: run configurations of other sizes"
    )
