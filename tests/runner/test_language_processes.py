"""A run on text by two real processes: the run of one, each with its share of the windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from isoflop.config import Config
from isoflop.record import window_losses
from isoflop.runner import run
from isoflop.runner.request import RunRequest
from isoflop.train import data, distributed, evaluate, evaluate_text
from isoflop.train.loop import Trainer
from isoflop.train.score import Score

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
TWO = ("launch.devices=2", "optim.clip_norm=0.1", "optim.ema_decay=0.9", "optim.lr=0.003")
"""At a tenth of the recipe's rate, at which a difference of rounding does not grow."""


def test_two_processes_write_one_record_that_agrees_with_one(make_language_config: MakeConfig) -> None:
    config = make_language_config(*TWO)
    (both,) = run.run(config)
    together = window_losses.read(config.directory, both.run_id)
    written = sorted(
        path.name for folder in ("records", "windows") for path in (config.directory / folder).iterdir()
    )
    assert written == [f"{both.run_id}.json", f"{both.run_id}.npy"], "by one of the two"
    launch = dataclasses.replace(config.launch, devices=1)
    (one,) = run.run(dataclasses.replace(config, launch=launch), RunRequest(again=True))
    alone = window_losses.read(config.directory, one.run_id)
    assert both.state == one.state == "done", both.reason
    assert both.run_id == one.run_id
    assert (both.data, both.compute) == (one.data, one.compute)
    assert both.loss is not None
    assert one.loss is not None
    assert both.train_loss is not None
    assert one.train_loss is not None
    assert both.loss.test == pytest.approx(one.loss.test, abs=1e-5)
    assert both.loss.test_document_se_nats == pytest.approx(one.loss.test_document_se_nats, abs=1e-5)
    for ours, theirs in zip(both.train_loss, one.train_loss, strict=True):
        assert ours.mean_loss == pytest.approx(theirs.mean_loss, abs=1e-5)
    assert together is not None
    assert alone is not None
    assert together.tolist() == pytest.approx(alone.tolist(), abs=1e-5)


@pytest.mark.parametrize("part", ["test", "val", "train"])
def test_scores_do_not_depend_on_who_computes_them(
    part: data.PartName, make_language_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(evaluate_text.BATCH_BYTES, "cpu", 64)
    config = make_language_config()
    trainer = Trainer(config, data.load(config, CPU), 24, CPU)

    def score(world: distributed.World = distributed.SINGLE) -> Score:
        how = trainer.autocast, trainer.memory_format, world
        return evaluate.evaluate(trainer.model, trainer.data, part, *how)

    sums: list[list[torch.Tensor]] = []

    class Noted(distributed.World):
        def all_reduce(self, tensor: torch.Tensor) -> None:
            sums[-1].append(tensor.clone())

    for rank in range(3):
        sums.append([])
        score(Noted(rank, 3))
    assert all(each[0].count_nonzero() < len(each[0]) for each in sums), "each has a share of the windows"

    class Summed(distributed.World):
        def all_reduce(self, tensor: torch.Tensor) -> None:
            for other in [each.pop(0) for each in sums][1:]:
                tensor += other

    assert score(Summed(0, 3)) == score()
