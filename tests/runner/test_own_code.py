"""Models and data of the user's own: identity, training, resuming, and everything that is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop import config as configs
from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config, compose
from isoflop.runner import own_model, prepare, run
from isoflop.train import models, optim
from isoflop.train.data import load
from isoflop.train.data.parts import ImageSet
from isoflop.train.loop import Trainer

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
NET = """
from torch import nn

def build(width, depth, image_shape, classes):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    layers = [nn.Flatten(), nn.Linear(size, width)]
    for _ in range(depth - 1):
        layers += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, classes))
"""
DROPPING = """
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, width, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.3)
        self.readout = nn.Linear(width, classes)

    def forward(self, x):
        return self.readout(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))

def build(width, image_shape, classes):
    return Net(image_shape[0], width, classes)
"""
DATA = """
import numpy as np

def load(examples=200, flat=False):
    draw = np.random.default_rng(0)
    labels = draw.integers(4, size=examples)
    images = draw.integers(256, size=(examples, 1, 5, 5), dtype=np.uint8)
    images[:, 0] //= 4
    images[:, 0] += (60 * labels[:, None, None]).astype(np.uint8)
    x = images.reshape(examples, -1).astype(float) if flat else images
    cut = examples * 3 // 4
    return {"train_x": x[:cut], "train_y": labels[:cut], "test_x": x[cut:], "test_y": labels[cut:]}
"""
BYTES = """
import torch
from torch import nn

class Bigrams(nn.Module):
    def __init__(self, vocabulary, width):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.readout = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.readout(self.mixed(self.embedding(tokens)))

    def mixed(self, x):
        return x

class Cheat(Bigrams):
    def mixed(self, x):
        return torch.roll(x, -1, 1)

def build(vocabulary, width, context):
    return Bigrams(vocabulary, width)
"""
Make = Callable[..., Config]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with net.py and data.py in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "data.py").write_text(DATA)
    return tmp_path


def own(folder: Path, *overrides: str) -> Config:
    """A tiny run of net.py on data.py, by the command line's words."""
    words = (
        *("model=custom", "model.path=net.py:build", "model.width=6", "model.depth=2", "data=custom"),
        *("data.path=data.py:load", "schedule.epochs=2", "launch.threads=1", "optim.batch_size=16"),
        *("meter.energy=none", f"out={folder / 'out'}"),
    )
    return compose.compose_config([*words, *overrides], None)


def test_the_file_and_not_its_place_makes_the_run(folder: Path) -> None:
    before = own(folder)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/other.py").write_text(NET)
    moved = own(folder, "model.path=elsewhere/other.py:build")
    assert moved.run_id == before.run_id
    assert moved.model.path == f"{folder}/elsewhere/other.py:build"
    (folder / "net.py").write_text(NET + "\n")
    assert own(folder).run_id != before.run_id
    (folder / "net.py").write_text(NET + "other = build\n")
    assert len({own(folder).run_id, own(folder, "model.path=net.py:other").run_id, before.run_id}) == 3
    (folder / "data.py").write_text(DATA + "\n")
    (folder / "net.py").write_text(NET)
    assert own(folder).run_id != before.run_id


def test_arguments_are_passed_and_make_the_run(folder: Path) -> None:
    fewer = own(folder, "data.arguments.examples=100")
    assert fewer.run_id != own(folder).run_id
    assert fewer.run_id == own(folder, "data.arguments={examples: 100}").run_id
    assert load(fewer, CPU).test_n == 25
    assert own(folder).identity["data"].get("arguments") is None


