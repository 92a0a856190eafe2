"""What each verb says where an optional package is missing, or broken."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.cli import main

SOURCE = Path(__file__).parents[2] / "src"
TORCH = "torch, which is not installed: pip install 'isoflop[train]'"
VERBS = [
    (["run"], "isoflop run"),
    (["run", "-m", "seed=0,1"], "isoflop run"),
    (["run", "--manifest", "absent.jsonl", "--line", "1"], "isoflop run"),
    (["sweep", "sweep=digits"], "isoflop sweep"),
    (["sweep", "sweep=digits", "--dry-run", "--on", "H200"], "isoflop sweep --dry-run"),
    (["flops", "resnet"], "isoflop flops"),
    (["doctor", "--measure"], "isoflop doctor --measure"),
    (["paper", "all", "--quick", "--out", "paper"], "training"),
]


@pytest.mark.parametrize(("arguments", "subject"), VERBS, ids=[" ".join(verb) for verb, _ in VERBS])
def test_a_verb_that_needs_torch_says_so_and_writes_nothing(
    arguments: list[str],
    subject: str,
    here: Path,
    error_line: Callable[[], str],
    without: Callable[..., None],
) -> None:
    without("torch")
    assert main.main(arguments) == 2
    assert error_line() == f"isoflop: {subject} needs {TORCH}\n"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("arguments", [["wandb", "sweep"], ["wandb", "sweep", "--dry-run"]])
@pytest.mark.parametrize("module", ["wandb", "wandb_workspaces"])
def test_a_missing_package_of_wandb_is_one_line(
    arguments: list[str], module: str, error_line: Callable[[], str], without: Callable[..., None]
) -> None:
    without("wandb", "wandb_workspaces") if module == "wandb" else without(module)
    assert main.main(arguments) == 2
    assert error_line().endswith(", which is not installed: pip install 'isoflop[wandb]'\n")


def test_an_import_that_nobody_foresaw_is_the_same_line(
    monkeypatch: pytest.MonkeyPatch, without: Callable[..., None], error_line: Callable[[], str]
) -> None:
    from isoflop.sweep import status

    without("torch")
    monkeypatch.setattr(status, "read_status", lambda directory: importlib.import_module("torch.absent"))
    assert main.main(["status", "sweep"]) == 2
    assert error_line() == f"isoflop: isoflop status needs {TORCH}\n"


def test_doctor_says_what_is_missing_and_goes_on(
    capsys: pytest.CaptureFixture[str], without: Callable[..., None]
) -> None:
    without("torch")
    assert main.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"no   training  training needs {TORCH}" in said
    assert f"no   FLOPs     counting FLOPs needs {TORCH}" in said
    assert "results" in said


BROKEN = {
    "a library is missing": (
        "raise ImportError('libcudart.so.99: cannot open shared object file')",
        "libcudart",
    ),
    "a part is missing": ("import torch._C", "torch._C"),
    "what it needs is missing": ("import something_that_is_missing", "something_that_is_missing"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("command", ["run out=out", "sweep sweep=digits out=out", "flops resnet"])
def test_a_broken_torch_is_not_called_missing(tmp_path: Path, name: str, command: str) -> None:
    source, said = BROKEN[name]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(f"{source}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "isoflop", *command.split()],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{SOURCE}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert said in ended.stderr
    assert "not installed" not in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
