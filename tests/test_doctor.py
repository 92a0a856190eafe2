from __future__ import annotations

import json
from pathlib import Path

import pytest

from isoflop import doctor, record
from isoflop.cli import main
from isoflop.meter.device import bench, ceilings, conditions, hardware, passes


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setitem(bench.SIZES, "cpu", (64,))
    monkeypatch.setitem(bench.COPY_BYTES, "cpu", 2**16)
    # Real products of a hundredth of a second on a machine that also runs other tests.
    monkeypatch.setattr(passes, "LARGEST_DIFFERENCE", 1.0)
    monkeypatch.setattr(passes, "LARGEST_LOAD", 1.0)


def test_measured_ceilings_are_kept_for_the_runs_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["doctor", "--measure", "--seconds", "0.01", "--threads", "1", "--dtype", "fp32", "--cpu"]
    assert main.main([*command, "--json", "-"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    ceiling, reason = ceilings.find(hardware.describe_cpu(), "fp32", 1)
    assert reason is None
    assert ceiling is not None
    assert shown["ceiling"]["flops_per_second"] == ceiling.flops_per_second > 0
    assert ceiling.bytes_per_second > 0
    assert main.main(command) == 0
    line = capsys.readouterr().out
    assert "1 thread, fp32" in line
    assert "no datasheet peak" in line
    assert main.main(["doctor"]) == 0
    assert "1 thread, fp32" in capsys.readouterr().out


@pytest.fixture
def half_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor of which other programs use a half, and whose rates do not vary."""
    load = conditions.Load((0.5, None), "other programs")
    monkeypatch.setattr(conditions.ProcessorWatch, "load", lambda self: load)
    monkeypatch.setattr(bench, "matmul_flops_per_second", lambda *_: 1e12)
    monkeypatch.setattr(bench, "copy_bytes_per_second", lambda *_: 1e10)
    monkeypatch.setattr(passes, "LARGEST_LOAD", 0.10)


def test_a_ceiling_measured_on_a_busy_machine_is_shown_and_not_kept(
    half_loaded: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["doctor", "--measure", "--threads", "1", "--dtype", "fp32", "--cpu"]
    assert main.main(command) == 1
    shown = capsys.readouterr()
    assert "others' load 50%" in shown.out
    assert "not kept, because the device was not idle: other programs used 50% of the device" in shown.err
    assert shown.err.count("\n") == 1
    assert ceilings.read_all() == ()
    assert main.main([*command, "--json", "-"]) == 1
    (measured,) = json.loads(capsys.readouterr().out)
    assert measured["kept"] is False
    assert measured["disturbances"] == ["other programs used 50% of the device"]


def test_a_ceiling_of_a_busy_machine_is_kept_if_asked_for_and_says_so(
    half_loaded: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["doctor", "--measure", "--threads", "1", "--dtype", "fp32", "--cpu", "--anyway"]
    assert main.main(command) == 0
    (kept,) = ceilings.read_all()
    assert (kept.other_load, kept.passes_apart) == (0.5, 0.0)
    assert record.problem(kept) is None
    capsys.readouterr()
    assert main.main(["doctor"]) == 0
    assert "others' load 50%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seconds", "0"], "--seconds 0: give a number above 0"),
        (["--seconds", "nan"], "--seconds nan"),
        (["--dtype", "fp8"], "--dtype fp8: this device measures fp32, bf16"),
        (["--dtype", "fp32,"], "--dtype : this device measures"),
        (["--threads", "0"], "--threads 0: this machine has"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["doctor", "--measure", "--cpu", *options]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_an_option_of_measuring_needs_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["doctor", "--seconds", "3"]) == 2
    assert "--seconds needs --measure" in capsys.readouterr().err


def test_a_damaged_file_of_ceilings_is_reported_before_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings.cache_file().parent.mkdir()
    ceilings.cache_file().write_text("[")
    monkeypatch.setattr(bench, "copy_bytes_per_second", lambda *_: pytest.fail("it measured first"))
    with pytest.raises(ValueError, match="damaged"):
        doctor.measure(seconds=0.01, dtypes=None, threads=None, on_cpu=True)
    assert any(f.subject == "ceilings" and not f.ok for f in doctor.examine(Path(), Path()))


def test_a_ceiling_stands_beside_the_datasheet() -> None:
    ceiling = record.Ceiling("NVIDIA H200", "bf16", 0, 700e12, 4e12, "2026-01-01T00:00:00+00:00")
    peak = record.PeakRate(989.5e12, "bf16", "a datasheet")
    line = doctor.describe(doctor.Measured(ceiling, peak, None))
    assert "70.7% of the datasheet's" in line
    assert "so 175 FLOPs a byte fill it" in line
