"""The stub of NVML for the tests of the energy meter."""

import time
from pathlib import Path

import pytest

from isoflop.meter.energy import window_meter


@pytest.fixture
def stub(nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets the stub's environment; its clock starts now."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setenv("STUB_EPOCH", repr(time.monotonic()))
    monkeypatch.setenv("STUB_UPDATE", "0.02")
    monkeypatch.setenv("STUB_THROTTLE", "0")
    return monkeypatch


@pytest.fixture
def patient(stub: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The stub, and a meter that forgives a busy machine for polling late."""
    stub.setattr(window_meter, "REACH_PERIODS", 100)
    return stub
