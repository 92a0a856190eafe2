"""A checkpoint whose hash fits and whose content does not is not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace

from isoflop.config import Config
from isoflop.record import CurvePoint, Record
from isoflop.runner import checkpoint, run
from isoflop.runner.checkpoint_check import PRESENT, TRUNK, problem
from isoflop.runner.prepare import Plan
from isoflop.runner.state import TrainingState, Trajectory
from isoflop.train import snapshot_file
from isoflop.train.schedule import Horizon
from isoflop.train.score import Score
from isoflop.train.state import Snapshot

MakeConfig = Callable[..., Config]
PLAN = Plan(100, (Horizon(0.25, 20, 25), Horizon(0.5, 40, 50), Horizon(1.0, 80, 100)), None)


def at(step: int) -> Snapshot:
    return Snapshot(step, (), torch.get_rng_state(), None)


def on_trunk(step: int, **changed: Any) -> tuple[TrainingState, dict[str, Snapshot]]:
    """A state after the first point, on the trunk between the branches at 20 and 40."""
    good: dict[str, Any] = {"horizon_index": 1, "steps_done": step + 5, "charged_step": 20}
    return TrainingState(run_id="a", **(good | changed)), {PRESENT: at(step)}


def on_branch(step: int, branch: int = 40, **changed: Any) -> tuple[TrainingState, dict[str, Snapshot]]:
    state, snapshots = on_trunk(step, **changed)
    return state, snapshots | {TRUNK: at(branch)}


def at_end(step: int) -> tuple[TrainingState, dict[str, Snapshot]]:
    state = TrainingState(run_id="a", horizon_index=2, steps_done=step + 15, charged_step=40)
    return state, {PRESENT: at(step)}


def point(step: int) -> CurvePoint:
    return CurvePoint(step, step, 1.0, 0.5, 1.0, None, "unknown", None, "unknown")


@pytest.mark.parametrize(
    "good",
    [
        (TrainingState(run_id="a"), {PRESENT: at(0)}),
        on_trunk(20),
        on_trunk(40),
        on_branch(40),
        on_branch(50),
        at_end(40),
        at_end(100),
    ],
)
def test_every_step_of_the_trajectory_is_accepted(good: tuple[TrainingState, dict[str, Snapshot]]) -> None:
    assert problem(*good, PLAN) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((TrainingState(run_id="a", steps_done=-5), {PRESENT: at(-5)}), "step=-5"),
        (on_trunk(19), "step=19"),
        (on_trunk(41), "step=41"),
        (on_branch(39), "step=39"),
        (on_branch(51), "step=51"),
        (on_branch(45, branch=39), "cooldown branch from step 39"),
        (at_end(101), "step=101"),
        ((at_end(90)[0], {PRESENT: at(90), TRUNK: at(80)}), "cooldown branch from step 80"),
        (on_trunk(30, steps_done=36), "steps_done=36, where 35"),
        (on_trunk(30, charged_step=25), "charged_step=25"),
        (on_trunk(30, horizon_index=-1), "horizon_index=-1"),
        (on_trunk(30, horizon_index=3), "horizon_index=3 of 3"),
        (on_trunk(30, wasted_steps=-1), "wasted_steps=-1"),
        (on_trunk(30, trained_seconds=-1.0), "trained_seconds=-1"),
        (on_trunk(30, uncharged_seconds=1e999), "uncharged_seconds=inf"),
        (on_trunk(30, trajectory=Trajectory(train_seconds=-2.0)), "train_seconds=-2"),
        (on_trunk(30, trunk=Trajectory(train_seconds=2.0)), "a trunk without its snapshot"),
        (on_trunk(30, trajectory=Trajectory(loss_sums=((31, 1.0),))), "loss_sums at steps"),
        (on_trunk(30, trajectory=Trajectory(loss_sums=((9, 1.0), (9, 1.0)))), "loss_sums at steps"),
        (on_trunk(30, trajectory=Trajectory(curve=(point(0),))), "curve at steps"),
        (on_trunk(30, trajectory=Trajectory(curve=(point(9),))), "a curve without its last evaluation"),
        ((TrainingState(run_id="a"), {TRUNK: at(0)}), "it holds the snapshots"),
        ((TrainingState(run_id="a"), {PRESENT: at(0), "other": at(0)}), "it holds the snapshots"),
    ],
)
def test_what_no_run_can_have_reached_is_named(
    bad: tuple[TrainingState, dict[str, Snapshot]], reason: str
) -> None:
    assert reason in str(problem(*bad, PLAN))


def test_a_last_evaluation_belongs_to_a_curve() -> None:
    assert issubclass(Score, object)
    state, snapshots = on_trunk(30, trajectory=Trajectory(loss_sums=((30, 1.0),)))
    assert problem(state, snapshots, PLAN) is None


def rewritten(path: Path, change: Callable[[TrainingState, dict[str, Snapshot]], TrainingState]) -> None:
    """Write a checkpoint file again with another content, and a hash that fits."""
    stored = snapshot_file.read(path)
    state = msgspec.json.decode(stored.header, type=TrainingState)
    snapshots = dict(stored.snapshots)
    changed = change(state, snapshots)
    header = msgspec.json.encode(changed).decode()
    other = path.with_name("rewritten.pt")
    snapshot_file.save(other, header, snapshots)
    other.replace(path)


def at_step_minus_five(state: TrainingState, snapshots: dict[str, Snapshot]) -> TrainingState:
    snapshots[PRESENT] = dataclasses.replace(snapshots[PRESENT], step=-5)
    return replace(state, steps_done=-5)


def of_another_network(state: TrainingState, snapshots: dict[str, Snapshot]) -> TrainingState:
    snapshots[PRESENT] = dataclasses.replace(snapshots[PRESENT], tensors=snapshots[PRESENT].tensors[1:])
    return state


def of_another_run(state: TrainingState, snapshots: dict[str, Snapshot]) -> TrainingState:
    return replace(state, run_id="another")


def without_random_state(state: TrainingState, snapshots: dict[str, Snapshot]) -> TrainingState:
    snapshots[PRESENT] = dataclasses.replace(snapshots[PRESENT], cpu_random=torch.zeros(3, dtype=torch.uint8))
    return state


CHANGES = {
    "step=-5, which is not between": at_step_minus_five,
    "of another network": of_another_network,
    "of another run, another": of_another_run,
    "of another network, optimizer or kind of device": without_random_state,
}


def result(found: tuple[Record, ...]) -> list[object]:
    return [(each.state, each.error, each.loss) for each in found]


@pytest.mark.parametrize("reason", CHANGES)
def test_the_run_falls_back_to_the_older_checkpoint_and_then_to_the_start(
    reason: str,
    make_config: MakeConfig,
    stop_after: Callable[[int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make_config("schedule=steps", "schedule.epochs=null", "schedule.steps=24")
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    for _ in range(2):
        stop_after(6)
        run.run(config)
    path = checkpoint.path_of(config)
    newest, before = snapshot_file.generations(path)
    steps = [snapshot_file.read(each).snapshots[PRESENT].step for each in (newest, before)]
    assert steps == [12, 6]
    kept = before.read_bytes()
    rewritten(newest, CHANGES[reason])
    capsys.readouterr()
    stop_after(0)
    run.run(config)
    printed = capsys.readouterr().err
    assert f"checkpoint {newest} is not used: {reason}" in printed
    assert f"goes on from the checkpoint before, {before}" in printed
    assert snapshot_file.read(newest).snapshots[PRESENT].step == 6
    before.write_bytes(kept)
    rewritten(newest, CHANGES[reason])
    rewritten(before, CHANGES[reason])
    stop_after(10**6)
    assert result(run.run(config)) == result(whole)
    printed = capsys.readouterr().err
    assert f"checkpoint {before} is not used: {reason}" in printed
    assert f"run {config.run_id} starts from its first step" in printed


def test_contents_that_are_no_checkpoint_are_unusable(tmp_path: Path) -> None:
    """Each with a hash that fits: the archive is what it says, and not what a run writes."""
    path, stored = tmp_path / "a.pt", at(3)
    snapshot_file.save(path, "{}", {PRESENT: stored})
    assert snapshot_file.read(path).snapshots[PRESENT].step == 3
    for name, value in (("step", "3"), ("step", True), ("cpu_random", torch.zeros(3)), ("cuda_random", 1)):
        snapshot_file.save(path, "{}", {PRESENT: dataclasses.replace(stored, **{name: value})})  # type: ignore[arg-type]
        with pytest.raises(snapshot_file.UnusableError, match="a snapshot without its"):
            snapshot_file.read(path)
    path.write_bytes(b"0" * 64 + b"\nsomething")
    with pytest.raises(snapshot_file.UnusableError, match="damaged"):
        snapshot_file.read(path)
    with pytest.raises(FileNotFoundError):
        snapshot_file.read(tmp_path / "none.pt")
