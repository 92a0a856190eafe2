"""Processes that train one run together: two real ones over gloo where it matters."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop.config import Config, ConfigError, compose
from isoflop.train import data, distributed, evaluate
from isoflop.train.data import ImageSet
from isoflop.train.data.stream import batches
from isoflop.train.loop import Trainer

pytestmark = pytest.mark.slow

STEPS = 20
VIT = ("model=vit", "model.width=16", "model.depth=2", "model.patch=2", "model.head_width=8")
FAMILIES = {
    "mlp": ("model=mlp", "model.width=32", "model.depth=2"),
    # By SGD: AdamW's steps hardly depend on the scale of gradients.
    "clipped": ("model=mlp", "optim=sgd", "optim.lr=0.5", "optim.clip_norm=0.1"),
    # Adam would make a step of the rounding error in the gradient of the keys' biases, which is 0.
    "vit": (*VIT, "optim=sgd"),
    "vit-adamw": VIT,
    "resnet": ("model=resnet", "model.width=4", "model.depth=1", "optim=sgd"),
}
EXACT = ("mlp", "clipped", "vit", "vit-adamw")


@functools.cache
def digits() -> ImageSet:
    return data.sets.load(make_config("mlp").data, torch.device("cpu"))


def make_config(family: str, seed: int = 0) -> Config:
    overrides = (*FAMILIES[family], f"seed={seed}", "schedule=steps", "schedule.epochs=null")
    return compose.compose_config((*overrides, f"schedule.steps={STEPS}", "optim.batch_size=64"), None)


def trained(config: Config, world: distributed.World = distributed.SINGLE) -> dict[str, Any]:
    """Return every number of the model after STEPS steps, and its scores."""
    trainer = Trainer(config, digits(), STEPS, torch.device("cpu"), world=world)
    trainer.warm_up()
    trainer.advance(STEPS, (1.0,) * STEPS)
    trainer.check_finite()
    how = trainer.autocast, trainer.memory_format
    score = evaluate.evaluate(trainer.scored_model, digits(), "train", *how, world)
    state = torch.cat([t.detach().double().flatten() for t in trainer.model.state_dict().values()])
    again = trainer.snapshot()
    trainer.restore(again)
    return {"state": state.tolist(), "loss": score.loss, "wrong": score.wrong}


class OnlyWeight(torch.nn.Module):
    """Uses the weight of a layer and leaves its bias without a gradient."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.layer.weight).sum()


