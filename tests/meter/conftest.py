"""Fixtures that put the stub of NVML in place of the library."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def run_with_stub(nvml_stub_folder: Path) -> Callable[..., Any]:
    """Return a function that gives what `code` prints as JSON, in a process that finds the stub library."""

    def run(code: str, **environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, **environment, "LD_LIBRARY_PATH": str(nvml_stub_folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
