"""Training cut by evaluations of another power: what each of them drew, from polls of a known power."""

from __future__ import annotations

import numpy as np
import pytest

from isoflop.meter.energy import blocks
from isoflop.meter.energy.device_reading import measure_counter, measure_power, read_device
from isoflop.meter.energy.measurement import Circumstances, combine
from isoflop.meter.energy.polls import DeviceTrace, Window

UPDATE = PERIOD = 0.1
INSTANT, AVERAGED = "NVML_FI_DEV_POWER_INSTANT", "nvmlDeviceGetPowerUsage"


class Phases:
    """Training and evaluation in turn, from second 1 on, each at its own power; idle before and after."""

    def __init__(
        self, train: float, evaluation: float, *, times: int, watts: tuple[float, float] = (300.0, 150.0)
    ) -> None:
        starts = 1.0 + (train + evaluation) * np.arange(times)
        self.windows = tuple(Window(float(t), float(t) + train) for t in starts)
        self._edges = np.array([[w.begin_seconds, w.end_seconds] for w in self.windows]).ravel()
        self._watts = np.array([100.0, *([*watts] * times)])
        self._watts[-1] = 100.0
        self.true = watts[0] * train * times

    def power(self, t: np.ndarray) -> np.ndarray:
        return self._watts[np.searchsorted(self._edges, t, "right")]

    def joules(self, t: np.ndarray) -> np.ndarray:
        knots = np.concatenate([[0.0], self._edges, [self._edges[-1] + 10]])
        total = np.concatenate([[0.0], np.cumsum(self._watts * np.diff(knots))])
        return np.interp(t, knots, total)

    def trace(self, phase: float = 0.0, field: str = INSTANT) -> DeviceTrace:
        t = np.arange(phase * PERIOD, self._edges[-1] + 1, PERIOD)
        counted = self.joules(np.floor(t / UPDATE) * UPDATE)
        return DeviceTrace(
            "a", "NVIDIA Stub", field, list(t), list(self.power(t)), list(t), list(counted), float(t[-1])
        )


def test_windows_join_over_short_gaps() -> None:
    windows = [Window(0, 1), Window(1.1, 2), Window(4.5, 5), Window(5, 6)]
    joined = blocks.blocks(windows)
    assert [block.whole for block in joined] == [Window(0, 2), Window(4.5, 6)]
    assert [block.gaps for block in joined] == [(Window(1, 1.1),), ()]


@pytest.mark.parametrize(("gap", "count"), [(2.0, 1), (2.01, 2)])
def test_a_gap_of_more_than_two_seconds_ends_a_block(gap: float, count: int) -> None:
    assert len(blocks.blocks([Window(0, 1), Window(1 + gap, 9)])) == count


@pytest.mark.parametrize(("readings", "joules"), [(2, [250.0, 250.0]), (3, [100.0, 400.0])])
def test_three_readings_give_a_gap_a_mean_of_its_own(readings: int, joules: list[float]) -> None:
    """Two gaps of a second, of 100 W and of 400 W; with fewer readings they share one mean."""
    moments = [0.1 * (i + 1) for i in range(readings)]
    trace = DeviceTrace("a", power_times=[*moments, *(5 + t for t in moments)])
    trace.watts = [100.0] * readings + [400.0] * readings
    assert blocks.gap_joules(trace, [Window(0, 1), Window(5, 6)]) == pytest.approx(joules)


@pytest.mark.parametrize("evaluation", [0.03, 0.07, 0.4])
def test_evaluations_of_half_the_power_are_not_counted_as_training(evaluation: float) -> None:
    """15 evaluations in 9 s of training. Read at every window's edges the counter is off by up to 5%."""
    phases = Phases(0.6, evaluation, times=15)
    errors = []
    for phase in np.linspace(0, 0.95, 12):
        trace = phases.trace(phase)
        for source in (
            measure_counter(trace, phases.windows, 0.3),
            measure_power(trace, phases.windows, 0.3),
        ):
            assert source.joules is not None
            errors.append(source.joules / phases.true - 1)
            assert abs(errors[-1]) < source.edge_seconds / 9
    assert abs(np.mean(errors)) < 0.01
    assert max(map(abs, errors)) < 0.025


def test_at_one_power_the_cuts_cost_nothing() -> None:
    """Five windows of 2.4 s: their edges were said to cost 4%, and the grade was C or B for it."""
    phases = Phases(2.4, 0.05, times=5, watts=(300.0, 300.0))
    reading = read_device(phases.trace(0.3), phases.windows, None, 0.3)
    assert reading.counter.joules == pytest.approx(phases.true, rel=0.01)
    assert reading.counter.edge_seconds == pytest.approx(0.1, abs=0.01)
    energy, reason = combine([reading], phases.windows, Circumstances())
    assert reason is None
    assert energy is not None
    assert energy.grade == "A"


def test_edges_cost_what_the_powers_differ_by() -> None:
    joined = blocks.blocks([Window(0, 1), Window(1.05, 2), Window(3, 4)])
    assert blocks.edge_seconds(joined, 300.0, [150.0, 150.0]) == pytest.approx(0.1 + (0.05 + 0.1) / 2)
    assert blocks.edge_seconds(joined, 300.0, [300.0, 300.0]) == pytest.approx(0.1)
    assert blocks.edge_seconds(joined, 300.0, None) == pytest.approx(0.1 + 0.05 + 0.1)
    assert blocks.edge_seconds(blocks.blocks([Window(0, 1), Window(9, 10)]), 300.0, []) == pytest.approx(0.2)


def test_a_power_averaged_over_a_second_says_nothing_about_a_gap() -> None:
    """The counter is then read at the edges of each window, and the edges count in full."""
    phases = Phases(0.6, 0.05, times=15)
    reading = measure_counter(phases.trace(0.3, AVERAGED), phases.windows, 0.3)
    assert reading.joules == pytest.approx(phases.true, rel=0.05)
    assert reading.edge_seconds == pytest.approx(0.1 + 14 * 0.05)


def test_a_gap_that_no_poll_hits_has_the_power_of_the_others() -> None:
    trace = Phases(2.0, 0.01, times=3).trace(0.5)
    missed, hit, long = Window(3.0, 3.01), Window(5.04, 5.06), Window(5.1, 5.6)
    assert blocks.gap_joules(trace, [missed]) is None
    assert blocks.gap_joules(trace, [missed, hit]) == pytest.approx([3.0, 6.0])
    assert blocks.gap_joules(trace, [long]) == pytest.approx([150.0])
    assert blocks.gap_joules(trace, []) == []


def test_a_reset_between_two_windows_spoils_the_counter_and_not_the_power() -> None:
    phases = Phases(2.0, 0.3, times=3)
    trace = phases.trace(0.5)
    after = int(np.searchsorted(trace.counter_times, 3.2))
    trace.joules = [*trace.joules[:after], *(np.array(trace.joules[after:]) - trace.joules[after])]
    assert measure_counter(trace, phases.windows, 0.3).reason == "the counter ran backwards (it was reset)"
    assert measure_power(trace, phases.windows, 0.3).joules == pytest.approx(phases.true, rel=0.03)
