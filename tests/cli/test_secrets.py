"""No key reaches a file of the sweep's folder, and its files follow the umask."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.runner import attempt

TINY = ("data=digits", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
OF_ENVIRONMENT, OF_COMMAND, OF_ERROR = "f00dfeed" * 5, "correct-horse-1", "0ddba11" * 4


def files_with(folder: Path, text: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.mark.slow
def test_no_key_of_environment_command_or_error_reaches_a_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", OF_ENVIRONMENT)
    monkeypatch.setenv("HUB_TOKEN", OF_ENVIRONMENT[::-1])
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--token", OF_COMMAND, f"--note={OF_ENVIRONMENT}", "--lr=1"]
    )
    for width in (8, 16, 32):
        assert main.main(["run", *TINY, f"model.width={width}", "out=swept"]) == 0
    done = set((here / "swept/records").iterdir())

    def refuse(*arguments: Any) -> None:
        raise RuntimeError(f"GET https://me:{OF_ERROR}@host failed with {OF_ENVIRONMENT[::-1]}")

    monkeypatch.setattr(attempt, "train_and_meter", refuse)
    assert main.main(["run", *TINY, "model.width=64", "out=swept"]) == output.FAILED
    (failed,) = set((here / "swept/records").iterdir()) - done
    record = records.read(failed)
    assert (record.state, record.provenance.command) == (
        "failed",
        "train.py --token REDACTED --note=REDACTED --lr=1",
    )
    assert record.reason is not None
    assert "https://me:REDACTED@host failed with REDACTED" in record.reason
    assert "REDACTED" in (here / f"swept/logs/{record.run_id}.log").read_text()
    assert main.main(["report", "swept"]) == 0
    assert "train.py --token REDACTED" in (here / "swept/index.html").read_text()
    for secret in (OF_ENVIRONMENT, OF_ENVIRONMENT[::-1], OF_COMMAND, OF_ERROR):
        assert files_with(here / "swept", secret) == []


def test_a_metered_command_is_shown_without_its_keys(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--", sys.executable, "-c", "pass", "--token", OF_COMMAND]
    assert main.main(["meter", "--json", str(here / "metered.json"), *command]) == 0
    assert "REDACTED" in (here / "metered.json").read_text()
    assert files_with(here, OF_COMMAND) == []
    assert OF_COMMAND not in capsys.readouterr().err


@pytest.mark.parametrize(
    "setting",
    [f"setup=['export WANDB_API_KEY={OF_ENVIRONMENT}']", f"options=['--export=ALL,HF_TOKEN={OF_COMMAND}']"],
)
def test_a_key_in_the_lines_of_a_job_is_refused(
    here: Path, error_line: Callable[[], str], setting: str
) -> None:
    assert main.main(["sweep", *TINY, "launch=slurm", f"launch.slurm.{setting}"]) == output.INPUT
    said = error_line()
    assert setting.partition("=")[0] in said
    assert "key or a password" in said
    assert OF_ENVIRONMENT not in said
    assert OF_COMMAND not in said


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_every_file_of_a_sweep_follows_the_umask(here: Path, umask: int) -> None:
    # In a process of its own: the fork server of this one, from an earlier test, keeps its first umask.
    command = [sys.executable, "-m", "isoflop", "sweep", *TINY, "model.width=4,8", "sweep.name=shared"]
    command += ["out=shared", "launch.checkpoint_seconds=0.01", "tracker=tensorboard"]
    subprocess.run(command, check=True, umask=umask, capture_output=True)
    found = [here / "shared", *(here / "shared").rglob("*")]
    assert len(found) > 10
    for path in found:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
