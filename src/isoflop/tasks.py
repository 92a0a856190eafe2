"""Steps of a long computation, and word of how many are done for whoever waits.

They run one after another. Threads were tried and take longer: between NumPy's calls, of 10 to 100
microseconds on such small arrays, one thread at a time runs (docs/log.md, 2026-11-27).
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Watch = Callable[[str, int, int | None], None]
"""Called with what is computed, how many of it are done, and how many there are (None: unknown)."""

_watch: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("watch", default=None)
NOTHING = ("", 0)
"""Nothing has been counted (advance)."""
_counts: contextvars.ContextVar[tuple[str, int]] = contextvars.ContextVar("counts", default=NOTHING)


@contextlib.contextmanager
def watched(watch: Watch | None) -> Iterator[None]:
    """Tell `watch` of all that is computed inside the context, in this thread; None: tell nobody."""
    token, counted = _watch.set(watch), _counts.set(NOTHING)
    try:
        yield
    finally:
        _watch.reset(token)
        _counts.reset(counted)


def tell(name: str, done: int, total: int | None) -> None:
    """Tell whoever waits that `done` of `total` parts of what is called `name` are done."""
    watch = _watch.get()
    if watch is not None:
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
    """Return `function` of each item, in their order; whoever waits is told, but not of steps inside a step.

    Args:
        name: what they are called.
        function: of one item.
        items: one a step.
    """
    if len(items) < 2:  # of one step there is nothing to tell, and it may have steps of its own
        return [function(item) for item in items]
    results = []
    for item in steps(name, items):
        with watched(None):
            results.append(function(item))
    return results
