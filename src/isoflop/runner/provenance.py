"""Where a run comes from, and the record of a run that gave no point.

Torch-free, so that the supervisor of a sweep can write what happened to a process that died.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import datetime
import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from isoflop import __version__
from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.config.user_code import imports, locate
from isoflop.record import Gpu, ModelFacts, Provenance, Record, Slurm, Spent, State, redact, unknown

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "fvcore", "nvidia-ml-py", "hydra-core", "msgspec")


@dataclasses.dataclass(frozen=True)
class Machine:
    """The machine as the process that trained sees it; `cpu` is the name of the processor, `libraries` holds
    the versions of CUDA and cuDNN. `precision` is None where a loop of the user's own did not say it."""

    cpu: str
    device: str
    precision: str | None
    threads: int
    libraries: dict[str, str]
    gpu: Gpu | None
    gpu_reason: str | None


NOT_REACHED = "the run ended before this was known"


@functools.cache
def git_state() -> tuple[str | None, bool | None]:
    """Return (commit, dirty) of the checkout the code runs from; (None, None) for an installed copy.

    Dirty: src or conf were changed since the commit. Results are not code.
    """
    folder = Path(__file__).parents[1]
    # A copy made by sweep/slurm/source_snapshot.py says of which commit.
    with contextlib.suppress(FileNotFoundError):
        kept = msgspec.json.decode((folder / "origin.json").read_bytes())
        return kept["git_commit"], kept["dirty"]

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip()

    top = ask("rev-parse", "--show-toplevel")
    if top is None or Path(top) / "src" / "isoflop" != folder:
        return None, None
    commit = ask("rev-parse", "HEAD")
    status = ask("status", "--porcelain", "--untracked-files=no", "--", ":/src", ":/conf")
    return commit, None if status is None or commit is None else bool(status)


@functools.cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that can change a number."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


_named: contextvars.ContextVar[str | None] = contextvars.ContextVar("command", default=None)
NOTEBOOK = "ipykernel_launcher.py"
"""Program of a notebook's kernel; its arguments are folders of this machine and say nothing of the run."""


def command() -> str:
    """Return the command line of this process, without the program's folder and without secrets.

    Inside `commanded_by` it is the command named there, and in a notebook `notebook`.
    """
    program = Path(sys.argv[0]).name
    own = "notebook" if program == NOTEBOOK else redact.shell_line([program, *sys.argv[1:]])
    return _named.get() or own


@contextlib.contextmanager
def commanded_by(words: Sequence[str]) -> Iterator[None]:
    """Name the command line that does the same as what a caller from Python asked for."""
    token = _named.set(redact.shell_line(words))
    try:
        yield
    finally:
        _named.reset(token)


def now() -> str:
    """Return the wall clock as ISO 8601 in UTC: a label, never used for durations."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def gather(config: Config, machine: Machine, *, started_at: str, command_line: str) -> Provenance:
    """Return the provenance of a run on `machine`."""
    origin = gather_loop(
        machine,
        deterministic=config.launch.deterministic,
        started_at=started_at,
        command_line=command_line,
    )
    return dataclasses.replace(origin, user_files=user_files(config))


def user_files(config: Config) -> dict[str, dict[str, str]]:
    """Return the hashes of the user's own files, as in Provenance; none of what is not there any more."""
    named = {
        section: settings.path
        for section, settings in (("model", config.model), ("data", config.data), ("lever", config.lever))
        if settings.path is not None and settings.sha256 is not None
    }
    hashes: dict[str, dict[str, str]] = {}
    for section, path in named.items():
        with contextlib.suppress(ConfigError, OSError):
            hashes[section] = imports.hashes(locate.locate(path))
    return hashes


def gather_loop(machine: Machine, *, deterministic: bool, started_at: str, command_line: str) -> Provenance:
    """Return the provenance of any loop on `machine`.

    Args:
        machine: as the process sees it.
        deterministic: whether torch's algorithms were deterministic.
        started_at: as `now` gives it.
        command_line: as `command` gives it.
    """
    commit, dirty = git_state()
    no_git = "isoflop does not run from a git checkout with a commit"
    job = os.environ.get("SLURM_JOB_ID")
    slurm = (
        Slurm(job, os.environ.get("SLURM_ARRAY_TASK_ID", ""), os.environ.get("SLURMD_NODENAME", ""))
        if job
        else None
    )
    return Provenance(
        isoflop_version=__version__,
        git_commit=commit,
        git_commit_reason=None if commit else no_git,
        dirty=dirty,
        dirty_reason=no_git if dirty is None else None,
        command=command_line,
        versions=versions() | machine.libraries,
        host=socket.gethostname(),
        cpu=machine.cpu,
        device=machine.device,
        precision=machine.precision,
        precision_reason="not given to Recorder" if machine.precision is None else None,
        threads=machine.threads,
        deterministic=deterministic,
        started_at=started_at,
        gpu=machine.gpu,
        gpu_reason=machine.gpu_reason,
        slurm=slurm,
        slurm_reason=None if slurm else "not run under SLURM",
    )


def model_facts(
    config: Config, parameters: int | None, parameters_without_embeddings: int | None = None
) -> ModelFacts:
    """Return the shape that a configuration asks for; the numbers are None where they are not known yet."""
    none = f"{config.model.name} has no such setting"
    model = config.model
    no_embeddings = NOT_REACHED if config.data.is_text else "the model has no token embeddings"
    return ModelFacts(
        family=model.family_name,
        architecture=model.name,
        width=model.width,
        width_reason=none if model.width is None else None,
        depth=model.depth,
        depth_reason=none if model.depth is None else None,
        parameters=parameters,
        parameters_reason=NOT_REACHED if parameters is None else None,
        parameters_without_embeddings=parameters_without_embeddings,
        parameters_without_embeddings_reason=None if parameters_without_embeddings else no_embeddings,
    )


def next_attempt(config: Config) -> int:
    """Return 1, or one more than the last attempt that left an undamaged record. Raises as records.find."""
    found = [records.find(records.path_of(config.directory, i)) for i in config.point_ids.values()]
    return max((record.attempt for record in found if record), default=0) + 1


def record_without_point(
    config: Config,
    provenance: Provenance,
    horizon: float,
    *,
    state: State,
    reason: str,
    attempt: int,
    seconds: float,
) -> Record:
    """Return the record of a run that gave no point at `horizon`; its reason is without secrets.

    Args:
        config: the run.
        provenance: where it comes from.
        horizon: the share of the whole length that was not reached.
        state: how the run ended.
        reason: why, in one line.
        attempt: number of the attempt.
        seconds: wall time that the attempt took, all of it wasted.
    """
    reason = redact.text(reason)
    return Record(
        schema=records.SCHEMA,
        run_id=config.point_ids[horizon],
        config_id=config.config_id,
        trunk_id=config.run_id,
        horizon=horizon,
        cell=config.identity,
        attempt=attempt,
        state=state,
        reason=reason,
        seed=config.seed,
        cost=config.cost.factors,
        cost_source=config.cost.source,
        cost_source_reason=None if config.cost.source else "no cost factor was chosen",
        model=model_facts(config, None),
        provenance=provenance,
        spent=Spent(
            seconds=seconds,
            wasted_seconds=seconds,
            **unknown(f"{state}: not accounted", "flops", "joules", "wasted_flops", "wasted_joules"),
        ),
        curve=(),
        **unknown(NOT_REACHED, "optim", "data", "compute", "time", "train_loss", "intervals"),
        **unknown(reason, "error", "loss", "energy"),
    )
