"""Over-parameterisation in practice: error against data, parameters and compute where all three grow
together.

The paper's argument: where parameters grow in proportion to the data n, training costs at least n x
parameters = n^2, and the root mean square error falls at best as n^(-1/2); so k times better needs k^2
data and k^4 compute (Thompson et al. 2020, section 2). Measured here: y = A x^-b over each of the three. The
argument is judged on the root mean square error of the predicted probabilities (table/aggregate.py), where
records hold it; classification error and loss stand beside it, as they are not what the argument bounds.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd

from isoflop.curve import fit
from isoflop.curve.check import front
from isoflop.curve.judge import limit as judge
from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import Answer, Judgement
from isoflop.curve.result import Estimate, Excluded, LackOfFit
from isoflop.paper import regression
from isoflop.paper.published import estimate
from isoflop.table import held_out

RMS = judge.RMS
"""The outcome that the argument is about."""
THEORY = {"train_n": 0.5, "parameters": 0.5, "train_gflops": 0.25}
"""x -> the exponent b of the argument: error falls at best as n^-1/2, parameters^-1/2 and compute^-1/4."""
LEAST_CONFIGS = 4
NEAR_CHANCE = 0.9
"""A run whose error is above this share of chance has learnt too little to lie on a power law."""
LEAST_TIES = 0.9
"""Data and parameters count as growing together if their logarithms' R^2 is at least this."""

Outcome = Literal["test_rms_probability_error", "test_error", "test_loss"]
OUTCOMES: tuple[Outcome, ...] = ("test_rms_probability_error", "test_error", "test_loss")


@dataclasses.dataclass(frozen=True)
class MeasuredExponent:
    """y ~ x^-b over one axis: b with its 95% interval over shapes, its inverse alpha (k times better costs
    k^alpha times x), the argument's b, and whether that bound agrees (curve/judge); None where the argument
    does not bound y. `lack_of_fit` is None where it cannot be tested."""

    y: str
    x: str
    exponent: Estimate
    alpha: Estimate | None
    r_squared: float
    theory: float
    bound: Answer | None
    lack_of_fit: LackOfFit | None = None


@dataclasses.dataclass(frozen=True)
class ShapeMeans:
    """One shape of the sweep: means over its seeds (error arithmetic), and the range of errors."""

    label: str
    seeds: int
    train_n: float
    parameters: float
    train_gflops: float
    test_error: float
    test_error_low: float
    test_error_high: float
    test_loss: float | None
    test_rms_probability_error: float | None = None


@dataclasses.dataclass(frozen=True)
class OverparameterisedResult:
    """The measured exponents of one sweep and the shapes they stand on.

    `parameters_per_example` is the exponent s of parameters ~ train_n^s: 1 where they grow in proportion.
    `limit` is the verdict on the argument, the object that `isoflop report` shows of the same runs.
    """

    source: str
    data: str
    device: str
    runs: int
    configs: int
    parameters_per_example: float
    exponents: tuple[MeasuredExponent, ...]
    places: tuple[ShapeMeans, ...]
    queries_per_training: Estimate
    resamples: int
    seed: int
    excluded: tuple[Excluded, ...]
    limit: Judgement


def analyse(
    rows: pd.DataFrame, *, source: str, resamples: int = 2000, seed: int = 0
) -> OverparameterisedResult:
    """Fit exponents to a finished sweep's table; resamples draw shapes with all their seeds.

    Raises:
        ValueError: fewer than LEAST_CONFIGS shapes are usable, or data and parameters do not grow together.
    """
    used, excluded = _usable(rows)
    shapes = used.groupby("config_id", sort=False)
    configs = shapes.ngroups
    if configs < LEAST_CONFIGS:
        why = f": {excluded[0].reason}" if excluded else ""
        raise ValueError(
            f"{source}: {configs} usable shapes, {len(excluded)} runs left out{why}. Exponents need "
            f"{LEAST_CONFIGS} shapes in which data.fraction and model.width grow together: run "
            "isoflop sweep sweep=overparameterised"
        )
    log_n, log_size = (np.log(used[name].to_numpy(float)) for name in ("train_n", "parameters"))
    if np.ptp(log_n) == 0:
        raise ValueError(f"{source}: all runs have the same data: vary data.fraction with model.width")
    ties = regression.least_squares(log_n, log_size, np.ones((1, len(used))))
    if not ties.r_squared[0] >= LEAST_TIES or ties.slope[0] <= 0:
        raise ValueError(
            f"{source}: data and parameters do not grow together (R^2 {ties.r_squared[0]:.2f} of their "
            "logarithms): run isoflop sweep sweep=overparameterised"
        )
    generator = np.random.default_rng(seed)
    weights = regression.cluster_weights(list(used["config_id"]), resamples, generator)
    limit = judge.judge(rows, front.check(rows))
    known = [y for y in OUTCOMES if y in used and used[y].notna().all() and (used[y] > 0).all()]
    exponents = tuple(_measured(used, y, x, limit) for y in known for x in THEORY)
    queries = (used["train_gflops"] / used["inference_gflops_per_example"]).to_numpy(float)
    sums = np.log(queries) @ weights.T / weights.sum(axis=1)
    return OverparameterisedResult(
        source=source,
        data=", ".join(sorted(set(used["data"]))),
        device=", ".join(sorted({str(d) for d in used["device"]})),
        runs=len(used),
        configs=configs,
        parameters_per_example=float(ties.slope[0]),
        exponents=exponents,
        places=tuple(_shape_means(group) for _, group in shapes),
        queries_per_training=estimate("queries_per_training", np.exp(sums), configs, 1),
        resamples=resamples,
        seed=seed,
        excluded=excluded,
        limit=limit,
    )


