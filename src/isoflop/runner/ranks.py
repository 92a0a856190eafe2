"""Which of several processes this one is: what torchrun's or srun's environment variables say."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from typing import Literal

from isoflop.config import ConfigError
from isoflop.config.launch import LaunchConfig

FIRST_PORT, PORTS = 20_000, 20_000


@dataclasses.dataclass(frozen=True)
class Rank:
    """This process among those that train one run, in the terms of torch.distributed.

    Attributes:
        rank: its number among all processes, from 0.
        world_size: how many there are.
        local_rank: its number on its node.
        master_addr, master_port: where all of them meet.
    """

    rank: int
    world_size: int
    local_rank: int
    master_addr: str
    master_port: int


def from_environment(environ: Mapping[str, str]) -> Rank | None:
    """Return the rank that torchrun or srun gave this process, or None for one that was started by itself.

    Raises:
        ConfigError: srun started several, and the name of the first node cannot be found out.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return Rank(
            rank=int(environ["RANK"]),
            world_size=int(environ["WORLD_SIZE"]),
            local_rank=int(environ.get("LOCAL_RANK", "0")),
            master_addr=environ.get("MASTER_ADDR", "127.0.0.1"),
            master_port=int(environ.get("MASTER_PORT", "29500")),
        )
    # Only a step of srun sets these; a batch script that asked for several tasks is one process.
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 or "SLURM_PROCID" not in environ:
        return None
    # srun names no port: every process derives the same one from the ids of the job and the step, so that two
    # steps on one node hardly ever meet at the same port.
    number = 97 * int(environ.get("SLURM_JOB_ID", "0")) + int(environ.get("SLURM_STEP_ID", "0"))
    return Rank(
        rank=int(environ["SLURM_PROCID"]),
        world_size=tasks,
        local_rank=int(environ.get("SLURM_LOCALID", "0")),
        master_addr=_master_of_step(environ),
        master_port=int(environ.get("MASTER_PORT", FIRST_PORT + number % PORTS)),
    )


def _master_of_step(environ: Mapping[str, str]) -> str:
    one_node = environ.get("SLURM_STEP_NUM_NODES") == "1" and not environ.get("MASTER_ADDR")
    return "127.0.0.1" if one_node else first_node(environ, "STEP")


def first_node(environ: Mapping[str, str], of: Literal["JOB", "STEP"]) -> str:
    """Return MASTER_ADDR where it is set, else the name of the first node of the job or step.

    Raises:
        ConfigError: scontrol does not name it.
    """
    if master := environ.get("MASTER_ADDR"):
        return master
    nodes = environ.get(f"SLURM_{of}_NODELIST", "")
    try:
        listed = subprocess.run(
            ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, timeout=60, check=True
        )
        return listed.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise ConfigError(
            f"scontrol does not name the first of the nodes {nodes}: set MASTER_ADDR ({error})"
        ) from error


def check(launch: LaunchConfig, rank: Rank | None, environ: Mapping[str, str]) -> None:
    """Refuse a number of processes or nodes that is not the one asked for.

    Raises:
        ConfigError: says which key to change, or how to get more processes or nodes.
    """
    wanted = launch.processes
    if rank is not None and rank.world_size != wanted:
        raise ConfigError(
            f"launch.devices x launch.nodes is {wanted} and {rank.world_size} processes were started: "
            "make them the same"
        )
    if rank is None and launch.nodes > 1 and launch.nodes != _nodes(environ):
        start = f"srun --nodes={launch.nodes} --ntasks-per-node={launch.devices}"
        raise ConfigError(
            f"launch.nodes={launch.nodes}: start it in a SLURM job of as many nodes (launch=slurm asks for "
            f"them), or on every node, as with {start} isoflop run"
        )


def _nodes(environ: Mapping[str, str]) -> int:
    """Return the nodes of the SLURM job that this process is in, 1 without one."""
    return int(environ.get("SLURM_JOB_NUM_NODES", "1"))
