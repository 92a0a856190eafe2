"""The mutants of scripts/mutants: what is changed and what is not, and a working tree left as it was."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def mutate(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from mutants import mutate

    return mutate


def changes(mutate, source):
    return {mutant.change for mutant in mutate.mutants(source, "a.py")}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"Lt → LtE"}),
        ("x = a >= b", {"GtE → Gt"}),
        ("x = a + b", {"Add → Sub"}),
        ("x = a and b", {"And → Or"}),
        ("x = not a", {"not a → a"}),
        ("x = 3", {"3 → 4", "3 → 2"}),
        ("x = 1.5", {"1.5 → 3.0", "1.5 → 0.75"}),
        ("x = 0.0", {"0.0 → 1.0"}),
        ("x = True", {"True → False"}),
        ("x += y", {"Add → Sub", "x += y → pass"}),
        ("f(x)", {"f(x) → pass"}),
        ("x = a if b else c", {"b → not b"}),
        ("x = [a for a in b if a]", {"a → not a"}),
        ("def f(a):\n    return a", {"a → None"}),
        ("def f(a):\n    raise a", {"raise a → pass"}),
        ("while a:\n    x = b", {"a → not a"}),
    ],
)
def test_one_thing_is_changed_at_a_time(mutate, source, expected):
    assert changes(mutate, source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring with 3 numbers."""',
        "assert a < 3",
        "from __future__ import annotations",
        "if TYPE_CHECKING:\n    x = 3",
        "def f(a: Literal[3]) -> Array[3]:\n    pass",
        "@dataclass(frozen=True)\nclass A:\n    pass",
        "x = zip(a, b, strict=True)",
        'x = f"{a:.3f}"',
        'x = a + "text"',
        "def f():\n    return None",
    ],
)
def test_what_only_guards_or_annotates_is_left_alone(mutate, source):
    assert changes(mutate, source) == set()


SOURCE = '''LIMIT = 1.5


class A:
    """A class."""

    share = 2

    def far(self, x):
        """Return whether x is far."""
        if x > LIMIT:
            return True
        return x > 1
'''


def test_each_mutant_is_valid_differs_and_has_a_name_of_its_own(mutate):
    made = mutate.mutants(SOURCE, "a.py")
    texts = {mutate.apply(SOURCE, mutant) for mutant in made}
    assert len({mutant.id for mutant in made}) == len(made) == len(texts)
    for text in texts:
        compile(text, "a.py", "exec")
    with pytest.raises(ValueError, match="no change number"):
        mutate.apply(SOURCE, dataclasses.replace(made[0], index=99))


def test_a_mutant_says_where_it_stands_and_through_which_names_it_is_used(mutate):
    made = {mutant.change: mutant for mutant in mutate.mutants(SOURCE, "a.py")}
    assert made["1.5 → 3.0"].names == {"LIMIT"}
    assert made["2 → 3"].names == {"A", "share"}
    assert made["x > LIMIT → not x > LIMIT"].names == frozenset()
    assert made["x > LIMIT → not x > LIMIT"].where == "A.far"
    assert (made["1.5 → 3.0"].line, made["1 → 0"].line) == (1, 13)
    defaults = "class B:\n    def __init__(self, size=7):\n        pass\n"
    assert mutate.mutants(defaults, "a.py")[0].names == {"B"}, "who makes one runs it"


def test_a_module_is_changed_in_the_copy_only_and_laid_back(mutate, tmp_path):
    from mutants import workplace

    tree = tmp_path / "tree"
    tree.mkdir()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    (tree / "a.py").write_text(SOURCE)
    with workplace.copied(tree) as place:
        before = (place / "a.py").stat().st_mtime
        with workplace.changed(place / "a.py", "x = 1\n"):
            assert (place / "a.py").read_text() == "x = 1\n"
            assert (place / "a.py").stat().st_mtime == before + 10
            assert (tree / "a.py").read_text() == SOURCE
        assert (place / "a.py").read_text() == SOURCE
        assert (place / "a.py").stat().st_mtime == before
    assert not place.exists()


def test_a_larger_sample_of_one_seed_begins_with_the_smaller(mutate, monkeypatch):
    from mutants.__main__ import drawn

    population = list(mutate.mutants(SOURCE, "a.py"))
    assert drawn(population, 5, 0) == drawn(population, 8, 0)[:5]
    assert drawn(population, 8, 0) != drawn(population, 8, 1)


def test_equivalent_mutants_exist_and_have_reasons(mutate):
    import tomllib

    from mutants.__main__ import EQUIVALENT, every_mutant

    entries = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    assert all(len(entry["reason"]) > 20 for entry in entries)
    listed = {entry["id"] for entry in entries}
    assert len(listed) == len(entries)
    assert not listed & {mutant.id for mutant in every_mutant()}


TESTED = """
import sys

sys.path.insert(0, "src")
import a


def test_far():
    assert a.A().far(2.0)


def test_near():
    assert not a.A().far(1.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("change", "outcome"), [("1 → 0", "killed"), ("1.5 → 3.0", "survived")])
def test_a_mutant_is_killed_where_a_test_fails(mutate, tmp_path, change, outcome):
    """In a process of its own, as trials fork."""
    place = tmp_path / "repository"
    (place / "src").mkdir(parents=True)
    mutant = next(m for m in mutate.mutants(SOURCE, "src/a.py") if m.change == change)
    (place / "src/a.py").write_text(mutate.apply(SOURCE, mutant))
    (place / "test_a.py").write_text(TESTED)
    script = (
        "import sys; from pathlib import Path; from mutants import trial; "
        "print(trial.run(Path(sys.argv[1]), ['test_a.py'], 60)[0], trial.run(Path(sys.argv[1]), [], 60)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(place)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [outcome, "untested"], done.stderr


@pytest.mark.parametrize(
    ("value", "refused"), [("None", True), ("2", False), ("a_name_that_is_unknown", False)]
)
def test_types_refuse_a_function_that_returns_nothing_where_a_number_is_promised(
    monkeypatch, tmp_path, value, refused
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from mutants import trial

    (tmp_path / "a.py").write_text(f"def one() -> int:\n    return {value}\n")
    assert trial.refused_by_types(tmp_path, "a.py") == refused
