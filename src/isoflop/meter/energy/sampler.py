"""Sampler process that reads power and energy at a steady pace and appends every poll to a file.

    python -m isoflop.meter.energy.sampler --uuid GPU-... --rapl FOLDER --period 0.1 --out polls.jsonl

It is a process because the training loop would starve a thread of the trainer (they share the interpreter's
lock). It imports neither torch nor numpy, starts in a tenth of a second, and appends JSON lines, each in a
single write. A poll of a GPU:

    {"time":81.250113,"uuid":"GPU-...","watts":301.2,"joules":9120.5}

`time` is time.monotonic, which on Linux is one clock for all processes, taken between the two readings. A
reading that failed is left out, and power_error or counter_error holds NVML's name for the error. A power
that cannot be true (meter/device/plausible.py) has failed too, whatever NVML says: it stands as
rejected_watts. About once a second follows the GPU's state, from a thread of its own, since these calls can
be slow:

    {"time":81.25,"uuid":"GPU-...","celsius":61,"sm_clock_mhz":1410,"throttle":["SwPowerCap"],
     "power_limit_watts":400.0,"processes":1,"busy_share":0.98}

A processor's counters (RAPL) are polled likewise, without watts and with their wrap-around undone. The first
line of each device is {"uuid", "name", "power_field", "board", "mig"}, with the UUID of the physical GPU
under "board". If that GPU is polled already (two MIG instances of one GPU), the line is {"uuid", "same_as"}
instead and no polls follow.

The sampler ends when its standard input closes (so it dies with the trainer even under SIGKILL), on a line
`stop`, or when its parent is gone. It ignores the signals that a terminal or a scheduler sends to a whole
job: the trainer decides when metering ends. Each GPU has its own threads, so a call that hangs on one GPU
does not delay the polls of the others.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isoflop.meter.device import nvml, plausible
from isoflop.meter.energy import rapl

Line = dict[str, Any]
Write = Callable[[Line], None]

PARENT_CHECK_SECONDS = 1.0
STATE_SECONDS = 1.0
"""Period of the polls of a GPU's temperature, clock, throttle reasons, power cap and processes."""
GRACE_SECONDS = 0.3
"""How long the last polls may take once the sampler is told to stop; a thread that hangs is abandoned."""
IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class PlausiblePower:
    """Range of a GPU's power by the highest limit seen, which the thread of the state reports."""

    def __init__(self) -> None:
        self._limit_watts: float | None = None

    def report_limit(self, watts: float | None) -> None:
        """Take note of the limit in force. A lowered one counts no less: power falls after its limit does."""
        if watts is not None:
            self._limit_watts = max(watts, self._limit_watts or 0.0)

    @property
    def range(self) -> plausible.PowerRange:
        """What a reading can be now."""
        return plausible.power_range(self._limit_watts)


def poll(gpu: nvml.Device, uuid: str, power: PlausiblePower) -> Line:
    """Read the power, then the counter, of one GPU; an error becomes part of the poll and is never raised."""
    line: Line = {"time": 0.0, "uuid": uuid}
    try:
        watts = nvml.watts(gpu)
        if power.range.contains(watts):
            line["watts"] = round(watts, 3)
        else:
            line |= {"rejected_watts": round(watts, 3), "power_error": f"read {watts:.3g} W"}
    except nvml.NvmlError as error:
        line["power_error"] = error.name
    # One time for both readings, taken between them, so that neither is off by the duration of both calls.
    line["time"] = _now()
    try:
        joules = nvml.counter_joules(gpu)
        line |= {"counter_error": "NotSupported"} if joules is None else {"joules": round(joules, 3)}
    except nvml.NvmlError as error:
        line["counter_error"] = error.name
    return line


def failed_poll(uuid: str, error: str) -> Line:
    """Return a poll that read nothing, with its error."""
    return {"time": _now(), "uuid": uuid, "power_error": error, "counter_error": error}


def poll_state(gpu: nvml.Device, uuid: str, power: PlausiblePower) -> Line:
    """Read a GPU's state; what it does not support is null, and the last error is named in `state_error`."""
    line: Line = {"time": _now(), "uuid": uuid}
    readings: dict[str, Callable[[nvml.Device], Any]] = {
        "celsius": nvml.temperature_celsius,
        "sm_clock_mhz": nvml.sm_clock_mhz,
        "throttle": nvml.throttle_reasons,
        "power_limit_watts": nvml.power_limit_watts,
        "processes": nvml.compute_processes,
        "busy_share": nvml.busy_share,
    }
    for name, read_value in readings.items():
        try:
            line[name] = read_value(gpu)
        except nvml.NvmlError as error:
            line |= {name: None, "state_error": error.name}
    if line["processes"] is not None:
        line["processes"] = len(line["processes"])
    power.report_limit(line["power_limit_watts"])
    return line


def _now() -> float:
    return round(time.monotonic(), 6)