def as_rank(out: Path) -> None:
    """Train every family in each of two processes and write the results."""
    import os

    torch.set_num_threads(1)
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with distributed.process_group(rank, ranks, torch.device("cpu"), 120) as world:
        results: dict[str, Any] = {name: trained(make_config(name), world) for name in FAMILIES}
        results["shared"] = world.all_gather(rank * 10)
        results["from main"] = world.from_main(f"rank {rank}")
        try:
            world.run_on_all(lambda: int("7" if rank == 0 else "seven"))
        except ValueError as error:
            results["error"] = str(error)
        if rank == 1:
            world.report_failure("oom", "process 1: no memory")
        world.all_gather(None)
        results["cause"] = world.reported_failure()
        model = torch.nn.Linear(2, 1)
        wrapped = distributed.data_parallel(world, OnlyWeight(model))
        for _ in range(3):  # the set of gradients is learned in the first step and used in the others
            model.weight.grad = None
            wrapped(torch.full((1, 2), float(rank))).backward()
        results["mean gradient"] = model.weight.grad.tolist()
        results["no gradient"] = model.bias.grad is None
        loss = torch.tensor(float("nan") if rank == 1 else 0.0)
        world.all_reduce(loss)
        results["nan everywhere"] = bool(torch.isnan(loss))
    (out / f"{rank}.json").write_text(json.dumps(results))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes under torchrun write."""
    out = tmp_path_factory.mktemp("pair")
    here = ["--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *here, __file__, str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)]


@functools.cache
def single(family: str, seed: int = 0) -> dict[str, Any]:
    return trained(make_config(family, seed))


@pytest.mark.parametrize("family", EXACT)
def test_one_and_two_processes_agree_over_twenty_steps(family: str, pair: list[dict[str, Any]]) -> None:
    if family != "vit-adamw":
        ours, theirs = torch.tensor(single(family)["state"]), torch.tensor(pair[0][family]["state"])
        assert (ours - theirs).abs().max() < 1e-5
    assert pair[0][family]["loss"] == pytest.approx(single(family)["loss"], abs=1e-5)
    assert pair[0][family]["wrong"] == pytest.approx(single(family)["wrong"], abs=1)


def test_with_batchnorm_two_processes_differ_by_less_than_seeds(pair: list[dict[str, Any]]) -> None:
    seeds = [single("resnet", seed)["loss"] for seed in (0, 1, 2, 3)]
    difference = abs(pair[0]["resnet"]["loss"] - seeds[0])
    assert 0 < difference < max(seeds) - min(seeds)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_processes_hold_the_same_bits_and_see_the_same_scores(
    family: str, pair: list[dict[str, Any]]
) -> None:
    assert pair[0][family] == pair[1][family]


def test_what_is_shared(pair: list[dict[str, Any]]) -> None:
    for results in pair:
        assert results["shared"] == [0, 10]
        assert results["from main"] == "rank 0"
        assert results["cause"] == ["oom", "process 1: no memory"]
        assert results["mean gradient"] == [[0.5, 0.5]]
        assert results["no gradient"]
        assert results["nan everywhere"]
    assert pair[0]["error"].startswith("process 1: invalid literal")
    assert pair[1]["error"].startswith("invalid literal")


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_the_shares_make_up_the_batch(ranks: int, augment: str) -> None:
    part = data.Part(torch.randint(256, (100, 1, 8, 8), dtype=torch.uint8), torch.arange(100))
    few = dataclasses.replace(digits(), train=part)
    start = 3 if augment == "none" else 0

    def stream(share: tuple[int, int]) -> Any:
        form = torch.contiguous_format
        return batches(few, 16, 5, form, start_step=start, augment=augment, share=share)

    whole, parts = stream((0, 1)), [stream((rank, ranks)) for rank in range(ranks)]
    for _ in range(15):
        images, labels = next(whole)
        shares = [next(part) for part in parts]
        assert torch.equal(images, torch.cat([share[0] for share in shares]))
        assert torch.equal(labels, torch.cat([share[1] for share in shares]))


def test_scores_do_not_depend_on_who_computes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "BATCH_SIZE", 100)
    trainer = Trainer(make_config("mlp"), digits(), STEPS, torch.device("cpu"))
    how = trainer.autocast, trainer.memory_format
    whole = evaluate.evaluate(trainer.model, digits(), "test", *how)
    sums: list[list[torch.Tensor]] = []

    class Noted(distributed.World):
        def all_reduce(self, tensor: torch.Tensor) -> None:
            sums[-1].append(tensor.clone())

    for rank in range(3):
        sums.append([])
        evaluate.evaluate(trainer.model, digits(), "test", *how, Noted(rank, 3))

    class Summed(distributed.World):
        def all_reduce(self, tensor: torch.Tensor) -> None:
            # Each process adds up the same sums in the same order: wrong images, losses, Brier scores.
            own, *others = (each.pop(0) for each in sums)
            assert torch.equal(own, tensor)
            for other in others:
                tensor += other

    assert evaluate.evaluate(trainer.model, digits(), "test", *how, Summed(0, 3)) == whole


def test_random_numbers_of_the_first_process_are_those_of_one() -> None:
    assert distributed.seed_of(7, 0) == distributed.seed_of(7, 0, 12) == 7
    assert len({distributed.seed_of(7, rank, step) for rank in (0, 1, 2) for step in (0, 3)}) == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("launch.devices=2", "launch.step=graph"), "step=graph is for one device"),
        (("launch.sync_batchnorm=true",), "sync_batchnorm is for several devices"),
        (("launch.devices=0",), "launch.devices=0: expected `?int`? >= 1"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose.compose_config(overrides, None)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    config = compose.compose_config(("launch.devices=3", "optim.batch_size=64"), None)
    with pytest.raises(ValueError, match=r"optim.batch_size=64 cannot be shared by 3 processes .*: try 63"):
        config.check_batch()
    config.launch.check_batch(63, 1)


def test_the_number_of_processes_is_no_part_of_the_identity() -> None:
    one, two = (compose.compose_config((f"launch.devices={n}",), None) for n in (1, 2))
    assert one.run_id == two.run_id


if __name__ == "__main__":
    as_rank(Path(sys.argv[1]))


def test_windows_and_not_bytes_are_shared() -> None:
    overrides = ("recipe=language", "model.context=64", "launch.devices=2", "optim.batch_size=192")
    config = compose.compose_config(overrides, None)
    with pytest.raises(ValueError, match=r"optim.batch_size=192 cannot be shared by 2 processes .*: try 256"):
        config.check_batch()
    config.launch.check_batch(256, 64)
