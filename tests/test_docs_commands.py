"""Every command of every page: understood by the command line, and run where that is cheap."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop.cli import main
from isoflop.config import compose

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))),
    *(ROOT / "slurm/README.md", ROOT / "containers/README.md", *sorted(ROOT.glob("results/*/README.md"))),
)
HISTORY = ("docs/log.md",)
"""Pages that tell what was typed once."""
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^ {4}((?:isoflop|python|make) .*)$", re.MULTILINE)
SPAN = re.compile(r"`((?:isoflop|python|make) [^`]*)`")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        page: the page, from the repository's root.
        words: as a shell splits them, without a comment.
        inline: whether it stands in a line of text, where a verb may be named without its arguments.
        output: the lines that the page shows below it.
    """

    page: str
    words: tuple[str, ...]
    inline: bool = False
    output: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def of_page(path: Path) -> list[Command]:
    """Return all commands of a page, in no order."""
    text = path.read_text()
    page = path.relative_to(ROOT).as_posix()
    commands = of_blocks(path)
    prose = re.sub(r"\\\n\s*", " ", FENCE.sub("", text))
    for inline, pattern in ((False, INDENTED), (True, SPAN)):
        for line in pattern.findall(prose):
            commands += [Command(page, words, inline) for words in _split(line)]
    return commands


def of_blocks(path: Path) -> list[Command]:
    """Return the commands of a page's console blocks, with what is shown below them, in order."""
    commands: list[Command] = []
    for language, block in FENCE.findall(path.read_text()):
        if language not in ("console", "bash"):
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *output = re.sub(r"\\\n\s*", " ", part).splitlines()
            *before, last = _split(line)
            page = path.relative_to(ROOT).as_posix()
            commands += [Command(page, words) for words in before]
            commands.append(Command(page, last, output=tuple(output)))
    return commands


def _split(line: str) -> list[tuple[str, ...]]:
    """Return the words of each command of a line: those of && and pipes are several."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [tuple(words) for words in commands if words]


COMMANDS = [
    command for page in PAGES if page.relative_to(ROOT).as_posix() not in HISTORY for command in of_page(page)
]
OF_ISOFLOP = {c.words: c for c in COMMANDS if Path(c.words[0]).name == "isoflop"}.values()
NEEDS_A_CHANGE = {"best", "tanh", "stripes"}
"""What the recipes of CONTRIBUTING.md add first: tests/test_contributing.py runs their commands."""


@functools.cache
def verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = (each for each in main.parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def test_commands_are_found_in_blocks_and_in_lines() -> None:
    assert len(OF_ISOFLOP) > 100
    assert {c.inline for c in OF_ISOFLOP} == {True, False}
    assert _split("a -b && c 'd e' | f # g") == [("a", "-b"), ("c", "d e"), ("f",)]
    assert {c.page for c in COMMANDS} > {"README.md", "docs/quickstart.md", "slurm/README.md"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of code that pages name: those of examples/custom, under each name."""
    path = tmp_path_factory.mktemp("named")
    for name, source in (
        ("net.py", "net"),
        ("data.py", "data"),
        ("mine.py", "lever"),
        ("path/to/file.py", "net"),
        ("package/module.py", "net"),
    ):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / f"examples/custom/{source}.py").read_text()
        (path / name).write_text(text.replace("def build(", "def function(") if "/" in name else text)
    return path


