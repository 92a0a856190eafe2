"""From what was measured to the sections of a record. Pure functions; every unknown keeps its reason."""

from __future__ import annotations

import dataclasses
from typing import Any

from scipy import stats

from isoflop.config import Config
from isoflop.meter import hardware
from isoflop.meter.trace import Window
from isoflop.prepare import Prepared, times
from isoflop.provenance import model_facts
from isoflop.record import (
    SCHEMA,
    Compute,
    CurvePoint,
    DataFacts,
    Energy,
    ErrorRate,
    Loss,
    OptimFacts,
    Provenance,
    Record,
    Spent,
    Timing,
    known,
    unknown,
)
from isoflop.train.data import DataSet
from isoflop.train.evaluate import Score


@dataclasses.dataclass(frozen=True)
class Metered:
    """Joules of earlier attempts: one entry an attempt, or the reason why one of them is unknown."""

    energies: tuple[Energy, ...] = ()
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Trained:
    """A point reached: what the loop really did on the way, its learning curve and where the seconds went.

    With cooldowns, `examples_own` are those this point was the first to need: its cool-down and the stretch
    of the trunk since the branch before. `windows` are the metered stretches of its own path in this attempt,
    `metered` what earlier attempts metered of it. The wasted examples and seconds were lost with an attempt
    that died, and are done again.
    """

    horizon: float
    steps: int
    examples_seen: int
    examples_own: int
    wasted_examples: int
    wasted_seconds: float
    parameters: int
    optimizer_flops_per_step: float
    curve: tuple[CurvePoint, ...]
    windows: tuple[Window, ...]
    metered: Metered
    setup_seconds: float
    warmup_seconds: float
    compile_seconds: float
    train_seconds: float
    eval_seconds: float
    eval_examples: int
    test: Score
    val: Score
    train: Score


def with_energy(
    curve: tuple[CurvePoint, ...], energy: Energy | None, reason: str | None
) -> tuple[CurvePoint, ...]:
    """The curve with joules where they are known: a replayed cell's are its joules per example x examples."""
    if energy is None:
        return tuple(dataclasses.replace(p, energy_joules=None, energy_joules_reason=reason) for p in curve)
    if not energy.replayed:
        return curve
    each = energy.energy_joules / curve[-1].examples
    return tuple(
        dataclasses.replace(p, energy_joules=each * p.examples, energy_joules_reason=None) for p in curve
    )


def compute(prepared: Prepared, trained: Trained) -> Compute:
    """Work in total: per-example counts times the examples the loop really saw."""
    count, examples = prepared.count, trained.examples_seen
    counted: dict[str, Any] = {
        "forward_macs_per_example": count.forward_macs_per_example,
        "train_flops_per_example": count.train_flops_per_example,
        "backward_flops_per_example": None,
        "closed_form_macs_per_example": None,
        "train_bytes_per_example": None,
        "train_flops": times(examples, count.train_flops_per_example),
        "train_to_forward_ratio": count.train_to_forward_ratio,
        "inference_flops_per_example": count.inference_flops_per_example,
        "eval_flops": times(trained.eval_examples, count.inference_flops_per_example),
    }
    reasons: dict[str, Any] = {f"{name}_reason": count.reason for name in counted}
    for name in ("backward_flops_per_example", "closed_form_macs_per_example", "train_bytes_per_example"):
        reasons[f"{name}_reason"] = "not counted"
    return Compute(
        examples_seen=examples,
        **counted,
        **reasons,
        **known(optimizer_flops=trained.optimizer_flops_per_step * trained.steps),
        forward_macs_by_op=count.forward_macs_by_op,
        uncounted_ops=count.uncounted_ops,
        counters_agree=count.counters_agree,
    )


