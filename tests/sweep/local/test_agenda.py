"""What each slot of a sweep does next, from runs that only have names and FLOPs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from isoflop.config import Config
from isoflop.sweep import grid
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Agenda, Job, MeterAnchor, MeterIdle, MeterShape, anchor_of
from isoflop.sweep.slots import Slots

MakeConfig = Callable[..., Config]

ONE, TWO = Slots(1, 1, 1), Slots(2, 1, 2)


def runs_of(make_config: MakeConfig, *overrides: str, idle_seconds: int = 10) -> tuple[PlannedRun, ...]:
    """Three shapes of two seeds, the widest first, with FLOPs in proportion to the width."""
    config = make_config("model.width=16,8,4", "seed=0,1", f"meter.idle_seconds={idle_seconds}", *overrides)
    runs = grid.expand(config)
    return tuple(
        dataclasses.replace(run, planned_train_flops=float(run.config.model.width or 0)) for run in runs
    )


def name(job: Job | None) -> str:
    if isinstance(job, PlannedRun):
        return f"w{job.config.model.width} s{job.config.seed}"
    if isinstance(job, MeterShape):
        return f"shape w{job.config.model.width}"
    if isinstance(job, MeterIdle | MeterAnchor):
        return f"{'idle' if isinstance(job, MeterIdle) else 'anchor'} {job.when}"
    return "-"


def step(agenda: Agenda, slot: int, begun: Job | None) -> Job | None:
    """End what the slot has begun, as the pool does, and return what it does next."""
    if isinstance(begun, PlannedRun) and agenda.ended(slot, begun):
        agenda.meter_shape(begun.config)
    return agenda.next(slot)


def all_jobs(agenda: Agenda) -> list[str]:
    names, job = [], agenda.next(0)
    while job is not None:
        names.append(name(job))
        job = step(agenda, 0, job)
    assert not agenda.has_more
    return names


def test_one_gpu_meters_each_shape_after_its_last_run(make_config: MakeConfig) -> None:
    assert all_jobs(Agenda(runs_of(make_config), ONE)) == [
        *("idle first", "w16 s0", "w16 s1", "shape w16", "w8 s0", "w8 s1", "shape w8"),
        *("w4 s0", "w4 s1", "shape w4", "idle last"),
    ]


def test_the_anchor_is_the_middle_shape_first_halfway_and_last(make_config: MakeConfig) -> None:
    runs = runs_of(make_config, idle_seconds=0)
    anchor = anchor_of(runs)
    assert anchor.model.width == 8
    assert all_jobs(Agenda(runs, ONE, anchor=anchor)) == [
        *("anchor first", "w16 s0", "w16 s1", "shape w16", "anchor middle", "w8 s0", "w8 s1", "shape w8"),
        *("w4 s0", "w4 s1", "shape w4", "anchor last"),
    ]


@pytest.mark.parametrize(
    ("slots", "overrides"),
    [(Slots(1, 1, 0), ()), (Slots(4, 1, 1), ()), (ONE, ("meter.energy=none",)), (Slots(1, 1, 2, 2), ())],
)
def test_what_is_not_metered_by_shape_is_runs_alone(
    make_config: MakeConfig, slots: Slots, overrides: tuple[str, ...]
) -> None:
    """On a CPU, on a GPU that runs share, without a meter, with several devices a run."""
    runs = runs_of(make_config, *overrides)
    agenda = Agenda(runs, slots, anchor=anchor_of(runs))
    assert not agenda.meters
    assert all_jobs(agenda) == ["w16 s0", "w16 s1", "w8 s0", "w8 s1", "w4 s0", "w4 s1"]


def test_two_gpus_take_a_shape_each_and_share_the_last(make_config: MakeConfig) -> None:
    agenda = Agenda(runs_of(make_config, idle_seconds=0), TWO)
    one, two = agenda.next(0), agenda.next(1)
    assert (name(one), name(two)) == ("w16 s0", "w8 s0")
    two = step(agenda, 1, two)
    assert name(two) == "w8 s1"
    two = step(agenda, 1, two)
    assert name(two) == "shape w8"
    two = step(agenda, 1, two)
    one = step(agenda, 0, one)
    assert (name(one), name(two)) == ("w16 s1", "w4 s0")
    one = step(agenda, 0, one)
    assert name(one) == "shape w16"
    one = step(agenda, 0, one)
    assert name(one) == "w4 s1", "a free GPU helps with what is left"
    assert name(step(agenda, 1, two)) == "-"
    assert name(step(agenda, 0, one)) == "shape w4"


def test_a_postponed_run_keeps_its_shape_open(make_config: MakeConfig) -> None:
    runs = runs_of(make_config, idle_seconds=0)[:2]
    agenda = Agenda(runs, ONE)
    first = agenda.next(0)
    assert isinstance(first, PlannedRun)
    agenda.postponed(0)
    second = agenda.next(0)
    assert name(second) == "w16 s1"
    assert step(agenda, 0, second) is None
    agenda.put_back(first)
    again = agenda.next(0)
    assert again is first
    assert name(step(agenda, 0, again)) == "shape w16"


def test_a_single_run_has_one_baseline(make_config: MakeConfig) -> None:
    assert all_jobs(Agenda(runs_of(make_config)[:1], ONE)) == ["idle first", "w16 s0", "shape w16"]


def test_a_gpu_without_a_run_has_no_process(make_config: MakeConfig) -> None:
    assert Agenda(runs_of(make_config)[:1], Slots(8, 1, 8)).slots == 1


def test_shapes_alone_are_a_metering_pass(make_config: MakeConfig) -> None:
    runs = runs_of(make_config)
    shapes = [MeterShape(run.config, run.config.shape_id) for run in runs[::2]]
    assert all_jobs(Agenda((), ONE, shapes=shapes)) == [
        *("idle first", "shape w16", "shape w8", "shape w4", "idle last"),
    ]


def test_what_has_not_begun_can_be_dropped(make_config: MakeConfig) -> None:
    agenda = Agenda(runs_of(make_config), ONE)
    agenda.next(0)
    agenda.clear()
    assert not agenda.has_more
