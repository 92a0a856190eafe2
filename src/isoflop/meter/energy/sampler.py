"""The sampler: a process of its own that reads power and energy at a steady pace.

    python -m isoflop.meter.energy.sampler --uuid GPU-... --rapl FOLDER --period 0.1 --out polls.jsonl

A thread inside the trainer would be starved by the training loop. This process imports neither torch nor
numpy, starts in a tenth of a second, and appends JSON lines, each in a single write. A poll of a board:

    {"time":81.250113,"uuid":"GPU-...","watts":301.2,"joules":9120.5}

`time` is time.monotonic, which on Linux is one clock for all processes, taken between the two readings. What
could not be read is left out, and power_error or counter_error holds NVML's name for the reason. About once
a second comes the board's state, from a thread of its own, since these calls can be slow:

    {"time":81.25,"uuid":"GPU-...","celsius":61,"sm_clock_mhz":1410,"throttle":["SwPowerCap"],
     "power_limit_watts":400.0,"processes":1}

A processor's counters (RAPL) are polled likewise, without watts and with their wrap-around undone. The first
line of each device is {"uuid", "name", "power_field", "board", "mig"}; one that turns out to be a board
already followed (two slices of one) is {"uuid", "same_as"} and is not polled twice.

It ends when its standard input closes (so it dies with the trainer even under SIGKILL), on a line `stop`, or
when its parent is gone. It ignores the signals a terminal or a scheduler sends to a whole job: the trainer
decides when the job is over. Each board has its own threads, so that one that hangs does not blind the rest.
"""

from __future__ import annotations

import argparse
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

from isoflop.meter.device import nvml
from isoflop.meter.energy import rapl

Line = dict[str, Any]
Write = Callable[[Line], None]

PARENT_CHECK_SECONDS = 1.0
STATE_SECONDS = 1.0
"""How often a board's temperature, clock and the like are read."""
GRACE_SECONDS = 0.3
"""How long the last polls may take once the sampler is told to stop; a call that hangs is left behind."""
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def poll(board: nvml.Device, uuid: str) -> Line:
    """Read the power, then the counter, of one board; trouble is named in the poll, never raised."""
    line: Line = {"time": 0.0, "uuid": uuid}
    try:
        line["watts"] = round(nvml.watts(board), 3)
    except nvml.NvmlError as error:
        line["power_error"] = error.name
    line["time"] = _now()
    try:
        joules = nvml.counter_joules(board)
        line |= {"counter_error": "NotSupported"} if joules is None else {"joules": round(joules, 3)}
    except nvml.NvmlError as error:
        line["counter_error"] = error.name
    return line


def failed(uuid: str, error: str) -> Line:
    """A poll that read nothing, and why."""
    return {"time": _now(), "uuid": uuid, "power_error": error, "counter_error": error}


def state(board: nvml.Device, uuid: str) -> Line:
    """What may explain or spoil a reading; what the board does not offer is null, trouble is named."""
    line: Line = {"time": _now(), "uuid": uuid}
    readings: dict[str, Callable[[nvml.Device], Any]] = {
        "celsius": nvml.temperature_celsius,
        "sm_clock_mhz": nvml.sm_clock_mhz,
        "throttle": nvml.throttle_reasons,
        "power_limit_watts": nvml.power_limit_watts,
        "processes": nvml.compute_processes,
    }
    for name, read in readings.items():
        try:
            line[name] = read(board)
        except nvml.NvmlError as error:
            line |= {name: None, "state_error": error.name}
    if line["processes"] is not None:
        line["processes"] = len(line["processes"])
    return line


def _now() -> float:
    return round(time.monotonic(), 6)


