"""Count a model's floating-point work per example with independent counters that must agree.

One multiply-accumulate (MAC) is 2 FLOPs. Convolutions, linear layers and attention (all matrix products) are
counted; elementwise work, normalisation and pooling are free by convention (`free.is_free`).

- torch's counter: torch.utils.flop_counter's formulas with our corrections, on a twin of the model on the
  meta device: forward at batch 1 in eval mode, forward and backward at `batch_size` in train mode.
- fvcore: a jit trace of a twin, batch 1, eval mode, with handles for what it drops. On the meta device, or on
  the CPU if the model cannot be traced on shapes alone.
- a closed form of the architecture, if the caller has one.

Any disagreement makes the work unknown. Model FLOPs, not hardware FLOPs: recomputation (activation
checkpointing, fused attention) is left out, and masked attention counts in full. Conventions and known
limits: docs/flops.md.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from isoflop import extras
from isoflop.meter.flops.dispatch import DispatchCounter
from isoflop.meter.flops.free import is_free
from isoflop.meter.flops.generators import generators_of, unmoved
from isoflop.meter.flops.handles import FVCORE_HANDLES
from isoflop.meter.flops.meta_trace import traceable
from isoflop.meter.flops.norm_activation import NormActivationCounter
from isoflop.meter.flops.passes import DATALESS, WITH_DRAWS, forward_pass, steadiness, training_pass
from isoflop.meter.flops.twin import (
    TensorOutputs,
    initialized,
    isolated_torch_state,
    make_twin,
    to_cpu,
    to_meta,
)

AGREEMENT = 0.01
"""Largest relative difference of two counters' forward MACs."""

RATIO_AGREEMENT = 0.02
"""Largest relative difference of the counted and the expected train/forward ratio."""

_FAILURES = (Exception, SystemExit)
"""What a model's code may raise: it may read a command line and end the process."""

_READS_VALUES = (
    ": the model reads the value of an input, weight or result, but is counted without data; "
    "let shapes and constants alone decide what it computes"
)


@dataclasses.dataclass(frozen=True)
class FlopCount:
    """Work of one model per example.

    The first five fields are None if and only if there is a `reason`; the others are the evidence, None where
    that part could not be measured. Forward means one example in eval mode. Training means forward and
    backward of a batch in train mode from a gradient on every output, so auxiliary heads (googlenet,
    inception_v3) count in training and not in inference; the ratios are those of the training pass alone.

    Attributes:
        expected_ratio: 1 + (MACs whose activation needs a gradient + MACs whose weight needs one) / MACs,
            which is 3 less the share of the layers that read the input, and less again for frozen weights.
        train_elements_per_example: elements that the operations of a training step of `batch_size` examples
            read and write if none are fused and nothing stays in a cache, without loss and optimizer. Weights
            are read once a step, so the figure falls with the batch.
        norm_activation_forward_flops_per_example: of normalisations and activations, which are in none of the
            other counts (norm_activation.py).
        forward_macs_by_op: torch's name of an operation -> MACs; `attention` for torch's attention functions.
        uncounted_ops: operations that have no formula and are not free.
        counters_agree: whether torch's counter and fvcore agree on the forward MACs.
        notes: what a reader of a known count should know of the model.
    """

    forward_macs_per_example: float | None
    train_flops_per_example: float | None
    backward_flops_per_example: float | None
    inference_flops_per_example: float | None
    train_to_forward_ratio: float | None
    expected_ratio: float | None
    fvcore_forward_macs_per_example: float | None
    torch_forward_macs_per_example: float | None
    closed_form_macs_per_example: float | None
    train_elements_per_example: float | None
    norm_activation_forward_flops_per_example: float | None
    batch_size: int
    forward_macs_by_op: dict[str, float]
    uncounted_ops: tuple[str, ...]
    counters_agree: bool
    notes: tuple[str, ...]
    reason: str | None

    def divided(self, parts: int) -> FlopCount:
        """Return the count of one of `parts` equal parts of an example, such as a byte of a window.

        The batch is then one of parts: as many times larger.
        """
        by_op = {name: macs / parts for name, macs in self.forward_macs_by_op.items()}
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        per_part = {
            name: value / parts
            for name, value in known.items()
            if name.endswith("_per_example") and value is not None
        }
        batch_size = self.batch_size * parts
        return dataclasses.replace(self, forward_macs_by_op=by_op, batch_size=batch_size, **per_part)


