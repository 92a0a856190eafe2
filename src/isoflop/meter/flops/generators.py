"""Random generators that a model may draw from on the CPU, while its work is counted on the meta device.

A model may skip layers at random by Python's or NumPy's generator, by torch's CPU generator, or by its own.
What it draws on the meta device has no values, so that it cannot change the work.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

LEVELS, WIDTH = 3, 64
"""How deep, and how many parts of each container or object, the search for generators looks."""

_LIBRARIES = {*sys.stdlib_module_names, "numpy", "torch", "torchvision"}
"""What holds no generator of the model's: those of Python, NumPy and torch have names of their own."""


@dataclasses.dataclass(frozen=True)
class Generator:
    """One generator: its name for a message, and how to read, set and seed its state."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    seed: Callable[[int], object]


def generators_of(model: nn.Module) -> list[Generator]:
    """Return the global generators, and those held by the model's modules, by the files they come from, and
    by what these files import.

    The search is bounded: a generator may be anywhere (in a closure, in the operating system), so that a
    model's steadiness must never rest on the search alone (passes.steadiness).
    """
    return [
        Generator("Python's", random.getstate, random.setstate, random.seed),
        Generator("NumPy's", np.random.get_state, np.random.set_state, np.random.seed),
        _of_torch("torch's", torch.default_generator),
        *_held_by(model),
    ]


def moved(generators: list[Generator], states: list[bytes]) -> list[str]:
    """Return the names of the generators whose state is no longer the one in `states`."""
    return [
        g.name
        for g, before, now in zip(generators, states, snapshot(generators), strict=True)
        if before != now
    ]


def snapshot(generators: list[Generator]) -> list[bytes]:
    """Return each generator's state in a form that can be compared."""
    return [pickle.dumps(each.read()) for each in generators]


@contextlib.contextmanager
def unmoved(generators: list[Generator]) -> Iterator[list[bytes]]:
    """Give the generators' states, and set the generators back to them afterwards."""
    states = snapshot(generators)
    try:
        yield states
    finally:
        for each, state in zip(generators, states, strict=True):
            each.write(pickle.loads(state))


def _held_by(model: nn.Module) -> Iterator[Generator]:
    """Yield generators among the modules' attributes, and among the globals of the files that define them."""
    names = {type(module).__module__ for module in model.modules()}
    files = [sys.modules[name] for name in sorted(names) if name in sys.modules]
    files = [file for file in files if _is_users(file)]
    imported = [each for file in files for each in vars(file).values() if _is_users(each)]
    attributes = [vars(module) for module in model.modules()]
    held = [vars(file) for file in {id(file): file for file in [*files, *imported]}.values()]
    for value in _within(each for holder in [*attributes, *held] for each in list(holder.values())):
        generator = _wrapped(value)
        if generator is not None and _readable(generator):
            yield generator


def _is_users(value: Any) -> bool:
    """Return whether a value is a module of Python's, and none of a library's."""
    return issubclass(type(value), ModuleType) and value.__name__.partition(".")[0] not in _LIBRARIES


def _within(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the values and what they hold, each once, level by level.

    Bounded and without recursion: what a file holds may be large, or hold itself.
    """
    visited: set[int] = set()
    level = list(values)
    for _ in range(LEVELS):
        fresh = list({id(value): value for value in level if id(value) not in visited}.values())
        visited.update(id(value) for value in fresh)
        yield from fresh
        level = [part for value in fresh for part in itertools.islice(_parts(value), WIDTH)]


def _parts(value: Any) -> Iterator[Any]:
    """Return what a container holds, or the attributes of a plain object, without running its own code."""
    kind = type(value)
    if issubclass(kind, nn.Module | torch.Tensor | type | ModuleType | str | bytes):
        return iter(())
    if issubclass(kind, dict):
        return iter(dict.values(value))
    for container in (list, tuple, set, frozenset, collections.deque):
        if issubclass(kind, container):
            return container.__iter__(value)
    try:
        return iter(dict.values(object.__getattribute__(value, "__dict__")))
    except (AttributeError, TypeError):  # no attributes, or kept in something else
        return iter(())


def _readable(generator: Generator) -> bool:
    """Return whether a generator's state can be read; one of the operating system's has none."""
    try:
        pickle.dumps(generator.read())
    except Exception:  # a class of the user's
        return False
    return True


def _wrapped(value: Any) -> Generator | None:
    """Return the generator that a value is, None if it is none or has no state to read."""
    kind = type(value)  # not isinstance, which asks the value: a proxy might load what it stands for
    if issubclass(kind, random.Random):
        return Generator("its own", value.getstate, value.setstate, value.seed)
    if issubclass(kind, np.random.RandomState):
        return Generator("its own", value.get_state, value.set_state, value.seed)
    if issubclass(kind, np.random.Generator):
        return _of_numpy(value.bit_generator)
    if (
        issubclass(kind, torch.Generator)
        and value.device.type == "cpu"
        and value is not torch.default_generator
    ):
        return _of_torch("its own", value)
    return None


def _of_numpy(bits: np.random.BitGenerator) -> Generator:
    def write(state: Any) -> None:
        bits.state = state

    return Generator("its own", lambda: bits.state, write, lambda seed: write(type(bits)(seed).state))


def _of_torch(name: str, generator: torch.Generator) -> Generator:
    def write(state: list[int]) -> None:
        generator.set_state(torch.tensor(state, dtype=torch.uint8, device="cpu"))

    return Generator(name, lambda: generator.get_state().tolist(), write, generator.manual_seed)
