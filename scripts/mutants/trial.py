"""One mutant's trial: its tests, in a process forked from one that has imported the heavy libraries."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Literal

from mutants import workplace

Outcome = Literal["killed", "timeout", "survived", "untested", "refused"]

HEAVY = (
    *("torch", "torchvision", "numpy", "pandas", "scipy.optimize", "scipy.stats", "sklearn.datasets"),
    *("matplotlib.pyplot", "plotly.graph_objects", "jinja2", "rich.console", "msgspec", "filelock"),
    *("hydra", "hypothesis.strategies", "hypothesis.extra.numpy", "pytest"),
)
"""Imported once: torch alone takes longer than most trials."""
OPTIONS = (
    *("-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of plugins that were imported already
)
PASSED, NO_TESTS, BROKEN = 0, 5, 99
"""Exit codes of pytest, and of a child in which pytest could not start; any other: a test failed, or
could not be collected or finished."""


def warm(place: Path) -> None:
    """Import the heavy libraries; let `import isoflop` find the copy in processes forked from this one."""
    os.environ.update(workplace.environment(place))
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(place / "src"))
    for name in HEAVY:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    assert "isoflop" not in sys.modules, "the forked processes import it anew, each with its mutant"


def refused_by_types(place: Path, path: str) -> bool:
    """Return whether mypy, and so `make check`, refuses what a function of the copy's module returns."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--show-error-codes", path]
    found = subprocess.run(command, cwd=place, capture_output=True, check=False, text=True)
    return "[return-value]" in found.stdout


def run(place: Path, tests: list[str], limit_s: float) -> tuple[Outcome, str]:
    """Return what became of the change that lies in `place`, and the end of pytest's output.

    Args:
        place: the copy.
        tests: node ids.
        limit_s: seconds after which the mutant counts as killed: it waits for ever or takes far longer.
    """
    if not tests:
        return "untested", ""
    output = place.parent / "output"
    child = os.fork()
    if child == 0:
        _in_child(place, tests, output)
    code = _wait(child, limit_s)
    text = output.read_text(errors="replace")[-2000:] if output.exists() else ""
    if code is None:
        return "timeout", text
    if code == BROKEN:
        raise RuntimeError(f"pytest could not start: {text}")
    return ("untested" if code == NO_TESTS else "survived" if code == PASSED else "killed"), text


def prepare(place: Path, files: list[str]) -> None:
    """Compile the source and the test files once, so that a trial compiles no more than its mutant.

    Raises:
        RuntimeError: the test files cannot be collected without any mutant.
    """
    output = place.parent / "output"
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = False
        _in_child(place, ["--collect-only", *files], output)
    if _wait(child, 1200) != PASSED:
        raise RuntimeError(f"the tests cannot be collected: {output.read_text(errors='replace')[-2000:]}")


def _in_child(place: Path, tests: list[str], output: Path) -> None:
    """Run the tests and end the process; never returns."""
    code = BROKEN
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(place)
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(written, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        import pytest

        code = int(pytest.main([*OPTIONS, f"--basetemp={place.parent / 'pytest'}", *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _wait(child: int, limit_s: float) -> int | None:
    """Return the child's exit code, or None if it was stopped after `limit_s`, with all it had started."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _stop(child)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    _stop(child)
    os.waitpid(child, 0)
    return None


def _stop(group: int) -> None:
    """End what is left of a trial's process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
