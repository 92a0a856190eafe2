"""How many cells go on one GPU; processes on the CPU stand in for those on a GPU."""

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
def test_packing_goes_on_while_doubling_pays(rates: Mapping[int, float], number: int) -> None:
    assert packing.chosen(rates) == number


def test_a_number_that_is_given_is_taken(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "probe", None)
    cells = grid.expand(make_config("seed=0,1,2,3"))
    launch = cells[0].config.launch
    assert packing.slots(dataclasses.replace(launch, per_gpu=3), 2, cells).workers == 6
    auto = dataclasses.replace(launch, per_gpu="auto")
    assert packing.slots(auto, 0, cells).gpus == 0, "on a CPU there is nothing to find"
    assert packing.slots(dataclasses.replace(auto, workers=5), 1, cells).workers == 5


def test_auto_takes_what_the_probe_finds_and_says_so(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def probe(cells: object, *, most: int) -> dict[int, float]:
        asked.append(most)
        return {1: 1000.0, 2: 1900.0, 4: 2000.0}

    monkeypatch.setattr(packing, "probe", probe)
    cells = grid.expand(make_config("seed=0,1,2,3,4,5,6"))
    auto = dataclasses.replace(cells[0].config.launch, per_gpu="auto")
    assert packing.slots(auto, 2, cells) == Slots(4, 1, 2)
    assert asked == [3], "seven cells on two GPUs: at most three at a time on each"
    assert (
        "2 at a time on a GPU (examples/s by number: 1: 1,000, 2: 1,900, 4: 2,000)" in capsys.readouterr().err
    )


def test_the_probe_trains_in_so_many_processes_at_once(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(packing, "PAYS", 0.0)
    cells = grid.expand(make_config("model.width=16,8,4"))
    rates = packing.probe(cells, most=3)
    assert list(rates) == [1, 2], "4 would be more than asked for"
    assert all(rate > 0 for rate in rates.values())
    assert not cells[0].config.directory.exists(), "nothing is recorded"


def test_the_probe_ends_where_a_process_cannot_be(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PROBE_SECONDS", 0.2)
    (good, bad) = grid.expand(make_config("optim.batch_size=32,900"))
    assert packing.probe((good, bad), most=8) == {}
    assert list(packing.probe((good, good), most=1)) == [1]


def test_memory_limits_the_number(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest cell fills a third of the GPU: two fit."""
    grow, seen = packing.Probe.grow_to, []

    def crowded(self: packing.Probe, number: int) -> float | None:
        seen.append(number)
        return 1 / 3 if grow(self, number) is not None else None

    monkeypatch.setattr(packing.Probe, "grow_to", crowded)
    monkeypatch.setattr(packing.Probe, "rate", lambda self: 10.0 ** len(self._pipes))
    cells = grid.expand(make_config("model.width=8,4"))
    assert list(packing.probe(cells, most=8)) == [1, 2]


def test_packed_cells_have_unknown_joules_for_that_reason(
    make_config: MakeConfig, collect: Callable[..., dict[str, Record | None]]
) -> None:
    cells = grid.expand(make_config("seed=0,1"))
    for found in collect(cells, Slots(2, 1, 1)).values():
        assert found is not None
        assert found.state == "done"
        assert (found.energy, found.energy_reason) == (None, SHARED_GPU)
        assert (found.spent.joules, found.spent.joules_reason) == (None, SHARED_GPU)
        assert {point.energy_joules_reason for point in found.curve} == {SHARED_GPU}
        assert records.read(records.path_of(cells[0].config.directory, found.run_id)) == found
