"""Levers against their baseline: the curves by isoflop compare, over own work and with prior work counted in.

Nothing is estimated here that curve/compare does not estimate: this module chooses the runs of each arm and
takes from each comparison what a table of levers shows.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop import __version__
from isoflop.curve.compare import arms as arms_
from isoflop.curve.compare import front, verdict
from isoflop.curve.compare.arms import Arm, ArmRuns
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.interval import POWER
from isoflop.curve.compare.result import Comparison, Contrast
from isoflop.curve.levers import rates, ratios
from isoflop.curve.levers.result import SCHEMA, LeverRow, LeversReport, OnAxis
from isoflop.curve.result import Excluded
from isoflop.table import derived, levers, selection, target
from isoflop.table.levers import BASELINE, LeftOut


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of a baseline and its levers.

    Attributes:
        rows: one row a run (levers.completed).
        y: the column of the error or loss.
        source: of the runs, in messages.
        excluded: records that gave no row.
        trials: of the searches for learning rates (levers.trials); None where no folder holds them.
        left_out: levers that were not trained.
    """

    rows: pd.DataFrame
    y: str
    source: str
    excluded: tuple[Excluded, ...] = ()
    trials: pd.DataFrame | None = None
    left_out: tuple[LeftOut, ...] = ()


def of_table(
    rows: pd.DataFrame,
    source: str,
    folder: Path | None,
    *,
    excluded: tuple[Excluded, ...] = (),
    y: str | None = None,
    where: str | None = None,
) -> Runs:
    """Return the runs of a table, with what a sweep's folder knows beside it.

    Args:
        rows: one row a run, of all arms.
        source: of them, in messages.
        folder: of the sweep; None for a table of one's own.
        excluded: records that gave no row.
        y: the column of the error or loss, or an expression; None for what the runs are judged on.
        where: a condition on rows.

    Raises:
        ValueError: no such column, no row left, or a damaged left_out.json.
    """
    try:
        rows, _ = selection.where(levers.completed(rows), where)
        rows = rows.reset_index(drop=True)
        rows, name = derived.resolve(rows, y or target.of(rows, source).y, "y")
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return Runs(rows, name, source, excluded, levers.trials(folder), levers.left_out(folder))


@dataclasses.dataclass(frozen=True)
class _Compared:
    """A comparison of all arms that can be compared, and why others cannot, by name."""

    comparison: Comparison | None
    reasons: dict[str, str]

    def contrast(self, name: str) -> Contrast | None:
        """Return the contrast of an arm with the baseline, None where it was not compared."""
        contrasts = self.comparison.contrasts if self.comparison is not None else ()
        return next((each for each in contrasts if each.other == name), None)


def compare(runs: Runs, settings: Settings | None = None) -> LeversReport:
    """Compare each lever with the baseline.

    Raises:
        ValueError: no run has a lever, none is of the baseline, or the baseline cannot be fitted; too few
            resamples for so many levers.
    """
    settings = settings or Settings()
    settings.check()
    parts = _parts(runs)
    if settings.resamples < (least := least_resamples(len(parts) - 1, settings.level)):
        raise ValueError(
            f"--resamples {settings.resamples}: with {len(parts) - 1} levers a test at "
            f"{100 * (1 - settings.level):g}% needs at least {least}"
        )
    few = {name: reason for name in parts if (reason := _too_few(parts[BASELINE], parts[name])) is not None}
    enough = {name: part for name, part in parts.items() if name not in few}
    own = _compared(enough, levers.OWN, runs, settings)
    with_prior = {name: part for name, part in enough.items() if name == BASELINE or _needs_prior(part)}
    if _needs_prior(parts[BASELINE]):
        with_prior = enough
    total = _compared(with_prior, levers.TOTAL, runs, settings)
    made = [
        _row(name, parts, few.get(name), own, total if name in with_prior else own, runs, settings)
        for name in parts
        if name != BASELINE
    ]
    return LeversReport(
        schema=SCHEMA,
        isoflop_version=__version__,
        source=runs.source,
        y=runs.y,
        runs=len(parts[BASELINE]),
        configurations=int(parts[BASELINE]["config_id"].nunique()),
        rates=rates.search(parts[BASELINE], runs.trials, BASELINE),
        levers=tuple(made),
        left_out=runs.left_out,
        own=own.comparison,
        total=total.comparison,
        level=settings.level,
        power=POWER,
        resamples=settings.resamples,
        seed=settings.seed,
        warnings=own.comparison.warnings if own.comparison is not None else (),
    )


def least_resamples(count: int, level: float) -> int:
    """Return the fewest resamples with which a test of so many levers, adjusted for their number, can tell.

    The least p of a test is 1 / (1 + resamples); Holm multiplies it by the number of tests, of which
    each lever has as many as verdict.JUDGED. Twice that leaves room for one sample beyond.
    """
    return math.ceil(2 * count * len(verdict.JUDGED) / (1 - level))


def _parts(runs: Runs) -> dict[str, pd.DataFrame]:
    """Return the rows of each arm, the baseline first and levers by name.

    Raises ValueError where nothing is to be compared.
    """
    rows = levers.at_baseline_shape(runs.rows)
    of_run = levers.arms(rows)
    names = sorted(set(of_run) - {BASELINE})
    if not names:
        raise ValueError(
            f"{runs.source}: no run has a lever: train some beside the baseline (isoflop sweep "
            "sweep=levers), or compare by another column (isoflop compare --by)"
        )
    if not (of_run == BASELINE).any():
        raise ValueError(
            f"{runs.source}: no run of the baseline ({levers.LEVER}={levers.NONE}) is done, with which "
            f"{', '.join(names)} would be compared"
        )
    return {name: rows[of_run == name].reset_index(drop=True) for name in (BASELINE, *names)}


