"""Grades follow their table; the state of a GPU over the windows summarises its state polls."""

import dataclasses

import numpy as np
import pytest

from isoflop.meter.energy import gpu_state
from isoflop.meter.energy.grade import Evidence, GpuEvidence, grade
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Window

GPU = GpuEvidence("GPU-a", {"SwPowerCap": 0.0}, 4.0, (400.0,), 0, False, 0.0)
SOUND = Evidence(
    used="counter",
    counter_joules=5e3,
    integral_joules=5.05e3,
    window_seconds=12.0,
    windows=1,
    coverage=1.0,
    longest_gap_seconds=0.1,
    replayed=False,
    gpus=(GPU,),
)


@pytest.mark.parametrize(
    ("change", "letter", "reason"),
    [
        ({}, "A", "1.0% apart"),
        ({"replayed": True}, "B", "replayed"),
        ({"coverage": 0.97}, "B", "97.0% of the window"),
        ({"longest_gap_seconds": 1.3}, "B", "no poll for 1.3 s"),
        ({"windows": 9, "edge_seconds": 0.5}, "B", "9 windows"),
        ({"windows": 9, "edge_seconds": 0.01}, "A", "1.0% apart"),
        ({"windows": 1, "edge_seconds": 0.5}, "A", "1.0% apart"),
        ({"replayed": True, "window_seconds": 60.0}, "A", "1.0% apart"),
        ({"replayed": True, "window_seconds": 59.0}, "B", "below 60 s"),
        ({"counter_joules": None, "used": "integral"}, "C", "power integral only"),
        ({"integral_joules": None}, "C", "energy counter only"),
        ({"integral_joules": 5.2e3}, "C", "4.0% apart"),
        ({"integral_joules": 4.8e3, "replayed": True}, "C", "4.0% apart"),
        ({"integral_joules": 5.6e3}, "D", "12.0% apart"),
        ({"window_seconds": 9.0}, "C", "9 s were metered"),
        ({"window_seconds": 9.0, "integral_joules": 5.6e3}, "C", "9 s were metered"),
        ({"window_seconds": 0.5}, "D", "only 0.5 s"),
        ({"used": "rapl", "integral_joules": None, "gpus": ()}, "B", "the whole processor"),
        ({"used": "modelled", "counter_joules": None, "integral_joules": None}, "D", "nothing was measured"),
    ],
)
def test_grades_follow_the_table(change: dict[str, object], letter: str, reason: str) -> None:
    graded, reasons = grade(dataclasses.replace(SOUND, **change))  # type: ignore[arg-type]
    assert graded == letter
    assert any(reason in each for each in reasons)


@pytest.mark.parametrize(
    ("change", "letter", "reason"),
    [
        ({"throttled": {"SwPowerCap": 0.9}}, "B", "the power cap 90% of the time (SwPowerCap)"),
        ({"throttled": {"SwPowerCap": 0.005}}, "A", "apart"),
        ({"throttled": {"HwThermalSlowdown": 0.2}}, "C", "heat 20%"),
        ({"throttled": {"HwPowerBrakeSlowdown": 0.2}}, "C", "brake 20%"),
        ({"throttled": {"GpuIdle": 1.0, "ApplicationsClocksSetting": 1.0}}, "A", "apart"),
        ({"drift_celsius": 14.9}, "A", "apart"),
        ({"drift_celsius": 22.0}, "B", "22 degrees warmer"),
        ({"drift_celsius": -22.0}, "B", "22 degrees cooler"),
        ({"drift_celsius": None, "foreign_processes": None, "mig": None}, "A", "apart"),
        ({"power_limits_watts": (400.0, 250.0)}, "C", "400 W to 250 W"),
        ({"foreign_processes": 2}, "D", "2 other compute processes"),
        ({"mig": True}, "D", "MIG"),
        ({"stuck_share": 0.3}, "C", "was frozen for 30%"),
    ],
)
def test_the_state_of_a_gpu_lowers_the_grade(change: dict[str, object], letter: str, reason: str) -> None:
    gpu = dataclasses.replace(GPU, **change)  # type: ignore[arg-type]
    graded, reasons = grade(dataclasses.replace(SOUND, gpus=(gpu,)))
    assert (graded, len(reasons)) == (letter, 1)
    assert reason in reasons[0]


