"""A bar of what a command computes, where it takes long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from isoflop import tasks

WAIT_SECONDS = 2.0
"""What takes less shows no bar."""


class WorkBar:
    """A bar of the tasks that are done (tasks.watched), from WAIT_SECONDS on, until `close`.

    It is first shown when something is told and WAIT_SECONDS have passed, by a timer where need be.
    """

    def __init__(self, verb: str) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._open, self._shown = True, False
        self._progress = Progress(
            TextColumn(f"{verb}: {{task.description}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)

    def watch(self, name: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` parts of what is called `name` are done."""
        self._progress.update(self._task, description=name, completed=done, total=total)
        left = WAIT_SECONDS - (time.monotonic() - self._began)
        if left <= 0:
            self._show()
        elif self._timer is None:
            self._timer = threading.Timer(left, self._show)
            self._timer.daemon = True
            self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if self._open and not self._shown:
                self._shown = True
                self._progress.start()

    def close(self) -> None:
        """Take the bar away for good."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._open and self._shown:
                self._progress.stop()
            self._open = False


@contextlib.contextmanager
def work_bar(verb: str) -> Iterator[WorkBar]:
    """Show a bar of what is computed inside the context, where it takes long."""
    bar = WorkBar(verb)
    try:
        with tasks.watched(bar.watch):
            yield bar
    finally:
        bar.close()
