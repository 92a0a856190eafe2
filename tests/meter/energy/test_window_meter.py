"""The meter over a sampler that is simulated in this process: windows, the idle baseline, refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.meter.energy import rapl, window_meter
from isoflop.meter.energy.polls import DeviceTrace, Window
from isoflop.meter.energy.window_meter import WindowMeter

PERIOD = 0.1
RAPL = rapl.Domains((rapl.Domain(Path("powercap/intel-rapl:0"), "RAPL package-0", 1e6),), None)


class Clock:
    """time.monotonic that moves by `sleep` alone."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Sampler:
    """Polls of every device at a period up to now: 60 W at first, and 300 W after 10 s."""

    made: list[Sampler]
    clock: Clock

    def __init__(
        self, arguments: Sequence[str], devices: Sequence[str], period_seconds: float, path: Path | None
    ) -> None:
        self.arguments, self.devices, self.period_seconds = list(arguments), list(devices), period_seconds
        self.stopped, self.started, self.broken = 0, self.clock.now, False
        self.reason: str | None = None
        self.traces: list[DeviceTrace] = []
        self.waits: list[float] = []
        self.made.append(self)

    def start(self) -> None:
        self.update()

    def update(self) -> None:
        if self.broken:
            return
        times = np.arange(self.started, self.clock.now + 1e-9, self.period_seconds)
        since = times - self.started
        self.traces = []
        for uuid in self.devices:
            trace = DeviceTrace(uuid, "NVIDIA Stub", rapl.FIELD if uuid.startswith("RAPL") else "field")
            trace.counter_times = times.tolist()
            trace.joules = (1e4 + np.where(since < 10, 60 * since, 600 + 300 * (since - 10))).tolist()
            if not uuid.startswith("RAPL"):
                trace.power_times = times.tolist()
                trace.watts = np.where(since < 10, 60.0, 300.0).tolist()
            trace.last_seconds = float(times[-1])
            self.traces.append(trace)

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        self.waits.append(seconds)
        end = self.clock.now + seconds
        self.update()
        while not ready() and self.clock.now < end:
            self.clock.sleep(0.01)
            self.update()

    def failure(self) -> str | None:
        return self.reason

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Sampler, "clock", clock, raising=False)
    monkeypatch.setattr(Sampler, "made", [], raising=False)
    monkeypatch.setattr(window_meter, "SamplerProcess", Sampler)
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


