"""WindowMeter: joules that GPUs and processors draw while a window is open. All other meters build on it.

A sampler process reads the sensors (meter/energy/sampler.py); this side only notes when windows open and
close, and reads the sampler's file. It never loads NVML, and no failure of NVML, a GPU or the sampler raises
into the training: it becomes a reason. Joules and coverage: isoflop.meter.energy.device_reading; choice of
the source: isoflop.meter.energy.measurement; grades: isoflop.meter.energy.grade.

    with WindowMeter(uuids, host=rapl.find(), idle_seconds=10) as meter:   # after the CUDA context exists
        meter.begin()
        ...                                              # train, then torch.cuda.synchronize()
        meter.end()
        ...                                              # evaluate: outside the window, not counted
        energy, reason = meter.measurement()

In a script of your own, use isoflop.EnergyMeter.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from isoflop.meter.device.nvml import canonical_uuid
from isoflop.meter.energy import rapl
from isoflop.meter.energy.device_reading import DeviceReading, idle_power, read_device
from isoflop.meter.energy.measurement import (
    Circumstances,
    choose_source,
    combine,
    combine_processors,
    modelled,
    processor_joules,
)
from isoflop.meter.energy.polls import DeviceTrace, Window
from isoflop.meter.energy.sampler_process import SamplerProcess
from isoflop.record import Energy

LEAST_PERIOD_SECONDS = 0.05
REACH_PERIODS = 3.0
"""A moment counts as covered within this many periods of a poll."""
START_SECONDS = 5.0
"""How long to wait for the first poll before training goes on without it."""
LATELY_SECONDS = 5.0
"""What a display calls now: some polls even of a slow sensor."""
SETTLE_PERIODS = 2.0
"""How long a measurement waits for a poll beyond the last window."""
IdlePower = Mapping[str, tuple[float | None, str | None]]
"""UUID -> mean watts of an idle device, or None and why they are unknown."""
NO_GPU = "no GPU was named to meter"


class WindowMeter:
    """Meter of named GPUs and, beside them, of the processor's counters. Windows add up.

    Without GPUs the processor's joules are the figure; without either it is `cpu_watts` x seconds, if given.
    `measurement` may be called inside the `with` or after it.

    Args:
        uuids: the GPUs, as torch or NVML writes their UUIDs; one named twice is counted once.
        host: the processor's counters.
        cpu_watts: an assumed power of the processor, used only if nothing can be read.
        period_seconds: time between polls.
        idle_seconds: on entry, measure the mean power over this long as idle baseline (0: none). Use 10 s or
            more, after the CUDA context exists and before any work.
        polls_path: file the polls are appended to and stay in; None: a temporary file.
        own_processes: compute processes a GPU should have while it is metered; None if the metered work
            starts after the meter, so that any process before it is foreign.
        no_gpu: why `uuids` is empty, for the reason of an unknown figure.

    Raises:
        ValueError: the period is below 0.05 s (sensors are no faster), a duration is negative, or cpu_watts
            is not above 0.
    """

    def __init__(
        self,
        uuids: Sequence[str],
        *,
        host: rapl.Domains = rapl.NOT_REQUESTED,
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
            raise ValueError(f"an assumed power of {cpu_watts} W: use a power above 0 W, or none")
        self._uuids = tuple(dict.fromkeys(canonical_uuid(uuid) for uuid in uuids))
        self._host, self._cpu_watts, self._no_gpu = host, cpu_watts, no_gpu
        self._own_processes = own_processes
        self._period_seconds, self._idle_seconds = period_seconds, idle_seconds
        self._reach_seconds = REACH_PERIODS * period_seconds
        arguments = [argument for uuid in self._uuids for argument in ("--uuid", uuid)]
        if host.domains:
            arguments += ["--rapl", str(host.domains[0].path.parent)]
        self._rapl_uuids = {domain.uuid for domain in host.domains}
        devices = [*self._uuids, *self._rapl_uuids]
        self._sampler = SamplerProcess(arguments, devices, period_seconds, polls_path)
        self._entered = False
        self._known_idle: IdlePower | None = None
        self._idle: Window | None = None
        self._windows: list[Window] = []
        self._opened: float | None = None

    def __enter__(self) -> WindowMeter:
        """Start the sampler, wait for its first poll, take the idle baseline. Never raises for a sensor."""
        self._entered = True
        if not self._uuids and not self._rapl_uuids:
            return self
        self._sampler.start()
        try:
            self._sampler.wait(lambda: self._all_polled_since(float("-inf")), START_SECONDS)
            if self._idle_seconds > 0 and self.has_readings:
                started = time.monotonic()
                time.sleep(self._idle_seconds)
                self._idle = Window(started, time.monotonic())
        except BaseException:  # a request to stop: there will be no __exit__
            self._sampler.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the sampler, which polls once more, and keep what it read."""
        self._sampler.stop()

    def measure_idle(self, seconds: float) -> IdlePower:
        """Return the mean power over the next `seconds`, in which nothing may run, of each device."""
        window_began = time.monotonic()
        time.sleep(seconds)
        idle = Window(window_began, time.monotonic())
        self._sampler.wait(
            lambda: self._all_polled_since(idle.end_seconds), SETTLE_PERIODS * self._period_seconds
        )
        return {t.uuid: idle_power(t, idle, self._reach_seconds) for t in self._sampler.traces}

    def use_idle(self, idle: IdlePower) -> None:
        """Subtract this power from now on, in place of that of a baseline on entry."""
        self._known_idle = idle

    def forget_polls_before(self, moment: float) -> None:
        """Drop the polls of before `moment` on time.monotonic; no later window may begin before it."""
        for trace in self._sampler.traces:
            trace.forget_before(moment)

    def mark(self) -> int:
        """Return a place in the polls, for `polls_since`."""
        self._sampler.update()
        return self._sampler.offset

    def polls_since(self, mark: int) -> bytes:
        """Return the lines that the sampler wrote from a mark on, after those that describe its devices."""
        self._sampler.update()
        return self._sampler.lines_since(mark)

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
        """Process id of the sampler, or None if there is none."""
        return self._sampler.pid

    @property
    def has_readings(self) -> bool:
        """Whether any sensor was read so far; if none was, metering longer does not help."""
        return any(t.power_times or t.counter_times for t in self._sampler.traces)

    def begin(self) -> None:
        """Open a window. Only takes a time stamp: the caller has synchronized with the GPU."""
        assert self._opened is None, "end() the window before the next begin()"
        self._opened = time.monotonic()

    def end(self) -> None:
        """Close the window. Only takes a time stamp: the caller has synchronized with the GPU."""
        now = time.monotonic()
        assert self._opened is not None, "begin() a window before end()"
        if now > self._opened:
            self._windows.append(Window(self._opened, now))
        self._opened = None

    def joules_so_far(self, windows: Sequence[Window] | None = None) -> float | None:
        """Return the joules over the closed windows (or those given), by the source `measurement` would use.

        None if unknown or before the first window. Reads what is on file and does not wait.
        """
        chosen = self._windows if windows is None else windows
        if not chosen:
            return None
        if not self._uuids and not self._rapl_uuids:
            return None if self._cpu_watts is None else self._cpu_watts * sum(w.seconds for w in chosen)
        self._sampler.update()
        if not self._uuids:
            return processor_joules(self._readings(self._processor_traces(), chosen))[0]
        source = choose_source(self._readings(self._gpu_traces(), chosen))
        return None if isinstance(source, str) else source[1]

    def watts_lately(self, seconds: float = LATELY_SECONDS) -> float | None:
        """Return the mean power over the last `seconds`, of the devices whose joules are measured, for people
        who look on; None where one of them was not read. Reads what is on file and does not wait.
        """
        if not self._uuids and not self._rapl_uuids:
            return self._cpu_watts
        self._sampler.update()
        traces = self._gpu_traces() if self._uuids else self._processor_traces()
        since = time.monotonic() - seconds
        known = [watts for trace in traces if (watts := trace.watts_since(since)) is not None]
        return sum(known) if known and len(known) == len(traces) else None

    def measurement(
        self, windows: Sequence[Window] | None = None, *, replayed: bool = False
    ) -> tuple[Energy | None, str | None]:
        """Return the energy of the closed windows (or of those given), or None and the reason.

        Waits up to two periods for a poll beyond the last window.

        Args:
            windows: the windows to add up; default: all closed ones.
            replayed: whether the windows metered a replay.
        """
        if self._uuids or self._rapl_uuids or self._cpu_watts:
            if not self._entered:
                return None, "the meter was not entered"
        else:
            return None, f"{self._no_gpu}; {self._host.reason}"
        chosen = self._windows if windows is None else windows
        if not chosen:
            return None, "no window was metered"
        # With a poll on either side of its edge the counter is interpolated there, not held.
        last = chosen[-1].end_seconds
        self._sampler.wait(lambda: self._all_polled_since(last), SETTLE_PERIODS * self._period_seconds)
        energy, reason = self._measure(chosen, replayed)
        failure = self._sampler.failure()
        return energy, f"{failure}; {reason}" if reason and failure else reason

    def _measure(self, windows: Sequence[Window], replayed: bool) -> tuple[Energy | None, str | None]:
        how = Circumstances(replayed=replayed, own_processes=self._own_processes)
        if not self._uuids and not self._rapl_uuids:
            assert self._cpu_watts is not None
            return modelled(self._cpu_watts, windows, how), None
        readings = self._readings(self._processor_traces(), windows)
        if not self._uuids:
            return combine_processors(readings, windows, how) if readings else (None, "no poll was read")
        host = processor_joules(readings) if self._rapl_uuids else (None, self._host.reason)
        gpus = self._readings(self._gpu_traces(), windows)
        if not gpus:
            return None, "no poll was read"
        return combine(gpus, windows, Circumstances(replayed, self._own_processes, host))

    def _all_polled_since(self, moment: float) -> bool:
        return all(t.last_seconds is not None and t.last_seconds > moment for t in self._sampler.traces)

    def _gpu_traces(self) -> list[DeviceTrace]:
        return [trace for trace in self._sampler.traces if trace.uuid not in self._rapl_uuids]

    def _processor_traces(self) -> list[DeviceTrace]:
        return [trace for trace in self._sampler.traces if trace.uuid in self._rapl_uuids]

    def _readings(self, traces: Sequence[DeviceTrace], windows: Sequence[Window]) -> list[DeviceReading]:
        readings = [read_device(t, windows, self._idle, self._reach_seconds) for t in traces]
        return readings if self._known_idle is None else [_with_idle(r, self._known_idle) for r in readings]


def _with_idle(reading: DeviceReading, idle: IdlePower) -> DeviceReading:
    watts, reason = idle.get(reading.trace.uuid, (None, "no idle baseline was taken"))
    return dataclasses.replace(reading, idle_watts=watts, idle_watts_reason=reason)
