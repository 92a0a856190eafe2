"""isoflop flops and doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isoflop.cli import main


def test_flops_and_doctor_speak_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["flops", "torchvision:resnet50", "--json", "-"]) == 0
    macs = json.loads(capsys.readouterr().out)["forward_macs_per_example"]
    assert macs == pytest.approx(4.089e9, rel=1e-3)
    assert main.main(["flops", "mlp", "--input", "1,8,8", "--classes", "10"]) == 0
    assert "GMACs" in capsys.readouterr().out
    assert main.main(["doctor", "--json", "-"]) == 0
    subjects = {finding["subject"] for finding in json.loads(capsys.readouterr().out)}
    assert {"training", "FLOPs", "energy", "data", "results"} <= subjects
    assert main.main(["doctor"]) == 0


def test_flops_of_a_language_model_are_those_of_a_byte(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["model.width=32", "model.depth=1", "model.context=256"]
    assert main.main(["flops", "gpt", *sizes, "--json", "-"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert ledger["input_shape"] == [256]
    assert ledger["forward_macs_per_example"] == 12 * 32**2 + 2 * 32 * 256 + 32 * 256
    assert ledger["parameters_without_embeddings"] == 12 * 32**2 + 3 * 32 + 32 * 256
    assert ledger["parameters"] == ledger["parameters_without_embeddings"] + 256 * 32
    assert ledger["batch_size"] == 2048, "bytes"
    assert main.main(["flops", "gpt", *sizes, "--classes", "257", "--batch", "512"]) == 0
    assert "without embeddings" in capsys.readouterr().out
    assert main.main(["flops", "gpt", "--input", "3,8,8"]) == 2
    assert "set model.context instead" in capsys.readouterr().err
