"""The sweeps of a campaign: expanded, predicted, and trained as far as their time allows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.compose import compose_config, parse_overrides
from isoflop.record import Record
from isoflop.sweep import grid, planning, retry, step_costs
from isoflop.sweep.campaign import budget
from isoflop.sweep.campaign.budget import CostedRun, Pace, Selection
from isoflop.sweep.campaign.journal import LeftOut
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch
from isoflop.sweep.planning import RunPlan, Site
from isoflop.sweep.step_costs import Step, StepCost

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


def predict(
    runs: Sequence[PlannedRun], plans: Sequence[RunPlan], site: Site, directory: Path
) -> tuple[CostedRun, ...]:
    """Return the runs with their predicted training seconds: steps x the measured seconds of such a step.

    Steps that this campaign has measured come first, then those that isoflop ships for this device, and then
    those of another device, as a stand-in that the campaign's pace corrects.

    Args:
        runs: to be predicted.
        plans: their number of steps, in the same order.
        site: the machine.
        directory: the campaign's, with a folder a sweep.
    """
    shipped = step_costs.shipped()
    others = {_anywhere(step): cost for step, cost in shipped.items()}
    own: dict[Step, StepCost] = {}
    for folder in sorted(directory.glob("*/records")):
        own |= step_costs.measured_in(folder.parent)

    def seconds(run: PlannedRun, plan: RunPlan) -> float | None:
        step = step_costs.step_of(run.config, plan, site)
        cost = own.get(step) or shipped.get(step) or (others.get(_anywhere(step)) if site.gpus else None)
        return cost.seconds * plan.steps if cost else None

    return tuple(CostedRun(run, seconds(run, plan)) for run, plan in zip(runs, plans, strict=True))


def _anywhere(step: Step) -> Step:
    return dataclasses.replace(step, device="", precision="")


def selection(wanted: Sequence[CostedRun], seconds: float, pace: Pace, gpus: int) -> Selection:
    """Return the runs that fit into `seconds` on a machine whose GPUs, if it has any, train a run each."""
    return budget.select(wanted, max(0.0, seconds) * max(1, gpus), pace)


def train(
    wanted: Sequence[CostedRun],
    directory: Path,
    seconds: float,
    pace: Pace,
    *,
    start_seconds: float,
    gpus: int,
    say: Say,
) -> Trained:
    """Train the runs of one folder that have no final record, as far as they fit into the time.

    Args:
        wanted: runs with their predicted training seconds.
        directory: folder of their records.
        seconds: wall-clock time for all of it.
        pace: of this campaign so far.
        start_seconds: of `seconds`, what passes before the first step.
        gpus: number of GPUs, which train a run each.
        say: shows one line to the user.

    Raises:
        ConfigError: a run's data, model or batch size cannot be used.
        KeyboardInterrupt: asked to stop; every run that was started has its records.
        OSError: a record cannot be written.
    """
    began = time.monotonic()
    by_id = {each.planned.run_id: each for each in wanted}
    missing = retry.select(tuple(each.planned for each in wanted), directory)
    costed = [by_id[planned.run_id] for planned in missing]
    fitting = selection(costed, seconds - start_seconds, pace, gpus)
    left_out = tuple(
        LeftOut(label(each.planned), f"predicted {_wall(each, pace)}, which no longer fits")
        for each in fitting.left_out
    )
    if fitting.chosen:
        planned, found_gpus = planning.plan(tuple(each.planned for each in fitting.chosen))
        grid.write_manifest(planned, directory)
        ended: list[float] = []

        def on_run_end(run: PlannedRun, written: tuple[Record, ...]) -> None:
            ended.append(by_id[run.run_id].train_seconds or 0.0)
            say(_outcome(run, written))
            _show_traceback(run, written, directory, say)

        slots = launch.choose_slots(planned[0].config.launch, found_gpus, planned)
        started = time.monotonic()
        launch.run_all(planned, slots, on_run_end, seconds=max(0.0, seconds - (started - began)))
        if sum(ended) > 0:
            pace = pace.after((time.monotonic() - started) * max(1, gpus), sum(ended))
    states = {each.planned.run_id: _state(each.planned, directory) for each in wanted}
    chosen = {each.planned.run_id for each in fitting.chosen}
    cut = tuple(
        LeftOut(label(by_id[run_id].planned), _CUT[states[run_id]])
        for run_id in by_id
        if run_id in chosen and states[run_id] in _CUT
    )
    return Trained(
        runs=len(wanted),
        done=sum(state == "done" for state in states.values()),
        failures=tuple(
            f"{label(by_id[run_id].planned)}: {state}"
            for run_id, state in states.items()
            if state in ("failed", "diverged", "oom")
        ),
        left_out=(*cut, *left_out),
        predicted_seconds=fitting.train_seconds if all(e.train_seconds is not None for e in costed) else None,
        pace=pace,
    )


_CUT = {
    None: "the phase's time was over before it began",
    "interrupted": "the phase's time was over before it ended: the same command goes on",
}


def _wall(each: CostedRun, pace: Pace) -> str:
    return f"{(each.train_seconds or 0.0) * pace.wall_per_predicted:.0f} s"


def _state(planned: PlannedRun, directory: Path) -> records.State | None:
    """Return the worst state of the run's points; None if one of them has no record."""
    states: list[records.State] = []
    for run_id in planned.config.point_ids.values():
        try:
            states.append(records.read_state(records.path_of(directory, run_id)))
        except (records.RecordError, OSError):
            return None
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
