"""Checkpoints of a run: its training state and the snapshots of its trainer, on disk and back."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from isoflop import record
from isoflop.config import Config, ConfigError
from isoflop.notices import notify
from isoflop.record import CurvePoint, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.runner import checkpoint_check
from isoflop.runner.prepare import Plan
from isoflop.runner.state import TrainingState
from isoflop.train import snapshot_file
from isoflop.train.loop import Trainer
from isoflop.train.snapshot_file import Stored, UnusableError
from isoflop.train.state import Snapshot


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training state with the snapshots that belong to it: PRESENT and, in a cooldown branch, TRUNK."""

    state: TrainingState
    snapshots: dict[str, Snapshot]


def path_of(config: Config) -> Path:
    """Return where the checkpoint of a run lies."""
    return config.directory / "checkpoints" / f"{config.run_id}.pt"


def save(config: Config, checkpoint: Checkpoint) -> bool:
    """Write a checkpoint and return whether that worked. A full disk costs the checkpoint, not the run."""
    state = msgspec.json.encode(checkpoint.state).decode()
    try:
        snapshot_file.save(path_of(config), state, checkpoint.snapshots)
    except OSError as error:
        notify(f"no checkpoint was written: {error.filename}: {error.strerror or error}")
        return False
    return True


def discard(config: Config) -> None:
    """Remove the checkpoint and the heartbeat of a run that is done."""
    snapshot_file.remove(path_of(config))
    heartbeat.remove(config.directory, config.run_id)


def check_place(config: Config) -> None:
    """Refuse a folder in the place of a checkpoint, which training would only meet when it is to be saved.

    Raises:
        ConfigError: names the folder.
        OSError: the folder of the checkpoints cannot be read.
    """
    for path in snapshot_file.generations(path_of(config)):
        if path.is_dir():
            raise ConfigError(f"{path}: a folder is in the place of a checkpoint: move it away or remove it")


def load(config: Config, trainer: Trainer, plan: Plan) -> Checkpoint | None:
    """Return the newest checkpoint of the run that can be used, or None; say which ones cannot, and why.

    One that is damaged, of another network, optimizer or kind of device, or whose numbers are not those of
    this run, does not count, and neither does one whose earlier points have lost their records.

    Raises:
        ConfigError: a folder is in the place of a checkpoint.
        OSError: a checkpoint is there and cannot be read.
    """
    own = trainer.snapshot()

    def usable(stored: Stored) -> Checkpoint:
        state, snapshots = _decoded(config, stored.header), stored.snapshots
        reason = checkpoint_check.problem(state, snapshots, plan)
        if reason is None and not all(snapshot_file.fits(own, saved) for saved in snapshots.values()):
            reason = "of another network, optimizer or kind of device"
        if reason is None and not _earlier_points_exist(config, state):
            reason = "earlier points have lost their records"
        if reason is not None:
            raise UnusableError(reason)
        return Checkpoint(state, {name: saved.to(trainer.device) for name, saved in snapshots.items()})

    return _newest(config, usable)


def read_state(config: Config) -> TrainingState | None:
    """Return the training state of the newest undamaged checkpoint of the run, or None. Raises as `load`."""
    return _newest(config, lambda stored: _decoded(config, stored.header), silent=True)


_T = TypeVar("_T")


def _newest(config: Config, usable: Callable[[Stored], _T], *, silent: bool = False) -> _T | None:
    """Return what `usable` makes of the newest checkpoint that it can use, or None.

    Args:
        config: the run.
        usable: raises UnusableError.
        silent: whether not to say which checkpoints cannot be used.
    """
    check_place(config)
    unusable = False
    for path in snapshot_file.generations(path_of(config)):
        try:
            made = usable(snapshot_file.read(path))
        except FileNotFoundError:
            continue
        except UnusableError as error:
            unusable = True
            if not silent:
                notify(f"checkpoint {path} is not used: {error}")
            continue
        if unusable and not silent:
            notify(f"run {config.run_id} goes on from the checkpoint before, {path}")
        return made
    if unusable and not silent:
        notify(f"run {config.run_id} starts from its first step")
    return None


def _decoded(config: Config, header: str) -> TrainingState:
    """Return the training state in a checkpoint's header. Raises UnusableError unless it is of this run."""
    try:
        state = msgspec.json.decode(header, type=TrainingState)
    except msgspec.DecodeError as error:
        raise UnusableError(f"its training state cannot be read ({error})") from error
    if state.run_id != config.run_id:
        raise UnusableError(f"of another run, {state.run_id}")
    return state


def _earlier_points_exist(config: Config, state: TrainingState) -> bool:
    """Return whether each horizon before the present one has its record, or waits for a replay."""
    waiting = {trained.horizon for trained in state.awaiting_replay}
    earlier = list(config.point_ids.items())[: state.horizon_index]
    return all(
        horizon in waiting or record.is_done(record.path_of(config.directory, run_id))
        for horizon, run_id in earlier
    )


def lost_work(config: Config, state: TrainingState | None) -> tuple[int, float]:
    """Return (steps, seconds of training) that an earlier attempt took after `state`: they are done again."""
    last = heartbeat.last(config.directory, config.run_id)
    if last is None:
        return 0, 0.0
    beat, _ = last
    steps, seconds = (state.steps_done, state.trained_seconds) if state else (0, 0.0)
    return max(0, beat.steps_done - steps), max(0.0, beat.train_seconds - seconds)


def heartbeat_of(
    attempt: int,
    steps_done: int,
    steps: int,
    train_seconds: float,
    *,
    latest: CurvePoint | None = None,
    of_text: bool = False,
    train_flops: float | None = None,
    watts: float | None = None,
) -> Heartbeat:
    """Return a heartbeat of this process.

    Args:
        attempt: number of the attempt.
        steps_done: steps taken so far, on the trunk and on every branch.
        steps: how many there are to take.
        train_seconds: seconds in training so far.
        latest: the latest evaluation, if there was one.
        of_text: whether the run trains on text.
        train_flops: training FLOPs of the steps done.
        watts: mean power of the last seconds.
    """
    return Heartbeat(
        attempt,
        steps_done,
        steps,
        train_seconds,
        socket.gethostname(),
        os.getpid(),
        os.environ.get("SLURM_JOB_ID") or None,
        val_error=latest.val_error if latest else None,
        val_loss=latest.val_loss if latest else None,
        of_text=of_text,
        train_flops=train_flops,
        watts=watts,
    )
