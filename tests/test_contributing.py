"""The recipes of CONTRIBUTING.md, carried out on a copy of the source."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = ("A model family", "A data set", "A law", "A tracker", "A verb")
RUN_ALL = """
import contextlib, io, json, shlex, sys
from isoflop.cli.main import main
ends = {}
for command in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(shlex.split(command)[1:])
    ends[command] = (code, said.getvalue())
print(json.dumps(ends))
"""


@dataclasses.dataclass(frozen=True)
class Block:
    language: str
    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Followed:
    """The copy; exit code and output of each recipe's commands; why a recipe's changes could not be made."""

    copy: Path
    ends: dict[str, dict[str, tuple[int, str]]]
    refused: dict[str, str]


def blocks(section: str) -> list[Block]:
    return [Block(*match) for match in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", section, re.S | re.M)]


def section_of(title: str) -> str:
    return re.split(r"^##", TEXT.split(f"\n### {title}\n")[1], maxsplit=1, flags=re.M)[0]


def changed(before: str, diff: str) -> str:
    """`before` with the lines that each hunk keeps or removes replaced by those that it keeps or adds."""
    for hunk in re.split(r"^@@\n", diff, flags=re.M):
        lines = [(line[0], line[1:]) for line in (line or " " for line in hunk.splitlines())]
        old = "".join(re.escape(text).replace("…", "(.*)") + "\n" for sign, text in lines if sign != "+")
        matches = list(re.finditer(f"^{old}", before, re.M))
        assert len(matches) == 1, f"{len(matches)} places hold\n{hunk}"
        captured, removed, new = iter(matches[0].groups()), "", ""
        for sign, text in lines:
            rest = next(captured) if "…" in text and sign != "+" else removed
            if sign == "-":
                removed = rest
            else:
                new += text.replace("…", rest) + "\n"
        before = before[: matches[0].start()] + new + before[matches[0].end() :]
    return before


def follow(recipe: str, copy: Path) -> list[str]:
    """Write the recipe's files and changes into the copy; its commands."""
    commands = []
    for block in blocks(section_of(recipe)):
        path = copy / block.path
        if block.language == "console":
            commands += [line.removeprefix("$ ") for line in block.text.splitlines()]
        elif block.language == "diff":
            path.write_text(changed(path.read_text(), block.text))
        else:
            assert not path.exists()
            path.write_text(block.text)
    return commands


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """All recipes in one copy, and their commands in one process: torch is imported once."""
    copy = tmp_path_factory.mktemp("contributing")
    for folder in ("src", "conf", "slurm", "results/digits-cpu"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    commands: dict[str, list[str]] = {}
    refused = {}
    for recipe in RECIPES:
        try:
            commands[recipe] = follow(recipe, copy)
        except AssertionError as error:
            refused[recipe] = str(error)
    ended = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([command for each in commands.values() for command in each]),
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "src"), "ISOFLOP_CACHE": str(copy / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    ends = json.loads(ended.stdout)
    by_recipe = {recipe: {command: ends[command] for command in each} for recipe, each in commands.items()}
    return Followed(copy, by_recipe, refused)


def test_every_recipe_is_followed() -> None:
    assert tuple(re.findall(r"^### (.*)$", TEXT.split("\n## Recipes\n")[1], re.M)) == RECIPES


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_can_be_followed(recipe: str, followed: Followed) -> None:
    assert recipe not in followed.refused, followed.refused[recipe]
    ends = followed.ends[recipe]
    assert ends
    assert [code for code, _ in ends.values()] == [0] * len(ends), ends


@pytest.mark.slow
def test_the_counters_agree_on_the_new_family(followed: Followed) -> None:
    (record,) = (json.loads(path.read_text()) for path in (followed.copy / "tanh-run/records").glob("*.json"))
    assert record["compute"]["train_flops"] is not None, record["compute"]
    assert record["cell"]["model"]["family"] == "tanh"


@pytest.mark.slow
def test_the_new_tracker_was_fed(followed: Followed) -> None:
    (line,) = (followed.copy / "losses-run/losses.txt").read_text().splitlines()
    run_id, state, loss = line.split()
    assert (followed.copy / f"losses-run/records/{run_id}.json").is_file()
    assert state == "done"
    assert float(loss) > 0


@pytest.mark.parametrize(
    ("before", "diff", "after"),
    [
        ("a\nb\n", " a\n+x\n", "a\nx\nb\n"),
        ("a = (b, c)\n", "-a = (…\n+a = (x, …\n", "a = (x, b, c)\n"),
        ("a\nb\n", "-a\n@@\n b\n+c\n", "b\nc\n"),
    ],
)
def test_changes_are_made_as_written(before: str, diff: str, after: str) -> None:
    assert changed(before, diff) == after


def test_a_change_without_its_place_is_refused() -> None:
    with pytest.raises(AssertionError, match="0 places"):
        changed("a\n", " b\n+c\n")
    with pytest.raises(AssertionError, match="2 places"):
        changed("a\na\n", " a\n+c\n")
