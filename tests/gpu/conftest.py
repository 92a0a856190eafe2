"""Reports of these tests, printed as they happen: lent GPUs are cut off by time, before pytest's summary."""

from __future__ import annotations

import os
import sys

import pytest

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
