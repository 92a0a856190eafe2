"""Curves of text: every tracker shows the validation loss in bits per byte, against each resource."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record import Record
from isoflop.runner import run
from isoflop.track import feed, numbers
from isoflop.track.events import Ending
from isoflop.track.lines import LinesTracker

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]


@pytest.fixture
def trained(make_language_config: MakeConfig) -> tuple[Config, Record]:
    config = make_language_config("tracker=csv", "schedule.evaluations=3", "meter.cpu_watts=50")
    (record,) = run.run(config)
    return config, record


def bits(record: Record) -> list[float]:
    return [point.val_loss / math.log(2) for point in record.curve]


def follow(tracker: Any, config: Config, record: Record) -> None:
    tracker.begin(feed.run_info(config, 1))
    for point in record.curve:
        tracker.point(point, point.step)
    tracker.end(Ending((record,), ()))


def test_a_row_of_the_curve_is_in_nats_and_in_bits(trained: tuple[Config, Record]) -> None:
    _, record = trained
    rows = [numbers.curve_row(point, of_text=True) for point in record.curve]
    assert [row["val_bits_per_byte"] for row in rows] == pytest.approx(bits(record))
    assert [row["val_loss"] for row in rows] == [point.val_loss for point in record.curve]
    assert set(rows[0]) >= {*numbers.CURVE_AXES, *numbers.scores(of_text=True)}
    assert [row["examples"] for row in rows] == [8 * 64, 16 * 64, 24 * 64], "bytes"


def test_images_have_no_bits(done_record: Record) -> None:
    assert "val_bits_per_byte" not in numbers.curve_row(done_record.curve[0])
    assert "val_bits_per_byte" not in numbers.scores(of_text=False)
    assert "val_bits_per_byte" not in feed.curve_csv(done_record)


def test_csv_has_a_column_of_bits(trained: tuple[Config, Record]) -> None:
    config, record = trained
    text = (config.directory / "curves" / f"{record.run_id}.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [float(row["val_bits_per_byte"]) for row in rows] == pytest.approx(bits(record))
    assert [float(row["seconds"]) for row in rows] == [point.seconds for point in record.curve]


def test_lines_and_their_summary_hold_bits(trained: tuple[Config, Record]) -> None:
    config, record = trained
    follow(LinesTracker(), config, record)
    text = (config.directory / "lines" / f"{record.run_id}.jsonl").read_text()
    _, *points, last = map(json.loads, text.splitlines())
    assert [line["point"]["val_bits_per_byte"] for line in points] == pytest.approx(bits(record))
    assert record.loss is not None
    assert last["summary"]["test_bits_per_byte"] == pytest.approx(record.loss.test / math.log(2))


def test_tensorboard_draws_bits_against_every_resource(trained: tuple[Config, Record]) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    event_accumulator: Any = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    from isoflop.track.tensorboard_run import TensorboardTracker

    config, record = trained
    follow(TensorboardTracker(), config, record)
    (folder,) = (config.directory / "tensorboard").iterdir()
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    for axis, at in (
        ("examples", [point.examples for point in record.curve]),
        ("train_kflops", [round((point.train_flops or 0) / 1e3) for point in record.curve]),
        ("energy_microjoules", [round(1e6 * (point.energy_joules or 0)) for point in record.curve]),
        ("train_microseconds", [round(1e6 * point.seconds) for point in record.curve]),
    ):
        scalars = events.Scalars(f"val_bits_per_byte/against_{axis}")
        assert [each.step for each in scalars] == at
        assert [each.value for each in scalars] == pytest.approx(bits(record), rel=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb-workspaces' own, of pydantic
def test_an_upload_to_wandb_holds_bits(
    trained: tuple[Config, Record], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (extras.installed("wandb") and extras.installed("wandb_workspaces")):
        pytest.skip("wandb is not installed: pip install 'isoflop[wandb]'")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config, record = trained
    folder = str(config.directory)
    assert main.main(["wandb", folder, "--project", "p", "--entity", "e", "--dry-run", "--json", "-"]) == 0
    sent = json.loads(capsys.readouterr().out)
    (uploaded,) = sent["runs"]
    assert [row["val_bits_per_byte"] for row in uploaded["curve"]] == pytest.approx(bits(record))
    assert "curve/val_bits_per_byte" in json.dumps(sent["workspace"])
    assert "Validation loss against bytes" in json.dumps(sent["workspace"])


def test_a_record_without_a_point_has_an_empty_curve(
    make_language_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_language_config("optim.lr=1e30", "optim.clip_norm=null", "tracker=csv")
    (record,) = run.run(config)
    assert record.state == "diverged"
    assert records.read(records.path_of(config.directory, record.run_id)) == record
    assert not (config.directory / "windows").exists(), "no point, no windows"
    assert (config.directory / "curves" / f"{record.run_id}.csv").is_file()
