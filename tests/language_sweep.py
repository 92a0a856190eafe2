"""A synthetic language sweep with a known law: tables built by hand, nothing is trained.

Bits a byte follow L(N, D) = E + A / N^alpha + B / D^beta (N without embeddings), whatever the shape. FLOPs
are those of a decoder: depth (12 w^2 + 2 T w) + 256 w forward MACs a byte of context T, attention counted as
the full square, and training costs three forward passes.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
from scipy import optimize

from isoflop.table import aggregate

CONTEXT = 256
VOCABULARY = 256
TEXT = {*aggregate.TEXT, "domain"}
NEW = (
    *("domain", "test_bits_per_byte", "val_bits_per_byte", "test_bits_per_byte_se", "context", "head_width"),
    *("parameters_without_embeddings", "passes", "train_gflops_causal", "six_n_d_gflops"),
    *("joules_per_example", "net_joules_per_example"),
)


@dataclasses.dataclass(frozen=True)
class Law:
    """E + A / N^alpha + B / D^beta in bits a byte."""

    floor: float = 1.1
    a: float = 40.0
    alpha: float = 0.42
    b: float = 130.0
    beta: float = 0.34

    def bits(self, size: float, seen: float) -> float:
        """Return bits a byte of a model of `size` parameters that saw `seen` bytes."""
        return self.floor + self.a / size**self.alpha + self.b / seen**self.beta


LAW = Law()
LADDER = tuple((w, d) for d in (1, 2) for w in (8, 12, 16, 24, 32, 48, 64, 96, 128))
BUDGETS = (1e11, 1e12, 1e13)


def without_embeddings(width: float, depth: float) -> float:
    """Parameters without the embedding table: blocks, norms and the readout."""
    return depth * (12 * width**2 + 2 * width) + width + VOCABULARY * width


def flops_per_byte(width: float, depth: float) -> float:
    """Training FLOPs a byte: 3 passes of 2 FLOPs a MAC."""
    return 6 * (depth * (12 * width**2 + 2 * CONTEXT * width) + VOCABULARY * width)


def optimum(budget: float, law: Law = LAW, depth: float = 1.0) -> tuple[float, float]:
    """Return the best N and D at a budget in FLOPs, by search over a continuous width at one depth."""

    def bits(log_width: float) -> float:
        width = math.exp(log_width)
        return law.bits(without_embeddings(width, depth), budget / flops_per_byte(width, depth))

    best = optimize.minimize_scalar(bits, bounds=(math.log(1.0), math.log(4096)), method="bounded")
    width = math.exp(float(best.x))
    return without_embeddings(width, depth), budget / flops_per_byte(width, depth)


def exponents(law: Law = LAW, depth: float = 1.0) -> tuple[float, float]:
    """Return the mean exponents of N* and D* in compute between the least and the largest budget."""
    (n0, d0), (n1, d1) = optimum(BUDGETS[0], law, depth), optimum(BUDGETS[-1], law, depth)
    span = math.log(BUDGETS[-1] / BUDGETS[0])
    return math.log(n1 / n0) / span, math.log(d1 / d0) / span


def language_table(
    law: Law = LAW,
    noise: float = 0.005,
    seeds: int = 2,
    sizes: int = 8,
    joules: bool = True,
    seed: int = 0,
    depth_costs: float = 0.0,
) -> aggregate.RunTable:
    """Return a table of BUDGETS x `sizes` shapes around each optimum x `seeds`, named synthetic.

    Args:
        law: of the bits a byte.
        noise: standard deviation of ln bits a byte, half of its variance shared by a configuration's seeds.
        seeds: runs of each configuration.
        sizes: shapes a budget, those of LADDER nearest to the optimum.
        joules: whether energy is known.
        seed: of the noise.
        depth_costs: bits a byte that the second layer adds beyond the law.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for budget in BUDGETS:
        best = math.log(optimum(budget, law)[0])
        near = sorted(LADDER, key=lambda s: abs(math.log(without_embeddings(*s)) - best))[:sizes]
        for width, depth in sorted(near):
            shared = generator.standard_normal()
            for run in range(seeds):
                size, seen = without_embeddings(width, depth), round(budget / flops_per_byte(width, depth))
                error = noise * math.sqrt(0.5) * (shared + generator.standard_normal())
                bits = (law.bits(size, seen) + depth_costs * (depth - 1)) * math.exp(error)
                rows.append(_row(width, depth, run, budget, seen, bits, joules))
    frame = pd.DataFrame(
        {
            name: pd.Series([r.get(name) for r in rows], dtype=object if name in TEXT else float)
            for name in dict.fromkeys((*aggregate.COLUMNS, *NEW))
        }
    )
    return aggregate.RunTable(frame.sort_values(["train_gflops", "run_id"], ignore_index=True), ())


def _row(
    width: int, depth: int, run: int, budget: float, seen: int, bits: float, joules: bool
) -> dict[str, object]:
    flops, exact = flops_per_byte(width, depth), seen * flops_per_byte(width, depth) * 1e-9
    size = without_embeddings(width, depth)
    config = f"{width:03x}{depth:x}{math.log10(budget):.0f}"
    causal = 6 * (depth * (12 * width**2 + CONTEXT * width) + VOCABULARY * width)
    nats = bits * math.log(2)
    return {
        **dict.fromkeys(("config_id", "place_id", "trunk_id"), config),
        "run_id": f"{config}{run:04x}",
        "label": f"synthetic gpt w{width} d{depth}, {seen / 1e6:.3g} MB",
        "seed": run,
        "horizon": 1.0,
        "family": "gpt",
        "architecture": "gpt",
        "domain": "text",
        "width": width,
        "depth": depth,
        "head_width": 8,
        "context": CONTEXT,
        "parameters": size + VOCABULARY * width,
        "parameters_without_embeddings": size,
        "data": "synthetic",
        "data_fraction": 1.0,
        "train_n": 1e8,
        "passes": seen / 1e8,
        "epochs": seen / 1e8,
        "test_error": 0.5,
        "test_error_low": 0.49,
        "test_error_high": 0.51,
        "val_error": 0.5,
        "test_loss": nats,
        "val_loss": nats,
        "train_loss": nats,
        "test_bits_per_byte": bits,
        "val_bits_per_byte": bits,
        "test_bits_per_byte_se": 0.01,
        "examples_seen": seen,
        "forward_macs_per_example": flops / 6,
        "inference_gflops_per_example": flops / 3 * 1e-9,
        "train_gflops": exact,
        "train_gflops_causal": exact * causal / flops,
        "six_n_d_gflops": 6 * size * seen * 1e-9,
        "energy_joules": 1e-8 * seen * (20 + width / 8) if joules else None,
        "net_joules": 1e-8 * seen * (5 + width / 8) if joules else None,
        "joules_per_example": 1e-8 * (20 + width / 8) if joules else None,
        "net_joules_per_example": 1e-8 * (5 + width / 8) if joules else None,
        "energy_grade": "A" if joules else None,
        "energy_reason": None if joules else "no GPU and no readable RAPL counter on this machine",
        "train_seconds": 1.0 + exact / 100,
        "lr": 0.01,
        "optimizer": "adamw",
        "parametrization": "mup",
        "batch_size": 2048,
        "device": "cpu",
        "precision": "fp32",
        "isoflop_version": "0.1.0",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "started_at": f"2026-01-0{1 + run % 9}T00:00:00+00:00",
    }
