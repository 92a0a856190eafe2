"""Models whose work changes from call to call: layers skipped at random, or by a count of calls."""

from __future__ import annotations

import os
import random
import secrets
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from isoflop.meter.flops import generators, passes
from isoflop.meter.flops.count import count

pytestmark = pytest.mark.slow

OF_THIS_FILE = np.random.default_rng(5)


class Skipping(nn.Module):
    """A first layer, 64 MACs, and 6 more of which each is skipped where `skip(self)` says so."""

    def __init__(self, skip: Callable[[Any], bool], in_eval: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))
        self.skip, self.in_eval = skip, in_eval
        self.python, self.torch = random.Random(3), torch.Generator().manual_seed(3)
        self.numpy, self.old = [np.random.default_rng(3)], np.random.RandomState(3)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.first(x)
        for block in self.blocks:
            if (self.training or self.in_eval) and self.skip(self):
                continue
            x = x + block(x)
        return x


DRAWS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "random": (lambda _: random.random() < 0.5, "Python's generator"),
    "numpy": (lambda _: bool(np.random.rand() < 0.5), "NumPy's generator"),  # noqa: NPY002
    "torch": (lambda _: torch.rand((), device="cpu").item() < 0.5, "torch's generator"),
    "own of Python": (lambda model: model.python.random() < 0.5, "its own generator"),
    "own of NumPy": (lambda model: bool(model.numpy[0].random() < 0.5), "its own generator"),
    "own of old NumPy": (lambda model: bool(model.old.rand() < 0.5), "its own generator"),
    "own of torch": (
        lambda model: torch.rand((), device="cpu", generator=model.torch).item() < 0.5,
        "its own generator",
    ),
    "of the file": (lambda _: bool(OF_THIS_FILE.random() < 0.5), "its own generator"),
}


def states(model: Skipping) -> list[object]:
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    own = [model.python.getstate(), model.numpy[0].bit_generator.state, model.torch.get_state().tolist()]
    return [random.getstate(), numpy_state, OF_THIS_FILE.bit_generator.state, *own]


@pytest.mark.parametrize("kind", DRAWS)
def test_training_that_draws_its_depth_is_unknown(kind: str) -> None:
    skip, source = DRAWS[kind]
    model = Skipping(skip)
    before = states(model)
    result = count(model, (8,))
    assert result.train_flops_per_example is None
    assert f"training is random: the model draws from {source}, " in str(result.reason)
    assert "inference" not in str(result.reason)
    assert result.torch_forward_macs_per_example == 7 * 64, "in eval mode"
    assert states(model) == before
    random.random()
    assert count(model, (8,)).reason == result.reason, "the message does not depend on earlier draws"


def test_inference_that_draws_its_depth_is_named() -> None:
    reason = str(count(Skipping(DRAWS["random"][0], in_eval=True), (8,)).reason)
    assert "inference is random" in reason
    assert "training is random" in reason


def test_draws_that_cost_the_same_leave_the_work_known_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    result = count(Skipping(lambda _: random.random() < 0), (8,))
    assert result.reason is None
    assert result.train_flops_per_example == 2 * (3 * 7 * 64 - 64)
    assert result.notes == ("training draws from Python's generator: 32 seeds cost the same",)
    assert count(Skipping(lambda _: False), (8,)).notes == ()
    # One of 32 seeds may be the only one that differs.
    first = [random.Random(seed).random() for seed in range(passes.SEEDS)]
    rare = sorted(first)[0]
    assert count(Skipping(lambda _: random.random() <= rare), (8,)).reason is not None


def test_work_that_depends_on_the_number_of_calls_is_unknown() -> None:
    reason = str(count(Skipping(lambda model: model.calls % 2 == 0), (8,)).reason)
    assert "training changes from call to call: 64 to 448 forward MACs an example" in reason


def test_a_gradient_that_is_drawn_is_unknown() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> Any:
            x = self.first(x)
            return self.second(x.detach() if random.random() < 0.5 else x)

    assert "training is random" in str(count(Detached(), (8,)).reason)


def test_dropout_is_neither_random_work_nor_noted() -> None:
    result = count(nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 2)), (8,))
    assert result.reason is None
    assert result.notes == ()


@pytest.mark.parametrize("skip", [lambda _: secrets.randbelow(2), lambda _: os.urandom(1)[0] < 128])
def test_a_draw_from_no_generator_that_can_be_found_is_unknown(skip: Callable[[Any], bool]) -> None:
    assert "training changes from call to call" in str(count(Skipping(skip), (8,)).reason)


def test_a_generator_of_an_object_or_an_imported_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = types.ModuleType("helper_of_the_users")
    vars(helper)["rng"] = np.random.default_rng(7)
    monkeypatch.setitem(globals(), "helper", helper)
    before = helper.rng.bit_generator.state
    reason = str(count(Skipping(lambda _: bool(helper.rng.random() < 0.5)), (8,)).reason)
    assert "its own generator" in reason
    assert helper.rng.bit_generator.state == before
    model = Skipping(lambda model: model.settings.rng.random() < 0.5)
    vars(model)["settings"] = types.SimpleNamespace(rng=random.Random(7))
    assert "its own generator" in str(count(model, (8,)).reason)


def test_globals_and_attributes_that_hold_themselves_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    monkeypatch.setitem(globals(), "CYCLE", cycle)
    model = Skipping(lambda _: False)
    vars(model)["cycle"] = cycle
    assert count(model, (8,)).reason is None


def test_the_search_looks_at_few_of_many_parts() -> None:
    holder = {"many": [random.Random(0) for _ in range(generators.WIDTH + 50)]}
    assert len(list(generators._within([holder]))) == 2 + generators.WIDTH


@pytest.mark.parametrize(
    "skip",
    [
        lambda _: torch.rand(1).item() > 0.5,
        lambda _: bool(torch.rand(()) < 0.5),
        lambda _: torch.empty(1).uniform_(0, 1).item() < 0.5,
    ],
)
def test_a_draw_without_a_device_is_made_with_data(skip: Callable[[Any], bool]) -> None:
    reason = str(count(Skipping(skip), (8,)).reason)
    assert "training is random: the model draws from torch's generator" in reason
    result = count(Skipping(lambda model: skip(model) and False), (8,))
    assert result.train_flops_per_example == 2 * (3 * 7 * 64 - 64)


def test_a_model_that_reads_its_input_is_told_why() -> None:
    class Reading(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.mean() > 0 else -x)

    assert "the model reads the value of an input" in str(count(Reading(8, 8), (8,)).reason)
