"""Where torchrun or srun has put this process among those that train one cell."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from typing import Literal

from isoflop.config import ConfigError
from isoflop.config.launch import LaunchConfig

FIRST_PORT, PORTS = 20_000, 20_000


@dataclasses.dataclass(frozen=True)
class Place:
    """Rank `rank` of `ranks`, `local_rank` on its node; `master` and `port` are where all of them meet."""

    rank: int
    ranks: int
    local_rank: int
    master: str
    port: int


def find(environ: Mapping[str, str]) -> Place | None:
    """The place that torchrun's or srun's variables tell, or None for a process that was started alone.

    Raises:
        ConfigError: srun started several, and the name of the first node cannot be found out.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return Place(
            rank=int(environ["RANK"]),
            ranks=int(environ["WORLD_SIZE"]),
            local_rank=int(environ.get("LOCAL_RANK", "0")),
            master=environ.get("MASTER_ADDR", "127.0.0.1"),
            port=int(environ.get("MASTER_PORT", "29500")),
        )
    # Only a step of srun has these; a batch script that asked for several tasks is one process.
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 or "SLURM_PROCID" not in environ:
        return None
    number = 97 * int(environ.get("SLURM_JOB_ID", "0")) + int(environ.get("SLURM_STEP_ID", "0"))
    return Place(
        rank=int(environ["SLURM_PROCID"]),
        ranks=tasks,
        local_rank=int(environ.get("SLURM_LOCALID", "0")),
        master=_master_of_step(environ),
        port=int(environ.get("MASTER_PORT", FIRST_PORT + number % PORTS)),
    )


def _master_of_step(environ: Mapping[str, str]) -> str:
    alone = environ.get("SLURM_STEP_NUM_NODES") == "1" and not environ.get("MASTER_ADDR")
    return "127.0.0.1" if alone else first_node(environ, "STEP")


def first_node(environ: Mapping[str, str], of: Literal["JOB", "STEP"]) -> str:
    """MASTER_ADDR where it is set, else the name of the first node of the job or step.

    Raises:
        ConfigError: scontrol does not name it.
    """
    if master := environ.get("MASTER_ADDR"):
        return master
    nodes = environ.get(f"SLURM_{of}_NODELIST", "")
    try:
        found = subprocess.run(
            ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, timeout=60, check=True
        )
        return found.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise ConfigError(
            f"scontrol does not name the first of the nodes {nodes}: set MASTER_ADDR ({error})"
        ) from error


def check(launch: LaunchConfig, place: Place | None, environ: Mapping[str, str]) -> None:
    """Refuse a number of processes or nodes that is not the one asked for.

    Raises:
        ConfigError: says which key to change, or how to get more processes or nodes.
    """
    wanted = launch.processes
    if place is not None and place.ranks != wanted:
        raise ConfigError(
            f"launch.devices x launch.nodes is {wanted} and {place.ranks} processes were started: "
            "make them the same"
        )
    if place is None and launch.nodes > 1 and launch.nodes != _nodes(environ):
        start = f"srun --nodes={launch.nodes} --ntasks-per-node={launch.devices}"
        raise ConfigError(
            f"launch.nodes={launch.nodes}: start it in a SLURM job of as many nodes (launch=slurm asks for "
            f"them), or on every node, as with {start} isoflop run"
        )


def _nodes(environ: Mapping[str, str]) -> int:
    """Nodes of the SLURM job that this process is in, 1 without one."""
    return int(environ.get("SLURM_JOB_NUM_NODES", "1"))
