"""Precision: which device can have which, and the linear layers of fp8 against a formula."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from isoflop import extras
from isoflop.config import Config, ConfigError
from isoflop.runner import run
from isoflop.runner.prepare import count_flops
from isoflop.train import models, optim, parametrize, precision
from isoflop.train.loop import deterministic

MakeConfig = Callable[..., Config]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
E4M3_EPSILON = 2.0**-4
"""Largest relative rounding of a normal number with 3 bits of mantissa."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[int, int], str | None], None]:
    def be(capability: tuple[int, int], hip: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "some GPU")
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(extras, "installed", lambda module: True)

    return be


def test_auto_follows_the_device() -> None:
    assert precision.resolve("auto", CPU) == "fp32"
    assert precision.resolve("auto", torch.device("cuda")) == "bf16"
    for named in ("fp32", "tf32", "bf16", "fp8"):
        assert precision.resolve(named, torch.device("cuda")) == named


@pytest.mark.parametrize("compute", ["auto", "fp32", "bf16"])
def test_the_formats_that_every_device_has_are_not_refused(make_config: MakeConfig, compute: str) -> None:
    precision.check(make_config(f"precision.compute={compute}"), CPU)


@pytest.mark.parametrize(
    ("compute", "capability", "hip", "expected"),
    [
        ("tf32", (7, 5), None, "compute capability 8.0 or higher, and some GPU has 7.5: take precision=bf16"),
        ("tf32", (8, 0), None, None),
        ("tf32", (9, 0), None, None),
        ("fp8", (8, 6), None, "compute capability 8.9 or higher, and some GPU has 8.6"),
        ("fp8", (8, 9), None, None),
        ("fp8", (10, 0), None, None),
        ("tf32", (9, 4), "6.0", "some GPU is AMD's"),
    ],
)
def test_a_gpu_has_what_its_capability_says(
    make_config: MakeConfig,
    gpu: Callable[..., None],
    compute: str,
    capability: tuple[int, int],
    hip: str | None,
    expected: str | None,
) -> None:
    gpu(capability, hip)
    config = make_config(f"precision={compute}")
    if expected is None:
        precision.check(config, GPU)
        return
    with pytest.raises(ConfigError, match=re.escape(expected)) as caught:
        precision.check(config, GPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compute", ["tf32", "fp8"])
def test_a_run_on_the_cpu_is_refused_before_anything_is_written(
    make_config: MakeConfig, compute: str
) -> None:
    config = make_config(f"precision={compute}", "launch.device=cpu")
    with pytest.raises(ConfigError, match=f"precision={compute} needs an NVIDIA GPU.*take precision=auto"):
        run.run(config)
    assert not config.directory.exists()


@pytest.mark.parametrize(
    ("family", "shape"),
    [("resnet", ()), ("convmixer", ()), ("torchvision", ("model.width=null", "model.depth=null"))],
)
def test_fp8_is_for_families_of_linear_layers(
    make_config: MakeConfig, family: str, shape: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match=f"precision=fp8 is for linear layers.*model={family}"):
        make_config("precision=fp8", f"model={family}", *shape)


def test_fp8_without_torchao_names_the_extra(
    make_config: MakeConfig, gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu((9, 0))
    monkeypatch.setattr(extras, "installed", lambda module: False)
    with pytest.raises(extras.MissingExtraError, match=r"isoflop\[levers\]"):
        precision.check(make_config("precision=fp8"), GPU)


@pytest.mark.parametrize(("batch", "devices", "near"), [(40, 1, 32), (8, 1, 16), (48, 2, 64)])
def test_fp8_needs_batches_of_whole_tiles(
    make_config: MakeConfig, gpu: Callable[..., None], batch: int, devices: int, near: int
) -> None:
    gpu((9, 0))
    config = make_config("precision=fp8", f"optim.batch_size={batch}", f"launch.devices={devices}")
    with pytest.raises(ConfigError, match=f"optim.batch_size={batch}: .*: try {near}"):
        precision.check(config, GPU)
    precision.check(
        make_config("precision=fp8", f"optim.batch_size={near}", f"launch.devices={devices}"), GPU
    )


def test_fp32_products_are_tf32_for_that_setting_alone_and_are_put_back() -> None:
    cudnn: Any = torch.backends.cudnn
    products: Any = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [product.fp32_precision for product in products]
    for compute, expected in (("fp32", "ieee"), ("bf16", "ieee"), ("fp8", "ieee"), ("tf32", "tf32")):
        with deterministic(False, compute):
            assert {product.fp32_precision for product in products} == {expected}
            assert cudnn.allow_tf32 == (expected == "tf32"), "torch refuses to say where they differ"
        assert [product.fp32_precision for product in products] == before


def build(config: Config, classes: int = 10) -> nn.Module:
    shape = (config.model.context,) if config.model.context else (1, 8, 8)
    return models.build(config.model, shape, classes, seed=0, device=CPU)


FAMILIES = {
    "mlp": (("model=mlp", "model.width=32", "model.depth=3"), 3),
    "vit": (("model=vit", "model.width=32", "model.depth=2", "model.patch=2", "model.head_width=8"), 8),
    "gpt": (("model=gpt", "data=python", "model.width=32", "model.depth=2", "model.context=16"), 8),
}
"""Family -> settings, and the linear layers of it that are no readout: in a block of a transformer four."""


def test_nothing_changes_without_fp8(make_config: MakeConfig) -> None:
    model = build(make_config())
    assert precision.converted(model, "bf16") is model
    assert all(type(layer).__name__ != "Float8Linear" for layer in model.modules())


@pytest.mark.parametrize("width", [8, 24])
def test_a_width_without_layers_for_fp8_is_refused(make_config: MakeConfig, width: int) -> None:
    with pytest.raises(ConfigError, match=r"set model\.width to a multiple of 16"):
        precision.converted(build(make_config(f"model.width={width}")), "fp8")


torchao = pytest.mark.skipif(not extras.installed("torchao"), reason="torchao is not installed")


@torchao
@pytest.mark.parametrize("family", FAMILIES)
def test_the_linear_layers_but_the_readout_are_converted_with_their_weights_and_roles(
    make_config: MakeConfig, family: str
) -> None:
    overrides, expected = FAMILIES[family]
    config = make_config(*overrides, "precision=fp8")
    # 256 logits are divisible by 16: the role keeps the readout, not its size.
    model = build(config, classes=256)
    before = copy.deepcopy(model)
    made = precision.converted(model, "fp8", emulate=True)
    kinds = {name: type(layer).__name__ for name, layer in made.named_modules()}
    assert sum(kind == "Float8Linear" for kind in kinds.values()) == expected
    assert kinds["readout"] == "Linear"
    assert list(made.state_dict()) == list(before.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), before.parameters(), strict=True))
    assert parametrize.roles(made) == parametrize.roles(before)
    optim.build(config.optim, made, config.model, steps=10)
    assert sum(type(layer).__name__ == "Float8Linear" for layer in copy.deepcopy(made).modules()) == expected


