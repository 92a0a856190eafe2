"""Completion: what each word offers, and that bash, zsh and fish complete with the script that is printed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop.cli import completion, main

WORDBREAKS = " \t\n\"'><=;|&(:"


def words(prefix: str, config_dir: str | None = None) -> list[str]:
    offered = completion.overrides(prefix, argparse.Namespace(config_dir=config_dir))
    return [each for each in offered if each.startswith(prefix)]


@pytest.mark.parametrize(
    ("prefix", "offered"),
    [
        ("model.wid", ["model.width="]),
        ("mod", ["model=", "model.family=", "model.width="]),
        ("data=dig", ["data=digits"]),
        ("data=digits,fas", ["data=digits,fashion_mnist"]),
        ("model.block=", ["model.block=basic", "model.block=bottleneck", "model.block=null"]),
        ("launch.deterministic=", ["launch.deterministic=true", "launch.deterministic=false"]),
        ("++optim.l", ["++optim.lr=", "++optim.label_smoothing="]),
        ("~dat", ["~data=", "~data.name="]),
        ("model.width=", ["model.width=null"]),
        ("nosuch=", []),
        ("model.sha", []),
    ],
)
def test_overrides(prefix: str, offered: list[str]) -> None:
    found = words(prefix)
    assert set(offered) <= set(found)
    assert bool(found) == bool(offered)


def test_before_anything_is_typed_only_groups_are_offered() -> None:
    assert {"model=", "recipe=", "seed=", "out="} < set(words(""))
    assert not [each for each in words("") if "." in each]


def test_explanations_come_with_the_words() -> None:
    offered = completion.overrides("model.pat", argparse.Namespace())
    assert offered["model.patch="] == "Pixels a side of a patch."
    assert "clothing" in completion.overrides("data=f", argparse.Namespace())["data=fashion_mnist"]


def test_a_path_is_completed_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("argcomplete")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books.txt").touch()
    assert words("data.path=bo") == ["data.path=books.txt"]


def test_options_of_a_folder_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.yaml").write_text("# Mine.\nname: digits\n")
    assert words("data=mi", str(tmp_path)) == ["data=mine"]
    assert words("data=dig", str(tmp_path / "nowhere")) == ["data=digits"]


def test_settings_of_the_verb_config() -> None:
    offered = completion.settings("model/", argparse.Namespace(config_dir=None))
    assert "model/vit" in offered
    assert "optim.lr" in completion.settings("o", argparse.Namespace())
    assert "optim" in completion.settings("", argparse.Namespace())


def test_lists_with_commas_offer_the_rest() -> None:
    assert completion.states("failed,") == ["failed,diverged", "failed,oom", "failed,interrupted"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with nothing in it but an `isoflop` of this interpreter, which is found on the PATH."""
    pytest.importorskip("argcomplete")
    command = tmp_path / "bin/isoflop"
    command.parent.mkdir()
    paths = os.pathsep.join(each for each in sys.path if each)
    command.write_text(f"#!/bin/sh\nPYTHONPATH='{paths}' exec '{sys.executable}' -m isoflop \"$@\"\n")
    command.chmod(0o755)
    (tmp_path / "empty").mkdir()
    return tmp_path


def shell(home: Path, *command: str) -> list[str]:
    environment = {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home)}
    done = subprocess.run(
        command, cwd=home / "empty", env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return [line.split("\t")[0].strip() for line in done.stdout.splitlines()]


BASH = """
eval "$(isoflop completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDBREAKS="$2"
_python_argcomplete isoflop
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("isoflop swe", "sweep"),
        ("isoflop run --aga", "--again"),
        ("isoflop run --again model.wid", "model.width="),
        # bash replaces only what stands behind the equals sign, a word break.
        ("isoflop run data=dig", "digits"),
        ("isoflop config model/vi", "model/vit"),
        ("isoflop sweep --retry oo", "oom"),
        ("isoflop report . --cost paper", "paper"),
    ],
)
def test_bash_in_a_folder_without_conf(home: Path, line: str, offered: str) -> None:
    assert shell(home, "bash", "-c", BASH, "bash", line, WORDBREAKS) == [offered]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish(home: Path) -> None:
    code = 'isoflop completion fish | source; complete -C "isoflop run data=dig"'
    assert shell(home, "fish", "--no-config", "-c", code) == ["data=digits"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_takes_the_script(home: Path) -> None:
    code = 'autoload -Uz compinit; compinit -u; eval "$(isoflop completion zsh)"; print $_comps[isoflop]'
    assert shell(home, "zsh", "-f", "-c", code) == ["_python_argcomplete"]


def test_no_shell_asks_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(completion.ASKED, raising=False)
    parser = main.parser()
    completion.offer(parser, ("run",))
    assert "overrides" not in vars(parser.parse_args(["run"]))
