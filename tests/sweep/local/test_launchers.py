"""Runs of a sweep under other launchers: the records are the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.record import Record

pytestmark = pytest.mark.slow

SWEEP = (
    *("model=mlp", "model.width=4,8", "model.depth=1", "schedule.epochs=1", "launch.threads=1"),
    "meter=none",  # energy of the processor is only measured for a run without others beside it
)


def comparable_records(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the records by run id, without the fields that say when, where and how fast."""
    kept = {}
    for path in (directory / "records").glob("*.json"):
        record = records.read(path)
        assert record.run_id == path.stem
        kept[path.stem] = _timeless(record)
    return kept


def _timeless(record: Record) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    plain["curve"] = [{k: v for k, v in point.items() if k != "seconds"} for point in plain["curve"]]
    plain["intervals"] = [_timeless_interval(interval) for interval in plain["intervals"]]
    plain["spent"] = {k: v for k, v in plain["spent"].items() if "seconds" not in k}
    origin = plain["provenance"]
    plain["provenance"] = {k: v for k, v in origin.items() if k not in ("command", "started_at")}
    del plain["time"]
    return plain


def _timeless_interval(interval: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in interval.items() if k not in ("seconds", "examples_per_second")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swept")
    assert main.main(["sweep", *SWEEP, f"out={out}"]) == 0
    return out


LAUNCHERS = [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local", "hydra.launcher.timeout_min=5")]


def multirun(launcher: str, setting: str, *overrides: str, out: Path) -> int:
    """Return the exit code of a multirun under one of Hydra's other launchers."""
    plugin = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    pytest.importorskip(plugin, reason=f"{plugin} is not installed", exc_type=ImportError)
    chosen = [f"hydra/launcher={launcher}", setting, *overrides, f"out={out}"]
    command = [sys.executable, "-m", "isoflop", "run", "-m", *chosen]
    return subprocess.run(command, cwd=out.parent, check=False).returncode


@pytest.mark.parametrize(("launcher", "setting"), LAUNCHERS)
def test_hydras_other_launchers_write_the_same_records(
    swept: Path, tmp_path: Path, launcher: str, setting: str
) -> None:
    out = tmp_path / "out"
    assert multirun(launcher, setting, *SWEEP, out=out) == 0
    assert comparable_records(out) == comparable_records(swept)


@pytest.mark.parametrize(("launcher", "setting"), LAUNCHERS)
def test_the_exit_code_of_a_multirun_says_that_a_run_failed(
    tmp_path: Path, launcher: str, setting: str
) -> None:
    """Two runs, of which the second diverges; the folder of exit codes is gone afterwards."""
    out = tmp_path / "out"
    diverging = ("optim.lr=0.001,1e30", *(each for each in SWEEP if "width" not in each))
    assert multirun(launcher, setting, "model.width=8", *diverging, out=out) == output.DIVERGED
    states = sorted(records.read_state(path) for path in (out / "records").glob("*.json"))
    assert states == ["diverged", "done"]
    assert not list(tmp_path.glob(".isoflop-*"))


PARALLEL = "seq 2 | parallel -j 2 {python} -m isoflop run --manifest {manifest} --line {{}}"
LOOP = "for line in 1 2; do {python} -m isoflop run --manifest {manifest} --line $line; done"


@pytest.mark.parametrize(("program", "script"), [("parallel", PARALLEL), ("sh", LOOP)])
def test_gnu_parallel_or_a_loop_over_the_manifest_writes_the_same_records(
    swept: Path, tmp_path: Path, program: str, script: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    manifest = tmp_path / "manifest.jsonl"
    shutil.copy(swept / "manifest.jsonl", manifest)
    line = script.format(python=sys.executable, manifest=manifest)
    subprocess.run(["/bin/sh", "-ec", line], check=True, stdin=subprocess.DEVNULL)
    assert comparable_records(tmp_path) == comparable_records(swept)
