"""Floating-point work of one model per example: independent witnesses that must agree, or unknown.

One multiply-accumulate (MAC) is 2 FLOPs. Counted are convolutions, linear layers and attention (all matrix
products); elementwise work, normalisation and pooling are free by convention (`flop_handles.is_free`).

- torch's counter: torch.utils.flop_counter's formulas with our corrections, on a twin of the model on the
  meta device: forward at batch 1 in eval mode, forward and backward at `batch_size` in train mode.
- fvcore: a jit trace of a twin, batch 1, eval mode, with handles for what it drops. On the meta device, or
  on the CPU where the tracer cannot do with shapes alone.
- a closed form of the architecture, where the caller has one.

Model FLOPs, not hardware FLOPs: recomputation (activation checkpointing, fused attention) is left out, and
masked attention counts in full. docs/flops.md tells the conventions and the known limits.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from isoflop.meter.flops.dispatch import AttentionCalls, Ledger
from isoflop.meter.flops.handles import FVCORE_HANDLES, is_free
from isoflop.meter.flops.meta_trace import TraceableConvolutions
from isoflop.meter.flops.twin import Tensors, on_cpu, on_meta, twin, undisturbed

AGREEMENT = 0.01
"""Largest relative difference of two witnesses' forward MACs."""

RATIO_AGREEMENT = 0.02
"""Largest relative difference of the counted and the expected train/forward ratio."""