def _too_few(baseline: pd.DataFrame, other: pd.DataFrame) -> str | None:
    """Return why a lever has too few runs for a comparison, None where it has enough."""
    if other is baseline or (count := ratios.in_common(baseline, other)) >= levers.LEAST_IN_COMMON:
        return None
    have = f"{count} configuration{'' if count == 1 else 's'} in common with the baseline"
    return f"too few runs: {have}, where a curve takes {levers.LEAST_IN_COMMON}"


def _needs_prior(rows: pd.DataFrame) -> bool:
    """Return whether runs needed work beside their own training, or it is not known whether they did."""
    return bool((rows[levers.PRIOR].isna() | (rows[levers.PRIOR] > 0)).any())


def _compared(parts: dict[str, pd.DataFrame], x: str, runs: Runs, settings: Settings) -> _Compared:
    """Compare the arms that can be, if there are any; others are named with the reason.

    Args:
        parts: rows by name, the baseline first.
        x: the column of training work.
        runs: all of them.
        settings: of the comparison.

    Raises:
        ValueError: the baseline cannot be fitted.
    """
    if len(parts) < 2:
        return _Compared(None, {})
    first = parts[BASELINE]
    given = {
        name: ArmRuns(name, _of_one_test(first, part), x, runs.y, runs.excluded if name == BASELINE else ())
        for name, part in parts.items()
    }
    baseline = _selected(given[BASELINE], settings)
    reasons: dict[str, str] = {}
    for name in list(given)[1:]:
        try:
            arms_.compared(baseline, _selected(given[name], settings), x, mixed=settings.mixed)
        except ValueError as error:
            reasons[name] = str(error).removeprefix(f"{name}: ")
    left = [arm for name, arm in given.items() if name not in reasons]
    return _Compared(front.compare(left, settings) if len(left) > 1 else None, reasons)


def _of_one_test(baseline: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a lever that may change what is trained on (repetition) under the baseline's split.

    What is compared is the error on one test part, so the data set and the size of that part must be the
    same.
    """
    same = all(set(part[name]) == set(baseline[name]) for name in _TEST_PART if name in part)
    splits = list(baseline[_SPLIT].unique()) if _SPLIT in baseline else []
    return part.assign(**{_SPLIT: splits[0]}) if same and len(splits) == 1 and _SPLIT in part else part


_TEST_PART, _SPLIT = ("data", "test_n"), "split_sha256"


def _selected(arm: ArmRuns, settings: Settings) -> Arm:
    return arms_.select(arm, least_energy_grade=settings.least_energy_grade, mixed=settings.mixed)


def _row(
    name: str,
    parts: dict[str, pd.DataFrame],
    few: str | None,
    own: _Compared,
    total: _Compared,
    runs: Runs,
    settings: Settings,
) -> LeverRow:
    """Return what is said of one lever.

    Args:
        name: of its arm.
        parts: rows by name.
        few: why it has too few runs, if it has.
        own, total: the comparisons over own work, and with prior work counted in.
        runs: all of them.
        settings: of the comparisons.
    """
    baseline, rows = parts[BASELINE], parts[name]
    of_own, of_total = own.contrast(name), total.contrast(name)
    prior = (rows[levers.PRIOR] / rows[levers.OWN]).to_numpy(float)
    density = rows["density"].mean()
    return LeverRow(
        lever=str(rows[levers.LEVER].iloc[0]),
        settings=str(rows[levers.SETTINGS].iloc[0]),
        name=name,
        runs=len(rows),
        configurations=int(rows["config_id"].nunique()),
        in_common=ratios.in_common(baseline, rows),
        reason=few or own.reasons.get(name),
        own=_on_axis(of_own, levers.OWN),
        total=_on_axis(of_total, levers.TOTAL),
        total_reason=few or total.reasons.get(name),
        prior_share=_mean_share(prior),
        density=None if pd.isna(density) else float(density),
        ratios=ratios.ratios(baseline, rows, runs.y, settings.level),
        rates=rates.search(rows, runs.trials, name),
        warnings=tuple(dict.fromkeys(warning for of in (of_own, of_total) if of for warning in of.warnings)),
    )


def _mean_share(shares: np.ndarray) -> float | None:
    """Return the geometric mean of shares; 0 where none is above it, None where one is unknown."""
    if np.isnan(shares).any():
        return None
    return float(np.exp(np.log(shares).mean())) if (shares > 0).all() else float(shares.mean())


def _on_axis(of: Contrast | None, x: str) -> OnAxis | None:
    if of is None:
        return None
    inside = [row for row in of.gain.rows if row.inside] if of.gain is not None else []
    return OnAxis(
        x=x,
        largest=inside[0] if inside else None,
        middle=inside[len(inside) // 2] if inside else None,
        least=inside[-1] if inside else None,
        gain_reason=of.gain_reason,
        moved=of.moved,
        law=of.law,
        b=verdict.headline(of, "b"),
        floor=verdict.headline(of, "E") if of.law == "power_law_floor" else None,
        factor=verdict.headline(of, "ln factor"),
        p_scale=_p(of, verdict.FACTOR),
        p_factor=_p(of, verdict.NO_FACTOR),
    )


def _p(of: Contrast, test: int) -> float | None:
    return of.tests[test].p_holm