BOUNDARIES = [
    ({"coverage": 0.99}, "A"),
    ({"coverage": 0.9899}, "B"),
    ({"longest_gap_seconds": 1.0}, "A"),
    ({"longest_gap_seconds": 1.01}, "B"),
    ({"window_seconds": 10.0}, "A"),
    ({"window_seconds": 9.99}, "C"),
    ({"window_seconds": 1.0}, "C"),
    ({"window_seconds": 0.99}, "D"),
    ({"replayed": True, "window_seconds": 60.0}, "A"),
    ({"replayed": True, "window_seconds": 59.99}, "B"),
    ({"integral_joules": 5099.0}, "A"),
    ({"integral_joules": 5101.0}, "C"),
    ({"integral_joules": 4901.0}, "A"),
    ({"integral_joules": 4899.0}, "C"),
    ({"integral_joules": 5499.0}, "C"),
    ({"integral_joules": 5501.0}, "D"),
    ({"integral_joules": 4501.0}, "C"),
    ({"integral_joules": 4499.0}, "D"),
    ({"integral_joules": 5501.0, "window_seconds": 10.0}, "D"),
    ({"integral_joules": 5501.0, "window_seconds": 9.99}, "C"),
    ({"windows": 2, "edge_seconds": 0.239}, "A"),
    ({"windows": 2, "edge_seconds": 0.241}, "B"),
    ({"windows": 1, "edge_seconds": 0.241}, "A"),
]
GPU_BOUNDARIES = [
    ({"drift_celsius": 14.9}, "A"),
    ({"drift_celsius": 15.0}, "B"),
    ({"drift_celsius": -14.9}, "A"),
    ({"drift_celsius": -15.0}, "B"),
    *(
        ({"throttled": {reason: share}}, letter)
        for reason, worse in (
            ("HwSlowdown", "C"),
            ("HwThermalSlowdown", "C"),
            ("SwThermalSlowdown", "C"),
            ("HwPowerBrakeSlowdown", "C"),
            ("SwPowerCap", "B"),
            ("SyncBoost", "B"),
        )
        for share, letter in ((0.01, "A"), (0.011, worse))
    ),
    ({"stuck_share": 0.05}, "A"),
    ({"stuck_share": 0.051}, "C"),
    ({"rejected_share": 0.0001, "rejected_watts": 4e6}, "B"),
    ({"rejected_share": 0.05, "rejected_watts": 4e6}, "B"),
    ({"rejected_share": 0.051, "rejected_watts": 4e6}, "C"),
    ({"foreign_processes": 0}, "A"),
    ({"foreign_processes": 1}, "D"),
    ({"power_limits_watts": ()}, "A"),
    ({"power_limits_watts": (400.0, 400.5)}, "C"),
]


@pytest.mark.parametrize(("change", "letter"), BOUNDARIES)
def test_each_threshold_from_both_sides(change: dict[str, object], letter: str) -> None:
    assert grade(dataclasses.replace(SOUND, **change))[0] == letter  # type: ignore[arg-type]


@pytest.mark.parametrize(("change", "letter"), GPU_BOUNDARIES)
def test_each_threshold_of_a_gpus_state_from_both_sides(change: dict[str, object], letter: str) -> None:
    gpu = dataclasses.replace(GPU, **change)  # type: ignore[arg-type]
    assert grade(dataclasses.replace(SOUND, gpus=(gpu,)))[0] == letter
    assert grade(dataclasses.replace(SOUND, gpus=(gpu, GPU)))[0] == letter
    assert grade(dataclasses.replace(SOUND, gpus=(GPU, gpu)))[0] == letter


def test_the_worst_of_several_findings_decides_and_all_are_named() -> None:
    gpu = dataclasses.replace(GPU, drift_celsius=20.0, power_limits_watts=(400.0, 250.0))
    graded, reasons = grade(dataclasses.replace(SOUND, coverage=0.97, gpus=(gpu,)))
    assert (graded, len(reasons)) == ("C", 3)


def test_with_several_gpus_a_reason_names_its_gpu() -> None:
    other = dataclasses.replace(GPU, uuid="GPU-b", foreign_processes=1)
    graded, reasons = grade(dataclasses.replace(SOUND, gpus=(GPU, other)))
    assert (graded, reasons) == ("D", ("GPU-b: shared: 1 other compute process on the GPU",))
    assert grade(dataclasses.replace(SOUND, gpus=(other,)))[1] == (
        "shared: 1 other compute process on the GPU",
    )


