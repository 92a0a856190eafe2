"""What a fit says: frozen, JSON-able, shared by the estimator, the report and the reader of fit.json."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Interval:
    """A two-sided 95% interval; `high` may be None where it is unbounded, `low` likewise."""

    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One parameter: its value, its 95% interval over configurations, and its unit."""

    name: str
    value: float
    interval: Interval
    unit: str


@dataclasses.dataclass(frozen=True)
class Band:
    """The fitted curve on a grid of x, with the pointwise 95% interval of the mean; same length each."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class LawFit:
    """One law fitted to all included points.

    `paper_alpha` is 1/b of the polynomial (power) law: error falls with the paper_alpha-th root of x; None
    with the reason for the other laws. `r_squared` is on the scale named by `r_squared_of`;
    `log10_rmse` is the root mean square of log10(y / fitted), the same scale for all laws.
    """

    law: str
    formula: str
    parameters: tuple[Estimate, ...]
    paper_alpha: Estimate | None
    paper_alpha_reason: str | None
    r_squared: float
    r_squared_of: str
    log10_rmse: float
    band: Band
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Excluded:
    """A row the fit did not use, and why."""

    run_id: str
    reason: str


@dataclasses.dataclass(frozen=True)
class FitReport:
    """All laws for one pair of axes. `x` and `y` are column names of the table."""

    x: str
    y: str
    points: int
    configs: int
    scales: int
    x_min: float
    x_max: float
    frontier_run_ids: tuple[str, ...]
    fits: tuple[LawFit, ...]
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]
    resamples: int
    bootstrap_seed: int


@dataclasses.dataclass(frozen=True)
class FitFile:
    """The content of fit.json: one report per pair of axes, the first being error against training GFLOPs.

    `unfitted` names axes that could not be fitted, with the reason.
    """

    schema: int
    source: str
    isoflop_version: str
    reports: tuple[FitReport, ...]
    unfitted: tuple[Excluded, ...]


def write(fits: FitFile, path: Path) -> None:
    """Write fit.json atomically. Raises OSError if it cannot be written."""
    found = record.problem(fits, "fit")
    assert found is None, found
    record.write_bytes(path, msgspec.json.format(msgspec.json.encode(fits), indent=1) + b"\n")


def read(path: Path) -> FitFile:
    """Read fit.json. Raises RecordError if it is damaged or from a newer isoflop."""
    try:
        raw: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        if isinstance(raw, dict) and raw.get("schema", SCHEMA) > SCHEMA:
            raise record.RecordError(f"{path}: from a newer isoflop: run `isoflop fit` again")
        return msgspec.convert(raw, FitFile)
    except msgspec.DecodeError as error:
        raise record.RecordError(f"{path}: damaged ({error}): run `isoflop fit` again") from error
