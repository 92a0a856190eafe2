"""Progress where there is no terminal: lines in a pipe, a file, a notebook or the log of a job.

A run that ends gives a line, in sweeps of up to LISTED runs. Otherwise, and while a run takes long, a line
comes after 10 s, then after ever longer pauses up to 5 min, so that a week is some two thousand lines.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from isoflop.api import progress_text as text
from isoflop.api import result_text
from isoflop.api.live import RunState, repeated
from isoflop.api.sweep_state import SweepState
from isoflop.config import Config
from isoflop.record import CurvePoint, Record
from isoflop.report.text.numerals import plural, seconds
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job

FIRST_SECONDS, LONGEST_SECONDS = 10.0, 300.0
LISTED = 100
"""Runs of a sweep up to which each gets a line as it ends; of larger ones those that fail."""
MOST_FAILURES = 100
"""Failures that get a line; all are counted."""
NAMED = 3
"""Runs in hand that a line names."""
LOOK_SECONDS = 1.0


def line(said: str) -> None:
    """Write a line to standard output, which a notebook shows below its code."""
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


class Pauses:
    """Says when the next line is due: 10 s after the last one, then after twice as long each time.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._pause = clock, clock(), FIRST_SECONDS

    def due(self) -> bool:
        """Return whether a line is due, and begin the next pause if it is."""
        if self._clock() - self._last < self._pause:
            return False
        self._last, self._pause = self._clock(), min(2 * self._pause, LONGEST_SECONDS)
        return True


@contextlib.contextmanager
def planning(total: int) -> Iterator[Callable[[int], None]]:
    """Say how many runs have been planned, if it takes long; yields a function that takes their number."""
    pauses = Pauses()

    def show(done: int) -> None:
        if pauses.due():
            line(text.planned(done, total))

    yield show


class LoggedRuns:
    """The runs of a sweep in lines.

    Args:
        runs: the runs to execute.
        write: writes a line.
        ends: whether runs that end get a line.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        write: Callable[[str], None] = line,
        *,
        ends: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._pauses, self._write = SweepState(runs, clock), Pauses(clock), write
        self._total, self._ends = len(runs), ends

    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Take a run that ended."""
        self._state.end(run, records)
        is_failure = bool(records) and records[-1].state in text.FAILURES
        listed = self._total <= LISTED or (is_failure and self._state.failed <= MOST_FAILURES)
        if self._ends and listed:
            self._write(f"{self._state.ended} of {self._total}: {text.ended(run, records)}")

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Take the jobs in hand, and say how far they are from time to time."""
        self._state.tick(jobs)
        if not self._pauses.due():
            return
        snapshot = self._state.snapshot()
        named = "; ".join(map(text.sentence, snapshot.in_hand[:NAMED]))
        more = len(snapshot.in_hand) - NAMED
        rest = f"; and {more} more" if more > 0 else ""
        self._write(text.counted(snapshot) + (f"; now {named}{rest}" if named else ""))

    def end(self) -> None:
        """Say how many runs ended, of a sweep whose runs were not all listed."""
        snapshot = self._state.snapshot()
        if self._ends and self._total > LISTED:
            failed = f", {snapshot.failed:,} failed" if snapshot.failed else ""
            ended = f"{snapshot.ended:,} of {plural(self._total, 'run')} ended"
            self._write(f"{ended} in {seconds(snapshot.seconds)}{failed}")


@contextlib.contextmanager
def runs(planned: Sequence[PlannedRun], *, ends: bool = True) -> Iterator[LoggedRuns]:
    """Say how far the runs of a sweep are; `ends` as in LoggedRuns."""
    logged = LoggedRuns(planned, ends=ends)
    yield logged
    logged.end()


@contextlib.contextmanager
def one_run(config: Config) -> Iterator[Callable[[CurvePoint, int], None]]:
    """Say how far a run of this process is; yields the function that takes its evaluations."""
    state, pauses = RunState(config), Pauses()

    def look() -> None:
        if pauses.due():
            line(text.sentence(text.InHand(state.name, state.latest())))

    with repeated(look, LOOK_SECONDS):
        yield state.evaluated


@contextlib.contextmanager
def evaluations(config: Config) -> Iterator[Callable[[CurvePoint, int], None]]:
    """Say each evaluation of a run, as a notebook shows it."""
    of_text = config.data.is_text

    def show(point: CurvePoint, steps: int) -> None:
        line(f"step {point.step:,} of {steps:,}: {result_text.evaluation(point, of_text=of_text)}")

    yield show


@contextlib.contextmanager
def busy(doing: str) -> Iterator[None]:
    """Say what is being done."""
    line(doing)
    yield
