"""The whole campaign at toy size on the CPU, without network, figures or trackers; then resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop import record as records

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NAMES = ("ceilings", "recipe", "ladder", "data_grid", "held_out", "metering")
BARRED = """
import socket, sys

class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "plotly", "wandb", "tensorboardX", "jinja2"):
            raise ImportError(f"{name} is barred here")

sys.meta_path.insert(0, Bar())
connect = socket.socket.connect

def local_only(self, address):
    if self.family != socket.AF_UNIX:
        raise OSError(f"no network: {address}")
    return connect(self, address)

socket.socket.connect = local_only
"""


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """Runs `campaign.py --rehearse` in a folder; results go to `out`."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def __call__(self, *options: str) -> subprocess.CompletedProcess[str]:
        paths = [str(self.folder / "bar"), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "ISOFLOP_CACHE": str(self.folder / "cache"),
        }
        command = [sys.executable, str(ROOT / "scripts/campaign.py"), "--rehearse", "--minutes", "20"]
        return subprocess.run(
            [*command, "--out", str(self.out), *options],
            check=False,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def rehearse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "bar").mkdir()
    (folder / "bar/sitecustomize.py").write_text(BARRED)
    return Rehearsal(folder)


@pytest.fixture(scope="module")
def rehearsed(rehearse):
    """The folder of a rehearsal that has ended well, and what it printed."""
    done = rehearse()
    assert done.returncode == 0, done.stdout + done.stderr
    return rehearse.out, done.stdout


def phases(out):
    return [json.loads(line) for line in (out / "phases.jsonl").read_text().splitlines()]


def test_every_phase_leaves_what_it_should(rehearsed):
    out, printed = rehearsed
    states = {line["phase"]: line["state"] for line in phases(out)}
    assert states.pop("fashion_mnist") == "unavailable"
    assert states == dict.fromkeys(
        ["ceilings", "recipe", "ladder", "data_grid", "held_out", "metering"], "done"
    )
    assert "FLOP/s" in (out / "ceilings.txt").read_text()
    assert len(list((out / "ladder-digits/records").glob("*.json"))) == 2 * (4 + 1)
    assert len(list((out / "data_grid-digits/records").glob("*.json"))) == 4
    text = (out / "summary.md").read_text()
    assert text in printed
    for name in ("**Recipe**", "ladder-digits", "data_grid-digits", "train-images-idx3-ubyte is missing"):
        assert name in text
    assert not list(out.rglob("*.html"))


def test_the_recipe_that_was_decided_on_is_that_of_every_run(rehearsed):
    out, _ = rehearsed
    decision = json.loads((out / "recipe.json").read_text())
    assert len(decision["losses"]) >= 3 + 3
    overrides = dict(text.split("=") for text in decision["overrides"])
    for path in out.glob("*-digits/records/*.json"):
        identity = records.read(path).cell
        assert identity["model"]["parametrization"] == overrides["model.parametrization"]
        zero = identity["model"].get("zero_init_residual", False)
        assert str(zero).lower() == overrides["model.zero_init_residual"]
        assert identity["optim"]["lr"] == float(overrides["optim.lr"])


def test_held_out_runs_were_declared_and_predicted_before_they_were_trained(rehearsed):
    out, _ = rehearsed
    file = json.loads((out / "ladder-digits/held_out.json").read_text())
    started = [
        records.read(out / f"ladder-digits/records/{run_id}.json").provenance.started_at
        for run_id in file["declaration"]["run_ids"]
    ]
    assert len(started) == 2
    assert file["declaration"]["declared_at"] <= file["prediction"]["predicted_at"] <= min(started)


def test_the_same_command_trains_only_what_has_no_record(rehearsed, rehearse):
    out, _ = rehearsed
    every = sorted(out.glob("*-digits/records/*.json"))
    held = json.loads((out / "ladder-digits/held_out.json").read_text())["declaration"]["run_ids"]
    gone = next(path for path in every if path.parts[-3] == "ladder-digits" and path.stem not in held)
    run_of = records.read(gone).trunk_id
    trunk = {path for path in every if records.read(path).trunk_id == run_of}
    decided, before = (out / "recipe.json").read_bytes(), {path: path.stat().st_mtime_ns for path in every}
    gone.unlink()
    again = rehearse("--phases", "recipe,ladder")
    assert again.returncode == 0, again.stdout + again.stderr
    assert gone.is_file()
    assert {path for path in every if path.stat().st_mtime_ns != before[path]} <= trunk
    assert (out / "recipe.json").read_bytes() == decided
    assert [line["phase"] for line in phases(out)][-2:] == ["recipe", "ladder"]
    assert phases(out)[-2]["message"].startswith("decided before: ")


def test_pages_are_made_from_the_records_afterwards(rehearsed, tmp_path):
    out, _ = rehearsed
    home = tmp_path / "home"
    shutil.copytree(out, home, ignore=shutil.ignore_patterns("data_grid-*"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/campaign.py"), "--report", str(home)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.parent.name for path in home.glob("*/index.html")] == ["ladder-digits"]
    assert "ladder-digits" in (home / "summary.md").read_text()
