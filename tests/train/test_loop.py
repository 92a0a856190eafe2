from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from itertools import islice

import pytest
import torch
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import data, loop, models, schedule
from isoflop.train.data import ImageSet
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import Trainer

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


def trainer(config: Config, steps: int = 12) -> Trainer:
    loaded = data.sets.load(config.data, CPU)
    return Trainer(config, loaded, steps, CPU)


def images_of(of: Trainer) -> ImageSet:
    assert isinstance(of.data, ImageSet)
    return of.data


def factors(of: Trainer) -> tuple[float, ...]:
    return schedule.learning_rates(of.config.schedule, of.steps)


def weights(of: Trainer) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in of.model.state_dict().values()])


@pytest.mark.parametrize(
    "extra", [["model=mlp"], ["model=resnet", "model.width=4", "optim=sgd", "precision.channels_last=false"]]
)
def test_training_equals_a_loop_written_by_hand(extra: list[str], make_config: MakeConfig) -> None:
    config = make_config(*extra)
    ours = trainer(config)
    ours.warm_up()
    ours.advance(12, factors(ours))

    loaded = images_of(ours)
    model = models.build(config.model, loaded.input_shape, loaded.classes, seed=config.seed, device=CPU)
    decay = config.optim.weight_decay
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    opt: torch.optim.Optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    if config.optim.name == "sgd":
        opt = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True)
    rates = schedule.learning_rates(config.schedule, 12)
    stream = data.stream.batches(loaded, config.optim.batch_size, config.seed, torch.contiguous_format)
    for factor, (images, labels) in zip(rates, islice(stream, 12), strict=True):
        for group in opt.param_groups:
            group["lr"] = config.optim.lr * factor
        opt.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        opt.step()
    plain = torch.cat([value.flatten().double() for value in model.state_dict().values()])
    assert torch.allclose(weights(ours), plain, rtol=1e-3, atol=1e-4)
    assert ours.examples_seen == 12 * config.optim.batch_size


@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_two_runs_are_bit_identical_whatever_the_pauses(family: str, make_config: MakeConfig) -> None:
    config = make_config(f"model={family}")
    one, two = trainer(config, 20), trainer(config, 20)
    one.advance(20, factors(one))
    two.warm_up()
    for stop in (3, 4, 11, 20):
        two.advance(stop, factors(two))
        evaluate(two.model, two.data, "val", two.autocast, two.memory_format)
    assert torch.equal(weights(one), weights(two))


def test_restart_puts_batch_norm_momentum_and_dropout_back(make_config: MakeConfig) -> None:
    config = make_config("model=resnet", "optim=sgd")
    again = trainer(config, 10)
    again.advance(10, factors(again))
    first = weights(again)
    again.restart()
    assert again.step == 0
    again.advance(10, factors(again))
    assert torch.equal(first, weights(again))


def test_the_state_before_the_first_step_is_the_initial_one(make_config: MakeConfig) -> None:
    warm = trainer(make_config("model=resnet"), 10)
    before = weights(warm)
    warm.warm_up()
    assert torch.equal(before, weights(warm))
    held = [value for made in warm.optimizers for each in made.state.values() for value in each.values()]
    assert held
    assert not any(value.any() for value in held)


def test_bf16_autocast_keeps_fp32_weights_and_still_learns(make_config: MakeConfig) -> None:
    low = trainer(make_config("precision=bf16", "model.width=32"), 60)
    low.advance(60, factors(low))
    assert {p.dtype for p in low.model.parameters()} == {torch.float32}
    assert evaluate(low.model, low.data, "val", low.autocast, low.memory_format).error < 0.4


def test_a_loss_that_blows_up_is_found_when_asked(make_config: MakeConfig) -> None:
    wild = trainer(make_config("optim=sgd", "optim.lr=1e20"), 20)
    wild.advance(20, factors(wild))
    with pytest.raises(loop.DivergedError, match="NaN or infinite by step 20"):
        wild.check_finite()


def test_evaluation_counts_by_hand_and_keeps_the_mode(make_config: MakeConfig) -> None:
    made = trainer(make_config("model=resnet"), 1)
    score = evaluate(made.model, made.data, "test", made.autocast, made.memory_format)
    assert made.model.training
    made.model.eval()
    with torch.no_grad():
        logits = made.model(images_of(made).normalise(images_of(made).test.images, torch.contiguous_format))
    assert score.wrong == (logits.argmax(1) != images_of(made).test.labels).sum()
    assert score.loss == pytest.approx(F.cross_entropy(logits, images_of(made).test.labels).item(), rel=1e-5)
    assert score.error == score.wrong / 719