@dataclasses.dataclass
class _Evidence:
    """What each counter measured, None where it failed, the reasons not to trust the count, and notes."""

    closed_form_macs: float | None
    batch_size: int
    forward: DispatchCounter | None = None
    training: DispatchCounter | None = None
    fvcore_macs: float | None = None
    fvcore_uncounted: set[str] = dataclasses.field(default_factory=set)
    norm_activation_flops: float | None = None
    reasons: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def count(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    batch_size: int = 2,
    input_dtype: torch.dtype | None = None,
    closed_form_macs: float | None = None,
) -> FlopCount:
    """Count the work of `model` per example.

    The model may be on any device, in either mode, compiled or not; it, its hooks and all random generators
    are left unchanged. Whatever keeps the count from being trusted, or the model from running, is named in
    the result's `reason`.

    Args:
        model: the model; a twin of it is counted.
        input_shape: sizes of one example without the batch, such as (channels, height, width).
        batch_size: batch of the training pass; work that does not depend on it (such as a table of position
            biases computed once a step) is divided among its examples.
        input_dtype: data type of the input; default: that of the first floating-point parameter. Give
            torch.int64 for a model of tokens.
        closed_form_macs: forward MACs of one example by the architecture's formula, a third counter.

    Raises:
        ValueError: a size is not positive.
    """
    if batch_size < 1 or not all(size > 0 for size in input_shape):
        raise ValueError(f"batch_size {batch_size} and input_shape {input_shape} must be positive")
    input_dtype = input_dtype or floating_dtype(model)
    evidence = _Evidence(closed_form_macs, batch_size)
    with isolated_torch_state():
        try:
            with unmoved(generators_of(model)):
                _measure(
                    evidence, model, torch.empty((batch_size, *input_shape), dtype=input_dtype, device="meta")
                )
        except _FAILURES as error:
            evidence.reasons.append(f"the model's generators cannot be read and set ({_summary(error)})")
    return _cross_check(evidence)


def _measure(evidence: _Evidence, model: nn.Module, batch: torch.Tensor) -> None:
    try:
        model = initialized(model, batch[:1])
    except _FAILURES as error:
        evidence.reasons.append(f"lazy layers cannot take such an input ({_summary(error)})")
        return
    _count_with_torch(evidence, model, batch)
    _count_with_fvcore(evidence, model, torch.empty_like(batch[:1]))


def floating_dtype(model: nn.Module) -> torch.dtype:
    """Return the data type of the first floating-point parameter, float32 if there is none."""
    return next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.float32)


def _count_with_torch(evidence: _Evidence, model: nn.Module, batch: torch.Tensor) -> None:
    """Add forward and training pass; a model that reads values which it draws is run with its draws' data."""
    try:
        _pass_by_pass(evidence, model, batch, DATALESS)
        return
    except _FAILURES as error:  # user code: whatever the model raises is the reason
        failure = _summary(error)
    try:
        _pass_by_pass(evidence, model, batch, WITH_DRAWS)
    except _FAILURES as error:
        evidence.forward = evidence.training = None
        failure = _summary(error) if "meta tensor" in failure else failure
        cure = _READS_VALUES if "meta tensor" in failure else ""
        evidence.reasons.append(f"torch's counter cannot run the model ({failure}){cure}")


def _pass_by_pass(evidence: _Evidence, model: nn.Module, batch: torch.Tensor, place: str) -> None:
    twin = make_twin(model, to_meta)
    evidence.forward = forward_pass(twin, batch[:1], place)
    in_eval = steadiness(twin, batch[:1], evidence.forward, training=False, place=place)
    evidence.training = training_pass(twin, batch, place)
    in_training = steadiness(twin, batch, evidence.training, training=True, place=place)
    evidence.reasons += [each.reason for each in (in_eval, in_training) if each.reason]
    evidence.notes += [each.note for each in (in_eval, in_training) if each.note]


def _count_with_fvcore(evidence: _Evidence, model: nn.Module, example: torch.Tensor) -> None:
    try:
        _trace_with_fvcore(evidence, make_twin(model, to_meta), example)
        return
    except ImportError as error:
        missing = extras.explain(error, "the second counter")
        evidence.reasons.append(missing or f"fvcore cannot be imported ({_summary(error)})")
        return
    except _FAILURES:  # a model that depends on values cannot be traced on the meta device: use the CPU
        example = torch.zeros_like(example, device="cpu")
    try:
        _trace_with_fvcore(evidence, make_twin(model, to_cpu), example)
    except _FAILURES as error:
        evidence.reasons.append(f"fvcore cannot trace the model ({_summary(error)})")


