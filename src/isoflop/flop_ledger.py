"""The ledger of one model: a family of ours, one of torchvision's classifiers, or a user's own file."""

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
from isoflop.runner import prepare
from isoflop.train import optim

DTYPES = {
    name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16", "int64", "int32")
}


@dataclasses.dataclass(frozen=True)
class ModelLedger:
    """Work of one model, per example unless the name says otherwise."""

    name: str
    input_shape: tuple[int, ...]
    classes: int
    parameters: int
    count: FlopCount
    optimizer: str
    optimizer_flops_per_step: float | None
    optimizer_flops_per_step_reason: str | None

    def flat(self) -> dict[str, Any]:
        """One level of names and values, for JSON and for the console."""
        outer = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return outer | dataclasses.asdict(outer.pop("count"))


def is_file(name: str) -> bool:
    """Whether NAME means a factory in a user's file: path/to/file.py:factory."""
    return name.partition(":")[0].endswith(".py")


def shape(text: str, *, image: bool) -> tuple[int, ...]:
    """The sizes in `3,224,224`; our families and torchvision's take images, a file's factory takes any.

    Raises:
        ValueError: not numbers, not positive, or not an image.
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
    """The ledger of the configured model on images of `sizes`, in steps of the configured batch.

    Raises:
        ValueError: there is no such model, or it cannot take such images.
    """
    channels, height, width = sizes
    model = prepare.weightless(config.model, (channels, height, width), classes)
    count = prepare.count_flops(config.model, (channels, height, width), classes, config.optim.batch_size)
    return _ledger(config.model.name, model, sizes, classes, count, config)


def of_file(
    name: str, config: Config, sizes: tuple[int, ...], classes: int, dtype: str | None
) -> ModelLedger:
    """The ledger of what a factory in a user's file builds; its code runs.

    The factory takes nothing, or the number of classes as `classes` or `num_classes`.

    Raises:
        ValueError: no such file, factory or data type, the factory fails, or what it returns is no module.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype}: give one of {', '.join(DTYPES)}")
    path, _, factory = name.rpartition(":") if ":" in name else (name, "", "")
    model = _made(Path(path), factory, classes)
    given = None if dtype is None else DTYPES[dtype]
    count = flops.count(model, sizes, batch_size=config.optim.batch_size, input_dtype=given)
    return _ledger(name, model, sizes, classes, count, config)


def _ledger(
    name: str, model: nn.Module, sizes: tuple[int, ...], classes: int, count: FlopCount, config: Config
) -> ModelLedger:
    step_flops, reason = None, None
    try:
        step_flops = optim.flops_per_step(config.optim, model)
    except (LookupError, ValueError):
        reason = f"{config.optim.name} needs to know the role of each parameter, and this model tells none"
    parameters = sum(p.numel() for p in model.parameters())
    return ModelLedger(name, sizes, classes, parameters, count, config.optim.name, step_flops, reason)


def _made(path: Path, factory: str, classes: int) -> nn.Module:
    """What the factory returns, without memory for its weights where that can be had."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    if not factory:
        raise ConfigError(f"{path}: name the function that builds the model: {path}:FACTORY")
    with _importable(path.parent):
        make = getattr(_module(path), factory, None)
        if not callable(make):
            raise ConfigError(f"{path}: there is no function {factory} in it")
        words = _class_argument(make, classes)
        try:
            model = prepare.on_meta(lambda: make(**words))
        except Exception:  # it may need real weights: then it gets them
            model = _called(path, factory, make, words)
    return model


def _called(path: Path, factory: str, make: Any, words: dict[str, int]) -> nn.Module:
    try:
        made = make(**words)
    except Exception as error:
        raise ConfigError(f"{path}:{factory} raised {_told(error)}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{path}:{factory} returned {type(made).__name__}, not a torch.nn.Module")
    return made


def _class_argument(make: Any, classes: int) -> dict[str, int]:
    """The number of classes by the name that the factory has for it, if it has one."""
    try:
        takes = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return {}
    return next(({name: classes} for name in ("classes", "num_classes") if name in takes), {})


def _module(path: Path) -> ModuleType:
    """The user's file, run under a name of its own."""
    name = f"isoflop_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} raised {_told(error)}") from error
    return module


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within, files of `folder` can be imported, as when a script of it runs; what it prints is no result."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path.remove(str(folder.resolve()))
