"""Sweeps over code of the user's own: its runs execute copies, wherever and whenever they run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import ConfigError, compose, from_dict
from isoflop.config.user_code import copies, load, locate
from isoflop.sweep import grid, manifest, user_copies
from isoflop.table import aggregate

LAYERS = "from torch import nn\nclass Linear(nn.Linear):\n    pass\n"
NET = """
from torch import nn
from layers import Linear

def build(width, image_shape, classes):
    return nn.Sequential(nn.Flatten(), Linear(16, width), nn.ReLU(), Linear(width, classes))

def lazy(image_shape, classes, width=None):
    import deeper.late
    return deeper.late.build(width, classes)

def flat(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))

def same(width, image_shape, classes):
    return flat(image_shape, classes)
"""
LATE = """
from torch import nn

def build(width, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
"""
DATA = """
import json
from pathlib import Path
import numpy as np

def load():
    shift = json.loads((Path(__file__).parent / "shift.json").read_text())
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=120)
    images = draw.standard_normal((120, 1, 4, 4)) + shift * labels[:, None, None, None]
    return {"train_x": images[:80], "train_y": labels[:80], "test_x": images[80:], "test_y": labels[80:]}
"""
WORDS = (
    *(
        "model=custom",
        "model.path=net.py:build",
        "data=custom",
        "data.path=data.py:load",
        "optim.batch_size=16",
    ),
    *("schedule.epochs=2", "launch.threads=1", "meter.energy=none", "sweep.name=mine"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the user's files in it."""
    (tmp_path / "mine/deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    files = {"net.py": NET, "layers.py": LAYERS, "data.py": DATA, "shift.json": "2", "deeper/late.py": LATE}
    for name, text in files.items():
        (tmp_path / "mine" / name).write_text(text)
    return tmp_path / "mine"


def break_everything(folder: Path) -> None:
    """Change the user's files beyond use, as an edit between submission and start would."""
    for name in ("net.py", "layers.py", "data.py"):
        (folder / name).write_text("raise RuntimeError('edited')\n")


@pytest.mark.slow
def test_a_sweep_over_widths_of_ones_own_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", *WORDS, "model.width=2,4,8", "launch.workers=1", "out=out"]
    assert main.main(words) == 0
    assert re.search(r"net\.build\b[^\n]*(\n\s*)?\bw8", capsys.readouterr().out), (
        "a narrow terminal folds the label"
    )
    rows = aggregate.aggregate(folder / "out").rows
    assert list(rows["label"]) == ["net.build w2", "net.build w4", "net.build w8"]
    assert set(rows["family"]) == set(rows["architecture"]) == {"net.build"}
    hand = [2 * (3 * (16 * w + 3 * w) - 16 * w) * 2 * (72 // 16) * 16 * 1e-9 for w in (2, 4, 8)]
    assert list(rows["train_gflops"]) == pytest.approx(hand, rel=1e-12)
    assert main.main(words) == 0
    assert "3 runs, 0 to run" in capsys.readouterr().out
    # Two of the user's networks are two groups.
    other = [*words[:-3], "model.path=net.py:lazy", "model.width=null", "seed=0,1", *words[-2:]]
    assert main.main(other) == 0
    assert set(aggregate.aggregate(folder / "out").rows["family"]) == {"net.build", "net.lazy"}


@pytest.mark.slow
def test_a_width_that_is_not_used_is_refused_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", *WORDS, "model.path=net.py:same", "out=out"]
    message = "model.width: net.same builds the same network of 51 parameters for 2, 4: have it use width"
    for option in ("--dry-run", "launch.workers=1"):
        assert main.main([*words, "model.width=2,4", option]) == 2
        assert message in capsys.readouterr().err
    assert main.main(["sweep", *WORDS, "model.path=net.py:flat", "model.width=2,4", "out=out"]) == 2
    assert "net.py:flat takes no argument width: set model.width to null" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("sbatch_calls")
def test_queued_tasks_run_what_was_submitted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["sweep", *WORDS, "launch=slurm", "model.width=2,4", "launch.device=cpu", f"out={tmp_path}/out"]
    assert main.main(words) == 0
    runs = manifest.read_runs(tmp_path / "out/slurm/1.jsonl")
    copied = {Path(run.config.model.path or "").parent for run in runs}
    assert {path.parent for path in copied} == {tmp_path / "out/source"}
    (copy,) = copied
    assert sorted(path.name for path in copy.iterdir()) == ["deeper", locate.MARKER, "layers.py", "net.py"]
    break_everything(folder)
    monkeypatch.chdir(tmp_path)
    assert main.main(["run", "--manifest", "out/slurm/1.jsonl", "--line", "1"]) == 0
    record = records.read(records.path_of(tmp_path / "out", runs[0].run_id))
    assert record.state == "done"
    assert record.model.architecture == "net.build"
    assert sorted(record.provenance.user_files["model"]) == ["deeper/late.py", "layers.py", "net.py"]


@pytest.mark.slow
@pytest.mark.usefixtures("sbatch_calls")
def test_the_second_stage_runs_what_the_first_was_submitted_with(folder: Path, tmp_path: Path) -> None:
    words = [word for word in WORDS if not word.startswith("model.path")]
    words += ["model.path=net.py:build,net.py:lazy", "model.width=2", "sweep.lr_grid=[1,2]"]
    assert main.main(["sweep", *words, "launch=slurm", "launch.device=cpu", f"out={tmp_path}/out"]) == 0
    trials = manifest.read_runs(tmp_path / "out/tuning/slurm/1.jsonl")
    break_everything(folder)
    stage = json.loads((tmp_path / "out/tuning/slurm/1.json").read_text())["sweep"]
    again = grid.expand(from_dict(stage))
    assert {run.config.config_id for run in again} <= {run.config.config_id for run in trials}
    assert len(again) == 2
    assert all(str(tmp_path / "out/source") in (run.config.model.path or "") for run in again)


def test_a_copy_is_executed_as_if_it_lay_where_it_was_copied_from(folder: Path, tmp_path: Path) -> None:
    config = compose.compose_config([*WORDS, "model.width=2", "out=out"], None)
    assert config.data.path is not None
    assert config.data.sha256 is not None
    path = copies.copy(config.data.path, config.data.sha256, tmp_path / "out")
    assert path == copies.copy(path, config.data.sha256, tmp_path / "other"), "of a copy none is made"
    break_everything(folder)
    loaded = load.load(path, config.data.sha256)
    assert loaded.function.__globals__["__file__"] == str(folder / "data.py")
    assert load.call(loaded, {}, {})["train_y"].shape == (80,)
    with pytest.raises(ConfigError, match=r"data.py has changed since the command was given"):
        copies.copy(config.data.path, config.data.sha256, tmp_path / "out")
    (folder / "data.py").unlink()
    assert load.call(load.load(path), {}, {})["train_y"].shape == (80,)


def test_modules_by_name_are_copied_too_and_installed_ones_are_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder / "parts"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner/layers.py").write_text("WIDTH = 7\n")
    (package / "net.py").write_text("from parts.inner import layers\ndef width(): return layers.WIDTH\n")
    (package / "near.py").write_text("from .inner.layers import WIDTH\ndef width(): return WIDTH\n")
    for text in ("parts.net:width", "parts/near.py:width", f"{folder}/parts.net:width"):
        located = locate.locate(text)
        path = copies.copy(locate.absolute(located), located.sha256, tmp_path / "out")
        (package / "inner/layers.py").write_text("WIDTH = 8\n")
        monkeypatch.chdir(tmp_path)
        assert load.call(load.load(path), {}, {}) == 7, text
        monkeypatch.chdir(folder)
        assert load.call(load.load(text), {}, {}) == 8, "an edit is seen by a new command"
        (package / "inner/layers.py").write_text("WIDTH = 7\n")
    assert copies.copy("json:dumps", locate.locate("json:dumps").sha256, tmp_path / "out") == "json:dumps"


def test_pinning_changes_no_id(folder: Path, tmp_path: Path) -> None:
    base = compose.compose_config(
        [*WORDS, "model.width=2", "model.path=net.py:build,net.py:lazy", f"out={tmp_path}/out"], None
    )
    runs = grid.expand(base)
    pinned = user_copies.pin(runs, base.directory)
    assert [run.run_id for run in runs] == [run.config.run_id for run in pinned]
    assert user_copies.pin(pinned, tmp_path / "other") == pinned
    assert not (tmp_path / "other").exists()
    again = grid.expand(user_copies.pin_base(base, base.directory))
    assert [(run.run_id, run.config.model.path) for run in again] == [
        (run.run_id, run.config.model.path) for run in pinned
    ]


def test_paths_are_relative_to_where_the_command_was_typed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose.compose_config(
        [*WORDS, "model.width=2", "sweep.points=[{model.path: net.py:lazy}]"], None
    )
    monkeypatch.chdir(tmp_path)
    (run,) = grid.expand(config)
    assert run.config.model.path == f"{folder}/net.py:lazy"
    assert run.config.data.path == f"{folder}/data.py:load"


@pytest.mark.torch
def test_a_multirun_that_changes_folder_finds_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "-m", *WORDS[:-1], "model.width=2,3", "hydra.job.chdir=true", f"out={folder}/out"]
    assert main.main(words) == 0
    assert len(list((folder / "out/records").iterdir())) == 2