def _trace_with_fvcore(evidence: _Evidence, twin: TensorOutputs, example: torch.Tensor) -> None:
    """Add forward MACs, the operations that have no handle and are not free, and what normalisations and
    activations cost.

    Raises:
        ImportError: fvcore is not installed, or broken.
    """
    from fvcore.nn import FlopCountAnalysis

    twin.eval()  # in train mode the trace would update the statistics of normalisation layers
    beside = NormActivationCounter()
    analysis = FlopCountAnalysis(twin, (example,)).set_op_handle(**FVCORE_HANDLES | beside.handles())
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.device(example.device), torch.no_grad(), traceable():
        total_macs = float(analysis.total())
    evidence.fvcore_macs = total_macs
    evidence.fvcore_uncounted = {name for name in analysis.unsupported_ops() if not is_free(name)}
    evidence.norm_activation_flops = float(beside.flops)


def _summary(error: BaseException) -> str:
    """Return the error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _cross_check(evidence: _Evidence) -> FlopCount:
    """Compare the counters; the work is known only if no counter failed and all of them agree."""
    forward, training, batch_size = evidence.forward, evidence.training, evidence.batch_size
    by_op = {name: flops / 2 for name, flops in sorted(forward.forward_flops.items())} if forward else {}
    torch_macs = float(sum(by_op.values())) if forward else None
    uncounted, uncounted_reasons = _uncounted(evidence)
    agree, disagreements = _compare(torch_macs, evidence.fvcore_macs, evidence.closed_form_macs)
    reasons = [*evidence.reasons, *uncounted_reasons, *disagreements]
    train_flops = backward_flops = ratio = expected = None
    if training is not None:
        train_forward_flops = sum(training.forward_flops.values())
        train_flops = (train_forward_flops + training.backward_flops) / batch_size
        backward_flops = training.backward_flops / batch_size
        if train_forward_flops == 0 or torch_macs == 0:
            reasons.append("no convolution, linear layer or attention was found: nothing to count")
        else:
            # fvcore counts the forward pass only. The backward pass is checked against what the gradients
            # that the forward pass requires should cost, which catches a wrong backward formula.
            ratio = 1 + training.backward_flops / train_forward_flops
            expected = 1 + training.expected_backward_flops / train_forward_flops
            if not _close(ratio, expected, RATIO_AGREEMENT):
                reasons.append(f"training is {ratio:.3f} times the forward pass, {expected:.3f} was expected")
    known = not reasons
    return FlopCount(
        forward_macs_per_example=torch_macs if known else None,
        train_flops_per_example=train_flops if known else None,
        backward_flops_per_example=backward_flops if known else None,
        inference_flops_per_example=2 * torch_macs if known and torch_macs is not None else None,
        train_to_forward_ratio=ratio if known else None,
        expected_ratio=expected,
        fvcore_forward_macs_per_example=evidence.fvcore_macs,
        torch_forward_macs_per_example=torch_macs,
        closed_form_macs_per_example=evidence.closed_form_macs,
        train_elements_per_example=training.elements / batch_size if training else None,
        norm_activation_forward_flops_per_example=evidence.norm_activation_flops,
        batch_size=batch_size,
        forward_macs_by_op=by_op,
        uncounted_ops=uncounted,
        counters_agree=agree,
        notes=tuple(evidence.notes),
        reason="; ".join(reasons) or None,
    )


def _uncounted(evidence: _Evidence) -> tuple[tuple[str, ...], list[str]]:
    """Return all operations that a counter left out, and one reason per counter that left out any."""
    counters = [counter for counter in (evidence.forward, evidence.training) if counter]
    by_torch = {name for counter in counters for name in counter.uncounted()}
    by_counter = (("torch's counter", by_torch), ("fvcore", evidence.fvcore_uncounted))
    reasons = [
        f"{counter} does not count {', '.join(sorted(names))}" for counter, names in by_counter if names
    ]
    return tuple(sorted(by_torch | evidence.fvcore_uncounted)), reasons


def _compare(
    torch_macs: float | None, fvcore_macs: float | None, closed_form_macs: float | None
) -> tuple[bool, list[str]]:
    """Return whether torch's counter and fvcore agree, and a reason for each pair that does not.

    The closed form is not part of the first value; its disagreement is a reason all the same.
    """
    agree = torch_macs is not None and fvcore_macs is not None and _close(torch_macs, fvcore_macs, AGREEMENT)
    reasons = []
    if torch_macs is not None and fvcore_macs is not None and not agree:
        reasons.append(
            f"the counters disagree on the forward MACs: torch {torch_macs:.6g}, fvcore {fvcore_macs:.6g}"
        )
    for name, macs in (("torch", torch_macs), ("fvcore", fvcore_macs)):
        if macs is None or closed_form_macs is None or _close(macs, closed_form_macs, AGREEMENT):
            continue
        reasons.append(f"the closed form gives {closed_form_macs:.6g} forward MACs, {name} {macs:.6g}")
    return agree, reasons


def _close(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(abs(a), abs(b))
