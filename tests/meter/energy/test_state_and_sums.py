"""A GPU's state, the cost of edges, and figures of a shape: each from numbers that are set here."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from isoflop.meter.energy import blocks, gpu_state, rapl
from isoflop.meter.energy.device_reading import (
    SourceReading,
    gaps_of,
    idle_power,
    measure_counter,
    nullable_fields,
    read_device,
    sum_known,
)
from isoflop.meter.energy.energy_meter import Measurement
from isoflop.meter.energy.gpu_state import GpuState
from isoflop.meter.energy.grade import GpuEvidence
from isoflop.meter.energy.measurement import (
    Circumstances,
    choose_source,
    combine,
    combine_processors,
    modelled,
    processor_joules,
)
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Window
from isoflop.meter.energy.shape_energy import ShapeEnergy

WINDOW = Window(10.0, 30.0)
TIMES = np.arange(0, 40, 0.1)


def trace_of(uuid: str = "a", watts: float = 300.0, **changed: Any) -> DeviceTrace:
    read = (watts + np.sin(TIMES)).tolist()
    trace = DeviceTrace(uuid, "NVIDIA Stub", "field", TIMES.tolist(), read, TIMES.tolist())
    trace.joules = (1e5 + watts * TIMES).tolist()
    return dataclasses.replace(trace, **changed)


def state_at(time: float, **changed: Any) -> StatePoll:
    plain = StatePoll(time, 60.0, 1400.0, (), 400.0, 1, 0.9)
    return dataclasses.replace(plain, **changed)


# ---- state


@pytest.mark.parametrize(
    ("begin", "end", "drift"),
    [(60.0, 75.0, 15.0), (75.0, 60.0, -15.0), (None, 60.0, None), (60.0, None, None)],
)
def test_the_drift_is_from_the_beginning_to_the_end(
    begin: float | None, end: float | None, drift: float | None
) -> None:
    state = GpuState("why", temperature_begin_celsius=begin, temperature_end_celsius=end)
    assert state.drift_celsius == drift


def test_a_state_is_summed_up_over_the_polls_inside_the_windows() -> None:
    states = [
        state_at(9.0, celsius=50.0, throttle=("HwSlowdown",), processes=9),
        state_at(12.0, celsius=60.0, sm_clock_mhz=1200.0, throttle=("SwPowerCap", "GpuIdle"), processes=2),
        state_at(
            20.0, celsius=70.0, sm_clock_mhz=None, throttle=None, power_limit_watts=None, processes=None
        ),
        state_at(25.0, celsius=None, sm_clock_mhz=1300.0, throttle=("GpuIdle",), power_limit_watts=350.0),
        state_at(29.0, celsius=80.0, sm_clock_mhz=1400.0, throttle=("SwPowerCap", "SyncBoost"), processes=3),
    ]
    state = gpu_state.summarise(trace_of(states=states), [WINDOW])
    assert (state.temperature_begin_celsius, state.temperature_end_celsius) == (50.0, 80.0)
    assert state.sm_clock_mhz == pytest.approx(1300)
    assert state.power_limits_watts == (400.0, 350.0)
    assert state.throttled["SwPowerCap"] == pytest.approx(2 / 3)
    assert state.throttled["SyncBoost"] == pytest.approx(1 / 3)
    assert (state.throttled["HwSlowdown"], "GpuIdle" in state.throttled) == (0, False)
    assert state.throttled_share == pytest.approx(2 / 3)
    assert (state.compute_processes, state.reason) == (3, "the GPU does not report it")
    assert (state.stuck_share, state.repeated_share) == (0, 0)


def test_without_polls_nearby_the_state_is_unknown_for_a_reason() -> None:
    far = gpu_state.summarise(trace_of(states=[state_at(33.1)]), [WINDOW])
    assert (far.reason, far.sm_clock_mhz) == ("the GPU's state was not read near the window", None)
    processor = gpu_state.summarise(trace_of(power_field=rapl.FIELD), [WINDOW])
    assert processor.reason == "only GPUs have it"
    assert gpu_state.summarise(trace_of(), [WINDOW]).throttled_share is None
    near = gpu_state.summarise(trace_of(states=[state_at(33.0), state_at(5.0)]), [WINDOW])
    assert near.sm_clock_mhz == 1400, "three seconds away"
    silent = gpu_state.summarise(trace_of(states=[state_at(12.0, throttle=None)]), [WINDOW])
    assert (silent.throttled, silent.throttled_share) == ({}, None)


@pytest.mark.parametrize(
    ("watts", "share"), [([1, 1, 1, 2], 2 / 3), ([1, 2, 3, 4], 0.0), ([1], None), ([], None), ([5, 5], 1.0)]
)
def test_the_share_of_readings_that_repeat_the_one_before(watts: list[float], share: float | None) -> None:
    times = [10.5 + i for i in range(len(watts))]
    trace = DeviceTrace("a", power_times=[1.0, *times], watts=[99.0, *map(float, watts)])
    assert gpu_state.summarise(trace, [WINDOW]).stale_share == share


@pytest.mark.parametrize(("own", "foreign"), [(1, 2), (3, 0), (5, 0), (None, 4)])
def test_processes_beyond_the_runs_own_are_foreign(own: int | None, foreign: int) -> None:
    """With work that starts after the meter, all that were there before it."""
    states = [state_at(3.0, processes=9), state_at(10.0, processes=4), state_at(20.0, processes=3)]
    trace = trace_of(states=states, mig=True)
    state = dataclasses.replace(gpu_state.summarise(trace, [WINDOW]), compute_processes=3)
    seen = gpu_state.evidence(trace, state, [WINDOW], own)
    assert (seen.foreign_processes, seen.mig, seen.uuid) == (foreign, True, "a")
    unknown = dataclasses.replace(state, compute_processes=None)
    if own is not None:
        assert gpu_state.evidence(trace, unknown, [WINDOW], own).foreign_processes is None
    bare = dataclasses.replace(trace, states=[])
    assert gpu_state.evidence(bare, unknown, [WINDOW], None).foreign_processes is None


def test_the_share_of_readings_that_cannot_be_true() -> None:
    trace = trace_of(rejected_times=[9.9, 10.0, 30.0, 30.1], rejected_watts=[1.0, 2e6, 3e6, 4e6])
    seen = gpu_state.evidence(trace, gpu_state.summarise(trace, [WINDOW]), [WINDOW], 1)
    assert seen.rejected_watts == 2e6
    assert seen.rejected_share == pytest.approx(2 / (2 + 200), abs=1e-4)
    sound = gpu_state.evidence(trace_of(), gpu_state.summarise(trace_of(), [WINDOW]), [WINDOW], 1)
    assert (sound.rejected_share, sound.rejected_watts) == (0, None)
    plain = GpuEvidence("a", {}, None, (), None, None, 0.0)
    assert (plain.rejected_share, plain.rejected_watts, plain.repeated_share) == (0, None, 0)


# ---- edges


def test_an_edge_costs_an_update_a_block_and_a_gap_its_difference_in_power() -> None:
    """A gap of 0.05 s at half the power, and one of 0.5 s at three times it, in two blocks."""
    windows = [Window(0, 1), Window(1.05, 2), Window(2.5, 4), Window(9, 10)]
    joined = blocks.blocks(windows)
    assert len(joined) == 2
    assert blocks.edge_seconds(joined, 200.0, [100.0, 600.0]) == pytest.approx(0.2 + 0.05 * 0.5 + 0.1 * 2)
    whole = pytest.approx(0.2 + 0.05 + 0.1)
    assert blocks.edge_seconds(joined, None, [100.0, 600.0]) == whole
    assert blocks.edge_seconds(joined, 200.0, None) == whole
    assert blocks.edge_seconds(joined, 200.0, [200.0, 200.0]) == pytest.approx(0.2)


def test_gaps_with_few_readings_share_the_mean_of_all_such_gaps() -> None:
    trace = DeviceTrace(
        "a", power_times=[0.5, 5.5, 5.6, 9.1, 9.2, 9.3], watts=[10.0, 40.0, 70.0, 1.0, 2.0, 3.0]
    )
    gaps = [Window(0, 1), Window(5, 7), Window(9, 10), Window(20, 21)]
    assert blocks.gap_joules(trace, gaps) == pytest.approx([40.0, 80.0, 2.0, 40.0])
    assert blocks.gap_joules(trace, gaps[3:]) is None
    assert blocks.gap_joules(trace, []) == []
    assert blocks.Block((Window(0, 1), Window(1, 2), Window(2.5, 3))).gaps == (Window(2, 2.5),)


def test_a_reading_that_is_an_average_does_not_resolve_gaps() -> None:
    windows = [Window(10, 12), Window(12.5, 14)]
    assert gaps_of(trace_of(), windows) == [pytest.approx(150, rel=0.01)]
    averaged = trace_of(power_field="nvmlDeviceGetPowerUsage")
    assert gaps_of(averaged, windows) is None
    assert gaps_of(averaged, windows[:1]) == []


# ---- sources


def test_a_counter_that_rose_by_less_than_the_gaps_drew_is_no_figure() -> None:
    windows = [Window(10, 12), Window(12.5, 14)]
    trace = trace_of(watts=300.0)
    trace.joules = (1e5 + 20 * TIMES).tolist()  # 80 J over the block, of which the gap took 150
    reading = measure_counter(trace, windows, 0.3)
    assert (reading.joules, reading.reason) == (
        None,
        "the counter rose by less than was drawn between the windows",
    )


@pytest.mark.parametrize(
    ("watts", "seconds", "word"),
    [(0.5, 20.0, "less"), (3000.0, 20.0, "more"), (0.5, 0.9, None), (300.0, 20.0, None)],
)
def test_a_counter_in_another_unit_rises_too_slowly_or_too_fast(
    watts: float, seconds: float, word: str | None
) -> None:
    trace = trace_of()
    trace.joules = (1e5 + watts * TIMES).tolist()
    reason = measure_counter(trace, [Window(10.0, 10.0 + seconds)], 0.3).reason
    if word is None:
        assert reason is None
        return
    what = f"the counter rose at {watts:.3g} W, {word} than the device can draw"
    assert reason == f"{what}: it counts in another unit"


def test_idle_power_is_unknown_for_the_reason_of_the_last_source() -> None:
    assert idle_power(trace_of(), None, 0.3) == (None, "no idle baseline was taken")
    watts, reason = idle_power(trace_of(), Window(0.0, 8.0), 0.3)
    assert (watts, reason) == (pytest.approx(300, rel=0.01), None)
    blind = DeviceTrace("a", counter_error="Timeout")
    assert idle_power(blind, Window(0.0, 8.0), 0.3) == (
        None,
        "idle baseline: the energy counter was never read (Timeout)",
    )


def test_reasons_and_sums() -> None:
    source = SourceReading(None, "why", "Timeout", 0, 0.0, 1.0)
    assert source.reason_with_error == "why (Timeout)"
    assert dataclasses.replace(source, error=None).reason_with_error == "why"
    assert dataclasses.replace(source, reason=None).reason_with_error is None
    assert sum_known([1.0, 2.5]) == 3.5
    assert sum_known([1.0, None]) is None
    assert sum_known([]) == 0
    assert nullable_fields("why", a=0.0, b=None) == {"a": 0.0, "a_reason": None, "b": None, "b_reason": "why"}


def reading(trace: DeviceTrace) -> Any:
    return read_device(trace, [WINDOW], None, 0.3)


def without_counter(trace: DeviceTrace, error: str | None = None) -> DeviceTrace:
    return dataclasses.replace(trace, counter_times=[], joules=[], counter_error=error)


def without_power(trace: DeviceTrace, error: str | None = None) -> DeviceTrace:
    return dataclasses.replace(trace, power_times=[], watts=[], power_error=error)


def test_the_counter_is_used_if_every_gpu_has_it_and_sources_are_never_mixed() -> None:
    both, power = reading(trace_of("a", 300)), reading(without_counter(trace_of("b", 100)))
    counter = reading(without_power(trace_of("c", 50)))
    assert choose_source([both, counter]) == ("counter", pytest.approx(350 * 20))
    assert choose_source([both, power]) == ("integral", pytest.approx(400 * 20, rel=0.01))
    assert choose_source([power, counter]) == "c: power was never read"
    blind = reading(without_power(without_counter(trace_of("d"), "Lost"), "Lost"))
    assert choose_source([both, blind]) == (
        "d: power was never read; the energy counter was never read (Lost)"
    )


def test_a_processor_is_summed_over_its_counters_or_unknown() -> None:
    first, second = (without_power(trace_of(f"RAPL {i}", 50.0, power_field=rapl.FIELD)) for i in (0, 1))
    assert processor_joules([reading(first), reading(second)]) == (pytest.approx(2000), None)
    broken = reading(without_counter(second, "denied"))
    why = "RAPL 1: the energy counter was never read (denied)"
    assert processor_joules([reading(first), broken]) == (None, why)
    assert combine_processors([broken], [WINDOW], Circumstances()) == (None, why)
    energy, _ = combine_processors([reading(first)], [WINDOW], Circumstances(host=(7.0, None)))
    assert energy is not None
    assert (energy.energy_joules, energy.used) == (pytest.approx(1000), "rapl")
    assert (energy.host_joules, energy.host_joules_reason) == (None, "energy_joules are the processor's own")
    assert energy.integral_joules_reason == "RAPL is a counter: it has no power reading"


def test_a_modelled_power_is_watts_times_seconds() -> None:
    energy = modelled(65.0, [Window(0, 2), Window(3, 7)], Circumstances(replayed=True))
    assert (energy.energy_joules, energy.own_joules, energy.window_seconds) == (390, 390, 6)
    assert (energy.used, energy.grade, energy.replayed) == ("modelled", "D", True)
    assert (energy.coverage, energy.longest_gap_seconds) == (0, 4)
    assert energy.grade_reasons == (
        "modelled: an assumed power times the seconds, nothing was measured (65 W)",
    )
    assert energy.idle_watts_reason == "modelled: an assumed power has no idle part"


def test_defaults_of_the_circumstances() -> None:
    plain = Circumstances()
    assert (plain.replayed, plain.own_processes, plain.host) == (False, 1, (None, "RAPL was not requested"))


# ---- a shape


def test_joules_and_seconds_per_example() -> None:
    energy, _ = combine([reading(trace_of())], [WINDOW], Circumstances())
    shape = ShapeEnergy("s", energy, None, 40, 15.0, 5.0, ("a",), "GPU", "bf16", 9.0)
    assert shape.joules_per_example == pytest.approx(6000 / 40)
    assert shape.seconds_per_example == 0.5
    unknown = dataclasses.replace(shape, energy=None, examples=0)
    assert (unknown.joules_per_example, unknown.seconds_per_example) == (None, None)
    assert Measurement(20.0, energy, None).mean_watts == pytest.approx(300)
