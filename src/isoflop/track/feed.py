"""The training process's side of a tracker: start its process and send it events.

A tracker runs in a process of its own, which reads one JSON line per event from a pipe. Training never waits
for it: what the pipe does not take is dropped, and a tracker that hangs, crashes or cannot write costs one
line on standard error.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.util
import io
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import msgspec

from isoflop import extras
from isoflop import record as records
from isoflop.config import Config, ConfigError, TrackerConfig
from isoflop.record import CurvePoint, Record
from isoflop.table import text_columns
from isoflop.track import liveness, numbers, unfinished
from isoflop.track.events import Begin, End, Evaluation, Event, Interval, RunInfo, Trained, sweep_name
from isoflop.track.history import intervals_of
from isoflop.track.process import LONGEST, REPORTED, print_error

COLUMNS: tuple[str, ...] = tuple(
    f.name for f in dataclasses.fields(CurvePoint) if not f.name.endswith("_reason")
)
PACKAGES = Path(__file__).parents[2]
PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from isoflop.track import process; process.run(sys.argv[1:])"
)
NEEDS = {"wandb": ("wandb",), "tensorboard": ("tensorboardX", "tensorboard")}
END_SECONDS = 1.0
"""How long the last event may wait for room in the pipe of a tracker that does not read."""
_RUNNING: list[tuple[str, subprocess.Popen[bytes]]] = []
"""Trackers whose pipe this process has closed and whose exit codes it has not read yet."""


def curve_csv(record: Record) -> str:
    """Return the learning curve as CSV with a header, of text with bits per byte; an unknown value is an
    empty field."""
    text = io.StringIO()
    writer = csv.writer(text)
    of_text = text_columns.domain(record) == text_columns.TEXT
    writer.writerow((*COLUMNS, *(("val_bits_per_byte",) if of_text else ())))
    for point in record.curve:
        bits = (text_columns.bits(point.val_loss),) if of_text else ()
        writer.writerow((*(getattr(point, name) for name in COLUMNS), *bits))  # all of them numbers
    return text.getvalue()


def training_csv(record: Record) -> str:
    """Return the intervals of training as CSV with a header; an unknown value is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [f.name for f in dataclasses.fields(Interval)]
    writer.writerow(names)
    writer.writerows([getattr(each, name) for name in names] for each in intervals_of(record))
    return text.getvalue()


def check(settings: TrackerConfig) -> None:
    """Refuse a tracker that cannot be started, before anything is trained.

    Raises:
        ConfigError: its module is not found.
        MissingExtraError: its package is not installed.
    """
    if settings.name in NEEDS and settings.mode != "disabled":
        extras.check(f"tracker={settings.name}", *NEEDS[settings.name])
    if settings.path is not None:
        module = settings.path.partition(":")[0]
        top = module.partition(".")[0]
        local = Path(f"{top}.py").is_file() or Path(top).is_dir()
        if not local and importlib.util.find_spec(top) is None:
            raise ConfigError(
                f"tracker.path={settings.path}: no module {top} in this folder or on PYTHONPATH"
            )


def run_info(config: Config, attempt: int) -> RunInfo:
    """Return what a tracker gets to know of the run that `config` defines."""
    of_text = config.data.is_text
    # Training is read at each evaluation at least; its watts only where that took long enough.
    trained = (name for name in numbers.of_training(of_text=of_text) if name != "watts")
    drawn = (*numbers.scores(of_text=of_text), *trained) if config.schedule.evaluations > 1 else ()
    return RunInfo(
        run_id=config.run_id,
        config_id=config.config_id,
        attempt=attempt,
        sweep=sweep_name(config.directory),
        label=config.model.label,
        seed=config.seed,
        directory=str(config.directory.absolute()),
        identity=config.identity,
        of_text=of_text,
        settings=config.tracker,
        drawn=drawn,
    )


