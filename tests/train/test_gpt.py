from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig, compose
from isoflop.meter.flops import count
from isoflop.train import models, parametrize, state
from isoflop.train.models import gpt

CPU, META = torch.device("cpu"), torch.device("meta")
CLASSES, CONTEXT = 11, 12
Array = npt.NDArray[np.float64]


def shape(**settings: object) -> ModelConfig:
    base = compose.compose_config(["recipe=language"], None).model
    small = {"width": 12, "depth": 2, "head_width": 4, "context": CONTEXT, "parametrization": "standard"}
    plain = {"base_width": None, "base_depth": None}
    return dataclasses.replace(base, **small | plain | settings)  # type: ignore[arg-type]


GELU, SWIGLU = shape(feedforward="gelu"), shape(feedforward="swiglu")
SCALED = shape(parametrization="completep", base_width=4, base_depth=1)
FEEDFORWARDS = pytest.mark.parametrize("config", [GELU, SWIGLU], ids=["gelu", "swiglu"])


def build(config: ModelConfig, classes: int = CLASSES, device: torch.device = CPU) -> nn.Module:
    """A model none of whose parameters keeps a special value, such as a gain of 1."""
    assert config.context is not None
    model = models.build(config, (config.context,), classes, seed=0, device=device)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters() if device == CPU else ():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def tokens(rows: int = 3, length: int = CONTEXT) -> Tensor:
    return torch.randint(0, CLASSES, (rows, length), generator=torch.Generator().manual_seed(2))


