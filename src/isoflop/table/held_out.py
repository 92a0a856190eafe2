"""Runs held out before training: DIR/held_out.json, which no later command may change.

The file is written before anything of the sweep is trained. It names the points that no fit uses, with the
time, the commit and a hash of these; the prediction for them is added, hashed too, once the other runs are
done and before the held-out ones start.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

COLUMN = "held_out"
"""Column of the table: 1 for a point that was held out before training, else 0."""
FILE = "held_out.json"
SCHEMA = 2
"""1: every prediction was of the forecast over compute; 2: a prediction names its law and its resources."""
FORECAST = "forecast"
"""The law of a prediction that averages the laws over one resource; else it is a joint law's name."""
EXPRESSION = "declared before training in held_out.json"
"""The rule by which such points are held out, as a fit names it."""
EXCLUDED = "held out before training (held_out.json)"
"""Reason for which a fit leaves the row of such a point out."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Which points are held out: their run ids in the sweep's order, the settings of their runs, when this
    was decided, and with which code."""

    run_ids: tuple[str, ...]
    settings: tuple[dict[str, Any], ...]
    declared_at: str
    isoflop_version: str
    git_commit: str | None
    git_commit_reason: str | None


@dataclasses.dataclass(frozen=True)
class PredictedPoint:
    """y at one held-out point as the fit of the others gives it, with the 95% interval for a new run.

    `resources` are the values that the law was read at, in the order of the prediction's; `x` is the compute.
    """

    run_id: str
    x: float
    y: float
    new_low: float
    new_high: float
    resources: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was predicted before the held-out runs were trained.

    Attributes:
        x, y: columns of compute and of what is predicted.
        law: FORECAST, or the name of the joint law that predicted.
        law_reason: why no joint law did, where a sweep of text has none; else None.
        resources: the columns of the law's resources: (x,) of the forecast.
        predicted_at: time of the prediction.
        declaration_sha256: hash of the declaration it belongs to.
        fitted_points: number of points that were fitted.
        fitted_sha256: over those points: run_id, the resources and y of each, in the order of the ids.
        points: empty where the fit gave no prediction, for the `reason`.
    """

    x: str
    y: str
    law: str
    law_reason: str | None
    resources: tuple[str, ...]
    predicted_at: str
    declaration_sha256: str
    fitted_points: int
    fitted_sha256: str
    points: tuple[PredictedPoint, ...]
    reason: str | None


@dataclasses.dataclass(frozen=True)
class HeldOutFile:
    """The content of DIR/held_out.json; each part with the SHA-256 of its JSON."""

    schema: int
    declaration: Declaration
    declaration_sha256: str
    prediction: Prediction | None
    prediction_reason: str | None
    prediction_sha256: str | None


def sha256(part: Any) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys, in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(part, order="sorted")).hexdigest()


def read(directory: Path) -> HeldOutFile | None:
    """Return what is held out in a folder, None without such a file.

    Raises:
        ValueError: the file is damaged, of a newer isoflop, or was changed after it was written.
    """
    path = directory / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        parts = msgspec.json.decode(content, type=dict[str, Any])
        if parts.get("schema", SCHEMA) > SCHEMA:
            raise ValueError(f"{path}: written by a newer isoflop: upgrade")
        file = msgspec.convert(_upgraded(parts), HeldOutFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: damaged ({error}): restore it, it says which runs are not fitted"
        ) from error
    if not _sound(parts):
        raise ValueError(
            f"{path}: changed after it was written (its SHA-256 differs): restore it, or use a new folder"
        )
    return file


def _sound(parts: dict[str, Any]) -> bool:
    """Return whether the parts of a file, as they were written, have the hashes that it holds."""
    prediction = parts["prediction"]
    return bool(
        parts["declaration_sha256"] == sha256(parts["declaration"])
        and (
            prediction is None
            or (
                parts["prediction_sha256"] == sha256(prediction)
                and prediction["declaration_sha256"] == parts["declaration_sha256"]
            )
        )
    )


def _upgraded(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a file of schema 1 as those of today; the hashes stay of what was written."""
    prediction = parts.get("prediction")
    if parts.get("schema") != 1 or not isinstance(prediction, dict):
        return parts
    points = [point | {"resources": [point["x"]]} for point in prediction["points"]]
    of_forecast = {"law": FORECAST, "law_reason": None, "resources": [prediction["x"]], "points": points}
    return parts | {"prediction": prediction | of_forecast}


def stored_prediction(directory: Path) -> Prediction | None:
    """Return what was predicted in a folder before its held-out runs were trained, None without it.

    Raises ValueError as `read`.
    """
    file = read(directory)
    return file.prediction if file else None


def mask(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) of a table were held out before training; none without the column."""
    if COLUMN not in table:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(pd.to_numeric(table[COLUMN], errors="coerce") == 1, dtype=bool)


def run_ids(directory: Path) -> frozenset[str]:
    """Return the ids of the points held out in a folder. Raises ValueError as `read`."""
    file = read(directory)
    return frozenset(file.declaration.run_ids) if file else frozenset()
