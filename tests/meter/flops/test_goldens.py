"""FLOPs of whole architectures against closed forms written here, and against what torchvision publishes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from isoflop.meter.flops.count import FlopCount, count

pytestmark = pytest.mark.slow


def counted(name: str, crop: int = 224) -> FlopCount:
    with torch.device("cpu" if "regnet" in name else "meta"):
        maker = torchvision.models.get_model_builder(name)
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        result = count(maker(weights=None, **options), (3, crop, crop))
    assert result.reason is None, result.reason
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example
    return result


def test_vision_transformer_by_its_formula() -> None:
    width, blocks, patches, classes = 768, 12, 14 * 14, 1000
    tokens = patches + 1
    embedding = patches * width * 3 * 16 * 16
    attention = blocks * 2 * tokens * tokens * width
    linear = blocks * 12 * tokens * width**2 + width * classes
    result = counted("vit_b_16")
    by_op = {"addmm": linear, "attention": attention, "convolution": embedding}
    assert result.forward_macs_by_op == by_op
    first_layer = embedding
    total = embedding + attention + linear
    assert result.train_flops_per_example == 2 * (3 * total - first_layer)


def test_swin_by_its_formula() -> None:
    macs, tokens, width, window = 56 * 56 * 3 * 16 * 96, 56 * 56, 96, 7 * 7
    for stage, blocks in enumerate((2, 2, 6, 2)):
        if stage:
            tokens, width = tokens // 4, 2 * width
            macs += tokens * (2 * width) * width  # four neighbours of half the width are merged
        macs += blocks * (12 * tokens * width**2 + 2 * tokens * window * width)
    assert counted("swin_t").forward_macs_per_example == macs + width * 1000


def test_convnext_by_its_formula() -> None:
    macs, pixels, width = 56 * 56 * 3 * 16 * 96, 56 * 56, 96
    for stage, blocks in enumerate((3, 3, 9, 3)):
        if stage:
            pixels, width = pixels // 4, 2 * width
            macs += pixels * 4 * (width // 2) * width
        macs += blocks * pixels * (49 * width + 8 * width**2)
    assert counted("convnext_tiny").forward_macs_per_example == macs + width * 1000


@pytest.mark.parametrize("groups", [1, 32])
def test_resnet_and_resnext_by_their_formula(groups: int) -> None:
    inner = 64 if groups == 1 else 128
    macs, pixels, inputs = 112 * 112 * 3 * 49 * 64, 56 * 56, 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width, outputs = inner * 2**stage, 256 * 2**stage
        here = pixels // 4 if stage else pixels
        spatial = here * 9 * width**2 // groups
        macs += pixels * inputs * width + spatial + here * width * outputs + here * inputs * outputs
        macs += (blocks - 1) * (here * 2 * width * outputs + spatial)
        pixels, inputs = here, outputs
    name = "resnet50" if groups == 1 else "resnext50_32x4d"
    assert counted(name).forward_macs_per_example == macs + 2048 * 1000


def test_mobilenet_by_its_formula() -> None:
    macs, pixels, inputs = 112 * 112 * 3 * 9 * 32, 112 * 112, 32
    settings = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
    for expansion, outputs, blocks, stride in (*settings, (6, 320, 1, 1)):
        for position in range(blocks):
            hidden = inputs * expansion
            macs += pixels * inputs * hidden if expansion > 1 else 0
            pixels //= stride**2 if position == 0 else 1
            macs += pixels * (9 * hidden + hidden * outputs)
            inputs = outputs
    assert counted("mobilenet_v2").forward_macs_per_example == macs + 49 * 320 * 1280 + 1280 * 1000


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("efficientnet_b0", "IMAGENET1K_V1"),
        ("efficientnet_b1", "IMAGENET1K_V2"),
        ("inception_v3", "IMAGENET1K_V1"),
        ("shufflenet_v2_x0_5", "IMAGENET1K_V1"),
        ("mobilenet_v3_small", "IMAGENET1K_V1"),
        ("mnasnet0_5", "IMAGENET1K_V1"),
        ("regnet_y_400mf", "IMAGENET1K_V2"),
        ("swin_v2_t", "IMAGENET1K_V1"),
    ],
)
def test_torchvisions_published_figures_within_2_percent(name: str, weight: str) -> None:
    published = torchvision.models.get_model_weights(name)[weight]
    crop = published.transforms.keywords["crop_size"]
    assert counted(name, crop).forward_macs_per_example * 1e-9 == pytest.approx(
        published.meta["_ops"], rel=0.02
    )


RECURRENT = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


class Last(nn.Module):
    """The outputs of a recurrent network, without its state."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.network(x)[0]
        return outputs


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_networks_by_their_formula(kind: Any) -> None:
    steps, inputs, hidden, gates = 6, 8, 5, RECURRENT[kind]
    result = count(Last(kind(inputs, hidden, num_layers=2, batch_first=True)), (steps, inputs))
    assert result.reason is None
    reading, feeding = steps * gates * hidden * inputs, steps * gates * hidden * hidden
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example == reading + 3 * feeding
    without_gradient = reading + 2 * gates * hidden * hidden  # the input, and the zero states of step one
    assert result.train_flops_per_example == 2 * (3 * (reading + 3 * feeding) - without_gradient)


def test_two_way_recurrence_with_projection_by_its_formula() -> None:
    steps, inputs, hidden, projected = 6, 8, 5, 3
    network = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True, proj_size=projected)
    result = count(Last(network), (steps, inputs))
    assert result.reason is None
    each = 4 * hidden * (inputs + projected) + projected * hidden
    assert result.forward_macs_per_example == 2 * steps * each


@pytest.mark.parametrize("make", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recurrent_cells_by_their_formula(make: Any) -> None:
    result = count(make(8, 5), (8,))
    assert result.reason is None
    gates = {nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1}[make]
    assert result.forward_macs_per_example == gates * 5 * (8 + 5)


class Attention(nn.Module):
    """One layer of attention with grouped heads, causal or not, after one linear layer."""

    def __init__(self, width: int, heads: int, key_heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.key_heads, self.causal = heads, key_heads, causal
        self.linear = nn.Linear(width, width + 2 * width * key_heads // heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.heads, self.key_heads, self.key_heads]
        joint = self.linear(x).unflatten(2, (sum(parts), -1)).transpose(1, 2)
        query, key, value = joint.split(parts, 1)
        grouped = self.heads != self.key_heads
        return F.scaled_dot_product_attention(query, key, value, is_causal=self.causal, enable_gqa=grouped)


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_causal_attention_counts_in_full(causal: bool, key_heads: int) -> None:
    tokens, width, heads = 10, 16, 4
    result = count(Attention(width, heads, key_heads, causal), (tokens, width))
    assert result.reason is None
    linear = tokens * width * (width + 2 * width * key_heads // heads)
    attention = 2 * tokens * tokens * width
    assert result.forward_macs_by_op == {"addmm": linear, "attention": attention}
    assert result.train_flops_per_example == 2 * (2 * linear + 3 * attention)


def test_transformer_encoder_by_its_formula() -> None:
    tokens, width, hidden = 12, 16, 40
    layer = nn.TransformerEncoderLayer(width, 4, hidden, batch_first=True)
    result = count(nn.TransformerEncoder(layer, 3), (tokens, width))
    assert result.reason is None
    linear = 3 * tokens * (4 * width**2 + 2 * width * hidden)
    assert result.forward_macs_by_op == {"addmm": linear, "attention": 3 * 2 * tokens * tokens * width}
