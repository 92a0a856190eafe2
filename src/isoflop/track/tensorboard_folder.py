"""isoflop tensorboard DIR: the records of a sweep as TensorBoard event files, after the fact."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
import tempfile
from pathlib import Path
from typing import Any

from isoflop import extras
from isoflop.config import ConfigError, TrackerConfig
from isoflop.record import Record
from isoflop.table.aggregate import Dropped
from isoflop.track import from_records, liveness
from isoflop.track.numbers import FINAL, settings, summary

EVENTS = "events.out.tfevents.*"
SETTINGS = TrackerConfig(
    name="tensorboard", mode=None, project=None, entity=None, path=None, tags=(), wait_seconds=0.0
)


@dataclasses.dataclass(frozen=True)
class Written:
    """The folder for `tensorboard --logdir`, the ids of the runs in it, and the records left out."""

    folder: str
    runs: tuple[str, ...]
    left_out: tuple[Dropped, ...]


def as_text(written: Written) -> str:
    """Return the result in a few lines, with the command that shows it."""
    lines = [f"{len(written.runs)} runs, {len(written.left_out)} records left out"]
    lines += [f"left out: {entry.run_id}: {entry.reason}" for entry in written.left_out]
    return "\n".join([*lines, f"tensorboard --logdir {shlex.quote(written.folder)}"])


def write(directory: Path, folder: Path | None = None) -> Written:
    """Write a folder of event files for each record, in place of those that an earlier call or a live tracker
    wrote of the same run; other files stay.

    Args:
        directory: folder of a sweep: its records are read, and the power traces beside them.
        folder: where to write, by default DIR/tensorboard.

    Raises:
        ConfigError: no records, a file in place of the folder, or a tracker that still writes there.
        MissingExtraError: tensorboardX or tensorboard is not installed.
        OSError: disk full or not writable.
    """
    extras.check("isoflop tensorboard", "tensorboardX", "tensorboard")
    made = directory / "tensorboard" if folder is None else folder
    if made.exists() and not made.is_dir():
        raise ConfigError(f"-o {made}: this is a file: give a folder")
    records, left_out = from_records.read_records(directory)
    if folder is None and liveness.any_running(directory):
        raise ConfigError(f"{directory}: a tracker still writes there: wait for the sweep, or give -o FOLDER")
    shown = _experiment(records, directory)
    made.mkdir(parents=True, exist_ok=True)
    for each in records:
        _write_run(each, directory, made, shown)
    return Written(str(made), tuple(each.run_id for each in records), left_out)


def _experiment(records: tuple[Record, ...], directory: Path) -> Any:
    """Return what the HParams tab shows: all settings, and the results that some run has."""
    from isoflop.track import tensorboard_hparams, tensorboard_run

    infos = [from_records.run_info(each, directory, SETTINGS) for each in records]
    known = set[str]().union(*(summary(each) for each in records))
    metrics = [(tensorboard_run.final_tag(name), name) for name in FINAL if name in known]
    return tensorboard_hparams.experiment([settings(info.identity) for info in infos], metrics)


def _write_run(of: Record, directory: Path, folder: Path, shown: Any) -> None:
    """Write a run beside `folder`, then move its event file over those that were there of this run."""
    from isoflop.track import tensorboard_run

    with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder) as part:
        tracker = tensorboard_run.TensorboardTracker(Path(part), _began(of), shown)
        from_records.replay(tracker, of, directory, SETTINGS)
        (made,) = Path(part).iterdir()
        target = folder / made.name
        target.mkdir(exist_ok=True)
        before = list(target.glob(EVENTS))
        for events in made.glob(EVENTS):
            events.replace(target / events.name)
            before = [path for path in before if path.name != events.name]
        for path in before:
            path.unlink()


def _began(of: Record) -> float:
    """Return when a run was started, in seconds since 1970."""
    return datetime.datetime.fromisoformat(of.provenance.started_at).timestamp()
