from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isoflop import record
from isoflop.meter.device import ceilings

ONE = record.Ceiling("some GPU", "bf16", 0, 100e12, 1e12, "2026-01-01T00:00:00+00:00")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ceilings.json"


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ISOFLOP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ceilings.cache_file() == tmp_path / "isoflop" / "ceilings.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ceilings.cache_file() == tmp_path / ".cache" / "isoflop" / "ceilings.json"


def test_a_later_measurement_takes_the_place_of_an_earlier_one_of_the_same_key(cache: Path) -> None:
    assert ceilings.read_all() == ()
    threads = dataclasses.replace(ONE, device="a processor", threads=2)
    again = dataclasses.replace(ONE, flops_per_second=110e12)
    assert ceilings.store([ONE, threads]) == cache
    ceilings.store([again])
    assert set(ceilings.read_all()) == {again, threads}
    assert ceilings.find("some GPU", "bf16", 0) == (again, None)
    assert [path.name for path in cache.parent.iterdir()] == ["ceilings.json"]


@pytest.mark.parametrize("other", [("another", "bf16", 0), ("some GPU", "fp32", 0), ("some GPU", "bf16", 2)])
def test_a_ceiling_holds_for_its_own_device_dtype_and_threads_only(other: tuple[str, str, int]) -> None:
    ceilings.store([ONE])
    ceiling, reason = ceilings.find(*other)
    assert ceiling is None
    assert reason is not None
    assert reason.endswith("isoflop doctor --measure")


@pytest.mark.parametrize("text", ["[{", "{}", '[{"device": "x"}]', "\xff"])
def test_a_damaged_file_is_a_reason_for_a_run_and_an_error_for_a_measurement(cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_bytes(text.encode("latin-1"))
    ceiling, reason = ceilings.find(*ceilings.key(ONE))
    assert ceiling is None
    assert "remove it and measure again" in str(reason)
    with pytest.raises(ValueError, match="damaged"):
        ceilings.store([ONE])
    assert cache.read_bytes() == text.encode("latin-1")


def test_a_rate_of_zero_is_no_ceiling() -> None:
    ceilings.store([dataclasses.replace(ONE, bytes_per_second=0.0)])
    assert "not above 0" in str(ceilings.find(*ceilings.key(ONE))[1])
