"""The trainer's handle on its sampler process: start it, read its file, report how it ended.

A failure of the sampler never raises into the training: it becomes a reason.
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
from isoflop.meter.energy.polls import DeviceTrace, PollReader

STOP_SECONDS = 2.0
WAIT_STEP_SECONDS = 0.005


class SamplerProcess:
    """One sampler for all devices of a meter.

    Polls are appended to `path` and stay there; without a path they go to a temporary file that is removed at
    the end. `arguments` are those of the sampler; `devices` are the UUIDs whose lines are read back.
    """

    def __init__(
        self, arguments: Sequence[str], devices: Sequence[str], period_seconds: float, path: Path | None
    ) -> None:
        self._arguments, self._devices = tuple(arguments), tuple(devices)
        self._period_seconds, self._path = period_seconds, path
        self._resources = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._reader: PollReader | None = None
        self._failure: str | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the sampler, or None if it is not running."""
        return None if self._process is None else self._process.pid

    @property
    def traces(self) -> list[DeviceTrace]:
        """The polls read so far, one trace per device; see `update`."""
        return [] if self._reader is None else list(self._reader.traces.values())

    def start(self) -> None:
        """Start the process; if that fails, `failure` says why."""
        try:
            self._start()
        except OSError as error:
            self._failure = f"the power sampler did not start: {error}"

    def _start(self) -> None:
        path = self._path
        if path is None:
            folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="isoflop-power-"))
            path = Path(folder) / "polls.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            offset = file.tell()  # the file may hold the polls of an earlier attempt: skip them
        # A file rather than a pipe: nothing here reads continuously, and a full pipe would block the sampler.
        self._stderr = self._resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed at the end)
        timing = ["--period", repr(self._period_seconds), "--out", str(path)]
        self._process = subprocess.Popen(
            child.command_line("isoflop.meter.energy.sampler", *self._arguments, *timing),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self._reader = PollReader(path, self._devices, offset)

    def update(self) -> None:
        """Read the polls written since the last call."""
        if self._reader is not None:
            self._reader.update()

    @property
    def offset(self) -> int:
        """The byte of the file up to which it has been read."""
        return 0 if self._reader is None else self._reader.offset

    def lines_since(self, offset: int) -> bytes:
        """Return what was written since `offset` and has been read, after the lines that describe devices."""
        return b"" if self._reader is None else self._reader.lines_since(offset)

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Read polls until `ready()`, until `seconds` are over or until the sampler has ended."""
        limit = time.monotonic() + seconds
        alive = True
        while True:
            # `alive` is from before this update, so that a sampler that ends is read once more after its end.
            self.update()
            if ready() or not alive or time.monotonic() >= limit:
                return
            alive = self._process is not None and self._process.poll() is None
            time.sleep(WAIT_STEP_SECONDS)

    def failure(self) -> str | None:
        """Return why the sampler did not start or how it ended by itself; None if neither happened."""
        if self._failure or self._process is None or self._stderr is None:
            return self._failure
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"the power sampler was killed by signal {-code}"
        # pread leaves the file position alone, which the sampler shares.
        size = os.fstat(self._stderr.fileno()).st_size
        lines = os.pread(self._stderr.fileno(), size, 0).decode(errors="replace").strip().splitlines()
        return f"the power sampler ended by itself (status {code}{': ' + lines[-1] if lines else ''})"

    def stop(self) -> None:
        """Tell the sampler to poll once more and end, and read what it wrote."""
        if self._process is not None:
            self._failure = self.failure()  # from here on its end is our doing
            process, self._process = self._process, None
            try:
                process.communicate(b"stop\n", timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                # In uninterruptible sleep inside the driver even SIGKILL may not take effect: do not wait on.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
        self.update()
        self._resources.close()
