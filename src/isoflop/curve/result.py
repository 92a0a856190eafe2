"""Results of a fit: frozen dataclasses that encode to JSON, shared by estimator, report and fit.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import msgspec

from isoflop import record
from isoflop.curve import law_names
from isoflop.curve.estimate import Estimate as Estimate
from isoflop.curve.estimate import Interval as Interval
from isoflop.curve.judge.answer import Judgement
from isoflop.table import axis, held_out, target
from isoflop.table.axis import Axes, Axis
from isoflop.table.left_out import Excluded as Excluded  # part of the results, whoever leaves a row out
from isoflop.table.target import Quantity

SCHEMA = 2


@dataclasses.dataclass(frozen=True)
class Band:
    """A curve on a grid of x with pointwise intervals, all of the same length.

    `low` to `high` is the interval of the mean, `new_low` to `new_high` that of a new run (a new
    configuration with its seed).
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    new_low: tuple[float, ...]
    new_high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class HorizonError:
    """Accuracy of predictions from smaller runs at about `ratio` times their largest x.

    `log_rmse` is the root mean square of ln(predicted / observed); None where nothing could be predicted.
    """

    ratio: float
    predictions: int
    log_rmse: float | None


@dataclasses.dataclass(frozen=True)
class LackOfFit:
    """Whether the points bend away from a law by more than configurations scatter (misfit/lack_of_fit.py).

    Attributes:
        method: what the bend is compared with: the scatter between configurations (Student's t), the same
            with its distribution from sign flips of configurations (wild bootstrap), or, where there are too
            few configurations for either, the runs of the residuals' signs and rolling extrapolation.
        p_value: of that test.
        runs_p, rolling_p: of the runs of signs alone, and of the errors of one-step rolling extrapolation
            alone (Harvey and Collier 1977); None where there are too few points.
        exponent_low, exponent_high: -d ln y / d ln x of the bent curve over the lowest and the highest third
            of the range of ln x.
        factor_at_10x: y at ten times the largest x if it goes on as it ends, over that of the law.
        rejected: p_value is at most 5%, and y at ten times the largest x is then outside the law's interval.
    """

    method: Literal[
        "scatter between configurations", "wild bootstrap", "runs of signs and rolling extrapolation"
    ]
    p_value: float
    runs_p: float | None
    rolling_p: float | None
    exponent_low: float
    exponent_high: float
    factor_at_10x: float
    rejected: bool


@dataclasses.dataclass(frozen=True)
class LocalExponent:
    """-d ln y / d ln x at the largest x, averaged over curves that may bend; `alpha` is 1 over it.

    `laws` are those that were averaged: the exponent to quote where the power law is rejected.
    """

    exponent: Estimate
    alpha: Estimate | None
    laws: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LateDeviation:
    """The largest one or two configurations beside the curve of the smaller ones (misfit/late.py).

    Attributes:
        names: of these configurations, the largest last.
        run_ids: their runs.
        factor: by which they lie above the curve of the smaller ones, and its 95% interval.
        log_evidence: ln of the Bayes factor for such a deviation.
        training_loss: whether the training loss was judged too.
        deviates: log_evidence is at least late.EVIDENCE.
        exponent, exponent_without: b of the power law with and without them.
        at_10x, at_10x_without: y at ten times the largest x by the power law with a floor, with and without
            them (by the plain one of fewer than five points).
    """

    names: tuple[str, ...]
    run_ids: tuple[str, ...]
    factor: Estimate
    log_evidence: float
    training_loss: bool
    deviates: bool
    exponent: float | None
    exponent_without: float | None
    at_10x: float | None
    at_10x_without: float | None


@dataclasses.dataclass(frozen=True)
class ColumnShare:
    """A column of the table, its number of values, and the share that it explains of the variance that x and
    the columns before it leave (adjusted R2)."""

    column: str
    share: float
    levels: int


@dataclasses.dataclass(frozen=True)
class Determination:
    """How far x determines y: the share of the variance of ln y that a smooth function of ln x explains
    (adjusted R2), and the columns that explain much of the rest, most first (misfit/determination.py)."""

    x_share: float
    columns: tuple[ColumnShare, ...]


@dataclasses.dataclass(frozen=True)
class LawFit:
    """One law fitted to all included points.

    `paper_alpha` is 1/b of the power laws: error falls with the paper_alpha-th root of x; None with the
    reason for the other laws. `r_squared` is on the scale named by `r_squared_of`; `log10_rmse` is the root
    mean square of log10(y / fitted), the same scale for all laws. `exponent_profile` is the profile
    likelihood interval of b. `horizons` and `log_rmse` (over all of them) are its rolling extrapolation.
    `lack_of_fit` is None, with the reason, where it cannot be tested.
    """

    law: str
    formula: str
    source: str
    parameters: tuple[Estimate, ...]
    paper_alpha: Estimate | None
    paper_alpha_reason: str | None
    exponent_profile: Interval | None
    r_squared: float
    r_squared_of: str
    log10_rmse: float
    band: Band
    horizons: tuple[HorizonError, ...]
    extrapolation_log_rmse: float | None
    warnings: tuple[str, ...]
    lack_of_fit: LackOfFit | None = None
    lack_of_fit_reason: str | None = "not tested"


