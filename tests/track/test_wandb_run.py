"""W&B: offline runs are read back from their files and compared with the records, number by number."""

from __future__ import annotations

import collections
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config, TrackerConfig
from isoflop.record import Record
from isoflop.runner import run
from isoflop.track import feed

pytestmark = pytest.mark.slow

pytest.importorskip("wandb", reason="wandb is not installed: pip install 'isoflop[wandb]'")
if not extras.installed("wandb"):
    pytest.skip("wandb is not installed: pip install 'isoflop[wandb]'", allow_module_level=True)

MakeConfig = Callable[..., Config]
OFFLINE = ("tracker=wandb", "tracker.mode=offline", "tracker.wait_seconds=60")
WAIT_SECONDS = 120.0


def _reader() -> Any:
    path = Path(__file__).with_name("wandb_log.py")
    spec = importlib.util.spec_from_file_location("wandb_log", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wandb_log"] = module
    spec.loader.exec_module(module)
    return module


wandb_log = _reader()


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings and no mode of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    yield
    import wandb

    wandb.teardown()  # it keeps the settings it found first
    os.environ.pop("WANDB_DATA_DIR", None)


def no_chart_of_one_point(offline: Any) -> bool:
    counts = collections.Counter(name for row in offline.rows for name in row if not name.startswith("_"))
    axes = {"step", "examples", "seconds", "train_gflops", "energy_joules", "train_seconds"}
    return all(n > 1 for name, n in counts.items() if name.partition("/")[2] not in axes)


def agrees(offline: Any, record: Record) -> None:
    """Every number of the record that a run shows is the record's."""
    assert offline.config["model"]["width"] == record.model.width
    assert offline.config["seed"] == record.seed
    rows = [row for row in offline.rows if "curve/examples" in row]
    assert [row["curve/step"] for row in rows] == [p.step for p in record.curve]
    assert [row["_step"] for row in rows] == [p.step for p in record.curve]
    trained = [row for row in offline.rows if "training/train_loss" in row]
    assert record.intervals
    assert [row["training/train_loss"] for row in trained] == [each.mean_loss for each in record.intervals]
    assert [row["training/learning_rate"] for row in trained] == [
        each.learning_rate for each in record.intervals
    ]
    assert no_chart_of_one_point(offline)
    for row, point in zip(rows, record.curve, strict=True):
        assert point.train_flops is not None
        assert row["curve/examples"] == point.examples
        assert row["curve/val_error"] == point.val_error
        assert row["curve/val_loss"] == point.val_loss
        assert row["curve/train_seconds"] == point.seconds
        assert row["curve/train_gflops"] == pytest.approx(point.train_flops * 1e-9, rel=1e-15)
        assert row.get("curve/energy_joules") == point.energy_joules
    summary = offline.summary
    assert summary["state"] == record.state == "done"
    assert record.error is not None
    assert record.compute is not None
    assert record.time is not None
    assert record.compute.train_flops is not None
    assert summary["test_error"] == record.error.test
    assert summary["train_gflops"] == pytest.approx(record.compute.train_flops * 1e-9, rel=1e-15)
    assert summary["train_seconds"] == record.time.train_seconds
    assert summary["spent_seconds"] == record.spent.seconds
    assert summary.get("mfu") == record.time.mfu
    assert summary.get("energy_joules") == (record.energy and record.energy.energy_joules)
    assert summary.get("energy_grade") == (record.energy and record.energy.grade)
    assert offline.exit_code == 0
    assert f"records/{record.run_id}.json" in offline.files


def test_cells_of_one_process_stay_apart_and_say_what_their_records_say(make_config: MakeConfig) -> None:
    configs = [make_config(*OFFLINE, "tracker.tags=[mine]", f"model.width={w}") for w in (8, 12)]
    found = {record.run_id: record for config in configs for record in run.run(config)}
    assert feed.wait(configs[0].directory, WAIT_SECONDS)
    offline = wandb_log.read_all(configs[0].directory)
    assert {each.config["run_id"] for each in offline} == set(found)
    assert sorted(each.name for each in offline) == ["mlp w0008 d01 seed 0", "mlp w0012 d01 seed 0"]
    for each in offline:
        run_id = each.config["run_id"]
        agrees(each, found[run_id])
        assert each.id == f"{run_id}-1"
        assert (each.group, each.job_type) == (configs[0].directory.name, "run")
        assert each.project == "isoflop"
        assert each.tags == (configs[0].directory.name, "mine")
        assert each.metrics["curve/val_error"] == "curve/examples"
        assert {"curve/train_gflops", "curve/energy_joules"} <= set(each.metrics)


def test_a_run_on_text_shows_bits_per_byte(make_language_config: MakeConfig) -> None:
    config = make_language_config(*OFFLINE, "schedule.evaluations=2")
    (record,) = run.run(config)
    assert feed.wait(config.directory, WAIT_SECONDS)
    (offline,) = wandb_log.read_all(config.directory)
    agrees(offline, record)
    shown = [row["curve/val_bits_per_byte"] for row in offline.rows if "curve/examples" in row]
    assert shown == pytest.approx([point.val_loss / math.log(2) for point in record.curve])
    assert offline.metrics["curve/val_bits_per_byte"] == "curve/examples"
    assert record.loss is not None
    assert offline.summary["test_bits_per_byte"] == pytest.approx(record.loss.test / math.log(2))


def test_the_power_trace_is_a_series_and_a_file(make_config: MakeConfig) -> None:
    config = make_config(*OFFLINE)
    polls = [{"time": 5 + 0.1 * k, "uuid": "GPU-a", "watts": 200.0} for k in range(50)]
    (config.directory / "power").mkdir(parents=True)
    (config.directory / "power" / f"{config.run_id}.jsonl").write_text("\n".join(map(json.dumps, polls)))
    run.run(config)
    assert feed.wait(config.directory, WAIT_SECONDS)
    (offline,) = wandb_log.read_all(config.directory)
    rows = [row for row in offline.rows if "power/device_0_watts" in row]
    assert len(rows) == 50
    assert {row["power/device_0_watts"] for row in rows} == {200.0}
    assert offline.metrics["power/*"] == "power/seconds"
    assert f"power/{config.run_id}.jsonl" in offline.files


def test_without_a_key_a_run_is_kept_offline_and_one_line_says_so(
    make_config: MakeConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    config = make_config("tracker=wandb", "tracker.mode=online")
    (record,) = run.run(config)
    assert feed.wait(config.directory, WAIT_SECONDS)
    (offline,) = wandb_log.read_all(config.directory)
    agrees(offline, record)
    lines = [line for line in capfd.readouterr().err.splitlines() if "tracker" in line]
    assert len(lines) == 1
    assert "No API key configured" in lines[0]
    assert "wandb sync" in lines[0]


def sweep(directory: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "isoflop", "sweep", "model.width=8,16", "seed=0,1,2", "schedule.epochs=60"),
        *("launch.workers=1", "launch.threads=1", "launch.checkpoint_seconds=0.2", "model.depth=1"),
        *("meter.idle_seconds=0", "meter.window_seconds=0", f"out={directory}", *OFFLINE),
    ]


def test_a_sweep_killed_and_resumed_reads_back_as_its_six_cells(tmp_path: Path) -> None:
    directory = tmp_path / "six"
    process = subprocess.Popen(sweep(directory), start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(directory.glob("records/[!.]*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = len(list(directory.glob("records/[!.]*.json")))
    assert before < 6
    subprocess.run(sweep(directory), check=True, timeout=300)
    assert feed.wait(directory, WAIT_SECONDS)
    found = {r.run_id: r for r in (records.read(p) for p in directory.glob("records/[!.]*.json"))}
    offline = wandb_log.read_all(directory)
    assert len(found) == 6
    assert {each.group for each in offline} == {directory.name}, "a group a sweep"
    assert {each.config["run_id"] for each in offline} == set(found)
    assert len({each.id for each in offline}) == len(offline), "an id an attempt"
    for run_id, record in found.items():
        attempts = [each for each in offline if each.config["run_id"] == run_id]
        finished = [each for each in attempts if each.exit_code == 0]
        assert len(finished) == 1
        agrees(finished[0], record)
        assert all(each.summary["state"] == "killed" for each in attempts if each.exit_code)


def test_an_upload_after_the_fact_says_the_same(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    config = make_config()
    good, bad = make_config(), make_config("optim=sgd", "optim.lr=1e20")
    found = {r.run_id: r for c in (good, bad) for r in run.run(c)}
    (config.directory / "records" / "damaged.json").write_text("{")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main.main(["wandb", str(config.directory)]) == 0
    shown = capsys.readouterr().out
    assert "2 runs, 1 records left out" in shown
    assert "damaged" in shown
    sent = wandb_log.read_all(config.directory)
    offline = {each.config["run_id"]: each for each in sent if "run_id" in each.config}
    assert [each.config["sweep_name"] for each in sent] == [config.directory.name] * 3
    assert set(offline) == set(found)
    agrees(offline[good.run_id], found[good.run_id])
    diverged = offline[bad.run_id]
    assert (diverged.summary["state"], diverged.summary["failed"], diverged.exit_code) == ("diverged", 1, 1)
    assert diverged.summary["reason"] == found[bad.run_id].reason
    assert "test_error" not in diverged.summary


def test_without_a_key_an_upload_is_refused(
    done_record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.write(done_record, tmp_path)
    assert main.main(["wandb", str(tmp_path)]) == 2
    assert "wandb login" in capsys.readouterr().err
    assert main.main(["wandb", str(tmp_path / "absent")]) == 2
    assert "no records here" in capsys.readouterr().err


def test_a_process_of_an_agent_takes_the_id_it_is_given(
    done_record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isoflop.track import from_records, wandb_run

    settings = TrackerConfig("wandb", "online", "isoflop", None, None, (), 30.0)
    info = from_records.run_info(done_record, tmp_path, settings)
    assert wandb_run.run_id(info, offline=False) == done_record.run_id
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    assert wandb_run.run_id(info, offline=False) == done_record.run_id
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert wandb_run.run_id(info, offline=False) == "abc"
