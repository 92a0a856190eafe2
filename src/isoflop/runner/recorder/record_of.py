"""The record of a loop of the user's own, from what it logged. Pure functions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from isoflop.record import (
    SCHEMA,
    Compute,
    CurvePoint,
    DataFacts,
    Energy,
    ErrorRate,
    Loss,
    ModelFacts,
    OptimFacts,
    Provenance,
    Record,
    Spent,
    State,
    known,
    redact,
    unknown,
)
from isoflop.record.binomial import wilson
from isoflop.runner.provenance import NOT_REACHED
from isoflop.runner.recorder.description import Description
from isoflop.runner.recorder.progress import Progress
from isoflop.runner.timing import TrainingSeconds, timing

if TYPE_CHECKING:
    from isoflop.meter.flops.count import FlopCount

OWN_LOOP = "not known of a training loop of the user's own"
NO_MODEL = "Recorder was given no model"


@dataclasses.dataclass(frozen=True)
class Work:
    """The work of one example: a count, or the training FLOPs that the user gave, or why it is unknown.

    `parameters` and `input_shape` are those of the model that was counted.
    """

    count: FlopCount | None = None
    given_train_flops: float | None = None
    reason: str | None = None
    parameters: int | None = None
    parameters_reason: str | None = NO_MODEL
    input_shape: tuple[int, ...] | None = None

    @property
    def train_flops_per_example(self) -> float | None:
        """Forward and backward FLOPs of an example, None where they are unknown."""
        if self.given_train_flops is not None:
            return self.given_train_flops
        return self.count.train_flops_per_example if self.count else None

    @property
    def why_unknown(self) -> str:
        """Why other figures than the training FLOPs are unknown."""
        if self.given_train_flops is not None:
            return "train_flops_per_example was given, so nothing was counted"
        return (self.count.reason if self.count else self.reason) or OWN_LOOP


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a loop ended: the number of the attempt, and wall seconds, energy and seconds of all attempts."""

    attempt: int
    wall_seconds: float
    energy: Energy | None
    energy_reason: str | None
    seconds: TrainingSeconds


def finished(
    description: Description, work: Work, progress: Progress, origin: Provenance, ended: Ended
) -> Record:
    """Return the record of a loop that ended well.

    Args:
        description: what the user said of it.
        work: the work of an example.
        progress: what it logged; at least one step, with its examples.
        origin: where it comes from.
        ended: how it ended.
    """
    compute = compute_of(work, progress)
    error, loss = error_of(description, progress), loss_of(progress)
    no_metric = "no error was logged" if error is None else None
    return Record(
        **_common(description, work, origin, ended.attempt),
        state="done",
        reason=None,
        spent=_spent(compute, progress, ended),
        curve=curve_of(work, progress, ended.energy_reason),
        train_loss=progress.train_loss or None,
        train_loss_reason=None if progress.train_loss else "no train_loss was logged",
        intervals_reason="a loop of the user's own logs train_loss alone",
        error=error,
        error_reason=no_metric,
        loss=loss,
        loss_reason=None if loss else "no loss was logged",
        energy=ended.energy,
        energy_reason=ended.energy_reason,
        **known(
            optim=optim_of(description, progress),
            data=data_of(description, work, progress),
            compute=compute,
            time=timing(compute, ended.seconds, origin, no_engine="the user's own loop"),
        ),
    )


def unfinished(
    description: Description,
    work: Work,
    origin: Provenance,
    *,
    state: State,
    reason: str,
    attempt: int,
    seconds: float,
) -> Record:
    """Return the record of a loop that gave no point; its reason is without secrets.

    Args:
        description, work, origin: as in `finished`.
        state, reason: how it ended, and why in one line.
        attempt: number of the attempt.
        seconds: wall time that the attempt took.
    """
    reason = redact.text(reason)
    return Record(
        **_common(description, work, origin, attempt),
        state=state,
        reason=reason,
        spent=Spent(
            seconds=seconds,
            wasted_seconds=seconds,
            **unknown(f"{state}: not accounted", "flops", "joules", "wasted_flops", "wasted_joules"),
        ),
        curve=(),
        **unknown(NOT_REACHED, "optim", "data", "compute", "time", "train_loss", "intervals"),
        **unknown(reason, "error", "loss", "energy"),
    )


def _common(description: Description, work: Work, origin: Provenance, attempt: int) -> dict[str, Any]:
    """Return the fields that a record has however the loop ended."""
    return {
        "schema": SCHEMA,
        "run_id": description.run_id,
        "config_id": description.config_id,
        "trunk_id": description.run_id,
        "horizon": 1.0,
        "cell": description.identity,
        "attempt": attempt,
        "seed": description.seed,
        "cost": {},
        "cost_source": None,
        "cost_source_reason": "no cost factor was chosen",
        "model": model_of(description, work),
        "provenance": origin,
    }


