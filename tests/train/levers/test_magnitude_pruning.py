from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isoflop.config import Config, ConfigError, prior
from isoflop.config.lever import LeverConfig
from isoflop.meter.flops import count as flops
from isoflop.train import data, levers, models, schedule
from isoflop.train.levers.base import Masks
from isoflop.train.levers.magnitude_pruning import MagnitudePruning, forward_macs, largest, prunable
from isoflop.train.loop import Trainer

CPU = torch.device("cpu")
IMAGES, CLASSES = (1, 8, 8), 10
MakeConfig = Callable[..., Config]
PRUNED = ("lever=pruning", "lever.rounds=1", "lever.prune_share=0.6", "lever.rewind_fraction=0.25")
FAMILIES = {
    "mlp": ("model=mlp",),
    "resnet": ("model=resnet", "model.width=4"),
    "bottleneck": ("model=resnet", "model.width=4", "model.block=bottleneck"),
    "convmixer": ("model=convmixer",),
    "vit": ("model=vit", "model.patch=4", "model.head_width=4"),
    "gpt": (
        *("recipe=language", "model.context=8", "model.head_width=4", "optim.batch_size=64"),
        "schedule.epochs=null",
    ),
}
STEPS = 12


def shape_of(config: Config) -> tuple[int, ...]:
    return IMAGES if config.model.context is None else (config.model.context,)


def drawn(config: Config) -> Any:
    model = models.build(config.model, shape_of(config), CLASSES, seed=0, device=CPU)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def trainer(config: Config) -> Trainer:
    """A trainer of the run without its lever, which the tests apply by hand."""
    dense = dataclasses.replace(config, lever=LeverConfig())
    return Trainer(dense, data.sets.load(config.data, CPU), STEPS, CPU)


def lever_of(config: Config, state: dict[str, Tensor], tmp_path: Path) -> MagnitudePruning:
    """The lever of a run whose prior run ended with these weights."""
    before = prior.of(config)
    assert before is not None
    path = tmp_path / prior.weights_path(before).name
    torch.save(state, path)
    lever = levers.of(config, path)
    lever.check(CPU)
    lever.transform(drawn(config), shape_of(config), CLASSES)
    assert isinstance(lever, MagnitudePruning)
    return lever


def train(made: Trainer, masks: Masks | None, stop: int = STEPS) -> None:
    """Take the steps up to `stop`, each followed by the masks."""
    factors = schedule.learning_rates(made.config.schedule, STEPS)
    while made.step < stop:
        if masks and made.step in (0, masks.from_step):
            masks.at(made.step)
        made.advance(made.step + 1, factors)
        if masks:
            masks.apply()


def pruned_weights(model: nn.Module) -> Tensor:
    return torch.cat([layer.weight.detach().flatten() for layer in prunable(model).values()])


def state_of(made: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in made.model.state_dict().items()}


def no_examples() -> Iterator[Tensor]:
    return iter(())


@pytest.mark.parametrize(
    "extra",
    [
        ("optim=sgd", "optim.weight_decay=0.1", "optim.lr=0.05"),
        ("optim=adamw", "optim.weight_decay=0.1"),
        ("optim=muon", "optim.weight_decay=0.1"),
        ("model=resnet", "model.width=4", "optim=muon", "optim.clip_norm=0.5"),
    ],
)
def test_masked_weights_are_zero_after_every_step_and_the_others_move(
    extra: tuple[str, ...], make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*PRUNED, *extra)
    dense = trainer(config)
    train(dense, None)
    lever = lever_of(config, state_of(dense), tmp_path)
    again = trainer(config)
    masks = lever.masks(again.model, STEPS)
    assert masks.from_step == 3
    total = len(pruned_weights(again.model))
    kept, before = None, None
    for stop in range(1, STEPS + 1):
        train(again, masks, stop)
        weights = pruned_weights(again.model).clone()
        if stop <= masks.from_step:
            assert int((weights == 0).sum()) == 0
            continue
        kept = weights != 0 if kept is None else kept
        assert int(kept.sum()) == round(0.4 * total)
        assert torch.equal(weights != 0, kept)
        # Not each of them: a step may be smaller than the rounding of a weight.
        assert before is None or float((weights != before)[kept].float().mean()) > 0.99
        before = weights


