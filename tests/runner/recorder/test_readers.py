"""Whatever reads the records of isoflop's own runs reads those of another loop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isoflop import Recorder
from isoflop.cli import main
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep import status
from isoflop.table import aggregate, target

WIDTHS, SEEDS = (4, 8, 16, 32, 64, 128), (0, 1)
Sweep = Callable[..., Path]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """sweep("val_error", ...) -> a folder of loops at six widths whose metrics fall with the width."""

    def train(*metrics: str, **settings: Any) -> Path:
        for width in WIDTHS:
            for seed in SEEDS:
                given: dict[str, Any] = {"name": "net", "data": "toy", "width": width, "depth": 2}
                given |= {"seed": seed, "energy": False, "train_flops_per_example": 1e4 * width**2}
                value = (0.8 + 0.02 * seed) * width**-0.3
                with Recorder(tmp_path / "out", **given, **settings) as recorder:
                    recorder.log(step=5, examples=500, **dict.fromkeys(metrics, 1.2 * value))
                    recorder.log(step=10, examples=1000, **dict.fromkeys(metrics, value))
        return tmp_path / "out"

    return train


@pytest.mark.parametrize(
    ("metrics", "y", "title"),
    [
        (("val_error", "test_error"), "test_error", "Test error"),
        (("val_error", "train_loss"), "val_error", "Validation error"),
        (("val_loss", "test_loss"), "test_loss", "Test loss"),
        (("val_loss", "train_loss"), "val_loss", "Validation loss"),
    ],
)
@pytest.mark.slow
def test_a_sweep_is_judged_on_what_its_loops_know(
    sweep: Sweep, capsys: pytest.CaptureFixture[str], metrics: tuple[str, ...], y: str, title: str
) -> None:
    folder = sweep(*metrics)
    rows = aggregate.aggregate(folder).rows
    assert target.of(rows).y == y
    assert len(rows) == len(WIDTHS) * len(SEEDS)
    assert main.main(["fit", str(folder), "--resamples", "100"]) == 0
    assert f"{y} against train_gflops: 12 runs of 6 configurations" in capsys.readouterr().out
    assert main.main(["check", str(folder)]) == 0
    assert main.main(["report", str(folder), "--resamples", "100"]) == 0
    page = (folder / "index.html").read_text()
    assert f"{title} against training compute" in page
    assert "images" not in page.partition("<script")[0]
    capsys.readouterr()
    assert main.main(["aggregate", str(folder)]) == 0
    assert {"net", "w128"} <= set(capsys.readouterr().out.split())


def test_what_was_tested_is_no_image(sweep: Sweep) -> None:
    rows = aggregate.aggregate(sweep("test_error", test_n=400, chance_error=0.9)).rows
    assert set(rows[target.DOMAIN]) == {target.OTHER}
    assert (rows["test_n"] == 400).all()
    assert (rows["chance_error"] == 0.9).all()
    assert (rows["test_error_low"] < rows["test_error"]).all()
    assert target.of(rows).examples == "examples"


def test_runs_of_another_loop_and_text_are_no_one_curve(sweep: Sweep) -> None:
    rows = aggregate.aggregate(sweep("test_error")).rows
    rows.loc[0, target.DOMAIN] = target.TEXT
    with pytest.raises(ValueError, match="11 runs of another training loop and 1 on text are no one curve"):
        target.of(rows)
    rows.loc[0, target.DOMAIN] = target.IMAGE  # isoflop's own runs on images stand beside them
    assert target.of(rows).y == "test_error"


def test_status_lists_loops_without_a_manifest(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sweep("val_error", hyperparameters={"lr": 0.1})
    failing = Recorder(folder, name="net", data="toy", seed=7, train_flops_per_example=1.0, energy=False)
    failing.start()
    failing.log(step=1, examples=1)
    failing.close(RuntimeError("a fault"))
    killed = Heartbeat(1, 30, 100, 5.0, os.uname().nodename, 2**22 - 1, None)
    (folder / "progress/0123456789abcdef.json").write_bytes(msgspec.json.encode(killed))
    running = Heartbeat(1, 30, 100, 5.0, os.uname().nodename, os.getpid(), None)
    (folder / "progress/fedcba9876543210.json").write_bytes(msgspec.json.encode(running))
    read = status.read_status(folder)
    assert read.counts == {"running": 1, "lost": 1, "failed": 1, "done": 12}
    by_id = {run.run_id: run for run in read.runs}
    assert by_id["fedcba9876543210"].share_done == 0.3
    assert by_id[failing.run_id].reason is not None
    assert "a fault" in by_id[failing.run_id].reason
    done = next(run for run in read.runs if run.state == "done")
    assert done.settings == {"model.family": "net", "model.width": 4, "model.depth": 2, "lr": 0.1, "seed": 0}
    assert main.main(["status", str(folder), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["done"] == 12


def test_status_of_a_folder_without_runs_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["status", str(tmp_path)]) == 2
    assert "no manifest.jsonl and no records: give the folder of a sweep" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what W&B's packages say of each other
def test_wandb_shows_them_as_runs(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb_workspaces", reason="W&B's packages are not installed")
    folder = sweep("val_error")
    assert main.main(["wandb", str(folder), "--dry-run", "--json", "-"]) == 0
    sent = json.loads(capsys.readouterr().out)
    assert len(sent["runs"]) == 12
    first = sent["runs"][0]
    assert first["summary"]["state"] == "done"
    assert [point["val_error"] for point in first["curve"]] == sorted(
        (point["val_error"] for point in first["curve"]), reverse=True
    )
