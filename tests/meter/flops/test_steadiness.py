"""Whether a pass costs the same each time: how often it is repeated, which draws are seen, what is said."""

from __future__ import annotations

import collections
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from isoflop.meter.flops import generators, passes
from isoflop.meter.flops.passes import Steadiness, steadiness
from isoflop.meter.flops.twin import TensorOutputs, make_twin, to_meta

LEGACY: Any = np.random


# ---- repeats


@pytest.mark.parametrize(
    ("operations", "repeats"),
    [(0, 32), (1, 32), (46, 32), (47, 31), (100, 15), (300, 5), (375, 4), (376, 4), (10**6, 4)],
)
def test_few_operations_are_repeated_often(operations: int, repeats: int) -> None:
    """1500 operations in all, from 4 to 32 times."""
    assert passes._repeats(operations) == repeats


class Model(nn.Module):
    """Two layers of 8 x 8, the second `times(calls)` times; `many` more operations that are free."""

    def __init__(self, times: Callable[[int], int] = lambda calls: 1, many: int = 0) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.times, self.many, self.calls = times, many, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.first(x)
        for _ in range(self.times(self.calls)):
            x = self.second(x)
        for _ in range(self.many):
            x = x + 1
        return x


def judged(model: Model, examples: int = 3, training: bool = True) -> tuple[Steadiness, int]:
    """The verdict on passes after a first one, and how many there were."""
    twin = make_twin(model, to_meta)
    inner: Any = twin.model
    batch = torch.empty(examples, 8, device="meta")
    first = passes.training_pass(twin, batch) if training else passes.forward_pass(twin, batch)
    before = inner.calls
    verdict = steadiness(twin, batch, first, training=training)
    assert twin.model.training is training
    return verdict, int(inner.calls - before)


@pytest.mark.parametrize("training", [True, False])
def test_a_steady_pass_is_repeated_and_nothing_is_said(training: bool) -> None:
    assert judged(Model(), training=training) == (Steadiness(), 32)
    # two layers are four operations on the meta device: a view of the weight and the product
    verdict, repeats = judged(Model(many=371), training=training)
    assert verdict == Steadiness()
    assert 4 <= repeats <= 5


@pytest.mark.parametrize(("training", "what"), [(True, "training"), (False, "inference")])
def test_work_that_depends_on_the_number_of_calls_is_named(training: bool, what: str) -> None:
    """64 MACs an example, or 192, whatever the number of examples."""
    verdict, _ = judged(Model(lambda calls: 2 * (calls % 2)), training=training)
    assert verdict == Steadiness(
        f"{what} changes from call to call: 64 to 192 forward MACs an example in 32 more calls: "
        "it is random or depends on the number of calls; count it with the work fixed"
    )


def test_a_first_pass_that_differs_is_noticed() -> None:
    verdict, _ = judged(Model(lambda calls: 1 if calls > 1 else 3))
    assert str(verdict.reason).startswith("training changes from call to call: 128 to 256 forward MACs")


def test_a_draw_that_changes_the_work_is_named_with_its_generators() -> None:
    def times(calls: int) -> int:
        return int(random.random() < 0.5) + int(LEGACY.rand() < 0.5)

    verdict, repeats = judged(Model(times))
    assert verdict == Steadiness(
        "training is random: the model draws from NumPy's generator and Python's generator, "
        "64 to 192 forward MACs an example in 32 seeds: count it with the draw fixed"
    )
    assert repeats == 32


def test_a_draw_makes_a_long_pass_worth_32_repeats() -> None:
    def times(calls: int) -> int:
        return 1 + 0 * int(random.random() < 2)

    verdict, repeats = judged(Model(times, many=100), training=False)
    assert verdict == Steadiness(note="inference draws from Python's generator: 32 seeds cost the same")
    assert repeats == 32


def test_where_numbers_are_drawn_the_first_pass_says_nothing() -> None:
    """It had the caller's state of the generator, which no message is to depend on."""
    draws = [10.0]

    def times(calls: int) -> int:
        random.random()
        return int(draws.pop()) if draws else 1

    verdict, _ = judged(Model(times))
    assert verdict.reason is None


def test_each_repeat_has_the_seed_of_its_number_and_the_state_is_put_back() -> None:
    seen: list[float] = []

    def times(calls: int) -> int:
        seen.append(random.random())
        return 1

    random.seed(99)
    twin = make_twin(Model(times), to_meta)
    batch = torch.empty(1, 8, device="meta")
    first = passes.forward_pass(twin, batch)
    state = random.getstate()
    del seen[:]
    steadiness(twin, batch, first, training=False)
    assert seen == [random.Random(seed).random() for seed in range(32)]
    assert random.getstate() == state


def test_gradients_that_are_required_now_and_then_are_a_change() -> None:
    class Detached(Model):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            x = self.first(x)
            return self.second(x.detach() if self.calls % 2 else x)

    verdict, _ = judged(Detached())
    assert "training changes from call to call: 128 to 128 forward MACs" in str(verdict.reason)
    assert judged(Detached(), training=False)[0].reason is None


# ---- the passes themselves


