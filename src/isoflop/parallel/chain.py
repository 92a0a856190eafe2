"""The chain of matrix products of a model that torch can run, counted on tensors without data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isoflop.meter.flops.dispatch import DispatchCounter


class _Chain(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Gives each tensor the number of products that it waits for: one more than its operands if it is the
    result of a product, else as many as the operand that waits longest."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products = DispatchCounter(with_elements=False).formulas
        self.waits: dict[int, int] = {}
        self.kept: list[torch.Tensor] = []  # a tensor that is freed would lend its id to another

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        counts = func.overloadpacket in self.products
        if not counts:
            # A composite operation is counted by its parts, for which the mode is entered again.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        longest = max((self.longest(leaf) for leaf in tree_leaves((args, kwargs))), default=0)
        # Attention as one operation is two products: scores, and the mixing of values.
        own = (2 if "attention" in func._schema.name else 1) if counts else 0
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.waits[id(leaf)] = longest + own
                self.kept.append(leaf)
        return out

    def longest(self, leaf: Any) -> int:
        """Return the products that a tensor waits for; 0 of an input, a weight, or what is no tensor."""
        return self.waits.get(id(leaf), 0) if isinstance(leaf, torch.Tensor) else 0


def count(model: nn.Module, example: torch.Tensor) -> int:
    """Return the matrix products, one after the other, of a forward pass: the longest way through.

    Args:
        model: on the meta device, in eval mode.
        example: a batch on the meta device.
    """
    chain = _Chain()
    with torch.no_grad(), chain:
        out = model(example)
    return max((chain.longest(leaf) for leaf in tree_leaves(out)), default=0)
