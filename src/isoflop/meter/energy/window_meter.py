"""The meter under the meters: joules that boards and processors draw while a window is open.

A sampler process reads the sensors (meter/energy/sampler.py); this side only notes when windows open and
close and reads the sampler's file. It never loads NVML, and nothing that goes wrong with NVML, a board or the
sampler reaches the training: it ends as a reason. How joules and coverage come about is told in
isoflop.meter.energy.measurement, grades in isoflop.meter.energy.grade.

    with WindowMeter(uuids, host=rapl.find(), idle_seconds=10) as meter:   # after the CUDA context exists
        meter.begin()
        ...                                              # train, then torch.cuda.synchronize()
        meter.end()
        ...                                              # evaluate: outside the window, not counted
        energy, reason = meter.measurement()

For a script of your own isoflop.EnergyMeter is the one to use.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from isoflop.meter.device.nvml import canonical_uuid
from isoflop.meter.energy import rapl
from isoflop.meter.energy.measurement import (
    Circumstances,
    Reading,
    choose,
    combine,
    combine_processors,
    modelled,
    processors,
    read_board,
)
from isoflop.meter.energy.polls import BoardTrace, Window
from isoflop.meter.energy.sampling import Sampling
from isoflop.record import Energy

LEAST_PERIOD_SECONDS = 0.05
REACH_PERIODS = 3.0
"""A moment counts as covered within this many periods of a poll."""
START_SECONDS = 5.0
"""How long the first poll is waited for before training goes on without it."""
SETTLE_PERIODS = 2.0
"""How long a measurement waits for a poll beyond the last window."""
NO_GPU = "no GPU was named to meter"


class WindowMeter:
    """Meters the boards named by `uuids` (as torch or NVML writes them; each is counted once) and, beside
    them, the processor's counters in `host`. Without boards the processor is the figure; without either it is
    `cpu_watts`, a power that is assumed, where one is given.

    Windows add up. With `idle_seconds` the mean power over that long, taken on entry, becomes the idle
    baseline; it should be 10 s or more, after the CUDA context exists and before any work. Polls are appended
    to `polls_path` and stay there, or go to a temporary file that is removed on exit. `measurement` may be
    asked for inside the `with` or after it. `own_processes`: compute processes a board should hold while it
    is metered; None where the work starts after the meter, so that those before it are others'. `no_gpu` is
    the reason why there are no uuids.

    Raises:
        ValueError: the period is below 0.05 s (sensors are no faster), a duration is negative, or cpu_watts
            is not above 0.
    """

    def __init__(
        self,
        uuids: Sequence[str],
        *,
        host: rapl.Found = rapl.NOT_ASKED,
        cpu_watts: float | None = None,
        period_seconds: float = 0.1,
        idle_seconds: float = 0.0,
        polls_path: Path | None = None,
        own_processes: int | None = 1,
        no_gpu: str = NO_GPU,
    ) -> None:
        if not period_seconds >= LEAST_PERIOD_SECONDS:
            raise ValueError(
                f"power is polled every {period_seconds} s: use {LEAST_PERIOD_SECONDS} s or more"
            )
        if not idle_seconds >= 0:
            raise ValueError(f"the idle baseline lasts {idle_seconds} s: use 0 (none) or more")
        if cpu_watts is not None and not cpu_watts > 0:
            raise ValueError(f"an assumed power of {cpu_watts} W: give one above 0, or none")
        self._uuids = tuple(dict.fromkeys(canonical_uuid(uuid) for uuid in uuids))
        self._host, self._cpu_watts, self._no_gpu = host, cpu_watts, no_gpu
        self._own_processes = own_processes
        self._period_seconds, self._idle_seconds = period_seconds, idle_seconds
        self._reach_seconds = REACH_PERIODS * period_seconds
        named = [word for uuid in self._uuids for word in ("--uuid", uuid)]
        if host.domains:
            named += ["--rapl", str(host.domains[0].path.parent)]
        self._domains = {domain.uuid for domain in host.domains}
        self._sampling = Sampling(named, [*self._uuids, *self._domains], period_seconds, polls_path)
        self._entered = False
        self._idle: Window | None = None
        self._windows: list[Window] = []
        self._opened: float | None = None

    def __enter__(self) -> WindowMeter:
        """Start the sampler, wait for its first poll, take the idle baseline. Never raises for a sensor."""
        self._entered = True
        if not self._uuids and not self._domains:
            return self
        self._sampling.start()
        self._sampling.wait(lambda: self._polled_since(float("-inf")), START_SECONDS)
        if self._idle_seconds > 0 and self.senses:
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
        self._sampling.stop()

    @property
    def windows(self) -> tuple[Window, ...]:
        """The closed windows."""
        return tuple(self._windows)

    @property
    def open_window(self) -> Window | None:
        """The window that is open, up to now."""
        return None if self._opened is None else Window(self._opened, time.monotonic())

    @property
    def sampler_pid(self) -> int | None:
        """Process id of the sampler, or None where there is none."""
        return self._sampling.pid

    @property
    def senses(self) -> bool:
        """Whether any sensor was read so far: where none is, a longer window would tell no more."""
        return any(b.power_times or b.counter_times for b in self._sampling.boards)

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
        chosen = self._windows if windows is None else windows
        if not chosen:
            return None
        if not self._uuids and not self._domains:
            return None if self._cpu_watts is None else self._cpu_watts * sum(w.seconds for w in chosen)
        self._sampling.update()
        if not self._uuids:
            return processors(self._readings(self._processors(), chosen))[0]
        found = choose(self._readings(self._boards(), chosen))
        return None if isinstance(found, str) else found[1]

    def measurement(
        self, windows: Sequence[Window] | None = None, *, replayed: bool = False, scale: float = 1.0
    ) -> tuple[Energy | None, str | None]:
        """The energy of the closed windows (or of those given), or None and the reason it is unknown.

        With a replay, `scale` = examples really trained / examples of the replay multiplies the joules;
        `window_seconds` and `devices` stay as metered. Waits up to two periods for a poll beyond the last
        window.
        """
        if self._uuids or self._domains or self._cpu_watts:
            if not self._entered:
                return None, "the meter was not entered"
        else:
            return None, f"{self._no_gpu}; {self._host.reason}"
        chosen = self._windows if windows is None else windows
        if not chosen:
            return None, "no window was metered"
        last = chosen[-1].end_seconds
        self._sampling.wait(lambda: self._polled_since(last), SETTLE_PERIODS * self._period_seconds)
        energy, reason = self._measure(chosen, replayed, scale)
        fate = self._sampling.fate()
        return energy, f"{fate}; {reason}" if reason and fate else reason

    def _measure(
        self, windows: Sequence[Window], replayed: bool, scale: float
    ) -> tuple[Energy | None, str | None]:
        how = Circumstances(replayed=replayed, scale=scale, own_processes=self._own_processes)
        if not self._uuids and not self._domains:
            assert self._cpu_watts is not None
            return modelled(self._cpu_watts, windows, how), None
        readings = self._readings(self._processors(), windows)
        if not self._uuids:
            return combine_processors(readings, windows, how) if readings else (None, "no poll was read")
        host = processors(readings) if self._domains else (None, self._host.reason)
        boards = self._readings(self._boards(), windows)
        if not boards:
            return None, "no poll was read"
        return combine(boards, windows, Circumstances(replayed, scale, self._own_processes, host))

    def _polled_since(self, moment: float) -> bool:
        return all(b.last_seconds is not None and b.last_seconds > moment for b in self._sampling.boards)

    def _boards(self) -> list[BoardTrace]:
        return [board for board in self._sampling.boards if board.uuid not in self._domains]

    def _processors(self) -> list[BoardTrace]:
        return [board for board in self._sampling.boards if board.uuid in self._domains]

    def _readings(self, boards: Sequence[BoardTrace], windows: Sequence[Window]) -> list[Reading]:
        return [read_board(b, windows, self._idle, self._reach_seconds) for b in boards]