def settings() -> tuple[bool, ...]:
    filling: bool = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, filling


def test_deterministic_mode_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = settings()
    with loop.deterministic(False):
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with loop.deterministic(True):
        assert settings() == (True, False, False)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert settings() == before
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


@pytest.mark.parametrize("threads", [1, 2])
def test_deterministic_runs_with_the_same_threads_give_the_same_bits(
    threads: int, make_config: MakeConfig
) -> None:
    """Across processes the golden curve shows it (test_golden.py)."""
    config = make_config("model=resnet", "optim=sgd", "launch.deterministic=true")
    before, outcomes = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        for _ in range(3):
            with loop.deterministic(config.launch.deterministic):
                made = trainer(config)
                made.advance(12, factors(made))
            outcomes.append(weights(made))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(outcomes[0], outcomes[1])
    assert torch.equal(outcomes[0], outcomes[2])


def test_channels_last_gives_the_same_training(make_config: MakeConfig) -> None:
    config = make_config("model=resnet", "model.width=4")
    off = dataclasses.replace(config, precision=dataclasses.replace(config.precision, channels_last=False))
    one, two = trainer(config, 5), trainer(off, 5)
    one.advance(5, factors(one))
    two.advance(5, factors(two))
    assert torch.allclose(weights(one), weights(two), rtol=1e-3, atol=1e-4)


def test_training_on_from_a_snapshot_is_bit_identical(make_config: MakeConfig) -> None:
    made = trainer(make_config("model=resnet", "model.width=2"), 20)
    made.advance(8, factors(made))
    saved = made.snapshot()
    made.advance(20, factors(made))
    first = weights(made)
    made.restore(saved)
    assert made.step == 8
    made.advance(20, factors(made))
    assert torch.equal(first, weights(made))


def test_mean_losses_of_intervals_are_those_of_the_steps(make_config: MakeConfig) -> None:
    """The sums at the marks are running totals of the steps' losses; warming up adds nothing."""
    one, all_steps = trainer(make_config(), 20), trainer(make_config(), 20)
    all_steps.keep_loss_sums(range(1, 21))
    all_steps.advance(20, factors(all_steps))
    each = dict(all_steps.take_loss_sums())
    one.keep_loss_sums((1, 5, 20, 40))
    one.warm_up()
    one.advance(3, factors(one))
    one.advance(20, factors(one))
    kept = one.take_loss_sums()
    assert [step for step, _ in kept] == [1, 5, 20]
    assert all(total == pytest.approx(each[step], rel=1e-6) for step, total in kept)
    assert each[20] == pytest.approx(float(one.loss_sum), rel=1e-6)
    assert one.take_loss_sums() == ()


def test_small_losses_late_in_a_long_run_are_not_rounded_away(make_config: MakeConfig) -> None:
    """The same steps after a sum of 10,000, as after hours of training, give the same differences."""
    sums = []
    for before in (0.0, 10_000.0):
        late = trainer(make_config())
        late.keep_loss_sums((6, 12))
        late.loss_sum.add_(before)
        late.advance(12, factors(late))
        (_, first), (_, second) = late.take_loss_sums()
        sums.append(second - first)
    assert sums[1] == pytest.approx(sums[0], rel=1e-9)


def test_the_brier_score_is_never_negative(make_config: MakeConfig) -> None:
    """Not even of a network that is right about every image."""

    class Right(torch.nn.Module):
        def __init__(self, labels: torch.Tensor, classes: int) -> None:
            super().__init__()
            self.logits = 60.0 * F.one_hot(labels, classes) + torch.rand(len(labels), classes)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.logits[: len(images)]

    of = trainer(make_config())
    part = images_of(of).val
    score = evaluate(Right(part.labels, of.data.classes), of.data, "val", of.autocast, of.memory_format)
    assert score.brier is not None
    assert 0 <= score.brier < 1e-12


def test_the_brier_score_is_that_of_the_probabilities(make_config: MakeConfig) -> None:
    of = trainer(make_config())
    part = images_of(of).val
    score = evaluate(of.model, of.data, "val", of.autocast, of.memory_format)
    with torch.no_grad():
        images = images_of(of).normalise(part.images, torch.contiguous_format)
        probabilities = of.model.eval()(images).double().softmax(1)
    indicators = F.one_hot(part.labels, of.data.classes)
    assert score.brier == pytest.approx(float((probabilities - indicators).square().sum(1).mean()), rel=1e-5)
