"""Checkpoints of a run: its training state and the snapshots of its trainer, on disk and back."""

from __future__ import annotations

import dataclasses
import os
import socket
import warnings
from pathlib import Path

import msgspec

from isoflop import record
from isoflop.config import Config
from isoflop.record import heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.runner.state import TrainingState
from isoflop.train import snapshot_file
from isoflop.train.loop import Trainer
from isoflop.train.state import Snapshot

PRESENT, TRUNK = "way", "trunk"
"""Stored names of the snapshots: of the present step, and of the trunk where the present branch left it."""


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
        warnings.warn(f"no checkpoint was written: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def discard(config: Config) -> None:
    """Remove the checkpoint and the heartbeat of a run that is done."""
    snapshot_file.remove(path_of(config))
    heartbeat.remove(config.directory, config.run_id)


def load(config: Config, trainer: Trainer) -> Checkpoint | None:
    """Return the newest intact checkpoint of the run, or None.

    One of another network, optimizer or kind of device, or one whose earlier points have lost their records,
    does not count.
    """
    stored = snapshot_file.load(path_of(config), trainer.device)
    if stored is None:
        return None
    text, snapshots = stored
    state, own = _decoded(config, text), trainer.snapshot()
    if state is None or not all(snapshot_file.fits(own, saved) for saved in snapshots.values()):
        return None
    return Checkpoint(state, snapshots) if _earlier_points_exist(config, state) else None


def read_state(config: Config) -> TrainingState | None:
    """Return the training state of the newest intact checkpoint of the run, or None."""
    header = snapshot_file.load_header(path_of(config))
    return None if header is None else _decoded(config, header)


def _decoded(config: Config, header: str) -> TrainingState | None:
    """Return the training state in a checkpoint's header, if it can be read and is of this run."""
    try:
        state = msgspec.json.decode(header, type=TrainingState)
    except msgspec.DecodeError:
        return None
    return state if state.run_id == config.run_id else None


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


def heartbeat_of(attempt: int, steps_done: int, steps: int, train_seconds: float) -> Heartbeat:
    """Return a heartbeat of this process."""
    return Heartbeat(
        attempt,
        steps_done,
        steps,
        train_seconds,
        socket.gethostname(),
        os.getpid(),
        os.environ.get("SLURM_JOB_ID") or None,
    )