def timing(compute: Compute, trained: Trained, origin: Provenance) -> Timing:
    """Seconds, rates, and the share of the device's peak rate where that is known."""
    peak = hardware.peak_rate(origin.gpu.name, origin.precision) if origin.gpu else None
    no_peak = "no peak rate is known for this device" if origin.gpu else "not a GPU"
    achieved = times(1 / trained.train_seconds, compute.train_flops)
    mfu, mfu_reason = None, compute.train_flops_reason or no_peak
    if achieved is not None and peak is not None:
        try:
            mfu = hardware.mfu(achieved, peak)
        except ValueError as error:
            mfu_reason = str(error)
    return Timing(
        train_seconds=trained.train_seconds,
        warmup_seconds=trained.warmup_seconds,
        eval_seconds=trained.eval_seconds,
        compile_seconds=trained.compile_seconds,
        setup_seconds=trained.setup_seconds,
        examples_per_second=compute.examples_seen / trained.train_seconds,
        achieved_flops_per_second=achieved,
        achieved_flops_per_second_reason=compute.train_flops_reason,
        mfu=mfu,
        mfu_reason=mfu_reason if mfu is None else None,
        peak=peak,
        peak_reason=None if peak else no_peak,
        **unknown("not measured", "hardware_burden_flops", "ceiling"),
        **unknown("not measured", "intensity_flops_per_byte", "roofline_share"),
    )


def spent(
    compute: Compute, trained: Trained, energy: Energy | None, energy_reason: str | None, seconds: float
) -> Spent:
    """`seconds` is wall time since the point before; replayed steps, whose results are discarded, are waste.

    FLOPs and joules are those of `examples_own`, so that the points of a trunk add up to what it cost. Those
    wasted are of steps done again after an interruption, the joules by the run's own joules per example.
    """
    replayed = energy.window_seconds if energy and energy.replayed else 0.0
    own = trained.examples_own / trained.examples_seen
    wasted = trained.wasted_examples / trained.examples_seen
    return Spent(
        wasted_flops=times(wasted, compute.train_flops),
        wasted_flops_reason=compute.train_flops_reason,
        wasted_joules=energy.energy_joules * wasted if energy else None,
        wasted_joules_reason=energy_reason,
        flops=times(own, compute.train_flops),
        flops_reason=compute.train_flops_reason,
        joules=energy.energy_joules * own if energy else None,
        joules_reason=energy_reason,
        seconds=seconds,
        wasted_seconds=replayed + trained.wasted_seconds,
    )


def error_rate(test: Score, val: Score) -> ErrorRate:
    """Errors with Wilson's 95% interval for the test part (Wilson 1927)."""
    interval = stats.binomtest(test.wrong, test.n).proportion_ci(0.95, method="wilson")
    return ErrorRate(
        test=test.error,
        val=val.error,
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        test_n=test.n,
        val_n=val.n,
    )


def optim_facts(config: Config, trained: Trained, lr_interior: bool | None) -> OptimFacts:
    """What the optimizer used; `lr_interior` is None where no grid of learning rates was tried."""
    return OptimFacts(
        name=config.optim.name,
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        batch_size=config.optim.batch_size,
        parametrization=config.model.parametrization,
        lr_interior=lr_interior,
        lr_interior_reason="no learning-rate grid was tried" if lr_interior is None else None,
        **known(steps=trained.steps),
    )


def data_facts(config: Config, data: DataSet) -> DataFacts:
    """What the model saw."""
    return DataFacts(
        name=data.name,
        fraction=config.data.fraction,
        train_n=len(data.train),
        val_n=len(data.val),
        test_n=len(data.test),
        classes=data.classes,
        chance_error=data.chance_error,
        image_shape=data.image_shape,
        split_sha256=data.split_sha256,
    )


def done(
    config: Config,
    prepared: Prepared,
    trained: Trained,
    energy: Energy | None,
    energy_reason: str | None,
    origin: Provenance,
    *,
    attempt: int,
    seconds: float,
    lr_interior: bool | None,
) -> Record:
    """The record of a point that was reached; `seconds` as in `spent`."""
    work = compute(prepared, trained)
    return Record(
        schema=SCHEMA,
        run_id=config.point_ids[trained.horizon],
        config_id=config.config_id,
        trunk_id=config.run_id,
        horizon=trained.horizon,
        cell=config.identity,
        attempt=attempt,
        state="done",
        reason=None,
        seed=config.seed,
        cost=config.cost.factors,
        model=model_facts(config, trained.parameters),
        provenance=origin,
        spent=spent(work, trained, energy, energy_reason, seconds),
        curve=with_energy(trained.curve, energy, energy_reason),
        energy=energy,
        energy_reason=energy_reason,
        **known(
            optim=optim_facts(config, trained, lr_interior),
            data=data_facts(config, prepared.data),
            error=error_rate(trained.test, trained.val),
            loss=Loss(test=trained.test.loss, val=trained.val.loss, train=trained.train.loss),
            compute=work,
            time=timing(work, trained, origin),
        ),
    )
