"""Planning says how far it is while it counts: from the child, through the pipe, to whoever looks on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop.config import Config, ConfigError
from isoflop.sweep import children, grid, planning

pytestmark = pytest.mark.slow

TELLING = """
import time
from isoflop.sweep import children, planning

def count_to(end, seconds):
    for number in range(end):
        children.tell_done(number)
        time.sleep(seconds)
    return end

def fail_after(end):
    count_to(end, children.TELL_SECONDS)
    raise ValueError("bad input")
"""


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module whose functions tell how far they are, which a child can import."""
    (tmp_path / "telling.py").write_text(TELLING)
    monkeypatch.syspath_prepend(str(tmp_path))
    import telling  # type: ignore[import-not-found]

    yield telling
    sys.modules.pop("telling", None)


def test_a_child_tells_how_far_it_is_and_then_what_it_returns(telling: Any) -> None:
    seen: list[int] = []
    pause = 2 * children.TELL_SECONDS
    assert children.call_in_child("counting", telling.count_to, 4, pause, on_done=seen.append) == 4
    assert seen == [0, 1, 2, 3]
    seen.clear()
    assert children.call_in_child("counting", telling.count_to, 200, 0.0, on_done=seen.append) == 200
    assert seen[0] == 0
    assert len(seen) < 200, "messages are at least TELL_SECONDS apart"


def test_a_child_that_fails_after_telling_is_still_the_inputs_fault(telling: Any) -> None:
    with pytest.raises(ConfigError, match="bad input"):
        children.call_in_child("counting", telling.fail_after, 2)


def test_nobody_is_told_outside_a_child() -> None:
    children.tell_done(3)


def test_planning_counts_runs(make_config: Callable[..., Config]) -> None:
    runs = grid.expand(make_config("model.width=4,8", "seed=0,1"))
    seen: list[int] = []
    planned, _ = planning.plan(runs, seen.append)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] < len(runs)
    assert all(run.planned_train_flops for run in planned)
