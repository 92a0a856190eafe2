"""Synthetic tables of runs with a known right answer for every check."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check.finding import Subject
from isoflop.curve.check.loss_curves import LossCurve
from isoflop.curve.check.shapes import ShapeLoss

WIDTHS, DEPTHS, SEEDS, SIZES = (8, 16, 32, 64, 128), (1, 2, 3), 3, (5_000, 20_000, 80_000)
EPOCHS, NOISE = 3, 0.02


def healthy(
    widths: tuple[int, ...] = WIDTHS,
    depths: tuple[int, ...] = DEPTHS,
    sizes: tuple[int, ...] = SIZES,
    seeds: int = SEEDS,
    factor: Mapping[tuple[int, int], float] | None = None,
    noise: Mapping[tuple[int, int], float] | None = None,
) -> pd.DataFrame:
    """A sweep without a fault: training loss is compute^-0.25 for each size of the training set.

    Args:
        widths, depths, sizes, seeds: the grid; seeds are run one after another, so that each shape is an
            anchor.
        factor: (width, depth) -> factor of the training loss.
        noise: (width, depth) -> s.d. of ln training loss between seeds, NOISE unless given.
    """
    rng = np.random.default_rng(1)
    rows = []
    start = pd.Timestamp("2026-01-01", tz="UTC")
    for seed in range(seeds):
        for n in sizes:
            for w in widths:
                for d in depths:
                    gflops = 1e-6 * w**2 * d * n * EPOCHS
                    place = f"w{w}d{d}n{n}"
                    spread = (noise or {}).get((w, d), NOISE)
                    # Seeds at -1, 0, 1 of a spread: each shape has just the one that the test asks for.
                    luck = spread * (seed - (seeds - 1) / 2) if (noise or {}).get((w, d)) else 0.0
                    luck = luck or NOISE * rng.standard_normal()
                    loss = 0.5 * gflops**-0.25 * (factor or {}).get((w, d), 1.0) * np.exp(luck)
                    start += pd.Timedelta(seconds=10)
                    rows.append(
                        {
                            "run_id": f"{place}s{seed}",
                            "config_id": place,
                            "place_id": place,
                            "label": f"mlp w{w} d{d}",
                            "seed": float(seed),
                            "family": "mlp",
                            "width": float(w),
                            "depth": float(d),
                            "parameters": float(w**2 * d),
                            "train_n": float(n),
                            "examples_seen": float(n * EPOCHS),
                            "train_gflops": gflops,
                            "train_loss": loss,
                            "val_loss": 1.2 * loss,
                            "test_error": 0.4 * gflops**-0.15,
                            "test_n": 10_000.0,
                            "chance_error": 0.9,
                            "lr": 0.1,
                            "lr_interior": 1.0,
                            "device": "GPU",
                            "power_limit_watts": 700.0,
                            "git_commit": "a" * 40,
                            "isoflop_version": "0.1.0",
                            "precision": "bf16",
                            "batch_size": 128.0,
                            "energy_joules": 1e-3 * gflops + 1e-4 * n,
                            "train_seconds": 1e-5 * gflops + 1e-6 * n,
                            "started_at": start.isoformat(),
                        }
                    )
    return pd.DataFrame(rows)


def curves_of(table: pd.DataFrame, bend: Mapping[str, float] | None = None) -> dict[str, LossCurve]:
    """Loss curves that collapse: 0.1 + loss (x^-0.4) over the share x of a run, but bent for some places."""
    ends = np.geomspace(0.01, 1.0, 40)
    made = {}
    for row in table.to_dict("records"):
        power = 0.4 + (bend or {}).get(str(row["place_id"]), 0.0)
        loss = 0.1 + float(row["train_loss"]) * ends**-power
        made[str(row["run_id"])] = LossCurve(tuple(ends * float(row["examples_seen"])), tuple(loss))
    return made


def shape(
    width: float, depth: float, log_loss: float, spread: float | None = NOISE, seeds: int = SEEDS
) -> ShapeLoss:
    name = f"w{width:g} d{depth:g}"
    subject = Subject(name, name, tuple(f"{name} {seed}" for seed in range(seeds)))
    return ShapeLoss(subject, 0, width, depth, width**2 * depth, log_loss, spread, seeds)


@pytest.fixture(scope="session")
def make_healthy() -> Callable[..., pd.DataFrame]:
    return healthy


@pytest.fixture(scope="session")
def make_curves() -> Callable[..., dict[str, LossCurve]]:
    return curves_of


@pytest.fixture(scope="session")
def make_shape() -> Callable[..., ShapeLoss]:
    return shape