def rounded(tensor: torch.Tensor, dtype: torch.dtype = torch.float8_e4m3fn) -> torch.Tensor:
    """Return a tensor rounded to fp8 after it was scaled so that its largest value is the format's."""
    scale = torch.finfo(dtype).max / tensor.detach().abs().max()
    return (tensor * scale).to(dtype).float().detach() / scale


@torchao
def test_a_layer_and_its_gradients_are_products_of_rounded_operands(make_config: MakeConfig) -> None:
    """Dynamic scaling of whole tensors: y = Q(x) Q(W)^T + b, and dW = R(dy)^T Q(x), dx = R(dy) Q(W).

    Q rounds to e4m3, R, for gradients, to e5m2.
    """
    model = build(make_config("model.width=32", "model.depth=2"))
    layer = precision.converted(model, "fp8", emulate=True).get_submodule("hidden.1")
    torch.manual_seed(0)
    assert isinstance(layer, nn.Linear)
    x, upstream = torch.randn(16, 32, requires_grad=True), torch.randn(16, 32)
    y = layer(x)
    y.backward(upstream)
    weight, bias = layer.weight, layer.bias
    of_x, of_weight, of_upstream = rounded(x), rounded(weight), rounded(upstream, torch.float8_e5m2)
    torch.testing.assert_close(y, of_x @ of_weight.T + bias, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight.grad, of_upstream.T @ of_x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad, of_upstream @ of_weight, rtol=1e-5, atol=1e-5)
    exact = x @ weight.T + bias
    error = (y - exact).norm() / exact.norm()
    assert 1e-3 < error < 2 * E4M3_EPSILON, "rounded, and by no more than the format's mantissa"


@torchao
def test_a_network_in_fp8_learns_as_one_in_fp32_does(make_config: MakeConfig) -> None:
    config = make_config("model.width=32", "model.depth=2", "optim.lr=0.01")
    torch.manual_seed(0)
    images = torch.randn(64, 1, 8, 8)
    labels = images.flatten(1)[:, :10].argmax(1)
    losses = {}
    for compute in ("fp32", "fp8"):
        model = precision.converted(build(config), compute, emulate=True)
        (optimizer,) = optim.build(config.optim, model, config.model, steps=60)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"]
        for _ in range(60):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[compute] = loss.item()
    assert losses["fp32"] < 0.2
    assert losses["fp8"] == pytest.approx(losses["fp32"], abs=0.1)
    assert losses["fp8"] != losses["fp32"]


def test_the_counted_work_does_not_depend_on_the_precision(make_config: MakeConfig) -> None:
    """Counted on a twin that is not converted: FLOPs are those of the network, whatever computes them."""
    plain, fp8 = make_config(), make_config("precision=fp8")
    counts = [count_flops(each.model, (1, 8, 8), 10, 32) for each in (plain, fp8)]
    assert counts[0] == counts[1]
