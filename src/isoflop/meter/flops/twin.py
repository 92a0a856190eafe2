"""Models without weights to count on: build one on the meta device, or copy an existing model to it.

Also the context in which counting leaves torch's global state as it was.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class _EmptyOnMeta(TorchFunctionMode):
    """Inside, torch.empty allocates on the meta device and a move of meta tensors is ignored.

    torch.nn creates its parameters by torch.empty, so weights take no memory, while the small tensors that a
    model computes its shape with (regnet, drop-path rates) keep their values. Under torch.device("meta")
    those would lose them, and such models fail.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # Our models end their construction by moving themselves to a device; a meta tensor has no data to
        # move, so torch would raise.
        if func is torch.Tensor.to and args[0].is_meta:
            return args[0]
        placement = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **(kwargs or {}) | placement)


def build_on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """Return the model that `make` builds on the CPU, on the meta device, without memory for its weights."""
    with _EmptyOnMeta():
        return make().to("meta")


class TensorOutputs(nn.Module):
    """Wrapper that makes a model return a tuple of tensors, whatever structure it returned."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return all tensors of the model's output, in the order of torch's pytrees."""
        return tuple(leaf for leaf in tree_leaves(self.model(example)) if isinstance(leaf, torch.Tensor))


def make_twin(model: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor]) -> TensorOutputs:
    """Return a deep copy of `model` whose tensors went through `convert`, wrapped in TensorOutputs.

    The original tensors are neither copied nor shared. Hooks are not copied, since a hook may write to what
    it closes over; those of torch.nn.utils, which compute weights (weight_norm, pruning), are kept.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    model = getattr(model, "_orig_mod", model)  # the module that torch.compile wraps
    # deepcopy takes an object's copy from `memo` if it is there: filling it beforehand replaces every tensor
    # and every dictionary of hooks without copying the weights first. Tied weights stay tied, by their id.
    memo: dict[int, Any] = {}
    for module in model.modules():
        attributes = vars(module)
        # Plain tensor attributes too: they are neither parameters nor buffers, yet the model may use them.
        for value in (*module._parameters.values(), *module._buffers.values(), *attributes.values()):
            if isinstance(value, torch.Tensor) and id(value) not in memo:
                converted = convert(value.detach())
                memo[id(value)] = (
                    nn.Parameter(converted, value.requires_grad)
                    if isinstance(value, nn.Parameter)
                    else converted
                )
        for name, hooks in attributes.items():
            if name.endswith("_hooks") and isinstance(hooks, dict):
                kept = {k: h for k, h in hooks.items() if type(h).__module__.startswith("torch.nn.utils")}
                memo[id(hooks)] = collections.OrderedDict(kept)
    return TensorOutputs(_without_compilation(copy.deepcopy(model, memo)))


def _without_compilation(model: nn.Module) -> nn.Module:
    """Replace submodules that torch.compile wrapped by the originals: a compiled part is not dispatched."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(module, name, child._orig_mod)
    return model


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same shape and type without data."""
    return torch.empty_like(tensor, device="meta")


def to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy in main memory; zeros if the tensor has no data."""
    return torch.zeros_like(tensor, device="cpu") if tensor.is_meta else tensor.to("cpu", copy=True)


@contextlib.contextmanager
def isolated_torch_state() -> Iterator[None]:
    """Run eagerly, without autocast, fused encoders or warnings; restore every generator afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (saved, not used)
    fused_encoder = torch.backends.mha.get_fastpath_enabled()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices))
        # The caller may be inside inference_mode, where the training pass could not record gradients.
        stack.enter_context(torch.inference_mode(False))
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        # The fused encoder layer is one opaque operation that neither counter has a formula for.
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused_encoder)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
