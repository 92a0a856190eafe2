"""Which of several processes this one is: what torchrun's or srun's environment variables say."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from typing import Literal

from isoflop.config import ConfigError
from isoflop.config.launch import LaunchConfig
from isoflop.runner import variables

TORCHRUN = ("torchrun", "RANK", "WORLD_SIZE")
SRUN = ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
FIRST_PORT, PORTS = 20_000, 20_000


@dataclasses.dataclass(frozen=True)
class Rank:
    """This process among those that train one run, in the terms of torch.distributed.

    Attributes:
        rank: its number among all processes, from 0.
        world_size: how many there are.
        local_rank: its number on its node.
        master_addr, master_port: where all of them meet.
        set_by: the program whose variables say so, and the two that hold `rank` and `world_size`.
    """

    rank: int
    world_size: int
    local_rank: int
    master_addr: str
    master_port: int
    set_by: tuple[str, str, str] = dataclasses.field(default=TORCHRUN, compare=False)


def from_environment(environ: Mapping[str, str]) -> Rank | None:
    """Return the rank that torchrun or srun gave this process, or None for one that was started by itself.

    Raises:
        ConfigError: a variable that must be a number is none, or srun started several processes and the name
            of the first node cannot be found out.
    """
    rank, world_size = variables.integer(environ, "RANK"), variables.integer(environ, "WORLD_SIZE")
    master_port = variables.integer(environ, "MASTER_PORT")
    if rank is not None and world_size is not None:
        return Rank(
            rank=rank,
            world_size=world_size,
            local_rank=variables.integer(environ, "LOCAL_RANK") or 0,
            master_addr=environ.get("MASTER_ADDR") or "127.0.0.1",
            master_port=29500 if master_port is None else master_port,
        )
    # Only a step of srun sets these; a batch script that asked for several tasks is one process.
    tasks, rank = (variables.integer(environ, name) for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"))
    if tasks is None or tasks == 1 or rank is None:
        return None
    # srun names no port: every process derives the same one from the ids of the job and the step, so that two
    # steps on one node hardly ever meet at the same port.
    job, step = (variables.integer(environ, name) or 0 for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return Rank(
        rank=rank,
        world_size=tasks,
        local_rank=variables.integer(environ, "SLURM_LOCALID") or 0,
        master_addr=_master_of_step(environ),
        master_port=FIRST_PORT + (97 * job + step) % PORTS if master_port is None else master_port,
        set_by=SRUN,
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
        program, number, size = rank.set_by
        # They may be left over in a shell, or come from a job around this one, with no other process there.
        raise ConfigError(
            f"{number}={rank.rank} and {size}={rank.world_size} are set, as {program} does for "
            f"{rank.world_size} processes, and launch.devices x launch.nodes is {wanted}: "
            f"unset them if they are left over, or make the numbers the same"
        )
    if rank is None and launch.nodes > 1 and launch.nodes != _nodes(environ):
        start = f"srun --nodes={launch.nodes} --ntasks-per-node={launch.devices}"
        raise ConfigError(
            f"launch.nodes={launch.nodes}: start it in a SLURM job of as many nodes (launch=slurm asks for "
            f"them), or on every node, as with {start} isoflop run"
        )


def _nodes(environ: Mapping[str, str]) -> int:
    """Return the nodes of the SLURM job that this process is in, 1 without one."""
    return variables.integer(environ, "SLURM_JOB_NUM_NODES") or 1
