"""Independent tasks in threads, and word of how many are done for whoever waits.

NumPy works outside Python's global lock, so that threads share the cores. A task has its own random numbers
and shares nothing that it writes: results do not depend on the number of threads, to the last bit.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Watch = Callable[[str, int, int | None], None]
"""Called with what is computed, how many of it are done, and how many there are (None: unknown)."""

MOST_THREADS = 4
"""More gain little: between NumPy's calls one thread at a time runs."""

_watch: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("watch", default=None)
_in_task: contextvars.ContextVar[bool] = contextvars.ContextVar("in_task", default=False)
_counts: contextvars.ContextVar[tuple[str, int]] = contextvars.ContextVar("counts", default=("", 0))


def threads() -> int:
    """Return how many threads tasks may have: the process's cores, MOST_THREADS, OMP_NUM_THREADS at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, MOST_THREADS, int(asked) if asked.isdecimal() else MOST_THREADS))


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Tell `watch` of all that is computed inside the context, in this thread."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def tell(name: str, done: int, total: int | None) -> None:
    """Tell whoever waits that `done` of `total` parts of what is called `name` are done."""
    watch = _watch.get()
    if watch is not None and not _in_task.get():
        watch(name, done, total)


def advance(name: str) -> None:
    """Tell whoever waits that one more of what is called `name` is done, where nobody knows of how many."""
    before, count = _counts.get()
    count = count + 1 if before == name else 1
    _counts.set((name, count))
    tell(name, count, None)


def steps(name: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items of a loop, telling whoever waits how many of what is called `name` are done."""
    for done, item in enumerate(items):
        tell(name, done, len(items))
        yield item
    tell(name, len(items), len(items))


def each(name: str, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return `function` of each item, in their order, computed in threads; whoever waits is told.

    Tasks that call this themselves do theirs one after another. Where tasks fail, the error of the first in
    order is raised, as in a loop.

    Args:
        name: what they are called.
        function: must write nothing that tasks share.
        items: one a task.
    """
    if len(items) < 2:  # of one task there is nothing to tell, and it may have tasks of its own
        return [function(item) for item in items]
    count = min(threads(), len(items))
    if count < 2 or _in_task.get():
        return [function(item) for item in steps(name, items)]
    pool = ThreadPoolExecutor(count)
    try:
        futures = [pool.submit(_context().run, function, item) for item in items]
        _follow(name, futures)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> contextvars.Context:
    """Return a copy of the caller's context (NumPy's error state is in it), marked as a task's."""
    context = contextvars.copy_context()
    context.run(_in_task.set, True)
    return context


def _follow(name: str, futures: Sequence[Future[Result]]) -> None:
    """Tell whoever waits of each task that ends."""
    tell(name, 0, len(futures))
    for done, _ in enumerate(as_completed(futures), start=1):
        tell(name, done, len(futures))
