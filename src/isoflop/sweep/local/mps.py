"""NVIDIA's Multi-Process Service for the length of a sweep: cells that share a GPU run at the same time on it
instead of by turns. Where there is no such daemon they are plain processes, which is slower, not wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from multiprocessing.connection import wait

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
STARTED = b"started\n"
QUIT_SECONDS = 30.0

START_SECONDS = 30.0

# The shell outlives the sweep's process by as long as it takes to end the daemon, however that process ends:
# its standard input closes with it.
KEEPER = f"""
{CONTROL} -d >/dev/null 2>&1 && echo started && cat >/dev/null
echo quit | {CONTROL} >/dev/null 2>&1
rm -rf "${PIPES}"
"""


@contextlib.contextmanager
def daemon(*, wanted: bool) -> Iterator[Mapping[str, str]]:
    """What a child's environment needs to use the daemon, which runs as long as this is open.

    Empty where it is not `wanted`, not installed or does not start; where one runs already (its folder is in
    the environment) that one is used and left alone.
    """
    if not wanted or PIPES in os.environ or shutil.which(CONTROL) is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="isoflop-mps-", ignore_cleanup_errors=True) as folder:
        environment = {PIPES: folder, LOGS: folder}
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is not for the daemon
        )
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            said = wait([keeper.stdout.fileno()], START_SECONDS) and keeper.stdout.readline()
            yield environment if said == STARTED else {}
        finally:
            keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(QUIT_SECONDS)
            keeper.stdout.close()
