"""A network of integers decides as the one it came from, holds integers, and serves batches of any size."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sklearn.datasets
import torch
from torch import Tensor, nn

from isoflop.config import Config, ConfigError
from isoflop.train import levers, models
from isoflop.train.levers import int8, x86_int8
from isoflop.train.levers.base import InferenceWork

MakeConfig = Callable[..., Config]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
IMAGE, CLASSES = (1, 8, 8), 10
SHAPES = {
    "mlp": ("model.width=128", "model.depth=2"),
    "resnet": ("model.width=8", "model.depth=1"),
    "vit": ("model.width=32", "model.depth=1", "model.patch=2", "model.head_width=16"),
    "convmixer": ("model.width=16", "model.depth=1", "model.patch=2"),
}
TEXT = (
    "data=python",
    "model.context=16",
    "optim.batch_size=256",
    "model.width=32",
    "schedule.epochs=null",
    "schedule.steps=9",
)
x86 = pytest.mark.skipif(platform.machine().lower() not in int8.X86, reason="no x86 CPU")


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and labels for training, and for testing."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).reshape(-1, *IMAGE)
    x, y = (x - x.mean()) / x.std(), torch.tensor(labels)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]


def trained(model: nn.Module, inputs: Tensor, targets: Tensor, steps: int) -> nn.Module:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(inputs), (64,))
        logits = model(inputs[rows]).flatten(0, -2)
        loss = nn.functional.cross_entropy(logits, targets[rows].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def batches(inputs: Tensor) -> Callable[[], Iterator[Tensor]]:
    return lambda: iter(inputs.split(100))


def held_bytes(model: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


def finished(config: Config, model: nn.Module, inputs: Tensor) -> nn.Module:
    lever = levers.of(config)
    lever.check(CPU)
    return lever.finish(model, batches(inputs))


@x86
@pytest.mark.slow
@pytest.mark.parametrize("family", SHAPES)
def test_it_decides_as_the_network_in_floating_point(make_config: MakeConfig, family: str) -> None:
    config = make_config("lever=int8", f"model={family}", *SHAPES[family])
    x, y, x_test, y_test = digits()
    model = trained(models.build(config.model, IMAGE, CLASSES, seed=0, device=CPU), x, y, 400)
    before = copy.deepcopy(model)
    state = torch.random.get_rng_state()
    network = finished(config, model, x)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert model.state_dict().keys() == before.state_dict().keys()
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in model.state_dict().items())

    network.eval()
    model.eval()
    with torch.inference_mode():
        exact, rounded = model(x_test), network(x_test)
        agreement = (exact.argmax(1) == rounded.argmax(1)).double().mean()
        assert (exact.argmax(1) == y_test).double().mean() > 0.9  # else agreement says little
        assert agreement >= 0.98
        error = (rounded - exact).square().mean().sqrt() / exact.std()
        assert 1e-4 < error < 0.1
        for size in (1, 2, 7, 597):
            torch.testing.assert_close(network(x_test[:size]), rounded[:size])
        many = x_test.repeat(2, 1, 1, 1)[:1000]
        torch.testing.assert_close(network(many)[:597], rounded)
        strided = x_test.to(memory_format=torch.channels_last)
        torch.testing.assert_close(network(strided), rounded, rtol=0.02, atol=0.02 * float(exact.std()))
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(network(x_test), rounded)
    graph = network.get_submodule("network").graph
    assert isinstance(graph, torch.fx.Graph)
    kernels = [str(node.target) for node in graph.nodes]
    wanted = sum(isinstance(module, nn.Linear | nn.Conv2d) for module in model.modules())
    assert sum("onednn.q" in kernel for kernel in kernels) == wanted
    assert not any("addmm" in kernel or "_convolution_pointwise" in kernel for kernel in kernels)
    network.train()
    assert network.training


@x86
@pytest.mark.slow
def test_a_language_model_loses_little(make_config: MakeConfig) -> None:
    config = make_config("lever=int8", "recipe=language", *TEXT)
    # Each byte follows from the one before: the next of the alphabet, or now and then the one after it.
    steps = 1 + (torch.rand(400, 17, generator=torch.Generator().manual_seed(0)) < 0.2).long()
    tokens = steps.cumsum(1) % 26
    model = models.build(config.model, (16,), 26, seed=0, device=CPU)
    trained(model, tokens[:300, :-1], tokens[:300, 1:], 200)
    network = finished(config, model, tokens[:300, :-1])
    with torch.inference_mode():
        exact, rounded = model(tokens[300:, :-1]), network(tokens[300:, :-1])
        loss, rounded_loss = (
            nn.functional.cross_entropy(each.flatten(0, 1), tokens[300:, 1:].flatten()).item()
            for each in (exact, rounded)
        )
        torch.testing.assert_close(network(tokens[300:301, :-1]), rounded[:1])
    assert rounded.shape == exact.shape
    assert loss < 0.7
    assert rounded_loss == pytest.approx(loss, rel=0.03)
    assert not torch.equal(exact, rounded)


@x86
@pytest.mark.slow
def test_the_weights_are_integers(make_config: MakeConfig) -> None:
    config = make_config("lever=int8", "model=mlp", "model.width=512", "model.depth=2")
    model = models.build(config.model, IMAGE, CLASSES, seed=0, device=CPU)
    network = finished(config, model, torch.randn(200, *IMAGE))
    assert held_bytes(network) < 0.35 * held_bytes(model)
    weights = [t for t in network.buffers() if t.dtype == torch.int8]
    assert sum(t.numel() for t in weights) == sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert len({int(value) for t in weights for value in t.to_dense().flatten()}) > 200


@x86
@pytest.mark.slow
def test_a_batch_norm_behind_an_activation_becomes_its_gain_and_shift() -> None:
    norm = nn.BatchNorm2d(3)
    for p in (*norm.parameters(), norm.running_mean, norm.running_var):
        nn.init.uniform_(p, 0.5, 1.5)
    model = nn.Sequential(nn.GELU(), norm).eval()
    x = torch.randn(4, 3, 5, 5)
    graph = x86_int8.exported(model, x)
    x86_int8._unfold_norms(graph)
    assert not any("aten.batch_norm" in str(node.target) for node in graph.graph.nodes)
    torch.testing.assert_close(graph(x), model(x))


def test_calibration_takes_some_hundreds_of_images_and_some_thousands_of_bytes() -> None:
    images = int8.calibration(batches(torch.zeros(2000, *IMAGE)))
    assert sum(map(len, images)) == int8.CALIBRATION_EXAMPLES
    few = int8.calibration(batches(torch.zeros(150, *IMAGE)))
    assert [len(each) for each in few] == [100, 50]
    text = int8.calibration(batches(torch.zeros(2000, 64, dtype=torch.int64)))
    assert sum(each.numel() for each in text) == int8.CALIBRATION_BYTES


def test_its_work_is_that_of_the_network_and_training_is_untouched(make_config: MakeConfig) -> None:
    lever = levers.of(make_config("lever=int8"))
    model = nn.Linear(2, 2)
    assert lever.transform(model, IMAGE, CLASSES) is model
    assert lever.inference(model, 8.0) == InferenceWork(8.0, 8.0, 1.0)
    assert lever.extra_train_flops_per_example(lambda config: None) == 0.0


@pytest.mark.parametrize("family", ["resnet", "convmixer"])
def test_convolutions_on_a_gpu_are_refused(make_config: MakeConfig, family: str) -> None:
    lever = levers.of(make_config("lever=int8", f"model={family}"))
    with pytest.raises(ConfigError, match=r"set launch\.device=cpu"):
        lever.check(CUDA)


def test_another_processor_is_refused(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(ConfigError, match="arm64: set lever=none"):
        levers.of(make_config("lever=int8")).check(CPU)


def test_a_missing_package_is_one_line(make_config: MakeConfig, without: Callable[..., None]) -> None:
    without("torchao")
    with pytest.raises(ImportError, match=r"needs torchao, .*isoflop\[levers\]"):
        levers.of(make_config("lever=int8")).check(CPU)


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_refused_before_training(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    file = tmp_path / "net.py"
    file.write_text("def build(): ...\n")
    config = make_config("lever=int8", "model=custom", f"model.path={file}:build")

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.layer(x.flatten(1))
            return y if y.sum() > 0 else -y

    with pytest.raises(ConfigError, match=r"torch.export cannot trace model=.*set lever=none") as caught:
        levers.of(config).transform(Branching(), IMAGE, CLASSES)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", "vit"])
def test_the_linear_layers_by_torchao_alone(make_config: MakeConfig, family: str) -> None:
    # As on a GPU; torchao has the same layers for a CPU.
    config = make_config("lever=int8", f"model={family}", *SHAPES[family])
    model = models.build(config.model, IMAGE, CLASSES, seed=0, device=CPU).eval()
    with int8.quiet():
        quantised = int8._dynamic(copy.deepcopy(model))
    for (name, layer), exact in zip(quantised.named_modules(), model.modules(), strict=True):
        if isinstance(exact, nn.Linear):
            assert (type(layer.weight).__name__ == "Int8Tensor") == (name != "readout")
    x = torch.randn(50, *IMAGE)
    with torch.inference_mode():
        error = (quantised(x) - model(x)).square().mean().sqrt() / model(x).std()
    assert 1e-5 < error < 0.05
