"""isoflop sweep: only missing runs are trained, whatever stopped the sweep before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main, output

pytestmark = pytest.mark.slow

TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


def test_a_sweep_runs_what_is_missing_then_fits_and_reports(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "model.width=4,16,64", "seed=0,1", "sweep.name=tiny", *TINY[1:]]
    assert main.main(sweep) == 0
    assert "6 runs, 6 to run" in capsys.readouterr().out
    manifest = [json.loads(line) for line in (here / "results/tiny/manifest.jsonl").read_text().splitlines()]
    work = [line["planned_train_flops"] for line in manifest]
    assert work == sorted(work, reverse=True)
    sorted((here / "results/tiny/records").iterdir())[0].unlink()
    assert main.main(sweep) == 0
    assert "6 runs, 1 to run" in capsys.readouterr().out
    assert main.main(["aggregate", "results/tiny", "--json", "-"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert len(table["rows"]) == 6
    assert table["rows"][0]["energy_joules"] is None
    assert main.main(["fit", "results/tiny", "--resamples", "100", "--json", "fit-copy.json"]) == 0
    assert json.loads(Path("fit-copy.json").read_text())["reports"][0]["points"] == 6
    assert main.main(["report", "results/tiny", "--resamples", "100"]) == 0
    assert "page: results/tiny/index.html" in capsys.readouterr().out
    for name in ("index.html", "fit.json", "table.csv", "dropped.csv", "manifest.jsonl"):
        assert (here / "results/tiny" / name).is_file(), name


def test_ctrl_c_ends_a_sweep_with_every_run_accounted_for(here: Path) -> None:
    """A real Ctrl-C, to the whole process group, in the middle of a sweep; then the same command again."""
    command = [
        sys.executable,
        "-m",
        "isoflop",
        "sweep",
        "seed=range(0,40)",
        "out=s",
        *TINY,
        "schedule.epochs=8",
    ]
    sweep = subprocess.Popen(command, stdout=-1, stderr=-1, start_new_session=True, text=True)
    while len(list(here.glob("s/records/*.json"))) < 3 and sweep.poll() is None:
        time.sleep(0.02)
    os.killpg(sweep.pid, signal.SIGINT)
    _, stderr = sweep.communicate(timeout=60)
    assert sweep.returncode == output.INTERRUPTED
    assert stderr.endswith("isoflop: interrupted: run the same command again to go on\n")
    states = {records.read(path).state for path in here.glob("s/records/*.json")}
    assert states <= {"done", "interrupted"}
    assert main.main(command[3:]) == output.DONE
    assert len(list(here.glob("s/records/*.json"))) == 40


def test_a_users_own_config_folder_is_found(here: Path) -> None:
    (here / "mine/sweep").mkdir(parents=True)
    (here / "mine/sweep/own.yaml").write_text("name: own\ngrid: {seed: [0, 1, 2]}\n")
    assert main.main(["sweep", "--config-dir", "mine", "sweep=own", *TINY]) == 0
    assert len(list((here / "results/own/records").glob("*.json"))) == 3
