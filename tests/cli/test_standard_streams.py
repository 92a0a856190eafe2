"""Standard output that is closed, full, or read no further."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop.cli import output

pytestmark = pytest.mark.slow
TINY = ("data=digits", "model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1", "out=out")


def isoflop(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a redirection of the shell."""
    command = f'exec "$@" {redirection}'
    shell = ["/bin/sh", "-c", command, "sh", sys.executable, "-m", "isoflop", *arguments]
    return subprocess.run(shell, check=False, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("redirection", [">&-", "<&- >&-"])
def test_a_run_trains_with_standard_output_closed(here: Path, redirection: str) -> None:
    done = isoflop(redirection, "run", *TINY)
    assert (done.returncode, done.stderr) == (output.DONE, "")
    (record,) = (here / "out/records").iterdir()
    assert record.read_bytes().startswith(b"{")


def test_a_sweep_goes_on_where_its_output_cannot_be_written(here: Path) -> None:
    done = isoflop(">/dev/full", "sweep", *TINY[:1], "model.width=4,8", *TINY[2:], "sweep.name=full")
    assert done.returncode == output.DONE
    assert len(list((here / "out/records").iterdir())) == 2
    assert done.stderr == (
        "isoflop: standard output: No space left on device: isoflop status shows what is not printed\n"
    )


def test_a_query_whose_answer_is_lost_has_failed(here: Path) -> None:
    done = isoflop(">/dev/full", "flops", "mlp", "model.width=8", "--input", "1,8,8", "--json", "-")
    assert done.returncode == output.FAILED
    assert done.stderr.startswith("isoflop: standard output: No space left on device: what was asked for")


def test_a_reader_that_has_had_enough_changes_nothing(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "isoflop", "run", *TINY]
        done = subprocess.run(command, check=False, stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (output.DONE, "")
    assert len(list((here / "out/records").iterdir())) == 1
