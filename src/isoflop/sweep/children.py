"""Child processes of the supervisor, from a fork server that has imported torch, and calls in them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from isoflop import extras, signals
from isoflop.config import ConfigError

PRELOAD = ["isoflop.sweep.local.preload"]


def forkserver_context() -> ForkServerContext:
    """Return the context that child processes come from: a fork server that has imported torch.

    Fork alone would copy the supervisor's threads and signal handlers; spawn would import torch again, for
    seconds, in every child.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def start_child(
    target: Callable[..., Any], arguments: tuple[Any, ...], *, name: str | None = None, daemon: bool = False
) -> ForkServerProcess:
    """Start a child from the fork server, both of them with the stop signals held back (signals.held).

    SLURM, and a terminal that closes, signal every process at once. A fork server that dies of that takes the
    children with it that are still to come, and a child that is just starting leaves no record.

    Args:
        target: main function of the child; it calls signals.unhold or signals.shielded first.
        arguments: what it is called with; they are pickled.
        name, daemon: as for multiprocessing.Process.
    """
    process = forkserver_context().Process(target=target, args=arguments, name=name, daemon=daemon)
    with signals.held():
        resource_tracker.ensure_running()
    # Anew: starting the resource tracker unblocks SIGINT and SIGTERM on its way out.
    with signals.held():
        forkserver.ensure_running()
    # Not held: this waits until the fork server has imported torch, for seconds, and the child's mask is that
    # of the fork server.
    with _main_module_left_out():
        process.start()
    return process


@contextlib.contextmanager
def _main_module_left_out() -> Iterator[None]:
    """Let no child that is started inside import the main module of this process.

    multiprocessing would execute it in each child, which needs nothing of it: a user's script that calls
    run_sweep without `if __name__ == "__main__"` would start the sweep again in every one of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def wait_for_fork_server() -> None:
    """Return once the fork server can give children at once, so that later starts need not be interrupted.

    Raises:
        KeyboardInterrupt: a signal asked the process to stop: there is nothing to save yet.
        RuntimeError: the fork server does not work.
    """
    with signals.interrupting():
        call_in_child("starting a process", os.getpid)


OnDone = Callable[[int], object]
"""Called with the number of runs that have been planned."""


def nobody_watches(done: int) -> None:
    """Show nothing: the OnDone of a caller who waits for the result alone."""


def call_in_child(
    purpose: str, function: Callable[..., Any], *arguments: Any, on_done: OnDone = nobody_watches
) -> Any:
    """Return what `function` returns in a child process.

    Args:
        purpose: what the call is for, such as "planning": the subject of error messages.
        function: importable function, called with `arguments`, which are pickled.
        arguments: positional arguments.
        on_done: called here with what the function gives to `tell_done` there.

    Raises:
        ConfigError: the function raised ValueError.
        OSError: it raised one.
        RuntimeError: the child died, or the function raised something else.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = start_child(_call_and_send, (sender, function, arguments))
    sender.close()  # only the child holds the other end now, so its death ends recv with EOFError
    try:
        while (message := receiver.recv())[0] == "done":
            on_done(message[1])
        kind, value = message
    except EOFError:
        child.join()
        raise RuntimeError(f"{purpose} failed: its process ended with code {child.exitcode}") from None
    except KeyboardInterrupt:
        child.kill()
        raise
    child.join()
    if kind == "value":
        return value
    if kind == "os":
        raise OSError(*value)
    raise ConfigError(value) if kind == "input" else RuntimeError(f"{purpose} failed: {value}")


_parent: list[Connection] = []
"""In a child of `call_in_child`, the pipe to its parent."""
TELL_SECONDS = 0.1
"""A child says how far it is at most so often."""
_told_at = [float("-inf")]


def tell_done(done: int) -> None:
    """Tell the parent of this child process, if it is one, how many runs have been planned."""
    now = time.monotonic()
    if _parent and now - _told_at[0] >= TELL_SECONDS:
        _told_at[0] = now
        with contextlib.suppress(OSError):  # the parent may have been killed
            _parent[0].send(("done", done))


def _call_and_send(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signals.shielded()  # asked to stop, the parent kills this process
    _parent.append(pipe)
    outcome = reply(function, arguments)
    with contextlib.suppress(OSError):  # the parent may have been killed
        pipe.send(outcome)


def reply(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Return (kind, value) of a call for the parent: what it returned, or why it failed, by whose fault."""
    try:
        return "value", function(*arguments)
    except ValueError as error:  # MissingExtraError is one
        return "input", str(error)
    except ImportError as error:
        line = extras.explain(error, "training")
        return ("input", line) if line else ("failed", f"{type(error).__name__}: {error}")
    except OSError as error:
        return "os", (error.errno, error.strerror or str(error), error.filename)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
