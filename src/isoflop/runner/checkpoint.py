"""Where an interrupted cell stands: what a checkpoint says beside the tensors, and what was lost after it."""

from __future__ import annotations

import dataclasses
import os
import socket
import warnings
from pathlib import Path

import msgspec

from isoflop import record
from isoflop.config import Config
from isoflop.record import CurvePoint, heartbeat
from isoflop.runner.assemble import Metered, Trained
from isoflop.train import snapshot_file
from isoflop.train.evaluate import Score
from isoflop.train.loop import Trainer
from isoflop.train.state import Snapshot


@dataclasses.dataclass(frozen=True)
class Way:
    """What led to a step: evaluations (`val` is the last), seconds and joules of earlier attempts."""

    val: Score | None
    curve: tuple[CurvePoint, ...]
    metered: Metered
    train_seconds: float
    eval_seconds: float


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where the cell stands. `horizon` is the index of the point that is trained for; once its cool-down has
    begun, `trunk` is where the trunk was left; `charged` is the trunk's step that
    earlier points have paid for. `short` are points that wait for a replay. `uncharged_seconds` is wall time
    that no record has accounted for; the wasted steps and seconds are repeated work so far."""

    run_id: str
    horizon: int
    trunk: Way
    way: Way
    charged: int
    short: tuple[Trained, ...]
    steps_done: int
    trained_seconds: float
    uncharged_seconds: float
    wasted_steps: int
    wasted_seconds: float


def path_of(config: Config) -> Path:
    """Where the cell's checkpoint lies."""
    return config.directory / "checkpoints" / f"{config.run_id}.pt"


def keep(config: Config, standing: Standing, snapshots: dict[str, Snapshot]) -> bool:
    """Write a checkpoint; whether it could be written. A full disk costs the checkpoint, not the run."""
    try:
        snapshot_file.save(path_of(config), msgspec.json.encode(standing).decode(), snapshots)
    except OSError as error:
        warnings.warn(f"no checkpoint was written: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def forget(config: Config) -> None:
    """Remove the checkpoint and the sign of life of a cell that is done."""
    snapshot_file.remove(path_of(config))
    heartbeat.Beat(config.directory, config.run_id).end()


@dataclasses.dataclass(frozen=True, eq=False)
class Resumed:
    """A checkpoint that fits: where the cell stands, and the snapshots `way` and, in a cool-down, `trunk`."""

    standing: Standing
    snapshots: dict[str, Snapshot]


def load(config: Config, trainer: Trainer) -> Resumed | None:
    """The newest good checkpoint of this cell, if it is of this network, optimizer and kind of device."""
    found = snapshot_file.load(path_of(config), trainer.device)
    if found is None:
        return None
    words, snapshots = found
    try:
        standing = msgspec.json.decode(words, type=Standing)
    except msgspec.DecodeError:
        return None
    ours = trainer.snapshot()
    fits = standing.run_id == config.run_id and all(snapshot_file.fits(ours, s) for s in snapshots.values())
    return Resumed(standing, snapshots) if fits and _has_points_before(config, standing) else None


def _has_points_before(config: Config, standing: Standing) -> bool:
    """Whether the points that the checkpoint has behind it are done, or with it."""
    waiting = {trained.horizon for trained in standing.short}
    behind = list(config.point_ids.items())[: standing.horizon]
    return all(
        horizon in waiting or record.is_done(record.path_of(config.directory, run_id))
        for horizon, run_id in behind
    )


def lost(config: Config, standing: Standing | None) -> tuple[int, float]:
    """(steps, seconds of training) that an earlier attempt took after `standing`: they are done again."""
    sign = heartbeat.read(config.directory, config.run_id)
    if sign is None:
        return 0, 0.0
    last, _ = sign
    steps, seconds = (standing.steps_done, standing.trained_seconds) if standing else (0, 0.0)
    return max(0, last.steps_done - steps), max(0.0, last.train_seconds - seconds)


def sign(attempt: int, steps_done: int, steps: int, train_seconds: float) -> heartbeat.Progress:
    """A sign of life of this process."""
    return heartbeat.Progress(
        attempt,
        steps_done,
        steps,
        train_seconds,
        socket.gethostname(),
        os.getpid(),
        os.environ.get("SLURM_JOB_ID"),
    )
