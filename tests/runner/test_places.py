"""What a run finds in its folder and may not replace is refused, in one line before it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config, ConfigError
from isoflop.record import SCHEMA, Record
from isoflop.runner import attempt, checkpoint, run
from isoflop.runner.request import RunRequest
from isoflop.sweep import grid
from isoflop.train import snapshot_file

MakeConfig = Callable[..., Config]
TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
NEWER = f"schema {SCHEMA + 1} is newer than this isoflop reads ({SCHEMA}): upgrade isoflop"


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    return make_config()


@pytest.fixture
def newer(config: Config, done_record: Record) -> Path:
    """The finished record of the run, written by an isoflop of the next schema."""
    path = records.path_of(config.directory, config.run_id)
    raw = msgspec.json.decode(msgspec.json.encode(done_record))
    records.write_bytes(path, msgspec.json.encode(raw | {"schema": SCHEMA + 1, "new_field": 1}))
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line with which a command is refused."""
    assert main.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("isoflop: ")
    assert captured.err.count("\n") == 1
    return captured.err


def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*arguments: object) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr(attempt, "train_and_meter", train)


@pytest.mark.parametrize("again", [False, True])
def test_a_record_of_a_newer_isoflop_is_not_trained_again(
    again: bool, config: Config, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training(monkeypatch)
    before = newer.read_bytes()
    with pytest.raises(records.KeptRecordError, match="upgrade isoflop"):
        run.run(config, RunRequest(again=again))
    assert newer.read_bytes() == before


@pytest.mark.parametrize("verb", [["run"], ["sweep"], ["sweep", "--dry-run"]])
def test_a_command_over_it_is_refused_with_the_line_of_the_record(
    verb: list[str], config: Config, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = newer.read_bytes()
    axis = ["seed=0,1"] if verb[0] == "sweep" else []
    assert f"{newer}: {NEWER}" in refused([*verb, *TINY, *axis, f"out={config.directory}"], capsys)
    assert newer.read_bytes() == before
    assert [path.name for path in config.directory.iterdir()] == ["records"], "nothing was written"


def test_status_names_it_too(config: Config, newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_manifest((grid.PlannedRun(config.run_id, {}, config),), config.directory)
    assert main.main(["status", str(config.directory)]) == 0
    assert f"{newer}: {NEWER}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("verb", [["run"], ["sweep"], ["sweep", "--dry-run"]])
def test_a_folder_in_the_place_of_a_record_is_refused(
    verb: list[str], config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    path = records.path_of(config.directory, config.run_id)
    path.mkdir(parents=True)
    axis = ["seed=0,1"] if verb[0] == "sweep" else []
    line = refused([*verb, *TINY, *axis, f"out={config.directory}"], capsys)
    assert f"{path}: a folder is in the place of a record: move it away or remove it" in line


@pytest.mark.parametrize("verb", ["run", "sweep"])
@pytest.mark.parametrize("generation", [0, 1])
def test_a_folder_in_the_place_of_a_checkpoint_is_refused(
    verb: str,
    generation: int,
    config: Config,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_training(monkeypatch)
    path = snapshot_file.generations(checkpoint.path_of(config))[generation]
    path.mkdir(parents=True)
    axis = ["seed=0,1"] if verb == "sweep" else []
    line = refused([verb, *TINY, *axis, f"out={config.directory}"], capsys)
    assert f"{path}: a folder is in the place of a checkpoint: move it away or remove it" in line
    assert not (config.directory / "records").exists()


@pytest.mark.parametrize("generation", [0, 1])
def test_a_run_that_is_to_be_trained_again_refuses_it_too(
    generation: int, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training(monkeypatch)
    snapshot_file.generations(checkpoint.path_of(config))[generation].mkdir(parents=True)
    with pytest.raises(ConfigError, match="a folder is in the place of a checkpoint"):
        run.run(config, RunRequest(again=True))


def test_a_file_in_the_place_of_a_folder_is_named(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    config.directory.mkdir()
    (config.directory / "records").write_text("not a folder")
    line = refused(["run", *TINY, f"out={config.directory}"], capsys)
    assert str(config.directory / "records") in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("out=null", "out is null: give the folder of the records, out=. for"),
        ("out=", "out is empty: give the folder"),
    ],
)
def test_a_run_needs_a_folder(override: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(["run", *TINY, override], capsys)
    assert not Path("None").exists()


def test_a_folder_may_have_the_name_of_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["sweep", *TINY, "seed=0,1", "out=2026", "--dry-run"]) == 0


def test_a_traceback_that_cannot_be_written_does_not_cost_the_record(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object) -> None:
        raise RuntimeError("broken model")

    monkeypatch.setattr(attempt, "train_and_meter", break_down)
    log = config.directory / "logs" / f"{config.run_id}.log"
    log.mkdir(parents=True)
    (written,) = run.run(config)
    assert written.state == "failed"
    assert "broken model" in str(written.reason)
    assert f"no traceback: {log}: Is a directory" in str(written.reason)
