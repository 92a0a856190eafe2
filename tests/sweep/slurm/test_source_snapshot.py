from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop.runner import provenance
from isoflop.sweep.slurm import source_snapshot


def loaded_from(folder: Path, at: Path) -> str:
    """Return the isoflop that a job with `folder` in PYTHONPATH imports, and its folder of settings."""
    program = (
        "from isoflop.config import compose; import isoflop; print(isoflop.__file__, compose.conf_dir())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=at,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_jobs_run_the_copy_and_not_the_source(tmp_path: Path) -> None:
    folder = source_snapshot.take(tmp_path / "a sweep")
    assert folder.parent == tmp_path / "a sweep/source"
    package = folder / "isoflop"
    assert (
        loaded_from(folder, source_snapshot._package().parent)
        == f"{package / '__init__.py'} {package / 'conf'}"
    )
    assert (package / "slurm/array.sbatch").is_file()
    assert (package / "report/page.css").is_file()


def test_a_copy_is_made_once_and_anew_when_the_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = source_snapshot.take(tmp_path)
    before = (first / "isoflop/cli/main.py").stat()
    assert source_snapshot.take(tmp_path) == first
    assert (first / "isoflop/cli/main.py").stat() == before
    files = dict(source_snapshot._files())
    edited = tmp_path / "run.py"
    edited.write_text("changed")
    monkeypatch.setattr(source_snapshot, "_files", lambda: (files | {"runner/attempt.py": edited}).items())
    second = source_snapshot.take(tmp_path)
    assert second != first
    assert (second / "isoflop/runner/attempt.py").read_text() == "changed"
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_the_copy_remembers_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "git_state", lambda: ("abc", True))
    folder = source_snapshot.take(tmp_path)
    assert json.loads((folder / "isoflop/origin.json").read_text()) == {"git_commit": "abc", "dirty": True}
    monkeypatch.setattr(provenance, "git_state", lambda: ("abd", True))
    assert source_snapshot.take(tmp_path) != folder


def test_code_of_a_copy_is_its_own_copy(tmp_path: Path) -> None:
    folder = source_snapshot.take(tmp_path)
    program = "import pathlib, isoflop.sweep.slurm.source_snapshot as s; print(s.take(pathlib.Path('x')))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(folder)
    assert not (tmp_path / "x").exists()
