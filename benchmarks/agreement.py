#!/usr/bin/env python3
"""Do precision and the way steps are carried out change the result? On two cells of the demo.

usage: python benchmarks/agreement.py results/agreement [--seeds 5]

Trains `sweep=digits`'s smallest and largest cell with every engine this machine has, in fp32 and bf16, writes
DIR/agreement.csv and prints, a line a variant, the mean test loss and error, and how far both lie from eager
fp32's of the same seed: mean with its standard error, beside the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from isoflop.config import compose
from isoflop.runner import run
from isoflop.table import csv_text

CELLS = {"smallest": (1, 1), "largest": (16, 3)}
BASE = ("model=resnet", "data=digits", "optim=adamw", "optim.lr=0.04", "schedule.epochs=10")
REFERENCE = "eager fp32"


def variants() -> list[tuple[str, str]]:
    """(engine, precision): a graph needs a GPU."""
    engines = ("eager", "compile", "graph") if torch.cuda.is_available() else ("eager", "compile")
    return list(itertools.product(engines, ("fp32", "bf16")))


def train(folder: Path, cell: str, engine: str, precision: str, seed: int) -> dict[str, object]:
    """One run, or its record where there is one."""
    width, depth = CELLS[cell]
    dials = (f"model.width={width}", f"model.depth={depth}", f"seed={seed}")
    how = (f"launch.step={engine}", f"precision={precision}", "meter=none", "launch.threads=1")
    config = compose.compose_config([*BASE, *dials, *how], None)
    (record,) = run.run(dataclasses.replace(config, out=str(folder / f"{engine}-{precision}")))
    assert record.error is not None, record.reason
    assert record.loss is not None
    assert record.time is not None
    return {
        "cell": cell,
        "variant": f"{engine} {precision}",
        "seed": seed,
        "test_error": record.error.test,
        "test_loss": record.loss.test,
        "compile_seconds": record.time.compile_seconds,
        "train_seconds": record.time.train_seconds,
    }


def compare(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a (cell, variant): means, and the difference to eager fp32 seed by seed."""
    found = []
    for (cell, variant), group in rows.groupby(["cell", "variant"]):
        same = rows[(rows["cell"] == cell) & (rows["variant"] == REFERENCE)].set_index("seed")
        here = group.set_index("seed")
        line: dict[str, object] = {"cell": cell, "variant": variant, "n": len(group)}
        for name in ("test_loss", "test_error"):
            apart = here[name] - same[name]
            line[name] = here[name].mean()
            line[f"{name}_difference"] = apart.mean()
            line[f"{name}_standard_error"] = apart.std() / len(apart) ** 0.5
            line[f"{name}_seed_sd"] = same[name].std()
        found.append(line)
    return pd.DataFrame(found)


def told(line: Any, name: str) -> str:
    """A figure of one variant: its mean, the difference to the reference, and what seeds alone do."""
    mean, apart = getattr(line, name), getattr(line, f"{name}_difference")
    error, seeds = getattr(line, f"{name}_standard_error"), getattr(line, f"{name}_seed_sd")
    return f"{name} {mean:.4f} ({apart:+.4f} +- {error:.4f}, over seeds {seeds:.4f})"


def main() -> None:
    """Train, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    work = given.directory / "runs"
    cells = itertools.product(CELLS, variants(), range(given.seeds))
    rows = pd.DataFrame([train(work, cell, *variant, seed) for cell, variant, seed in cells])
    found = compare(rows)
    for name, frame in (("agreement", found), ("points", rows)):
        (given.directory / f"{name}.csv").write_text(csv_text.to_csv(frame))
    for line in found.itertuples():
        print(
            f"{line.cell:8} {line.variant:12} n={line.n}", told(line, "test_loss"), told(line, "test_error")
        )


if __name__ == "__main__":
    main()
