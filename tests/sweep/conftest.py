"""Fixtures of the sweep tests: executing runs from this process, and workers that misbehave."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop.record import Record
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, worker
from isoflop.sweep.local.launch import Slots

Collect = Callable[..., dict[str, Record | None]]

TWO = Slots(2, 1, 0)

FRAME = """
import errno, itertools, os, signal, sys, time
from pathlib import Path
from isoflop.sweep.local import worker as child
real_execute, real_serve = child.execute, child.serve

def serve(*arguments):
    child.execute = execute
{setup}
    real_serve(*arguments)

def execute(assignment, *rest):
    seed, out = assignment.config.seed, assignment.config.directory
{body}
    return real_execute(assignment, *rest)
"""


@pytest.fixture
def collect() -> Collect:
    """collect(runs, slots) maps run ids to the last record of each run, None if another process has it."""

    def execute(runs: tuple[PlannedRun, ...], slots: Slots = TWO) -> dict[str, Record | None]:
        last: dict[str, Record | None] = {}
        launch.run_all(
            runs, slots, lambda run, written: last.update({run.run_id: written[-1] if written else None})
        )
        return last

    return execute


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def misbehave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """misbehave("if seed == 1: sys.exit(3)"): workers do this before each run, and `setup` as they start.

    monkeypatch.undo takes it back.
    """

    def indented(lines: str) -> str:
        return "\n".join("    " + line for line in lines.strip().splitlines())

    def make(body: str, setup: str = "pass") -> None:
        frame = FRAME.replace("{body}", indented(body)).replace("{setup}", indented(setup))
        (tmp_path / "misbehaving.py").write_text(frame)
        monkeypatch.syspath_prepend(str(tmp_path))
        import misbehaving  # type: ignore[import-not-found]

        monkeypatch.setattr(worker, "serve", misbehaving.serve)

    yield make
    sys.modules.pop("misbehaving", None)
