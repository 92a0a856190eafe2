from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from isoflop.cli import main
from isoflop.config import compose

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/*/README.md")])
README = (ROOT / "README.md").read_text()
COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_link_is_broken(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0] == "isoflop"], ids=" ".join)
def test_every_command_of_the_readme_is_understood(words: list[str]) -> None:
    own = words[1 : words.index("--")] if "--" in words else words[1:]  # the rest is isoflop meter's command
    options, overrides = main.parser().parse_known_args(own)
    if options.verb in ("run", "sweep", "flops"):
        compose.compose_config(overrides, None)
    else:
        assert not overrides


def test_make_targets_of_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = README + (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^\$ make ([a-z-]+)", pages, re.MULTILINE))
    targets |= {target for run in re.findall(r"`make ([a-z -]+)`", pages) for target in run.split()}
    assert targets > {"demo", "test", "test-fast", "check", "dist"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_script_and_benchmark_that_a_page_names_exists() -> None:
    pages = [*PAGES, *ROOT.glob("scripts/*.*"), *ROOT.glob("benchmarks/*.py")]
    names = {
        name for page in pages for name in re.findall(r"\b(?:scripts|benchmarks)/\w+\.\w+", page.read_text())
    }
    assert names
    assert not [name for name in names if not (ROOT / name).is_file()]


def test_the_map_names_every_module_and_folder() -> None:
    inside = README[README.index("## Map") :]
    for path in (ROOT / "benchmarks", ROOT / "scripts", ROOT / "examples", ROOT / "slurm", ROOT / "conf"):
        assert re.search(rf"^    {path.name}/\s", inside, re.MULTILINE), path.name
    for path in (ROOT / "src/isoflop").iterdir():
        if path.name not in ("__init__.py", "__main__.py", "__pycache__", "py.typed"):
            assert re.search(rf"^\s+{re.escape(path.name)}/?\s", inside, re.MULTILINE), path.name


def test_committed_results_carry_their_evidence() -> None:
    # Other folders under results/ are ignored by git: what whoever runs these tests has measured.
    committed = re.findall(r"^!/results/([^/]+-[^/]+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
    assert "cifar10-h200-fixed-recipe" in committed
    for name in committed:
        if (ROOT / "results" / name).is_dir():
            text = (ROOT / "results" / name / "README.md").read_text()
            assert re.search(r"^Evidence: ", text, re.MULTILINE), name
