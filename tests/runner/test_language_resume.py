"""A run on text that was stopped, cooled down, carried out by another engine or by a warm trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record, window_losses
from isoflop.runner import attempt, checkpoint, run
from isoflop.train import data, loop, schedule, step
from isoflop.train.loop import Trainer
from isoflop.train.step import compiler

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
STEPS = 24
TRUNK = ("schedule.cooldowns=[0.25,0.5,1]",)
TWO_PASSES = ("data.fraction=0.1", "data.passes=2")
"""15 steps read all of it once."""
KINDS = {
    "one pass": (),
    "two passes": TWO_PASSES,
    "trunk": TRUNK,
    "trunk over two passes": (*TRUNK, *TWO_PASSES),
    "muon, averaged": ("optim=muon", "optim.lr=0.01", "optim.base_steps=null", "optim.ema_decay=0.9"),
}


def result(found: tuple[Record, ...]) -> list[tuple[object, ...]]:
    """What must be the same to the last bit."""
    return [
        (r.run_id, r.error, r.loss, r.train_loss, [(p.step, p.examples, p.val_loss) for p in r.curve])
        for r in found
    ]


def elsewhere(config: Config, folder: Path) -> Config:
    return dataclasses.replace(config, out=str(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_any_step_a_run_ends_with_the_same_bits(
    kind: str, make_language_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_language_config(*KINDS[kind], "schedule.evaluations=3")
    whole = run.run(elsewhere(config, tmp_path / "whole"))
    assert {each.state for each in whole} == {"done"}
    for looks in (0, 1, 5, 8, 14, 15, 17, 23):
        here = elsewhere(config, tmp_path / f"stopped-{looks}")
        stop_after(looks)
        assert run.run(here)[-1].state == "interrupted"
        stop_after(10**6)
        assert result(run.run(here)) == result(whole)
        for each in whole:
            ours, theirs = (window_losses.read(d, each.run_id) for d in (here.directory, tmp_path / "whole"))
            assert ours is not None
            assert theirs is not None
            assert ours.tolist() == theirs.tolist()
        assert not checkpoint.path_of(here).exists()


def test_stopped_again_and_again_it_still_ends(
    make_language_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_language_config(*KINDS["trunk over two passes"])
    whole = run.run(elsewhere(config, tmp_path / "whole"))
    attempts = 0
    while not attempt.finished(config):
        stop_after(3)
        run.run(config)
        attempts += 1
    assert attempts > 5
    assert result(attempt.finished(config)) == result(whole)


def test_each_point_equals_a_run_trained_on_its_own(make_language_config: MakeConfig, tmp_path: Path) -> None:
    """Under one rate for all lengths, that is without optim.base_steps; each point has windows of its own."""
    fixed = ("optim.base_steps=null", "schedule.warmup_fraction=0.125", "schedule.steps=32")
    config = make_language_config(*TRUNK, *fixed)
    points = run.run(config)
    assert [point.horizon for point in points] == [0.25, 0.5, 1.0]
    for point, steps in zip(points, (8, 16, 32), strict=True):
        alone = make_language_config(*fixed, f"schedule.steps={steps}")
        timing = dataclasses.replace(alone.schedule, warmup_fraction=0.125 * 32 / steps)
        alone = elsewhere(dataclasses.replace(alone, schedule=timing), tmp_path / str(steps))
        (other,) = run.run(alone)
        assert point.data is not None
        assert point.data == other.data, "passes are those of the point"
        assert (point.error, point.loss) == (other.error, other.loss)
        assert point.compute is not None
        assert other.compute is not None
        assert point.compute.train_flops == other.compute.train_flops
        ours = window_losses.read(config.directory, point.run_id)
        theirs = window_losses.read(alone.directory, other.run_id)
        assert ours is not None
        assert theirs is not None
        assert ours.tolist() == theirs.tolist()
    assert len({point.run_id for point in points}) == 3
    assert {point.trunk_id for point in points} == {config.run_id}


def test_a_warm_trainer_gives_the_bits_of_a_new_one(
    make_language_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a worker on a GPU goes from run to run: other seeds, rates and lengths of a shape."""
    configs = [
        make_language_config("optim.weight_decay=0", *each)
        for each in (("seed=1",), ("seed=2", "optim.lr=0.01"), ("seed=1", "schedule.steps=18"))
    ]
    fresh = [run.run(elsewhere(each, tmp_path / "fresh")) for each in configs]
    monkeypatch.setattr(step, "choose", lambda *_, **__: step.Choice("static", "a test"))
    loop._kept.clear()
    made: list[Trainer] = []
    for config, expected in zip(configs, fresh, strict=True):
        found = run.run(elsewhere(config, tmp_path / "warm"))
        made.append(loop._kept[CPU])
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.run_id, ours.error, ours.loss) == (theirs.run_id, theirs.error, theirs.loss)
    assert made[0] is made[1] is made[2]
    loop._kept.clear()


