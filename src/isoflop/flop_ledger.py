"""Work of one model (`isoflop flops`): ours, one of torchvision's classifiers, or a user's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from isoflop.config import Config, ConfigError
from isoflop.meter.flops import count as flops
from isoflop.meter.flops import user_model
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.twin import initialized
from isoflop.runner import prepare
from isoflop.train import levers, models, optim

DTYPES = {
    name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16", "int64", "int32")
}


@dataclasses.dataclass(frozen=True)
class ModelLedger:
    """Work of one model: the counters' figures per example, parameters, and the optimizer's work per step.

    The parameters without embeddings leave out tables whose rows are looked up (nn.Embedding).
    """

    name: str
    input_shape: tuple[int, ...]
    classes: int
    parameters: int
    parameters_without_embeddings: int
    count: FlopCount
    optimizer: str
    optimizer_flops_per_step: float | None
    optimizer_flops_per_step_reason: str | None

    def flat(self) -> dict[str, Any]:
        """Return all fields, those of `count` among them, on one level, for JSON and for the console."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | dataclasses.asdict(fields.pop("count"))


def parse_input_sizes(text: str, *, image: bool) -> tuple[int, ...]:
    """Parse the sizes in `3,224,224`.

    `image` requires three of them: our families and torchvision's take images, a user's model may take any.

    Raises:
        ConfigError: not numbers, not positive, or not an image.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--input {text}: give channels,height,width, such as 3,224,224") from error
    if min(sizes) < 1:
        raise ConfigError(f"--input {text}: each must be at least 1")
    if image and len(sizes) != 3:
        raise ConfigError(f"--input {text}: give channels,height,width, such as 3,224,224")
    return sizes


def of_config(config: Config, sizes: tuple[int, ...], classes: int) -> ModelLedger:
    """Return the ledger of the configured model on images or windows of `sizes`, at the configured batch.

    An example is an image, or a byte of a window.

    Raises:
        ValueError: there is no such model, or it cannot take such images.
    """
    model = prepare.weightless(config.model, sizes, classes)
    model = levers.of(config).transform(model.train(), sizes, classes).eval()
    count = prepare.count_run(config, sizes, classes)
    return _ledger(config.model.name, model, sizes, classes, count, config)


def of_user(
    name: str, config: Config, sizes: tuple[int, ...], classes: int, dtype: str | None
) -> ModelLedger:
    """Return the ledger of the model that a factory of the user's builds. Executes the user's file.

    Args:
        name: path/to/file.py:function or package.module:function, which is called with what it names
            (docs/custom_model.md).
        config: batch size and optimizer, and of the model width, depth and arguments.
        sizes: sizes of one example, without the batch.
        classes: number of classes.
        dtype: data type of the input, one of DTYPES; None: that of the model's parameters.

    Raises:
        ConfigError: no such file, function or data type, the function fails, it does not return a module, or
            its lazy layers cannot take such an input.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype}: give one of {', '.join(DTYPES)}")
    loaded = user_model.load(
        name, models.custom.offered(config.model, sizes, classes), config.model.arguments
    )
    input_dtype = flops.floating_dtype(loaded.model) if dtype is None else DTYPES[dtype]
    try:
        model = initialized(loaded.model, torch.empty(1, *sizes, dtype=input_dtype, device="meta"))
    except Exception as error:  # the user's code: whatever it raises is the reason
        message = " ".join(str(error).split())
        raise ConfigError(f"{name}: its lazy layers cannot take --input {sizes}: {message}") from error
    count = flops.count(model, sizes, batch_size=config.optim.batch_size, input_dtype=input_dtype)
    count = dataclasses.replace(count, notes=(*loaded.notes, *count.notes))
    return _ledger(name, model, sizes, classes, count, config)


def _ledger(
    name: str, model: nn.Module, sizes: tuple[int, ...], classes: int, count: FlopCount, config: Config
) -> ModelLedger:
    """Combine a model's count with its parameters and the configured optimizer's work.

    Args:
        name: what the user called the model.
        model: the model, with or without weights.
        sizes: sizes of one example.
        classes: number of classes.
        count: the work counted on it.
        config: names the optimizer.
    """
    step_flops, reason = None, None
    try:
        step_flops = optim.flops_per_step(config.optim, model)
    except (LookupError, ValueError):
        reason = f"{config.optim.name} needs the role of each parameter, and this model does not define them"
    parameters = sum(p.numel() for p in model.parameters())
    multiplied = models.parameters_without_embeddings(model)
    return ModelLedger(
        name, sizes, classes, parameters, multiplied, count, config.optim.name, step_flops, reason
    )