@pytest.mark.torch  # a command of flops is composed beside the counter
@pytest.mark.parametrize("command", OF_ISOFLOP, ids=str)
def test_every_command_is_understood(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = [word for word in command.words[1:] if word not in ("...", "…")]
    if any(word.partition("=")[2] in NEEDS_A_CHANGE or word in NEEDS_A_CHANGE for word in words):
        pytest.skip("of a recipe, which is carried out in tests/test_contributing.py")
    if command.inline and (names_only(words) or words[-1].endswith("<TAB>")):
        return
    own = words[: words.index("--")] if "--" in words else words  # the rest is the command of isoflop meter
    options, overrides = main.parser().parse_known_args(own)
    assert not overrides or options.verb in main.TAKE_OVERRIDES
    assert {word for word in overrides if word.startswith("-")} <= {"-m", "--multirun"}
    if options.verb in main.TAKE_OVERRIDES:
        composed(options, tuple(overrides))


def names_only(words: list[str]) -> bool:
    """Whether a line of text just names the command, a verb or its options; they must exist."""
    if words[:1] in ([], ["--help"]):
        return True
    verb = verbs()[words[0]]
    return all(word in verb._option_string_actions for word in words[1:])


def composed(options: argparse.Namespace, overrides: tuple[str, ...]) -> None:
    """Compose what the command configures; of a sweep, every run of it."""
    from isoflop.api import sweeping
    from isoflop.cli import flops
    from isoflop.meter.flops import user_model
    from isoflop.sweep import grid

    if options.verb == "sweep":
        assert grid.expand(sweeping.compose_sweep(overrides, None))
    elif options.verb == "flops":
        options.overrides = list(overrides)
        compose.compose_config(flops._model_overrides(options, own=user_model.is_users(options.name)), None)
    elif options.verb == "parallel" and "=" not in "".join(overrides):
        assert len(overrides) <= 1  # a folder in place of overrides
    elif not {"-m", "--multirun"} & set(overrides):
        compose.compose_config(overrides, None)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {w for c in COMMANDS if c.words[0] == "make" for w in c.words[1:] if "=" not in w}
    assert named > {"demo", "docs", "reproduce", "test"}
    assert named <= targets


def printed(words: tuple[str, ...]) -> list[str]:
    """Run one command in this process, which must end well; return the lines that it prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main.main(list(words[1:]))
    assert code == 0, f"{shlex.join(words)}: {said.getvalue()}"
    return [line.rstrip() for line in said.getvalue().splitlines()]


SHOWN = [c for page in PAGES if page.parts[-2] != "results" for c in of_blocks(page) if c.output]


@pytest.mark.slow
@pytest.mark.parametrize("command", SHOWN, ids=str)
def test_what_a_page_shows_is_what_the_command_prints(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    lines = printed(command.words)
    at = 0
    for expected in command.output:
        if expected.strip() == "...":
            continue
        assert expected.rstrip() in lines[at:], expected
        at = lines.index(expected.rstrip(), at) + 1


@pytest.mark.slow
def test_the_first_sweep_of_the_quickstart_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = [c for c in of_blocks(ROOT / "docs/quickstart.md") if "mine" in " ".join(c.words)]
    assert [c.words[1] for c in own] == ["sweep", "fit", "fit", "report", "aggregate"]
    for command in own:
        lines = printed(command.words)
        if "--hold-out" in command.words:
            assert any("3 runs up to" in line for line in lines)
    page = (ROOT / "docs/quickstart.md").read_text()
    named = set(re.findall(r"^      ([\w.]+)/?(?:RUN_ID.json)?  ", page, re.MULTILINE))
    left = {path.name for path in (tmp_path / "results/mine").iterdir()}
    assert {name for name in named if name != "dropped.csv"} <= left
    assert len(list((tmp_path / "results/mine/records").iterdir())) == 18


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of docs/your_csv.md: three budgets of seven sizes, under a known law."""
    path = tmp_path_factory.mktemp("tables")
    budget, share = (each.ravel() for each in np.meshgrid([1e18, 1e19, 1e20], 2.0 ** np.arange(-3, 4)))
    params = np.sqrt(budget / 120) * share
    tokens = budget / 6 / params
    rows = pd.DataFrame({"flops": budget, "params": params, "tokens": tokens, "seed": 0})
    noise = np.exp(np.random.default_rng(0).normal(0, 0.003, len(rows)))
    rows["loss"] = (1.7 + 400 / params**0.34 + 400 / tokens**0.28) * noise
    for name in ("runs", "old", "new"):
        rows.assign(shape=params).to_csv(path / f"{name}.csv", index=False)
    x = np.geomspace(1, 1e4, 12)
    errors = 100 * (0.02 + 0.3 * x**-0.3) * noise[:12]
    pd.DataFrame({"compute_pflop": x, "top1_error": errors}).to_csv(path / "models.csv", index=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        c
        for page in ("README.md", "docs/your_csv.md")
        for c in of_blocks(ROOT / page)
        if "make" not in c.words
    ],
    ids=str,
)
def test_commands_on_a_table_run_as_written(
    command: Command, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tables)
    assert printed(command.words)
    if command.words[1] == "report":
        assert (tables / Path(command.words[2]).stem / "index.html").is_file()


PYTHON = [
    (path.relative_to(ROOT).as_posix(), text)
    for path in PAGES
    for language, text in FENCE.findall(path.read_text())
    if language == "python"
]


def test_python_blocks_are_python() -> None:
    assert len(PYTHON) > 12
    for page, text in PYTHON:
        compile(text, page, "exec")


@pytest.mark.slow
def test_python_of_the_energy_and_the_first_python_page_runs(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tables)
    (energy,) = (text for page, text in PYTHON if page == "docs/energy.md")
    exec(energy, {"train": lambda: None})
    assert capsys.readouterr().out.strip()
    first, choice, *_ = (text for page, text in PYTHON if page == "docs/api.md")
    names: dict[str, Any] = {}
    exec(first, names)
    assert names["fitted"].predict([1e21]).shape[0] == 1
    monkeypatch.chdir(ROOT)
    exec(choice, {"isoflop": isoflop})
