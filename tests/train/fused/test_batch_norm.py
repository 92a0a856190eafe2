"""The fused batch norm beside torch's operations, in Triton's interpreter, or on a GPU where there is one."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

pytest.importorskip("triton")

from isoflop.train.fused import batch_norm
from isoflop.train.fused.norm import FusedBatchNorm2d, norm_add_relu, norm_relu, with_fused_norms

pytestmark = pytest.mark.slow

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-5, torch.bfloat16: 2e-2}
MOST_TILE = 64
"""A tile so small that these inputs need several, in both directions."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm, "TILE_ELEMENTS", MOST_TILE)
    monkeypatch.setattr(batch_norm, "TILE_CHANNELS", 4)
    monkeypatch.setattr(batch_norm, "MOST_SHARES", 3)


def norms(channels: int, dtype: torch.dtype, **settings: Any) -> tuple[Any, Any]:
    """A plain and a fused norm of the same random weights and statistics; weights stay float32 under bf16."""
    torch.manual_seed(channels)
    plain = nn.BatchNorm2d(
        channels, device=DEVICE, dtype=torch.float64 if dtype.itemsize == 8 else None, **settings
    )
    for tensor in plain.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    fused = copy.deepcopy(plain)
    return plain, next(with_fused_norms(nn.Sequential(fused)).children())


def images(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (3 * drawn + 5).to(DEVICE, dtype).contiguous(memory_format=layout).requires_grad_()


def results(norm: nn.Module, kind: str, alpha: float, x: Tensor, stream: Tensor) -> dict[str, Tensor]:
    """The output, every gradient and every statistic after one forward and backward pass."""
    if kind == "norm":
        y = norm(x)
    elif kind == "relu":
        y = norm_relu(norm, x)
    else:
        y = norm_add_relu(norm, x, stream, alpha)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(DEVICE)
    y.backward(towards.to(y.dtype))
    made = {"y": y, "x.grad": x.grad}
    if kind == "add":
        made["stream.grad"] = stream.grad
    made |= {f"{name}.grad": p.grad for name, p in norm.named_parameters()}
    return {name: t.detach().double() for name, t in (made | dict(norm.named_buffers())).items()}


def compare(
    shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, kind: str, **how: Any
) -> None:
    """One pass of both norms on the same input; the plain one in float64 where both have rounding errors."""
    alpha, training = how.pop("alpha", 1.0), how.pop("training", True)
    plain, fused = norms(shape[1], dtype, **how)
    exact = copy.deepcopy(plain).double()
    for each in (plain, fused, exact):
        each.train(training)
    x, stream = images(shape, dtype, layout, 1), images(shape, dtype, layout, 2)
    ours = results(fused, kind, alpha, x, stream)
    reference = results(exact, kind, alpha, *(t.detach().double().requires_grad_() for t in (x, stream)))
    assert ours.keys() == reference.keys()
    near = reference["y"].abs() < 1e-3  # the ReLU's corner, where rounding may choose another side
    for name, value in reference.items():
        difference = ours[name] - value
        if name in ("x.grad", "stream.grad", "y"):
            difference = difference.masked_fill(near, 0)
        error = difference.abs().max() / value.abs().max().clamp(min=1.0)
        assert error < TOLERANCE[dtype] * (1 + int(near.sum())), (name, float(error))


LAYOUTS = st.sampled_from([torch.channels_last, torch.contiguous_format])


@hypothesis.settings(max_examples=25, derandomize=True)
@hypothesis.given(
    images_=st.integers(1, 5),
    channels=st.sampled_from([1, 2, 3, 5, 8, 9]),
    height=st.integers(1, 6),
    width=st.integers(1, 7),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=LAYOUTS,
    kind=st.sampled_from(["norm", "relu", "add"]),
    alpha=st.sampled_from([1.0, 0.25, -0.7]),
    training=st.booleans(),
)
def test_any_input(
    images_: int, channels: int, height: int, width: int, dtype: torch.dtype, layout: torch.memory_format,
    kind: str, alpha: float, training: bool,
) -> None:  # fmt: skip
    hypothesis.assume(not training or images_ * height * width >= 4)
    compare((images_, channels, height, width), dtype, layout, kind, alpha=alpha, training=training)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    "how",
    [
        {"momentum": None},
        {"momentum": 0.9},
        {"affine": False},
        {"track_running_stats": False},
        {"track_running_stats": False, "training": False},
        {"eps": 0.3},
        {"affine": False, "training": False},
    ],
)
def test_every_setting_of_the_module(how: dict[str, Any], layout: torch.memory_format) -> None:
    compare((3, 5, 4, 4), torch.float32, layout, "add", alpha=0.5, **how)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_running_statistics_over_several_batches(layout: torch.memory_format) -> None:
    plain, fused = norms(3, torch.float32)
    for seed in range(5):
        x = images((4, 3, 5, 5), torch.float32, layout, seed).detach()
        plain(x)
        fused(x)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, fused.state_dict()[name], rtol=1e-6, atol=1e-6), name
    assert int(fused.state_dict()["num_batches_tracked"]) == int(plain.state_dict()["num_batches_tracked"])


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["norm", "relu", "add"])
def test_gradients_are_those_of_finite_differences(
    kind: str, training: bool, layout: torch.memory_format
) -> None:
    _, fused = norms(3, torch.float64)
    fused.train(training)
    x, stream = (images((2, 3, 2, 3), torch.float64, layout, seed) for seed in (1, 2))

    def output(x: Tensor, stream: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        same: Any = {"norm": fused, "relu": lambda x: norm_relu(fused, x)}
        parameters = {"weight": weight, "bias": bias}
        with torch.no_grad():
            saved = {name: buffer.clone() for name, buffer in fused.named_buffers()}
        for name, value in parameters.items():
            fused._parameters[name] = value
        y = norm_add_relu(fused, x, stream, 0.6) if kind == "add" else same[kind](x)
        for name, buffer in fused.named_buffers():
            buffer.copy_(saved[name])
        return y

    weight = torch.tensor([0.7, 1.3, -0.4], dtype=torch.float64, device=DEVICE, requires_grad=True)
    bias = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64, device=DEVICE, requires_grad=True)
    inputs = (x, stream, weight, bias) if kind == "add" else (x, stream.detach(), weight, bias)
    # Triton passes epsilon and alpha as float32, hence the tolerance.
    assert torch.autograd.gradcheck(output, inputs, eps=1e-5, atol=1e-5, rtol=1e-4, nondet_tol=0.0)


