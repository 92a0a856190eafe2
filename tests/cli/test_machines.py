"""Machines that are not as one expects: what works all the same, what ends in one line (docs/sweeps.md)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.api import log_lines
from isoflop.cli import main, output
from isoflop.sweep import manifest
from isoflop.sweep.grid import PlannedRun

TINY = ("data=digits", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
ISOFLOP = (sys.executable, "-m", "isoflop")


@pytest.mark.torch
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, "RANK=0 and WORLD_SIZE=4 are set"),
        ({"RANK": "first", "WORLD_SIZE": "4"}, "RANK=first is not a whole number"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "MASTER_ADDR": "a"}, "SLURM_STEP_NUM_TASKS=2"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_variables_of_another_launcher_are_refused_before_training(
    here: Path,
    error_line: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    named: str,
    verb: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    widths = {"run": "model.width=4", "sweep": "model.width=4,8"}[verb]
    assert main.main([verb, *TINY, widths, "sweep.name=left", "out=left"]) == output.INPUT
    assert named in error_line()
    assert not (here / "left/records").exists()


def test_a_name_that_the_locale_has_no_characters_for_is_refused(
    here: Path, error_line: Callable[[], str]
) -> None:
    name = "größe".encode().decode("ascii", "surrogateescape")  # as argv holds it in a strict C locale
    assert main.main(["run", *TINY, f"out={name}"]) == output.INPUT
    assert "set LC_ALL=C.UTF-8" in error_line()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "HOME": None, "TMPDIR": "/nonexistent"},
        {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "HOME": "/proc", "OMP_NUM_THREADS": "nonsense"}
        | dict.fromkeys(("RANK", "WORLD_SIZE", "SLURM_JOB_ID", "SLURM_PROCID", "SLURM_CPUS_PER_TASK"), ""),
    ],
    ids=["C", "Turkish"],
)
def test_a_run_trains_whatever_the_environment_says(here: Path, variables: dict[str, str | None]) -> None:
    """Several oddities at once, none of which can hide another: each is read by a part of its own."""
    environment = {name: v for name, v in os.environ.items() if name not in variables}
    environment |= {name: value for name, value in variables.items() if value is not None}
    command = [*ISOFLOP, "run", *TINY, "model.width=4", 'out="größe"']
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == output.DONE, done.stderr
    (path,) = (here / "größe/records").iterdir()
    assert records.read_state(path) == "done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("-n 12", "raise it with ulimit -n"),
        ("-v 1000000", "ulimit -v unlimited"),
        ("-f 1", "ulimit -f unlimited"),
    ],
)
def test_a_limit_of_the_shell_is_named(here: Path, limit: str, said: str) -> None:
    command = [*ISOFLOP, "sweep", *TINY, "model.width=4,8", "sweep.name=limited", "out=limited"]
    shell = ["/bin/bash", "-c", f'ulimit {limit}; exec "$@"', "bash", *command]
    done = subprocess.run(shell, check=False, capture_output=True, text=True)
    assert done.returncode == output.FAILED, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("isoflop: ")]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.slow
def test_a_sweep_whose_folder_is_removed_ends_with_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs write their records all the same; the sweep fails for the ones that are gone."""
    ended = []

    @contextlib.contextmanager
    def removing(runs: Sequence[PlannedRun]) -> Iterator[manifest.Shown]:
        class Removing:
            def ended(self, run: PlannedRun, written: tuple[records.Record, ...]) -> None:
                ended.append(run.run_id)
                if len(ended) == 1:
                    shutil.rmtree(here / "removed")

            def tick(self, jobs: tuple[Any, ...]) -> None:
                pass

        yield Removing()

    monkeypatch.setattr(log_lines, "runs", removing)
    command = ["sweep", *TINY, "model.width=4,8", "sweep.name=removed", "out=removed", "launch.workers=1"]
    assert main.main(command) == output.FAILED
    assert "1 of 2 points are missing" in capsys.readouterr().out
    assert [path.stem for path in (here / "removed/records").iterdir()] == ended[1:]


@pytest.mark.slow
def test_a_full_folder_for_temporary_files_stops_nothing(here: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    full = here / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets no file system be mounted")
    try:
        with contextlib.suppress(OSError):
            (full / "filler").write_bytes(bytes(65_536))
        command = [*ISOFLOP, "sweep", *TINY, "model.width=4,8", "sweep.name=full", "out=swept"]
        done = subprocess.run(command, check=False, env=os.environ | {"TMPDIR": str(full)})
        assert done.returncode == output.DONE
    finally:
        subprocess.run(["umount", full], check=True)
