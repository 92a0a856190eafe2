"""From polls to joules, coverage and grade: synthetic traces with a known integral."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop import record
from isoflop.meter.energy.device_reading import read_device
from isoflop.meter.energy.measurement import Circumstances, combine
from isoflop.meter.energy.polls import DeviceTrace, PollReader, Window, counter_difference, cover, integrate
from isoflop.meter.energy.shape_energy import of_examples

RNG = np.random.default_rng(7)


# ---- arithmetic on polls


def test_constant_power_is_exact_however_it_is_polled() -> None:
    times = np.sort(RNG.uniform(-1, 12, 57))
    assert integrate(times, np.full(57, 300.0), 0, 10, 0.3).joules == pytest.approx(3000, rel=1e-12)
    assert integrate([4.0], [300.0], 0, 10, 0.3).joules == pytest.approx(3000)
    assert integrate([-0.1, 10.1], [300.0, 300.0], 0, 10, 0.3).joules == pytest.approx(3000)


def test_a_step_errs_by_less_than_the_step_times_the_gap() -> None:
    times = np.arange(-0.05, 20.2, 0.1)
    for at in (3.0, 7.77, 19.99):
        watts = np.where(times >= at, 500.0, 100.0)
        integral = integrate(times, watts, 0, 20, 0.3)
        assert integral.joules == pytest.approx(100 * 20 + 400 * (20 - at), abs=400 * 0.1 / 2 + 1e-9)
        assert integral.longest_gap_seconds == pytest.approx(0.1)


def test_a_ramp_is_exact_but_for_the_edges() -> None:
    times = np.arange(0.04, 10, 0.1)
    integral = integrate(times, 50 + 30 * times, 0, 10, 0.3)
    assert integral.joules == pytest.approx(50 * 10 + 30 * 100 / 2, abs=30 * 0.1**2)


def test_a_window_between_two_polls_reads_the_line_between_them() -> None:
    assert integrate([0.0, 1.0], [100.0, 200.0], 0.4, 0.6, 3).joules == pytest.approx(150 * 0.2)


def test_without_a_poll_there_are_no_joules() -> None:
    integral = integrate([], [], 0, 10, 0.3)
    assert (integral.joules, integral.coverage, integral.longest_gap_seconds) == (None, 0.0, 10.0)


def test_coverage_is_the_share_of_the_window_near_a_poll() -> None:
    grid = np.linspace(0, 10, 200_001)
    for count in (1, 3, 8, 30):
        times = np.sort(RNG.uniform(-1, 11, count))
        near = np.abs(grid[:, None] - times).min(axis=1) <= 0.3
        assert cover(times, 0, 10, 0.3)[0] == pytest.approx(near.mean(), abs=1e-3)


def test_longest_gap_counts_the_edges() -> None:
    assert cover(np.array([1.0, 2.0, 9.0]), 0, 10, 0.3)[1] == 7
    assert cover(np.array([4.0]), 0, 10, 0.3)[1] == 6
    assert cover(np.array([]), 0, 10, 0.3) == (0, 10)


def square_joules(t: np.ndarray, low: float, high: float, period: float) -> np.ndarray:
    """Joules from 0 to t of a wave that is low in the first half of each period and high in the second."""
    rest = t % period
    return (low + high) / 2 * (t - rest) + low * rest + (high - low) * np.maximum(0, rest - period / 2)


@pytest.mark.parametrize("ratio", [1 / 2, 2 / 3, 4 / 5, 6 / 5])
@pytest.mark.parametrize("seconds", [2.0, 20.0])
def test_counter_of_a_square_wave_errs_by_an_update_and_a_poll_at_most(ratio: float, seconds: float) -> None:
    low, high, update, period = 80.0, 420.0, 0.1, 0.1 * ratio
    times = np.arange(0.013, seconds + 2, 0.1)
    counter = 5e6 + square_joules(np.floor(times / update) * update, low, high, period)
    begin, end = 0.731, 0.731 + seconds
    rise, reason = counter_difference(times, counter, begin, end, 0.3)
    true = np.diff(square_joules(np.array([begin, end]), low, high, period))[0]
    assert reason is None
    assert rise == pytest.approx(true, abs=(update + 0.1) * high)
    if seconds > 10:
        assert rise == pytest.approx(true, rel=0.01)


def test_counter_that_is_reset_stuck_or_unread_is_refused() -> None:
    times = np.arange(0, 10, 0.1)
    counter = 1e4 + 300 * times
    assert counter_difference(times, counter, 1, 9, 0.3)[0] == pytest.approx(2400)
    reset = np.where(times > 5, 300 * (times - 5), counter)
    assert counter_difference(times, reset, 1, 9, 0.3) == (None, "the counter ran backwards (it was reset)")
    assert counter_difference(times, reset, 5.5, 9, 0.3)[0] == pytest.approx(1050)
    assert counter_difference(times, np.full(100, 1e4), 1, 9, 0.3) == (None, "the counter did not move")
    assert "window's end" in str(counter_difference(times, counter, 1, 11, 0.3)[1])
    assert "window's beginning" in str(counter_difference([], [], 1, 9, 0.3)[1])


# ---- from polls to the record


def constant_trace(
    seconds: float = 14, watts: float = 300, counter_watts: float | None = None, uuid: str = "a"
) -> DeviceTrace:
    times = np.arange(0, seconds, 0.1)
    drawn = watts if counter_watts is None else counter_watts
    return DeviceTrace(
        uuid,
        "NVIDIA Stub",
        "field",
        times.tolist(),
        np.full(times.size, watts).tolist(),
        times.tolist(),
        (1e5 + drawn * times).tolist(),
    )


def measure(
    *traces: DeviceTrace,
    windows: tuple[Window, ...] = (Window(1, 12),),
    idle: Window | None = None,
    **how: Any,
) -> tuple[record.Energy | None, str | None]:
    energy, reason = combine(
        [read_device(trace, windows, idle, 0.3) for trace in traces], windows, Circumstances(**how)
    )
    assert energy is None or record.problem(energy) is None
    return energy, reason


def test_two_sound_gpus_give_an_a_and_their_sum() -> None:
    energy, reason = measure(
        constant_trace(watts=300, uuid="a"), constant_trace(watts=150, uuid="b"), idle=Window(0, 1)
    )
    assert reason is None
    assert energy is not None
    assert (energy.grade, energy.used, energy.replayed) == ("A", "counter", False)
    assert energy.energy_joules == pytest.approx(450 * 11)
    assert energy.counter_joules == pytest.approx(energy.integral_joules)
    assert energy.idle_watts == pytest.approx(450)
    assert energy.net_joules == pytest.approx(0, abs=1e-6)
    assert [d.mean_watts for d in energy.devices] == pytest.approx([300, 150])
    assert [d.peak_watts for d in energy.devices] == [300, 150]
    assert energy.devices[0].polls == pytest.approx(110, abs=1)


def test_net_joules_may_be_negative_and_are_unknown_without_a_baseline() -> None:
    cooling = constant_trace(watts=100)
    cooling.watts[:10] = [130.0] * 10
    energy, _ = measure(cooling, idle=Window(0, 0.9))
    assert energy is not None
    assert energy.net_joules == pytest.approx(-30 * 11, rel=1e-6)
    energy, _ = measure(constant_trace())
    assert energy is not None
    assert (energy.net_joules, energy.net_joules_reason) == (None, "no idle baseline was taken")


def test_windows_add_up_and_leave_the_pauses_out() -> None:
    energy, _ = measure(constant_trace(seconds=40), windows=(Window(1, 13), Window(20, 33.5)))
    assert energy is not None
    assert (energy.window_seconds, energy.energy_joules) == pytest.approx((25.5, 300 * 25.5))


def test_a_replay_scales_joules_and_costs_a_grade() -> None:
    metered, _ = measure(constant_trace(), idle=Window(0, 1), replayed=True)
    assert metered is not None
    assert (metered.source, metered.own_joules) == ("run", pytest.approx(3300))
    energy = of_examples(metered, 0.01, 30.0, None, "one more reason")
    assert record.problem(energy) is None
    assert (energy.grade, energy.replayed, energy.window_seconds) == ("B", True, 11)
    assert (energy.source, energy.own_joules, energy.own_joules_reason) == ("shape", 30.0, None)
    assert energy.energy_joules == pytest.approx(33)
    assert energy.integral_joules == pytest.approx(33)
    assert energy.net_joules == pytest.approx(0, abs=1e-6)
    assert energy.grade_reasons[-1] == "one more reason"
    assert energy.devices[0].counter_joules == pytest.approx(3300)


def test_a_counter_that_was_reset_gives_way_to_the_integral() -> None:
    reset = constant_trace()
    reset.joules[60:] = [j - 1e5 for j in reset.joules[60:]]
    energy, _ = measure(reset)
    assert energy is not None
    assert (energy.used, energy.grade, energy.counter_joules) == ("integral", "C", None)
    assert energy.counter_joules_reason == "the counter ran backwards (it was reset)"
    assert energy.energy_joules == pytest.approx(3300)


def test_a_gpu_without_power_readings_still_has_its_counter() -> None:
    without_power = constant_trace()
    without_power.watts, without_power.power_times, without_power.power_error = [], [], "NotSupported"
    energy, _ = measure(without_power)
    assert energy is not None
    assert (energy.used, energy.grade, energy.integral_joules) == ("counter", "C", None)
    assert energy.integral_joules_reason == "power was never read (NotSupported)"
    assert energy.devices[0].peak_watts is None


@pytest.mark.parametrize(("gap", "letter"), [(0.65, "A"), (0.95, "B"), (1.4, None)])
def test_a_gap_in_the_polls_costs_first_the_grade_then_the_figure(gap: float, letter: str | None) -> None:
    interrupted = constant_trace()
    keep = [i for i, t in enumerate(interrupted.power_times) if not 5 < t < 5 + gap]
    interrupted.power_times = interrupted.counter_times = [interrupted.power_times[i] for i in keep]
    interrupted.watts = [interrupted.watts[i] for i in keep]
    interrupted.joules = [interrupted.joules[i] for i in keep]
    energy, reason = measure(interrupted)
    if letter is None:
        assert energy is None
        assert reason is not None
        assert "read in only 9" in reason
        assert "longest gap 1.4 s" in reason
    else:
        assert energy is not None
        assert energy.grade == letter
        assert energy.energy_joules == pytest.approx(3300)


def test_one_lost_gpu_of_two_makes_the_sum_unknown_and_is_named() -> None:
    lost = constant_trace(seconds=6, uuid="b")
    lost.power_error = lost.counter_error = "GpuIsLost"
    energy, reason = measure(constant_trace(), lost)
    assert energy is None
    assert reason is not None
    assert reason.startswith("b: power was read in only")
    assert reason.endswith("(GpuIsLost)")


def test_aliased_power_is_caught_by_the_counter() -> None:
    aliased = constant_trace(seconds=14)
    times = np.array(aliased.power_times)
    aliased.watts = np.where(
        (times + 0.01) % 0.05 < 0.025, 100.0, 500.0
    ).tolist()  # every poll meets the low half
    energy, _ = measure(aliased)
    assert energy is not None
    assert energy.used == "counter"
    assert energy.energy_joules == pytest.approx(3300)
    assert energy.grade == "D"
    assert "apart" in energy.grade_reasons[0]


def test_a_damaged_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    poll = {"uuid": "a", "watts": 300.0, "power_error": None, "joules": None, "counter_error": "NotSupported"}
    path.write_text(
        f'{json.dumps(poll | {"time": 1.0})}\n{{"time": 2.0, "uu\n{json.dumps(poll | {"time": 3.0})}'
    )
    reader = PollReader(path, ["a"])
    reader.update()
    assert reader.traces["a"].power_times == [1.0]
    with path.open("a") as file:
        file.write('\n{"uuid": "elsewhere", "time": 4.0}\n')
    reader.update()
    assert reader.traces["a"].power_times == [1.0, 3.0]
    assert reader.traces["a"].counter_error == "NotSupported"