def reference(config: ModelConfig, weights: dict[str, Array], given: npt.NDArray[np.int64]) -> Array:
    """Log-probabilities [B, T, classes] by the architecture's formulas, one head and position at a time."""
    assert config.width is not None
    assert config.depth is not None
    assert config.head_width is not None
    head_width, multiplier = config.head_width, parametrize.branch_multiplier(parametrize.scale(config))

    def norm(x: Array, gain: Array) -> Array:
        scaled: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gain
        return scaled

    def turn(x: Array, position: int) -> Array:
        half = head_width // 2
        angle = position * 10_000.0 ** (-np.arange(half) / half)
        turned = (x[:half] + 1j * x[half:]) * (
            np.cos(angle).astype(np.float32) + 1j * np.sin(angle).astype(np.float32)
        )
        return np.concatenate([turned.real, turned.imag])

    def attend(x: Array, joint: Array) -> Array:
        query, key, value = (x @ part.T for part in np.split(joint, 3))
        mixed = np.zeros_like(x)
        for first in range(0, x.shape[1], head_width):
            head = slice(first, first + head_width)
            for now in range(len(x)):
                scores = np.array(
                    [turn(query[now, head], now) @ turn(key[then, head], then) for then in range(now + 1)]
                ) / math.sqrt(head_width)
                shares = np.exp(scores - scores.max())
                mixed[now, head] = shares / shares.sum() @ value[: now + 1, head]
        return mixed

    def feed(x: Array, expand: Array, contract: Array) -> Array:
        if config.feedforward == "gelu":
            units = x @ expand.T
            return units * (1 + erf(units / math.sqrt(2))) / 2 @ contract.T
        gate, value = (x @ part.T for part in np.split(expand, 2))
        return gate / (1 + np.exp(-gate)) * value @ contract.T

    every = []
    for row in given:
        x = weights["embed.weight"][row]
        for position in range(config.depth):
            own = {n.split(".", 2)[2]: w for n, w in weights.items() if n.startswith(f"blocks.{position}.")}
            mixed = attend(norm(x, own["norm1.weight"]), own["attention.query_key_value.weight"])
            x = x + multiplier * mixed @ own["attention.output.weight"].T
            fed = feed(
                norm(x, own["norm2.weight"]),
                own["feedforward.expand.weight"],
                own["feedforward.contract.weight"],
            )
            x = x + multiplier * fed
        logits = norm(x, weights["norm.weight"]) @ weights["readout.weight"].T
        every.append(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    return np.stack(every)


@pytest.mark.parametrize("config", [GELU, SWIGLU, SCALED], ids=["gelu", "swiglu", "completep"])
def test_the_loss_is_that_of_the_formulas(config: ModelConfig) -> None:
    model, given = build(config).double(), tokens()
    targets = tokens().roll(-1, 1)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    logged = reference(config, weights, given.numpy())
    expected = -np.take_along_axis(logged, targets.numpy()[..., None], -1).mean()
    loss = F.cross_entropy(model(given).flatten(0, 1), targets.flatten())
    assert loss.item() == pytest.approx(float(expected), abs=1e-12)


@FEEDFORWARDS
def test_a_later_byte_changes_no_earlier_prediction(config: ModelConfig) -> None:
    model, given = build(config), tokens()
    changed = given.clone()
    changed[:, 7] = (changed[:, 7] + 1) % CLASSES
    before, after = model(given), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(-1).all(), "every prediction from there on sees it"


@FEEDFORWARDS
@pytest.mark.parametrize("length", [1, 5, CONTEXT])
def test_shorter_windows_are_predicted_like_the_beginning_of_longer_ones(
    config: ModelConfig, length: int
) -> None:
    model, given = build(config), tokens()
    torch.testing.assert_close(model(given[:, :length]), model(given)[:, :length])


def turned(rotary: gpt.Rotary, x: Tensor, first: int) -> Tensor:
    """x [T, head_width] turned as if its first position were `first`."""
    padded = torch.cat((torch.zeros(first, x.shape[1], dtype=x.dtype), x))
    result: Tensor = rotary(padded[None, None])[0, 0, first:]
    return result


def test_scores_depend_on_distances_alone() -> None:
    rotary, generator = gpt.Rotary(8, 40).double(), torch.Generator().manual_seed(0)
    query, key = (torch.randn(10, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    scores = turned(rotary, query, 0) @ turned(rotary, key, 0).T
    for shift in (1, 7, 30):
        moved = turned(rotary, query, shift) @ turned(rotary, key, shift).T
        torch.testing.assert_close(moved, scores, atol=1e-5, rtol=0)
        apart = turned(rotary, query, shift) @ turned(rotary, key, 0).T
        assert (apart - scores).abs().max() > 0.1
    torch.testing.assert_close(turned(rotary, query, 5).norm(dim=1), query.norm(dim=1), atol=1e-6, rtol=0)
    assert torch.equal(turned(rotary, query, 0)[0], query[0]), "position 0 is not turned"


def test_the_rotary_table_is_neither_saved_nor_trained() -> None:
    model = build(GELU)
    assert len(list(model.buffers())) == 2, "one table for all blocks"
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]
    assert len(state.weights(model)) == len(list(model.parameters()))
    assert state.floating_buffers(model) == []


@FEEDFORWARDS
def test_parameters_by_formula(config: ModelConfig) -> None:
    w, d = 12, 2
    feedforward = 8 * w**2 if config.feedforward == "gelu" else 3 * w * 32
    blocks = d * (4 * w**2 + feedforward + 2 * w)
    model = build(config, device=META)
    total = sum(p.numel() for p in model.parameters())
    assert total == CLASSES * w + blocks + w + w * CLASSES
    assert models.embedding_parameters(model) == CLASSES * w


def test_swiglu_has_about_as_many_parameters_as_gelu() -> None:
    assert [gpt.swiglu_units(width) for width in (1, 4, 8, 12, 48, 512)] == [8, 8, 24, 32, 128, 1368]
    for width in (32, 64, 256, 512):
        assert 3 * gpt.swiglu_units(width) / (8 * width) == pytest.approx(1, abs=0.07)


def test_images_have_no_token_table() -> None:
    vit = compose.compose_config(["model=vit"], None).model
    assert models.embedding_parameters(models.build(vit, (3, 32, 32), 10, seed=0, device=META)) == 0


def counted(config: ModelConfig, classes: int) -> count.FlopCount:
    assert config.context is not None
    size = (config.context,)
    result = count.count(
        models.build(config, size, classes, seed=0, device=META),
        size,
        batch_size=4,
        input_dtype=torch.int64,
        closed_form_macs=models.forward_macs(config, size, classes),
    )
    assert result.reason is None
    assert result.torch_forward_macs_per_example == result.closed_form_macs_per_example
    assert result.fvcore_forward_macs_per_example == result.closed_form_macs_per_example
    return result


@pytest.mark.parametrize("feedforward", ["gelu", "swiglu"])
@pytest.mark.parametrize("depth", [1, 3])
def test_training_flops_less_attention_are_six_times_the_matrices(feedforward: str, depth: int) -> None:
    config = shape(width=32, depth=depth, head_width=16, context=64, feedforward=feedforward)
    result = counted(config, 257).divided(64)
    model = build(config, 257, META)
    gains = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    matrices = sum(p.numel() for p in model.parameters()) - models.embedding_parameters(model) - gains
    assert result.train_flops_per_example is not None
    assert result.forward_macs_by_op["attention"] == depth * 2 * 32 * 64
    assert result.train_flops_per_example - 6 * result.forward_macs_by_op["attention"] == 6 * matrices
    assert result.batch_size == 4 * 64
    assert result.train_to_forward_ratio == pytest.approx(3)


def test_shares_of_attention_and_readout() -> None:
    """A small model is mostly what a large one hardly sees."""

    def shares(width: int, depth: int) -> tuple[float, float]:
        config = shape(width=width, depth=depth, head_width=16, context=256)
        result = counted(config, 256)
        assert result.forward_macs_per_example is not None
        attention = result.forward_macs_by_op["attention"] / result.forward_macs_per_example
        return attention, 256 * 256 * width / result.forward_macs_per_example

    assert shares(32, 1) == pytest.approx((0.444, 0.222), abs=0.001)
    assert shares(512, 8)[0] == pytest.approx(0.08, abs=0.005)


@FEEDFORWARDS
def test_bf16_autocast_agrees_and_keeps_gradients_in_fp32(config: ModelConfig) -> None:
    model, given = build(config), tokens()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(given)
    assert logits.dtype == torch.bfloat16
    exact = model(given)
    assert (logits - exact).norm() < 0.02 * exact.norm()
    logits.float().square().sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


def test_the_whole_model_is_one_graph_for_the_compiler() -> None:
    """Traced and run by torch's front end and autograd's, without generating code."""
    model, given = build(SWIGLU), tokens()
    traced = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(traced(given), model(given))


def test_heads_of_odd_width_are_refused() -> None:
    with pytest.raises(ValueError, match="head_width 3: rotary positions turn pairs"):
        shape(head_width=3)
    with pytest.raises(ValueError, match="width 10 is not a multiple of head_width 4"):
        shape(width=10)
