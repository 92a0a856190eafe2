"""Which tests run which line, measured once with coverage, and so which tests can judge a mutant."""

from __future__ import annotations

import collections
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import coverage

from mutants import contexts, workplace
from mutants.mutate import Mutant

FAST = "not slow and not gpu and not slurm and not browser"
SECONDS, TESTS = 20.0, 150
"""Most seconds, and most tests, that are spent on one mutant: the nearest and quickest are tried first."""
_CONFIGURATION = "[run]\nrelative_files = true\nsource = src/isoflop\n"


def measure(place: Path, folder: Path, tests: list[str], marks: str = FAST) -> None:
    """Run the tests that are new or changed under coverage in the copy; add them to the map in `folder`."""
    settings = place / ".mutants-coverage"
    settings.write_text(_CONFIGURATION)
    command = [
        *(sys.executable, "-m", "coverage", "run", "--append", f"--rcfile={settings}"),
        *(
            f"--data-file={folder / 'lines'}",
            "-m",
            "pytest",
            "-p",
            "mutants.contexts",
            "-p",
            "no:cacheprovider",
        ),
        *("-m", marks, f"--basetemp={place.parent / 'pytest'}", *tests),
    ]
    environment = workplace.environment(place) | {contexts.KNOWN: str(folder / "tests.json")}
    subprocess.run(command, cwd=place, env=environment, check=False)


class Reach:
    """The measured map, and the choice of tests from it."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.place = place
        measured = json.loads((folder / "tests.json").read_text())
        self.tests, self.fixtures = measured["tests"], measured["fixtures"]
        self.data = coverage.CoverageData(str(folder / "lines"))
        self.data.read()
        self.users: dict[str, set[str]] = collections.defaultdict(set)
        for name, test in self.tests.items():
            for fixture in test["fixtures"]:
                self.users[fixture].add(name)

    @functools.cached_property
    def _sources(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.place)): path.read_text()
            for path in sorted((self.place / "src").rglob("*.py"))
        }

    @functools.lru_cache(maxsize=64)  # noqa: B019 - one object for the whole process
    def _by_line(self, path: str) -> dict[int, set[str]]:
        """Return the passing tests of each line of a module, those through a shared fixture included."""
        found = {}
        for line, labels in self.data.contexts_by_lineno(path).items():
            names = {label for label in labels if label in self.tests}
            for label in labels:
                names |= self.users.get(label, set())
            found[line] = {name for name in names if self.tests[name]["passed"]}
        return found

    def judges(self, mutant: Mutant) -> list[str]:
        """Return the tests that can notice the mutant, those of its own package and the quickest first.

        A line inside a function is judged by the tests that run it. What runs at import is judged by the
        tests of the functions that use a name which it defines and those that name it themselves, or else by
        all of the module's; so is a line that only processes of their own run.
        """
        lines = self._by_line(mutant.path)
        names: set[str] = set()
        if mutant.names:
            names = self._users_of(mutant) | self._mentioned(mutant)
        else:
            names = names.union(
                *(lines.get(line, set()) for line in range(mutant.span[0], mutant.span[1] + 1))
            )
        if not names:
            names = set().union(*lines.values())
        return self._within_budget(names, mutant)

    def _users_of(self, mutant: Mutant) -> set[str]:
        """Return the tests of the statements that mention a name defined by a statement run at import."""
        uses = re.compile(rf"\b({'|'.join(map(re.escape, sorted(mutant.names)))})\b")
        stem = re.compile(rf"\b{re.escape(Path(mutant.path).stem)}\b")
        names: set[str] = set()
        for path, text in self._sources.items():
            if path != mutant.path and not stem.search(text):
                continue
            lines = self._by_line(path)
            for number, line in enumerate(text.splitlines(), 1):
                if uses.search(line):
                    names |= lines.get(number, set())
        return names

    def _mentioned(self, mutant: Mutant) -> set[str]:
        """Return the tests of the files in which a name and its module stand."""
        words = ["|".join(map(re.escape, sorted(mutant.names))), re.escape(Path(mutant.path).stem)]
        patterns = [re.compile(rf"\b({word})\b") for word in words]
        return {
            name
            for name, test in self.tests.items()
            if test["passed"]
            and all(p.search(self._test_sources.get(name.split("::")[0], "")) for p in patterns)
        }

    @functools.cached_property
    def _test_sources(self) -> dict[str, str]:
        paths = {name.split("::")[0] for name in self.tests}
        return {path: (self.place / path).read_text() for path in paths if (self.place / path).exists()}

    def _within_budget(self, names: set[str], mutant: Mutant) -> list[str]:
        package = mutant.path.removeprefix("src/isoflop/").split("/")
        stem = Path(package[-1]).stem

        def order(name: str) -> tuple[bool, bool, float]:
            file = name.split("::")[0]
            return stem not in file, not file.startswith(f"tests/{package[0]}/"), self.seconds([name])

        chosen: list[str] = []
        for name in sorted(names, key=order)[:TESTS]:
            if not chosen or self.seconds([*chosen, name]) <= SECONDS:
                chosen.append(name)
        return chosen

    def seconds(self, names: list[str]) -> float:
        """Return how long the tests took when they were measured, with each fixture that they share once."""
        fixtures = {fixture for name in names for fixture in self.tests[name]["fixtures"]}
        own = sum(self.tests[name]["seconds"] for name in names)
        return float(own + sum(self.fixtures.get(fixture, 0.0) for fixture in fixtures))
