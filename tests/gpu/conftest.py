"""Fixtures of these tests, and their reports, printed as they happen: lent GPUs are cut off by time, before
pytest's summary."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch

from isoflop.train import loop

FOLDER = "tests/gpu/"


def report_at_once(report: pytest.TestReport) -> str | None:
    """Return what to print as soon as a test has failed, or None; xdist's workers leave it to the parent."""
    if "PYTEST_XDIST_WORKER" in os.environ or not report.failed or not report.nodeid.startswith(FOLDER):
        return None
    return f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.1f} s)\n{report.longreprtext}\n"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a failure and its traceback to stderr at once. Between two tests pytest captures nothing."""
    if (text := report_at_once(report)) is not None:
        print(text, file=sys.stderr, flush=True)


@pytest.fixture
def exact() -> Iterator[None]:
    """The same kernels in the same order in every run."""
    with loop.deterministic(True):
        yield


@pytest.fixture
def no_waiting() -> Iterator[Callable[[], None]]:
    """Called, it makes every operation that waits for the device raise, until the test ends."""

    def set_mode(mode: str | int) -> None:
        with warnings.catch_warnings():
            # The first call of a process warns that the mode is a prototype.
            warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype", UserWarning)
            torch.cuda.set_sync_debug_mode(mode)

    before = torch.cuda.get_sync_debug_mode()
    yield lambda: set_mode("error")
    set_mode(before)
