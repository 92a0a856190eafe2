"""Models that a factory of the user's builds: from a file, from a package, with a command line at import."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main, output
from isoflop.meter.flops import user_model

pytestmark = pytest.mark.slow

MODEL = "from torch import nn\ndef build(): return nn.Linear(8, WIDTH)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.split(".")[0].startswith(("isoflop_user_", "pkg_", "loose_", "one_")):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def width(name: str) -> int:
    model: Any = user_model.load(name, {"classes": 10}).model
    return int(model.out_features)


ARGUMENTS = "import argparse\nfrom torch import nn\np = argparse.ArgumentParser()\n"


def test_a_command_line_read_at_import_gives_its_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ARGUMENTS + 'p.add_argument("--width", type=int, default=64)\nWIDTH = p.parse_args().width\n'
    write(folder / "own.py", text + MODEL)
    arguments = ["isoflop", "flops", "own.py:build", "--input", "8"]
    monkeypatch.setattr(sys, "argv", arguments)
    loaded: Any = user_model.load("own.py:build", {"classes": 10})
    assert loaded.model.out_features == 64
    assert loaded.notes == ("own.py reads the command line: it was given none, so that its defaults count",)
    assert sys.argv is arguments
    write(folder / "plain.py", "WIDTH = 3\n" + MODEL)
    assert user_model.load("plain.py:build", {"classes": 10}).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ARGUMENTS + 'p.add_argument("--data", required=True)\np.parse_args()\n',
            "arguments are required: --data",
        ),
        ("import sys\nsys.exit(3)\n", "own.py ended the process (3)"),
    ],
)
def test_a_file_that_ends_the_process_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    write(folder / "own.py", text)
    assert main.main(["flops", "own.py:build", "--input", "8"]) == output.INPUT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("isoflop: own.py ended the process")
    assert message in lines[0]


def test_a_forward_pass_that_ends_the_process_is_unknown(folder: Path) -> None:
    text = "import sys\nfrom torch import nn\nclass Net(nn.Module):\n    def forward(self, x): sys.exit(4)\n"
    write(folder / "own.py", text)
    assert main.main(["flops", "own.py:Net", "--input", "8"]) == output.FAILED


@pytest.mark.parametrize("marked", [True, False], ids=["package", "folder"])
def test_relative_imports(folder: Path, marked: bool) -> None:
    top = f"pkg_{marked}"
    for name in (top, f"{top}/models", f"{top}/sizes") if marked else ():
        write(folder / name / "__init__.py", "")
    write(folder / top / "sizes" / "small.py", "WIDTH = 5\n")
    write(folder / top / "models" / "beside.py", "MORE = 2\n")
    text = "from ..sizes.small import WIDTH\nfrom . import beside\nWIDTH += beside.MORE\n"
    write(folder / top / "models" / "net.py", text + MODEL)
    assert width(f"{top}/models/net.py:build") == 7
    assert width(f"{top}.models.net:build") == 7
    assert str(folder) not in sys.path


def test_modules_of_one_name_are_told_apart(folder: Path) -> None:
    write(folder / "first" / "one_pkg" / "sizes.py", "WIDTH = 5\n")
    write(folder / "first" / "one_pkg" / "net.py", "from .sizes import WIDTH\n" + MODEL)
    write(folder / "second" / "one_pkg" / "sizes.py", "WIDTH = 6\n")
    write(folder / "second" / "one_pkg" / "net.py", "from .sizes import WIDTH\n" + MODEL)
    assert width("first/one_pkg/net.py:build") == 5
    assert width("second/one_pkg/net.py:build") == 6
    assert width("first/one_pkg/net.py:build") == 5


def test_a_module_by_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "loose_net.py", "WIDTH = 9\n" + MODEL)
    assert main.main(["flops", "loose_net:build", "--input", "8", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["forward_macs_per_example"] == 8 * 9
    write(folder / "loose_broken.py", "import nowhere_to_be_found\n")
    for name, message in {
        "loose_absent:build": "loose_absent: there is no module loose_absent: give path/to/file.py:function",
        "loose_net.sub:build": "loose_net.sub",
        "loose_broken:build": "loose_broken.py raised ModuleNotFoundError: No module named 'nowhere_to_",
        "loose_net:nothing": "there is no function nothing in it",
    }.items():
        assert main.main(["flops", name, "--input", "8"]) == output.INPUT
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_lazy_layers_are_counted_with_their_parameters(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lazy = "from torch import nn\ndef build(): return nn.Sequential(nn.LazyLinear(16), nn.LazyLinear(4))\n"
    write(folder / "own.py", lazy)
    assert main.main(["flops", "own.py:build", "--input", "8", "--json", "-"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert ledger["forward_macs_per_example"] == 8 * 16 + 16 * 4
    assert ledger["parameters"] == 8 * 16 + 16 + 16 * 4 + 4
    write(folder / "odd.py", "from torch import nn\ndef build(): return nn.LazyConv2d(4, 3)\n")
    assert main.main(["flops", "odd.py:build", "--input", "8"]) == output.INPUT
    assert "odd.py:build: its lazy layers cannot take --input (8,)" in capsys.readouterr().err


def test_notes_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import random\nfrom torch import nn\nclass Net(nn.Linear):\n"
    text += "    def __init__(self): super().__init__(8, 3)\n"
    text += "    def forward(self, x): return super().forward(x) * random.random()\n"
    write(folder / "own.py", text)
    assert main.main(["flops", "own.py:Net", "--input", "8"]) == 0
    shown = capsys.readouterr().out
    assert "note: training draws from Python's generator: 32 seeds cost the same" in shown
