"""The recipes of containers/: the same commands in both, which install in a fresh environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import isoflop

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "containers/Dockerfile").read_text()
APPTAINER = (ROOT / "containers/isoflop.def").read_text()
PREFIX = "/opt/isoflop"
OFFLINE = ("dns error", "error sending request", "Failed to fetch", "No matching distribution", "Max retries")


def docker_steps() -> list[str]:
    """The commands of the Dockerfile, as a shell script of a build."""
    steps = []
    for word, rest in re.findall(r"^(RUN|ENV|WORKDIR) (.*)$", DOCKERFILE, re.MULTILINE):
        steps.append({"RUN": rest, "ENV": f"export {rest}", "WORKDIR": f"cd {rest}"}[word])
    return [step for step in steps if step != "cd /work"]


def apptainer_steps() -> list[str]:
    """The commands of %post."""
    post = re.search(r"^%post\n(.*?)^%", APPTAINER, re.DOTALL | re.MULTILINE)
    assert post is not None
    return [
        line.strip() for line in post[1].splitlines() if line.strip() and not line.strip().startswith("#")
    ]


def copied() -> dict[str, str]:
    """File or folder of the repository -> its place under the source folder of the image."""
    return {
        name: f"{target.rstrip('/')}/{name}" if target in ("./", ".") else target
        for *names, target in (line.split() for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE))
        for name in names
    }


def test_both_recipes_take_the_same_commands_files_and_base() -> None:
    assert docker_steps() == apptainer_steps()
    files = re.findall(rf"^    (\S+) {PREFIX}/source/(\S+)$", APPTAINER, re.MULTILINE)
    assert dict(files) == {name: target.removeprefix("./") for name, target in copied().items()}
    assert re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE) == re.findall(
        r"^From: (\S+)$", APPTAINER, re.MULTILINE
    )


def test_that_nobody_has_built_them_is_said_where_they_are_read() -> None:
    readme = (ROOT / "containers/README.md").read_text()
    assert "Nobody has built" in readme
    assert all("Not built by anybody yet" in recipe for recipe in (DOCKERFILE, APPTAINER))


@pytest.mark.slow
def test_the_installation_works_in_a_fresh_environment(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for name, target in copied().items():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / "source" / target)
    own = [step for step in docker_steps() if not step.startswith("apt-get ")]  # of the image's own Debian
    script = "\n".join(["set -e", *own]).replace(PREFIX, str(tmp_path))
    assert script.count("pip install") == 2
    # The cache of uv makes this seconds; VIRTUAL_ENV and PYTHONPATH are those of this test's own environment.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    kept["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{kept['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script], env=kept, capture_output=True, text=True, check=False, timeout=600
    )
    if ended.returncode and any(sign in ended.stderr for sign in OFFLINE):
        pytest.skip(f"no package registry answers: {ended.stderr.strip().splitlines()[-1]}")
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "resnet: 3x32x32" in ended.stdout
    version = subprocess.run(
        [tmp_path / "venv/bin/isoflop", "--version"], env=kept, capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == f"isoflop {isoflop.__version__}"
    shutil.rmtree(tmp_path / "venv")  # 5 GB, of which pytest would keep three
