"""Random generators that a model may draw from on the CPU, while its work is counted on the meta device.

A model may skip layers at random by Python's or NumPy's generator, by torch's CPU generator, or by its own.
What it draws on the meta device has no values, so that it cannot change the work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves


@dataclasses.dataclass(frozen=True)
class Generator:
    """One generator: its name for a message, and how to read, set and seed its state."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    seed: Callable[[int], object]


def generators_of(model: nn.Module) -> list[Generator]:
    """Return the global generators, and those held by the model's modules or by the files they come from."""
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
    files = {type(module).__module__ for module in model.modules()}
    globals_of_files = [
        dict(vars(sys.modules[name]))
        for name in sorted(files)
        if name in sys.modules and name.partition(".")[0] not in ("torch", "torchvision")
    ]
    attributes = [dict(vars(module)) for module in model.modules()]
    distinct = {id(leaf): leaf for leaf in tree_leaves([attributes, *globals_of_files])}
    for leaf in distinct.values():
        generator = _wrapped(leaf)
        if generator is not None:
            yield generator


def _wrapped(value: Any) -> Generator | None:
    """Return the generator that a value is, None if it is none or has no state to read."""
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return Generator("its own", value.getstate, value.setstate, value.seed)
    if isinstance(value, np.random.RandomState):
        return Generator("its own", value.get_state, value.set_state, value.seed)
    if isinstance(value, np.random.Generator):
        return _of_numpy(value.bit_generator)
    if (
        isinstance(value, torch.Generator)
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
