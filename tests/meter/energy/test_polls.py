"""Lines of the sampler's file as a trace: each kind of line, what is forgotten, which bytes are read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.meter.energy import rapl
from isoflop.meter.energy.polls import (
    DeviceTrace,
    Integral,
    PollReader,
    StatePoll,
    Window,
    counter_difference,
    cover,
    integrate,
    steepest_leap,
)

STATE: dict[str, Any] = {
    "time": 5.0,
    "celsius": 61,
    "sm_clock_mhz": 1410,
    "throttle": ["SwPowerCap"],
    "power_limit_watts": 400.0,
    "processes": 2,
    "busy_share": 0.98,
}


def trace_of(*lines: dict[str, Any]) -> DeviceTrace:
    trace = DeviceTrace("GPU-a")
    for line in lines:
        trace.add(line)
    return trace


# ---- one line


def test_a_description_is_no_poll() -> None:
    trace = trace_of({"name": "NVIDIA Stub", "power_field": "field", "mig": True})
    assert (trace.name, trace.power_field, trace.mig) == ("NVIDIA Stub", "field", True)
    assert trace.last_seconds is None
    assert (DeviceTrace("GPU-a").name, DeviceTrace("GPU-a").power_field) == ("unknown", "none")


def test_a_state_has_all_its_parts() -> None:
    trace = trace_of(STATE, STATE | {"time": 6.0, "throttle": None, "busy_share": None})
    first, second = trace.states
    assert first == StatePoll(5.0, 61, 1410, ("SwPowerCap",), 400.0, 2, 0.98)
    assert (second.throttle, second.busy_share) == (None, None)
    del (older := dict(STATE))["busy_share"]
    assert trace_of(older).states[0].busy_share is None, "a file of an earlier release"
    assert trace.last_seconds is None, "a state is no poll of the power"


def test_the_highest_limit_is_kept() -> None:
    limits = (None, 300.0, 400.0, 250.0, None)
    trace = trace_of(*(STATE | {"power_limit_watts": limit} for limit in limits))
    assert trace.highest_limit_watts == 400.0
    assert trace.power_range.highest_watts == 800.0
    assert trace_of(STATE | {"power_limit_watts": None}).highest_limit_watts is None


def test_readings_have_times_of_their_own_and_errors_stay() -> None:
    trace = trace_of(
        {"time": 1.0, "watts": 300.0, "joules": 5.0},
        {"time": 2.0, "power_error": "Lost", "joules": 6.0},
        {"time": 3.0, "watts": 310.0, "counter_error": "Timeout"},
        {"time": 4.0, "watts": 320.0, "joules": 7.0},
    )
    assert (trace.power_times, trace.watts) == ([1.0, 3.0, 4.0], [300.0, 310.0, 320.0])
    assert (trace.counter_times, trace.joules) == ([1.0, 2.0, 4.0], [5.0, 6.0, 7.0])
    assert (trace.power_error, trace.counter_error, trace.last_seconds) == ("Lost", "Timeout", 4.0)


def test_what_cannot_be_true_is_kept_apart() -> None:
    trace = trace_of(
        STATE,
        {"time": 1.0, "rejected_watts": 4e6, "power_error": "read 4e+06 W"},
        {"time": 2.0, "watts": 801.0},  # of an earlier release, which kept what was read
        {"time": 3.0, "watts": 800.0},
    )
    assert (trace.rejected_times, trace.rejected_watts) == ([1.0, 2.0], [4e6, 801.0])
    assert (trace.power_times, trace.power_error) == ([3.0], "read 801 W")


def test_a_processor_has_a_range_of_its_own() -> None:
    """Its memory may draw milliwatts, which no GPU does."""
    assert DeviceTrace("a", power_field=rapl.FIELD).power_range.contains(0.01)
    assert not DeviceTrace("a").power_range.contains(0.01)


# ---- what is forgotten


def test_the_last_poll_before_the_moment_stays() -> None:
    trace = trace_of(*({"time": float(t), "watts": 300.0 + t, "joules": 10.0 * t} for t in range(6)))
    trace.rejected_times, trace.rejected_watts = [1.0, 2.5, 3.0], [1e6, 2e6, 3e6]
    trace.states = [StatePoll(t, 60, 1400, (), 400.0, 1) for t in (2.0, 2.5, 3.0)]
    trace.forget_before(2.5)
    assert (trace.power_times, trace.watts) == ([2.0, 3.0, 4.0, 5.0], [302.0, 303.0, 304.0, 305.0])
    assert (trace.counter_times, trace.joules) == ([2.0, 3.0, 4.0, 5.0], [20.0, 30.0, 40.0, 50.0])
    assert (trace.rejected_times, trace.rejected_watts) == ([2.5, 3.0], [2e6, 3e6])
    assert [state.time for state in trace.states] == [2.5, 3.0]
    trace.forget_before(1.0)
    assert trace.power_times[0] == 2.0


# ---- the file


def test_the_file_is_read_from_its_first_byte_or_from_a_place_in_it(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    described = '{"uuid":"GPU-a","name":"NVIDIA Stub","power_field":"field","board":"GPU-a","mig":false}\n'
    polls = [f'{{"time":{t}.5,"uuid":"GPU-a","watts":300.0}}\n' for t in range(3)]
    path.write_text(described + "".join(polls))
    whole = PollReader(path, ["GPU-a"])
    assert whole.offset == 0
    whole.update()
    assert whole.traces["GPU-a"].name == "NVIDIA Stub"
    assert whole.traces["GPU-a"].power_times == [0.5, 1.5, 2.5]
    assert whole.offset == path.stat().st_size
    later = len(described) + len(polls[0])
    rest = PollReader(path, ["GPU-a"], later)
    rest.update()
    assert rest.traces["GPU-a"].power_times == [1.5, 2.5]
    assert rest.lines_since(later).decode() == described + polls[1] + polls[2], "polls, and what they are of"
    assert rest.lines_since(0).decode() == path.read_text()
    path.unlink()
    rest.update()
    assert rest.lines_since(0) == b""


def test_what_was_written_later_is_not_among_the_lines_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    path.write_text("1\n")
    reader = PollReader(path, [])
    reader.update()
    path.write_text("1\n2\n")
    assert reader.lines_since(0) == b"1\n"


def test_descriptions_are_looked_for_at_the_beginning_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    early, late = '{"power_field":"early"}\n', '{"power_field":"late"}\n'
    filler = "x" * (65536 - len(early)) + "\n"
    path.write_text(early + filler + late + "poll\n")
    reader = PollReader(path, [])
    reader.update()
    assert reader.lines_since(path.stat().st_size - len("poll\n")).decode() == early + "poll\n"


def test_another_instance_of_a_gpu_has_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    lines = [{"uuid": "MIG-2", "same_as": "MIG-1"}, [1], {"time": 1.0, "uuid": "MIG-1", "watts": 300.0}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    reader = PollReader(path, ["MIG-1", "MIG-2"])
    reader.update()
    assert list(reader.traces) == ["MIG-1"]
    assert reader.traces["MIG-1"].watts == [300.0]


# ---- arithmetic at edges


def test_polls_at_the_very_edges_belong_to_the_window() -> None:
    """100 W up to second 1, 300 W from 2 on: in between 200 W, and at the edges what was read there."""
    times, watts = [0.0, 1.0, 2.0, 3.0], [100.0, 100.0, 300.0, 300.0]
    assert integrate(times, watts, 1, 2, 0.25) == Integral(200.0, 0.5, 1.0)
    assert integrate(times, watts, 1.5, 2.5, 0.3).joules == 300.0, "held to the edges: 2.0 alone is inside"
    assert integrate(times, watts, 0, 3, 0.5) == Integral(600.0, 1.0, 1.0)


def test_polls_outside_reach_into_the_window_by_so_much() -> None:
    assert cover(np.array([-0.25, 1.25]), 0, 1, 0.25) == (0.0, 1.0)
    coverage, gap = cover(np.array([-0.125, 1.125]), 0, 1, 0.25)
    assert (coverage, gap) == (0.25, 1.0)
    assert cover(np.array([0.5]), 1, 1, 0.25) == (0.0, 0.0), "a window without a length"


@pytest.mark.parametrize(
    ("begin", "end", "edge"), [(1.75, 6.5, None), (1.25, 4, "beginning"), (2, 6.75, "end")]
)
def test_a_counter_is_read_within_reach_of_each_edge(begin: float, end: float, edge: str | None) -> None:
    times = [2.0, 3.0, 4.0, 5.0, 6.0]
    reason = counter_difference(times, [300.0 * t for t in times], begin, end, 0.5)[1]
    assert (reason is None) == (edge is None)
    if edge:
        assert reason == f"the counter was not read within 0.5 s of a window's {edge}"


def test_a_reset_matters_from_the_poll_before_the_window_to_the_one_after_it() -> None:
    times = np.arange(0.0, 10.0)
    for at, sound in ((3, True), (4, False), (5, False), (7, False), (8, False), (9, True)):
        counted = 1e4 + 300 * times - np.where(times >= at, 5e3, 0)
        assert (counter_difference(times, counted, 3.5, 7.5, 1.0)[1] is None) == sound, at


def test_a_rise_is_charged_from_the_update_before_to_the_poll_after_it() -> None:
    """Updates at every poll: 700 J at second 2 were drawn after second 0 and read before second 3."""
    times, joules = np.arange(6.0), np.array([0.0, 100.0, 800.0, 900.0, 1000.0, 1100.0])
    assert steepest_leap(times, joules, 0, 6, 200.0) == (700.0, 3.0)
    assert steepest_leap(times, joules, 0, 6, 700 / 3) is None
    assert steepest_leap(times, joules, 3, 6, 200.0) is None, "before the first poll that counts"
    assert steepest_leap(times, joules, 0, 2, 200.0) is None, "after the last one"


def test_before_the_first_update_a_second_is_supposed() -> None:
    times, joules = np.array([0.0, 0.5, 1.0, 1.5]), np.array([0.0, 0.0, 700.0, 700.0])
    assert steepest_leap(times, joules, 0, 4, 100.0) == (700.0, 2.5)  # from -1.0 to 1.5


def test_the_update_before_is_looked_for_as_far_back_as_50_polls() -> None:
    """Polls every 2 s; an update at the 9th or the 8th, and the next at the 59th, read by the last."""
    times = 2 * np.arange(60.0)
    for moved, since in ((9, 16.0), (8, 15.0)):  # the poll before it; a second before the 50th poll back
        joules = np.where(times >= 2 * moved, 10.0, 0.0) + np.where(times >= 2 * 59, 90.0, 0.0)
        assert steepest_leap(times, joules, 58, 60, 0.1) == (90.0, 118.0 - since)


def test_without_a_limit_no_rise_is_a_leap() -> None:
    times = np.arange(0.0, 10.0)
    counted = np.where(times > 5, 1e9, 0) + times
    assert counter_difference(times, counted, 2, 8, 1.0)[1] is None
    assert counter_difference(times, counted, 2, 8, 1.0, math.inf)[1] is None


def test_a_window_has_a_length() -> None:
    assert Window(2.0, 5.5).seconds == 3.5
