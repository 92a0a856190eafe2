"""Number formats of a training step: which device can have each, and the linear layers of fp8.

tf32: products of fp32 tensors round their operands to 10 bits of mantissa (Ampere and later). fp8: under bf16
autocast, linear layers cast their operands to e4m3 and the gradients of their outputs to e5m2, each tensor
scaled by its own largest value in every step (torchao's dynamic scaling; the formats are those of
Micikevicius et al. 2022). Weights, optimizer, and all that is no linear layer stay as under bf16.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import nn

from isoflop import extras
from isoflop.config import Config, ConfigError

LEAST_CAPABILITY = {"tf32": (8, 0), "fp8": (8, 9)}
"""Compute capability of the first NVIDIA GPU with the format: Ampere, and Ada."""
MULTIPLE = 16
"""Sizes of an fp8 product must be divisible by this, as cuBLAS asks for."""
MIXED = ("bf16", "fp8")
"""Precisions whose forward pass is under bf16 autocast."""


def resolve(compute: str, device: torch.device) -> str:
    """Return the precision of the setting precision.compute: `auto` is fp32 on a CPU and bf16 on a GPU."""
    if compute == "auto":
        return "bf16" if device.type == "cuda" else "fp32"
    return compute


def fp32_products(compute: str) -> Literal["tf32", "ieee"]:
    """Return how products of fp32 tensors are computed under precision.compute, in torch's words."""
    return "tf32" if compute == "tf32" else "ieee"


@contextlib.contextmanager
def of_products(compute: str) -> Iterator[None]:
    """Within, products of fp32 tensors on a GPU are computed as `fp32_products` says; put back afterwards."""
    cudnn: Any = torch.backends.cudnn
    kinds: Any = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [kind.fp32_precision for kind in kinds]
    wanted = fp32_products(compute)
    # The older name of the same flag, which torch.export reads and refuses where it contradicts the newer
    # ones. Setting it sets those of cuDNN, so it comes first, here and at the end.
    cudnn.allow_tf32 = wanted == "tf32"
    for kind in kinds:
        kind.fp32_precision = wanted
    try:
        yield
    finally:
        cudnn.allow_tf32 = before[0] == "tf32"
        for kind, was in zip(kinds, before, strict=True):
            kind.fp32_precision = was


def problem(compute: str, device: torch.device) -> str | None:
    """Return why `device` cannot have the setting precision.compute, or None if it can."""
    least = LEAST_CAPABILITY.get(compute)
    if least is None:
        return None
    wanted = f"needs an NVIDIA GPU of compute capability {least[0]}.{least[1]} or higher"
    if device.type != "cuda":
        return f"{wanted}, and this trains on the CPU"
    name = torch.cuda.get_device_name(device)
    if torch.version.hip is not None:
        return f"{wanted}, and {name} is AMD's"
    major, minor = torch.cuda.get_device_capability(device)
    return None if (major, minor) >= least else f"{wanted}, and {name} has {major}.{minor}"


def check(config: Config, device: torch.device) -> None:
    """Refuse, before anything is trained, a precision that the device or the batch cannot have.

    Raises:
        ConfigError: the device has no such format, or a batch of one device is not divisible as fp8 needs.
        MissingExtraError: torchao is not installed.
    """
    compute = config.precision.compute
    if why := problem(compute, device):
        other = "auto" if device.type == "cpu" else "bf16"
        raise ConfigError(f"precision={compute} {why}: take precision={other}")
    if compute != "fp8":
        return
    extras.check("precision=fp8", "torchao")
    devices = config.launch.processes
    if config.optim.batch_size % (MULTIPLE * devices):
        near = max(1, round(config.optim.batch_size / MULTIPLE / devices)) * MULTIPLE * devices
        raise ConfigError(
            f"optim.batch_size={config.optim.batch_size}: precision=fp8 needs {MULTIPLE} examples, or a "
            f"multiple, on each device: try {near}"
        )


def qualifies(layer: nn.Module) -> bool:
    """Return whether a layer is computed in fp8: linear, both sizes divisible, and not the readout.

    The logits stay in bf16, as is usual: their rounding goes straight into the loss.
    """
    if type(layer) is not nn.Linear:
        return False
    role = vars(layer).get("roles", {}).get("weight")
    is_readout = role is not None and role.kind == "readout"
    return not is_readout and layer.in_features % MULTIPLE == layer.out_features % MULTIPLE == 0


def converted(model: nn.Module, compute: str, *, emulate: bool = False) -> nn.Module:
    """Return a network as `compute` trains it: in fp8, its linear layers that qualify are replaced.

    Weights and their names, roles and values stay. Changes `model` in place.

    Args:
        model: the network, with its initial weights.
        compute: the setting precision.compute.
        emulate: compute what fp8 would give in fp32, for tests on machines without it.

    Raises:
        ConfigError: no layer qualifies.
        MissingExtraError: torchao is not installed.
    """
    if compute != "fp8":
        return model
    roles = {name: vars(layer).get("roles") for name, layer in model.named_modules() if qualifies(layer)}
    if not roles:
        raise ConfigError(
            "precision=fp8: no linear layer of this network has both sizes divisible by "
            f"{MULTIPLE}: set model.width to a multiple of {MULTIPLE}"
        )
    extras.check("precision=fp8", "torchao")
    float8 = _torchao_float8()
    made: nn.Module = float8.convert_to_float8_training(
        model,
        module_filter_fn=lambda layer, _: qualifies(layer),
        config=float8.Float8LinearConfig(emulate=emulate),
    )
    for name, role in roles.items():
        vars(made.get_submodule(name))["roles"] = role
    return made


def _torchao_float8() -> Any:
    """Import torchao's module; not with this one, as it takes seconds and only fp8 needs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own docstrings, when they are compiled first
        return importlib.import_module("torchao.float8")
