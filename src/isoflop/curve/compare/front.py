"""The comparison itself: arms in, differences, tests, gain and verdict out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import __version__
from isoflop.curve import bootstrap, fit, leverage
from isoflop.curve.compare import arms as arms_
from isoflop.curve.compare import contrast, hypotheses, verdict
from isoflop.curve.compare.arms import Arm, ArmRuns
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.interval import POWER
from isoflop.curve.compare.result import SCHEMA, ArmFit, Comparison, Contrast, Curve
from isoflop.curve.laws import LAWS, PLAIN, Axes
from isoflop.curve.points import NothingToFitError
from isoflop.curve.result import Excluded
from isoflop.table import target

Array = npt.NDArray[np.float64]

CURVE_POINTS = 60


def compare_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    x: str = "train_gflops",
    y: str | None = None,
    settings: Settings | None = None,
) -> Comparison:
    """Compare the runs of several tables by their names, the first being the baseline.

    Tables are those of aggregate.tabulate, or any with the columns run_id, config_id, x and y; y defaults to
    what their domain is judged on. Raises as `compare`.
    """
    made = [ArmRuns(name, table, x, y or target.of(table, name).y) for name, table in tables.items()]
    return compare(made, settings)


def compare(arms: Sequence[ArmRuns], settings: Settings | None = None) -> Comparison:
    """Compare the curves of arms with that of the first, the baseline.

    Raises:
        ValueError: fewer than two arms, names that are not distinct, axes or data that differ, the same runs
            twice, a setting out of range, or a baseline (or the only other arm) that cannot be fitted.
    """
    settings = settings or Settings()
    settings.check()
    _check_names(arms)
    arms_.check_axes(arms)
    selected, not_compared = _selected(arms, settings)
    baseline, *others = selected
    _refuse_same_runs(selected)
    x, y = arms[0].x, arms[0].y
    differing = [arms_.compared(baseline, other, x, mixed=settings.mixed) for other in others]
    made = [contrast.contrast(baseline, other, y, settings) for other in others]
    made = [
        dataclasses.replace(of, warnings=(*differ, *of.warnings))
        for of, differ in zip(made, differing, strict=True)
    ]
    law = contrast.widest_law(made)
    return Comparison(
        schema=SCHEMA,
        isoflop_version=__version__,
        x=x,
        y=y,
        arms=tuple(_arm_fit(arm, law, x, y, settings) for arm in selected),
        contrasts=_adjusted(made, settings),
        not_compared=tuple(not_compared),
        level=settings.level,
        power=POWER,
        resamples=settings.resamples,
        seed=settings.seed,
        warnings=tuple(f"{arm.name}: {warning}" for arm in selected for warning in arm.warnings),
    )


def _check_names(arms: Sequence[ArmRuns]) -> None:
    if len(arms) < 2:
        raise ValueError("one curve is no comparison: give a baseline and at least one other")
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice: compare it with another")


def _selected(arms: Sequence[ArmRuns], settings: Settings) -> tuple[list[Arm], list[Excluded]]:
    """Return the arms that can be fitted, and the others with the reason.

    Raises:
        ValueError: the baseline, or all others, cannot be.
    """
    selected: list[Arm] = []
    failed: list[Excluded] = []
    first: NothingToFitError | None = None
    for i, arm in enumerate(arms):
        try:
            selected.append(
                arms_.select(arm, least_energy_grade=settings.least_energy_grade, mixed=settings.mixed)
            )
        except NothingToFitError as error:
            if i == 0:
                raise
            first = first or error
            failed.append(Excluded(arm.name, str(error).removeprefix(f"{arm.name}: ")))
    if len(selected) < 2:
        assert first is not None
        raise first
    return selected, failed


def _refuse_same_runs(selected: Sequence[Arm]) -> None:
    """Raise ValueError where another arm holds runs of the baseline: nothing differs between them."""
    baseline, *others = selected
    for other in others:
        both = {run for run in baseline.points.run_ids if not run.startswith("row ")} & set(
            other.points.run_ids
        )
        same = [run for run in both if _same(baseline, other, run)]
        if same:
            raise ValueError(
                f"{len(same)} runs are in {baseline.name} and in {other.name}, such as {min(same)}: compare "
                "runs that differ"
            )


def _same(baseline: Arm, other: Arm, run: str) -> bool:
    """Return whether a run of one name has the same x and y in both arms."""
    at = [arm.points.run_ids.index(run) for arm in (baseline, other)]
    pairs = [
        (arm.points.runs.x[i], arm.points.runs.y[i]) for arm, i in zip((baseline, other), at, strict=True)
    ]
    return bool(pairs[0] == pairs[1])


def _adjusted(made: Sequence[Contrast], settings: Settings) -> tuple[Contrast, ...]:
    """Return the contrasts with Holm's p over verdict.JUDGED of all arms, and the verdicts that follow."""
    flat = hypotheses.holm([of.tests[k] for of in made for k in verdict.JUDGED])
    each = len(verdict.JUDGED)
    result = []
    for i, of in enumerate(made):
        tests = list(of.tests)
        for k, test in zip(verdict.JUDGED, flat[i * each : (i + 1) * each], strict=True):
            tests[k] = test
        result.append(contrast.judged(dataclasses.replace(of, tests=tuple(tests)), settings))
    return tuple(result)


def _arm_fit(arm: Arm, law_name: str, x: str, y: str, settings: Settings) -> ArmFit:
    """Return the curve of one arm with the intervals that `isoflop fit` gives it.

    Args:
        arm: the arm.
        law_name: the law.
        x, y: columns, for units.
        settings: of the comparison.
    """
    law, means, configs = LAWS[law_name], arm.means, arm.points.configs
    weights = bootstrap.resample(configs, settings.resamples, np.random.default_rng(settings.seed))
    parameters = law.fit(means, weights[:, means.config], PLAIN, None)
    units = Axes(float(np.log(means.x.max())), fit.X_UNITS.get(x, f"unit of {x}"), target.unit_of(y))
    at = np.geomspace(means.x.min(), means.x.max(), CURVE_POINTS)
    z = np.log(at / means.x.max())
    logs = law.log_predict(parameters, z)
    known = bootstrap.enough_configs(configs, law.free_parameters)
    factor = leverage.stretch(means.v, means.config, z, law.free_parameters, settings.level)
    low, high = bootstrap.stretched(logs[1:], factor, settings.level)
    ends = (np.minimum(low, logs[0]), np.maximum(high, logs[0]))
    return ArmFit(
        name=arm.name,
        runs=len(arm.points.run_ids),
        configurations=configs,
        scales=arm.points.scales,
        x_min=float(arm.points.runs.x.min()),
        x_max=float(arm.points.runs.x.max()),
        x=tuple(means.x.tolist()),
        y=tuple(means.y.tolist()),
        parameters=tuple(
            fit.estimate(reported, configs, law.free_parameters, settings.level)
            for reported in law.describe(parameters, units)
        ),
        curve=Curve(
            tuple(at.tolist()),
            tuple(np.exp(logs[0]).tolist()),
            *(tuple(np.exp(end).tolist()) if known else (None,) * len(at) for end in ends),
        ),
        excluded=arm.points.excluded,
    )
