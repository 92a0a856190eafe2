"""What the tests of sweeps share: running cells in this process's own sweep, and cells that misbehave."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop.record import Record
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import launch, worker
from isoflop.sweep.local.launch import Slots

Collect = Callable[..., dict[str, Record | None]]

TWO = Slots(2, 1, 0)

FRAME = """
import errno, itertools, os, signal, sys, time
from pathlib import Path
from isoflop.sweep.local import worker as child
real_task, real_work = child.run_task, child.work

def work(*arguments):
    child.run_task = run_task
    real_work(*arguments)

def run_task(task, *rest):
    seed, out = task.config.seed, task.config.directory
{body}
    return real_task(task, *rest)
"""


@pytest.fixture
def collect() -> Collect:
    """collect(cells, slots) -> run id -> the last record of each cell, None where another process has it."""

    def run(cells: tuple[Cell, ...], slots: Slots = TWO) -> dict[str, Record | None]:
        seen: dict[str, Record | None] = {}
        launch.run_cells(
            cells, slots, lambda cell, found: seen.update({cell.run_id: found[-1] if found else None})
        )
        return seen

    return run


@pytest.fixture
def misbehave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """misbehave("if seed == 1: sys.exit(3)"): children run this before a cell. Undone by monkeypatch.undo."""

    def make(body: str) -> None:
        lines = "\n".join("    " + line for line in body.strip().splitlines())
        (tmp_path / "misbehaving.py").write_text(FRAME.replace("{body}", lines))
        monkeypatch.syspath_prepend(str(tmp_path))
        import misbehaving  # type: ignore[import-not-found]

        monkeypatch.setattr(worker, "work", misbehaving.work)

    yield make
    sys.modules.pop("misbehaving", None)
