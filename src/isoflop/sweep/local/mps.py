"""NVIDIA's Multi-Process Service (MPS) for the length of a sweep.

Under MPS the kernels of runs that share a GPU execute at the same time. Without it their processes take turns
on the GPU: slower, with the same results.
"""

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

# This shell owns the daemon and must end it even if the sweep is killed. It reads a pipe whose other end the
# sweep holds: however the sweep ends, the kernel closes the pipe, `cat` returns and the daemon is asked to
# quit.
KEEPER = f"""
{CONTROL} -d >/dev/null 2>&1 && echo started && cat >/dev/null
echo quit | {CONTROL} >/dev/null 2>&1
rm -rf "${PIPES}"
"""


@contextlib.contextmanager
def daemon(*, wanted: bool) -> Iterator[Mapping[str, str]]:
    """Run an MPS daemon within the context, and yield the environment variables its clients need.

    Empty if the daemon is not `wanted`, not installed or does not start. A daemon that runs already, whose
    folder is in the environment, is used as it is and left alone.
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
            start_new_session=True,  # Ctrl-C at the terminal must not end the daemon before the runs
        )
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            reply = wait([keeper.stdout.fileno()], START_SECONDS) and keeper.stdout.readline()
            yield environment if reply == STARTED else {}
        finally:
            keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(QUIT_SECONDS)
            keeper.stdout.close()
