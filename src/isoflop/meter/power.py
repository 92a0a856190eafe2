"""The energy meter: joules that GPU boards draw while training is inside a window.

A sampler process reads the boards (isoflop.meter.sampler); this side only notes when windows open and close
and reads the sampler's file. It never loads NVML, and nothing that goes wrong with NVML, a board or the
sampler reaches the training: it ends as a reason. How joules, coverage and grade (A to D) come about is told
in isoflop.meter.energy.

    with EnergyMeter(uuids, idle_seconds=10) as meter:   # after the CUDA context exists
        meter.begin()
        ...                                              # train, then torch.cuda.synchronize()
        meter.end()
        ...                                              # evaluate: outside the window, not counted
        energy, reason = meter.measurement()
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from isoflop.meter.energy import Reading, choose, combine, read_board
from isoflop.meter.nvml import canonical_uuid
from isoflop.meter.trace import BoardTrace, PollReader, Window
from isoflop.record import Energy

LEAST_PERIOD_SECONDS = 0.05
REACH_PERIODS = 3.0
"""A moment counts as covered within this many periods of a poll."""
START_SECONDS = 5.0
"""How long the first poll is waited for before training goes on without it."""
SETTLE_PERIODS = 2.0
"""How long a measurement waits for a poll beyond the last window."""
STOP_SECONDS = 2.0
GLANCE_SECONDS = 0.005


class EnergyMeter:
    """Meters the boards named by `uuids` (as torch or NVML writes them; each is counted once).

    Windows add up. With `idle_seconds` the mean power over that long, taken on entry, becomes the idle
    baseline; it should be 10 s or more, after the CUDA context exists and before any work. Polls go to
    `polls_path` and stay there, or to a temporary file that is removed on exit. `measurement` may be asked
    for inside the `with` or after it.

    Raises:
        ValueError: the period is below 0.05 s (sensors are no faster) or a duration is negative.
    """

    def __init__(
        self,
        uuids: Sequence[str],
        *,
        period_seconds: float = 0.1,
        idle_seconds: float = 0.0,
        polls_path: Path | None = None,
    ) -> None:
        if not period_seconds >= LEAST_PERIOD_SECONDS:
            raise ValueError(
                f"power is polled every {period_seconds} s: use {LEAST_PERIOD_SECONDS} s or more"
            )
        if not idle_seconds >= 0:
            raise ValueError(f"the idle baseline lasts {idle_seconds} s: use 0 (none) or more")
        self._uuids = tuple(dict.fromkeys(canonical_uuid(uuid) for uuid in uuids))
        self._period_seconds = period_seconds
        self._reach_seconds = REACH_PERIODS * period_seconds
        self._idle_seconds = idle_seconds
        self._polls_path = polls_path
        self._closing = contextlib.ExitStack()
        self._sampler: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._reader: PollReader | None = None
        self._trouble: str | None = None
        self._idle: Window | None = None
        self._windows: list[Window] = []
        self._opened: float | None = None

    def __enter__(self) -> EnergyMeter:
        """Start the sampler, wait for its first poll, take the idle baseline. Never raises for NVML."""
        if not self._uuids:
            return self
        try:
            self._start()
        except OSError as error:
            self._trouble = f"the power sampler did not start: {error}"
            return self
        self._wait(lambda: all(b.last_seconds is not None for b in self._boards()), START_SECONDS)
        if self._idle_seconds > 0 and any(b.power_times or b.counter_times for b in self._boards()):
            started = time.monotonic()
            time.sleep(self._idle_seconds)
            self._idle = Window(started, time.monotonic())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the sampler, which polls once more, and keep what it read."""
        self._stop()
        if self._reader is not None:
            self._reader.update()
        self._closing.close()

    @property
    def windows(self) -> tuple[Window, ...]:
        """The closed windows."""
        return tuple(self._windows)

    @property
    def sampler_pid(self) -> int | None:
        """Process id of the sampler, or None where there is none."""
        return None if self._sampler is None else self._sampler.pid

    def begin(self) -> None:
        """Open a window: only a time stamp. The caller has waited for the GPU."""
        assert self._opened is None, "end() the window before the next begin()"
        self._opened = time.monotonic()

    def end(self) -> None:
        """Close the window: only a time stamp. The caller has waited for the GPU."""
        now = time.monotonic()
        assert self._opened is not None, "begin() a window before end()"
        if now > self._opened:
            self._windows.append(Window(self._opened, now))
        self._opened = None

    def joules_so_far(self, windows: Sequence[Window] | None = None) -> float | None:
        """Joules over the closed windows (or those of them given), by the source `measurement` would use now;
        None when unknown or before the first window. Reads what is on file and does not wait."""
        chosen_windows = self._windows if windows is None else windows
        if self._reader is None or not chosen_windows:
            return None
        self._reader.update()
        chosen = choose(self._readings(chosen_windows))
        return None if isinstance(chosen, str) else chosen[1]

    def measurement(
        self, windows: Sequence[Window] | None = None, *, replayed: bool = False, scale: float = 1.0
    ) -> tuple[Energy | None, str | None]:
        """The energy of the closed windows (or of those given), or None and the reason it is unknown.

        With a replay, `scale` = examples really trained / examples of the replay multiplies the joules;
        `window_seconds` and `devices` stay as metered. Waits up to two periods for a poll beyond the last
        window.
        """
        assert self._opened is None, "end() the window before measurement()"
        if not self._uuids:
            return None, "no GPU was named to meter"
        if self._reader is None:
            return None, self._trouble or "the meter was not entered"
        chosen = self._windows if windows is None else windows
        if not chosen:
            return None, "no window was metered"
        last = chosen[-1].end_seconds
        self._wait(lambda: all((b.last_seconds or 0) > last for b in self._boards()), self._settle_seconds)
        energy, reason = combine(self._readings(chosen), chosen, replayed=replayed, scale=scale)
        fate = self._fate()
        return energy, f"{fate}; {reason}" if reason and fate else reason

    @property
    def _settle_seconds(self) -> float:
        return SETTLE_PERIODS * self._period_seconds

    def _boards(self) -> list[BoardTrace]:
        return [] if self._reader is None else list(self._reader.boards.values())

    def _readings(self, windows: Sequence[Window]) -> list[Reading]:
        return [read_board(b, windows, self._idle, self._reach_seconds) for b in self._boards()]

    def _start(self) -> None:
        path = self._polls_path
        if path is None:
            folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="isoflop-power-"))
            path = Path(folder) / "polls.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        self._stderr = self._closing.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed on exit)
        named = [word for uuid in self._uuids for word in ("--uuid", uuid)]
        timing = ["--period", repr(self._period_seconds), "--out", str(path)]
        self._sampler = subprocess.Popen(
            [sys.executable, "-m", "isoflop.meter.sampler", *named, *timing],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self._reader = PollReader(path, self._uuids)

    def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Read polls until `ready`, until `seconds` are over or until the sampler is gone."""
        assert self._reader is not None
        limit = time.monotonic() + seconds
        alive = True
        while True:
            self._reader.update()
            if ready() or not alive or time.monotonic() >= limit:
                return
            alive = self._sampler is not None and self._sampler.poll() is None
            time.sleep(GLANCE_SECONDS)

    def _fate(self) -> str | None:
        """How the sampler ended, if it did so by itself."""
        if self._trouble or self._sampler is None or self._stderr is None:
            return self._trouble
        code = self._sampler.poll()
        if code is None:
            return None
        if code < 0:
            return f"the power sampler was killed by signal {-code}"
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the power sampler ended by itself (status {code}{': ' + said[-1] if said else ''})"

    def _stop(self) -> None:
        if self._sampler is None:
            return
        self._trouble = self._fate()
        sampler, self._sampler = self._sampler, None
        try:
            sampler.communicate(b"stop\n", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            sampler.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                sampler.wait(STOP_SECONDS)