def test_forward_and_training_pass_of_two_layers() -> None:
    twin = make_twin(Model(), to_meta)
    batch = torch.empty(3, 8, device="meta")
    forward = passes.forward_pass(twin, batch)
    assert not twin.training
    assert (sum(forward.forward_flops.values()), forward.backward_flops) == (2 * 3 * 128, 0)
    assert forward.expected_backward_flops == 0, "without gradients"
    training = passes.training_pass(twin, batch)
    assert twin.training
    # The first layer has a gradient for its weight, the second for its weight and its input.
    assert sum(training.forward_flops.values()) == 2 * 3 * 128
    assert training.backward_flops == training.expected_backward_flops == 3 * 2 * 3 * 64
    assert training.in_backward


def test_a_model_without_weights_to_train_has_no_backward_pass() -> None:
    twin = make_twin(Model().requires_grad_(False), to_meta)
    training = passes.training_pass(twin, torch.empty(3, 8, device="meta"))
    assert (training.backward_flops, training.expected_backward_flops) == (0, 0)


def test_gradients_begin_at_every_output_that_has_one() -> None:
    class Two(Model):
        def forward(self, x: torch.Tensor) -> Any:
            return self.first(x), self.second(x).detach(), self.second(x)

    twin = make_twin(Two(), to_meta)
    training = passes.training_pass(twin, torch.empty(1, 8, device="meta"))
    assert training.backward_flops == 2 * 2 * 64


# ---- generators


def names(value: Any) -> list[str]:
    """Names of the generators of a model that holds a value."""
    model = nn.Linear(1, 1)
    vars(model)["held"] = value
    return [each.name for each in generators.generators_of(model)]


GLOBAL = ["Python's", "NumPy's", "torch's"]


@pytest.mark.parametrize(
    ("value", "own"),
    [
        (None, 0),
        (random.Random(3), 1),
        (np.random.RandomState(3), 1),
        (np.random.default_rng(3), 1),
        (torch.Generator().manual_seed(3), 1),
        (torch.default_generator, 0),
        (random.SystemRandom(), 0),  # it has no state
        ([random.Random(3), random.Random(4)], 2),
        ({"a": (random.Random(3),)}, 1),
        (collections.deque([random.Random(3)]), 1),
        ({"a": {"b": {"c": random.Random(3)}}}, 0),  # four levels deep
        ([[random.Random(3)]], 1),
        (types.SimpleNamespace(generator=random.Random(3)), 1),
        ("text", 0),
    ],
)
def test_generators_that_a_model_holds_are_found(value: Any, own: int) -> None:
    assert names(value) == GLOBAL + ["its own"] * own


def test_a_generator_that_is_held_twice_is_one() -> None:
    one = random.Random(3)
    assert names([one, one, [one]]) == [*GLOBAL, "its own"]


def test_of_many_parts_64_are_looked_at() -> None:
    assert len(names([random.Random(0) for _ in range(64)])) == 3 + 64
    assert len(names([random.Random(0) for _ in range(65)])) == 3 + 64


def test_generators_of_a_file_and_of_what_it_imports_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, helper = types.ModuleType("mine_of_the_user"), types.ModuleType("helper_of_the_user")
    vars(mine).update(rng=random.Random(1), helper=helper, again=helper, library=np)
    vars(helper)["rng"] = np.random.default_rng(2)
    monkeypatch.setitem(sys.modules, "mine_of_the_user", mine)
    kind = type("Mine", (nn.Linear,), {"__module__": "mine_of_the_user"})
    assert [each.name for each in generators.generators_of(kind(1, 1))] == [*GLOBAL, "its own", "its own"]


HELD: dict[str, tuple[Any, Callable[[Any], float]]] = {
    "Python": (random.Random(3), lambda held: held.random()),
    "old NumPy": (np.random.RandomState(3), lambda held: float(held.rand())),
    "NumPy": (np.random.default_rng(3), lambda held: float(held.random())),
    "torch": (torch.Generator().manual_seed(3), lambda held: torch.rand((), generator=held).item()),
}


@pytest.mark.parametrize("kind", HELD)
def test_a_generator_is_read_put_back_and_seeded(kind: str) -> None:
    held, draw = HELD[kind]
    generator = generators._wrapped(held)
    assert generator is not None
    with generators.unmoved([generator]) as states:
        assert generators.moved([generator], states) == []
        first = draw(held)
        assert generators.moved([generator], states) == ["its own"]
    assert draw(held) == first, "the state was put back"
    generator.seed(5)
    five = draw(held)
    generator.seed(6)
    assert draw(held) != five
    generator.seed(5)
    assert draw(held) == five


def test_the_state_is_put_back_after_an_error() -> None:
    held = random.Random(3)
    first = random.Random(3).random()
    generator = generators._wrapped(held)
    assert generator is not None

    def fail() -> None:
        with generators.unmoved([generator]):
            held.random()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert held.random() == first


def test_the_outputs_of_a_model_are_its_tensors_in_order() -> None:
    class Nested(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return {"a": [x + 1, None, (x + 2,)], "b": types.SimpleNamespace(c=x + 3)}

    outputs = TensorOutputs(Nested())(torch.zeros(()))
    assert [float(each) for each in outputs] == [1, 2, 3]
