"""Choice of a learning rate for each configuration: trials over a local grid, judged on validation data.

The trials use the first seed and write their records to DIR/tuning, so that no trial counts as a point of the
curve by accident. The trial at the chosen rate is identical to the sweep's run of that seed, so its record is
copied instead of training the run again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from isoflop import record as records
from isoflop.config import Config, prior
from isoflop.record import Record
from isoflop.sweep.grid import PlannedRun

FOLDER = "tuning"


@dataclasses.dataclass(frozen=True)
class LrChoice:
    """The best factor on a configuration's learning rate; `interior` is False at the edge of the grid."""

    factor: float
    interior: bool


def _with_lr_factor(config: Config, factor: float) -> Config:
    return dataclasses.replace(config, optim=dataclasses.replace(config.optim, lr=config.optim.lr * factor))


def _first_seeds(runs: Iterable[PlannedRun]) -> dict[str, PlannedRun]:
    """Map each config_id to its run with the first seed in the manifest's order."""
    first: dict[str, PlannedRun] = {}
    for planned in runs:
        first.setdefault(planned.config.config_id, planned)
    return first


def trials(runs: Sequence[PlannedRun], factors: Sequence[float]) -> tuple[PlannedRun, ...]:
    """Return the trials to execute before the sweep: the first seed of each configuration at each factor,
    with records in DIR/tuning."""
    made = {}
    for planned in _first_seeds(runs).values():
        for factor in factors:
            config = _with_lr_factor(planned.config, factor)
            launch = dataclasses.replace(config.launch, prior=str(prior.folder(config)))
            config = dataclasses.replace(config, launch=launch, out=str(config.directory / FOLDER))
            settings = planned.settings | {"optim.lr": config.optim.lr}
            made[config.run_id] = PlannedRun(config.run_id, settings, config)
    return tuple(made.values())


def _score(config: Config) -> tuple[float, float]:
    """Return (validation error, validation loss) at the last point of a trial; infinity without a result."""
    last = list(config.point_ids.values())[-1]
    record = records.find(records.path_of(config.directory / FOLDER, last))
    error = record.error.val if record and record.error else None
    loss = record.loss.val if record and record.loss else None
    return (math.inf, math.inf) if error is None or loss is None else (error, loss)


def choose(runs: Sequence[PlannedRun], factors: Sequence[float]) -> dict[str, LrChoice]:
    """Map each config_id to the factor with the least validation error, then the least validation loss.

    Ties go to the factor nearest to 1, and so does a configuration none of whose trials gave a result; that
    one is not interior.
    """
    ordered = sorted(factors)
    choices = {}
    for config_id, planned in _first_seeds(runs).items():
        scores = {factor: _score(_with_lr_factor(planned.config, factor)) for factor in ordered}
        best = min(ordered, key=lambda factor: (scores[factor], abs(math.log(factor))))
        has_result = not math.isinf(scores[best][0])
        interior = has_result and best not in (ordered[0], ordered[-1])
        choices[config_id] = LrChoice(best, interior)
    return choices


def apply_choices(runs: Sequence[PlannedRun], choices: dict[str, LrChoice]) -> tuple[PlannedRun, ...]:
    """Return the runs of the sweep at the chosen learning rates."""
    tuned = []
    for planned in runs:
        choice = choices[planned.config.config_id]
        config = _with_lr_factor(planned.config, choice.factor)
        settings = planned.settings | {"optim.lr": config.optim.lr}
        tuned.append(PlannedRun(config.run_id, settings, config, lr_interior=choice.interior))
    return tuple(tuned)


def copy_trial_records(runs: Sequence[PlannedRun]) -> None:
    """Copy the record of each trial that is a point of the sweep from DIR/tuning to DIR, with its choice."""
    for planned in runs:
        for run_id in planned.config.point_ids.values():
            target = records.path_of(planned.config.directory, run_id)
            source = records.path_of(planned.config.directory / FOLDER, run_id)
            if source.is_file() and not target.is_file():
                records.write(
                    _with_lr_interior(records.read(source), planned.lr_interior), planned.config.directory
                )


def _with_lr_interior(record: Record, lr_interior: bool | None) -> Record:
    if record.optim is None:
        return record
    reason = "no learning-rate grid was tried" if lr_interior is None else None
    optim = dataclasses.replace(record.optim, lr_interior=lr_interior, lr_interior_reason=reason)
    return dataclasses.replace(record, optim=optim)
