"""A W&B sweep and an Optuna study drive the same `isoflop run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from isoflop import config, extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.track import feed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1", "meter=none")


def test_a_wandb_sweep_file_makes_a_command_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not extras.installed("wandb"):
        pytest.skip("wandb is not installed: pip install 'isoflop[wandb]'")
    from wandb.sdk.launch.sweeps import utils

    file = yaml.safe_load((ROOT / "examples/wandb_sweep.yaml").read_text())
    assert set(file["parameters"]) <= set(config.names())
    drawn = {"args": {name: {"value": bounds["min"]} for name, bounds in file["parameters"].items()}}
    arguments = utils.create_sweep_command_args(drawn)["args_no_hyphens"]
    words = [w for part in file["command"] for w in (arguments if part == "${args_no_hyphens}" else [part])]
    assert words[:2] == ["isoflop", "run"]
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    given = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "given", "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "out"
    assert main.main([*words[1:], *TINY, f"out={out}"]) == 0
    assert feed.wait(out, 120)
    (path,) = (out / "records").glob("[!.]*.json")
    found = records.read(path)
    assert found.cell["optim"]["lr"] == file["parameters"]["optim.lr"]["min"]
    assert file["metric"]["name"] == "val_error"
    (offline,) = (out / "wandb").glob("offline-run-*/run-given.wandb")
    assert offline.stat().st_size > 0


def test_an_optuna_study_runs_cells_and_goes_on(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'isoflop[optuna]'")
    out = tmp_path / "study"
    command = [sys.executable, str(ROOT / "examples/optuna_study.py"), "1", *TINY, f"out={out}"]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True, timeout=240)
    study = optuna.load_study(study_name="isoflop", storage=f"sqlite:///{out}/study.db")
    found = {r.cell["optim"]["lr"]: r for r in map(records.read, (out / "records").glob("[!.]*.json"))}
    assert len(study.trials) == len(found) == 2
    for trial in study.trials:
        error = found[trial.params["optim.lr"]].error
        assert error is not None
        assert trial.value == error.val
