"""The state that an exception of a loop stands for."""

from __future__ import annotations

import sys
from pathlib import Path

from isoflop import signals
from isoflop.record import State
from isoflop.runner import failure
from isoflop.runner.recorder.errors import NotFiniteError


def of(error: BaseException, log: Path) -> tuple[State, str]:
    """Return (state, reason) of an exception that ended a loop; the traceback of a failure goes to `log`."""
    if isinstance(error, NotFiniteError):
        return "diverged", str(error)
    if isinstance(error, signals.StopNow):
        return "interrupted", str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "stopped by Ctrl-C"
    if isinstance(error, (SystemExit, GeneratorExit)):
        return "interrupted", f"the program ended inside the loop ({type(error).__name__})"
    return failure.of(error, log)


def may_be_a_peers(error: BaseException) -> bool:
    """Return whether an exception may only mean that another process of the loop has failed: its exchange
    broke off, or torchrun ended the other processes."""
    if isinstance(error, signals.StopNow):
        return True
    if "torch" not in sys.modules:
        return False
    from isoflop.train.distributed import is_peer_failure

    return is_peer_failure(error)