def test_flops_of_an_own_perceptron_are_those_counted_by_hand(folder: Path) -> None:
    config = own(folder)
    (record,) = run.run(config)
    assert record.compute is not None
    forward = 25 * 6 + 6 * 6 + 6 * 4
    # The gradient of the first layer's input is not computed.
    train = 2 * (3 * forward - 25 * 6)
    assert record.compute.forward_macs_per_example == forward
    assert record.compute.train_flops_per_example == train
    assert record.compute.train_flops == train * 2 * (135 // 16) * 16
    assert record.model.family == record.model.architecture == "net.build"
    assert record.data is not None
    assert record.data.name == "data.load"
    assert record.data.input_shape == (1, 5, 5)
    names = {section: list(files) for section, files in record.provenance.user_files.items()}
    assert names == {"model": ["net.py"], "data": ["data.py"]}


def test_training_learns_and_evaluates_with_the_running_statistics(folder: Path) -> None:
    (folder / "net.py").write_text(DROPPING)
    config = own(folder, "model.depth=null", "schedule.epochs=30", "optim.lr=0.03")
    (record,) = run.run(config)
    assert record.error is not None
    assert record.error.test is not None
    assert record.error.test < 0.5, "three in four are wrong by chance"


@pytest.mark.parametrize("text", [NET, DROPPING], ids=["plain", "batch norm and dropout"])
def test_an_interrupted_run_resumes_to_the_last_bit(
    folder: Path, text: str, stop_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "net.py").write_text(text)
    words = ["schedule.evaluations=4", *([] if text == NET else ["model.depth=null"])]
    (whole,) = run.run(own(folder, *words, "out=whole"))
    config = own(folder, *words, "out=parts")
    with monkeypatch.context():
        stop_after(7)
        assert run.run(config)[0].state == "interrupted"
    stop_after(10**6)
    (resumed,) = run.run(config)
    assert (resumed.state, resumed.attempt) == ("done", 2)
    assert [(p.step, p.val_loss, p.val_error) for p in resumed.curve] == [
        (p.step, p.val_loss, p.val_error) for p in whole.curve
    ]
    assert (resumed.loss, resumed.train_loss) == (whole.loss, whole.train_loss)


def test_flat_features_reach_the_model_as_they_are(folder: Path) -> None:
    (folder / "net.py").write_text(
        "from torch import nn\n"
        "def build(width, image_shape, classes):\n"
        "    (features,) = image_shape\n"
        "    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))\n"
    )
    config = own(folder, "model.depth=null", "data.arguments.flat=true")
    data = load(config, CPU)
    assert isinstance(data, ImageSet)
    assert data.input_shape == (25,)
    batch = data.normalise(data.train.images, torch.contiguous_format)
    assert batch.shape == (data.train_n, 25)
    torch.testing.assert_close(batch.mean(0), torch.zeros(25), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std(0, correction=0), torch.ones(25))
    (record,) = run.run(config)
    assert record.state == "done"
    perceptron = own(folder, "model=mlp", "model.width=6", "model.path=null", "data.arguments.flat=true")
    assert prepare.prepare(perceptron, CPU).count.forward_macs_per_example == 25 * 6 + 36 + 24
    with pytest.raises(configs.ConfigError, match="model=resnet takes images, and these data are 25 flat"):
        prepare.prepare(own(folder, "model=resnet", "model.path=null", "data.arguments.flat=true"), CPU)


def test_evaluating_floats_leaves_the_data_as_they_were(folder: Path) -> None:
    """Images that are float32 already must be normalised in a copy."""
    (folder / "data.py").write_text(DATA.replace("else images", "else images.astype('float32')"))
    data = load(own(folder), CPU)
    assert isinstance(data, ImageSet)
    assert data.test.images.dtype == torch.float32
    before = data.test.images.clone()
    data.normalise(data.test.images[:10], torch.contiguous_format)
    assert torch.equal(data.test.images, before)


def test_roles_make_it_a_model_of_the_parametrization(folder: Path) -> None:
    plain = own(folder, "model.parametrization=mup", "model.base_width=2", "model.base_depth=2")
    with pytest.raises(configs.ConfigError, match=r"mup needs the role .*net.py:build carry none"):
        prepare.prepare(plain, CPU)
    (folder / "net.py").write_text(
        "from torch import nn\n"
        "from isoflop.train.parametrize import tag_layer\n"
        "def build(width, image_shape, classes):\n"
        "    first, readout = nn.Linear(25, width), nn.Linear(width, classes)\n"
        "    tag_layer(first, 'input', gain=1.0)\n"
        "    tag_layer(readout, 'readout')\n"
        "    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), readout)\n"
    )
    tagged = own(folder, "model.depth=null", "model.parametrization=mup", "model.base_width=2")
    model = models.build(tagged.model, (1, 5, 5), 4, seed=0, device=CPU)
    assert not list(model.parameters())[2].any(), "a readout under mup starts at zero"
    standard = own(folder, "model.depth=null")
    assert standard.run_id != tagged.run_id


ODD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.frozen = nn.Linear(25, 8).requires_grad_(False)
        self.tied = nn.Linear(8, 8)
        self.again = self.tied
        self.readout = nn.Linear(8, classes)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        if self.training:
            self.seen += 1
        return self.readout(self.again(self.tied(self.frozen(x.view(len(x), -1))).relu()))
"""


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_frozen_unused_and_tied_parameters(folder: Path, name: str) -> None:
    (folder / "net.py").write_text(ODD)
    words = ("model.path=net.py:Net", "model.width=null", "model.depth=null", f"optim={name}")
    config = own(folder, *words, "optim.ema_decay=0.5")
    prepared = prepare.prepare(config, CPU)
    trainer = Trainer(config, prepared.data, prepared.plan.steps, CPU)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.advance(4, (1.0,) * 4)
    after = trainer.model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    parts = {"tied", "again", "readout"}
    assert moved == {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")} | {"seen"}
    assert after["seen"] == 4
    (record,) = run.run(config)
    assert record.state == "done"
    # None is spent on what is frozen.
    trained = 12 + 72 + 8 * 4 + 4
    assert optim.flops_per_step(config.optim, trainer.model) == optim.FLOPS_PER_PARAMETER[name] * trained


def test_muon_needs_roles(folder: Path) -> None:
    with pytest.raises(
        configs.ConfigError, match=r"optim=muon must know the hidden matrices, and the .* no roles"
    ):
        prepare.prepare(own(folder, "optim=muon", "optim.batch_size=16"), CPU)


def test_a_language_model_of_ones_own(folder: Path, books: Path) -> None:
    (folder / "net.py").write_text(BYTES)
    words = (
        *(
            "data=text",
            f"data.path={books}",
            "data.eval_bytes=2048",
            "model.context=8",
            "schedule.epochs=null",
        ),
        *("optim.batch_size=64", "schedule.steps=20", "model.depth=null"),
    )
    config = own(folder, *words)
    (record,) = run.run(config)
    assert record.compute is not None
    assert record.compute.forward_macs_per_example == 6 * 256
    assert record.model.parameters_without_embeddings == 6 * 256 + 256
    with pytest.raises(configs.ConfigError, match=r"model net.Cheat sees the bytes that it predicts"):
        prepare.prepare(own(folder, *words, "model.path=net.py:Cheat"), CPU)
    with pytest.raises(configs.ConfigError, match=r"data=text is text: give model.context"):
        own(folder, *words, "model.context=null")
    with pytest.raises(configs.ConfigError, match=r"model.context is of text"):
        own(folder, "model.context=8")


def test_a_module_by_its_name_and_an_installed_one(folder: Path) -> None:
    package = folder / "mine"
    package.mkdir()
    (package / "layers.py").write_text("from torch.nn import Linear\n")
    (package / "net.py").write_text(NET.replace("nn.Linear", "Linear") + "from mine.layers import Linear\n")
    config = own(folder, "model.path=mine.net:build")
    assert config.model.name == "net.build"
    assert prepare.prepare(config, CPU).count.forward_macs_per_example == 25 * 6 + 36 + 24
    (record,) = run.run(config)
    assert sorted(record.provenance.user_files["model"]) == ["mine/layers.py", "mine/net.py"]
    installed = own(folder, "model.path=torchvision.models:resnet18", "model.width=null", "model.depth=null")
    assert installed.model.path == "torchvision.models:resnet18"
    assert installed.model.name == "models.resnet18"


def test_a_changed_import_is_announced_and_the_result_stays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "layers.py").write_text("from torch.nn import Linear\n")
    (folder / "net.py").write_text("from layers import Linear\n" + NET.replace("nn.Linear", "Linear"))
    (first,) = run.run(own(folder))
    (folder / "layers.py").write_text("from torch.nn import Linear as Linear\n")
    config = own(folder)
    assert run.run(config) == (first,)
    assert "layers.py, which the model imports, is not what" in capsys.readouterr().err
    assert (
        "layers.py"
        in records.read(records.path_of(config.directory, config.run_id)).provenance.user_files["model"]
    )


BROKEN_MODELS = {
    "raises": (
        "def build(): raise ValueError('no such\\nlayer')",
        r"net.py:build raised ValueError: no such layer \(net.py, line 1\)",
    ),
    "no module": ("def build(): return 3", "net.py:build returned int, not a torch.nn.Module"),
    "no function": ("build = 3", "net.py: there is no function build in it"),
    "syntax": ("def build(:", r"net.py raised SyntaxError: .* \(net.py, line 1\)"),
    "no parameters": ("from torch import nn\ndef build(): return nn.ReLU()", "a model without parameters"),
    "needs more": ("def build(heads): pass", "net.py:build needs an argument heads: isoflop passes width"),
    "needs width": ("def build(width): pass", "net.py:build needs an argument width: give model.width"),
    "needs text": (
        "def build(context): pass",
        "net.py:build needs an argument context: .*give it in arguments",
    ),
    "ends": ("import sys\nsys.exit(2)", r"net.py ended the process \(2\)"),
    "wrong shape": (
        "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(25, 3))",
        r"model net.build returns shape \(2, 3\) for 2 inputs of 1x5x5: return logits of shape \(2, 4\)",
    ),
    "mixes rows": (
        "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(0), nn.LazyLinear(4))",
        "net.py:build: its lazy layers|returns shape|cannot take inputs",
    ),
    "wrong input": (
        "from torch import nn\ndef build(): return nn.Conv2d(3, 4, 3)",
        "model net.build cannot take inputs of 1x5x5: RuntimeError: .*channels",
    ),
    "two outputs": (
        "from torch import nn\nclass build(nn.Linear):\n    def __init__(self): super().__init__(5, 4)\n"
        "    def forward(self, x): return x, x\n",
        "model net.build returns tuple: return the logits alone",
    ),
    "another device": (
        "from torch import nn\ndef build(): return nn.Linear(5, 4, device='meta')",
        "returned a model whose weight is on meta: build it on the CPU",
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN_MODELS.values(), ids=BROKEN_MODELS)
def test_a_model_that_cannot_be_trained_is_one_line(folder: Path, text: str, message: str) -> None:
    (folder / "net.py").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        run.run(own(folder, "model.width=null", "model.depth=null"))
    assert "\n" not in str(caught.value)
    assert not (folder / "out/records").exists()


BROKEN_DATA = {
    "three dimensions": (
        "x[:, 0]",
        "y",
        r"train_x has shape \(.*5, 5\): give images \(N, C, H, W\), grey ones as",
    ),
    "channels last": ("x.reshape(-1, 5, 5, 1)", "y", r"looks like \(N, H, W, C\)"),
    "NaN": ("np.where(x > 200, np.nan, x)", "y", r"\d+ values of train_x are NaN"),
    "infinite": ("np.where(x > 200, np.inf, x)", "y", r"values of train_x are infinite"),
    "overflow": ("x * 1e300", "y", r"values of train_x are infinite"),
    "text": ("x.astype(str)", "y", "train_x is of .*: give an array of numbers"),
    "empty": ("x[:0]", "y[:0]", "train_x is empty"),
    "few": ("x[:6]", "y[:6]", "train_x has 6 examples: at least 10 are needed"),
    "lengths": ("x[:-1]", "y", "train_x has 149 examples and train_y has 150 labels"),
    "real labels": ("x", "y.astype(float)", "train_y is of float64: labels are integers from 0"),
    "negative": ("x", "y - 1", "train_y holds the label -1"),
    "one-hot": ("x", "np.eye(4)[y]", r"train_y has shape \(150, 4\): .*train_y.argmax\(1\)"),
    "one class": ("x", "0 * y", "test_y holds the label 3, and the labels of train_y give 1"),
}


@pytest.mark.parametrize(("x", "y", "message"), BROKEN_DATA.values(), ids=BROKEN_DATA)
def test_data_that_cannot_be_trained_on_are_one_line(folder: Path, x: str, y: str, message: str) -> None:
    change = f"""
def broken():
    parts = load()
    x, y = parts["train_x"], parts["train_y"]
    return parts | {{"train_x": {x}, "train_y": {y}}}
"""
    (folder / "data.py").write_text(DATA + change)
    with pytest.raises(ValueError, match=message) as caught:
        run.run(own(folder, "data.path=data.py:broken"))
    assert str(caught.value).startswith("data.py:broken")
    assert "\n" not in str(caught.value)
    assert not (folder / "out/records").exists()


BROKEN_RETURNS = {
    "tuple": ("(1, 2)", "returned a tuple: return a dictionary of train_x"),
    "missing": ("{'train_x': 1}", "returned no train_y"),
    "alien": ("load() | {'valid_x': 1}", "returned 'valid_x': the names are train_x"),
    "half": ("load() | {'val_x': np.zeros((3, 1, 5, 5))}", "returned one of val_x and val_y"),
    "test channels": (
        "load() | {'test_x': np.zeros((50, 3, 5, 5), np.uint8)}",
        r"an example of test_x has shape \(3, 5, 5\), one of train_x \(1, 5, 5\)",
    ),
    "types": ("load() | {'test_x': np.zeros((50, 1, 5, 5))}", "train_x is of uint8 and test_x of float32"),
    "classes": ("load() | {'classes': 3}", "train_y holds the label 3, and classes is 3"),
    "unseeded": (
        "load() | {'test_x': np.random.default_rng().integers(9, size=(50, 1, 5, 5)).astype(np.uint8)}",
        "returned other arrays at its second call",
    ),
}


@pytest.mark.parametrize(("returned", "message"), BROKEN_RETURNS.values(), ids=BROKEN_RETURNS)
def test_what_is_no_data_set_is_one_line(folder: Path, returned: str, message: str) -> None:
    (folder / "data.py").write_text(DATA + f"def broken(): return {returned}\n")
    with pytest.raises(ValueError, match=message):
        load(own(folder, "data.path=data.py:broken"), CPU)


def test_a_validation_part_of_ones_own_tensors_and_an_object(folder: Path) -> None:
    change = """
import torch, types
def with_val():
    parts = load()
    return types.SimpleNamespace(
        train_x=torch.tensor(parts["train_x"]), train_y=torch.tensor(parts["train_y"]),
        val_x=torch.tensor(parts["test_x"][:20]), val_y=torch.tensor(parts["test_y"][:20]),
        test_x=torch.tensor(parts["test_x"][20:]), test_y=torch.tensor(parts["test_y"][20:]), classes=7)
"""
    (folder / "data.py").write_text(DATA + change)
    whole = load(own(folder, "data.path=data.py:with_val"), CPU)
    half = load(own(folder, "data.path=data.py:with_val", "data.fraction=0.5"), CPU)
    assert isinstance(whole, ImageSet)
    assert isinstance(half, ImageSet)
    assert (whole.train_n, whole.val_n, whole.test_n, whole.classes) == (150, 20, 30, 7)
    assert torch.equal(half.train.images, whole.train.images[:75]), "smaller fractions are nested"
    assert torch.equal(half.val.labels, whole.val.labels)
    plain = load(own(folder), CPU)
    assert (plain.train_n, plain.val_n, plain.test_n) == (135, 15, 50)
    assert len({whole.split_sha256, half.split_sha256, plain.split_sha256}) == 3


def test_global_generators_are_seeded_for_the_users_code(folder: Path) -> None:
    drawn = (
        NET
        + "import random, numpy as np\n"
        + """
def drawing(image_shape, classes):
    net = nn.Sequential(nn.Flatten(), nn.Linear(25, classes))
    net[1].weight.data += np.random.rand() + random.random()
    return net
"""
    )
    (folder / "net.py").write_text(drawn)
    config = own(folder, "model.path=net.py:drawing", "model.width=null", "model.depth=null").model

    def weight(seed: int) -> torch.Tensor:
        return next(models.build(config, (1, 5, 5), 4, seed=seed, device=CPU).parameters()).detach()

    before = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))
    after = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    assert (after["key"] == before["key"]).all()
    assert after["pos"] == before["pos"]


def test_a_word_is_said_once_about_parameters_without_roles(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_model, "_announced", set())
    for width in (17, 18):
        prepare.prepare(own(folder, f"model.width={width}"), CPU)
    assert capsys.readouterr().err.count("net.build: its parameters carry no roles, so all have one") == 1


def test_a_file_that_changed_after_the_command_is_refused(folder: Path) -> None:
    config = own(folder)
    (folder / "net.py").write_text(NET + "\n")
    with pytest.raises(configs.ConfigError, match=r"net.py has changed since the command was given"):
        run.run(config)


def test_networks_that_do_not_use_the_axis_are_refused() -> None:
    sizes = own_model.Sizes()
    base = compose.compose_config(
        ["model=custom", f"model.path={ROOT}/examples/custom/net.py:build", "model.width=8"], None
    ).model
    for width, size in ((8, (10, 5.0)), (16, (10, 5.0))):
        sizes.known[dataclasses.replace(base, width=width)] = size
    with pytest.raises(
        configs.ConfigError, match=r"model.width: net.build builds the same .* 10 par.* for 8, 16"
    ):
        sizes.check()
    sizes.known[dataclasses.replace(base, width=16)] = (10, 6.0)  # shared weights, applied more often
    sizes.check()


@pytest.mark.parametrize("name", ["net", "data"])
def test_a_missing_file_and_a_missing_name_are_input_errors(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, function = {"net": ("model", "build"), "data": ("data", "load")}[name]
    for path, message in {
        f"nowhere.py:{function}": "nowhere.py: there is no such file",
        f"{name}.py": f"name the function to call: {name}.py:FUNCTION",
        f"no.module:{function}": "there is no module no",
    }.items():
        assert main.main(["run", f"{section}=custom", f"{section}.path={path}", "out=out"]) == 2
        assert f"isoflop: {section}.path: " in (error := capsys.readouterr().err)
        assert message in error
    assert main.main(["run", f"{section}=custom", "out=out"]) == 2
    assert "path is missing: name a function of yours" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_records_hold_the_configuration_they_hash(folder: Path) -> None:
    config = own(folder)
    (record,) = run.run(config)
    stored = json.loads((config.directory / "records" / f"{record.run_id}.json").read_text())
    assert stored["cell"] == config.identity
    assert stored["cell"]["model"]["function"] == "build"
    assert str(folder) not in json.dumps(stored["cell"])
