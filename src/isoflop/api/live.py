"""Live displays on a terminal: planning, the runs of a sweep, one run, and something that takes a while.

They are written to standard error, so that standard output holds results alone. The runs of a sweep are drawn
by the supervisor's own loop, a single run by a thread, since its process is busy with training; both read
heartbeats, as `isoflop status` does.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from isoflop.api import progress_text as text
from isoflop.api.progress_text import InHand, Snapshot
from isoflop.api.sweep_state import SweepState
from isoflop.config import Config
from isoflop.record import CurvePoint, Record, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job

REFRESH_SECONDS = 0.5
BAR_WIDTH = 24
LINES_BESIDE_RUNS = 4
"""Lines of the terminal that are not given to runs in hand: the bar, `and 3 more`, and the prompt."""


def console() -> Console:
    """Return standard error as it is now."""
    return Console(stderr=True, highlight=False)


def display(on: Console) -> Live:
    """Return a display that is drawn when it is told to, and leaves nothing behind.

    Lines that are printed meanwhile appear above it, those of standard output only where it is the same
    terminal and no file.
    """
    return Live(console=on, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty())


def _bar(done: float, total: float | None, said: str) -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(ProgressBar(total=total, completed=done, width=BAR_WIDTH), Text(said))
    return row


def of_sweep(snapshot: Snapshot, lines: int) -> RenderableType:
    """Return the bar of a sweep and its runs in hand, at most so many lines of them."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for _ in text.PARTS:
        rows.add_column(no_wrap=True)
    for each in snapshot.in_hand[:lines]:
        rows.add_row(Text(f"  {each.name}"), *map(Text, _parts(each)))
    more = len(snapshot.in_hand) - lines
    parts: list[RenderableType] = [_bar(snapshot.ended, snapshot.total, text.counted(snapshot)), rows]
    return Group(*parts, *([Text(f"  and {more} more")] if more > 0 else []))


def _parts(run: InHand) -> tuple[str, ...]:
    is_metered = run.name.startswith(("measuring", "metering"))
    return ("", "", "", "", "") if is_metered else text.parts(run.beat)


@contextlib.contextmanager
def planning(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar of planned runs; yields a function that takes their number."""
    with display(console()) as live:

        def show(done: int) -> None:
            live.update(_bar(done, total, text.planned(done, total)), refresh=True)

        # The child that plans loads PyTorch first, for seconds.
        live.update(_bar(0, total, f"{text.planned(0, total)}: loading PyTorch"), refresh=True)
        yield show


class LiveRuns:
    """The runs of a sweep on a terminal; failures stay above the display, each a line."""

    def __init__(self, runs: Sequence[PlannedRun], live: Live) -> None:
        self._live, self._state = live, SweepState(runs)
        self._drawn_at = float("-inf")
        self._draw()

    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Take a run that ended."""
        self._state.end(run, records)
        if records and records[-1].state in text.FAILURES:
            self._live.console.print(text.ended(run, records), markup=False, soft_wrap=True)

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Take the jobs in hand, and draw from time to time."""
        self._state.tick(jobs)
        if time.monotonic() - self._drawn_at >= REFRESH_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        lines = max(1, self._live.console.height - LINES_BESIDE_RUNS)
        self._live.update(of_sweep(self._state.snapshot(), lines), refresh=True)


@contextlib.contextmanager
def runs(planned: Sequence[PlannedRun]) -> Iterator[LiveRuns]:
    """Show the runs of a sweep."""
    with display(console()) as live:
        yield LiveRuns(planned, live)


class RunState:
    """What is known of a run in this process: its heartbeat, or an evaluation that came after it."""

    def __init__(self, config: Config) -> None:
        self.name = f"{config.model.label}, seed {config.seed}"
        self._config, self._of_text = config, config.data.is_text
        self._began = time.monotonic()
        self._point: tuple[CurvePoint, int] | None = None

    def evaluated(self, point: CurvePoint, steps: int) -> None:
        """Take an evaluation, which a run of less than a second has before any heartbeat."""
        self._point = point, steps

    def latest(self) -> Heartbeat | None:
        """Return the heartbeat of this run, None before the first one and before the first evaluation."""
        found = None
        with contextlib.suppress(OSError):
            found = heartbeat.last(self._config.directory, self._config.run_id)
        if found is not None and found[1] <= time.monotonic() - self._began:
            return found[0]
        if self._point is None:
            return None
        point, steps = self._point
        return Heartbeat(
            *(1, point.step, steps, point.seconds, "", 0, None),
            *(point.val_error, point.val_loss, self._of_text, point.train_flops),
        )


def of_run(name: str, beat: Heartbeat | None) -> RenderableType:
    """Return the bar of a run with its time left and, below it, what is known of it."""
    if beat is None:
        return _bar(0, None, f"{name}, preparing")
    *known, left = text.parts(beat)
    below = Text(f"  {'  '.join(part for part in known if part)}", no_wrap=True, overflow="ellipsis")
    return Group(_bar(beat.steps_done, beat.steps or None, ", ".join(filter(None, (name, left)))), below)


@contextlib.contextmanager
def one_run(config: Config) -> Iterator[Callable[[CurvePoint, int], None]]:
    """Show a run of this process; yields the function that takes its evaluations."""
    state = RunState(config)
    with display(console()) as live:

        def draw() -> None:
            live.update(of_run(state.name, state.latest()), refresh=True)

        draw()
        with repeated(draw, REFRESH_SECONDS):
            yield state.evaluated


@contextlib.contextmanager
def repeated(show: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function every so many seconds, in a thread, until the context ends."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            show()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def busy(doing: str) -> Iterator[None]:
    """Show what is being done, as long as it takes."""
    on = console()
    with on.status(Text(doing)):
        yield