@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_steps_before_the_rewind_are_those_of_the_dense_run_bit_for_bit(
    family: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*PRUNED, *FAMILIES[family])
    dense, again = trainer(config), trainer(config)
    train(dense, None, 3)
    at_rewind = state_of(dense)
    train(dense, None)
    lever = lever_of(config, state_of(dense), tmp_path)
    masks = lever.masks(again.model, STEPS)
    train(again, masks, masks.from_step)
    assert all(torch.equal(value, at_rewind[name]) for name, value in again.model.state_dict().items())
    masks.at(masks.from_step)
    kept = largest({name: state_of(dense)[name] for name in prunable(again.model)}, 0.6)
    for name, layer in prunable(again.model).items():
        assert torch.equal(layer.weight, at_rewind[name] * kept[name]), (
            "the early weights, pruned by the late"
        )


def test_without_rewinding_it_is_training_with_masked_gradients(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*PRUNED, "lever.rewind_fraction=0", "optim=sgd", "optim.weight_decay=0")
    lever = lever_of(config, drawn(config).state_dict(), tmp_path)
    ours, theirs = trainer(config), trainer(config)
    masks = lever.masks(ours.model, STEPS)
    assert masks.from_step == 0
    train(ours, masks)
    lever.finish(theirs.model, no_examples)  # zeros now, and no masks later
    for layer in prunable(theirs.model).values():
        mask = (layer.weight != 0).float()
        layer.weight.register_hook(lambda grad, mask=mask: grad * mask)
    train(theirs, None)
    assert int((pruned_weights(theirs.model) == 0).sum()) > 0
    for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_each_round_prunes_among_what_the_last_one_left(make_config: MakeConfig, tmp_path: Path) -> None:
    dense = trainer(make_config(*PRUNED))
    train(dense, None)
    state, left = state_of(dense), len(pruned_weights(dense.model))
    masks_before = torch.ones(left, dtype=torch.bool)
    for number in (1, 2, 3):
        config = make_config(*PRUNED, f"lever.rounds={number}", "lever.prune_share=0.42")
        lever = lever_of(config, state, tmp_path)
        again = trainer(config)
        train(again, lever.masks(again.model, STEPS))
        kept = pruned_weights(again.model) != 0
        left = round(0.58 * left)
        assert int(kept.sum()) == left
        assert not bool((kept & ~masks_before).any())
        assert bool((kept != masks_before).any())
        state, masks_before = state_of(again), kept
    assert left / len(kept) == pytest.approx(0.58**3, abs=1e-3)


def test_the_largest_of_all_layers_together_stay() -> None:
    weights = {"a": torch.tensor([[0.1, -5.0], [0.0, 2.0]]), "b": torch.tensor([-3.0, 0.2, 0.2, 0.0])}
    kept = largest(weights, 0.5)  # 3 of the 6 that are not zero
    assert kept["a"].tolist() == [[False, True], [False, True]]
    assert kept["b"].tolist() == [True, False, False, False]
    assert largest(weights, 1 / 3)["b"].tolist() == [True, True, False, False], "of two equals the first"
    assert sum(int(each.sum()) for each in largest(weights, 0.99).values()) == 1


def test_masks_are_put_back_on_both_sides_of_the_rewind() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    masks = Masks([(weight, torch.tensor([True, False, True]))], from_step=5)

    def resumed(step: int) -> list[float]:
        with torch.no_grad():
            weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        masks.at(step)
        masks.apply()
        return weight.tolist()

    assert [resumed(step) for step in (4, 5, 4, 9)] == [[1, 2, 3], [1, 0, 3], [1, 2, 3], [1, 0, 3]]


