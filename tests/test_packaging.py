"""Sdist and wheel, the version's single place, and the files that a contributor's tools read."""

from __future__ import annotations

import email.message
import email.parser
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import isoflop

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
OFFLINE = ("dns error", "error sending request", "Failed to fetch", "Network connectivity is disabled")


def test_the_version_stands_in_one_place_and_the_citation_repeats_it() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/isoflop/__init__.py"
    assert CITATION["version"] == isoflop.__version__
    release = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert release is not None
    assert release[1] == isoflop.__version__


def test_the_projects_address_comes_from_one_place() -> None:
    assert CITATION.get("repository-code") == PROJECT["project"].get("urls", {}).get("Repository")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and a wheel built from it."""
    folder = tmp_path_factory.mktemp("built")
    uv = Path(sys.executable).with_name("uv")
    command: list[str | Path] = [uv, "build", "--python", sys.executable]
    command += ["--build-constraints", ROOT / "constraints.txt"]
    ended = subprocess.run(
        [*command, "--out-dir", folder, ROOT], capture_output=True, text=True, check=False, timeout=300
    )
    if any(sign in ended.stderr for sign in OFFLINE):
        pytest.skip("the build backend is not cached and cannot be fetched")
    assert ended.returncode == 0, ended.stderr
    return folder


def metadata_of(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(file.read(name).decode())


@pytest.mark.slow
def test_the_description_needs_no_file_beside_it(built: Path) -> None:
    metadata = metadata_of(next(built.glob("*.whl")))
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert text.startswith("# isoflop")
    assert metadata["Version"] == isoflop.__version__
    targets = re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert targets
    assert [a or b for a, b in targets if not (a or b).startswith(("https://", "#"))] == []


@pytest.mark.slow
def test_the_wheel_brings_torch_with_an_extra_only(built: Path) -> None:
    metadata = metadata_of(next(built.glob("*.whl")))
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["project"]["optional-dependencies"])
    required = [each.partition(";") for each in metadata.get_all("Requires-Dist")]
    always = {re.match(r"[\w-]+", name)[0] for name, _, condition in required if not condition}
    assert always == {re.match(r"[\w-]+", each)[0] for each in PROJECT["project"]["dependencies"]}
    conditions = {condition.strip() for name, _, condition in required if name.startswith("torch>")}
    training = ("train", "levers", "lightning", "transformers", "accelerate", "all", "dev")
    assert conditions == {f"extra == '{extra}'" for extra in training}


@pytest.mark.slow
def test_both_distributions_pass_twine(built: Path) -> None:
    files = [str(path) for path in built.iterdir() if path.suffix in (".whl", ".gz")]
    assert len(files) == 2
    ended = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: no list of tracked files")
def test_the_sdist_holds_every_tracked_file_but_those_of_git_and_ci(built: Path) -> None:
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True)
    with tarfile.open(next(built.glob("*.tar.gz"))) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert {name for name in tracked - held if not name.startswith(".ci/")} == set()


def test_hooks_before_a_commit_are_local_and_those_of_make_check() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    programs = {hook["entry"].split()[0] for hook in repos[0]["hooks"]}
    assert {hook["language"] for hook in repos[0]["hooks"]} == {"system"}
    makefile = (ROOT / "Makefile").read_text()
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert check is not None
    assert programs == {f".venv/bin/{name}" for name in re.findall(r"\$\(BIN\)/(\S+)", check[1])}


def test_hosted_ci_tries_every_python_that_the_package_names() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"] if c.startswith(prefix)]
    assert jobs["fast"]["strategy"]["matrix"]["python"] == named
    steps = [step for job in jobs.values() for step in job["steps"]]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for step in steps:
        assert "uses" in step or step["run"].removeprefix("make ") in targets, step
