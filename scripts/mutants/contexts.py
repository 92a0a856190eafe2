"""pytest plugin of the coverage run: which test, or which shared fixture, ran each line."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

KNOWN = "MUTANTS_TESTS"
"""Environment variable with the file of tests that were measured before; this run adds its own."""


class Contexts:
    """Labels coverage with the test that runs, notes how long each takes, skips those that are known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        known = json.loads(path.read_text()) if path.exists() else {"tests": {}, "fixtures": {}}
        self.tests: dict[str, dict[str, Any]] = known["tests"]
        self.fixtures: dict[str, float] = known["fixtures"]
        self.current = ""

    def pytest_sessionstart(self) -> None:
        """Import all of isoflop, so that no test is charged with the lines of an import."""
        import isoflop

        for module in pkgutil.walk_packages(isoflop.__path__, "isoflop."):
            with contextlib.suppress(Exception):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the tests whose file has not changed since they were measured."""
        items[:] = [item for item in items if self.tests.get(item.nodeid, {}).get("key") != _key(item)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Charge the lines of a test to it; note its seconds and the shared fixtures that it uses."""
        started = time.perf_counter()
        self._switch(item.nodeid)
        information = getattr(item, "_fixtureinfo", None)
        definitions = information.name2fixturedefs.values() if information else ()
        fixtures = sorted({_name(each[-1]) for each in definitions if each and each[-1].scope != "function"})
        self.tests[item.nodeid] = {"key": _key(item), "fixtures": fixtures, "passed": False}
        try:
            return (yield)
        finally:
            self.tests[item.nodeid]["seconds"] = round(time.perf_counter() - started, 3)
            self._switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Charge the lines of a shared fixture to the fixture, whichever test happens to come first."""
        if fixturedef.scope == "function":
            return (yield)
        before, started = self.current, time.perf_counter()
        self._switch(_name(fixturedef))
        try:
            return (yield)
        finally:
            self._switch(before)
            self.fixtures[_name(fixturedef)] = round(time.perf_counter() - started, 3)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests pass: the others cannot judge a mutant."""
        if report.when == "call" and report.passed:
            self.tests[report.nodeid]["passed"] = True

    def pytest_sessionfinish(self) -> None:
        """Keep what was measured."""
        self.path.write_text(json.dumps({"tests": self.tests, "fixtures": self.fixtures}))

    def _switch(self, context: str) -> None:
        self.current = context
        measuring = coverage.Coverage.current()
        if measuring is not None:
            measuring.switch_context(context)


def _name(fixturedef: Any) -> str:
    return f"fixture {fixturedef.baseid}::{fixturedef.argname}"


def _key(item: pytest.Item) -> str:
    return hashlib.sha256(item.path.read_bytes()).hexdigest()[:16]


def pytest_configure(config: pytest.Config) -> None:
    """Register the labels."""
    config.pluginmanager.register(Contexts(Path(os.environ[KNOWN])))