def _or_unknown(reason: str, **values: Any) -> dict[str, Any]:
    """Return nullable fields: each with its value, or None and the reason."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        fields |= {name: value, f"{name}_reason": reason if value is None else None}
    return fields


def model_of(description: Description, work: Work) -> ModelFacts:
    """Return the shape of the model as the user gave it, and its counted parameters."""
    return ModelFacts(
        family=description.name,
        architecture=description.name,
        **_or_unknown("not given to Recorder", width=description.width, depth=description.depth),
        parameters=work.parameters,
        parameters_reason=None if work.parameters is not None else work.parameters_reason,
        **unknown(
            "embeddings are not told apart in a model of the user's own", "parameters_without_embeddings"
        ),
    )


def compute_of(work: Work, progress: Progress) -> Compute:
    """Return the work of the examples seen; evaluation and optimizer are the user's own, and not counted."""
    per_example, count = work.train_flops_per_example, work.count
    total = None if per_example is None else per_example * progress.examples
    names = (
        *("forward_macs_per_example", "backward_flops_per_example", "train_to_forward_ratio"),
        *("inference_flops_per_example", "norm_activation_forward_flops_per_example"),
    )
    counted = {name: getattr(count, name) if count else None for name in names}
    return Compute(
        examples_seen=progress.examples,
        **_or_unknown(work.why_unknown, train_flops_per_example=per_example, train_flops=total, **counted),
        **unknown("only isoflop's own families have one", "closed_form_macs_per_example"),
        **unknown("the bytes of an element are not known of the user's own loop", "train_bytes_per_example"),
        **unknown("how many examples were evaluated was not logged", "eval_flops"),
        **unknown("the user's own optimizer", "optimizer_flops"),
        forward_macs_by_op=count.forward_macs_by_op if count else {},
        uncounted_ops=count.uncounted_ops if count else (),
        **_or_unknown(work.why_unknown, counters_agree=count.counters_agree if count else None),
    )


def curve_of(work: Work, progress: Progress, no_energy: str | None) -> tuple[CurvePoint, ...]:
    """Return the evaluations along the way; `no_energy` says why joules are unknown, if they are."""
    per_example = work.train_flops_per_example
    return tuple(
        CurvePoint(
            step=point.step,
            examples=point.examples,
            seconds=point.seconds,
            **_or_unknown("not logged", val_error=point.val_error, val_loss=point.val_loss),
            **_or_unknown(
                work.why_unknown, train_flops=None if per_example is None else per_example * point.examples
            ),
            **_or_unknown(
                no_energy or "not known at this point", energy_joules=None if no_energy else point.joules
            ),
        )
        for point in progress.curve
    )


def error_of(description: Description, progress: Progress) -> ErrorRate | None:
    """Return the last errors, with Wilson's interval where the user said how many examples were tested."""
    test, val, n = progress.test_error, progress.val_error, description.test_n
    if test is None and val is None:
        return None
    low = high = None
    no_interval = "not logged" if test is None else "Recorder was given no test_n"
    if test is not None and n is not None:
        low, high = (float(end[0]) for end in wilson(np.array([test]), np.array([float(n)])))
    return ErrorRate(
        **_or_unknown("not logged", test=test, val=val),
        **_or_unknown(no_interval, ci_low=low, ci_high=high),
        **_or_unknown("not given to Recorder", test_n=n, val_n=description.val_n),
    )


def loss_of(progress: Progress) -> Loss | None:
    """Return the last losses; that of training is the mean over the steps of its last interval."""
    train = progress.train_loss[-1].mean_loss if progress.train_loss else None
    if (progress.test_loss, progress.val_loss, train) == (None, None, None):
        return None
    return Loss(
        **_or_unknown("not logged", test=progress.test_loss, val=progress.val_loss, train=train),
        train_over="steps",
        **unknown(OWN_LOOP, "test_brier", "test_document_se_nats"),
    )


def optim_of(description: Description, progress: Progress) -> OptimFacts:
    """Return what hyperparameters say of the optimizer under the names of description.OPTIM_KEYS."""
    given = description.hyperparameters
    values: dict[str, Any] = {
        "name": _of_type(given.get("optimizer"), str),
        "lr": _number(given.get("lr")),
        "weight_decay": _number(given.get("weight_decay")),
        "batch_size": _of_type(given.get("batch_size"), int),
        "parametrization": _of_type(given.get("parametrization"), str),
    }
    return OptimFacts(
        **_or_unknown("not among the hyperparameters", **values),
        **unknown("no learning-rate grid was tried", "lr_interior"),
        **known(steps=progress.step),
    )


def _of_type(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def data_of(description: Description, work: Work, progress: Progress) -> DataFacts:
    """Return what the user said of the data."""
    train_n = description.train_n
    return DataFacts(
        name=description.data,
        **_or_unknown(
            "not given to Recorder",
            train_n=train_n,
            val_n=description.val_n,
            test_n=description.test_n,
            classes=description.classes,
            chance_error=description.chance_error,
            input_shape=work.input_shape,
        ),
        **_or_unknown(
            "Recorder was given no train_n", passes=progress.examples / train_n if train_n else None
        ),
        **unknown(OWN_LOOP, "fraction", "split_sha256"),
        **unknown("what an example is is not known of the user's own loop", "text"),
    )


def _spent(compute: Compute, progress: Progress, ended: Ended) -> Spent:
    """Return what the run cost, over all attempts; wasted are steps that were taken again."""
    flops, energy = compute.train_flops, ended.energy
    wasted = progress.wasted_steps / progress.step
    joules = energy.energy_joules if energy else None
    reason = compute.train_flops_reason
    return Spent(
        flops=flops,
        flops_reason=reason,
        wasted_flops=None if flops is None else wasted * flops,
        wasted_flops_reason=reason,
        joules=joules,
        joules_reason=ended.energy_reason,
        wasted_joules=None if joules is None else wasted * joules,
        wasted_joules_reason=ended.energy_reason,
        seconds=ended.wall_seconds,
        wasted_seconds=progress.wasted_seconds,
    )
