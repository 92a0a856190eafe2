"""Floating-point work of one model per example: two independent counters that must agree, or unknown.

One multiply-accumulate (MAC) is 2 FLOPs. Counted are convolutions, linear layers and attention (all matrix
products); elementwise work, normalisation and pooling are free by convention (`flop_handles.is_free`).

- torch's counter: torch.utils.flop_counter's formulas with our corrections, on a twin of the model on the
  meta device: forward at batch 1 in eval mode, forward and backward at `batch_size` in train mode.
- fvcore: a jit trace of a twin on the CPU, batch 1, eval mode, with handles for what it drops.

Model FLOPs, not hardware FLOPs: recomputation (activation checkpointing, fused attention) is left out, and
masked attention counts in full.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flop_handles import FVCORE_HANDLES, TORCH_CORRECTIONS, is_free, multiplicands

AGREEMENT = 0.01
"""Largest relative difference of the two counters' forward MACs."""

RATIO_AGREEMENT = 0.02
"""Largest relative difference of the counted and the expected train/forward ratio."""


@dataclasses.dataclass(frozen=True)
class FlopCount:
    """Per-example work of one model.

    The first four fields are None exactly where `reason` is given; the others are the evidence, None
    where that part could not be measured. Forward means one example in eval mode. Training means forward
    and backward of a batch in train mode from a gradient on every output, so auxiliary heads (googlenet,
    inception_v3) count in training and not in inference; the ratios are of the training pass alone.
    `forward_macs_by_op` has torch's names: attention is in `bmm`.

    expected_ratio is 1 + (MACs whose activation needs a gradient + MACs whose weight needs one) / MACs: 3
    less the share of the layers that read the input, and less again for frozen weights.
    """

    forward_macs_per_example: float | None
    train_flops_per_example: float | None
    inference_flops_per_example: float | None
    train_to_forward_ratio: float | None
    expected_ratio: float | None
    fvcore_forward_macs_per_example: float | None
    torch_forward_macs_per_example: float | None
    forward_macs_by_op: dict[str, float]
    uncounted_ops: tuple[str, ...]
    counters_agree: bool
    reason: str | None


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every operation that reaches torch's dispatcher: forward, expected and counted backward FLOPs."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.formulas = FlopCounterMode(display=False, custom_mapping=TORCH_CORRECTIONS).flop_registry
        self.forward_flops: collections.Counter[str] = collections.Counter()
        self.expected_backward_flops = 0
        self.backward_flops = 0
        self.in_backward = False
        self.without_formula: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            self.without_formula.add(str(func))
            return func(*args, **kwargs)
        formula = self.formulas.get(func.overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        name = func._schema.name
        if formula is None:
            if not func.is_view:
                self.without_formula.add(name)
        elif not self.in_backward:
            self._book_forward(name, formula(*args, **kwargs, out_val=out), [*args, *kwargs.values()])
        elif not torch.is_grad_enabled():  # with gradients on, checkpointing is computing a forward again
            self.backward_flops += formula(*args, **kwargs, out_val=out)
        return out

    def uncounted(self) -> set[str]:
        """Names of the operations that ran, have no formula and are not free by convention."""
        return {name for name in self.without_formula if not is_free(name)}

    def _book_forward(self, name: str, cost_flops: int, arguments: Sequence[Any]) -> None:
        self.forward_flops[name.removeprefix("aten::")] += cost_flops
        if torch.is_grad_enabled():
            gradients = sum(tensor.requires_grad for tensor in multiplicands(name, arguments))
            self.expected_backward_flops += cost_flops * min(gradients, 2)


class _Tensors(nn.Module):
    """Wraps a model so that it returns a tuple of tensors, whatever structure it returned."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(leaf for leaf in tree_leaves(self.model(example)) if isinstance(leaf, torch.Tensor))


def _twin(model: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor]) -> _Tensors:
    """A deep copy whose tensors went through `convert`; the originals are neither copied nor shared.

    Hooks stay behind, for a hook may write to what it closes over; those of torch.nn.utils, which compute
    weights (weight_norm, pruning), are kept.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    memo: dict[int, Any] = {}
    for module in model.modules():
        attributes = vars(module)
        for value in (*module._parameters.values(), *module._buffers.values(), *attributes.values()):
            if isinstance(value, torch.Tensor) and id(value) not in memo:
                twin = convert(value.detach())
                memo[id(value)] = (
                    nn.Parameter(twin, value.requires_grad) if isinstance(value, nn.Parameter) else twin
                )
        for name, hooks in attributes.items():
            if name.endswith("_hooks") and isinstance(hooks, dict):
                kept = {k: h for k, h in hooks.items() if type(h).__module__.startswith("torch.nn.utils")}
                memo[id(hooks)] = collections.OrderedDict(kept)
    return _Tensors(copy.deepcopy(model, memo))


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor, device="meta")


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(tensor, device="cpu") if tensor.is_meta else tensor.to("cpu", copy=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Eager torch without autocast, fused encoders or warnings; afterwards every generator is as it was."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (saved, not used)
    fused_encoder = torch.backends.mha.get_fastpath_enabled()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.inference_mode(False))
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused_encoder)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def _forward(twin: _Tensors, example: torch.Tensor) -> _Ledger:
    twin.eval()
    ledger = _Ledger()
    with ledger, torch.device("meta"), torch.no_grad():
        twin(example)
    return ledger


