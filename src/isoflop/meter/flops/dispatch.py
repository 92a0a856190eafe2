"""The ledger that torch's own dispatcher fills: FLOPs by operation, and the elements that operations move."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flops.handles import (
    TORCH_CORRECTIONS,
    is_free,
    makes_from_nothing,
    multiplicands,
    touches_nothing,
)

ATTENTION = "attention"
"""The line of the table for the batched products inside torch's attention functions: on the meta device they
decompose into `bmm`, and would be lost among other batched products."""

_ATTENTION_CALLS = (F.scaled_dot_product_attention, F.multi_head_attention_forward)
_ATTENTION_PRODUCTS = ("bmm", "baddbmm")


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every operation that reaches torch's dispatcher: forward, expected and counted backward FLOPs.

    `elements` are those of all operands and results of all operations that are no views: what a pass reads
    and writes if nothing is fused and nothing stays in a cache. What checkpointing computes again is left out
    of FLOPs and elements.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.formulas = FlopCounterMode(display=False, custom_mapping=TORCH_CORRECTIONS).flop_registry
        self.forward_flops: collections.Counter[str] = collections.Counter()
        self.expected_backward_flops = 0
        self.backward_flops = 0
        self.elements = 0
        self.in_backward = False
        self.in_attention = False
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
        recomputed = self.in_backward and torch.is_grad_enabled()  # checkpointing runs a forward again
        if not recomputed and not func.is_view and not touches_nothing(name):
            touched = out if makes_from_nothing(name) else (args, kwargs, out)
            self.elements += sum(stored_elements(leaf) for leaf in tree_leaves(touched))
        if formula is None:
            if not func.is_view:
                self.without_formula.add(name)
        elif not self.in_backward:
            self._book_forward(name, formula(*args, **kwargs, out_val=out), [*args, *kwargs.values()])
        elif not recomputed:
            self.backward_flops += formula(*args, **kwargs, out_val=out)
        return out

    def uncounted(self) -> set[str]:
        """Names of the operations that ran, have no formula and are not free by convention."""
        return {name for name in self.without_formula if not is_free(name)}

    def _book_forward(self, name: str, cost_flops: int, arguments: Sequence[Any]) -> None:
        line = name.removeprefix("aten::")
        attention = (self.in_attention and line in _ATTENTION_PRODUCTS) or "attention" in line
        self.forward_flops[ATTENTION if attention else line] += cost_flops
        if torch.is_grad_enabled():
            gradients = sum(tensor.requires_grad for tensor in multiplicands(name, arguments))
            self.expected_backward_flops += cost_flops * min(gradients, 2)


class AttentionCalls(TorchFunctionMode):
    """Tells a ledger which operations belong to a call of torch's attention functions."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in _ATTENTION_CALLS:
            return func(*args, **(kwargs or {}))
        self.ledger.in_attention = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.ledger.in_attention = False


def stored_elements(leaf: Any) -> int:
    """Elements in memory of a tensor: an expanded dimension is stored once. 0 for what is no tensor."""
    if not isinstance(leaf, torch.Tensor):
        return 0
    if leaf.layout is not torch.strided:
        return leaf.numel()
    stored = (n for n, stride in zip(leaf.shape, leaf.stride(), strict=True) if stride or not n)
    return math.prod(stored)
