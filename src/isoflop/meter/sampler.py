"""The sampler: a process of its own that reads the boards' power and energy at a steady pace.

    python -m isoflop.meter.sampler --uuid GPU-... --period 0.1 --out polls.jsonl

A thread inside the trainer would be starved by the training loop. This process imports neither torch nor
numpy, starts in a tenth of a second, and writes one JSON line a poll, each in a single write:

    {"time": 81.25, "uuid": "GPU-...", "watts": 301.2, "power_error": null,
     "joules": 9120.5, "counter_error": null}

`time` is time.monotonic, which on Linux is one clock for all processes, taken between the two readings;
`watts` and `joules` are null where they could not be read, and the error beside them then is NVML's name for
the reason. A board's first line is {"uuid", "name", "power_field"}.

It ends when its standard input closes (so it dies with the trainer even under SIGKILL), on a line `stop`, or
when its parent is gone. It ignores the signals a terminal or a scheduler sends to a whole job: the trainer
decides when the job is over. Each board has its own thread, so that one that hangs does not blind the rest.
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
from typing import Any

from isoflop.meter import nvml

Write = Callable[[dict[str, Any]], None]

PARENT_CHECK_SECONDS = 1.0
GRACE_SECONDS = 0.3
"""How long the last polls may take once the sampler is told to stop; a call that hangs is left behind."""
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def poll(board: nvml.Device) -> dict[str, Any]:
    """Read the power, then the counter, of one board; trouble is named in the poll, never raised."""
    line = failed(board.uuid, None)
    try:
        line["watts"] = nvml.watts(board)
    except nvml.NvmlError as error:
        line["power_error"] = error.name
    line["time"] = time.monotonic()
    try:
        line["joules"] = nvml.counter_joules(board)
        line["counter_error"] = "NotSupported" if line["joules"] is None else None
    except nvml.NvmlError as error:
        line["counter_error"] = error.name
    return line


def failed(uuid: str, error: str | None) -> dict[str, Any]:
    """A poll that read nothing, and why."""
    errors = {"power_error": error, "counter_error": error}
    return {"time": time.monotonic(), "uuid": uuid, "watts": None, "joules": None} | errors


def follow(uuid: str, period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Poll one board on absolute deadlines until `stop`, and once more then. A late poll skips the deadlines
    it missed instead of shifting those that follow."""
    try:
        board = nvml.device(uuid)
    except nvml.NvmlError as error:
        write(failed(uuid, f"the board: {error.name}"))
        return
    write({"uuid": board.uuid, "name": board.name, "power_field": board.power_field})
    started, deadline = time.monotonic(), 0
    while True:
        write(poll(board))
        deadline = max(deadline + 1, math.ceil((time.monotonic() - started) / period_seconds))
        if stop.wait(max(0.0, started + deadline * period_seconds - time.monotonic())):
            write(poll(board))
            return


def sample(uuids: Sequence[str], period_seconds: float, write: Write, stop: threading.Event) -> None:
    """Start NVML and follow every board until `stop`; where NVML does not start, say so once a board."""
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        for uuid in uuids:
            write(failed(uuid, str(error)))
        return
    threads = [
        threading.Thread(target=follow, args=(uuid, period_seconds, write, stop), daemon=True)
        for uuid in uuids
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wait_for_the_end(parent: int) -> None:
    """Return when standard input closes or says stop, or when process `parent` is no longer the parent."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable:
            said = os.read(0, 4096)
            if not said or b"stop" in said:
                return


def write_line(file: int, values: dict[str, Any]) -> None:
    """Append one line in a single write, so that threads never mix theirs; a full disk loses the poll."""
    try:
        os.write(file, json.dumps(values).encode() + b"\n")
    except OSError:
        return


def main(arguments: Sequence[str]) -> None:
    """Sample until told to stop. NVML runs in threads: a call that never returns cannot keep this alive."""
    parent = os.getppid()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="isoflop.meter.sampler", description="Samples GPU power.")
    parser.add_argument("--uuid", action="append", required=True, help="a board (may be given several times)")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between polls")
    parser.add_argument("--out", required=True, help="file the polls are appended to, one JSON line each")
    options = parser.parse_args(arguments)
    file = os.open(options.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    stop = threading.Event()
    work = threading.Thread(
        target=sample,
        args=(options.uuid, options.period, functools.partial(write_line, file), stop),
        daemon=True,
    )
    work.start()
    wait_for_the_end(parent)
    stop.set()
    work.join(GRACE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)  # without waiting for a thread that hangs in the driver