def pace(read: Callable[[], Line], period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Read on absolute deadlines until `stop`, and once more then. A late reading skips the deadlines it
    missed instead of shifting those that follow."""
    started, deadline = time.monotonic(), 0
    while True:
        write(read())
        deadline = max(deadline + 1, math.ceil((time.monotonic() - started) / period_seconds))
        if stop.wait(max(0.0, started + deadline * period_seconds - time.monotonic())):
            write(read())
            return


class Boards:
    """Which boards are followed already, by the UUID they were asked for; threads share it."""

    def __init__(self) -> None:
        self._asked_as: dict[str, str] = {}
        self._lock = threading.Lock()

    def claim(self, board: str, uuid: str) -> str:
        """The UUID under which `board` is followed: `uuid` where it is the first to ask."""
        with self._lock:
            return self._asked_as.setdefault(board, uuid)


def follow(uuid: str, period_seconds: float, write: Write, stop: threading.Event, boards: Boards) -> None:
    """Poll one board until `stop`, its state in a thread beside."""
    try:
        board = nvml.device(uuid)
    except nvml.NvmlError as error:
        write(failed(uuid, f"the board: {error.name}"))
        return
    if (first := boards.claim(board.uuid, uuid)) != uuid:
        write({"uuid": uuid, "same_as": first})
        return
    told = {"name": board.name, "power_field": board.power_field, "board": board.uuid, "mig": board.mig}
    write({"uuid": uuid} | told)
    _thread(pace, functools.partial(state, board, uuid), STATE_SECONDS, write, stop)
    pace(functools.partial(poll, board, uuid), period_seconds, write, stop)


def sample_boards(uuids: Sequence[str], period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Start NVML and follow every board until `stop`; where NVML does not start, say so once a board."""
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        for uuid in uuids:
            write(failed(uuid, str(error)))
        return
    boards = Boards()
    threads = [_thread(follow, uuid, period_seconds, write, stop, boards) for uuid in uuids]
    for thread in threads:
        thread.join()


class Processor:
    """Reads one RAPL counter and undoes its wrap-around."""

    def __init__(self, domain: rapl.Domain) -> None:
        self._domain = domain
        self._last: float | None = None
        self._joules = 0.0

    def __call__(self) -> Line:
        """A poll: joules since the first one."""
        line: Line = {"time": _now(), "uuid": self._domain.uuid}
        try:
            read = rapl.read_joules(self._domain)
        except rapl.RaplError as error:
            return line | {"counter_error": str(error)}
        if self._last is not None:
            self._joules += rapl.rise(self._last, read, self._domain.range_joules)
        self._last = read
        return line | {"joules": round(self._joules, 6)}


def sample_processors(root: Path, period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Poll every RAPL counter under `root` until `stop`."""
    domains = rapl.find(root).domains
    for domain in domains:
        name = {"name": domain.uuid.removeprefix("RAPL "), "power_field": rapl.FIELD}
        write({"uuid": domain.uuid, "board": domain.uuid, "mig": None} | name)
    threads = [_thread(pace, Processor(domain), period_seconds, write, stop) for domain in domains]
    for thread in threads:
        thread.join()


def _thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def wait_for_the_end(parent: int) -> None:
    """Return when standard input closes or says stop, or when process `parent` is no longer the parent."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable:
            said = os.read(0, 4096)
            if not said or b"stop" in said:
                return


def write_line(file: int, values: Line) -> None:
    """Append one line in a single write, so that threads never mix theirs; a full disk loses the poll."""
    try:
        os.write(file, json.dumps(values, separators=(",", ":")).encode() + b"\n")
    except OSError:
        return


def main(arguments: Sequence[str]) -> None:
    """Sample until told to stop. NVML runs in threads: a call that never returns cannot keep this alive."""
    parent = os.getppid()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    parser = argparse.ArgumentParser(
        prog="isoflop.meter.energy.sampler", description="Samples power and energy."
    )
    parser.add_argument("--uuid", action="append", default=[], help="a board (may be given several times)")
    parser.add_argument("--rapl", type=Path, help="the powercap folder, to poll the processor too")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between polls")
    parser.add_argument("--out", required=True, help="file the polls are appended to, one JSON line each")
    options = parser.parse_args(arguments)
    file = os.open(options.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    write, stop = functools.partial(write_line, file), threading.Event()
    work = []
    if options.uuid:
        work.append(_thread(sample_boards, options.uuid, options.period, write, stop))
    if options.rapl:
        work.append(_thread(sample_processors, options.rapl, options.period, write, stop))
    wait_for_the_end(parent)
    stop.set()
    limit = time.monotonic() + GRACE_SECONDS
    for thread in work:
        thread.join(max(0.0, limit - time.monotonic()))


def run(arguments: Sequence[str]) -> None:
    """`main`, and then the end of the process, without waiting for a thread that hangs in the driver."""
    main(arguments)
    os._exit(0)


if __name__ == "__main__":
    run(sys.argv[1:])
