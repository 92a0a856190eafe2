"""Work of one model (`isoflop flops`): ours, one of torchvision's classifiers, or from a user's file."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from isoflop.config import Config, ConfigError
from isoflop.meter.flops import count as flops
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.twin import build_on_meta
from isoflop.runner import prepare
from isoflop.train import models, optim

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


def is_file(name: str) -> bool:
    """Return whether NAME refers to a factory in a user's file: path/to/file.py:factory."""
    return name.partition(":")[0].endswith(".py")


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
    count = prepare.count_flops(config.model, sizes, classes, config.batch_rows)
    return _ledger(config.model.name, model, sizes, classes, count, config)


def of_file(
    name: str, config: Config, sizes: tuple[int, ...], classes: int, dtype: str | None
) -> ModelLedger:
    """Return the ledger of the model that a factory in a user's file builds. Executes the file.

    Args:
        name: path/to/file.py:factory; the factory takes no argument, or the number of classes as `classes` or
            `num_classes`.
        config: batch size and optimizer.
        sizes: sizes of one example, without the batch.
        classes: number of classes.
        dtype: data type of the input, one of DTYPES; None: that of the model's parameters.

    Raises:
        ConfigError: no such file, factory or data type, the factory fails, or it does not return a module.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype}: give one of {', '.join(DTYPES)}")
    path, _, factory = name.rpartition(":") if ":" in name else (name, "", "")
    model = _load_model(Path(path), factory, classes)
    input_dtype = None if dtype is None else DTYPES[dtype]
    count = flops.count(model, sizes, batch_size=config.optim.batch_size, input_dtype=input_dtype)
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


def _load_model(path: Path, factory: str, classes: int) -> nn.Module:
    """Return what the factory builds, on the meta device if it can be built there."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    if not factory:
        raise ConfigError(f"{path}: name the function that builds the model: {path}:FACTORY")
    with _importable(path.parent):
        make = getattr(_import_file(path), factory, None)
        if not callable(make):
            raise ConfigError(f"{path}: there is no function {factory} in it")
        arguments = _class_argument(make, classes)
        try:
            model = build_on_meta(lambda: make(**arguments))
        except Exception:  # it may need the values of its weights; if it is broken, the second call says so
            model = _call_factory(path, factory, make, arguments)
    return model


def _call_factory(path: Path, factory: str, make: Any, arguments: dict[str, int]) -> nn.Module:
    try:
        model = make(**arguments)
    except Exception as error:
        raise ConfigError(f"{path}:{factory} raised {_summary(error)}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{path}:{factory} returned {type(model).__name__}, not a torch.nn.Module")
    return model


def _class_argument(make: Any, classes: int) -> dict[str, int]:
    """Return the number of classes under the name of the factory's parameter for it, if it has one."""
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # built-in callables may have no signature
        return {}
    return next(({name: classes} for name in ("classes", "num_classes") if name in parameters), {})


def _import_file(path: Path) -> ModuleType:
    """Execute the user's file as a module, under a name that no other module has."""
    name = f"isoflop_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look classes up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} raised {_summary(error)}") from error
    return module


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make modules in `folder` importable inside the context, as for a script that is run from there.

    What they print goes to standard error: standard output is for the result.
    """
    sys.path.insert(0, str(folder.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path.remove(str(folder.resolve()))
