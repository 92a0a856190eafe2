"""A section of a script, and a command, over a meter that is simulated: edges, reports, exit codes."""

from __future__ import annotations

import contextlib
import shutil
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isoflop import record
from isoflop.meter.device import visible
from isoflop.meter.energy import command, energy_meter, rapl
from isoflop.meter.energy.energy_meter import EnergyMeter, Measurement
from isoflop.meter.energy.polls import Window
from isoflop.record import Energy

seen: list[Any] = []
"""What happened, in order: `wait` for the GPU, and `enter`, `begin`, `end` and `exit` of the meter."""


def device_of(uuid: str, mean_watts: float, peak_watts: float | None) -> record.DeviceEnergy:
    return record.DeviceEnergy(
        uuid=uuid,
        name="NVIDIA Stub",
        power_field="field",
        polls=40,
        coverage=1.0,
        longest_gap_seconds=0.1,
        throttle_reasons=(),
        **record.known(mean_watts=mean_watts),
        peak_watts=peak_watts,
        peak_watts_reason="not read" if peak_watts is None else None,
        **record.unknown(
            "not read",
            *("counter_joules", "integral_joules", "idle_watts", "temperature_begin_celsius"),
            *("temperature_end_celsius", "sm_clock_mhz", "power_limit_watts", "throttled_share"),
            *("compute_processes", "stale_share"),
        ),
    )


def energy_of(
    joules: float, seconds: float, *devices: record.DeviceEnergy, idle_watts: float | None = None
) -> Energy:
    """Joules by the counter; with the power of the idle device, the net joules too."""
    idle = (
        record.unknown("no idle baseline was taken", "idle_watts", "net_joules")
        if idle_watts is None
        else record.known(idle_watts=idle_watts, net_joules=joules - idle_watts * seconds)
    )
    return Energy(
        energy_joules=joules,
        used="counter",
        replayed=False,
        window_seconds=seconds,
        coverage=1.0,
        longest_gap_seconds=0.1,
        grade="C",
        grade_reasons=("4 s were metered: below 10 s", "a second reason"),
        devices=devices,
        **idle,
        **record.known(counter_joules=joules, own_joules=joules, host_joules=77.0),
        **record.unknown("not read", "integral_joules"),
    )


