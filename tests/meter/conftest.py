"""Fixtures that put the stub of NVML in place of the library."""

import time
from pathlib import Path

import pytest

from isoflop.meter.energy import window_meter


@pytest.fixture
def stub(nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Select the stub by the environment and start its clock; faults are set on the monkeypatch returned."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setenv("STUB_EPOCH", repr(time.monotonic()))
    monkeypatch.setenv("STUB_UPDATE", "0.02")
    monkeypatch.setenv("STUB_THROTTLE", "0")
    return monkeypatch


@pytest.fixture
def patient(stub: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The stub, with a tolerance for late polls on a busy machine: coverage is not tested here."""
    stub.setattr(window_meter, "REACH_PERIODS", 100)
    return stub
