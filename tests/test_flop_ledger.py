"""isoflop flops: the work of our families, of torchvision's classifiers and of a model in a user's file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isoflop.cli import main, output
from isoflop.config import ModelConfig
from isoflop.runner import assemble, prepare
from isoflop.train import models

pytestmark = pytest.mark.slow

OWN = """
import torch
from torch import nn
import beside

print("imported")

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.linear = nn.Embedding(50, 8), nn.Linear(8, 50)
    def forward(self, x):
        return self.linear(self.embed(x))

class Values(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, int(torch.empty(3).fill_(4).sum()))
    def forward(self, x):
        return self.linear(x)

def plain(): return nn.Linear(8, beside.OUTPUTS)
def counted(num_classes): return nn.Linear(8, num_classes)
def keyword(width=8, classes=2): return nn.Linear(width, classes)
def fails(): raise KeyError("no\\nsuch weights")
def number(): return 3
def spectrum(): return nn.Sequential(nn.Linear(8, 8), Spectrum())

class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).abs()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("OUTPUTS = 5\n")
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    return tmp_path


def ledger(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main.main(["flops", *arguments, "--json", "-"]) == 0
    values: dict[str, object] = json.loads(capsys.readouterr().out)
    return values


@pytest.mark.parametrize(
    ("factory", "more", "macs"),
    [
        ("plain", [], 8 * 5),
        ("counted", ["--classes", "7"], 8 * 7),
        ("keyword", ["--classes", "3"], 8 * 3),
        ("Values", [], 8 * 12),
        ("Tokens", ["--input", "6", "--dtype", "int64"], 6 * 8 * 50),
    ],
)
def test_a_users_own_model(
    own: Path, capsys: pytest.CaptureFixture[str], factory: str, more: list[str], macs: int
) -> None:
    options = ["--input", "8", *more] if "--input" not in more else more
    values = ledger(capsys, f"own.py:{factory}", *options, "--batch", "6", "optim=sgd")
    assert values["forward_macs_per_example"] == macs
    assert values["batch_size"] == 6
    assert values["closed_form_macs_per_example"] is None
    assert values["optimizer_flops_per_step"] == 8 * values["parameters"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py:plain"], "none.py: there is no such file"),
        (["own.py"], "own.py:FUNCTION"),
        (["own.py:nothing"], "there is no function nothing in it"),
        (["own.py:number"], "returned int, not a torch.nn.Module"),
        (["own.py:fails"], "own.py:fails raised KeyError: 'no\\nsuch weights'"),
        (["broken.py:plain"], "raised ModuleNotFoundError"),
        (["own.py:plain", "--dtype", "int7"], "--dtype int7: give one of float32"),
        (["resnet", "--dtype", "int64"], "--dtype is for path/to/file.py:function"),
        (["resnet", "--input", "3,32"], "give channels,height,width"),
        (["resnet", "--batch", "0"], "expected int >= 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_one_line_and_exit_2(
    own: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main.main(["flops", *arguments]) == output.INPUT
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("isoflop: ")
    assert message in last


def test_unknown_work_is_shown_with_its_evidence(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["flops", "own.py:spectrum", "--input", "8"]) == output.FAILED
    shown = capsys.readouterr().out
    assert "FLOPs unknown: torch's counter does not count" in shown
    assert "fvcore does not count aten::fft_fft" in shown
    assert "operations without a count: aten::_fft_c2c" in shown
    assert "6.4e-08" in shown


def test_vit_b_16_shows_its_attention_and_both_conventions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.main(["flops", "torchvision:vit_b_16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line.split() for line in lines if line.split()}
    assert rows["forward", "(inference)"][2:] == ["17.5638", "35.1277"]
    assert rows["attention", "0.715327"][2] == "4.07%"
    assert rows["torch", "17.5638"] == ["torch", "17.5638"]
    assert rows["fvcore", "17.5638"]
    assert any("GMACs" in line and "GFLOPs" in line for line in lines)
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_a_torchvision_model_that_computes_its_shape_needs_no_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ledger(capsys, "torchvision:regnet_y_400mf")["parameters"] == 4344144


def model_config(family: Any, width: int, depth: int, **more: object) -> ModelConfig:
    settings: dict[str, Any] = {"block": "basic"} if family == "resnet" else {}
    settings |= {"patch": 4} if family in ("vit", "convmixer") else {}
    settings |= {"kernel": 5} if family == "convmixer" else {}
    settings |= {"head_width": 8} if family == "vit" else {}
    empty = dict.fromkeys(
        ("architecture", "block", "patch", "kernel", "head_width", "base_width", "base_depth")
    )
    given = {**empty, "zero_init_residual": False, **settings, **more}
    return ModelConfig(family=family, width=width, depth=depth, parametrization="standard", **given)


FAMILIES = [
    *(
        ("mlp", {}),
        ("resnet", {}),
        ("resnet", {"block": "bottleneck"}),
        ("vit", {}),
        ("vit", {"head_width": 4}),
    ),
    *(("convmixer", {}), ("convmixer", {"kernel": 3, "patch": 5})),
]
IMAGES = [(1, 8, 8), (3, 32, 32), (3, 20, 28), (2, 12, 36)]


@pytest.mark.parametrize(("family", "more"), FAMILIES)
@pytest.mark.slow
def test_closed_forms_are_what_both_counters_find(family: str, more: dict[str, object]) -> None:
    deeper = [(16, 3, (3, 20, 28)), (24, 2, (2, 12, 36))]
    for width, depth, image in [*((8, 1, image) for image in IMAGES), *deeper]:
        config = model_config(family, width, depth, **more)
        result = prepare.count_flops(config, image, 7, 4)
        assert result.reason is None, result.reason
        assert result.closed_form_macs_per_example == result.torch_forward_macs_per_example
        assert result.closed_form_macs_per_example == result.fvcore_forward_macs_per_example


def test_a_closed_form_that_is_off_makes_the_work_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    right = models.FORWARD_MACS["mlp"]
    monkeypatch.setitem(models.FORWARD_MACS, "mlp", lambda *given: right(*given) * 102 // 100)
    result = prepare.count_flops(model_config("mlp", 48, 2), (1, 9, 9), 5, 4)
    assert result.forward_macs_per_example is None
    assert result.counters_agree
    assert "the closed form gives" in result.reason


def test_odd_images_of_a_resnet_are_rounded_up() -> None:
    result = prepare.count_flops(model_config("resnet", 8, 2), (3, 13, 7), 5, 4)
    assert result.reason is None
    assert result.closed_form_macs_per_example == result.torch_forward_macs_per_example


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("bf16", 2)])
def test_a_record_keeps_all_counters_and_the_bytes_of_its_precision(precision: str, size: int) -> None:
    count = prepare.count_flops(model_config("mlp", 6, 2), (1, 4, 4), 3, 8)
    prepared: Any = SimpleNamespace(count=count)
    trained: Any = SimpleNamespace(
        examples_seen=80, eval_examples=5, optimizer_flops_per_step=7.0, steps=10, inference_work=None
    )
    compute = assemble.compute(prepared, trained, precision)
    forward = 16 * 6 + 36 + 18
    assert compute.closed_form_macs_per_example == compute.forward_macs_per_example == forward
    assert compute.backward_flops_per_example == 2 * (2 * forward - 16 * 6)
    assert compute.train_flops == 80 * 2 * (3 * forward - 16 * 6)
    assert compute.optimizer_flops == 7.0 * 10
    assert compute.train_bytes_per_example == size * count.train_elements_per_example
    reasons = (compute.closed_form_macs_per_example_reason, compute.train_bytes_per_example_reason)
    assert reasons == (None, None)
