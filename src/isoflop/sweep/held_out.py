"""Held-out runs of a sweep: declared before anything is trained, predicted once the others are done.

Order of work: `declare` before the first run, `predict` when every other run has its final record, then the
held-out runs are trained. What is written stands in DIR/held_out.json (table/held_out.py). Two sweeps in one
folder write it one after the other, so that the second one finds what the first one wrote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pandas as pd

from isoflop import __version__
from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.record import lock
from isoflop.runner import provenance
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.planning import RunPlan
from isoflop.table import aggregate, held_out, target
from isoflop.table.held_out import Declaration, HeldOutFile, PredictedPoint, Prediction

X = "train_gflops"
"""The axis over which held-out points are predicted; y is what the runs' domain is judged on."""
SIZE, SEEN = target.TEXTS.size, "examples_seen"
"""What else is known of a run of text before it is trained, by the names of the table's columns."""
FINAL = ("done", "diverged", "oom")
"""States of a record after which a run is not trained again."""
SHOWN_IDS = 3
"""So many runs are named in a line; the others are counted."""


def split(runs: Sequence[PlannedRun]) -> tuple[tuple[PlannedRun, ...], tuple[PlannedRun, ...]]:
    """Return the runs that are fitted, and those held out."""
    return tuple(r for r in runs if not r.held_out), tuple(r for r in runs if r.held_out)


def has_to_be_declared(directory: Path, runs: Sequence[PlannedRun]) -> bool:
    """Return whether runs are held out and `declare` has yet to write it. Raises ValueError as `declare`."""
    return bool(split(runs)[1]) and held_out.read(directory) is None


def declare(directory: Path, runs: Sequence[PlannedRun]) -> HeldOutFile | None:
    """Write DIR/held_out.json for the held-out runs of a sweep, or check it if it is there.

    Returns the file, None if nothing is held out in the folder.

    Raises:
        ConfigError: the file says otherwise than the sweep, or a point is trained already.
        ValueError: the file was changed after it was written.
        OSError: it cannot be written.
    """
    if not split(runs)[1] and held_out.read(directory) is None:
        return None
    with _locked(directory):
        return _declare(directory, runs)


def _locked(directory: Path) -> contextlib.AbstractContextManager[None]:
    """Return the lock of the folder's held_out.json, for which other sweeps in the folder wait."""
    return lock.exclusive(directory / ".locks" / f"{held_out.FILE}.lock", wait=True)


def _declare(directory: Path, runs: Sequence[PlannedRun]) -> HeldOutFile | None:
    fitted, held = split(runs)
    points = [run_id for each in held for run_id in each.config.point_ids.values()]
    path = directory / held_out.FILE
    file = held_out.read(directory)
    if file is not None:
        _check(file, points, fitted, path)
        return file
    if not held:
        return None
    if trained := [each for each in points if records.path_of(directory, each).is_file()]:
        raise ConfigError(
            f"sweep.held_out: {directory} holds the record of {trained[0]} already: runs are held out before "
            "they are trained, so give a new folder, or set sweep.held_out=[]"
        )
    commit, _ = provenance.git_state()
    declaration = Declaration(
        run_ids=tuple(points),
        settings=tuple(each.settings for each in held),
        declared_at=provenance.now(),
        isoflop_version=__version__,
        git_commit=commit,
        git_commit_reason=None if commit else "isoflop does not run from a git checkout with a commit",
    )
    reason = "the other runs are not done"
    file = HeldOutFile(held_out.SCHEMA, declaration, held_out.sha256(declaration), None, reason, None)
    _write(file, directory)
    return file


def _check(file: HeldOutFile, points: Sequence[str], fitted: Sequence[PlannedRun], path: Path) -> None:
    """Refuse a sweep whose held-out points are others than those declared, or that would fit one."""
    declared = set(file.declaration.run_ids)
    if points and set(points) != declared:
        raise ConfigError(
            f"sweep.held_out: {path} declared other runs on {file.declaration.declared_at}, which cannot be "
            "changed any more: set sweep.held_out as it was, or sweep into a new folder"
        )
    own = {run_id for each in fitted for run_id in each.config.point_ids.values()}
    if taken := sorted(own & declared):
        raise ConfigError(
            f"{path}: {taken[0]} was held out on {file.declaration.declared_at} and cannot be trained to be "
            "fitted: take it out of the grid, or sweep into a new folder"
        )


def waits(directory: Path, runs: Sequence[PlannedRun]) -> str | None:
    """Return in one line why held-out runs cannot be predicted yet: points of the other runs without a final
    record, those that failed by name, and what to do about them. None if all are final."""
    states = {run_id: _state(directory, run_id) for each in runs for run_id in each.config.point_ids.values()}
    failed = [run_id for run_id, state in states.items() if state == "failed"]
    pending = sum(state not in (*FINAL, "failed") for state in states.values())
    parts = [f"{pending} other points are not done: the same command goes on"] if pending else []
    if failed:
        more = f" and {len(failed) - SHOWN_IDS} more" if len(failed) > SHOWN_IDS else ""
        parts.append(
            f"{len(failed)} other points failed ({', '.join(failed[:SHOWN_IDS])}{more}): see "
            f"{directory / 'logs'}, mend the cause and give the same command, or take their runs out of the "
            "grid"
        )
    return f"the held-out runs wait: {'; '.join(parts)}" if parts else None