class Meter:
    """Stands in for WindowMeter: windows of a clock that the test sets, 250 W by the counter."""

    made: list[Meter]
    now = 100.0

    def __init__(self, uuids: Sequence[str], **settings: Any) -> None:
        self.uuids, self.settings = tuple(uuids), settings
        self.windows: tuple[Window, ...] = ()
        self.opened: float | None = None
        Meter.made.append(self)

    def __enter__(self) -> Meter:
        seen.append("enter")
        return self

    def __exit__(self, *error: Any) -> None:
        seen.append("exit")

    def begin(self) -> None:
        seen.append("begin")
        self.opened = Meter.now

    def end(self) -> None:
        seen.append("end")
        assert self.opened is not None
        self.windows = (*self.windows, Window(self.opened, Meter.now))
        self.opened = None

    @property
    def open_window(self) -> Window | None:
        return None if self.opened is None else Window(self.opened, Meter.now)

    def measurement(self, windows: Sequence[Window] | None = None) -> tuple[Energy | None, str | None]:
        seconds = sum(window.seconds for window in (self.windows if windows is None else windows))
        return energy_of(250 * seconds, seconds, device_of("GPU-a", 250.0, 260.0)), None


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One GPU and no processor, metered by `Meter`; torch as a process with a CUDA context has it."""
    monkeypatch.setattr(Meter, "made", [], raising=False)
    monkeypatch.setattr(Meter, "now", 100.0)
    seen.clear()
    for module in (energy_meter, command):
        monkeypatch.setattr(module, "WindowMeter", Meter)
    monkeypatch.setattr(visible, "visible_gpus", lambda: visible.VisibleGpus(("GPU-a",), None))
    monkeypatch.setattr(rapl, "find", lambda: rapl.NOT_REQUESTED)
    use_cuda(monkeypatch, initialized=True)


def use_cuda(monkeypatch: pytest.MonkeyPatch, *, initialized: bool) -> None:
    cuda = types.SimpleNamespace(is_initialized=lambda: initialized, synchronize=lambda: seen.append("wait"))
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))


# ---- a section


def test_the_gpu_is_waited_for_before_each_edge() -> None:
    with EnergyMeter() as meter, meter.paused():
        pass
    one_window = ["wait", "begin", "wait", "end"]
    assert seen == ["enter", *one_window, *one_window, "exit"]


def test_after_an_error_the_gpu_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="mine"), EnergyMeter():
        raise ValueError("mine")
    assert seen == ["enter", "wait", "begin", "end", "exit"]


def test_metering_goes_on_after_an_error_in_a_pause() -> None:
    with EnergyMeter() as meter:
        with pytest.raises(ValueError, match="mine"), meter.paused():
            raise ValueError("mine")
        assert seen[-1] == "begin"


@pytest.mark.parametrize("imported", [True, False])
def test_without_a_cuda_context_nothing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, imported: bool
) -> None:
    if imported:
        use_cuda(monkeypatch, initialized=False)
    else:
        monkeypatch.delitem(sys.modules, "torch")
    with EnergyMeter():
        pass
    assert seen == ["enter", "begin", "end", "exit"]


def test_a_pause_is_left_out_and_the_open_window_counts_so_far() -> None:
    with EnergyMeter() as meter:
        Meter.now += 4
        assert (meter.measurement.seconds, meter.measurement.energy_joules) == (4, 1000)
        with meter.paused():
            Meter.now += 100
            assert meter.measurement.seconds == 4
        Meter.now += 2
        assert meter.measurement.energy_joules == 1500
    Meter.now += 50
    assert (meter.measurement.seconds, meter.measurement.energy_joules) == (6, 1500)
    assert meter.measurement is meter.measurement
    assert (meter.measurement.mean_watts, meter.measurement.grade) == (250, "C")


def test_defaults_and_what_is_named() -> None:
    EnergyMeter()
    EnergyMeter(["GPU-b"], period_seconds=0.2, idle_seconds=3.0, polls_path=Path("polls"), cpu_watts=40.0)
    by_default, named = Meter.made
    assert (by_default.uuids, named.uuids) == (("GPU-a",), ("GPU-b",))
    assert by_default.settings == {
        "host": rapl.NOT_REQUESTED,
        "cpu_watts": None,
        "period_seconds": 0.1,
        "idle_seconds": 0.0,
        "polls_path": None,
        "no_gpu": "no GPU was named to meter",
    }
    assert named.settings == by_default.settings | {
        "cpu_watts": 40.0,
        "period_seconds": 0.2,
        "idle_seconds": 3.0,
        "polls_path": Path("polls"),
    }


def test_gpus_that_cannot_be_told_apart_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the processor's: what else was metered is not the energy of this process."""
    monkeypatch.setattr(visible, "visible_gpus", lambda: visible.VisibleGpus(None, "which GPU is unknown"))
    with EnergyMeter() as meter:
        Meter.now += 4
    assert meter.measurement == Measurement(4.0, None, "which GPU is unknown")
    assert str(meter.measurement) == "joules unknown over 4 s: which GPU is unknown"
    assert Meter.made[0].uuids == ()


def test_a_measurement_in_words() -> None:
    energy = energy_of(1532.04, 12.0623, device_of("a", 60.0, 80.0), device_of("b", 67.0, 90.0))
    assert str(Measurement(12.0623, energy, None)) == (
        "1532 J in 12.06 s (mean 127 W, counter, grade C: 4 s were metered: below 10 s; a second reason)"
    )
    assert Measurement(12.0, energy, None).peak_watts == 90
    assert Measurement(12.0, energy_of(1.0, 1.0), None).peak_watts is None
    unknown = Measurement(1.0, None, "no driver")
    assert (unknown.energy_joules, unknown.mean_watts, unknown.peak_watts, unknown.grade) == (None,) * 4


# ---- a command


def metered(*words: str, **settings: Any) -> command.Metered:
    return command.meter(words, **settings)


