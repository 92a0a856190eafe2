"""The processes that train together, and how one that fails tells the main process why."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from isoflop import record as records
from isoflop.record import redact
from isoflop.runner.recorder.devices import torch_module
from isoflop.runner.recorder.errors import RecorderError

if TYPE_CHECKING:
    from isoflop.train.distributed import World

WAIT_SECONDS = 2.0
"""How long the main process looks for the reason that another process left before it."""
Failure = tuple[Literal["failed", "oom"], str]


def find(environ: Mapping[str, str] = os.environ) -> World | None:
    """Return the world of torch.distributed, None for one process. Collective: every process calls it.

    Raises:
        RecorderError: torchrun started several processes and torch.distributed is not initialized yet.
    """
    torch = torch_module()
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        if torch.distributed.get_world_size() == 1:
            return None
        from isoflop.train.distributed import World

        # On the host: what a recorder exchanges must not wait in a GPU's queue.
        group = torch.distributed.new_group(backend="gloo")
        return World(torch.distributed.get_rank(), torch.distributed.get_world_size(), group, None)
    size = environ.get("WORLD_SIZE", "1")
    if torch is not None and size != "1":
        raise RecorderError(
            f"Recorder: WORLD_SIZE={size} and torch.distributed is not initialized: enter the recorder after "
            "init_process_group, or unset WORLD_SIZE if it is left over"
        )
    return None


def failure_path(directory: Path, run_id: str) -> Path:
    """Return where a process other than the main one leaves why it failed."""
    return directory / "progress" / f"{run_id}.failure"


def report_failure(directory: Path, run_id: str, failure: Failure) -> None:
    """Leave why this process failed; the main process may already be waiting for it in an exchange."""
    state, reason = failure
    records.write_bytes(failure_path(directory, run_id), f"{state}\n{redact.text(reason)}".encode())


def reported_failure(directory: Path, run_id: str) -> Failure | None:
    """Return what `report_failure` left, waiting for it a little: the others notice before it is written."""
    path, deadline = failure_path(directory, run_id), time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            state, _, reason = path.read_text().partition("\n")
        except OSError:
            time.sleep(0.05)
            continue
        return cast(Literal["failed", "oom"], state), reason
    return None
