"""plan_runs: the next runs, which shrink an interval most within a budget."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from isoflop import record
from isoflop.api import planned_source, planned_start, written
from isoflop.api.arguments import check_resamples, in_python, joined, named_as_in_python, prices
from isoflop.api.forecast import RESAMPLES, Ask
from isoflop.api.load import Runs, rows_of
from isoflop.api.planned_source import Wanted
from isoflop.api.rows import Choice
from isoflop.config import ConfigError
from isoflop.curve.fit import Method
from isoflop.plan import budget as budgets
from isoflop.plan import goal as goals
from isoflop.plan import proposal_text
from isoflop.plan.budget import Budget
from isoflop.plan.proposal import Proposal

DEFAULT_GOAL = "exponent"
FOLDER = "plan"
"""Folder of sweep files, within that of the source."""


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class PlannedSweep:
    """The next runs, the interval that they are expected to leave, and what other designs would leave.

    Attributes:
        result: everything, as `isoflop plan --json` writes it (plan.proposal.Proposal).
    """

    result: Proposal

    @property
    def runs(self) -> pd.DataFrame:
        """One row a configuration: label, width, depth, data_fraction, length, parameters, examples and
        train_gflops at its last point, seeds, lr_factors, new, amount (in the unit of the budget's kind)."""
        made = [dataclasses.asdict(each) for each in self.result.runs]
        for row in made:
            row["examples"], row["train_gflops"] = row["examples"][-1], row["train_gflops"][-1]
        return pd.DataFrame(made)

    @property
    def designs(self) -> pd.DataFrame:
        """One row a design, the plan first: design, runs, amount, width_ratio, deviation, value, low, high,
        largest_gflops."""
        made = []
        for each in self.result.designs:
            row = dataclasses.asdict(each)
            after = row.pop("after") or {"value": np.nan, "low": np.nan, "high": np.nan}
            made.append(row | after)
        return pd.DataFrame(made)

    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write the sweep files as FOLDER/sweep/NAME.yaml and return their paths; FOLDER is the --config-dir
        of `isoflop sweep`."""
        return tuple(map(Path, saved(self.result, Path(folder)).written))

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop plan --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What `isoflop plan` prints, in plain text."""
        return in_python("\n".join(proposal_text.lines(self.result)))


def write(made: Proposal, folder: Path) -> tuple[Path, ...]:
    """Write the sweep files of a plan. Raises OSError where the folder cannot be written."""
    paths = []
    for name, content in made.files:
        path = folder / "sweep" / f"{name}.yaml"
        record.write_bytes(path, content.encode())
        paths.append(path)
    return tuple(paths)


def saved(made: Proposal, folder: Path) -> Proposal:
    """Write the sweep files of a plan; return it with their paths and the commands that use that folder."""
    default = FOLDER if made.source is None else str(Path(made.source) / FOLDER)
    before, after = (f"--config-dir {shlex.quote(each)} " for each in (default, str(folder)))
    placed = dataclasses.replace(
        made,
        commands=tuple(each.replace(before, after) for each in made.commands),
        files=tuple((name, content.replace(before, after)) for name, content in made.files),
    )
    return dataclasses.replace(placed, written=tuple(map(str, write(placed, folder))))


def asked_budget(budget: str | None, minutes: float | None) -> Budget:
    """Return the budget. Raises ConfigError unless one of both is given, and as budget.parse."""
    if (budget is None) == (minutes is None):
        raise ConfigError("give --budget, such as --budget 20gpuh, or --minutes of one device")
    if budget is not None:
        return budgets.parse(budget)
    assert minutes is not None
    if not 0 < minutes < float("inf"):
        raise ConfigError(f"--minutes {minutes:g}: it buys no run: give a number above 0")
    return Budget(f"{minutes:g} minutes", "device_seconds", 60.0 * minutes)


def plan_runs(
    runs: Runs | None = None,
    *,
    budget: str | None = None,
    minutes: float | None = None,
    goal: str = DEFAULT_GOAL,
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    device: str | None = None,
    gpu_tflops: float | None = None,
    gpu_watts: float | None = None,
    cost: str | Sequence[str] | None = None,
    x: str | None = None,
    y: str | None = None,
    x_unit: str | None = None,
    y_unit: str | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
    group: str | Sequence[str] | None = None,
    seed: str | None = None,
    counts: float | str | None = None,
    chance: float | None = None,
    where: str | None = None,
    mixed: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed_of_resamples: int = 0,
) -> PlannedSweep:
    """Plan the runs that shrink an interval most within a budget.

    The numbers are those of `isoflop plan` with the options of these names. Nothing is printed or written:
    `save` writes the sweep files. It is not called `plan`, as that is the package which does the work.

    Args:
        runs: a sweep's folder, a file or a data frame (`load`); None plans a first sweep of `overrides`.
        budget: such as "20gpuh", "1e9gflops", "500usd", "10kwh" or "3kgco2".
        minutes: of one device, instead of `budget`.
        goal: "exponent", "irreducible_error", "error=0.05" or "loss=2.5".
        overrides: of a first sweep, such as ["data=cifar10"].
        config_dir: of a first sweep, a folder of your own Hydra groups.
        device, gpu_tflops, gpu_watts, cost: as `isoflop.forecast`.
        x, y, x_unit, y_unit, x_label, y_label, group, seed, counts, chance, where, mixed, level: as
            `isoflop.fit`; x is training compute.
        resamples: of the bootstrap, at least 100.
        seed_of_resamples: their seed.

    Raises:
        ValueError: as `isoflop.fit`; a budget of 0, in an unknown unit, that no price or rate turns into
            runs, or that buys none; no such device; a goal that the curve does not have; too few scales.

    Examples:
        >>> import isoflop
        >>> made = isoflop.plan_runs("results/digits-cpu", budget="0.2cpumin", resamples=100)
        >>> made.result.designs[0].design
        'planned'
    """
    ask = Ask(device=device, gpu_tflops=gpu_tflops, gpu_watts=gpu_watts)
    with named_as_in_python():
        check_resamples(resamples)
        ask.check()
        wanted = Wanted(goals.parse(goal), asked_budget(budget, minutes), ask, prices(cost))
        if runs is None:
            return PlannedSweep(planned_start.of_nothing(wanted, overrides, config_dir, level))
        if overrides:
            raise ConfigError(f"overrides {overrides[0]}: runs that are there have their own recipe")
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where),
            x_unit=x_unit,
            y_unit=y_unit,
            x_label=x_label,
            y_label=y_label,
        )
        method = Method(resamples=resamples, seed=seed_of_resamples, level=level, chance=chance, mixed=mixed)
        method.check()
        chosen, origin = rows_of(runs, choice, custom=True)
        if chosen.own is None and (again := wanted.y_of(chosen.table, y)) != y:
            chosen, origin = rows_of(runs, dataclasses.replace(choice, y=again), custom=True)
        independent = origin.folder or group is not None or seed is not None
        method = dataclasses.replace(method, independent=independent)
        folder = Path(origin.source) if origin.folder else None
        return PlannedSweep(planned_source.of_source(chosen, origin.source, folder, method, wanted))
