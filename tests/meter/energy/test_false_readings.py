"""Readings that NVML calls a success and that cannot be true: gaps, named in the grade, never joules."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from isoflop import record
from isoflop.meter.energy import frozen, rapl
from isoflop.meter.energy.device_reading import DeviceReading, read_device
from isoflop.meter.energy.measurement import Circumstances, combine
from isoflop.meter.energy.polls import DeviceTrace, PollReader, StatePoll, Window, counter_difference
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy
from isoflop.table.power_rows import power_rows

WINDOW = Window(1.0, 13.0)
TIMES = np.arange(0, 14, 0.1)
UUID = "GPU-00000000-0000-0000-0000-000000000000"


def trace_of(
    watts: np.ndarray | float,
    counted: np.ndarray | None,
    busy: float | None = None,
    limit: float | None = 400.0,
) -> DeviceTrace:
    """Polls of 14 s at 0.1 s: the power read and the counter, None without one."""
    read = np.broadcast_to(np.asarray(watts, dtype=float), TIMES.shape)
    trace = DeviceTrace("GPU-a", "NVIDIA Stub", "field", TIMES.tolist(), read.tolist())
    if counted is not None:
        trace.counter_times, trace.joules = TIMES.tolist(), counted.tolist()
    trace.states = [StatePoll(float(t), 60, 1400, (), limit, 1, busy) for t in range(14)]
    trace.highest_limit_watts = limit
    return trace


def energy_of(trace: DeviceTrace) -> tuple[Energy | None, str | None]:
    energy, reason = combine([read(trace)], [WINDOW], Circumstances())
    assert energy is None or record.problem(energy) is None
    return energy, reason


def read(trace: DeviceTrace) -> DeviceReading:
    return read_device(trace, [WINDOW], None, 0.3)


STEADY = 1e5 + 300 * TIMES


# ---- power readings


@pytest.mark.parametrize(("every", "grade"), [(0, "A"), (40, "B"), (10, "C")])
def test_readings_that_cannot_be_true_are_counted_in_the_grade(every: int, grade: str) -> None:
    trace = trace_of(300, STEADY)
    for i in range(20, 120, every or 1000) if every else ():
        trace.rejected_times.append(trace.power_times[i])
        trace.rejected_watts.append(4294967.295)
    kept = [i for i, t in enumerate(trace.power_times) if t not in trace.rejected_times]
    trace.power_times, trace.watts = TIMES[kept].tolist(), [300.0] * len(kept)
    trace.rejected_times.append(0.5)  # before the window: costs nothing
    trace.rejected_watts.append(4294967.295)
    energy, reason = energy_of(trace)
    assert energy is not None, reason
    assert energy.grade == grade
    assert energy.integral_joules == pytest.approx(3600)
    assert energy.devices[0].peak_watts == 300
    assert ("(such as 4.29e+06 W)" in " ".join(energy.grade_reasons)) == (every > 0)


def test_so_many_false_readings_that_the_window_is_not_covered_leave_no_integral() -> None:
    trace = trace_of(300, None)
    trace.power_times, trace.watts = TIMES[::8].tolist(), [300.0] * len(TIMES[::8])
    trace.power_error = "read 4.29e+06 W"
    energy, reason = energy_of(trace)
    assert energy is None
    assert "power was read in only" in str(reason)
    assert "read 4.29e+06 W" in str(reason)


@pytest.mark.parametrize("watts", [0.0, -3.0, 4294967.295, float("nan")])
def test_a_file_of_an_earlier_sampler_gives_no_impossible_power(watts: float) -> None:
    trace = DeviceTrace("GPU-a")
    for time_, read_watts in ((1.0, 300.0), (1.1, watts)):
        trace.add({"time": time_, "uuid": "GPU-a", "watts": read_watts})
    assert (trace.power_times, trace.watts) == ([1.0], [300.0])
    assert trace.rejected_times == [1.1]
    assert str(trace.power_error).startswith("read ")


# ---- frozen readings


def test_a_reading_frozen_while_the_gpu_was_busy_is_unknown_without_a_counter() -> None:
    energy, reason = energy_of(trace_of(62.5, None, busy=0.97))
    assert energy is None
    assert "frozen at 62.5 W for 11.9 s" in str(reason)


@pytest.mark.parametrize(
    ("watts", "limit", "known"),
    [
        (np.full(TIMES.shape, 299.0), 300.0, True),  # held at the cap
        (np.full(TIMES.shape, 70.0), 300.0, False),  # one value says nothing of the sensor's steps
        (70.0 + (TIMES // 6) % 2, 300.0, False),  # two steps are too few
    ],
)
def test_a_busy_gpu_repeats_its_reading_at_its_cap(watts: np.ndarray, limit: float, known: bool) -> None:
    energy, reason = energy_of(trace_of(watts, None, busy=0.98, limit=limit))
    assert (energy is not None) == known, reason
    if energy is not None:
        assert energy.grade == "C"
        assert any("repeated its power reading" in each for each in energy.grade_reasons)


def coarse_trace(watts: np.ndarray) -> DeviceTrace:
    times = np.arange(watts.size) * 0.1
    states = [StatePoll(float(t), 60, 1400, (), 300.0, 1, 0.98) for t in range(int(times[-1]))]
    trace = DeviceTrace("GPU-a", "NVIDIA Stub", "field", times.tolist(), watts.tolist(), states=states)
    trace.highest_limit_watts = 300.0
    return trace


def test_a_coarse_sensor_repeats_its_reading_and_loses_no_joules() -> None:
    """70 and 71 W in steps of 6 s; the same sensor stuck for half a minute is still found."""
    window = Window(1.0, 47.0)
    reading = read_device(coarse_trace(70.0 + np.arange(480) // 60 % 2), [window], None, 0.3)
    assert reading.power.joules == pytest.approx(70.5 * 46, rel=0.01)
    assert (reading.state.stuck_share, reading.state.repeated_share > 0.7) == (0, True)
    stuck = np.concatenate(
        [70.0 + np.arange(480) // 60 % 2, np.full(300, 70.0), 70 + np.arange(60) // 20 % 2]
    )
    reading = read_device(coarse_trace(stuck), [Window(1.0, 83.0)], None, 0.3)
    assert reading.power.joules is None


@pytest.mark.parametrize(("step", "known"), [(0.45, False), (0.5, True), (0.55, True)])
def test_steps_of_half_a_watt_are_those_of_a_coarse_sensor(step: float, known: bool) -> None:
    reading = read_device(
        coarse_trace(70.0 + step * (np.arange(480) // 60 % 2)), [Window(1.0, 47.0)], None, 0.3
    )
    assert (reading.power.joules is not None) == known


@pytest.mark.parametrize(
    ("counter_times", "says"),
    [
        ([], False),
        ([5.0], False),
        ([-1.0, 0.5], False),  # all before the stretch
        ([13.0, 14.0], False),
        ([0.0, 6.0, 12.0], True),
        ([0.5, 13.0], True),
    ],
)
def test_a_counter_says_nothing_of_a_stretch_in_which_it_was_not_read(
    counter_times: list[float], says: bool
) -> None:
    """Readings of 62.5 W from 1 to 12 s, where the counter rises by 300 W."""
    trace = DeviceTrace("GPU-a")
    trace.counter_times, trace.joules = counter_times, [1e5 + 300 * t for t in counter_times]
    trace.highest_limit_watts = 400.0
    assert (frozen._counter_differs(trace, frozen.Stretch(1.0, 12.0, 62.5)) is not None) == says


def differs(counter_watts: float, read_watts: float, seconds: float, step: float = 1.0) -> bool | None:
    """Whether a counter contradicts a reading that was repeated over so many seconds."""
    trace = DeviceTrace("GPU-a", highest_limit_watts=400.0)
    trace.counter_times = np.arange(0, seconds + step / 2, step).tolist()
    trace.joules = [1e5 + counter_watts * t for t in trace.counter_times]
    return frozen._counter_differs(trace, frozen.Stretch(0.0, seconds, read_watts))


@pytest.mark.parametrize(("share", "says"), [(-0.11, True), (-0.09, False), (0.09, False), (0.11, True)])
def test_a_long_stretch_differs_from_ten_per_cent_on(share: float, says: bool) -> None:
    """Over 100 s the edges, 0.1 s of an update and 1 s of a poll on either side, cost no more than 2.4%."""
    assert differs(300 * (1 + share), 300.0, 100.0) == says


@pytest.mark.parametrize(("share", "says"), [(0.27, False), (0.30, True)])
def test_of_a_short_stretch_the_counter_resolves_its_edges(share: float, says: bool) -> None:
    """An update of 0.1 s and a poll of 1 s, twice, over 10 s, of the higher power: 22% x 1.28 = 28%."""
    assert differs(300 * (1 + share), 300.0, 10.0) == says
    assert differs(300.0, 300 * (1 + share), 10.0) == (share > 0.282), "whichever is higher"


@pytest.mark.parametrize(("moment", "busy"), [(2.0, True), (3.0, True), (1.99, False), (3.01, False)])
def test_work_at_the_edges_of_a_stretch_counts(moment: float, busy: bool) -> None:
    states = [StatePoll(moment, 60, 1400, (), 400.0, 1, 0.9)]
    assert frozen._was_busy(states, frozen.Stretch(2.0, 3.0, 62.5)) == busy


def test_a_stretch_of_frozen_readings_keeps_its_first_and_names_the_longest() -> None:
    trace = DeviceTrace("GPU-a", power_times=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    trace.watts = [70.0, 70.0, 90.0, 80.25, 80.25, 80.25, 91.0]
    assert frozen.without_frozen(trace, ()) is trace
    two = [frozen.Stretch(0.0, 1.0, 70.0), frozen.Stretch(3.0, 5.0, 80.25)]
    kept = frozen.without_frozen(trace, two)
    assert (kept.power_times, kept.watts) == ([0.0, 2.0, 3.0, 6.0], [70.0, 90.0, 80.25, 91.0])
    assert kept.power_error == "frozen at 80.25 W for 2 s"
    assert frozen.frozen_share(two, [Window(0.0, 4.0), Window(5.0, 7.0)]) == 3 / 6
    assert frozen.frozen_share(two, [Window(0.0, 2.0)]) == 1.0


def test_a_stretch_ends_with_the_last_equal_reading() -> None:
    times, watts = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([5.0, 5.0, 6.0, 7.0, 7.0])
    found = [(s.begin_seconds, s.end_seconds, s.watts) for s in frozen._stretches(times, watts)]
    assert found == [(0.0, 1.0, 5.0), (2.0, 2.0, 6.0), (3.0, 4.0, 7.0)]
    assert list(frozen._stretches(times[:0], watts[:0])) == []
    assert (frozen.Stretch(2.0, 5.0, 1.0).busy, frozen.Stretch(2.0, 5.0, 1.0).doubtful) == (False, False)


@pytest.mark.parametrize(("seconds", "known"), [(0.99, False), (1.0, True)])
def test_a_second_of_equal_readings_is_judged_by_the_counter(seconds: float, known: bool) -> None:
    trace = DeviceTrace("GPU-a", highest_limit_watts=400.0)
    times = np.arange(0, seconds + 0.01, 0.05)
    trace.counter_times, trace.joules = times.tolist(), (1e5 + 300 * times).tolist()
    assert (frozen._if_frozen(trace, frozen.Stretch(0.0, seconds, 62.5)) is not None) == known


@pytest.mark.parametrize(("busy", "known"), [(0.49, True), (0.5, False), (None, True)])
def test_an_idle_gpu_may_repeat_its_reading(busy: float | None, known: bool) -> None:
    energy, _ = energy_of(trace_of(62.5, None, busy=busy))
    assert (energy is not None) == known


@pytest.mark.parametrize(("seconds", "frozen_joules"), [(4.8, 0), (5.2, 1)])
def test_only_a_long_repetition_is_proof_of_a_frozen_sensor(seconds: float, frozen_joules: int) -> None:
    moving = 300 + 20 * np.sin(TIMES)
    repeated = np.where((TIMES > 3) & (3 + seconds > TIMES), 62.5, moving)
    stretches = frozen.frozen_readings(trace_of(repeated, None, busy=1.0), [WINDOW])
    assert len(stretches) == frozen_joules


def test_with_a_busy_gpu_and_a_counter_the_counter_alone_is_the_figure() -> None:
    energy, reason = energy_of(trace_of(62.5, STEADY, busy=0.97))
    assert energy is not None, reason
    assert (energy.used, energy.integral_joules, energy.grade) == ("counter", None, "C")
    assert energy.energy_joules == pytest.approx(3600)
    assert "frozen at 62.5 W" in str(energy.integral_joules_reason)
    assert "the power reading was frozen for 99% of the time" in energy.grade_reasons


def test_a_constant_power_that_the_counter_confirms_is_not_frozen() -> None:
    energy, reason = energy_of(trace_of(300, STEADY, busy=1.0))
    assert energy is not None, reason
    assert energy.grade == "A"


def test_a_frozen_stretch_is_never_the_figure_once_the_counter_failed_elsewhere() -> None:
    moving = 300 + 20 * np.sin(7 * TIMES)
    frozen_power = np.where((TIMES > 3) & (TIMES < 8), 62.5, moving)
    jumped = STEADY + np.where(TIMES > 11, 1e6, 0)
    energy, reason = energy_of(trace_of(frozen_power, jumped))
    assert energy is None
    assert "frozen at 62.5 W" in str(reason)
    assert "it jumped" in str(reason)


# ---- the counter


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])
def test_a_counter_in_another_unit_is_not_joules(unit: float) -> None:
    energy, reason = energy_of(trace_of(300 + np.sin(TIMES), STEADY * unit))
    assert energy is not None, reason
    assert (energy.used, energy.counter_joules, energy.grade) == ("integral", None, "C")
    assert energy.energy_joules == pytest.approx(3600, rel=1e-3)
    assert "another unit" in str(energy.counter_joules_reason)


@pytest.mark.parametrize("at", [1.35, 6.0, 12.95])
@pytest.mark.parametrize("joules", [500.0, 1e6])
def test_a_counter_that_jumps_forward_gives_way_to_the_integral(at: float, joules: float) -> None:
    jumped = STEADY + np.where(at < TIMES, joules, 0)
    energy, reason = energy_of(trace_of(300 + np.sin(TIMES), jumped))
    assert energy is not None, reason
    assert (energy.used, energy.grade) == ("integral", "C")
    assert "above 800 W: it jumped" in str(energy.counter_joules_reason)
    assert energy.energy_joules == pytest.approx(3600, rel=1e-3)


@pytest.mark.parametrize("at", [0.35, 0.95, 13.05, 13.55])
def test_a_jump_outside_the_window_does_no_harm(at: float) -> None:
    energy, reason = energy_of(trace_of(300 + np.sin(TIMES), STEADY + np.where(at < TIMES, 1e6, 0)))
    assert energy is not None, reason
    assert (energy.used, energy.grade) == ("counter", "A")


def test_the_jump_is_stated_with_the_seconds_in_which_it_came() -> None:
    """30 J a poll, and 500 J more between 6.0 and 6.1 s: counted after 5.9 s, and read by 6.2 s."""
    jumped = STEADY + np.where(TIMES > 6.05, 500.0, 0)
    reason = counter_difference(TIMES, jumped, 1, 13, 0.3, 800.0)[1]
    assert str(reason).startswith("the counter rose by 530 J within 0.3 s, above 800 W")


@pytest.mark.parametrize("update", [0.02, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("watts", [300.0, 790.0])
def test_a_slow_counter_makes_steps_and_no_jumps(update: float, watts: float) -> None:
    counted = 1e5 + watts * np.floor(TIMES / update) * update
    for begin in (0.05, 1.0, 3.33):
        assert counter_difference(TIMES, counted, begin, 13, 0.3, 800.0)[1] is None


def test_a_reading_that_was_held_up_is_no_jump() -> None:
    """Time stamps are taken before the counter is read: a call of 2 s reads what was drawn meanwhile."""
    times = np.concatenate([TIMES[TIMES < 5], TIMES[TIMES > 7]])
    counted = 1e5 + 700 * times
    counted[times.searchsorted(4.95) - 1] += 700 * 2
    assert counter_difference(times, counted, 1, 13, 0.3, 800.0)[1] is None


@pytest.mark.parametrize(("watts", "sound"), [(0.98, False), (1.02, True), (799, True), (801, False)])
def test_a_steady_rise_that_no_gpu_draws_is_false(watts: float, sound: bool) -> None:
    reading = read(trace_of(300, 1e5 + watts * TIMES)).counter
    assert (reading.joules is not None) == sound
    assert ("the device can draw: it counts in another unit" in str(reading.reason)) != sound
    brief = [Window(3.0, 3.9)]  # may lie between two updates: nothing is concluded
    assert read_device(trace_of(300, 1e5 + watts * TIMES), brief, None, 0.3).counter.joules is not None


def test_a_processors_counter_that_jumps_is_unknown() -> None:
    trace = trace_of(0, STEADY + np.where(TIMES > 6, 262144, 0), limit=None)
    trace.power_field, trace.watts, trace.power_times = rapl.FIELD, [], []
    assert "above 2000 W: it jumped" in str(read(trace).counter.reason)
    trace.joules = (1e5 + 0.01 * TIMES).tolist()  # memory that draws next to nothing
    assert read(trace).counter.joules == pytest.approx(0.12, rel=1e-6)


# ---- real polls

POLLS = Path(__file__).parents[4] / "shared" / "gpu"


@pytest.mark.skipif(not POLLS.exists(), reason="no polls of a real GPU beside the repository")
def test_nothing_that_a_real_gpu_reads_is_refused() -> None:
    for path in sorted(POLLS.glob("**/power/*.jsonl"))[:20]:
        uuids = {json.loads(line)["uuid"] for line in path.read_text().splitlines()}
        reader = PollReader(path, sorted(uuids))
        reader.update()
        for trace in reader.traces.values():
            whole = [Window(trace.counter_times[2], trace.counter_times[-3])]
            assert all(trace.power_range.contains(watts) for watts in trace.watts)
            assert read_device(trace, whole, None, 0.3).counter.reason is None
            assert frozen.frozen_readings(trace, whole) == ()


# ---- over the stub


def metered(
    seconds: float, fault: Path | None = None, polls: Path | None = None
) -> tuple[Energy | None, str]:
    """Meter one window, in whose middle a fault of the stub begins that ends after 0.15 s."""
    with WindowMeter([UUID], period_seconds=0.05, polls_path=polls) as meter:
        meter.begin()
        time.sleep(seconds / 2)
        if fault:
            fault.touch()
            time.sleep(0.15)
            fault.unlink()
        time.sleep(seconds / 2)
        meter.end()
        energy, reason = meter.measurement()
    return energy, str(reason)


@pytest.mark.slow
def test_the_sampler_rejects_a_power_that_cannot_be_and_keeps_it_on_file(
    patient: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patient.setenv("STUB_FALSE", str(tmp_path / "now"))
    polls = tmp_path / "polls.jsonl"
    energy, reason = metered(0.6, tmp_path / "now", polls)
    assert energy is not None, reason
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)
    assert energy.devices[0].peak_watts == 300
    assert any("4.29e+06 W" in each for each in energy.grade_reasons)
    lines = [json.loads(line) for line in polls.read_text().splitlines()]
    assert next(line["rejected_watts"] for line in lines if "rejected_watts" in line) == 4294967.295
    assert {row["power/device_0_watts"] for row in power_rows(polls)} == {300.0}


@pytest.mark.slow
def test_a_limit_a_clock_and_a_temperature_that_cannot_be_are_unknown(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_FALSE_STATE", "1")
    energy, reason = metered(0.4)
    assert energy is not None, reason
    device = energy.devices[0]
    assert (device.sm_clock_mhz, device.temperature_begin_celsius) == (None, None)
    assert device.power_limit_watts == 400


@pytest.mark.slow
def test_a_power_field_that_always_answers_nonsense_leaves_the_counter(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_FALSE", "/")
    energy, reason = metered(0.4)
    assert energy is not None, reason
    assert (energy.used, energy.integral_joules) == ("counter", None)
    assert energy.integral_joules_reason == "power was never read (read 4.29e+06 W)"
    assert energy.devices[0].power_field == "nvmlDeviceGetPowerUsage"


@pytest.mark.slow
def test_a_counter_that_jumps_during_training(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_JUMP", str(tmp_path / "now"))
    with WindowMeter([UUID], period_seconds=0.05) as meter:
        meter.begin()
        time.sleep(0.3)
        (tmp_path / "now").touch()
        time.sleep(0.3)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert energy.used == "integral"
    assert "it jumped" in str(energy.counter_joules_reason)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["0.001", "1000"])
def test_a_counter_in_another_unit_during_training(patient: pytest.MonkeyPatch, unit: str) -> None:
    patient.setenv("STUB_UNIT", unit)
    energy, reason = metered(1.2)
    assert energy is not None, reason
    assert energy.used == "integral"
    assert "another unit" in str(energy.counter_joules_reason)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, rel=1e-6)


@pytest.mark.slow
def test_a_frozen_reading_of_a_busy_gpu(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_FROZEN", "/")
    patient.setenv("STUB_NO_COUNTER", "1")
    patient.setenv("STUB_BUSY", "97")
    patient.setattr(frozen, "LEAST_BUSY_SECONDS", 0.5)
    patient.setattr(frozen, "LEAST_FROZEN_SECONDS", 0.1)
    polls = tmp_path / "polls.jsonl"
    with WindowMeter([UUID], period_seconds=0.05, polls_path=polls) as meter:
        meter.begin()
        time.sleep(1.3)
        meter.end()
        meter._reach_seconds = 0.15
        energy, reason = meter.measurement()
    assert energy is None
    assert "frozen at 300 W" in str(reason)
    reader = PollReader(polls, [UUID])
    reader.update()
    assert reader.traces[UUID].states[0].busy_share == 0.97
