"""The sweeps of a campaign: expanded, and trained as far as their time allows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.compose import compose_config, parse_overrides
from isoflop.record import Record
from isoflop.sweep import grid, planning, retry
from isoflop.sweep.campaign import budget
from isoflop.sweep.campaign.budget import CostedRun, Pace, Selection
from isoflop.sweep.campaign.journal import LeftOut
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch

OF_RECIPE = ("model.parametrization", "model.zero_init_residual", "optim.lr")
"""Settings by which trials of the same shape differ."""
Say = Callable[[str], None]
"""Shows one line to the user at once."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What became of the runs of a phase."""

    runs: int
    done: int
    failures: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    predicted_seconds: float | None
    pace: Pace


def compose(overrides: Sequence[str], directory: Path) -> Config:
    """Return the configuration of a sweep or a run as `isoflop sweep` would, in `directory`/NAME.

    Raises:
        ConfigError: as compose_config.
    """
    composed = compose_config(overrides, None)
    fixed: list[str] = []
    moved: list[str] = []
    for _, override in parse_overrides(overrides):
        (moved if override.is_sweep_override() else fixed).append(override.key_or_group)
    sweep = grid.without_axes(composed.sweep, fixed, moved)
    return dataclasses.replace(composed, sweep=sweep, out=str(directory / composed.sweep.name))


@dataclasses.dataclass(frozen=True)
class Allowance:
    """Time for training: `seconds` of wall clock, of which `start_seconds` pass before the first step, on
    `gpus` GPUs that train a run each (0: a CPU), at the `pace` of the campaign so far."""

    seconds: float
    start_seconds: float
    gpus: int
    pace: Pace

    def select(self, runs: Sequence[CostedRun]) -> Selection:
        """Return which of the runs fit."""
        return budget.select(runs, max(0.0, self.seconds - self.start_seconds) * max(1, self.gpus), self.pace)


def train(wanted: Sequence[CostedRun], directory: Path, allowance: Allowance, say: Say) -> Trained:
    """Train the runs of one folder that have no final record, as far as they fit into the time.

    Args:
        wanted: runs with their predicted training seconds.
        directory: folder of their records.
        allowance: how long it may take.
        say: shows one line to the user.

    Raises:
        ConfigError: a run's data, model or batch size cannot be used.
        KeyboardInterrupt: asked to stop; every run that was started has its records.
        OSError: a record cannot be written.
    """
    missing = {each.run_id for each in retry.select(tuple(each.planned for each in wanted), directory)}
    fitting = allowance.select([each for each in wanted if each.planned.run_id in missing])
    pace = _execute(fitting, directory, allowance, say) if fitting.chosen else allowance.pace
    states = [(each.planned, _state(each.planned, directory)) for each in wanted]
    chosen = {each.planned.run_id for each in fitting.chosen}
    cut = [
        LeftOut(label(run), _CUT[state]) for run, state in states if run.run_id in chosen and state in _CUT
    ]
    left_out = [LeftOut(label(each.planned), _too_long(each, allowance.pace)) for each in fitting.left_out]
    failed = [(run, state) for run, state in states if state in ("failed", "diverged", "oom")]
    return Trained(
        runs=len(wanted),
        done=sum(state == "done" for _, state in states),
        failures=tuple(f"{label(run)}: {state}" for run, state in failed),
        left_out=(*cut, *left_out),
        predicted_seconds=fitting.train_seconds,
        pace=pace,
    )


def _execute(fitting: Selection, directory: Path, allowance: Allowance, say: Say) -> Pace:
    """Train the chosen runs until the time is over, and return the pace with what was measured."""
    began = time.monotonic()
    costs = {each.planned.run_id: each.train_seconds or 0.0 for each in fitting.chosen}
    planned, gpus = planning.plan(tuple(each.planned for each in fitting.chosen))
    # Runs that are left out stand in the manifest too, so that `isoflop status` shows them as pending.
    grid.write_manifest((*planned, *(each.planned for each in fitting.left_out)), directory)
    done: list[float] = []

    def on_run_end(run: PlannedRun, written: tuple[Record, ...]) -> None:
        if written and all(record.state == "done" for record in written):
            done.append(costs[run.run_id])
        say(_outcome(run, written))
        _show_traceback(run, written, directory, say)

    slots = launch.choose_slots(planned[0].config.launch, gpus, planned)
    started = time.monotonic()
    left = max(0.0, allowance.seconds - (started - began))
    launch.run_all(planned, slots, on_run_end, seconds=left)
    # A run that was cut off took time for which there is no prediction.
    if len(done) < len(planned) or not sum(done):
        return allowance.pace
    return allowance.pace.after((time.monotonic() - started) * max(1, allowance.gpus), sum(done))


_CUT = {
    None: "the phase's time was over before it began",
    "interrupted": "the phase's time was over before it ended: the same command goes on",
}


def _too_long(each: CostedRun, pace: Pace) -> str:
    wall = (each.train_seconds or 0.0) * pace.wall_per_predicted
    return f"predicted {wall:.0f} s, which no longer fits"


def _state(planned: PlannedRun, directory: Path) -> records.State | None:
    """Return the worst state of the run's points; None if one of them has no record."""
    states: list[records.State] = []
    for run_id in planned.config.point_ids.values():
        state = records.find_state(records.path_of(directory, run_id))
        if state is None:
            return None
        states.append(state)
    return max(states, key=("done", "diverged", "oom", "interrupted", "failed").index)


def label(planned: PlannedRun) -> str:
    """Return a short name of a run: `resnet w64 d3, fraction 0.5, seed 1`.

    What a recipe changes is named where it is this run's own setting.
    """
    config = planned.config
    parts = [f"{config.model.name} w{config.model.width} d{config.model.depth}"]
    parts += [f"fraction {config.data.fraction:g}"] if config.data.fraction != 1 else []
    parts += [
        f"{key.rpartition('.')[2]} {planned.settings[key]}" for key in OF_RECIPE if key in planned.settings
    ]
    return ", ".join([*parts, f"seed {config.seed}"])


def _outcome(planned: PlannedRun, written: tuple[Record, ...]) -> str:
    """Return a run that ended in one line: its largest horizon's error, its seconds, or why there is none."""
    if not written:
        return f"  {label(planned)}: trained by another process"
    last = written[-1]
    seconds = sum(record.spent.seconds for record in written)
    if last.error is None or last.loss is None:
        return f"  {label(planned)}: {last.state}: {last.reason}"
    return (
        f"  {label(planned)}: test error {last.error.test:.2%}, training loss {last.loss.train:.4g}, "
        f"{len(written)} points in {seconds:.1f} s"
    )


def _show_traceback(planned: PlannedRun, written: tuple[Record, ...], directory: Path, say: Say) -> None:
    """Show the traceback of a run that failed now: on a lent machine there may be no later."""
    log = directory / "logs" / f"{planned.run_id}.log"
    if any(record.state == "failed" for record in written) and log.is_file():
        say(log.read_text(errors="replace").rstrip())
