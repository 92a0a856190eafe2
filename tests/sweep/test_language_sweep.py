"""A sweep of language models from the command to the page, by every verb that a sweep of images has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.config import compose
from isoflop.record import window_losses
from isoflop.sweep import dry_run, grid

pytestmark = pytest.mark.slow

TINY = (
    *("recipe=language", "data=text", "model.context=8", "model.head_width=4", "optim.batch_size=64"),
    *("model.depth=1", "data.eval_bytes=2048", "launch.threads=1", "meter=none"),
)
SIX = ("model.width=4,8", "schedule.steps=12,24,48")
FOUR = ("model.width=4,8", "seed=0,1", "schedule.steps=24")


def swept(capsys: pytest.CaptureFixture[str], verb: str, *arguments: str) -> str:
    assert main.main([verb, *arguments]) == output.DONE
    return capsys.readouterr().out


@pytest.fixture
def sweep_of(books: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """sweep_of("seed=0,1") -> the arguments of a sweep of tiny language models, which writes to DIR/swept."""

    def arguments(*overrides: str) -> list[str]:
        out, path = f"out={tmp_path / 'swept'}", f"data.path={books}"
        return ["sweep", *TINY, path, out, "sweep.name=text", *overrides]

    return arguments


def test_a_sweep_is_trained_listed_fitted_checked_and_shown(
    sweep_of: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "swept")
    shown = swept(capsys, *sweep_of(*SIX))
    assert "6 runs, 6 to run" in shown
    assert "bits" in shown
    assert "error" not in shown
    paths = sorted((tmp_path / "swept/records").glob("*.json"))
    kept = [records.read(path) for path in paths]
    assert {each.state for each in kept} == {"done"}
    for each in kept:
        windows = window_losses.read(tmp_path / "swept", each.run_id)
        assert windows is not None
        assert each.loss is not None
        assert windows.mean() == pytest.approx(each.loss.test, rel=1e-6)
    assert "6 runs, 0 to run" in swept(capsys, *sweep_of(*SIX))
    status = json.loads(swept(capsys, "status", folder, "--json", "-"))
    assert status["counts"]["done"] == 6
    swept(capsys, "aggregate", folder)
    table = pd.read_csv(tmp_path / "swept/table.csv")
    assert set(table["domain"]) == {"text"}
    assert table["test_bits_per_byte"].between(0, 8).all()
    by_bytes = json.loads(
        swept(capsys, "fit", folder, "--x", "examples_seen", "--resamples", "100", "--json", "-")
    )
    (report,) = by_bytes["reports"]
    assert (report["x"], report["y"]) == ("examples_seen", "test_bits_per_byte")
    assert {fit["law"] for fit in report["fits"]}
    assert main.main(["check", folder]) in (output.DONE, output.FAILED)
    checked = capsys.readouterr().out
    assert "the loss of text has no level of guessing" in checked
    swept(capsys, "report", folder)
    page = (tmp_path / "swept/index.html").read_text()
    assert "bits a byte" in page


def test_what_failed_is_trained_again_as_the_images_are(
    sweep_of: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept(capsys, *sweep_of(*FOUR))
    first, *_ = sorted((tmp_path / "swept/records").glob("*.json"))
    before = records.read(first)
    broken = json.loads(first.read_text())
    windows = window_losses.path_of(tmp_path / "swept", before.run_id)
    windows.unlink()
    for section in ("optim", "data", "error", "loss", "train_loss", "compute", "time", "energy"):
        broken[section], broken[f"{section}_reason"] = None, "the run failed"
    first.write_text(json.dumps(broken | {"state": "failed", "reason": "a test", "curve": []}))
    assert before.run_id in swept(capsys, "status", str(tmp_path / "swept"))
    shown = swept(capsys, *sweep_of(*FOUR), "--retry", "failed")
    assert "4 runs, 1 to run" in shown
    again = records.read(first)
    assert (again.state, again.attempt) == ("done", before.attempt + 1), shown
    assert (again.loss, again.error) == (before.loss, before.error)
    assert windows.is_file()


def test_a_ladder_is_one_trunk_with_points_at_passes(
    sweep_of: Callable[..., list[str]], books: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("model.width=4,8", "schedule.steps=40", "schedule.cooldowns=[0.25,0.5,1]")
    shown = swept(capsys, *sweep_of(*overrides), "--dry-run")
    assert "points at passes" in shown
    assert "epochs" not in shown
    assert "image" not in shown
    assert not (tmp_path / "swept").exists()
    config = compose.compose_config((*TINY, f"data.path={books}", *overrides), None)
    runs = grid.expand(config)
    (line, _) = dry_run.plan_sweep(runs, tmp_path, left=[each.run_id for each in runs]).lines
    swept(capsys, *sweep_of(*overrides))
    swept(capsys, "aggregate", str(tmp_path / "swept"))
    table = pd.read_csv(tmp_path / "swept/table.csv")
    assert len(table) == 6
    measured = sorted(set(table["passes"]))
    assert np.allclose(line.epochs, measured, rtol=0.01), "whole batches of a pass, against whole windows"
    assert sorted(set(table["horizon"])) == [0.25, 0.5, 1.0]
