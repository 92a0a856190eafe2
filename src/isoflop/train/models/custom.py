"""A model that a function of the user's own builds: any torch.nn.Module, called with what it names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from isoflop.config import ConfigError, ModelConfig
from isoflop.config.user_code import load
from isoflop.config.user_code.load import Loaded
from isoflop.train import parametrize
from isoflop.train.seeding import seeded


def offered(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Return what a function may ask for, by the names of its parameters.

    `image_shape` is that of an image, or (features,) of flat features; a language model gets `vocabulary`,
    the number of tokens, and `context` instead. `num_classes` is `classes` by the name that torchvision uses.
    """
    of_inputs = (
        {"image_shape": tuple(input_shape)}
        if config.context is None
        else {"vocabulary": classes, "context": config.context}
    )
    sizes = {"width": config.width, "depth": config.depth}
    return sizes | of_inputs | {"classes": classes, "num_classes": classes}


def build(config: ModelConfig, input_shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Return the model, with weights that depend on `seed` alone, if they are drawn from global generators.

    Parameters that carry roles
    (parametrize.tag_layer) are drawn anew by the parametrization; without roles they stay as they are.

    Raises:
        ConfigError: the function cannot be called so, fails or returns no module that can be trained on the
            device of the run; or the parametrization needs roles that the parameters do not carry.
    """
    assert config.path is not None
    loaded = load.load(config.path, config.sha256)
    for name in ("width", "depth"):
        if getattr(config, name) is not None and not load.takes(loaded, name):
            raise ConfigError(f"{loaded.name} takes no argument {name}: set model.{name} to null")
    with seeded(seed):
        model = load.call(loaded, offered(config, input_shape, classes), config.arguments or {})
        if not isinstance(model, nn.Module):
            raise ConfigError(f"{loaded.name} returned {type(model).__name__}, not a torch.nn.Module")
        if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
            _shape_lazy_layers(loaded, config, model, input_shape)
    _check(loaded, model)
    _initialise(loaded, config, model)
    return model


def _shape_lazy_layers(
    loaded: Loaded, config: ModelConfig, model: nn.Module, input_shape: tuple[int, ...]
) -> None:
    """Give layers that get their shape from the first input (LazyLinear) that of the data."""
    dtype = torch.float32 if config.context is None else torch.int64
    example = torch.zeros(1, *input_shape, dtype=dtype, device=torch.empty(0).device)
    with load.named_failure(f"{loaded.name}: its lazy layers", loaded.located), torch.no_grad():
        model.eval()(example)
    model.train()


def _check(loaded: Loaded, model: nn.Module) -> None:
    """Refuse a model that has nothing to train, or that is on another device than where it was made."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"{loaded.name} returned a model without parameters to train")
    here = torch.empty(0).device.type  # meta where only shapes are asked for
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.device.type not in ("cpu", here):
            raise ConfigError(
                f"{loaded.name} returned a model whose {name} is on {tensor.device}: build it on the CPU, "
                "isoflop moves it to the device of the run"
            )


def _initialise(loaded: Loaded, config: ModelConfig, model: nn.Module) -> None:
    if not parametrize.has_roles(model):
        if config.parametrization != "standard":
            raise ConfigError(
                f"model.parametrization={config.parametrization} needs the role of each parameter, and those "
                f"of {loaded.name} carry none: tag them (docs/custom_model.md), or set it to standard"
            )
        return
    try:
        parametrize.initialise(model, parametrize.scale(config))
    except LookupError as error:
        raise ConfigError(f"{loaded.name}: {error}") from error
