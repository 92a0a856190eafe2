"""Each import contract of pyproject.toml fails when the import that it forbids is planted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = [contract["id"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]
PLANTED = {
    "one-way": ("table/aggregate.py", "import isoflop.runner.run"),
    "record": ("record/store.py", "import isoflop.signals"),
    "config": ("config/keys.py", "import isoflop.table.aggregate"),
    "train-meter": ("train/loop.py", "import isoflop.meter.device.peaks"),
    "torch-free": ("curve/fit.py", "import torch"),
    "readers": ("report/page.py", "import isoflop.meter.device.peaks"),
    "makers": ("train/loop.py", "import isoflop.curve.fit"),
    "paper": ("report/page.py", "import isoflop.paper.claims"),
    "hydra": ("config/convert.py", "import omegaconf"),
    "fvcore": ("meter/flops/twin.py", "import fvcore.nn"),
    "nvml": ("meter/energy/sampler.py", "import pynvml"),
    "figures": ("table/aggregate.py", "import matplotlib"),
    "trainers": ("runner/run.py", "import lightning"),
    "levers": ("runner/run.py", "import torchao"),
    "trackers": ("runner/run.py", "import wandb"),
}


def lint(copy: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, *options],
        check=False,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_are_kept_in_the_copy(copy: Path) -> None:
    assert lint(copy).returncode == 0


def test_each_contract_has_its_planted_import() -> None:
    assert list(PLANTED) == CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_that_is_broken_fails(copy: Path, contract: str) -> None:
    name, line = PLANTED[contract]
    path = copy / "src/isoflop" / name
    before = path.read_text()
    head = "from __future__ import annotations\n"
    assert head in before
    path.write_text(before.replace(head, f"{head}\n{line}\n", 1))
    try:
        found = lint(copy, "--contract", contract)
    finally:
        path.write_text(before)
    assert found.returncode == 1, found.stdout
    assert "BROKEN" in found.stdout


def test_a_new_package_must_be_given_its_place(copy: Path) -> None:
    path = copy / "src/isoflop/drawer.py"
    path.write_text('"""A module that no layer names."""\n')
    try:
        assert lint(copy, "--contract", "one-way").returncode != 0
    finally:
        path.unlink()