class Feed:
    """Sends the events of one run to its tracker; never waits for it or raises.

    Used as a context manager. If it is left without `end`, the tracker takes the run for killed, unless the
    run's last record was written.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._settings = config, config.tracker
        self._process: subprocess.Popen[bytes] | None = None
        self._dropped = 0

    def __enter__(self) -> Feed:
        """Return the feed; its tracker is started by `begin`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pipe; the tracker finishes by itself."""
        self._close()

    def begin(self, attempt: int) -> None:
        """Start the tracker, if it needs a process: the run is about to train."""
        if self._settings.name not in ("none", "csv") and self._settings.mode != "disabled":
            self._start()
            directory, ids = self._config.directory.absolute(), self._config.point_ids.values()
            paths = tuple(str(records.path_of(directory, run_id)) for run_id in ids)
            self._send(Begin(run_info(self._config, attempt), paths))

    def point(self, point: CurvePoint, steps_done: int, *, most_seconds: float = 0.0) -> None:
        """Send an evaluation, which came after so many steps of the whole run.

        It waits at most `most_seconds` for room in the pipe: training does not wait at all.
        """
        self._send(Evaluation(point, steps_done), most_seconds)

    def interval(self, interval: Interval, steps_done: int, *, most_seconds: float = 0.0) -> None:
        """Send an interval of training; the other arguments are those of `point`."""
        self._send(Trained(interval, steps_done), most_seconds)

    def end(self, finished: tuple[Record, ...]) -> None:
        """Send the end: the run is over and its records are written."""
        if self._settings.name == "csv":
            self._write_curves(finished)
        self._send(End(self._dropped), END_SECONDS)
        if self._dropped:
            print_error(self._settings.name, f"{self._dropped} events were dropped: it did not keep up")
        self._close()

    def _write_curves(self, finished: tuple[Record, ...]) -> None:
        """Write DIR/curves/RUN_ID.csv and RUN_ID-training.csv of each record, each atomically."""
        for record in finished:
            path = self._config.directory / "curves" / f"{record.run_id}.csv"
            try:
                records.write_bytes(path, curve_csv(record).encode())
                of_training = path.with_name(f"{record.run_id}-training.csv")
                records.write_bytes(of_training, training_csv(record).encode())
            except OSError as error:
                print_error("csv", f"{path}: {error.strerror or error}")

    def _start(self) -> None:
        """Start the tracker's process. A failure costs a line on standard error and no run."""
        settings = self._settings
        arguments = [settings.name, settings.path or "", f"{settings.wait_seconds}"]
        try:
            self._config.directory.mkdir(parents=True, exist_ok=True)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(PACKAGES), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            print_error(settings.name, f"could not be started: {error}")
            return
        try:
            unfinished.begin(self._config.directory, self._config.run_id, settings.name)
            liveness.register(self._config.directory, self._process.pid)
        except OSError as error:
            print_error(settings.name, f"nothing will wait for it, or send again what it misses: {error}")
        assert self._process.stdin is not None
        # A full pipe must raise BlockingIOError instead of holding up training.
        os.set_blocking(self._process.stdin.fileno(), False)

    def _send(self, event: Event, most_seconds: float = 0.0) -> None:
        """Write a line if the pipe has room for it within `most_seconds`."""
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        pipe, line = self._process.stdin.fileno(), msgspec.json.encode(event) + b"\n"
        deadline = time.monotonic() + most_seconds
        try:
            while line:
                try:
                    line = line[os.write(pipe, line) :]
                except BlockingIOError:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        self._dropped += 1
                        return
                    select.select([], [pipe], [], left)
        except OSError:  # the tracker is gone; `_reap` prints why
            self._close()

    def _close(self) -> None:
        """Close the pipe, so that the tracker finishes by itself."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        _RUNNING.append((self._settings.name, self._process))
        self._process = None
        _reap()


def _reap() -> None:
    """Collect trackers that have ended, and report a crash that the tracker could not report itself."""
    for entry in list(_RUNNING):
        name, process = entry
        if (code := process.poll()) is not None:
            _RUNNING.remove(entry)
            if code not in (0, REPORTED):
                print_error(name, f"ended with exit code {code}: the rest of the run is not tracked")


def longest_wait(settings: TrackerConfig) -> float:
    """Return the seconds after which every tracker of a run that has ended has finished or was given up."""
    return (LONGEST + 1) * settings.wait_seconds


def wait(directory: Path, most_seconds: float) -> bool:
    """Wait at most `most_seconds` for the trackers of a sweep's folder on this machine.

    Returns whether all have finished. Those that have not go on by themselves.
    """
    deadline = time.monotonic() + most_seconds
    while True:
        _reap()
        if not _RUNNING and not liveness.any_running(directory):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
