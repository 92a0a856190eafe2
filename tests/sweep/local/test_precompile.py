"""Steps compiled ahead: which, by how many processes, and that nothing of it can harm a sweep."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.config import Config
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import precompile
from isoflop.sweep.slots import Slots

MakeConfig = Callable[..., Config]
ONE_GPU = Slots(workers=1, threads=1, gpus=1)


def planned(config: Config) -> PlannedRun:
    return PlannedRun(config.run_id, {}, config)


@pytest.fixture
def runs(make_config: MakeConfig) -> tuple[PlannedRun, ...]:
    """Three shapes of two seeds each, the first shape first."""
    return tuple(
        planned(make_config(f"model.width={width}", f"seed={seed}"))
        for width in (32, 16, 8)
        for seed in (0, 1)
    )


def test_one_job_a_shape_but_none_for_what_starts_at_once(runs: tuple[PlannedRun, ...]) -> None:
    made = precompile.jobs(runs, ONE_GPU)
    assert [(config.model.width, number) for config, number in made] == [(16, 2), (8, 2)]
    packed = precompile.jobs(runs, dataclasses.replace(ONE_GPU, workers=2))
    assert [config.model.width for config, _ in packed] == [8]


@pytest.mark.parametrize("slots", [Slots(2, 1, gpus=0), Slots(1, 1, gpus=4, devices=2)])
def test_none_on_a_cpu_and_for_runs_of_several_gpus(slots: Slots, runs: tuple[PlannedRun, ...]) -> None:
    assert precompile.jobs(runs, slots) == ()


@pytest.mark.parametrize("how", ["launch.step=graph", "launch.step=eager", "launch.deterministic=true"])
def test_none_where_nothing_would_be_compiled(how: str, make_config: MakeConfig) -> None:
    some = [planned(make_config(f"model.width={width}", how)) for width in (8, 16)]
    assert precompile.jobs(some, ONE_GPU) == ()
    named = [planned(make_config(f"model.width={w}", "launch.step=compiled_graph")) for w in (8, 16)]
    assert len(precompile.jobs(named, ONE_GPU)) == 1


@pytest.mark.parametrize(
    ("cores", "workers", "number", "expected"),
    [(16, 1, 18, 3), (16, 1, 2, 2), (2, 1, 18, 0), (5, 1, 18, 0), (64, 8, 100, 12), (16, 16, 9, 0)],
)
def test_processes_are_bounded_by_idle_cores(cores: int, workers: int, number: int, expected: int) -> None:
    assert precompile.processes(cores, workers, number) == expected


def endless(pipe: Any, work: Any) -> None:
    """Stands for the compiler: notes that it runs and goes on for ever."""
    (Path(work[0][0].out) / "running").write_text(str(os.getpid()))
    time.sleep(600)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.slow
def test_processes_end_with_the_sweep(
    runs: tuple[PlannedRun, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(precompile, "compile_all", endless)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    noted = tmp_path / "out" / "running"
    with contextlib.suppress(KeyboardInterrupt), precompile.background(runs, ONE_GPU):
        limit = time.monotonic() + 60
        while not (noted.exists() and noted.read_text()) and time.monotonic() < limit:
            time.sleep(0.05)
        pid = int(noted.read_text())
        assert alive(pid)
        raise KeyboardInterrupt
    assert not alive(pid)


@pytest.mark.slow
def test_failures_are_silent(
    runs: tuple[PlannedRun, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Here is no GPU, so that every job fails in its process."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    process, pipe = precompile._start(precompile.jobs(runs, ONE_GPU), 0)
    process.join(120)
    assert process.exitcode == 0
    pipe.close()
    assert capfd.readouterr().err == ""


def test_a_machine_without_processes_to_spare_sweeps_on(
    runs: tuple[PlannedRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: Any) -> Any:
        raise BlockingIOError("fork: no process left")

    monkeypatch.setattr(precompile, "_start", none_left)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    with precompile.background(runs, ONE_GPU):
        pass
