"""Fixtures of the sweep tests: executing runs from this process, workers that misbehave, stubs of SLURM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop.record import Record
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, worker
from isoflop.sweep.local.launch import Slots

SbatchCalls = Callable[[], list[list[str]]]
Collect = Callable[..., dict[str, Record | None]]

TWO = Slots(2, 1, 0)

FRAME = """
import errno, itertools, os, signal, sys, time
from pathlib import Path
from isoflop.sweep.local import worker as child
real_execute, real_serve = child.execute, child.serve

def serve(*arguments):
    child.execute = execute
{setup}
    real_serve(*arguments)

def execute(assignment, *rest):
    seed, out = assignment.config.seed, assignment.config.directory
{body}
    return real_execute(assignment, *rest)
"""


@pytest.fixture
def collect() -> Collect:
    """collect(runs, slots) maps run ids to the last record of each run, None if another process has it."""

    def execute(runs: tuple[PlannedRun, ...], slots: Slots = TWO) -> dict[str, Record | None]:
        last: dict[str, Record | None] = {}
        launch.run_all(
            runs, slots, lambda run, written: last.update({run.run_id: written[-1] if written else None})
        )
        return last

    return execute


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def misbehave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """misbehave("if seed == 1: sys.exit(3)"): workers do this before each run, and `setup` as they start.

    monkeypatch.undo takes it back.
    """

    def indented(lines: str) -> str:
        return "\n".join("    " + line for line in lines.strip().splitlines())

    def make(body: str, setup: str = "pass") -> None:
        frame = FRAME.replace("{body}", indented(body)).replace("{setup}", indented(setup))
        (tmp_path / "misbehaving.py").write_text(frame)
        monkeypatch.syspath_prepend(str(tmp_path))
        import misbehaving  # type: ignore[import-not-found]

        monkeypatch.setattr(worker, "serve", misbehaving.serve)

    yield make
    sys.modules.pop("misbehaving", None)


SBATCH = """#!/bin/sh
[ -e "{folder}/refuse-$(cat "{folder}/calls" | wc -l)" ] && {{ echo "sbatch: error: {refusal}" >&2; exit 1; }}
env | grep -c ^SLURM_ > "{folder}/slurm-variables"
echo x >> "{folder}/calls"
(for word in "$@"; do printf '%s\\0' "$word"; done; printf '\\n\\0') >> "{folder}/arguments"
echo "$(wc -l < "{folder}/calls");cluster"
"""


@pytest.fixture
def sbatch_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SbatchCalls:
    """Install stubs of SLURM's commands that accept every job; sbatch_calls() returns their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "calls").touch()
    scripts = {
        "sbatch": SBATCH.format(folder=folder, refusal="Invalid account or account/partition combination"),
        "squeue": "#!/bin/sh\n",
        "scontrol": "#!/bin/sh\necho 'MaxArraySize            = 3'\n",
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def calls() -> list[list[str]]:
        parts = (folder / "arguments").read_text().split("\n\0")[:-1]
        return [part.split("\0")[:-1] for part in parts]

    return calls