def test_a_channel_without_variance_is_its_bias() -> None:
    _, fused = norms(2, torch.float32)
    x = torch.full((2, 2, 4, 4), 7.0, device=DEVICE, requires_grad=True)
    y = fused(x)
    assert torch.equal(y, fused.bias.view(1, 2, 1, 1).expand_as(y))
    y.square().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_a_large_mean_costs_no_digits_of_the_variance() -> None:
    """The difference of two sums would leave nothing of a deviation of 1 at a mean of 1e4 in float32."""
    plain, fused = norms(1, torch.float32)
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    small = fused(x).detach()
    large = fused(x + 1e4).detach()
    assert torch.allclose(small, large, atol=5e-3)
    assert torch.allclose(large, plain(x + 1e4), atol=5e-3)


def test_nan_is_kept_as_torch_keeps_it() -> None:
    plain, fused = norms(2, torch.float32)
    x = images((2, 2, 3, 3), torch.float32, torch.channels_last, 0).detach()
    x[0, 1, 0, 0] = torch.nan
    for norm in (plain, fused):
        y = norm_relu(norm, x)
        assert not torch.isfinite(y[:, 1]).any()
        assert torch.isfinite(y[:, 0]).all()


def test_what_torch_refuses_is_refused() -> None:
    plain, fused = norms(3, torch.float32)
    one = torch.randn(1, 3, 1, 1, device=DEVICE)
    for norm in (plain, fused):
        with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
            norm(one)
        with pytest.raises(ValueError, match="4D input"):
            norm(torch.randn(2, 3, 4, device=DEVICE))
        assert norm.eval()(one).shape == one.shape
    with pytest.raises(ValueError, match="expected 3 channels, got 2"):
        fused(torch.randn(2, 2, 4, 4, device=DEVICE))
    with pytest.raises(ValueError, match="cannot add"):
        norm_add_relu(
            fused, torch.randn(2, 3, 4, 4, device=DEVICE), torch.randn(2, 3, 2, 2, device=DEVICE), 1.0
        )


def test_a_view_with_gaps_and_a_stream_of_another_layout_or_type() -> None:
    plain, fused = norms(3, torch.float32)
    x = torch.randn(4, 3, 6, 6, device=DEVICE)[:, :, ::2, 1::2]
    stream = torch.randn(4, 3, 3, 3, device=DEVICE).to(memory_format=torch.channels_last)
    expected = norm_add_relu(plain, x, stream, 0.5)
    assert torch.allclose(norm_add_relu(fused, x, stream, 0.5), expected, atol=1e-5)
    mixed = norm_add_relu(fused, x, stream.bfloat16(), 0.5)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, expected, atol=5e-2)


def test_same_input_same_bits() -> None:
    _, fused = norms(8, torch.float32)
    x = images((5, 8, 6, 6), torch.float32, torch.channels_last, 0).detach()
    assert torch.equal(fused(x), fused(x))


def test_conversion_keeps_parameters_statistics_and_marks() -> None:
    norm: Any = nn.BatchNorm2d(4)
    model: Any = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(norm, nn.ReLU()))
    parameters: list[Any] = list(model.parameters())
    state = model.state_dict()
    parameters[-1].mark = "norm"
    converted = with_fused_norms(model)
    assert id(converted) == id(model)
    assert type(model[1][0]) is FusedBatchNorm2d
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert model.state_dict().keys() == state.keys()
    copied = copy.deepcopy(model)
    assert type(copied[1][0]) is FusedBatchNorm2d
    assert copied[1][0].weight is not model[1][0].weight