def _training_pass(twin: _Tensors, batch: torch.Tensor) -> _Ledger:
    twin.train()
    ledger = _Ledger()
    with ledger, torch.device("meta"), torch.enable_grad():
        outputs = [out for out in twin(batch) if out.requires_grad]
        ledger.in_backward = True
        if outputs:
            torch.autograd.backward(outputs, [torch.ones_like(out) for out in outputs])
    return ledger


def _fvcore_forward(twin: _Tensors, example: torch.Tensor) -> tuple[float, set[str]]:
    """Forward MACs and the operations with neither handle nor excuse. Raises ImportError without fvcore."""
    from fvcore.nn import FlopCountAnalysis

    twin.eval()
    analysis = FlopCountAnalysis(twin, (example,)).set_op_handle(**FVCORE_HANDLES)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.device("cpu"), torch.no_grad():
        total_macs = float(analysis.total())
    return total_macs, {name for name in analysis.unsupported_ops() if not is_free(name)}


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def count(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    batch_size: int = 2,
    input_dtype: torch.dtype | None = None,
) -> FlopCount:
    """Count the work of `model` on examples of `input_shape`: (channels, height, width) or other, no batch.

    The model may be on any device, in either mode, compiled or not; it, its hooks and all generators stay
    as they are. `batch_size` is the batch of the training pass: work that does not depend on it (such as a
    table of position biases made once a step) is shared by its examples. `input_dtype` defaults to that of
    the first floating parameter; give torch.int64 for a model of tokens.

    Whatever keeps the count from being trusted is told in `reason`, and so is a model that cannot run.

    Raises:
        ValueError: a size is not positive.
    """
    if batch_size < 1 or not all(size > 0 for size in input_shape):
        raise ValueError(f"batch_size {batch_size} and input_shape {input_shape} must be positive")
    if input_dtype is None:
        floating = (p.dtype for p in model.parameters() if p.dtype.is_floating_point)
        input_dtype = next(floating, torch.float32)
    reasons: list[str] = []
    forward = training = fvcore_macs = None
    fvcore_uncounted: set[str] = set()
    with _undisturbed():
        try:
            twin = _twin(model, _on_meta)
            forward = _forward(twin, torch.zeros((1, *input_shape), dtype=input_dtype, device="meta"))
            batch = torch.zeros((batch_size, *input_shape), dtype=input_dtype, device="meta")
            training = _training_pass(twin, batch)
        except Exception as error:  # whatever the model raises is its reason
            reasons.append(f"torch's counter cannot run the model ({_told(error)})")
        try:
            example = torch.zeros((1, *input_shape), dtype=input_dtype, device="cpu")
            fvcore_macs, fvcore_uncounted = _fvcore_forward(_twin(model, _on_cpu), example)
        except ImportError as error:
            reasons.append(f"fvcore is not installed: pip install fvcore ({_told(error)})")
        except Exception as error:
            reasons.append(f"fvcore cannot trace the model ({_told(error)})")
    torch_uncounted = {name for ledger in (forward, training) if ledger for name in ledger.uncounted()}
    for counter, names in (("torch's counter", torch_uncounted), ("fvcore", fvcore_uncounted)):
        if names:
            reasons.append(f"{counter} does not count {', '.join(sorted(names))}")
    uncounted = tuple(sorted(torch_uncounted | fvcore_uncounted))
    return _judge(forward, training, fvcore_macs, uncounted, batch_size, reasons)


def _judge(
    forward: _Ledger | None,
    training: _Ledger | None,
    fvcore_macs: float | None,
    uncounted: tuple[str, ...],
    batch_size: int,
    reasons: list[str],
) -> FlopCount:
    """Put the evidence together; the work is known only if nothing speaks against it."""
    by_op = {name: flops / 2 for name, flops in sorted(forward.forward_flops.items())} if forward else {}
    torch_macs = float(sum(by_op.values())) if forward else None
    agree = torch_macs is not None and fvcore_macs is not None and _close(torch_macs, fvcore_macs, AGREEMENT)
    if torch_macs is not None and fvcore_macs is not None and not agree:
        reasons.append(
            f"the counters disagree on the forward MACs: torch {torch_macs:.6g}, fvcore {fvcore_macs:.6g}"
        )
    train_flops = ratio = expected = None
    if training is not None:
        train_forward_flops = sum(training.forward_flops.values())
        train_flops = (train_forward_flops + training.backward_flops) / batch_size
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
        inference_flops_per_example=2 * torch_macs if known and torch_macs is not None else None,
        train_to_forward_ratio=ratio if known else None,
        expected_ratio=expected,
        fvcore_forward_macs_per_example=fvcore_macs,
        torch_forward_macs_per_example=torch_macs,
        forward_macs_by_op=by_op,
        uncounted_ops=uncounted,
        counters_agree=agree,
        reason="; ".join(reasons) or None,
    )


def _close(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(abs(a), abs(b))
