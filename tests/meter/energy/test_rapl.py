"""The processor's counters: what is summed, wrap-around, what may not be read; modelled power."""

import json
import threading
import time
from pathlib import Path

import pytest

from isoflop import record
from isoflop.meter.energy import rapl, sampler
from isoflop.meter.energy.window_meter import WindowMeter

RANGE_MICROJOULES = 262_143_328_850


def zone(root: Path, folder: str, name: str, energy: int = 5_000_000, full: int = RANGE_MICROJOULES) -> Path:
    made = root / folder
    made.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", full)):
        (made / file).write_text(f"{text}\n")
    return made


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two sockets as Linux lists them, with every zone that would count twice."""
    root = tmp_path / "powercap"
    for socket in range(2):
        zone(root, f"intel-rapl:{socket}", f"package-{socket}")
        zone(root, f"intel-rapl:{socket}:0", "core")
        zone(root, f"intel-rapl:{socket}:1", "uncore")
        zone(root, f"intel-rapl:{socket}:2", "dram")
    zone(root, "intel-rapl:2", "psys")
    zone(root, "intel-rapl-mmio:0", "package-0")
    (root / "intel-rapl").mkdir()
    return root


class Load(threading.Thread):
    """Moves every counter on as if each drew so many watts."""

    def __init__(self, root: Path, watts: float) -> None:
        super().__init__(daemon=True)
        self.files = sorted(root.glob("intel-rapl*:*/energy_uj"))
        self.watts, self.ended = watts, threading.Event()

    def run(self) -> None:
        first, began = [int(f.read_text()) for f in self.files], time.monotonic()
        while not self.ended.wait(0.01):
            for file, start in zip(self.files, first, strict=True):
                now = start + int((time.monotonic() - began) * self.watts * 1e6)
                full = int((file.parent / "max_energy_range_uj").read_text())
                new = file.with_suffix(".new")
                new.write_text(str(now % full))
                new.rename(file)  # as the kernel does, a reader sees the old number or the new one


def test_packages_and_memory_are_summed_once_each(powercap: Path) -> None:
    counters = rapl.find(powercap)
    names = ["RAPL package-0", "RAPL package-0/dram", "RAPL package-1", "RAPL package-1/dram"]
    assert ([d.uuid for d in counters.domains], counters.reason) == (names, None)
    assert counters.domains[0].range_joules == pytest.approx(262143.32885)
    assert rapl.read_joules(counters.domains[0]) == 5


def test_without_counters_there_is_a_reason(tmp_path: Path) -> None:
    assert rapl.find(tmp_path) == rapl.find(tmp_path / "absent") == rapl.Domains((), rapl.ABSENT)


def test_counters_for_root_only_say_what_to_change(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = powercap / "intel-rapl:1/energy_uj"
    plain = Path.read_text

    def read(path: Path) -> str:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return plain(path)

    monkeypatch.setattr(Path, "read_text", read)
    counters = rapl.find(powercap)
    assert counters.domains == ()
    assert f"sudo chmod a+r {powercap}/*/energy_uj" in str(counters.reason)
    energy, reason = WindowMeter((), host=counters, no_gpu="no GPU").measurement()
    assert (energy, reason) == (None, f"no GPU; {counters.reason}")


def test_a_counter_that_reads_nonsense_is_named(powercap: Path) -> None:
    (powercap / "intel-rapl:0:2/energy_uj").write_text("unknown\n")
    assert "package-0/dram" in str(rapl.find(powercap).reason)


def test_wrap_around_is_undone(powercap: Path) -> None:
    domain = rapl.find(powercap).domains[0]
    poll = sampler.RaplCounter(domain)
    file = domain.path / "energy_uj"
    reads = [RANGE_MICROJOULES - 3_000_000, RANGE_MICROJOULES - 1_000_000, 4_000_000, 4_500_000]
    joules = []
    for microjoules in reads:
        file.write_text(str(microjoules))
        joules.append(poll()["joules"])
    assert joules == pytest.approx([0, 2, 7, 7.5])
    file.unlink()
    assert poll()["counter_error"] == "No such file or directory"


@pytest.mark.slow
def test_a_processor_is_metered_over_a_wrap(powercap: Path, tmp_path: Path) -> None:
    """Four counters at 50 W each; each wraps within the window."""
    for file in powercap.glob("*/max_energy_range_uj"):
        file.write_text(str(20_000_000))
    load = Load(powercap, 50)
    polls = tmp_path / "polls.jsonl"
    with WindowMeter((), host=rapl.find(powercap), period_seconds=0.05, polls_path=polls) as meter:
        load.start()
        time.sleep(0.1)
        meter.begin()
        time.sleep(1.2)
        meter.end()
        energy, reason = meter.measurement()
        so_far = meter.joules_so_far()
    load.ended.set()
    assert energy is not None, reason
    assert record.problem(energy) is None
    assert energy.used == "rapl"
    assert energy.energy_joules == pytest.approx(200 * energy.window_seconds, abs=200 * 0.1)
    assert so_far == pytest.approx(energy.energy_joules)
    assert energy.counter_joules == energy.energy_joules
    assert energy.grade == "C"
    assert f"{energy.window_seconds:.3g} s were metered" in " ".join(energy.grade_reasons)
    assert len(energy.devices) == 4
    assert energy.devices[1].power_field == rapl.FIELD
    assert energy.devices[1].mean_watts == pytest.approx(50, abs=5)
    assert sum("joules" in json.loads(line) for line in polls.read_text().splitlines()) > 40


@pytest.mark.slow
def test_beside_a_gpu_the_processor_is_not_in_the_sum(powercap: Path, patient: pytest.MonkeyPatch) -> None:
    load = Load(powercap, 25)
    uuid = "GPU-00000000-0000-0000-0000-000000000000"
    with WindowMeter([uuid], host=rapl.find(powercap), period_seconds=0.05) as meter:
        load.start()
        time.sleep(0.1)
        meter.begin()
        time.sleep(0.6)
        meter.end()
        energy, reason = meter.measurement(replayed=True)
    load.ended.set()
    assert energy is not None, reason
    assert [d.uuid for d in energy.devices] == [uuid]
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)
    assert energy.host_joules == pytest.approx(100 * energy.window_seconds, abs=20)


def test_a_power_is_modelled_only_when_asked_for() -> None:
    with WindowMeter((), host=rapl.Domains((), rapl.ABSENT), cpu_watts=65) as meter:
        assert not meter.has_readings
        for _ in range(2):
            meter.begin()
            time.sleep(0.02)
            meter.end()
        energy, reason = meter.measurement()
        assert meter.joules_so_far() == pytest.approx(65 * sum(w.seconds for w in meter.windows))
    assert energy is not None, reason
    assert record.problem(energy) is None
    assert (energy.used, energy.grade, energy.coverage, energy.devices) == ("modelled", "D", 0, ())
    assert energy.energy_joules == pytest.approx(65 * energy.window_seconds)
    assert "nothing was measured (65 W)" in energy.grade_reasons[0]
    with pytest.raises(ValueError, match="above 0"):
        WindowMeter((), cpu_watts=0)


@pytest.mark.slow
def test_a_counter_that_may_not_be_read_any_more_is_a_reason(powercap: Path) -> None:
    with WindowMeter((), host=rapl.find(powercap), period_seconds=0.05) as meter:
        meter.begin()
        for file in list(powercap.glob("*/energy_uj")):
            file.unlink()
        time.sleep(0.5)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is None
    assert "No such file" in str(reason)