def _usable(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """Return the rows on which all three axes and the error are known and the error is off 0 and chance."""
    held = held_out.mask(rows)
    reasons = [
        held_out.EXCLUDED if held[i] else _problem(row) for i, row in enumerate(rows.to_dict("records"))
    ]
    excluded = tuple(
        Excluded(str(run_id), reason)
        for run_id, reason in zip(rows["run_id"], reasons, strict=True)
        if reason is not None
    )
    used = rows[np.array([reason is None for reason in reasons], dtype=bool)]
    return used.sort_values("train_gflops", kind="stable"), excluded


def _problem(row: dict[str, object] | dict[object, object]) -> str | None:
    numbers = {name: row[name] for name in (*THEORY, "test_error", "inference_gflops_per_example")}
    for name, value in numbers.items():
        if not isinstance(value, float) or not np.isfinite(value) or (value <= 0 and name != "test_error"):
            return f"no {name}"
    error, chance = numbers["test_error"], row["chance_error"]
    assert isinstance(error, float)
    if error == 0:
        return "0 errors: a valid outcome that has no place on a log scale"
    if isinstance(chance, float) and error > NEAR_CHANCE * chance:
        return f"error {error:.3g} is above {NEAR_CHANCE:g} of chance ({chance:.3g}): too little was learnt"
    return None


def _measured(used: pd.DataFrame, y: str, x: str, limit: Judgement) -> MeasuredExponent:
    """Return the exponent of one outcome over one axis, by the estimator of `isoflop fit`.

    Args:
        used: the runs.
        y, x: their columns.
        limit: the verdict on the argument, which is that of the root mean square error against compute.
    """
    method = fit.Method(laws=(judge.LAW,), forecast=False, mixed=True, least_energy_grade="D")
    law = fit.fit_table(used, x=x, y=y, method=method).fits[0]
    b = next(each for each in law.parameters if each.name == "b")
    bound: Answer | None = None
    if y == RMS:
        bound = rules.of_bound(b.interval, THEORY[x], "at most", rules.EXPONENT).answer
    return MeasuredExponent(
        y=y,
        x=x,
        exponent=b,
        alpha=law.paper_alpha,
        r_squared=law.r_squared,
        theory=THEORY[x],
        bound=limit.answer if (y, x) == (RMS, "train_gflops") else bound,
        lack_of_fit=law.lack_of_fit,
    )


def _shape_means(group: pd.DataFrame) -> ShapeMeans:
    error, loss = group["test_error"], group["test_loss"]
    return ShapeMeans(
        label=str(group["label"].iloc[0]),
        seeds=len(group),
        train_n=float(group["train_n"].mean()),
        parameters=float(group["parameters"].mean()),
        train_gflops=float(group["train_gflops"].mean()),
        test_error=float(error.mean()),
        test_error_low=float(error.min()),
        test_error_high=float(error.max()),
        test_loss=float(loss.mean()) if loss.notna().all() else None,
        test_rms_probability_error=float(group[RMS].mean())
        if RMS in group and group[RMS].notna().all()
        else None,
    )


def exponent(result: OverparameterisedResult, y: str, x: str) -> MeasuredExponent | None:
    """Return one measured exponent, or None."""
    return next((e for e in result.exponents if (e.y, e.x) == (y, x)), None)
