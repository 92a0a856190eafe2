"""The phases of a campaign, each within its time, each writing what it has as soon as it has it."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.sweep import grid, held_out, manifest, planning
from isoflop.sweep.campaign import journal, prediction, recipe_check, summary, sweeps, trials
from isoflop.sweep.campaign.budget import CostedRun, Pace
from isoflop.sweep.campaign.journal import LeftOut, PhaseReport, PhaseState
from isoflop.sweep.campaign.plan import Phase, Plan
from isoflop.sweep.campaign.recipe_check import Decision, Recipe, Shape
from isoflop.sweep.campaign.sweeps import Allowance, Say, Trained
from isoflop.sweep.campaign.trials import Trials
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import metering_pass

GRACE_SECONDS = 60.0
"""After its limit, a measurement of ceilings has this long for torch's import and CUDA's context."""
METERING_CUT = "the phase's time was over before they were metered: the same command goes on"
KEPT = "sweeps have begun under the decision, which therefore stays"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Training seconds of each run of each sweep, and of each shape of the trials; None: unknown."""

    sweeps: dict[str, tuple[float | None, ...]]
    shapes: dict[Shape, float | None]
    gpus: int

    def describe(self) -> str:
        """Return the sums that are known, in one line."""
        parts = [
            f"{name} {sum(known):.0f} s"
            for name, seconds in self.sweeps.items()
            if (known := [each for each in seconds if each is not None])
        ]
        return f"predicted training: {', '.join(parts) or 'unknown, no such step was measured yet'}"


