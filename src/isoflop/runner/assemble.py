"""The sections of a record, from what was measured. Pure functions; every unknown keeps its reason."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from isoflop.config import Config
from isoflop.record import (
    SCHEMA,
    Compute,
    CurvePoint,
    DataFacts,
    ErrorRate,
    LeverFacts,
    Loss,
    LossInterval,
    OptimFacts,
    Provenance,
    Record,
    Spent,
    TextFacts,
    known,
)
from isoflop.record.binomial import wilson
from isoflop.runner import intervals
from isoflop.runner.prepare import Prepared, times
from isoflop.runner.prior_work import PriorWork
from isoflop.runner.provenance import model_facts
from isoflop.runner.state import MeasuredPoint, TrainedPoint
from isoflop.runner.timing import TrainingSeconds, timing
from isoflop.train import optim
from isoflop.train.data import DataSet, TextSet
from isoflop.train.score import Score


def with_energy(point: MeasuredPoint) -> tuple[CurvePoint, ...]:
    """Return the learning curve with joules where they are known.

    Where they are those of the shape they are its joules per example times the examples seen so far.
    """
    curve, energy = point.trained.curve, point.energy
    if energy is None:
        return tuple(
            dataclasses.replace(p, energy_joules=None, energy_joules_reason=point.energy_reason)
            for p in curve
        )
    if energy.source == "run":
        return curve
    joules_per_example = energy.energy_joules / curve[-1].examples
    return tuple(
        dataclasses.replace(p, energy_joules=joules_per_example * p.examples, energy_joules_reason=None)
        for p in curve
    )


BYTES_PER_ELEMENT = {"fp32": 4, "tf32": 4, "bf16": 2, "fp8": 2}
"""Bytes of an element that a step moves; a lower bound, as under bf16 some tensors stay in fp32, and fp8
operands are cast from bf16 ones that are read first."""


def compute(prepared: Prepared, trained: TrainedPoint, precision: str) -> Compute:
    """Return the work in total: per-example counts times the examples the loop really saw, in `precision`."""
    count, examples = prepared.count, trained.examples_seen
    finished = trained.inference_work.flops if trained.inference_work else count.inference_flops_per_example
    counted: dict[str, Any] = {
        "forward_macs_per_example": count.forward_macs_per_example,
        "train_flops_per_example": count.train_flops_per_example,
        "backward_flops_per_example": count.backward_flops_per_example,
        "train_flops": times(examples, count.train_flops_per_example),
        "train_to_forward_ratio": count.train_to_forward_ratio,
        "inference_flops_per_example": finished,
        "eval_flops": times(trained.eval_examples, finished),
    }
    reasons: dict[str, Any] = {f"{name}_reason": count.reason for name in counted}
    closed_form, elements = count.closed_form_macs_per_example, count.train_elements_per_example
    beside = count.norm_activation_forward_flops_per_example
    return Compute(
        examples_seen=examples,
        **counted,
        **reasons,
        closed_form_macs_per_example=closed_form,
        closed_form_macs_per_example_reason="only isoflop's own families have one"
        if closed_form is None
        else None,
        train_bytes_per_example=times(BYTES_PER_ELEMENT[precision], elements),
        train_bytes_per_example_reason=count.reason if elements is None else None,
        norm_activation_forward_flops_per_example=beside,
        norm_activation_forward_flops_per_example_reason=count.reason if beside is None else None,
        **known(optimizer_flops=trained.optimizer_flops_per_step * trained.steps),
        forward_macs_by_op=count.forward_macs_by_op,
        uncounted_ops=count.uncounted_ops,
        counters_agree=count.counters_agree,
    )


def lever_facts(config: Config, prior: PriorWork, trained: TrainedPoint) -> LeverFacts:
    """Return what the lever made of the run, and what was trained before it."""
    work = trained.inference_work
    assert work is not None, "a run with a lever"
    nominal = work.nominal_flops
    return LeverFacts(
        name=config.lever.name,
        settings=config.lever.settings,
        density=work.density,
        nominal_inference_flops_per_example=nominal,
        nominal_inference_flops_per_example_reason="the forward work is unknown" if nominal is None else None,
        prior_runs=prior.run_ids,
        prior_train_flops=prior.train_flops,
        prior_train_flops_reason=prior.train_flops_reason,
        prior_joules=prior.joules,
        prior_joules_reason=prior.joules_reason,
        prior_seconds=prior.seconds,
    )


def _lever_sections(config: Config, prior: PriorWork, trained: TrainedPoint) -> dict[str, Any]:
    """Return the sections that say what a lever did, and what the finished network costs, where known."""
    sections: dict[str, Any] = {}
    if not config.lever.is_none:
        sections |= known(lever=lever_facts(config, prior, trained))
    if trained.inference is not None:
        sections |= known(inference=trained.inference)
    return sections


def seconds_of(trained: TrainedPoint) -> TrainingSeconds:
    """Return where the seconds of a point went."""
    names = (field.name for field in dataclasses.fields(TrainingSeconds))
    return TrainingSeconds(**{name: getattr(trained, name) for name in names})


def spent(compute: Compute, point: MeasuredPoint, seconds: float) -> Spent:
    """Return what a point cost, so that the points of a trunk add up to what the trunk cost.

    FLOPs and joules are those of `examples_own`. Those wasted are of steps done again after an interruption,
    the joules by the point's joules per example; a replay, whose results are discarded, is wasted time.

    Args:
        compute: the work of the point, in FLOPs.
        point: what was trained, with its joules.
        seconds: wall time since the point before.
    """
    trained, energy = point.trained, point.energy
    own = trained.examples_own / trained.examples_seen
    wasted = trained.wasted_examples / trained.examples_seen
    return Spent(
        wasted_flops=times(wasted, compute.train_flops),
        wasted_flops_reason=compute.train_flops_reason,
        wasted_joules=energy.energy_joules * wasted if energy else None,
        wasted_joules_reason=point.energy_reason,
        flops=times(own, compute.train_flops),
        flops_reason=compute.train_flops_reason,
        joules=energy.energy_joules * own if energy else None,
        joules_reason=point.energy_reason,
        seconds=seconds,
        wasted_seconds=point.replay_seconds + trained.wasted_seconds,
    )


def error_rate(test: Score, val: Score) -> ErrorRate:
    """Return the error rates, with a 95% interval for the test part.

    Wilson's (1927) for images; for text that of the mean over documents, with Student's factor.
    """
    if test.over_documents is None:
        low, high = (float(end[0]) for end in wilson(np.array([test.error]), np.array([float(test.n)])))
    else:
        documents = test.over_documents
        margin = documents.student_factor * documents.error_se
        low, high = max(0.0, test.error - margin), min(1.0, test.error + margin)
    return ErrorRate(test=test.error, val=val.error, ci_low=low, ci_high=high, test_n=test.n, val_n=val.n)


def loss(trained: TrainedPoint) -> Loss:
    """Return the losses of the final evaluations."""
    documents = trained.test.over_documents
    return Loss(
        test=trained.test.loss,
        val=trained.val.loss,
        train=trained.train.loss,
        test_brier=trained.test.brier,
        test_brier_reason=_why_no_brier(trained.test),
        test_document_se_nats=documents.loss_se_nats if documents else None,
        test_document_se_nats_reason=_why_no_spread(trained.test),
    )


def _why_no_brier(test: Score) -> str | None:
    if test.brier is not None:
        return None
    return "computed for images only" if test.is_of_text else "trained before it was computed"


def _why_no_spread(test: Score) -> str | None:
    if test.over_documents is not None:
        return None
    return "one test document only" if test.is_of_text else "images are not parts of documents"


def train_loss(trained: TrainedPoint) -> tuple[LossInterval, ...]:
    """Return the mean training loss of each interval, from the sums of the losses up to its ends."""
    per_step = trained.examples_seen // trained.steps
    ends = ((0, 0.0), *trained.loss_sums)
    return tuple(
        LossInterval(end, end * per_step, (later - earlier) / (end - start))
        for (start, earlier), (end, later) in itertools.pairwise(ends)
    )


def optim_facts(
    config: Config, run_steps: int, trained: TrainedPoint, lr_interior: bool | None
) -> OptimFacts:
    """Return what the optimizer used: with rate and decay at the run's batch size and length.

    Args:
        config: the run.
        run_steps: optimizer steps of the whole run, from which its rate follows (optim.base_steps).
        trained: the point, whose own steps are recorded.
        lr_interior: None where no grid of learning rates was tried.
    """
    lr, weight_decay = optim.scaled(config.optim, run_steps)
    return OptimFacts(
        name=config.optim.name,
        lr=lr,
        weight_decay=weight_decay,
        batch_size=config.optim.batch_size,
        parametrization=config.model.parametrization,
        lr_interior=lr_interior,
        lr_interior_reason="no learning-rate grid was tried" if lr_interior is None else None,
        **known(steps=trained.steps),
    )


def data_facts(config: Config, data: DataSet, trained: TrainedPoint) -> DataFacts:
    """Return what the model saw."""
    text = text_facts(data) if isinstance(data, TextSet) else None
    return DataFacts(
        name=data.name,
        fraction=config.data.fraction,
        train_n=data.train_n,
        val_n=data.val_n,
        test_n=data.test_n,
        classes=data.classes,
        chance_error=data.chance_error,
        input_shape=data.input_shape,
        split_sha256=data.split_sha256,
        passes=trained.examples_seen / data.train_n,
        text=text,
        text_reason=None if text else "the data are images",
    )


def text_facts(data: TextSet) -> TextFacts:
    """Return what text was read."""
    sources = data.sources
    return TextFacts(
        files=sources.files,
        file_bytes=sources.file_bytes,
        train_bytes=sources.train_bytes,
        train_documents=sources.train_documents,
        val_documents=sources.val_documents,
        test_documents=sources.test_documents,
        document_mark=data.document_mark,
        sha256=sources.sha256,
        python_version=sources.python_version,
        python_version_reason=None if sources.python_version else "not the standard library's source",
    )


def finished_record(
    config: Config,
    prepared: Prepared,
    point: MeasuredPoint,
    origin: Provenance,
    *,
    attempt: int,
    seconds: float,
    lr_interior: bool | None,
) -> Record:
    """Return the record of a point that was reached.

    Args:
        config: the run.
        prepared: its data and counted work.
        point: what was trained, with its joules.
        origin: where the run comes from.
        attempt: number of the attempt that reached the point.
        seconds: wall time since the point before.
        lr_interior: as in RunRequest.
    """
    trained = point.trained
    assert origin.precision is not None, "isoflop's own loop knows its precision"
    work = compute(prepared, trained, origin.precision)
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
        cost_source=config.cost.source,
        cost_source_reason=None if config.cost.source else "no cost factor was chosen",
        model=model_facts(config, trained.parameters, trained.parameters_without_embeddings),
        provenance=origin,
        spent=spent(work, point, seconds),
        curve=with_energy(point),
        energy=point.energy,
        energy_reason=point.energy_reason,
        **known(
            optim=optim_facts(config, prepared.plan.steps, trained, lr_interior),
            data=data_facts(config, prepared.data, trained),
            error=error_rate(trained.test, trained.val),
            loss=loss(trained),
            train_loss=train_loss(trained),
            intervals=intervals.of(trained.readings, config.optim.batch_size),
            compute=work,
            time=timing(work, seconds_of(trained), origin),
        ),
        **_lever_sections(config, prepared.prior, trained),
    )