@dataclasses.dataclass(frozen=True)
class Member:
    """A law's weight in the forecast. `drifting`: the curve may drift away from it (forecast/drift.py)."""

    law: str
    weight: float
    drifting: bool = False


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Calibration of an interval that should hold the share `nominal` of the larger runs.

    Of `predictions` from smaller runs, it held the share `observed`.
    """

    nominal: float
    observed: float
    predictions: int


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The predictive distribution of y, averaged over laws by their evidence (forecast/predictive.py).

    `band.y` is its median. `tested_ratio`: the largest ratio of x over which forecasts from smaller runs were
    tested; beyond tested_ratio x_max the band is untested. `local_exponent` is -d ln y / d ln x at x_max.
    """

    members: tuple[Member, ...]
    band: Band
    horizons: tuple[HorizonError, ...]
    extrapolation_log_rmse: float | None
    tested_ratio: float | None
    calibration: tuple[Calibration, ...]
    warnings: tuple[str, ...]
    local_exponent: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out runs, and the prediction that was made without them under rules fixed beforehand.

    `law` predicted: table.held_out.FORECAST, the predictive distribution over x, or a law by its name: a
    joint law, or on the frontier one of `fits`.
    """

    expression: str
    runs: int
    log_rmse: float
    inside_new_run_interval: int
    largest_ratio: float
    rows: tuple[HeldOutRun, ...]
    law: str = held_out.FORECAST


@dataclasses.dataclass(frozen=True)
class HeldOutRun:
    """A held-out run: its y, the prediction, and the interval for a new run."""

    run_id: str
    x: float
    y: float
    predicted: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class FitReport:
    """All laws for one pair of axes. `x` and `y` are column names of the table.

    `of`: all runs, or those on the efficient frontier; `quantile`: the robust laws are fitted to that
    quantile of y given x instead of its middle. `resampling`: of configurations, or wild (signs of their
    residuals). `level`: the share of truths that its intervals should hold. `local_exponent` is None where
    there is no forecast and no curve that may bend was fitted; `late` where there are too few configurations;
    `determination` where there are too few runs. `axes` is what a user's own table is known to hold, None for
    the columns of a sweep, which their names tell. `floor_by_undertrained`: an irreducible part shows, but
    not without undertrained shapes (check/floor.py).
    """

    x: str
    y: str
    of: Literal["all", "frontier"]
    quantile: float | None
    points: int
    configs: int
    scales: int
    x_min: float
    x_max: float
    frontier_run_ids: tuple[str, ...]
    fits: tuple[LawFit, ...]
    forecast: Forecast | None
    forecast_reason: str | None
    held_out: HeldOut | None
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]
    resamples: int
    resampling: Literal["configurations", "wild"]
    bootstrap_seed: int
    level: float = 0.95
    local_exponent: LocalExponent | None = None
    late: LateDeviation | None = None
    determination: Determination | None = None
    axes: Axes | None = None
    floor_by_undertrained: bool = False

    @property
    def resource(self) -> Axis:
        """What x is."""
        return self.axes.x if self.axes is not None else axis.of(self.x)

    @property
    def quantity(self) -> Quantity:
        """What y is."""
        return self.axes.y if self.axes is not None else target.quantity(self.y)

    @property
    def percent(self) -> str:
        """The level of its intervals, such as 95%."""
        return f"{100 * self.level:g}%"


@dataclasses.dataclass(frozen=True)
class FitFile:
    """The content of fit.json: one report per pair of axes, the first being error against training GFLOPs.

    The terminal, `--json` and the page all show this object, so that what one says the others say too.

    Attributes:
        schema: SCHEMA.
        source: the folder or file.
        isoflop_version: that fitted.
        reports: one a pair of axes.
        unfitted: axes that could not be fitted, each with the reason.
        dropped: records of a folder that gave no point of the curve, each with its state and the reason.
        notes: about all reports: what the checks say where it bears on the laws.
        verdict: of the runs on the paper's limit (judge/limit.py); None where the axes are not those of the
            limit, or the checks were not asked.
    """

    schema: int
    source: str
    isoflop_version: str
    reports: tuple[FitReport, ...]
    unfitted: tuple[Excluded, ...]
    dropped: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: Judgement | None = None


class Noted(Protocol):
    """A result that says which rows it left out, and what to beware of: a FitReport, JointFit or Profiles."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Rows that are not used."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to beware of."""


Result = TypeVar("Result", bound=Noted)


def with_notes(result: Result, warnings: Sequence[str], excluded: Sequence[Excluded]) -> Result:
    """Return a result with what was said of its table before its own warnings and excluded rows, each once.

    Args:
        result: of a fit to a table.
        warnings: about the table.
        excluded: rows that the table left out.
    """
    return dataclasses.replace(
        result,
        warnings=tuple(dict.fromkeys((*warnings, *result.warnings))),
        excluded=tuple(dict.fromkeys((*excluded, *result.excluded))),
    )


def write_fits(fit_file: FitFile, path: Path) -> None:
    """Write fit.json atomically. Raises OSError if it cannot be written."""
    problem = record.problem(fit_file, "fit")
    assert problem is None, problem
    record.write_bytes(path, msgspec.json.format(msgspec.json.encode(fit_file), indent=1) + b"\n")


def read_fits(path: Path) -> FitFile:
    """Read fit.json, with today's names of laws (law_names.OLD_LAW_NAMES).

    Raises:
        RecordError: the file is damaged or has another schema.
        OSError: it cannot be opened.
    """
    again = f"`isoflop fit {path.parent} --save` again"
    try:
        content: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        if isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA:
            age = "a newer" if content["schema"] > SCHEMA else "an older"
            raise record.RecordError(f"{path}: from {age} isoflop: run {again}")
        return msgspec.convert(law_names.renamed(content), FitFile)
    except msgspec.DecodeError as error:
        raise record.RecordError(f"{path}: damaged ({error}): run {again}") from error