def pace(read_line: Callable[[], Line], period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Write a reading per period until `stop`, and a last one then."""
    # Deadlines are multiples of the period from the start, so that delays do not accumulate. A reading that
    # takes longer than a period skips the deadlines it missed: catching up would only crowd the polls.
    started, deadline = time.monotonic(), 0
    while True:
        write(read_line())
        deadline = max(deadline + 1, math.ceil((time.monotonic() - started) / period_seconds))
        if stop.wait(max(0.0, started + deadline * period_seconds - time.monotonic())):
            # The last window may have closed after the previous poll: its edge needs a poll beyond it.
            write(read_line())
            return


class PolledGpus:
    """Physical GPUs that are polled already, with the UUID each was requested by; shared by threads."""

    def __init__(self) -> None:
        self._requested_by: dict[str, str] = {}
        self._lock = threading.Lock()

    def claim(self, gpu: str, uuid: str) -> str:
        """Return the UUID under which `gpu` is polled: `uuid` if it is the first to request this GPU."""
        with self._lock:
            return self._requested_by.setdefault(gpu, uuid)


def sample_gpu(
    uuid: str, period_seconds: float, write: Write, stop: threading.Event, polled: PolledGpus
) -> None:
    """Poll one GPU until `stop`, and its state in a second thread.

    Args:
        uuid: UUID of a GPU, or of a MIG instance, whose whole GPU is then polled.
        period_seconds: time between polls.
        write: appends a line to the file.
        stop: ends the polling.
        polled: the GPUs that other threads poll.
    """
    try:
        gpu = nvml.device_by_uuid(uuid)
    except nvml.NvmlError as error:
        write(failed_poll(uuid, f"the GPU: {error.name}"))
        return
    # Sensors are those of the whole GPU: two MIG instances of it, both polled, would count its joules twice.
    if (first := polled.claim(gpu.uuid, uuid)) != uuid:
        write({"uuid": uuid, "same_as": first})
        return
    description = {"name": gpu.name, "power_field": gpu.power_field, "board": gpu.uuid, "mig": gpu.mig}
    write({"uuid": uuid} | description)
    power = PlausiblePower()
    with contextlib.suppress(nvml.NvmlError):  # before the first poll; an error now may be gone at the next
        power.report_limit(nvml.power_limit_watts(gpu))
    _thread(pace, functools.partial(poll_state, gpu, uuid, power), STATE_SECONDS, write, stop)
    pace(functools.partial(poll, gpu, uuid, power), period_seconds, write, stop)


def sample_gpus(uuids: Sequence[str], period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Initialise NVML and poll every GPU until `stop`; if NVML fails, write one failed poll per GPU."""
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        for uuid in uuids:
            write(failed_poll(uuid, str(error)))
        return
    polled = PolledGpus()
    threads = [_thread(sample_gpu, uuid, period_seconds, write, stop, polled) for uuid in uuids]
    for thread in threads:
        thread.join()


class RaplCounter:
    """Reader of one RAPL counter that undoes its wrap-around."""

    def __init__(self, domain: rapl.Domain) -> None:
        self._domain = domain
        self._last: float | None = None
        self._joules = 0.0

    def __call__(self) -> Line:
        """Return a poll: joules since the first one."""
        line: Line = {"time": _now(), "uuid": self._domain.uuid}
        try:
            reading = rapl.read_joules(self._domain)
        except rapl.RaplError as error:
            return line | {"counter_error": str(error)}
        if self._last is not None:
            self._joules += rapl.rise(self._last, reading, self._domain.range_joules)
        self._last = reading
        return line | {"joules": round(self._joules, 6)}


def sample_processors(root: Path, period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Poll every RAPL counter under `root` until `stop`."""
    domains = rapl.find(root).domains
    for domain in domains:
        description = {"name": domain.uuid.removeprefix("RAPL "), "power_field": rapl.FIELD}
        write({"uuid": domain.uuid, "board": domain.uuid, "mig": None} | description)
    threads = [_thread(pace, RaplCounter(domain), period_seconds, write, stop) for domain in domains]
    for thread in threads:
        thread.join()


def _thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    # Daemon threads: one that hangs inside the driver must not keep the process alive.
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def wait_for_end(parent: int) -> None:
    """Return when standard input closes or says stop, or when process `parent` is no longer the parent."""
    # Closing of the pipe alone is not enough: a data worker forked from the trainer inherits its writing end
    # and keeps it open after the trainer was killed. Then only the changed parent id tells.
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable:
            received = os.read(0, 4096)
            if not received or b"stop" in received:
                return


def write_line(file: int, values: Line) -> None:
    """Append one line; on a full disk the poll is lost."""
    try:
        # O_APPEND and one write per line: lines of different threads never interleave.
        os.write(file, json.dumps(values, separators=(",", ":")).encode() + b"\n")
    except OSError:
        return


def main(arguments: Sequence[str]) -> None:
    """Sample until told to stop."""
    parent = os.getppid()  # before anything slow, so that a parent that dies meanwhile is noticed
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parser = argparse.ArgumentParser(
        prog="isoflop.meter.energy.sampler", description="Samples power and energy."
    )
    parser.add_argument("--uuid", action="append", default=[], help="a GPU (may be given several times)")
    parser.add_argument("--rapl", type=Path, help="the powercap folder, to poll the processor too")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between polls")
    parser.add_argument("--out", required=True, help="file the polls are appended to, one JSON line each")
    options = parser.parse_args(arguments)
    file = os.open(options.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    write, stop = functools.partial(write_line, file), threading.Event()
    # NVML runs in threads only: the main thread stays free to notice the end even if a call never returns.
    threads = []
    if options.uuid:
        threads.append(_thread(sample_gpus, options.uuid, options.period, write, stop))
    if options.rapl:
        threads.append(_thread(sample_processors, options.rapl, options.period, write, stop))
    wait_for_end(parent)
    stop.set()
    limit = time.monotonic() + GRACE_SECONDS
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))


def run(arguments: Sequence[str]) -> None:
    """Call `main`, then end the process without waiting for a thread that hangs in the driver."""
    main(arguments)
    os._exit(0)  # a normal exit would run the interpreter's teardown beside that thread


if __name__ == "__main__":
    run(sys.argv[1:])
