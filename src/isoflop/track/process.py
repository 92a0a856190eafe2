"""The tracker's own process: read events from standard input, one JSON line each, and pass them on.

It ignores the signals that a terminal or a scheduler sends to a whole job, so that it can finish after the
run. It ends once the feed is over and the tracker has finished, or when it has made no progress for
`wait_seconds` after the end of the feed. What goes wrong is one line on standard error. It runs at low
priority, so that on a busy machine it may need many times as long as alone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from isoflop import record
from isoflop.track import unfinished
from isoflop.track.events import (
    DECODER,
    Begin,
    End,
    Ending,
    Evaluation,
    Event,
    Tracker,
    Trained,
    WatchesTraining,
)

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
REPORTED = 3
"""Exit code of a process that has printed what went wrong."""
NICE = 10
LONGEST = 20
"""A tracker that works on and on is given up after so many times `wait_seconds`."""
WORKING_SHARE = 0.05
"""Less than this share of the time, run or waiting for a processor, is no progress: a tracker that polls."""
EventQueue = queue.SimpleQueue[Event | None]
"""Events in order; None after the last."""
TRACKERS = {
    "wandb": "isoflop.track.wandb_run:WandbTracker",
    "tensorboard": "isoflop.track.tensorboard_run:TensorboardTracker",
}


def print_error(name: str, message: str) -> None:
    """Print one line on standard error, if that can still be written."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"isoflop: tracker {name}: {' '.join(message.split())}\n")
        sys.stderr.flush()


def make(path: str) -> Tracker:
    """Return a new tracker of the class that `module:Name` names."""
    module, _, name = path.partition(":")
    tracker: Tracker = getattr(importlib.import_module(module), name)()
    return tracker


def ending(begin: Begin, *, end_received: bool) -> Ending:
    """Return the records that were written, and the files beside them.

    If no `End` came (the process was killed, or the pipe was full), the last record tells whether this
    attempt finished: its attempt number is then the one of `begin`.
    """
    run, finished, files = begin.run, [], []
    for path in map(Path, begin.records):
        with contextlib.suppress(record.RecordError, OSError):
            finished.append(record.read(path))
            files.append(path)
    reached = len(finished) == len(begin.records) and finished[-1].attempt == run.attempt
    if not (end_received or reached):
        finished, files = [], []
    directory = Path(run.directory)
    beside = (directory / "power" / f"{run.run_id}.jsonl", directory / "logs" / f"{run.run_id}.log")
    return Ending(tuple(finished), (*files, *(path for path in beside if path.is_file())))


def _read_feed(feed: BinaryIO, events: EventQueue, name: str, wait_seconds: float) -> None:
    """Move events from the pipe to a queue as they come, so that a slow tracker does not fill the pipe.

    Runs in a thread of its own. After the end of the feed it watches for progress.
    """
    for line in feed:
        with contextlib.suppress(msgspec.DecodeError):
            events.put(DECODER.decode(line))
    events.put(None)
    _give_up_without_progress(name, wait_seconds, events)


def _give_up_without_progress(name: str, wait_seconds: float, events: EventQueue) -> None:
    """End the process, whatever its main thread hangs in, once it has done nothing for `wait_seconds`.

    Progress is an event taken, or a share of a processor used or waited for: a tracker that is imported or
    writes beside busy runs is slow, and one that hangs does neither.
    """
    period = max(0.01, min(1.0, wait_seconds / 10))
    began = last = time.monotonic()
    idle, worked, left = 0.0, _worked_seconds(), events.qsize()
    while idle < wait_seconds and last - began < LONGEST * wait_seconds:
        time.sleep(period)
        now, worked_now, left_now = time.monotonic(), _worked_seconds(), events.qsize()
        progress = left_now < left or worked_now - worked > WORKING_SHARE * (now - last)
        idle = 0.0 if progress else idle + period
        last, worked, left = now, worked_now, left_now
    print_error(name, f"no progress for {idle:.3g} s, {last - began:.3g} s after the run: given up")
    os._exit(REPORTED)


def _worked_seconds() -> float:
    """Return the seconds that this process's threads have run, or waited for a processor while they could."""
    waited = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):  # nothing where there is no /proc
        with contextlib.suppress(OSError, IndexError, ValueError):
            waited += int(task.read_text().split()[1])
    return time.process_time() + waited * 1e-9


def follow(tracker: Tracker, begin: Begin, events: EventQueue) -> None:
    """Pass events to the tracker until the feed ends."""
    tracker.begin(begin.run)
    end_received = whole = False
    while (event := events.get()) is not None:
        if isinstance(event, Evaluation):
            tracker.point(event.point, event.steps_done)
        if isinstance(event, Trained) and isinstance(tracker, WatchesTraining):
            tracker.interval(event.interval, event.steps_done)
        if isinstance(event, End):
            end_received, whole = True, event.dropped == 0
    ended = ending(begin, end_received=end_received)
    tracker.end(ended)
    if whole or ended.state == "killed":
        unfinished.finish(Path(begin.run.directory), begin.run.run_id, begin.run.settings.name)


def run(arguments: list[str]) -> None:
    """Follow the feed on standard input.

    Args:
        arguments: The tracker's name, its `module:Name` or "" for a built-in one, and the seconds that it may
            take after the end of the feed.
    """
    name, path, wait_seconds = arguments[0], arguments[1], float(arguments[2])
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    # A tracker that reads standard input must not read the feed: it gets /dev/null instead.
    feed = os.fdopen(os.dup(0), "rb")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    if name == "custom":
        sys.path.append(str(Path.cwd()))
    events: EventQueue = queue.SimpleQueue()
    threading.Thread(target=_read_feed, args=(feed, events, name, wait_seconds), daemon=True).start()
    first = events.get()
    if not isinstance(first, Begin):
        return
    try:
        follow(make(path or TRACKERS[name]), first, events)
    except BaseException as error:  # also SystemExit: whatever a tracker raises costs one line
        print_error(
            name, f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"
        )
        sys.stderr.flush()
        os._exit(REPORTED)
