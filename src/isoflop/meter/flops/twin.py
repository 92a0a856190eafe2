"""A twin of a model to count on, and a torch around it that counting leaves as it was."""

from __future__ import annotations

import collections
import contextlib
import copy
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves


class Tensors(nn.Module):
    """Wraps a model so that it returns a tuple of tensors, whatever structure it returned."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All tensors of the model's output, in the order of torch's pytrees."""
        return tuple(leaf for leaf in tree_leaves(self.model(example)) if isinstance(leaf, torch.Tensor))


def twin(model: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor]) -> Tensors:
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
                made = convert(value.detach())
                memo[id(value)] = (
                    nn.Parameter(made, value.requires_grad) if isinstance(value, nn.Parameter) else made
                )
        for name, hooks in attributes.items():
            if name.endswith("_hooks") and isinstance(hooks, dict):
                kept = {k: h for k, h in hooks.items() if type(h).__module__.startswith("torch.nn.utils")}
                memo[id(hooks)] = collections.OrderedDict(kept)
    return Tensors(_without_compilation(copy.deepcopy(model, memo)))


def _without_compilation(model: nn.Module) -> nn.Module:
    """Put what torch.compile wrapped in place of its wrappers."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(module, name, child._orig_mod)
    return model


def on_meta(tensor: torch.Tensor) -> torch.Tensor:
    """The same shape without data."""
    return torch.empty_like(tensor, device="meta")


def on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in main memory; zeros where there was no data."""
    return torch.zeros_like(tensor, device="cpu") if tensor.is_meta else tensor.to("cpu", copy=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
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