# ---- the state over the windows

WINDOWS = (Window(1.0, 4.0), Window(6.0, 12.0))


def polled(moments: list[float], **changes: object) -> list[StatePoll]:
    calm = StatePoll(0.0, 50.0, 1400.0, (), 400.0, 1)
    return [dataclasses.replace(calm, time=t, **changes) for t in moments]  # type: ignore[arg-type]


def trace(*states: StatePoll) -> DeviceTrace:
    return DeviceTrace("GPU-a", power_field="field", states=list(states))


def test_state_is_that_of_the_windows() -> None:
    before, inside = polled([0.5], processes=9, celsius=40.0), polled([2.0, 3.0, 7.0])
    paused, last = polled([5.0], throttle=("HwSlowdown",)), polled([11.5], throttle=("SwPowerCap", "GpuIdle"))
    late = polled([12.5], celsius=70.0, power_limit_watts=250.0)
    state = gpu_state.summarise(trace(*before, *inside, *paused, *last, *late), WINDOWS)
    assert (state.temperature_begin_celsius, state.temperature_end_celsius) == (40, 50)
    assert state.throttled_share == 0.25
    assert state.throttled["SwPowerCap"] == 0.25
    assert state.throttled["HwSlowdown"] == 0
    assert state.power_limits_watts == (400.0,)
    assert (state.sm_clock_mhz, state.compute_processes) == (1400, 1)


def test_a_short_window_has_the_state_nearest_to_it() -> None:
    short = (Window(1.2, 1.4),)
    assert gpu_state.summarise(trace(*polled([1.0], celsius=61.0)), short).temperature_end_celsius == 61
    far = gpu_state.summarise(trace(*polled([9.0])), short)
    assert (far.temperature_end_celsius, far.throttled_share, far.reason) == (None, None, gpu_state.NOT_READ)


def test_foreign_processes_are_those_beside_ours_or_before_the_command() -> None:
    shared = trace(*polled([0.5], processes=2), *polled([2.0], processes=3))
    state = gpu_state.summarise(shared, WINDOWS)
    assert gpu_state.evidence(shared, state, WINDOWS, own_processes=1).foreign_processes == 2
    assert gpu_state.evidence(shared, state, WINDOWS, own_processes=None).foreign_processes == 2
    silent = trace(*polled([2.0], processes=None))
    state = gpu_state.summarise(silent, WINDOWS)
    assert gpu_state.evidence(silent, state, WINDOWS, own_processes=1).foreign_processes is None


def read(watts: np.ndarray, true: np.ndarray, period: float, step: float = 0.1) -> gpu_state.GpuState:
    """Return the state if `watts` is read while the GPU draws `true`, both once per poll."""
    times = np.arange(watts.size) * period
    joules = np.concatenate([[0], np.cumsum(true[:-1] * period)])
    seen = np.interp(np.floor(times / step) * step, times, joules)
    polls = DeviceTrace("a", "", "field", times.tolist(), watts.tolist(), times.tolist(), seen.tolist())
    return gpu_state.summarise(polls, [Window(times[0], times[-1])])


def test_an_idle_gpu_repeats_its_reading_and_is_not_stuck() -> None:
    state = read(np.full(300, 62.5), np.full(300, 62.5), 0.1)
    assert (state.stale_share, state.stuck_share) == (1, 0)


def test_a_sensor_slower_than_the_polls_is_not_stuck() -> None:
    true = 300 + 100 * np.sin(np.arange(600) / 40)
    state = read(np.repeat(true[::4], 4), true, 0.05)  # five new readings a second, twenty polls
    assert state.stale_share == pytest.approx(0.75, abs=0.01)
    assert state.stuck_share == 0


def test_a_frozen_reading_is_stuck_if_the_counter_moves_on() -> None:
    true = np.where(np.arange(300) < 150, 100.0, 300.0)
    state = read(np.full(300, 100.0), true, 0.1)
    assert state.stuck_share == pytest.approx(1, abs=0.01)
    moving = np.where(np.arange(300) < 200, true + np.arange(300) % 2, 100.0)
    assert read(moving, true, 0.1).stuck_share == pytest.approx(1 / 3, abs=0.02)
