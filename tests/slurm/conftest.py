"""A real SLURM, of one node for the whole pytest process or of two fake ones, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NEEDED = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "sacct", "munged", "mariadbd", "mariadb-install-db")
SCRIPT = Path(__file__).parent / "one_node.sh"


def free_ports() -> int:
    """Return the first of five neighbouring ports that nothing listens on."""
    for first in range(21000 + os.getpid() % 1000 * 5, 30000, 5):
        try:
            for port in range(first, first + 5):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """A cluster of one node: its folder; SLURM_CONF points to it."""
    with started(nodes=1) as folder:
        yield folder


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Path]:
    """A cluster of two fake nodes on this machine, with two GPUs each that are not there: its folder."""
    with started(nodes=2) as folder:
        yield folder


@contextlib.contextmanager
def started(nodes: int) -> Iterator[Path]:
    """Start a cluster, yield its folder, and stop it; SLURM_CONF points to it meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("starting a SLURM needs root")
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        pytest.skip(f"not installed: {', '.join(missing)} (.ci/run installs them)")
    folder = Path(tempfile.mkdtemp(prefix="isoflop-slurm-", dir="/tmp"))
    try:
        subprocess.run([SCRIPT, "start", folder, str(free_ports()), str(nodes)], check=True, timeout=120)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            yield folder
    finally:
        subprocess.run([SCRIPT, "stop", folder, "0", str(nodes)], check=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)