@dataclasses.dataclass(frozen=True)
class FlopCount:
    """Per-example work of one model.

    The first five fields are None exactly where `reason` is given; the others are the evidence, None
    where that part could not be measured. Forward means one example in eval mode. Training means forward
    and backward of a batch in train mode from a gradient on every output, so auxiliary heads (googlenet,
    inception_v3) count in training and not in inference; the ratios are of the training pass alone.
    `forward_macs_by_op` has torch's names, and `attention` for scaled_dot_product_attention.

    expected_ratio is 1 + (MACs whose activation needs a gradient + MACs whose weight needs one) / MACs: 3
    less the share of the layers that read the input, and less again for frozen weights.

    train_elements_per_example are those that the operations of a training step of `batch_size` examples read
    and write if none are fused and nothing stays in a cache, without loss and optimizer. Weights are read
    once a step, so the figure falls with the batch.
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
    batch_size: int
    forward_macs_by_op: dict[str, float]
    uncounted_ops: tuple[str, ...]
    counters_agree: bool
    reason: str | None


@dataclasses.dataclass
class _Evidence:
    """What the witnesses said, as far as they could, and what speaks against it."""

    closed_form_macs: float | None
    batch_size: int
    forward: Ledger | None = None
    training: Ledger | None = None
    fvcore_macs: float | None = None
    fvcore_uncounted: set[str] = dataclasses.field(default_factory=set)
    reasons: list[str] = dataclasses.field(default_factory=list)


def count(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    batch_size: int = 2,
    input_dtype: torch.dtype | None = None,
    closed_form_macs: float | None = None,
) -> FlopCount:
    """Count the work of `model` on examples of `input_shape`: (channels, height, width) or other, no batch.

    The model may be on any device, in either mode, compiled or not; it, its hooks and all generators stay
    as they are. `batch_size` is the batch of the training pass: work that does not depend on it (such as a
    table of position biases made once a step) is shared by its examples. `input_dtype` defaults to that of
    the first floating parameter; give torch.int64 for a model of tokens. `closed_form_macs` are the forward
    MACs of one example by the architecture's formula, a third witness.

    Whatever keeps the count from being trusted is told in `reason`, and so is a model that cannot run.

    Raises:
        ValueError: a size is not positive.
    """
    if batch_size < 1 or not all(size > 0 for size in input_shape):
        raise ValueError(f"batch_size {batch_size} and input_shape {input_shape} must be positive")
    if input_dtype is None:
        floating = (p.dtype for p in model.parameters() if p.dtype.is_floating_point)
        input_dtype = next(floating, torch.float32)
    found = _Evidence(closed_form_macs, batch_size)
    with undisturbed():
        _ask_torch(found, model, torch.empty((batch_size, *input_shape), dtype=input_dtype, device="meta"))
        _ask_fvcore(found, model, torch.empty((1, *input_shape), dtype=input_dtype, device="meta"))
    return _judge(found)


def _ask_torch(found: _Evidence, model: nn.Module, batch: torch.Tensor) -> None:
    try:
        copied = twin(model, on_meta)
        found.forward = _forward(copied, batch[:1])
        found.training = _training_pass(copied, batch)
    except Exception as error:  # whatever the model raises is its reason
        found.reasons.append(f"torch's counter cannot run the model ({_told(error)})")


def _ask_fvcore(found: _Evidence, model: nn.Module, example: torch.Tensor) -> None:
    try:
        found.fvcore_macs, found.fvcore_uncounted = _fvcore_forward(twin(model, on_meta), example)
        return
    except ImportError as error:
        found.reasons.append(f"fvcore is not installed: pip install fvcore ({_told(error)})")
        return
    except Exception:  # a model that asks for values cannot be traced on shapes alone
        example = torch.zeros_like(example, device="cpu")
    try:
        found.fvcore_macs, found.fvcore_uncounted = _fvcore_forward(twin(model, on_cpu), example)
    except Exception as error:
        found.reasons.append(f"fvcore cannot trace the model ({_told(error)})")


def _forward(copied: Tensors, example: torch.Tensor) -> Ledger:
    copied.eval()
    ledger = Ledger()
    with ledger, torch.device("meta"), AttentionCalls(ledger), torch.no_grad():
        copied(example)
    return ledger


def _training_pass(copied: Tensors, batch: torch.Tensor) -> Ledger:
    copied.train()
    ledger = Ledger()
    with torch.device("meta"), torch.enable_grad():
        with ledger, AttentionCalls(ledger):
            outputs = [out for out in copied(batch) if out.requires_grad]
        gradients = [torch.ones_like(out) for out in outputs]
        ledger.in_backward = True
        if outputs:
            with ledger:
                torch.autograd.backward(outputs, gradients)
    return ledger


def _fvcore_forward(copied: Tensors, example: torch.Tensor) -> tuple[float, set[str]]:
    """Forward MACs and the operations with neither handle nor excuse. Raises ImportError without fvcore."""
    from fvcore.nn import FlopCountAnalysis

    copied.eval()
    analysis = FlopCountAnalysis(copied, (example,)).set_op_handle(**FVCORE_HANDLES)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.device(example.device), TraceableConvolutions(), torch.no_grad():
        total_macs = float(analysis.total())
    return total_macs, {name for name in analysis.unsupported_ops() if not is_free(name)}


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _judge(found: _Evidence) -> FlopCount:
    """Put the evidence together; the work is known only if nothing speaks against it."""
    forward, training, batch_size = found.forward, found.training, found.batch_size
    by_op = {name: flops / 2 for name, flops in sorted(forward.forward_flops.items())} if forward else {}
    torch_macs = float(sum(by_op.values())) if forward else None
    uncounted, unnamed = _uncounted(found)
    agree, disagreements = _compare(torch_macs, found.fvcore_macs, found.closed_form_macs)
    reasons = [*found.reasons, *unnamed, *disagreements]
    train_flops = backward_flops = ratio = expected = None
    if training is not None:
        train_forward_flops = sum(training.forward_flops.values())
        train_flops = (train_forward_flops + training.backward_flops) / batch_size
        backward_flops = training.backward_flops / batch_size
        if train_forward_flops == 0 or torch_macs == 0:
            reasons.append("no convolution, linear layer or attention was found: nothing to count")
        else:
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
        fvcore_forward_macs_per_example=found.fvcore_macs,
        torch_forward_macs_per_example=torch_macs,
        closed_form_macs_per_example=found.closed_form_macs,
        train_elements_per_example=training.elements / batch_size if training else None,
        batch_size=batch_size,
        forward_macs_by_op=by_op,
        uncounted_ops=uncounted,
        counters_agree=agree,
        reason="; ".join(reasons) or None,
    )


def _uncounted(found: _Evidence) -> tuple[tuple[str, ...], list[str]]:
    """Names of all operations that a counter left out, and a sentence for each counter that left out any."""
    ledgers = [ledger for ledger in (found.forward, found.training) if ledger]
    by_torch = {name for ledger in ledgers for name in ledger.uncounted()}
    both = (("torch's counter", by_torch), ("fvcore", found.fvcore_uncounted))
    sentences = [f"{counter} does not count {', '.join(sorted(names))}" for counter, names in both if names]
    return tuple(sorted(by_torch | found.fvcore_uncounted)), sentences


def _compare(
    torch_macs: float | None, fvcore_macs: float | None, closed_form_macs: float | None
) -> tuple[bool, list[str]]:
    """Whether the two counters agree, and a sentence for each pair of witnesses that does not."""
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