def trained(config: Config, kind: step.EngineKind) -> Trainer:
    made = Trainer(config, data.load(config, CPU), STEPS, CPU, kind=kind)
    made.warm_up()
    made.advance(STEPS, schedule.learning_rates(config.schedule, STEPS))
    made.check_finite()
    return made


def everything(of: Trainer) -> Tensor:
    tensors = [*of.model.state_dict().values(), *of.scored_model.state_dict().values()]
    tensors += [v for made in of.optimizers for held in made.state.values() for v in held.values()]
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


STEP = {
    "recipe": (),
    "standard": ("model.parametrization=standard", "model.base_width=null", "model.base_depth=null"),
    "averaged": ("optim.ema_decay=0.8", "optim.label_smoothing=0.1", "model.feedforward=swiglu"),
}


@pytest.mark.parametrize("name", STEP)
def test_the_graphs_step_is_the_eager_step_bit_for_bit(name: str, make_language_config: MakeConfig) -> None:
    config = make_language_config(*STEP[name])
    eager, static = (trained(config, kind) for kind in ("eager", "static"))
    assert torch.equal(everything(eager), everything(static))
    assert torch.isclose(eager.loss_sum, static.loss_sum)


@pytest.mark.parametrize("name", STEP)
def test_the_compiled_step_is_the_eager_step_to_rounding(
    name: str, make_language_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "COMPILER", "aot_eager")
    config = make_language_config(*STEP[name])
    kinds: tuple[step.EngineKind, ...] = ("eager", "compile", "compiled_static")
    eager, *compiled = (trained(config, kind) for kind in kinds)
    for each in compiled:
        assert torch.allclose(everything(eager), everything(each), rtol=1e-2, atol=1e-3)
    assert torch.equal(*map(everything, compiled)), "both take the same compiled passes"


@pytest.mark.parametrize("kind", ["eager", "static"])
def test_no_step_reads_a_value(
    kind: step.EngineKind, make_language_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the end of a pass, where the next order is drawn."""
    config = make_language_config(*TWO_PASSES)
    made = Trainer(config, data.load(config, CPU), STEPS, CPU, kind=kind)
    made.warm_up()
    real = Tensor.__int__
    drawn: list[int] = []

    def read(*_: object) -> None:
        raise AssertionError("a value was read inside advance")

    def phase(of: Tensor) -> int:
        drawn.append(real(of))
        return drawn[-1]

    for name in ("item", "__bool__", "__float__", "tolist", "numpy"):
        monkeypatch.setattr(Tensor, name, read)
    monkeypatch.setattr(Tensor, "__int__", phase)
    made.advance(STEPS, schedule.learning_rates(config.schedule, STEPS))
    assert len(drawn) <= 2, "the phase of each pass, on the CPU"
    with pytest.raises(AssertionError, match="was read"):
        made.check_finite()


def test_a_record_is_not_trained_again(make_language_config: MakeConfig) -> None:
    config = make_language_config()
    first = run.run(config)
    path = records.path_of(config.directory, config.run_id)
    before = path.read_bytes()
    assert run.run(config) == first
    assert path.read_bytes() == before
