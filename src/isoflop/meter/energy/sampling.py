"""The trainer's side of the sampler: starts the process, reads its file, says how it ended.

Nothing that goes wrong with the sampler reaches the training: it ends as a reason.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from isoflop.meter import child
from isoflop.meter.energy.polls import BoardTrace, PollReader

STOP_SECONDS = 2.0
GLANCE_SECONDS = 0.005


class Sampling:
    """One sampler for all devices of a meter. Polls are appended to `path` and stay there, or go to a
    temporary file that is removed at the end. `devices` are the UUIDs of the lines that are read back."""

    def __init__(
        self, arguments: Sequence[str], devices: Sequence[str], period_seconds: float, path: Path | None
    ) -> None:
        self._arguments, self._devices = tuple(arguments), tuple(devices)
        self._period_seconds, self._path = period_seconds, path
        self._closing = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._reader: PollReader | None = None
        self._trouble: str | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the sampler, or None where there is none."""
        return None if self._process is None else self._process.pid

    @property
    def boards(self) -> list[BoardTrace]:
        """What was read so far, a device each; see `update`."""
        return [] if self._reader is None else list(self._reader.boards.values())

    def start(self) -> None:
        """Start the process; what goes wrong becomes its fate."""
        try:
            self._start()
        except OSError as error:
            self._trouble = f"the power sampler did not start: {error}"

    def _start(self) -> None:
        path = self._path
        if path is None:
            folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="isoflop-power-"))
            path = Path(folder) / "polls.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            offset = file.tell()
        self._stderr = self._closing.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed at the end)
        timing = ["--period", repr(self._period_seconds), "--out", str(path)]
        self._process = subprocess.Popen(
            child.command("isoflop.meter.energy.sampler", *self._arguments, *timing),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self._reader = PollReader(path, self._devices, offset)

    def update(self) -> None:
        """Take in what was read since."""
        if self._reader is not None:
            self._reader.update()

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Read polls until `ready`, until `seconds` are over or until the sampler is gone."""
        limit = time.monotonic() + seconds
        alive = True
        while True:
            self.update()
            if ready() or not alive or time.monotonic() >= limit:
                return
            alive = self._process is not None and self._process.poll() is None
            time.sleep(GLANCE_SECONDS)

    def fate(self) -> str | None:
        """How the sampler ended, if it did so by itself, or why it did not start."""
        if self._trouble or self._process is None or self._stderr is None:
            return self._trouble
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"the power sampler was killed by signal {-code}"
        size = os.fstat(self._stderr.fileno()).st_size
        said = os.pread(self._stderr.fileno(), size, 0).decode(errors="replace").strip().splitlines()
        return f"the power sampler ended by itself (status {code}{': ' + said[-1] if said else ''})"

    def stop(self) -> None:
        """End the sampler, which polls once more, and take in what it read."""
        if self._process is not None:
            self._trouble = self.fate()
            process, self._process = self._process, None
            try:
                process.communicate(b"stop\n", timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
        self.update()
        self._closing.close()
