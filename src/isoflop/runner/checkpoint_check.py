"""Whether a checkpoint's numbers are those of a run that stopped somewhere on its trajectory.

The hash of a checkpoint file only says that it is as it was written. What a fault of the program, or another
hand, has written with a right hash must not be trained on: a step before the first, or a branch that is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from isoflop.runner.prepare import Plan
from isoflop.runner.state import START, TrainingState, Trajectory
from isoflop.train.state import Snapshot

PRESENT, TRUNK = "way", "trunk"
"""Stored names of the snapshots: of the present step, and of the trunk where the present branch left it."""


def problem(state: TrainingState, snapshots: Mapping[str, Snapshot], plan: Plan) -> str | None:
    """Return the first thing in a checkpoint that no run of this plan can have reached, or None."""
    if PRESENT not in snapshots or set(snapshots) - {PRESENT, TRUNK}:
        return f"it holds the snapshots {sorted(snapshots)}"
    if not 0 <= state.horizon_index < len(plan.horizons):
        return f"horizon_index={state.horizon_index} of {len(plan.horizons)} horizons"
    return _of_seconds(state) or _of_steps(state, snapshots, plan) or _of_trajectories(state, snapshots)


def _of_seconds(state: TrainingState) -> str | None:
    seconds = {
        "trained_seconds": state.trained_seconds,
        "uncharged_seconds": state.uncharged_seconds,
        "wasted_seconds": state.wasted_seconds,
        "train_seconds": state.trajectory.train_seconds,
        "eval_seconds": state.trajectory.eval_seconds,
    }
    bad = [f"{name}={value:g}" for name, value in seconds.items() if not 0 <= value < math.inf]
    return bad[0] if bad else None


def _of_steps(state: TrainingState, snapshots: Mapping[str, Snapshot], plan: Plan) -> str | None:
    """Compare the steps with the plan: on the trunk they lie before the branch, on a branch behind it."""
    step, horizon = snapshots[PRESENT].step, plan.horizons[state.horizon_index]
    earlier = plan.horizons[: state.horizon_index]
    trunk = snapshots.get(TRUNK)
    begin = earlier[-1].branch_step if earlier else 0
    if trunk is not None:
        begin = horizon.branch_step
        if horizon.end_step == plan.steps or trunk.step != begin:
            return f"a cooldown branch from step {trunk.step}, where the run has none"
    end = horizon.end_step if trunk or horizon.end_step == plan.steps else horizon.branch_step
    if not begin <= step <= end:
        return f"step={step}, which is not between {begin} and {end}"
    done = step + sum(each.end_step - each.branch_step for each in earlier)
    if state.steps_done != done:
        return f"steps_done={state.steps_done}, where {done} lead to its step"
    charged = earlier[-1].branch_step if earlier else 0
    if state.charged_step != charged:
        return f"charged_step={state.charged_step}, where earlier points were charged up to step {charged}"
    return f"wasted_steps={state.wasted_steps}" if state.wasted_steps < 0 else None


def _of_trajectories(state: TrainingState, snapshots: Mapping[str, Snapshot]) -> str | None:
    """Check that curves, sums of losses and readings rise in step and end before their snapshot."""
    trunk = snapshots.get(TRUNK)
    ends = [(state.trajectory, snapshots[PRESENT].step)]
    if trunk is not None:
        ends.append((state.trunk, trunk.step))
    elif state.trunk != START:
        return "a trunk without its snapshot"
    return next((reason for one, end in ends if (reason := _of_trajectory(one, end))), None)


def _of_trajectory(trajectory: Trajectory, end: int) -> str | None:
    for name, steps in (
        ("curve", [point.step for point in trajectory.curve]),
        ("loss_sums", [step for step, _ in trajectory.loss_sums]),
        ("readings", [reading.step for reading in trajectory.readings]),
    ):
        if steps != sorted(set(steps)) or (steps and not 0 < steps[0] <= steps[-1] <= end):
            return f"{name} at steps {steps[:3]}, which are not steps up to {end}"
    if (trajectory.val is None) != (not trajectory.curve):
        return "a curve without its last evaluation"
    return None
