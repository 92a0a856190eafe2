"""Counter of a model's work at the level of torch's dispatcher: FLOPs by operation, and elements moved."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flops.free import is_free, touches_no_elements, writes_only
from isoflop.meter.flops.handles import TORCH_CORRECTIONS, multiplicands

ATTENTION = "attention"
"""Key for the batched products inside torch's attention functions: on the meta device these decompose into
`bmm`, where they could not be told from other batched products."""

_ATTENTION_CALLS = (F.scaled_dot_product_attention, F.multi_head_attention_forward)
_ATTENTION_PRODUCTS = ("bmm", "baddbmm")


class DispatchCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation that reaches torch's dispatcher while the mode is active.

    FlopCounterMode itself is used for its formulas only: it neither separates forward from backward nor
    reports operations without a formula. Work that activation checkpointing repeats is not counted.

    Attributes:
        forward_flops: operation -> FLOPs of the forward pass.
        expected_backward_flops: cost of the gradients that the operands of the forward pass require.
        backward_flops: counted FLOPs of the backward pass.
        elements: elements of all operands and results of all operations that are not views: what a pass reads
            and writes if nothing is fused and nothing stays in a cache.
        operations: how many operations ran.
        in_backward: set by the caller before the backward pass.
        in_attention: set by AttentionCalls inside one of torch's attention functions.
        without_formula: operations that ran and have no formula, free ones included.

    Args:
        with_elements: count elements; without, a pass takes less time.
    """

    supports_higher_order_operators = True

    def __init__(self, with_elements: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.formulas = FlopCounterMode(display=False, custom_mapping=TORCH_CORRECTIONS).flop_registry
        self.forward_flops: collections.Counter[str] = collections.Counter()
        self.expected_backward_flops = 0
        self.backward_flops = 0
        self.with_elements = with_elements
        self.elements = 0
        self.operations = 0
        self.in_backward = False
        self.in_attention = False
        self.without_formula: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):  # a higher-order operator, such as flex_attention
            self.without_formula.add(str(func))
            return func(*args, **kwargs)
        formula = self.formulas.get(func.overloadpacket)
        if formula is None:
            # A composite operation without a formula is counted by its parts. The mode is off inside its own
            # handler, so it is entered again for the parts to reach it.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = _on_one_device(func, args, kwargs)
        name = func._schema.name
        self.operations += 1
        # Gradients are not recorded during a plain backward pass; checkpointing turns them on to run a part
        # of the forward pass again.
        recomputed = self.in_backward and torch.is_grad_enabled()
        if self.with_elements and not recomputed and not func.is_view and not touches_no_elements(name):
            touched = out if writes_only(name) else (args, kwargs, out)
            self.elements += sum(stored_elements(leaf) for leaf in tree_leaves(touched))
        if formula is None:
            if not func.is_view:
                self.without_formula.add(name)
        elif not recomputed:
            flops = formula(*args, **kwargs, out_val=out) * real_products(out)
            if self.in_backward:
                self.backward_flops += flops
            else:
                self._add_forward(name, flops, [*args, *kwargs.values()])
        return out

    def uncounted(self) -> set[str]:
        """Return the operations that ran, have no formula and are not free by convention."""
        return {name for name in self.without_formula if not is_free(name)}

    def _add_forward(self, name: str, flops: int, arguments: Sequence[Any]) -> None:
        operation = name.removeprefix("aten::")
        attention = (self.in_attention and operation in _ATTENTION_PRODUCTS) or "attention" in operation
        self.forward_flops[ATTENTION if attention else operation] += flops
        if torch.is_grad_enabled():
            # Each operand that needs a gradient costs one product of the forward's size; an operand that does
            # not (the input, a frozen weight) saves it. Attention has three operands but two products, each
            # with a gradient for either side: at most twice the forward.
            gradients = sum(tensor.requires_grad for tensor in multiplicands(name, arguments))
            self.expected_backward_flops += flops * min(gradients, 2)


class AttentionCalls(TorchFunctionMode):
    """Tells a counter which operations belong to a call of torch's attention functions."""

    def __init__(self, counter: DispatchCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in _ATTENTION_CALLS:
            return func(*args, **(kwargs or {}))
        self.counter.in_attention = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.counter.in_attention = False


def _on_one_device(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operation. If it refuses tensors of two devices, its operands without data decide.

    A tensor that the model reaches by other ways than its attributes (a global, a closure) is not in the
    twin; as an operand it has a shape, which is all that counts.
    """
    try:
        return func(*args, **kwargs)
    except RuntimeError:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if len({tensor.is_meta for tensor in tensors}) < 2:
            raise
    args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
    return func(*args, **kwargs)


def real_products(out: Any) -> int:
    """Return the real multiply-accumulates in one of a product with this result: 4 if it is complex.

    (a + bi)(c + di) = (ac - bd) + (ad + bc)i, and either sum takes two.
    """
    complex_result = any(isinstance(leaf, torch.Tensor) and leaf.is_complex() for leaf in tree_leaves(out))
    return 4 if complex_result else 1


def stored_elements(leaf: Any) -> int:
    """Return the real numbers that a tensor keeps in memory; an expanded dimension is stored once.

    0 for what is no tensor.
    """
    if not isinstance(leaf, torch.Tensor):
        return 0
    if leaf.is_complex():
        return 2 * stored_elements(leaf.real)
    if leaf.layout is not torch.strided:
        return leaf.numel()
    # Stride 0 marks an expanded dimension; a dimension of length 0 stays, so that the product is 0.
    stored = (n for n, stride in zip(leaf.shape, leaf.stride(), strict=True) if stride or not n)
    return math.prod(stored)