def metered(meter: WindowMeter, clock: Clock, seconds: float) -> None:
    meter.begin()
    clock.sleep(seconds)
    meter.end()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"period_seconds": 0.049}, "power is polled every 0.049 s: use 0.05 s or more"),
        ({"period_seconds": float("nan")}, "power is polled every nan s"),
        ({"idle_seconds": -0.1}, r"the idle baseline lasts -0.1 s: use 0 \(none\) or more"),
        ({"idle_seconds": float("nan")}, "the idle baseline lasts nan s"),
        ({"cpu_watts": 0.0}, "an assumed power of 0.0 W: use a power above 0 W, or none"),
        ({"cpu_watts": -5.0}, "an assumed power of -5.0 W"),
        ({"cpu_watts": float("nan")}, "an assumed power of nan W"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowMeter(["GPU-a"], **settings)


def test_settings_at_their_bounds_are_taken(clock: Clock) -> None:
    WindowMeter(["GPU-a"], period_seconds=0.05, idle_seconds=0.0, cpu_watts=0.1)
    assert Sampler.made[0].period_seconds == 0.05


def test_the_sampler_is_asked_for_each_device_once(clock: Clock) -> None:
    WindowMeter(["a", "GPU-a", "GPU-b"], host=RAPL)
    (sampler,) = Sampler.made
    assert sampler.arguments == ["--uuid", "GPU-a", "--uuid", "GPU-b", "--rapl", "powercap"]
    assert sampler.devices == ["GPU-a", "GPU-b", "RAPL package-0"]


def test_the_idle_baseline_is_taken_on_entry(clock: Clock) -> None:
    with WindowMeter(["GPU-a"], idle_seconds=10.0) as meter:
        assert clock.now == pytest.approx(1010, abs=0.2)
        clock.sleep(1.0)
        metered(meter, clock, 20.0)
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert energy.energy_joules == pytest.approx(6000)
    assert energy.idle_watts == pytest.approx(60, rel=0.03)
    assert energy.net_joules == pytest.approx(6000 - 60 * 20, rel=0.01)


def test_without_a_baseline_the_net_joules_are_unknown(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        clock.sleep(11.0)
        metered(meter, clock, 20.0)
        energy, _ = meter.measurement()
    assert energy is not None
    assert (energy.net_joules, energy.net_joules_reason) == (None, "no idle baseline was taken")


def test_a_baseline_of_before_is_subtracted_by_device(clock: Clock) -> None:
    with WindowMeter(["GPU-a", "GPU-b"]) as meter:
        idle = meter.measure_idle(5.0)
        assert idle == {uuid: (pytest.approx(60), None) for uuid in ("GPU-a", "GPU-b")}
        meter.use_idle(idle)
        clock.sleep(6.0)
        metered(meter, clock, 20.0)
        energy, _ = meter.measurement()
        meter.use_idle({"GPU-a": (60.0, None)})
        partly, _ = meter.measurement()
    assert energy is not None
    assert partly is not None
    assert energy.net_joules == pytest.approx(2 * (6000 - 1200), rel=1e-6)
    assert partly.net_joules is None
    assert "no idle baseline was taken" in str(partly.net_joules_reason)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_a_request_to_stop_during_the_baseline_ends_the_sampler(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(seconds: float) -> None:
        raise error

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(error), WindowMeter(["GPU-a"], idle_seconds=10.0):
        pass
    assert Sampler.made[0].stopped == 1


def test_the_sampler_ends_once_with_the_meter(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        assert meter.has_readings
    assert Sampler.made[0].stopped == 1


def test_joules_so_far_are_of_all_windows_or_of_those_given(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        assert meter.joules_so_far() is None
        metered(meter, clock, 5.0)
        clock.sleep(6.0)
        metered(meter, clock, 20.0)
        assert meter.joules_so_far() == pytest.approx(60 * 5 + 300 * 20)
        assert meter.joules_so_far(meter.windows[:1]) == pytest.approx(60 * 5)
        assert meter.joules_so_far(()) is None
        energy, _ = meter.measurement()
        first, _ = meter.measurement(meter.windows[:1])
    assert energy is not None
    assert first is not None
    assert (energy.energy_joules, first.energy_joules) == (pytest.approx(6300), pytest.approx(300))
    assert meter.measurement(()) == (None, "no window was metered")


def test_without_a_gpu_the_processor_is_the_figure(clock: Clock) -> None:
    with WindowMeter([], host=RAPL) as meter:
        clock.sleep(11.0)
        metered(meter, clock, 20.0)
        assert meter.joules_so_far() == pytest.approx(6000)
        energy, _ = meter.measurement()
    assert energy is not None
    assert (energy.energy_joules, energy.used, energy.grade) == (pytest.approx(6000), "rapl", "B")


def test_the_processor_is_metered_beside_the_gpus_and_not_added(clock: Clock) -> None:
    with WindowMeter(["GPU-a"], host=RAPL) as meter:
        clock.sleep(11.0)
        metered(meter, clock, 20.0)
        assert meter.joules_so_far() == pytest.approx(6000)
        energy, _ = meter.measurement()
    assert energy is not None
    assert (energy.energy_joules, energy.host_joules) == (pytest.approx(6000), pytest.approx(6000))
    assert [device.uuid for device in energy.devices] == ["GPU-a"]


def test_an_assumed_power_is_for_where_nothing_can_be_read(clock: Clock) -> None:
    with WindowMeter([], cpu_watts=50.0) as meter:
        metered(meter, clock, 3.0)
        metered(meter, clock, 4.0)
        assert meter.joules_so_far() == pytest.approx(350)
        assert meter.joules_so_far([Window(0, 2)]) == pytest.approx(100)
        energy, _ = meter.measurement()
    assert energy is not None
    assert (energy.energy_joules, energy.grade) == (pytest.approx(350), "D")
    with WindowMeter(["GPU-a"], cpu_watts=50.0) as meter:
        metered(meter, clock, 5.0)
        assert meter.joules_so_far() == pytest.approx(300), "60 W, as read"


def test_a_meter_that_was_not_entered_has_no_figure(clock: Clock) -> None:
    for meter in (WindowMeter(["GPU-a"]), WindowMeter([], host=RAPL), WindowMeter([], cpu_watts=50.0)):
        assert meter.measurement() == (None, "the meter was not entered")
    assert WindowMeter([], no_gpu="CUDA is off").measurement() == (
        None,
        "CUDA is off; RAPL was not requested",
    )


def test_a_sampler_that_died_is_the_reason_and_not_a_figure(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        clock.sleep(11.0)
        metered(meter, clock, 5.0)
        sound, _ = meter.measurement()
        Sampler.made[0].broken, Sampler.made[0].reason = True, "the power sampler was killed by signal 9"
        metered(meter, clock, 20.0)
        energy, reason = meter.measurement()
    assert sound is not None
    assert energy is None
    assert str(reason).startswith("the power sampler was killed by signal 9; GPU-a: ")


def test_a_window_is_measured_with_a_poll_beyond_it_and_no_later(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        assert Sampler.made[0].waits == [window_meter.START_SECONDS]
        metered(meter, clock, 5.05)
        assert meter.open_window is None
        meter.measurement()
        assert Sampler.made[0].waits[-1] == pytest.approx(2 * PERIOD)
        assert clock.now == pytest.approx(1005.1, abs=0.02)


def test_windows_and_the_one_that_is_open(clock: Clock) -> None:
    with WindowMeter(["GPU-a"]) as meter:
        began = clock.now
        meter.begin()
        clock.sleep(3.0)
        assert meter.open_window == Window(began, began + 3.0)
        meter.end()
        meter.begin()
        meter.end()  # no time has passed: no window
        assert meter.windows == (Window(began, began + 3.0),)


def test_power_of_late_is_the_mean_of_the_last_seconds(clock: Clock) -> None:
    with WindowMeter(["GPU-a", "GPU-b"]) as meter:
        clock.sleep(9.0)
        assert meter.watts_lately() == pytest.approx(120.0)
        clock.sleep(3.5)  # of the last 5 s, half at 60 W and half at 300 W, on each of two
        assert meter.watts_lately() == pytest.approx(360.0, rel=0.02)
        clock.sleep(30.0)
        assert meter.watts_lately() == pytest.approx(600.0)
        (made,) = Sampler.made
        made.broken = True
        clock.sleep(30.0)
        assert meter.watts_lately() is None, "nothing was read lately"


def test_power_of_late_without_a_gpu_is_the_processors(clock: Clock) -> None:
    with WindowMeter((), host=RAPL) as meter:
        clock.sleep(30.0)
        assert meter.watts_lately() == pytest.approx(300.0)
    with WindowMeter((), cpu_watts=65.0) as meter:
        assert meter.watts_lately() == 65.0
    with WindowMeter(()) as meter:
        assert meter.watts_lately() is None


def test_a_counter_that_stands_still_or_was_reset_has_no_power() -> None:
    trace = DeviceTrace("RAPL package-0", counter_times=[0.0, 1.0, 2.0], joules=[50.0, 50.0, 10.0])
    assert trace.watts_since(0.0) is None
    assert trace.watts_since(2.0) is None
    trace.joules = [50.0, 50.0, 90.0]
    assert trace.watts_since(0.0) == 20.0