class Phases:
    """Executes phases of a plan in a campaign's folder.

    Args:
        plan: what is trained.
        chosen: the phases that will be executed.
        directory: folder of the campaign.
        say: shows one line to the user.

    Raises:
        ConfigError: a sweep cannot be composed, or a data set that is needed cannot be read.
    """

    def __init__(self, plan: Plan, chosen: Sequence[Phase], directory: Path, say: Say) -> None:
        self._plan, self._directory, self._say = plan, directory, say
        self._pace = Pace()
        self._decision: Decision | None = journal.read_decision(directory)
        self._predictions = self._predict([phase for phase in chosen if phase.kind == "sweep"])
        say(self._predictions.describe())

    def execute(self, phase: Phase, seconds: float) -> PhaseReport:
        """Execute one phase in about `seconds` at most and return what became of it.

        Raises:
            ConfigError: the input cannot be used.
            KeyboardInterrupt: asked to stop.
            OSError: something cannot be written.
            RuntimeError: a child process died.
        """
        if seconds <= self._plan.start_seconds:
            return PhaseReport(
                phase.name, "left out", seconds, left_out=(self._too_late("all of it", seconds),)
            )
        match phase.kind:
            case "ceilings":
                return self._ceilings(phase, seconds)
            case "recipe":
                return self._recipe(phase, seconds)
            case "sweep":
                return self._sweep(phase, seconds)
            case "metering":
                return self._metering(phase, seconds)

    def _too_late(self, what: str, seconds: float) -> LeftOut:
        begin = self._plan.start_seconds
        return LeftOut(
            what, f"{max(0.0, seconds):.0f} s were left, and {begin:.0f} s pass before its first step"
        )

    def _compose(self, overrides: tuple[str, ...]) -> Config:
        return sweeps.compose((*overrides, *self._plan.everywhere), self._directory)

    def _predict(self, of_sweeps: Sequence[Phase]) -> Predictions:
        """Predict all runs with the shipped recipe, of whose choice the cost of a step hardly depends.

        One run is prepared in full, so that a data set that is missing is found here, before anything is
        trained.
        """
        search = self._plan.recipe
        trial = self._compose((*search.overrides, "seed=0"))
        parts = [_part(phase, grid.expand(self._compose(phase.overrides))) for phase in of_sweeps]
        parts.append(tuple(trials.as_run(trials.with_shape(trial, shape)) for shape in search.shapes))
        predicted, site = prediction.predict([run for part in parts for run in part], self._directory)
        each = iter(predicted)
        *by_sweep, of_shapes = [tuple(itertools.islice(each, len(part))) for part in parts]
        names = [phase.name for phase in of_sweeps]
        shapes = dict(zip(search.shapes, of_shapes, strict=True))
        return Predictions(dict(zip(names, by_sweep, strict=True)), shapes, site.gpus)

    def _allowance(self, seconds: float) -> Allowance:
        return Allowance(seconds, self._plan.start_seconds, self._predictions.gpus, self._pace)

    def _train(self, wanted: tuple[CostedRun, ...], folder: Path, seconds: float) -> Trained:
        trained = sweeps.train(wanted, folder, self._allowance(seconds), self._say)
        self._pace = trained.pace
        return trained

    def _ceilings(self, phase: Phase, seconds: float) -> PhaseReport:
        """Measure what the machine can reach, in a process of its own; runs then record their share of it."""
        command = [sys.executable, "-m", "isoflop", "doctor", "--measure", *self._plan.ceilings_options]
        command += ["--seconds", f"{min(self._plan.ceilings_seconds, seconds):g}"]
        limit = seconds + GRACE_SECONDS
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        records.write_bytes(self._directory / "ceilings.txt", done.stdout.encode())
        self._say((done.stdout + done.stderr).rstrip())
        failures = (done.stderr.strip(),) if done.returncode else ()
        return PhaseReport(phase.name, "failed" if failures else "done", seconds, failures=failures)

    def _metering(self, phase: Phase, seconds: float) -> PhaseReport:
        """Complete the joules that sweeps have left unknown, one shape after another and alone."""
        began, completed = time.monotonic(), 0
        left_out: list[LeftOut] = []
        for folder in summary.sweep_folders(self._directory):
            left = seconds - (time.monotonic() - began)
            if left <= self._plan.start_seconds:
                left_out.append(self._too_late(folder.name, left))
                continue
            runs = manifest.read_runs(folder / "manifest.jsonl")
            completed += metering_pass.run_pass(runs, folder, seconds=left)
            if time.monotonic() - began >= seconds and (cut := metering_pass.shapes_to_meter(runs, folder)):
                left_out.append(LeftOut(f"{len(cut)} shapes of {folder.name}", METERING_CUT))
        state: PhaseState = "partial" if left_out else "done"
        message = f"joules of {completed} points completed"
        return PhaseReport(phase.name, state, seconds, left_out=tuple(left_out), message=message)

    def _recipe(self, phase: Phase, seconds: float) -> PhaseReport:
        """Find a recipe under which large networks train, and write it down.

        A search that time cut off goes on in a later call, until a sweep has begun under its decision.
        """
        if (decided := self._decided_before(phase, seconds)) is not None:
            return decided
        began, search = time.monotonic(), self._plan.recipe
        folder = self._directory / summary.RECIPE_FOLDER
        every = trials.make(search, self._compose, folder)
        parts = [self._train(self._costed(every, search.recipes(), (search.ranked_shape,)), folder, seconds)]
        losses = trials.losses(every, folder)
        others = tuple(shape for shape in search.shapes if shape != search.ranked_shape)
        for recipe in recipe_check.rank(search, losses):
            left = seconds - (time.monotonic() - began)
            if left <= self._plan.start_seconds:
                break
            parts.append(self._train(self._costed(every, (recipe,), others), folder, left))
            losses = trials.losses(every, folder)
            if recipe_check.confirmed(recipe_check.compare(search, recipe, losses)):
                break
        self._decision = recipe_check.decide(search, losses, trials.rates(every))
        journal.write_decision(self._decision, self._directory)
        self._say(self._decision.message)
        report = _report(phase, seconds, parts, self._decision.message)
        if self._decision.untried and not report.left_out:
            untried = LeftOut(
                f"{self._decision.untried} trials", "the phase's time was over before they began"
            )
            report = dataclasses.replace(report, left_out=(untried,))
        # A trial that diverges is an answer, one that fails is not.
        failures = tuple(line for line in report.failures if not line.endswith("diverged"))
        state: PhaseState = "failed" if failures else "partial" if report.left_out else "done"
        return dataclasses.replace(report, failures=failures, state=state)

    def _decided_before(self, phase: Phase, seconds: float) -> PhaseReport | None:
        """Return the report of a phase that has nothing left to decide, None if it has."""
        if self._decision is None:
            return None
        message = f"decided before: {self._decision.message}"
        if not self._decision.untried:
            return PhaseReport(phase.name, "done", seconds, message=message)
        if not summary.begun_sweeps(self._directory):
            return None
        left_out = (LeftOut(f"{self._decision.untried} trials", KEPT),)
        return PhaseReport(phase.name, "partial", seconds, left_out=left_out, message=message)

    def _costed(
        self, every: Trials, recipes: Iterable[Recipe], shapes: tuple[Shape, ...]
    ) -> tuple[CostedRun, ...]:
        seconds = self._predictions.shapes
        return tuple(
            CostedRun(every[recipe, shape], seconds[shape]) for recipe in recipes for shape in shapes
        )

    def _sweep(self, phase: Phase, seconds: float) -> PhaseReport:
        """Train a sweep under the recipe that was decided on, or the shipped one."""
        began = time.monotonic()
        base = self._compose((*phase.overrides, *(self._decision.overrides if self._decision else ())))
        runs, folder = grid.expand(base), base.directory
        predicted = self._predictions.sweeps[phase.name]
        pairs = zip(_part(phase, runs), predicted, strict=True)
        wanted = tuple(CostedRun(planned, cost) for planned, cost in pairs)
        if self._allowance(seconds).select(wanted).chosen:
            # Not before something is to be trained: the declaration binds the sweep to its recipe.
            held_out.declare(folder, runs)
        if phase.held_out and (why := self._predict_held_out(folder, wanted, seconds)):
            left_out = (LeftOut("all of it", why),)
            return PhaseReport(phase.name, "left out", seconds, runs=len(wanted), left_out=left_out)
        trained = self._train(wanted, folder, seconds - (time.monotonic() - began))
        return _report(phase, seconds, [trained], None)

    def _predict_held_out(self, folder: Path, wanted: tuple[CostedRun, ...], seconds: float) -> str | None:
        """Write down what the runs trained so far predict of those held out, before these are trained.

        Returns why they are not to be trained, None if they are.
        """
        if not any((folder / "records").glob("[!.]*.json")):
            return "no other run of the sweep has been trained, from which they would be predicted"
        if not self._allowance(seconds).select(wanted).chosen:
            return None  # the training itself says which runs do not fit
        held = tuple(each.planned for each in wanted)
        plans, _ = planning.lay_out(held)
        prediction = held_out.predict(folder, held, plans)
        for line in held_out.lines(prediction):
            self._say(f"  {line}")
        return None


def _part(phase: Phase, runs: tuple[PlannedRun, ...]) -> tuple[PlannedRun, ...]:
    """Return the runs of a sweep that belong to a phase."""
    fitted, held = held_out.split(runs)
    return held if phase.held_out else fitted


def _report(phase: Phase, seconds: float, parts: Sequence[Trained], message: str | None) -> PhaseReport:
    """Return the report of a phase that trained, in one part or several."""
    predicted = [part.predicted_seconds for part in parts if part.predicted_seconds is not None]
    failures = tuple(line for part in parts for line in part.failures)
    left_out = tuple(each for part in parts for each in part.left_out)
    return PhaseReport(
        phase.name,
        "failed" if failures else "partial" if left_out else "done",
        seconds,
        predicted_seconds=sum(predicted) if len(predicted) == len(parts) else None,
        runs=sum(part.runs for part in parts),
        done=sum(part.done for part in parts),
        failures=failures,
        left_out=left_out,
        message=message,
    )
