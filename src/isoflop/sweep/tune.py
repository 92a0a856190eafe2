"""A local grid of learning rates for every shape: tried with its first seed, chosen on validation.

The trials' records go to DIR/tuning, so that no trial is a point of the curve by accident. The trial at the
chosen rate is a point all the same: it is the very run that the first seed would be, so it is copied.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record
from isoflop.sweep.grid import Cell

FOLDER = "tuning"


@dataclasses.dataclass(frozen=True)
class Choice:
    """The best factor on a shape's learning rate; `interior` is False at the edge of the grid."""

    factor: float
    interior: bool


def _at(config: Config, factor: float) -> Config:
    return dataclasses.replace(config, optim=dataclasses.replace(config.optim, lr=config.optim.lr * factor))


def _first_seeds(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Shape -> the cell of its first seed in the manifest's order."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.config.config_id, cell)
    return first


def trials(cells: Sequence[Cell], factors: Sequence[float]) -> tuple[Cell, ...]:
    """The cells to run before the sweep: each shape's first seed at each factor, written to DIR/tuning."""
    made = {}
    for cell in _first_seeds(cells).values():
        for factor in factors:
            config = _at(cell.config, factor)
            config = dataclasses.replace(config, out=str(config.directory / FOLDER))
            settings = cell.settings | {"optim.lr": config.optim.lr}
            made[config.run_id] = Cell(config.run_id, settings, config)
    return tuple(made.values())


def _score(config: Config) -> tuple[float, float]:
    """(validation error, validation loss) at the last point of a trial; infinite where it gave none."""
    last = list(config.point_ids.values())[-1]
    try:
        found = records.read(records.path_of(config.directory / FOLDER, last))
    except (records.RecordError, OSError):
        return math.inf, math.inf
    if found.error is None or found.loss is None:
        return math.inf, math.inf
    return found.error.val, found.loss.val


def choose(cells: Sequence[Cell], factors: Sequence[float]) -> dict[str, Choice]:
    """Shape -> its choice, from the trials' records: least validation error, then least validation loss.

    A shape none of whose trials gave a point keeps the factor nearest to 1, not interior.
    """
    ordered = sorted(factors)
    chosen = {}
    for shape, cell in _first_seeds(cells).items():
        scores = {factor: _score(_at(cell.config, factor)) for factor in ordered}
        best = min(ordered, key=lambda factor: (scores[factor], abs(math.log(factor))))
        lost = math.isinf(scores[best][0])
        interior = not lost and best not in (ordered[0], ordered[-1])
        chosen[shape] = Choice(best, interior)
    return chosen


def tuned(cells: Sequence[Cell], choices: dict[str, Choice]) -> tuple[Cell, ...]:
    """The sweep's cells at the chosen learning rates."""
    made = []
    for cell in cells:
        choice = choices[cell.config.config_id]
        config = _at(cell.config, choice.factor)
        settings = cell.settings | {"optim.lr": config.optim.lr}
        made.append(Cell(config.run_id, settings, config, lr_interior=choice.interior))
    return tuple(made)


def adopt(cells: Sequence[Cell]) -> None:
    """Copy each trial that is a point of the sweep from DIR/tuning to DIR, marked with its choice."""
    for cell in cells:
        for run_id in cell.config.point_ids.values():
            target = records.path_of(cell.config.directory, run_id)
            source = records.path_of(cell.config.directory / FOLDER, run_id)
            if source.is_file() and not target.is_file():
                records.write(_marked(records.read(source), cell.lr_interior), cell.config.directory)


def _marked(found: Record, lr_interior: bool | None) -> Record:
    if found.optim is None:
        return found
    reason = "no learning-rate grid was tried" if lr_interior is None else None
    optim = dataclasses.replace(found.optim, lr_interior=lr_interior, lr_interior_reason=reason)
    return dataclasses.replace(found, optim=optim)
