"""Where a run's learning curve goes beside its record, which stays the only source of every fit.

A tracker that talks to something runs in a process of its own, fed by one JSON line an event through a pipe.
Nothing here waits for it: what the pipe does not take is dropped, and a tracker that hangs, crashes or cannot
write costs a line on standard error.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import importlib.util
import io
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from isoflop import record as records
from isoflop.config import Config, ConfigError, TrackerConfig
from isoflop.record import CurvePoint, Record
from isoflop.track.events import Begin, Cell, End, Event, Point
from isoflop.track.process import TOLD, tell

COLUMNS = tuple(f.name for f in dataclasses.fields(CurvePoint) if not f.name.endswith("_reason"))
PACKAGES = Path(__file__).parents[2]
PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from isoflop.track import process; process.run(sys.argv[1:])"
)
NEEDS = {"wandb": "wandb", "tensorboard": "tensorboardX"}
LAST_WORD_SECONDS = 1.0
"""How long the last line may wait for room in the pipe of a tracker that is stopped."""
_RUNNING: list[tuple[str, subprocess.Popen[bytes]]] = []
"""Trackers of this process that were told the end, or lost their feed, and have not been waited for."""


def curve_csv(record: Record) -> str:
    """The learning curve as CSV with a header; an unknown value is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([getattr(point, name) for name in COLUMNS] for point in record.curve)
    return text.getvalue()


def check(settings: TrackerConfig) -> None:
    """Refuse a tracker that cannot be there, before anything is trained.

    Raises:
        ConfigError: its package is not installed, or its module is not found.
    """
    if settings.name in NEEDS and settings.mode != "disabled" and not installed(NEEDS[settings.name]):
        raise ConfigError(f"tracker={settings.name} needs a package: pip install 'isoflop[{settings.name}]'")
    if settings.path is not None:
        module = settings.path.partition(":")[0]
        top = module.partition(".")[0]
        here = (Path(f"{top}.py").is_file(), Path(top).is_dir(), importlib.util.find_spec(top) is not None)
        if not any(here):
            raise ConfigError(
                f"tracker.path={settings.path}: no module {top} in this folder or on PYTHONPATH"
            )


def installed(package: str) -> bool:
    """Whether a package is there; a mere folder of that name (W&B leaves one called wandb) is none."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


def cell_of(config: Config, attempt: int) -> Cell:
    """What a tracker is told of the cell that `config` defines."""
    model = config.model
    dials = model.width is not None and model.depth is not None
    return Cell(
        run_id=config.run_id,
        config_id=config.config_id,
        attempt=attempt,
        sweep=config.sweep.name,
        label=f"{model.family} w{model.width} d{model.depth}" if dials else model.name,
        seed=config.seed,
        directory=str(config.directory.absolute()),
        identity=config.identity,
        settings=config.tracker,
    )


class Feed:
    """Tells the tracker of one cell what happens, and never waits for it or raises.

    As a context: where it is left without `end`, the run was killed, unless its last record was written.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._settings = config, config.tracker
        self._process: subprocess.Popen[bytes] | None = None
        self._dropped = 0

    def __enter__(self) -> Feed:
        """Nothing is started before `begin`."""
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
        """The cell is about to train: start its tracker, if it needs a process."""
        if self._settings.name not in ("none", "csv") and self._settings.mode != "disabled":
            self._start()
            directory, ids = self._config.directory.absolute(), self._config.point_ids.values()
            paths = tuple(str(records.path_of(directory, run_id)) for run_id in ids)
            self._send(Begin(cell_of(self._config, attempt), paths))

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """An evaluation, after so many steps of the whole cell."""
        self._send(Point(point, steps_done))

    def end(self, found: tuple[Record, ...]) -> None:
        """The cell is over and its records are written."""
        if self._settings.name == "csv":
            self._write_curves(found)
        self._send(End(), LAST_WORD_SECONDS)
        if self._dropped:
            tell(self._settings.name, f"{self._dropped} events were dropped: it did not keep up")
        self._close()

    def _write_curves(self, found: tuple[Record, ...]) -> None:
        """DIR/curves/RUN_ID.csv of each record, atomically."""
        for record in found:
            path = self._config.directory / "curves" / f"{record.run_id}.csv"
            try:
                records.write_bytes(path, curve_csv(record).encode())
            except OSError as error:
                tell("csv", f"{path}: {error.strerror or error}")

    def _start(self) -> None:
        settings = self._settings
        words = [settings.name, settings.path or "", f"{settings.wait_seconds}"]
        try:
            with _at_work(self._config.directory) as lock:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", PROGRAM, str(PACKAGES), *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(lock,),
                    bufsize=0,
                )
        except OSError as error:
            tell(settings.name, f"could not be started: {error}")
            return
        assert self._process.stdin is not None
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
        except OSError:  # the tracker is gone; why is said when it is waited for
            self._close()

    def _close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        _RUNNING.append((self._settings.name, self._process))
        self._process = None
        _reap()


def _reap() -> None:
    """Collect trackers that have ended, and say of a crash what the tracker could not say itself."""
    for entry in list(_RUNNING):
        name, process = entry
        if (code := process.poll()) is not None:
            _RUNNING.remove(entry)
            if code not in (0, TOLD):
                tell(name, f"ended with exit code {code}: what it was not told yet is lost")


def lock_path(directory: Path) -> Path:
    """The file that trackers of this machine hold locked while they are at work."""
    return directory.absolute() / f".trackers-{socket.gethostname()}.lock"


@contextlib.contextmanager
def _at_work(directory: Path) -> Iterator[int]:
    """A lock that is held for as long as a process that inherits it runs. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock_path(directory), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield handle
    finally:
        os.close(handle)


def wait(directory: Path, most_seconds: float) -> bool:
    """Wait until the trackers of a sweep's folder that run on this machine have finished, `most_seconds` at
    most; whether they have. Those that have not go on without us."""
    deadline = time.monotonic() + most_seconds
    while True:
        _reap()
        if not _RUNNING and not _held(lock_path(directory)):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def _held(lock: Path) -> bool:
    try:
        with lock.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
