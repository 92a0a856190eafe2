"""Power laws with a known integral, through the real bindings over the stub: error bounds stated and met.

The counter errs by (its step + the longest gap) x the highest power at each edge. The integral of the power
readings is exact for a constant, and for the rest as good as its sensor.
"""

from __future__ import annotations

import os
import time

import pytest

from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy

pytestmark = pytest.mark.slow

UUID = "GPU-00000000-0000-0000-0000-000000000000"
PERIOD, UPDATE = 0.05, 0.1
LOW, HIGH = 100.0, 500.0
RATIOS = {"1/2": 1 / 2, "2/3": 2 / 3, "4/5": 4 / 5, "6/5": 6 / 5}


def metered(seconds: float) -> tuple[Energy, float, float]:
    """The energy of one window, and its edges on the stub's clock."""
    zero = float(os.environ["STUB_EPOCH"])
    with WindowMeter([UUID], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(seconds)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    return energy, meter.windows[0].begin_seconds - zero, meter.windows[0].end_seconds - zero


def counter_bound(energy: Energy, highest_watts: float = HIGH) -> float:
    return 2 * (UPDATE + energy.longest_gap_seconds) * highest_watts


def square_joules(t: float, period: float) -> float:
    whole, rest = divmod(t, period)
    return whole * period * (LOW + HIGH) / 2 + LOW * rest + (HIGH - LOW) * max(0.0, rest - period / 2)


@pytest.fixture(autouse=True)
def update(patient: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The counter moves every 0.1 s, as on most GPUs."""
    patient.setenv("STUB_UPDATE", str(UPDATE))
    return patient


def test_a_constant_is_right_to_a_thousandth(update: pytest.MonkeyPatch) -> None:
    update.setenv("STUB_LAW", "constant 300")
    energy, begin, end = metered(0.8)
    assert energy.integral_joules == pytest.approx(300 * (end - begin), rel=1e-3)
    assert energy.counter_joules == pytest.approx(300 * (end - begin), abs=counter_bound(energy, 300))
    assert energy.devices[0].stale_share == 1


@pytest.mark.parametrize("ratio", RATIOS)
def test_square_waves_near_the_update_period(update: pytest.MonkeyPatch, ratio: str) -> None:
    """A sensor that tells the mean of its whole update period, as Volta's and Turing's do."""
    period = UPDATE * RATIOS[ratio]
    update.setenv("STUB_LAW", f"square {LOW} {HIGH} {period}")
    update.setenv("STUB_SENSOR", f"duty {UPDATE} {UPDATE}")
    energy, begin, end = metered(1.0)
    true = square_joules(end, period) - square_joules(begin, period)
    assert energy.counter_joules == pytest.approx(true, abs=counter_bound(energy))
    delay = 2 * UPDATE + energy.longest_gap_seconds
    assert energy.integral_joules == pytest.approx(true, abs=delay * (HIGH - LOW))


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_sensor_that_sees_a_quarter_of_the_time(update: pytest.MonkeyPatch, ratio: str) -> None:
    """25 ms of each 100 ms, as A100 and H100: the counter is right where the readings need not be."""
    period = UPDATE * RATIOS[ratio]
    update.setenv("STUB_LAW", f"square {LOW} {HIGH} {period}")
    update.setenv("STUB_SENSOR", f"duty 0.025 {UPDATE}")
    energy, begin, end = metered(1.0)
    true = square_joules(end, period) - square_joules(begin, period)
    assert energy.used == "counter"
    assert energy.energy_joules == pytest.approx(true, abs=counter_bound(energy))
    assert energy.integral_joules is not None
    if ratio == "1/2":  # each quarter falls into the low half: the readings miss half of the mean
        assert energy.integral_joules == pytest.approx(LOW * (end - begin), rel=0.01)
    else:
        assert LOW <= energy.integral_joules / (end - begin) <= HIGH


def test_a_one_second_average_is_late_by_half_a_second(update: pytest.MonkeyPatch) -> None:
    at = time.monotonic() + 0.5 - float(os.environ["STUB_EPOCH"])
    update.setenv("STUB_LAW", f"step {LOW} {HIGH} {at}")
    update.setenv("STUB_SENSOR", "boxcar 1")
    energy, begin, end = metered(2.2)
    true = LOW * (end - begin) + (HIGH - LOW) * (end - at)
    late = 0.5 * (HIGH - LOW)
    assert energy.integral_joules == pytest.approx(true - late, abs=(HIGH - LOW) * energy.longest_gap_seconds)
    assert energy.counter_joules == pytest.approx(true, abs=counter_bound(energy))
