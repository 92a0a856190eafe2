"""Progress of runs and sweeps: a live display where there is a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from isoflop.api import live, log_lines
from isoflop.config import Config
from isoflop.record import CurvePoint, Record
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job

Watch = Callable[[CurvePoint, int], None]
"""Called with an evaluation, and the steps of its run."""
OnDone = Callable[[int], None]
"""Called with the number of runs that have been planned."""


class RunsView(Protocol):
    """Shows the runs of a sweep."""

    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Take a run that ended, and its records: none where another process executes it."""

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Take the jobs in hand, several times a second."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How a sweep says what it does.

    Attributes:
        line: says one line.
        problem: says one line about what went wrong beside the training.
        planning: given how many runs are to be planned, is open meanwhile, and gives what is called with the
            number of those that are.
        runs: given the runs to come, is open while they are trained, and gives what shows them.
        busy: given what is being done, is open as long as it takes.
    """

    line: Callable[[str], object]
    problem: Callable[[str], object]
    planning: Callable[[int], AbstractContextManager[OnDone]]
    runs: Callable[[Sequence[PlannedRun]], AbstractContextManager[RunsView]]
    busy: Callable[[str], AbstractContextManager[None]]


def has_terminal() -> bool:
    """Return whether somebody looks on at a terminal."""
    return live.console().is_terminal


def of_sweep(line: Callable[[str], object], problem: Callable[[str], object]) -> Progress:
    """Return the progress of a sweep, live where there is a terminal, else in lines."""
    how = live if has_terminal() else log_lines
    return Progress(line, problem, how.planning, how.runs, how.busy)


def silent(problem: Callable[[str], object]) -> Progress:
    """Return a progress that says nothing but problems."""
    return Progress(lambda line: None, problem, _nothing_planned, _nothing_run, _nothing_done)


def one_run(config: Config, *, every_evaluation: bool = False) -> AbstractContextManager[Watch]:
    """Return what shows a run of this process: live where there is a terminal, else in lines.

    `every_evaluation` gives a line each, as in a notebook, not only one from time to time.
    """
    if has_terminal():
        return live.one_run(config)
    return log_lines.evaluations(config) if every_evaluation else log_lines.one_run(config)


@contextlib.contextmanager
def _nothing_planned(total: int) -> Iterator[OnDone]:
    yield lambda done: None


class _Silent:
    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Show nothing."""

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Show nothing."""


@contextlib.contextmanager
def _nothing_run(runs: Sequence[PlannedRun]) -> Iterator[RunsView]:
    yield _Silent()


@contextlib.contextmanager
def _nothing_done(doing: str) -> Iterator[None]:
    yield