def _state(directory: Path, run_id: str) -> records.State | None:
    return records.find_state(records.path_of(directory, run_id))


def predict(directory: Path, held: Sequence[PlannedRun], plans: Sequence[RunPlan]) -> Prediction:
    """Add the prediction for the held-out points to DIR/held_out.json, unless it is there; return it.

    Args:
        directory: folder of the sweep, whose other runs are done.
        held: the held-out runs.
        plans: their plans, which give the FLOPs, the parameters and the bytes of their points.

    Raises:
        ConfigError: a held-out point is trained already.
        ValueError, OSError: as `declare`.
    """
    points = _planned_points(held, plans)
    with _locked(directory):
        return _predict_once(directory, points)


def _planned_points(held: Sequence[PlannedRun], plans: Sequence[RunPlan]) -> pd.DataFrame:
    """Return what is known of the points before they are trained, as columns of the table; unknown is NaN."""
    return pd.DataFrame(
        [
            {
                "run_id": run_id,
                X: math.nan if flops is None else flops * 1e-9,
                SIZE: plan.parameters_without_embeddings,
                SEEN: end * run.config.optim.batch_size,
            }
            for run, plan in zip(held, plans, strict=True)
            for run_id, flops, end in zip(
                run.config.point_ids.values(), plan.point_flops, plan.ends, strict=True
            )
        ]
    ).astype({X: float, SIZE: float, SEEN: float})


def _predict_once(directory: Path, points: pd.DataFrame) -> Prediction:
    """Return the prediction of the folder's file, made and written now if it is not there."""
    file = held_out.read(directory)
    assert file is not None
    if file.prediction is not None:
        return file.prediction
    for run_id in points["run_id"]:
        if records.path_of(directory, run_id).is_file():
            raise ConfigError(
                f"{records.path_of(directory, run_id)}: trained before its prediction was written: it tests "
                "nothing any more; sweep into a new folder"
            )
    prediction = _predict(directory, file.declaration_sha256, points)
    _write(
        dataclasses.replace(
            file,
            schema=held_out.SCHEMA,
            prediction=prediction,
            prediction_reason=None,
            prediction_sha256=held_out.sha256(prediction),
        ),
        directory,
    )
    return prediction


def _predict(directory: Path, declaration: str, points: pd.DataFrame) -> Prediction:
    """Fit the other runs and predict those points; without any, and the reason, where that fails.

    Args:
        directory: folder of the sweep.
        declaration: hash of the declaration.
        points: what is known of the held-out points (`_planned_points`).
    """
    from isoflop.curve.fit import Method
    from isoflop.curve.forecast import holdout

    rows = aggregate.aggregate(directory).rows
    y_name = target.of(rows).y
    law, law_reason = held_out.FORECAST, None
    resources: tuple[str, ...] = (X,)
    predicted: tuple[PredictedPoint, ...] = ()
    reason = None
    known = points[points[X].notna()]
    try:
        if known.empty:
            raise ValueError("the FLOPs of the held-out runs are unknown")
        made = holdout.predict(rows, known, x=X, y=y_name, method=Method())
        law, law_reason, resources = made.law, made.law_reason, made.resources
        predicted = tuple(
            PredictedPoint(str(run_id), float(x), float(y), float(low), float(high), tuple(at))
            for run_id, x, (y, low, high), at in zip(
                known["run_id"], known[X], made.values, made.at.tolist(), strict=True
            )
        )
    except ValueError as error:
        reason = str(error)
    fitted = rows[~held_out.mask(rows)].sort_values("run_id")
    used = [
        (str(run_id), *(float(value) for value in values))
        for run_id, *values in fitted[["run_id", *resources, y_name]].itertuples(index=False)
    ]
    return Prediction(
        x=X,
        y=y_name,
        law=law,
        law_reason=law_reason,
        resources=resources,
        predicted_at=provenance.now(),
        declaration_sha256=declaration,
        fitted_points=len(used),
        fitted_sha256=held_out.sha256(used),
        points=predicted,
        reason=reason,
    )


def lines(prediction: Prediction) -> tuple[str, ...]:
    """Return what a prediction says, a line a point, and why there is none or no joint law."""
    quantity = target.quantity(prediction.y)
    style = ".2%" if quantity.unit == "%" else ".3f"
    unit = "" if quantity.unit == "%" else f" {quantity.unit}"
    by = "" if prediction.law == held_out.FORECAST else f" by the joint law {prediction.law}"
    points = tuple(
        f"predicted {point.run_id}{by}: {quantity.title.lower()} {point.y:{style}}{unit} at {point.x:.4g} "
        f"GFLOPs, a new run {point.new_low:{style}} to {point.new_high:{style}}"
        for point in prediction.points
    )
    notes = []
    if prediction.law_reason:
        notes.append(f"predicted by loss against compute, without a joint law: {prediction.law_reason}")
    if prediction.reason:
        notes.append(f"no prediction for the held-out runs: {prediction.reason}")
    return (*points, *notes)


def _write(file: HeldOutFile, directory: Path) -> None:
    payload = msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
    records.write_bytes(directory / held_out.FILE, payload)
