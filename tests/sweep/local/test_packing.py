"""Number of runs on one GPU; processes on the CPU stand in for those on a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.launch import SHARED_GPU
from isoflop.record import Record
from isoflop.sweep import grid
from isoflop.sweep.local import packing
from isoflop.sweep.local.launch import Slots

MakeConfig = Callable[..., Config]


@pytest.mark.parametrize(
    ("rates", "number"),
    [
        ({}, 1),
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 114.0}, 1),
        ({1: 100.0, 2: 115.0, 4: 130.0}, 2),
        ({1: 100.0, 2: 190.0, 4: 300.0, 8: 360.0}, 8),
        ({1: 100.0, 2: 190.0, 8: 900.0}, 2),
    ],
)
def test_the_best_count_is_the_last_doubling_that_pays(rates: Mapping[int, float], number: int) -> None:
    assert packing.best_count(rates) == number


def test_a_configured_number_needs_no_probe(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "measure_rates", None)
    runs = grid.expand(make_config("seed=0,1,2,3"))
    launch = runs[0].config.launch
    assert packing.choose_slots(dataclasses.replace(launch, per_gpu=3), 2, runs).workers == 6
    auto = dataclasses.replace(launch, per_gpu="auto")
    assert packing.choose_slots(auto, 0, runs).gpus == 0, "on a CPU there is nothing to find"
    assert packing.choose_slots(dataclasses.replace(auto, workers=5), 1, runs).workers == 5


def test_auto_takes_the_best_count_and_reports_the_rates(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits: list[int] = []

    def measure_rates(runs: object, *, most: int) -> dict[int, float]:
        limits.append(most)
        return {1: 1000.0, 2: 1900.0, 4: 2000.0}

    monkeypatch.setattr(packing, "measure_rates", measure_rates)
    runs = grid.expand(make_config("seed=0,1,2,3,4,5,6"))
    auto = dataclasses.replace(runs[0].config.launch, per_gpu="auto")
    assert packing.choose_slots(auto, 2, runs) == Slots(4, 1, 2)
    assert limits == [3], "seven runs on two GPUs: at most three at a time on each"
    assert (
        "2 at a time on a GPU (examples/s by number: 1: 1,000, 2: 1,900, 4: 2,000)" in capsys.readouterr().err
    )


def test_the_probe_trains_in_so_many_processes_at_once(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(packing, "MIN_SPEEDUP", 0.0)
    runs = grid.expand(make_config("model.width=16,8,4"))
    rates = packing.measure_rates(runs, most=3)
    assert list(rates) == [1, 2], "4 is more than the limit"
    assert all(rate > 0 for rate in rates.values())
    assert not runs[0].config.directory.exists(), "nothing is recorded"


def test_the_probe_ends_when_a_process_fails(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PROBE_SECONDS", 0.2)
    (good, bad) = grid.expand(make_config("optim.batch_size=32,900"))
    assert packing.measure_rates((good, bad), most=8) == {}
    assert list(packing.measure_rates((good, good), most=1)) == [1]


def test_memory_limits_the_number(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest run fills a third of the GPU: two fit."""
    grow, seen = packing.PackingProbe.grow_to, []

    def crowded(self: packing.PackingProbe, number: int) -> float | None:
        seen.append(number)
        return 1 / 3 if grow(self, number) is not None else None

    monkeypatch.setattr(packing.PackingProbe, "grow_to", crowded)
    monkeypatch.setattr(packing.PackingProbe, "rate", lambda self: 10.0 ** len(self._pipes))
    runs = grid.expand(make_config("model.width=8,4"))
    assert list(packing.measure_rates(runs, most=8)) == [1, 2]


def test_packed_runs_have_unknown_joules_for_that_reason(
    make_config: MakeConfig, collect: Callable[..., dict[str, Record | None]]
) -> None:
    runs = grid.expand(make_config("seed=0,1"))
    for record in collect(runs, Slots(2, 1, 1)).values():
        assert record is not None
        assert record.state == "done"
        assert (record.energy, record.energy_reason) == (None, SHARED_GPU)
        assert (record.spent.joules, record.spent.joules_reason) == (None, SHARED_GPU)
        assert {point.energy_joules_reason for point in record.curve} == {SHARED_GPU}
        assert records.read(records.path_of(runs[0].config.directory, record.run_id)) == record
