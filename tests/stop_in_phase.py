"""isoflop with a signal in a phase of it: python stop_in_phase.py ARGUMENTS OF ISOFLOP, for tests.

PHASE names the phase, or PHASES one for each task of a SLURM array. MARK-PHASE is a file that is made when
it begins, once. NUMBER is the signal that its whole process group gets then, as from a terminal or a
scheduler. If that is 0, the phase lasts until MARK-PHASE.go is there: somebody else sends the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

HOLD_SECONDS = 120.0


def phase() -> str:
    """Return the phase of this process's run."""
    names = os.environ.get("PHASES")
    return names.split(",")[int(os.environ["SLURM_ARRAY_TASK_ID"])] if names else os.environ["PHASE"]


def send() -> None:
    """Send the signal, or wait for that of somebody else."""
    mark, number = Path(f"{os.environ['MARK']}-{phase()}"), int(os.environ["NUMBER"])
    with contextlib.suppress(FileExistsError):
        mark.touch(exist_ok=False)
        # Ctrl-C twice: after the first a sweep lets its runs finish.
        for _ in range(2 if number == signal.SIGINT else 1):
            if number:
                os.killpg(0, number)
            time.sleep(0.5)
        deadline = time.monotonic() + HOLD_SECONDS
        while not number and not Path(f"{mark}.go").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def before(holder: Any, name: str, times: int = 1) -> None:
    """Send the signal before the function is called for the `times`-th time."""
    original, calls = getattr(holder, name), [0]

    def signalled(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == times:
            send()
        return original(*arguments, **options)

    setattr(holder, name, signalled)


def hook_run() -> None:
    """Hook the phases of a run in this process."""
    from isoflop import record
    from isoflop.runner import attempt, evaluation, segment, trajectory
    from isoflop.train.loop import Trainer

    hooks: dict[str, tuple[Any, str, int]] = {
        "preparing": (attempt, "prepare", 1),
        "compile": (Trainer, "warm_up", 1),
        "training": (segment.SegmentTrainer, "_burst", 3),
        "evaluation": (evaluation.Evaluator, "validate", 1),
        "metering": (trajectory, "energy_of", 1),
        "writing": (record, "write", 1),
    }
    if phase() in hooks:
        before(*hooks[phase()])


def serve(*arguments: Any) -> None:
    """Be a worker whose runs are hooked."""
    from isoflop.sweep.local import worker

    hook_run()
    worker.serve(*arguments)


def plan(*arguments: Any) -> Any:
    """Be the child that plans, and send the signal first."""
    from isoflop.sweep import planning

    send()
    return planning._plan_in_child(*arguments)


def hook_supervisor() -> None:
    """Hook the phases of a sweep before its runs, and have its workers hook the others."""
    from multiprocessing import forkserver

    from isoflop import signals
    from isoflop.sweep import children, planning

    if phase() == "fork server":
        ensure, wait = forkserver.ensure_running, children.wait_for_fork_server

        def ensure_running() -> None:
            threading.Timer(0.3, send).start()  # while it imports torch
            ensure()

        def wait_for_fork_server() -> None:
            with signals.interrupting():
                send()
            wait()

        if os.environ["NUMBER"] == "0":
            children.wait_for_fork_server = wait_for_fork_server
        else:
            forkserver.ensure_running = ensure_running
    start = children.start_child

    def start_child(target: Any, arguments: tuple[Any, ...], **options: Any) -> Any:
        import stop_in_phase  # type: ignore[import-not-found]  # this file, by the name that a child finds

        if target.__name__ == "serve":
            target = stop_in_phase.serve
        elif phase() == "planning" and len(arguments) > 1 and arguments[1] is planning._plan_in_child:
            arguments = (arguments[0], stop_in_phase.plan, *arguments[2:])
        return start(target, arguments, **options)

    children.start_child = start_child


def main() -> int:
    """Be isoflop, hooked."""
    from isoflop import __main__ as isoflop

    if sys.argv[1] == "sweep" or "--manifest" in sys.argv:
        hook_supervisor()
    else:
        hook_run()
    return isoflop.run()


if __name__ == "__main__":
    sys.exit(main())
