"""isoflop batch: table, JSON and figure of a file, the same in Python, and one line for what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop.cli import main, output

BATCHES = (4, 16, 64, 256, 1024)


def write(path: Path, reach: float = 2.0) -> None:
    """Losses that fall as steps^-1/2 and are 0.2 after 40 (1 + 64 / B) steps times a seed's own factor."""
    rows = []
    for batch in BATCHES:
        for seed, factor in enumerate((0.95, 1.05)):
            needed = 40 * (1 + 64 / batch) * factor
            for step in np.unique(np.round(needed * reach * np.arange(1, 31) / 30)):
                rows.append((batch, 0.1, seed, step, 0.2 * (step / needed) ** -0.5))
    names = ["batch_size", "lr", "seed", "step", "val_loss"]
    pd.DataFrame(rows, columns=pd.Index(names)).to_csv(path, index=False)


@pytest.fixture
def runs(here: Path) -> Path:
    write(here / "runs.csv")
    return here


def test_the_table_and_what_follows_from_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["batch", "runs.csv", "--loss", "0.2"]) == output.DONE
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == "runs.csv: steps against examples to validation loss 0.2: 10 runs"
    assert lines[4].split() == ["64", "0.1", "2", "79.9", "5,110", "79.9", "50%"]
    assert "critical batch size 64.0 examples (95%: 64.0 to 64.0)" in shown
    assert "10% more up to batch 6.4, 50% more up to batch 32, 100% more up to batch 64" in shown
    assert "from batch 4 on, at most 17 times fewer steps" in shown
    assert max(len(line) for line in lines[1:7]) <= 80


def test_json_is_what_python_gives(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["batch", "runs.csv", "--loss", "0.2", "--json", "-"]) == output.DONE
    shown: Any = capsys.readouterr().out
    fit = isoflop.critical_batch("runs.csv", 0.2)
    assert json.loads(shown) == json.loads(fit.to_json())
    assert fit.critical_batch is not None
    assert json.loads(shown)["critical_batch"]["value"] == fit.critical_batch.value
    frame = isoflop.critical_batch(pd.read_csv("runs.csv"), 0.2)
    assert frame.critical_batch == fit.critical_batch
    assert fit.batch_sizes["steps"].tolist() == pytest.approx([40 * (1 + 64 / b) for b in BATCHES], rel=2e-3)
    assert "critical batch size 64.0 examples" in repr(fit)


def test_the_losses_are_read_again_from_what_they_are_saved_as(runs: Path) -> None:
    fit = isoflop.critical_batch("runs.csv", 0.2)
    fit.curves.to_csv("again.csv", index=False)
    again = isoflop.critical_batch("again.csv", 0.2)
    assert again.result.batch_sizes == fit.result.batch_sizes


@pytest.mark.slow
def test_the_figure_and_its_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["batch", "runs.csv", "--loss", "0.2", "--figure", "batch.svg"]) == output.DONE
    assert capsys.readouterr().out.endswith("written: batch.svg\n")
    assert Path("batch.svg").read_text().startswith("<?xml")
    data = pd.read_csv("batch.csv")
    corner = data[data["series"].str.contains("Critical", na=False)]
    assert corner["x"].tolist() == pytest.approx([80], rel=0.01)
    assert corner["y"].tolist() == pytest.approx([5120], rel=0.01)


def test_columns_of_other_names(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv("runs.csv")
    table.columns = pd.Index(["b", "eta", "trial", "t", "nll"])
    table.to_csv("odd.csv", index=False)
    named = ["--batch", "b", "--lr", "eta", "--seed", "trial", "--steps", "t", "--y", "nll"]
    assert main.main(["batch", "odd.csv", *named, "--loss", "0.2", "--where", "b > 4"]) == output.DONE
    shown = capsys.readouterr().out
    assert "to nll 0.2: 8 runs" in shown
    assert "critical batch size 64.0" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs.csv", "--loss", "0.01"], "runs.csv: --loss 0.01: no batch size reaches it"),
        (["runs.csv", "--loss", "9"], "val_loss is below it at the first evaluation"),
        (["runs.csv", "--loss", "-1"], "--loss -1: give a loss above 0"),
        (["runs.csv", "--batch", "size"], "--batch size: no such column: did you mean"),
        (["runs.csv", "--where", "batch_size == 64"], "all runs have batch size 64: train at several"),
        (["runs.csv", "--level", "40"], "--level 40: give per cent above 50"),
        (["runs.csv", "--figure", "batch.gif"], "--figure batch.gif: give a name that ends in"),
        (["none.csv"], "none.csv: no such file or folder"),
        (["."], "no records here: give the folder of a sweep"),
        ([".", "--y", "loss"], "--y is for a table of your own"),
    ],
)
def test_what_it_refuses_is_one_line(
    runs: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["batch", *arguments]) == output.INPUT
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_in_python_errors_name_its_arguments(runs: Path) -> None:
    with pytest.raises(ValueError, match="no such column") as error:
        isoflop.critical_batch("runs.csv", batch="size")
    assert "batch=" in str(error.value)
    assert "--" not in str(error.value)
