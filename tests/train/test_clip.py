"""Clipping by the norm of all gradients: against torch's, by hand, and in the engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import data, loop, step
from isoflop.train.clip import clipping
from isoflop.train.loop import Trainer

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


def parameters(*values: list[float] | None) -> list[nn.Parameter]:
    """Parameters with these gradients."""
    made = [nn.Parameter(torch.zeros(len(grad or [0.0]))) for grad in values]
    for parameter, grad in zip(made, values, strict=True):
        parameter.grad = None if grad is None else torch.tensor(grad)
    return made


def grads(of: list[nn.Parameter]) -> Tensor:
    return torch.cat([p.grad for p in of if p.grad is not None])


def trainer(config: Config, kind: step.EngineKind) -> Trainer:
    return Trainer(config, data.load(config, CPU), 8, CPU, kind=kind)


def test_by_hand() -> None:
    """The norm of (3, 0, 4, 12) is 13, in which the parameter without a gradient has no part."""
    made = parameters([3.0, 0.0], None, [4.0], [12.0])
    clipping(made, 6.5)()
    assert grads(made).tolist() == [1.5, 0.0, 2.0, 6.0]
    clipping(made, 6.5)()
    assert grads(made).tolist() == [1.5, 0.0, 2.0, 6.0], "at the limit nothing changes"


@pytest.mark.parametrize("clip_norm", [0.01, 1.0, 100.0])
def test_as_torch_clips(clip_norm: float) -> None:
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(n, generator=generator).tolist() for n in (5, 300, 1)]
    ours, theirs = parameters(*values), parameters(*values)
    clipping(ours, clip_norm)()
    nn.utils.clip_grad_norm_(theirs, clip_norm)
    assert torch.allclose(grads(ours), grads(theirs), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", ["eager", "static"])
@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_one_step_of_sgd_by_hand(kind: step.EngineKind, limit: float, make_config: MakeConfig) -> None:
    settings = ("model=mlp", "model.depth=2", "optim=sgd", "optim.lr=0.5", "optim.weight_decay=0")
    made = trainer(make_config(*settings, f"optim.clip_norm={limit}"), kind)
    images, labels = next(data.batches(made.data, made.config, made.memory_format))
    F.cross_entropy(made.model(images), labels).backward()
    before = [p.detach().double() for p in made.model.parameters()]
    gradients = [p.grad.double() for p in made.model.parameters() if p.grad is not None]
    norm = torch.cat([g.flatten() for g in gradients]).norm().item()
    assert norm > 0.2, "the smaller limit is one"
    made.model.zero_grad()
    made.advance(1, (1.0,))
    for start, grad, now in zip(before, gradients, made.model.parameters(), strict=True):
        clipped = grad * min(1.0, limit / norm)
        # Nesterov: gradient + momentum x buffer.
        assert torch.allclose(now.double(), start - 0.5 * (1 + 0.9) * clipped, atol=1e-6)


def test_the_norm_is_that_of_all_optimizers_together(make_config: MakeConfig) -> None:
    made = trainer(make_config("model=mlp", "model.depth=2", "optim=muon", "optim.clip_norm=0.01"), "static")
    norms: list[float] = []

    def noting(take: Callable[[], None]) -> Callable[[], None]:
        def noted() -> None:
            norms.append(grads(flat(made.model)).norm().item())
            take()

        return noted

    for optimizer in made.optimizers:
        optimizer.step = noting(optimizer.step)  # type: ignore[assignment, method-assign]
    made.advance(2, (1.0, 1.0))
    assert norms == pytest.approx([0.01] * 4, rel=1e-4)


def flat(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of the same gradients as vectors."""
    return parameters(*(p.grad.flatten().tolist() for p in model.parameters() if p.grad is not None))


@pytest.mark.parametrize(("size", "clip_norm"), [(1e30, 1.0), (1e18, 1e-25)])
def test_a_norm_that_overflows_is_no_step_of_zero(size: float, clip_norm: float) -> None:
    """All gradients are finite; their norm, or the norm in units of clip_norm, is not."""
    made = parameters([size, -size], [0.0])
    clipping(made, clip_norm)()
    assert grads(made).isnan().all()


@pytest.mark.parametrize("kind", ["eager", "static"])
def test_a_run_whose_norm_overflows_diverges(kind: step.EngineKind, make_config: MakeConfig) -> None:
    made = trainer(make_config("model=mlp", "optim.clip_norm=0.1"), kind)
    next(made.model.parameters()).register_hook(lambda grad: grad.clamp(-1, 1).sign() * 1e30)
    made.advance(3, (1.0,) * 8)
    with pytest.raises(loop.DivergedError):
        made.check_finite()


@pytest.mark.parametrize("kind", ["eager", "static"])
@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_gradient_that_is_no_number_is_found_in_the_loss(
    kind: step.EngineKind, bad: float, make_config: MakeConfig
) -> None:
    made = trainer(make_config("model=mlp", "optim.clip_norm=0.1"), kind)
    calls = 0

    def spoiled(grad: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return grad * bad if calls == 2 else grad

    next(made.model.parameters()).register_hook(spoiled)
    made.advance(2, (1.0,) * 8)
    made.check_finite()
    made.advance(3, (1.0,) * 8)
    with pytest.raises(loop.DivergedError):
        made.check_finite()


@pytest.mark.parametrize("kind", ["eager", "static"])
def test_without_a_limit_nothing_is_clipped(
    kind: step.EngineKind, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def called(*_: object) -> None:
        raise AssertionError("clipping was called")

    monkeypatch.setattr("isoflop.train.step.eager.clipping", called)
    monkeypatch.setattr("isoflop.train.step.graph.clipping", called)
    trainer(make_config("model=mlp"), kind).advance(1, (1.0,))
    with pytest.raises(AssertionError, match="was called"):
        trainer(make_config("model=mlp", "optim.clip_norm=1"), kind).advance(1, (1.0,))