@pytest.fixture
def takes_4_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command ends with code 7 after 4 s."""

    class Relay:
        def run(self, words: Sequence[str]) -> int:
            seen.append(tuple(words))
            Meter.now += 4
            return 7

    monkeypatch.setattr(command, "relayed", lambda: contextlib.nullcontext(Relay()))


@pytest.mark.usefixtures("takes_4_seconds")
def test_a_command_is_metered_from_its_start_to_its_end() -> None:
    done = metered("true", "--token", "secret")
    assert seen == ["enter", "begin", ("true", "--token", "secret"), "end", "exit"]
    assert (done.exit_code, done.seconds, done.energy_joules, done.mean_watts) == (7, 4.0, 1000, 250)
    assert (done.peak_watts, done.peak_watts_reason, done.energy_reason) == (260, None, None)
    assert "secret" not in done.command
    (meter,) = Meter.made
    assert meter.uuids == ("GPU-a",)
    assert meter.settings == {
        "host": rapl.NOT_REQUESTED,
        "period_seconds": 0.1,
        "idle_seconds": 0.0,
        "polls_path": None,
        "own_processes": None,
        "no_gpu": "no GPU was named",
    }


@pytest.mark.usefixtures("takes_4_seconds")
def test_the_gpus_of_a_command_may_be_named() -> None:
    metered("true", gpus=["b"], idle_seconds=0.5, period_seconds=0.2, polls_path=Path("polls"))
    (meter,) = Meter.made
    assert meter.uuids == ("GPU-b",)
    settings = (meter.settings[name] for name in ("idle_seconds", "period_seconds", "polls_path"))
    assert tuple(settings) == (0.5, 0.2, Path("polls"))


@pytest.mark.usefixtures("takes_4_seconds")
def test_a_command_on_gpus_that_cannot_be_told_apart_has_no_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visible, "visible_gpus", lambda: visible.VisibleGpus(None, "which GPU is unknown"))
    done = metered("true")
    assert (done.energy_joules, done.energy_joules_reason) == (None, "which GPU is unknown")
    assert Meter.made[0].settings["no_gpu"] == "which GPU is unknown"
    assert command.format_report(done) == "isoflop meter: 4 s, joules unknown: which GPU is unknown\n"


def test_the_exit_codes_of_what_cannot_be_run(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    absent, forbidden = metered("no-such-program"), metered(str(plain))
    assert (absent.exit_code, forbidden.exit_code) == (127, 126)
    assert metered(str(tmp_path / "absent")).exit_code == 127
    assert command.format_report(absent) == "isoflop: no-such-program: not found\n"
    assert command.format_report(forbidden) == f"isoflop: {plain}: not executable\n"
    assert Meter.made == [], "no sampler is started for it"
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"\x7fELF")
    damaged.chmod(0o755)
    assert metered(str(damaged)).exit_code == 126
    assert seen[-2:] == ["end", "exit"]
    with pytest.raises(ValueError, match="give the command after --"):
        command.meter([])


def test_a_program_that_disappears_before_it_is_run_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert metered("no-such-program").exit_code == 127


def report_of(energy: Energy, seconds: float = 4.0) -> list[str]:
    measured = Measurement(seconds, energy, None)
    return command.format_report(command._metered(["train"], 0, measured)).splitlines()


def test_the_report_of_a_command_line_by_line() -> None:
    first, second = device_of("GPU-a", 200.0, 260.04), device_of("GPU-b", 50.0, None)
    assert report_of(energy_of(1000.0, 4.0, first, second, idle_watts=60.0)) == [
        "isoflop meter: 1000 J in 4 s, mean 250 W, peak 260 W, by counter, grade C",
        "  GPU-a NVIDIA Stub: 800 J, mean 200 W, peak 260 W",
        "  GPU-b NVIDIA Stub: 200 J, mean 50 W",
        "  processors and memory beside (RAPL, not in the sum): 77 J",
        "  above idle (60 W): 760 J",
        "  4 s were metered: below 10 s",
        "  a second reason",
    ]
    assert report_of(energy_of(1000.0, 4.0, second))[0].endswith("mean 250 W, by counter, grade C")


def test_a_peak_that_was_not_read_has_a_reason() -> None:
    done = command._metered(["train"], 0, Measurement(4.0, energy_of(1.0, 4.0), None))
    assert (done.peak_watts, done.peak_watts_reason) == (None, "no device's power was read")
    done = command._metered(["train"], 0, Measurement(4.0, None, "no driver"))
    assert (done.peak_watts_reason, done.mean_watts_reason, done.energy_reason) == ("no driver",) * 3


def test_the_report_is_for_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    done = command._metered(["train"], 0, Measurement(4.0, None, "no driver"))
    command.print_report(done)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "isoflop meter: 4 s, joules unknown: no driver\n")
