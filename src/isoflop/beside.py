"""A computation in a process of its own while this one goes on with another: two cores for one command."""

from __future__ import annotations

import contextlib
import contextvars
import os
import pickle
from collections.abc import Callable, Iterator
from typing import TypeVar

from isoflop import tasks

Result = TypeVar("Result")

_allowed: contextvars.ContextVar[bool] = contextvars.ContextVar("allowed", default=False)


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Let `beside` fork inside the context, where the machine has two cores for it.

    For a command alone, which knows its threads: a fork of a process with others may wait for ever.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    token = _allowed.set(cores > 1)
    try:
        yield
    finally:
        _allowed.reset(token)


def beside(function: Callable[[], Result]) -> Callable[[], Result]:
    """Start `function` in a forked process, and return what waits for its result.

    Where that is not allowed, or where the process ends without a result (killed, or with an exception), the
    function runs here when its result is asked for: results and errors are the same.

    Args:
        function: its result can be pickled, and nobody else sees what it changes.
    """
    if not _allowed.get():
        return function
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        _answer(function, read, write)
    os.close(write)

    def result() -> Result:
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(process, 0)
        try:
            made: Result = pickle.loads(answer)
        except (EOFError, pickle.UnpicklingError):
            return function()
        return made

    return result


def _answer(function: Callable[[], object], read: int, write: int) -> None:
    """Be the forked process: write the result and end at once, without what this process ends with."""
    code = 1
    try:
        os.close(read)  # or an answer that nobody waits for any more would wait for ever
        with tasks.watched(None):  # whoever waits is told by the other process
            _allowed.set(False)
            answer = pickle.dumps(function())
        with os.fdopen(write, "wb") as pipe:
            pipe.write(answer)
        code = 0
    finally:
        os._exit(code)
