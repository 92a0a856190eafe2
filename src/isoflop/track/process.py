"""The process of a tracker: reads events from standard input, one JSON line each, and tells the tracker.

It ignores the signals that a terminal or a scheduler sends to a whole job, and ends by itself: when the feed
is over and the tracker has finished, or `wait_seconds` after that, whatever the tracker does. A line on
standard error says what went wrong. It yields the processor to training.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import msgspec

from isoflop import record
from isoflop.track.events import DECODER, Begin, End, Ending, Event, Point, Tracker

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
TOLD = 3
"""Exit code where a line has said what went wrong."""
NICE = 10
TRACKERS = {
    "wandb": "isoflop.track.wandb_run:WandbTracker",
    "tensorboard": "isoflop.track.tensorboard_run:TensorboardTracker",
}


def tell(name: str, words: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"isoflop: tracker {name}: {' '.join(words.split())}\n")
        sys.stderr.flush()


def make(path: str) -> Tracker:
    """The tracker that `module:Name` names."""
    module, _, name = path.partition(":")
    found: Tracker = getattr(importlib.import_module(module), name)()
    return found


def ending(begin: Begin, told: bool) -> Ending:
    """The records that were written, and the files beside them.

    Where the end was not `told` (the process was killed, or the pipe was full) the last record says whether
    this attempt reached it.
    """
    cell, found, files = begin.cell, [], []
    for path in map(Path, begin.records):
        with contextlib.suppress(record.RecordError, OSError):
            found.append(record.read(path))
            files.append(path)
    reached = len(found) == len(begin.records) and found[-1].attempt == cell.attempt
    if not (told or reached):
        found, files = [], []
    directory = Path(cell.directory)
    beside = (directory / "power" / f"{cell.run_id}.jsonl", directory / "logs" / f"{cell.run_id}.log")
    return Ending(tuple(found), (*files, *(path for path in beside if path.is_file())))


def _read(feed: BinaryIO, events: queue.SimpleQueue[Event | None], name: str, wait_seconds: float) -> None:
    """Take the feed off the pipe as it comes, so that it never fills; then give the tracker its time."""
    for line in feed:
        with contextlib.suppress(msgspec.DecodeError):
            events.put(DECODER.decode(line))
    events.put(None)
    watch = threading.Timer(wait_seconds, _leave, (name, wait_seconds))
    watch.daemon = True
    watch.start()


def _leave(name: str, wait_seconds: float) -> None:
    tell(name, f"not finished {wait_seconds:g} s after the run: given up")
    os._exit(TOLD)


def follow(tracker: Tracker, begin: Begin, events: queue.SimpleQueue[Event | None]) -> None:
    """Tell the tracker what comes, to the end of the feed."""
    tracker.begin(begin.cell)
    told = False
    while (event := events.get()) is not None:
        if isinstance(event, Point):
            tracker.point(event.point, event.steps_done)
        told = told or isinstance(event, End)
    tracker.end(ending(begin, told))


def run(arguments: list[str]) -> None:
    """Follow the feed on standard input. Arguments: the tracker's name, its `module:Name` where it is the
    user's own, and seconds it may take after the feed."""
    name, path, wait_seconds = arguments[0], arguments[1], float(arguments[2])
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    feed = os.fdopen(os.dup(0), "rb")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    if name == "custom":
        sys.path.append(str(Path.cwd()))
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(feed, events, name, wait_seconds), daemon=True).start()
    first = events.get()
    if not isinstance(first, Begin):
        return
    try:
        follow(make(path or TRACKERS[name]), first, events)
    except BaseException as error:
        tell(name, f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}")
        sys.stderr.flush()
        os._exit(TOLD)
