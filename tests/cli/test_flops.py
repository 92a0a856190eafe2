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
