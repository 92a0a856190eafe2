"""What the processes of one run tell each other through files in a folder that they share.

The supervisor writes the task; the main process writes its process id, each evaluation as a line, and at the
end the outcome. Files are used since torchrun passes neither objects nor pipes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from isoflop import config as configs
from isoflop.config import Config
from isoflop.record import Record, write_bytes
from isoflop.runner.request import RunRequest


@dataclasses.dataclass(frozen=True)
class Task:
    """A run, how it is to be carried out, and the folder its processes share."""

    config: dict[str, Any]
    request: RunRequest
    folder: str

    @classmethod
    def of(cls, config: Config, request: RunRequest, command_line: str, folder: Path) -> Task:
        """Return a task; `command_line` is what records name unless the request names another."""
        named = dataclasses.replace(request, command_line=request.command_line or command_line)
        return cls(configs.to_dict(config), named, str(folder))

    @classmethod
    def read(cls, path: Path) -> Task:
        """Read a task that a supervisor wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    @property
    def files(self) -> Files:
        """The files of the shared folder."""
        return Files(Path(self.folder))


@dataclasses.dataclass(frozen=True)
class Files:
    """Where the files lie in the shared folder."""

    folder: Path

    @property
    def task(self) -> Path:
        """The task as JSON."""
        return self.folder / "task.json"

    @property
    def main_pid(self) -> Path:
        """The process id of the main process."""
        return self.folder / "main-pid"

    @property
    def evaluations(self) -> Path:
        """One JSON line for each evaluation: (CurvePoint, steps of the run)."""
        return self.folder / "evaluations.jsonl"

    @property
    def outcome(self) -> Path:
        """The outcome as JSON, written when the main process has ended its attempt."""
        return self.folder / "outcome.json"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run: its records, or what kept the main process from making any.

    Attributes:
        records: the records, one a horizon.
        input_error: message of a ValueError: the input cannot be used.
        busy: message of a RecordBusyError: another process is working on the run.
        os_error: errno, message and file name of an OSError.
    """

    records: tuple[Record, ...] = ()
    input_error: str | None = None
    busy: str | None = None
    os_error: tuple[int | None, str, str | None] | None = None

    def write(self, files: Files) -> None:
        """Write the outcome for the supervisor."""
        write_bytes(files.outcome, msgspec.json.encode(self))

    @classmethod
    def read(cls, files: Files) -> Outcome:
        """Read the outcome; an empty one where the main process did not come to write it."""
        try:
            return msgspec.json.decode(files.outcome.read_bytes(), type=cls)
        except OSError:
            return cls()


@contextlib.contextmanager
def shared_folder(config: Config) -> Iterator[Path]:
    """Make a temporary folder for the processes of a run; beside its records if other nodes must see it."""
    within = config.directory if config.launch.nodes > 1 else None
    if within:
        within.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".isoflop-", dir=within) as folder:
            yield Path(folder)
    finally:
        if within:
            with contextlib.suppress(OSError):  # the folder holds other things
                within.rmdir()
