"""NCCL: a world of one process takes the steps of a process without one; two GPUs train one run."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable

import pytest
import torch

from isoflop.config import Config, compose
from isoflop.runner import run
from isoflop.runner.request import RunRequest
from isoflop.train import data, distributed, loop
from isoflop.train.loop import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
STEPS = 20


@pytest.mark.parametrize("kind", ["eager", "compile"])
# It costs time alone, and this test is about the numbers.
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_nccl_with_one_process_takes_the_same_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("model=resnet", "model.width=8", "model.depth=1", "optim=sgd", "precision=fp32")
    config = compose.compose_config((*overrides, "launch.deterministic=true", f"launch.step={kind}"), None)
    device = torch.device("cuda", 0)
    digits = data.sets.load(config.data, device)

    def trained(world: distributed.World) -> torch.Tensor:
        trainer = Trainer(config, digits, STEPS, device, world=world)
        trainer.warm_up()
        trainer.advance(STEPS, (1.0,) * STEPS)
        trainer.check_finite()
        return torch.cat([t.detach().double().flatten() for t in trainer.model.state_dict().values()])

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setitem(os.environ, "MASTER_ADDR", "127.0.0.1")
    monkeypatch.setitem(os.environ, "MASTER_PORT", str(port))
    # A Trainer alone does not read launch.deterministic: without this the weights' gradients are sums in any
    # order, in tf32, and 20 steps make more than rounding of that.
    with loop.deterministic(True):
        single = trained(distributed.SINGLE)
        with distributed.process_group(0, 1, device, 60) as world:
            assert world.all_gather("one") == ["one"]
            together = trained(world)
    assert torch.allclose(single, together, rtol=0, atol=1e-6)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("sync", ["false", "true"])
def test_two_gpus_train_one_run(sync: str, make_config: Callable[..., Config]) -> None:
    overrides = ("model=resnet", "model.width=8", "model.depth=1", "optim=sgd", "precision=fp32")
    config = make_config(
        *overrides, "launch.devices=2", f"launch.sync_batchnorm={sync}", "optim.batch_size=64"
    )
    (both,) = run.run(config)
    launch = dataclasses.replace(config.launch, devices=1, sync_batchnorm=False)
    (one,) = run.run(dataclasses.replace(config, launch=launch), RunRequest(again=True))
    assert both.state == one.state == "done"
    assert both.compute == one.compute
    assert both.loss is not None
    assert one.loss is not None
    # With statistics over the whole batch only rounding differs.
    assert both.loss.test == pytest.approx(one.loss.test, rel=0.01 if sync == "true" else 0.5)
    assert both.energy is not None, both.energy_reason
    assert len(both.energy.devices) == 2
