"""Models without weights to count on: build one on the meta device, or copy an existing model to it.

Also the context in which counting leaves torch's global state as it was.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.overrides import TorchFunctionMode


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
    """Wrapper that makes a model return a tuple of tensors, whatever structure or object it returned."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return all tensors of the model's output, in their order there."""
        return tuple(tensors_in(self.model(example)))


def tensors_in(output: Any) -> list[torch.Tensor]:
    """Return the tensors inside containers and inside objects' attributes (dataclasses, distributions)."""
    tensors: list[torch.Tensor] = []
    visited: set[int] = set()  # an object may refer to itself
    remaining = [output]
    while remaining:
        value = remaining.pop()
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif id(value) not in visited and not isinstance(value, nn.Module | type):
            visited.add(id(value))
            remaining.extend(reversed(_parts(value)))
    return tensors


def _parts(value: Any) -> list[Any]:
    """Return what a container holds, or the attributes of an object."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        return list(value)
    slots = [name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ())]
    held = [getattr(value, name) for name in slots if hasattr(value, name)]
    return [*held, *getattr(value, "__dict__", {}).values()]


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
    hooks_of_model: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
    for module in model.modules():
        attributes = vars(module)
        # The leaves are parameters, buffers, and tensors that are neither: plain attributes, or in a list.
        for value in _in_containers(attributes):
            if isinstance(value, torch.Tensor) and id(value) not in memo:
                memo[id(value)] = _converted(value, convert)
        for name, hooks in attributes.items():
            if name.endswith("_hooks") and isinstance(hooks, dict):
                memo[id(hooks)] = collections.OrderedDict()
                hooks_of_model.append((hooks, memo[id(hooks)]))
    # After all tensors: a hook may be a method of the module, which is then copied with it.
    for hooks, copied in hooks_of_model:
        copied.update({k: copy.deepcopy(h, memo) for k, h in hooks.items() if _is_torchs_own(h)})
    return TensorOutputs(copy.deepcopy(model, memo))


def _in_containers(attributes: dict[str, Any]) -> Iterator[Any]:
    """Yield attributes and what containers among them hold, each once: a container may hold itself."""
    visited: set[int] = set()
    remaining = list(attributes.values())
    while remaining:
        value = remaining.pop()
        if isinstance(value, Mapping | list | tuple | collections.deque):
            if id(value) not in visited:
                visited.add(id(value))
                remaining.extend(_parts(value))
        else:
            yield value


def _converted(tensor: torch.Tensor, convert: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return what stands for a tensor in the twin; one that has no shape yet (LazyLinear) stays without."""
    if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
        kind: Any = type(tensor)
        device = convert(torch.empty(0)).device
        lazy: torch.Tensor = kind(tensor.requires_grad, device=device, dtype=tensor.dtype)
        return lazy
    converted = convert(tensor.detach())
    return nn.Parameter(converted, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else converted


def _is_torchs_own(hook: Any) -> bool:
    """Return whether a hook computes weights (torch.nn.utils) or shapes of weights (lazy modules)."""
    lazy = getattr(hook, "__module__", None) == "torch.nn.modules.lazy"
    return lazy or type(hook).__module__.startswith("torch.nn.utils")


def initialized(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return the model, or, if parameters get their shape from the first input (LazyLinear), a copy that has
    taken `example`, on the meta device.

    Raises whatever the forward pass raises.
    """
    if not any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        return model
    with isolated_torch_state(), torch.no_grad():
        try:
            return _after_one_pass(model, example, "meta")
        except Exception:  # it may read values that it draws: then these are drawn on the CPU
            return _after_one_pass(model, example, "cpu")


def _after_one_pass(model: nn.Module, example: torch.Tensor, place: str) -> nn.Module:
    """Return a copy that has taken an example; what it creates on the way is made on the device `place`."""
    twin = make_twin(model, to_meta).eval()
    with torch.device(place):
        twin(example.to("meta"))
    return twin.model


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same shape and type without data."""
    return torch.empty_like(tensor, device="meta")


def to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy in main memory; zeros if the tensor has no data."""
    return torch.zeros_like(tensor, device="cpu") if tensor.is_meta else tensor.to("cpu", copy=True)


@contextlib.contextmanager
def isolated_torch_state() -> Iterator[None]:
    """Run without compilation, autocast, fused encoders, opt_einsum or warnings; restore every generator."""
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
        # A compiled function is not dispatched operation by operation, and cannot be traced.
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        # einsum counts as written, from left to right, whether opt_einsum is installed or not.
        if torch.backends.opt_einsum.enabled:
            stack.enter_context(torch.backends.opt_einsum.flags(enabled=False))
        # The fused encoder layer is one opaque operation that neither counter has a formula for.
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused_encoder)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
