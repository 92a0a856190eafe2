"""run_config, run_sweep and count_flops: as the commands, from a script without a guard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch

import isoflop
from isoflop import extras
from isoflop import record as records
from isoflop.cli import main, output

TINY = ("data=digits", "model=mlp", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
SCRIPT = """
import isoflop
print("started")
runs = isoflop.run_sweep(*{tiny}, "model.width=4,8", "launch.workers=2", out="swept")
print(runs[["width", "test_error"]].to_string())
"""


@pytest.mark.slow
def test_a_run_is_that_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", *TINY, "model.width=4", f"out={tmp_path / 'command'}"]) == output.DONE
    capsys.readouterr()
    threads = torch.get_num_threads()
    state = torch.random.get_rng_state()
    ours = isoflop.run_config(*TINY, "model.width=4", out=tmp_path / "ours, too", progress=False)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capsys.readouterr().out == ""
    theirs = records.read(records.path_of(tmp_path / "command", ours.run_id))
    assert (ours.state, ours.error, ours.loss, ours.compute) == (
        "done",
        theirs.error,
        theirs.loss,
        theirs.compute,
    )
    assert ours == records.read(records.path_of(tmp_path / "ours, too", ours.run_id))
    assert ours.provenance.command.startswith("isoflop run data=digits model=mlp")
    again = isoflop.run_config(*TINY, "model.width=4", out=tmp_path / "ours, too")
    assert again == ours


@pytest.mark.slow
@pytest.mark.skipif(not extras.installed("optuna"), reason="optuna is not installed")
def test_a_sweep_searches_for_shapes_and_trains_what_it_found(tmp_path: Path) -> None:
    """Once: the second call, and a size that is added, take their shapes from the same search."""
    space = ("lever.search_widths=[4,16]", "lever.search_depths=[1,2]", "lever.candidates=4")
    words = (*TINY, "lever=none,search", *space)
    runs = isoflop.run_sweep(*words, "model.width=8", out=tmp_path, progress=False)
    found = runs[runs["lever"] == "search"].iloc[0]
    assert (found["baseline_width"], found["baseline_depth"]) == (8, 1)
    (path,) = (tmp_path / "prior").glob("search-*.json")
    tried = json.loads(path.read_text())["candidates"]
    assert 2 <= len(tried) <= 4
    shape = {"width": found["width"], "depth": found["depth"]}
    budget = 2 * (64 * 8 + 8 * 10)
    assert shape in [{"width": each["width"], "depth": each["depth"]} for each in tried]
    assert 1e9 * found["inference_gflops_per_example"] <= budget
    (record,) = (each for each in map(records.read, (tmp_path / "records").glob("*.json")) if each.lever)
    assert (record.model.width, record.model.depth) == (found["width"], found["depth"])
    candidates = [records.read(records.path_of(tmp_path / "prior", each["run_id"])) for each in tried]
    assert record.lever.prior_train_flops == sum(each.compute.train_flops for each in candidates)
    kept = path.stat().st_mtime_ns
    more = isoflop.run_sweep(*words, "model.width=8,12", out=tmp_path, progress=False)
    assert len(more) == 4
    assert found["run_id"] in set(more["run_id"])
    assert path.stat().st_mtime_ns == kept
    assert len(list((tmp_path / "prior" / "records").glob("*.json"))) == len(tried)


@pytest.mark.slow
def test_a_script_without_a_guard_sweeps_once(tmp_path: Path) -> None:
    """Children import the main module of a script anew where nothing keeps them from it."""
    (tmp_path / "script.py").write_text(SCRIPT.format(tiny=TINY))
    ran = subprocess.run(
        [sys.executable, "script.py"],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(isoflop.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[:2] == ["started", "swept: 2 runs, 2 to run"]
    ended = [line[:7] for line in lines if line[1:6] == " of 2" and line[6] == ":"]  # each run once
    assert ended == ["1 of 2:", "2 of 2:"]
    table = isoflop.load(tmp_path / "swept")
    assert table["width"].tolist() == [4, 8]
    record = records.read(records.path_of(tmp_path / "swept", table["run_id"].iloc[0]))
    assert record.provenance.command.startswith("isoflop sweep data=digits")


@pytest.mark.slow
def test_missing_points_are_a_warning(tmp_path: Path) -> None:
    overrides = (*TINY, "model.width=4", "sweep.grid={seed:[0,1]}", "optim.lr=1e9", "optim.schedule=constant")
    with pytest.warns(UserWarning, match="2 of 2 points are missing: .* \\(diverged\\)"):
        runs = isoflop.run_sweep(*overrides[:-1], out=tmp_path, progress=False)
    assert runs.empty
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(runs, pd.DataFrame)


def test_flops_of_a_layer_are_counted_by_hand() -> None:
    layer = torch.nn.Linear(64, 10)
    of_sizes = isoflop.count_flops(layer, (64,))
    assert of_sizes.forward_macs_per_example == 640
    assert of_sizes.train_flops_per_example == 2560  # no gradient of the input: 2 x 640 MACs
    of_batch = isoflop.count_flops(layer, torch.zeros(16, 64))
    assert (of_batch.batch_size, of_batch.train_flops_per_example) == (16, 2560)
    embedded = torch.nn.Sequential(torch.nn.Embedding(11, 8), torch.nn.Flatten(), torch.nn.Linear(40, 3))
    assert isoflop.count_flops(embedded, (5,), dtype=torch.int64).forward_macs_per_example == 120


@pytest.mark.parametrize("given", [(0,), (3, -1), torch.zeros(()), torch.zeros(0, 3)])
def test_an_input_without_an_example_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="input"):
        isoflop.count_flops(torch.nn.Linear(3, 2), given)  # type: ignore[arg-type]