def test_a_moving_average_is_scored_with_its_zeros(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(*PRUNED, "optim.ema_decay=0.9")
    dense = trainer(config)
    train(dense, None)
    lever = lever_of(config, state_of(dense), tmp_path)
    again = trainer(config)
    train(again, lever.masks(again.model, STEPS))
    average = copy.deepcopy(again.scored_model)
    assert int((pruned_weights(average) == 0).sum()) == 0, "traces of the dense steps"
    finished = lever.finish(average, no_examples)
    assert torch.equal(pruned_weights(finished) != 0, pruned_weights(again.model) != 0)
    work = lever.inference(finished, 1e4)
    zeros = int((pruned_weights(again.model) == 0).sum())
    assert work.density == 1 - zeros / sum(p.numel() for p in finished.parameters())


def attention_macs(config: Config) -> int:
    """Scores and mixing of one input: w T^2 each, a block."""
    model = config.model
    if model.family not in ("vit", "gpt"):
        return 0
    tokens = model.context or 64 // model.patch**2
    return 2 * model.depth * model.width * tokens**2


def readout_macs(config: Config, model: Any) -> int:
    return int(model.readout.weight.numel()) * (config.model.context or 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers_but_the_readout_are_pruned_and_their_work_is_counted(
    family: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*PRUNED, *FAMILIES[family], "model.depth=2")
    model, shape = drawn(config), shape_of(config)
    layers = prunable(model)
    others = {name for name, p in model.named_parameters() if name not in layers and p.ndim > 1}
    assert others == {"readout.weight"} | {"vit": {"position"}, "gpt": {"embed.weight"}}.get(family, set())
    macs = forward_macs(model.train(), layers, shape, of_tokens=config.model.context is not None)
    assert model.training
    closed_form = models.forward_macs(config.model, shape, CLASSES)
    dense_only = attention_macs(config) + readout_macs(config, model)
    assert sum(macs.values()) == closed_form - dense_only

    lever = lever_of(config, model.state_dict(), tmp_path)
    examples = config.model.context or 1
    with torch.no_grad():
        for layer in layers.values():
            layer.weight.zero_()
    work = lever.inference(model, 2 * closed_form / examples)
    assert work.flops == 2 * closed_form / examples
    assert work.nominal_flops == pytest.approx(2 * dense_only / examples)
    unpruned = sum(p.numel() for name, p in model.named_parameters() if name not in layers)
    assert work.density == pytest.approx(unpruned / sum(p.numel() for p in model.parameters()))
    assert lever.inference(model, None).nominal_flops is None


@pytest.mark.slow
def test_nominal_work_is_each_layers_own_share(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(*PRUNED, "model=resnet", "model.width=4")
    model = drawn(config)
    lever = lever_of(config, model.state_dict(), tmp_path)
    counted = flops.count(model, IMAGES).inference_flops_per_example
    assert lever.inference(model, counted).nominal_flops == counted
    with torch.no_grad():
        model.stem.weight[0] = 0.0  # a quarter of 9 C w pixels
        model.blocks[1].conv2.weight[:, :, 0] = 0.0  # a third of 9 (2w)^2 pixels / 4
        model.blocks[2].shortcut[0].weight.zero_()  # all of 2w 4w pixels / 16
    skipped = 9 * 4 * 64 / 4 + 9 * 8**2 * 16 / 3 + 8 * 16 * 4
    assert lever.inference(model, counted).nominal_flops == pytest.approx(counted - 2 * skipped)


def test_the_layers_of_a_network_without_roles(make_config: MakeConfig) -> None:
    tied = nn.Embedding(6, 4)
    head = nn.Linear(4, 6)
    head.weight = tied.weight
    attention = nn.MultiheadAttention(4, 2)
    net = nn.Sequential(tied, head, nn.Conv1d(4, 4, 3), nn.LayerNorm(4), attention, nn.Linear(4, 2))
    assert list(prunable(net)) == ["2.weight"]
    wide = make_config("lever=none")
    config = dataclasses.replace(
        wide.model, family="torchvision", architecture="resnet18", width=None, depth=None
    )
    model = models.build(config, (3, 32, 32), CLASSES, seed=0, device=torch.device("meta"))
    names = list(prunable(model))
    assert len(names) == 20
    assert "fc.weight" not in names


def test_what_cannot_be_pruned_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(*PRUNED)
    with pytest.raises(
        ConfigError, match=r"lever=pruning needs .*which is missing: train it by isoflop run "
    ):
        levers.of(config).masks(drawn(config), STEPS)
    with pytest.raises(ConfigError, match=r"lever=pruning: mlp has no linear layer .*: set lever=none"):
        levers.of(config).transform(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), IMAGES, CLASSES)
    early = make_config(*PRUNED, "schedule.cooldowns=[0.2,1]")
    with pytest.raises(ConfigError, match=r"lever\.rewind_fraction=0\.25: nothing is pruned before"):
        levers.of(early).check(CPU)
    other = drawn(make_config("lever=none", "model.width=6")).state_dict()
    with pytest.raises(ConfigError, match="of another network"):
        lever_of(config, other, tmp_path).masks(drawn(config), STEPS)


def test_the_last_step_is_pruned_however_short_the_run(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(*PRUNED, "lever.rewind_fraction=0.9")
    model = drawn(config)
    assert lever_of(config, model.state_dict(), tmp_path).masks(model, 3).from_step == 2
