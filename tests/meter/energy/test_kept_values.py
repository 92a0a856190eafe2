"""Which of several values a measurement keeps: sums, weighted means, the worst, the last."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from isoflop import record
from isoflop.meter.energy import gpu_state, rapl
from isoflop.meter.energy.device_reading import measure_power, read_device
from isoflop.meter.energy.energy_meter import Measurement
from isoflop.meter.energy.measurement import Circumstances, combine, combine_processors
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Window
from isoflop.meter.energy.shape_energy import of_examples
from isoflop.meter.energy.total import total
from isoflop.record import Energy


def trace_of(
    watts: float = 300.0,
    counter_watts: float | None = None,
    uuid: str = "a",
    without: tuple[float, float] = (0, 0),
) -> DeviceTrace:
    """Polls of 40 s at 0.1 s, without those strictly between two moments."""
    times = np.arange(0, 40, 0.1)
    times = times[(times <= without[0]) | (times >= without[1])]
    joules = 1e5 + (counter_watts or watts) * times
    read = (watts + 0.01 * np.sin(times)).tolist()
    return DeviceTrace(uuid, "NVIDIA Stub", "field", times.tolist(), read, times.tolist(), joules.tolist())


def energy_of(*traces: DeviceTrace, windows: tuple[Window, ...], idle: Window | None = None) -> Energy:
    how = Circumstances(host=(77.0, None))
    energy, reason = combine([read_device(t, windows, idle, 0.3) for t in traces], windows, how)
    assert energy is not None, reason
    assert record.problem(energy) is None
    return energy


# ---- a replay


def test_a_replay_scales_every_joule_by_the_same_factor_and_no_watt() -> None:
    measured = energy_of(trace_of(300, 302), windows=(Window(10, 30),), idle=Window(0, 9))
    measured = dataclasses.replace(measured, idle_watts=60.0, net_joules=measured.energy_joules - 60 * 20)
    scaled = of_examples(measured, 0.25, 5.0, None)
    joules = {"energy": 6040, "counter": 6040, "integral": 6000, "net": 4840, "host": 77.0}
    for name, value in joules.items():
        assert getattr(measured, f"{name}_joules") == pytest.approx(value, rel=1e-5)
        assert getattr(scaled, f"{name}_joules") == pytest.approx(value / 4, rel=1e-5)
    assert (scaled.idle_watts, scaled.window_seconds, scaled.own_joules) == (60, 20, 5)
    assert scaled.devices == measured.devices


def test_what_a_replay_does_not_know_stays_unknown() -> None:
    trace = trace_of()
    trace.counter_times, trace.joules = [], []
    scaled = of_examples(energy_of(trace, windows=(Window(10, 30),)), 0.25, None, "not read")
    assert (scaled.counter_joules, scaled.net_joules) == (None, None)
    assert scaled.own_joules_reason == "not read"
    assert record.problem(scaled) is None


# ---- windows


def test_coverage_is_that_of_the_time_and_not_of_the_windows() -> None:
    """A third of two seconds and all of eighteen: 93.5% of the time; the mean of the windows is 67.5%."""
    windows = (Window(0.95, 2.95), Window(12.0, 30.0))
    source = measure_power(trace_of(without=(1.05, 2.85)), windows, 0.3)
    # Between 1.0 and 2.9 lie 1.9 s, less the reach of the polls on either side.
    assert source.coverage == pytest.approx(1 - (1.9 - 0.6) / 20)
    assert source.longest_gap_seconds == pytest.approx(1.9)


@pytest.mark.parametrize("windows", [((0.95, 2.95), (12.0, 30.0)), ((1.0, 20.0), (20.0, 26.0))])
def test_the_longest_gap_is_that_of_the_worst_window(windows: tuple[tuple[float, float], ...]) -> None:
    metered = tuple(Window(*each) for each in windows)
    energy = energy_of(trace_of(without=(1.5, 2.35)), windows=metered)
    assert energy.longest_gap_seconds == pytest.approx(0.9)
    assert energy.devices[0].longest_gap_seconds == pytest.approx(0.9)


def test_of_several_gpus_the_worst_coverage_gap_and_state_decide() -> None:
    sound, poor = trace_of(uuid="a"), trace_of(uuid="b", without=(12.0, 13.15))
    poor.states = [StatePoll(20.0, 60, 1400, (), 300.0, 3)]
    sound.states = [StatePoll(20.0, 60, 1400, (), 300.0, 1)]
    for traces in ((sound, poor), (poor, sound)):
        energy = energy_of(*traces, windows=(Window(10, 30),))
        assert energy.coverage == pytest.approx(1 - (1.2 - 0.6) / 20)
        assert energy.longest_gap_seconds == pytest.approx(1.2)
        assert energy.grade == "D"
        assert "b: shared: 2 other compute processes on the GPU" in energy.grade_reasons


def test_coverage_and_gap_are_those_of_the_source_that_is_used() -> None:
    trace = trace_of()
    keep = np.r_[0:120, 140:400]  # of the counter alone, which is then read in too little of the windows
    trace.counter_times = np.array(trace.counter_times)[keep].tolist()
    trace.joules = np.array(trace.joules)[keep].tolist()
    energy = energy_of(trace, windows=(Window(10, 30),))
    assert (energy.used, energy.coverage) == ("integral", pytest.approx(1))
    assert energy.longest_gap_seconds == pytest.approx(0.1)
    assert energy.devices[0].longest_gap_seconds == pytest.approx(0.1)


def test_of_several_gpus_the_worst_edges_decide() -> None:
    """A field that averages over a second does not resolve the gaps, whose edges then cost in full."""
    sound, averaged = trace_of(uuid="a"), trace_of(uuid="b")
    averaged.power_field = "nvmlDeviceGetPowerUsage"
    windows = tuple(Window(10 + 2.5 * i, 12 + 2.5 * i) for i in range(6))
    assert energy_of(sound, windows=windows).grade == "A"
    for traces in ((sound, averaged), (averaged, sound)):
        assert energy_of(*traces, windows=windows).grade_reasons == ("6 windows whose edges may cost 5%",)


# ---- devices


def test_idle_power_is_read_from_the_power_and_only_without_it_from_the_counter() -> None:
    trace = trace_of(60, 61)
    energy = energy_of(trace, windows=(Window(10, 30),), idle=Window(1, 9))
    assert energy.idle_watts == pytest.approx(60, abs=0.02)
    trace.power_times, trace.watts = [], []
    energy = energy_of(trace, windows=(Window(10, 30),), idle=Window(1, 9))
    assert energy.idle_watts == pytest.approx(61, abs=1e-6)


def test_net_joules_are_the_joules_less_the_idle_power_over_the_windows() -> None:
    trace = trace_of(200)
    idle = np.array(trace.power_times) < 9.5
    trace.watts = np.where(idle, 50.0, np.array(trace.watts)).tolist()
    energy = energy_of(trace, windows=(Window(10, 22), Window(25, 33)), idle=Window(1, 9))
    assert energy.energy_joules == pytest.approx(200 * 20, rel=1e-4)
    assert energy.net_joules == pytest.approx(150 * 20, rel=1e-3)


def test_the_peak_is_the_highest_power_inside_the_windows() -> None:
    trace = trace_of(300)
    power = np.array(trace.watts)
    times = np.array(trace.power_times)
    for moment, watts in ((5.0, 700.0), (21.0, 650.0), (15.0, 400.0), (27.0, 390.0), (35.0, 710.0)):
        power[np.abs(times - moment).argmin()] = watts
    trace.watts = power.tolist()
    energy = energy_of(trace, windows=(Window(10, 20), Window(22, 32)))  # 21.0 lies in the pause
    assert energy.devices[0].peak_watts == 400
    other = trace_of(350, uuid="b")
    both = energy_of(trace, other, windows=(Window(10, 20), Window(22, 32)))
    assert Measurement(20, both, None).peak_watts == 400


def test_the_peak_of_a_processor_is_the_steepest_rise_inside_the_windows() -> None:
    trace = trace_of(50)
    trace.power_field, trace.power_times, trace.watts = rapl.FIELD, [], []
    joules = np.array(trace.joules)
    joules[50:] += 15  # 200 W for a tenth of a second, before the window
    joules[150:] += 6
    trace.joules = joules.tolist()
    windows = (Window(10, 30),)
    energy, reason = combine_processors([read_device(trace, windows, None, 0.3)], windows, Circumstances())
    assert energy is not None, reason
    assert energy.devices[0].peak_watts == pytest.approx(110)


def test_the_power_cap_in_the_record_is_the_last_one_in_force() -> None:
    trace = trace_of()
    caps = ((5.0, 500.0), (12.0, 400.0), (18.0, 400.0), (28.0, 250.0), (35.0, 700.0))
    trace.states = [StatePoll(time, 60, 1400, (), cap, 1) for time, cap in caps]
    energy = energy_of(trace, windows=(Window(10, 30),))
    assert energy.devices[0].power_limit_watts == 250
    assert energy.grade == "C"
    assert energy.grade_reasons == ("the power cap was changed: 400 W to 250 W",)


def test_polls_of_the_state_at_the_very_edges_of_a_window_count() -> None:
    states = [StatePoll(float(t), 60.0 + t, 1000.0 + 100 * t, (), 400.0, 1) for t in (1, 2, 3, 4, 5)]
    trace = DeviceTrace("GPU-a", states=states)
    state = gpu_state.summarise(trace, [Window(2.0, 4.0)])
    assert state.sm_clock_mhz == pytest.approx((1200 + 1300 + 1400) / 3)
    assert gpu_state.summarise(trace, [Window(2.0, 3.0)]).sm_clock_mhz == pytest.approx(1250)
    assert gpu_state.summarise(trace, [Window(4.0, 4.5)]).sm_clock_mhz == pytest.approx(1400)


def test_the_most_compute_processes_seen_at_once_are_in_the_record() -> None:
    trace = trace_of()
    trace.states = [StatePoll(11.0 + i, 60, 1400, (), 400.0, n) for i, n in enumerate((1, 3, 2))]
    energy = energy_of(trace, windows=(Window(10, 30),))
    assert (energy.devices[0].compute_processes, energy.grade) == (3, "D")


# ---- attempts


def test_attempts_add_up_and_the_worst_is_kept() -> None:
    brief = energy_of(trace_of(100), windows=(Window(10, 15),), idle=Window(0, 9))
    brief = dataclasses.replace(
        brief, coverage=0.95, longest_gap_seconds=2.0, idle_watts=40.0, net_joules=300.0
    )
    long = energy_of(trace_of(300, 302), windows=(Window(10, 30),), idle=Window(0, 9))
    long = dataclasses.replace(long, idle_watts=60.0, net_joules=4840.0, host_joules=23.0)
    assert (brief.grade, long.grade) == ("C", "A")
    for attempts in ((brief, long), (long, brief)):
        both = total(attempts)
        assert record.problem(both) is None
        assert both.energy_joules == both.counter_joules == pytest.approx(6540)
        assert both.integral_joules == pytest.approx(6500, rel=1e-5)
        assert both.net_joules == pytest.approx(5140)
        assert both.host_joules == pytest.approx(100)
        assert both.own_joules == pytest.approx(6540)
        assert both.window_seconds == pytest.approx(25)
        assert both.idle_watts == pytest.approx((5 * 40 + 20 * 60) / 25)
        assert both.coverage == pytest.approx((5 * 0.95 + 20) / 25)
        assert (both.longest_gap_seconds, both.grade) == (2.0, "C")
        assert len(both.devices) == 2


def test_attempts_by_different_sources_are_named_by_the_longest() -> None:
    integral = trace_of()
    integral.counter_times, integral.joules = [], []
    brief = energy_of(integral, windows=(Window(10, 15),))
    long = energy_of(trace_of(), windows=(Window(10, 30),))
    both = total((brief, long))
    assert (both.used, both.counter_joules) == ("counter", None)
    assert "never read" in str(both.counter_joules_reason)
    assert both.replayed is False
    assert total((brief, dataclasses.replace(long, replayed=True))).replayed is True


# ---- thresholds of a sound source


@pytest.mark.parametrize(("until", "sound"), [(16.4, True), (16.6, False)])
def test_polls_must_cover_95_percent(until: float, sound: bool) -> None:
    """Of 20 s one may lie beyond the reach of the polls, 0.3 s from either side of a gap from 14.9 s on."""
    trace = trace_of(without=(14.95, until - 0.05))
    reading = read_device(trace, (Window(10, 30),), None, 0.3)
    assert (reading.power.joules is not None) == (reading.counter.joules is not None) == sound
    assert reading.power.polls == reading.counter.polls


@pytest.mark.parametrize(("away", "known"), [(2.9, True), (3.1, False)])
def test_a_state_counts_for_a_window_within_three_seconds(away: float, known: bool) -> None:
    trace = trace_of()
    for moment in (10 - away, 10.5 + away):
        trace.states = [StatePoll(moment, 60, 1400, (), 400.0, 1)]
        reading = read_device(trace, (Window(10, 10.5),), None, 0.3)
        assert (reading.state.sm_clock_mhz is not None) == known
        assert (reading.state.temperature_end_celsius is not None) == (known and moment > 10)
