"""A simulated sweep with levers: known laws over 3 decades, 2% noise, the columns of a sweep's table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop.table import aggregate

SCALE, B = 0.5, 0.3
"""Of the baseline's law: error = SCALE x^-B, x from 1 to 1000 GFLOPs."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """What one lever does.

    Attributes:
        gain: factor of compute that it saves at x = 1.
        b: its exponent less the baseline's.
        prior: work beside its own training, over its own.
        settings: as runs have them.
        density: share of weights that are not zero.
        seconds: of inference over the baseline's.
        sizes: how many of the baseline's sizes were trained.
    """

    gain: float = 1.0
    b: float = 0.0
    prior: float = 0.0
    settings: str = ""
    density: float = 1.0
    seconds: float = 1.0
    sizes: int | None = None


ARMS: Mapping[str, Arm] = {
    "muon": Arm(gain=2.0),
    "steeper": Arm(b=0.05),
    "idle": Arm(),
    "distillation": Arm(gain=2.0, prior=3.0),
    "pruning": Arm(prior=2.0, settings="rounds=3", density=0.2),
}


def rows(
    arms: Mapping[str, Arm] = ARMS, *, sizes: int = 6, seeds: int = 3, noise: float = 0.02, seed: int = 0
) -> pd.DataFrame:
    """Return a row a run of the baseline and of each lever, with every column of a sweep's table."""
    generator = np.random.default_rng(seed)
    made: list[dict[str, object]] = []
    for name, arm in {"none": Arm(), **arms}.items():
        for i, x in enumerate(np.geomspace(1.0, 1000.0, sizes)[: arm.sizes]):
            for s in range(seeds):
                error = SCALE * (arm.gain * x) ** -B * x**-arm.b * np.exp(noise * generator.normal())
                made.append(_run(name, arm, i, x, s, float(error), generator))
    frame = pd.DataFrame(made)
    return frame.sort_values(["train_gflops", "seed", "run_id"], ignore_index=True)


def _run(
    name: str, arm: Arm, i: int, x: float, s: int, error: float, generator: np.random.Generator
) -> dict[str, object]:
    config = f"{name}{arm.settings}-{i}"
    row: dict[str, object] = {each: None if each in aggregate.TEXT else np.nan for each in aggregate.COLUMNS}
    return row | {
        "run_id": f"{config}-{s}",
        "config_id": config,
        "trunk_id": f"{config}-{s}",
        "place_id": config,
        "label": f"mlp w{2 ** (i + 3)} d1",
        "seed": float(s),
        "horizon": 1.0,
        "family": "mlp",
        "architecture": "mlp",
        "width": 2.0 ** (i + 3),
        "depth": 1.0,
        "parameters": 64.0 * 2 ** (i + 3),
        "domain": "image",
        "data": "synthetic",
        "data_fraction": 1.0,
        "train_n": 4000.0,
        "test_n": 1e6,
        "chance_error": 0.9,
        "test_error": error,
        "test_error_low": 0.98 * error,
        "test_error_high": 1.02 * error,
        "val_error": error,
        "test_loss": 3 * error,
        "val_loss": 3 * error,
        "train_loss": 2 * error,
        "examples_seen": 40000.0,
        "train_gflops": x,
        "prior_train_gflops": arm.prior * x,
        "total_train_gflops": (1 + arm.prior) * x,
        "train_seconds": 0.5 + 0.05 * x,
        "lever": name,
        "lever_settings": arm.settings,
        "density": arm.density,
        "inference_gflops_per_example": 1e-3 * x**0.5,
        "nominal_inference_gflops_per_example": 1e-3 * x**0.5 * arm.density,
        "inference_seconds_per_example": 1e-4
        * x**0.3
        * arm.seconds
        * float(np.exp(0.01 * generator.normal())),
        "inference_joules_per_example": np.nan,
        "lr": 0.01,
        "batch_size": 64.0,
        "device": "cpu",
        "precision": "fp32",
        "isoflop_version": "0.1.0",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "started_at": "2026-01-01T00:00:00+00:00",
        "held_out": 0.0,
    }


def folder(path: Path, table: pd.DataFrame) -> aggregate.RunTable:
    """Return a sweep's table of simulated rows, whose folder is made."""
    (path / "records").mkdir(parents=True, exist_ok=True)
    return aggregate.RunTable(table, ())
