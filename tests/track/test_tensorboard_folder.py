"""isoflop tensorboard: a sweep's records read back by TensorBoard itself, its HParams tab included."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.record import Record
from isoflop.track import liveness

if not (extras.installed("tensorboardX") and extras.installed("tensorboard")):
    pytest.skip("tensorboard is not installed: pip install 'isoflop[tensorboard]'", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture
def swept(done_record: Record, tmp_path: Path) -> Path:
    """A sweep of three runs: two widths, and one that diverged."""
    directory = tmp_path / "swept"
    for run_id, width in (("a" * 16, 8), ("b" * 16, 16)):
        cell = done_record.cell | {"model": done_record.cell["model"] | {"width": width}}
        model = dataclasses.replace(done_record.model, width=width)
        records.write(dataclasses.replace(done_record, run_id=run_id, cell=cell, model=model), directory)
    unknown = ("error", "loss", "energy", "optim", "data", "compute", "time", "train_loss", "intervals")
    nothing: dict[str, Any] = dict.fromkeys(unknown) | {f"{name}_reason": "diverged" for name in unknown}
    diverged = dataclasses.replace(
        done_record, run_id="c" * 16, state="diverged", reason="the loss was NaN", curve=(), **nothing
    )
    records.write(diverged, directory)
    return directory


def events_of(folder: Path) -> Any:
    """TensorBoard's own reader of a run's folder."""
    from tensorboard.backend.event_processing import event_accumulator

    return event_accumulator.EventAccumulator(str(folder)).Reload()


def test_each_record_is_a_run_with_its_curves(swept: Path, done_record: Record, capsys: Any) -> None:
    assert main.main(["tensorboard", str(swept)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["3 runs, 0 records left out", f"tensorboard --logdir {swept / 'tensorboard'}"]
    folders = sorted((swept / "tensorboard").iterdir())
    assert [folder.name[-16:] for folder in folders if "w16" in folder.name] == ["b" * 16]
    events = events_of(next(folder for folder in folders if folder.name.endswith("a" * 16)))
    curve = [(e.step, e.value) for e in events.Scalars("val_error/against_examples")]
    assert curve == [(p.examples, pytest.approx(p.val_error, rel=1e-6)) for p in done_record.curve]
    rates = events.Scalars("training/learning_rate_against_examples")
    assert done_record.intervals
    assert len(rates) == len(done_record.intervals)
    began = min(e.wall_time for e in rates)
    seconds = [e.wall_time - began for e in rates]
    told = [each.seconds - done_record.intervals[0].seconds for each in done_record.intervals]
    assert seconds == pytest.approx(told, abs=1e-3), "dated as it happened"


def test_the_hparams_tab_has_settings_and_results(swept: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    assert main.main(["tensorboard", str(swept)]) == 0
    found = {}
    for folder in (swept / "tensorboard").iterdir():
        summary = events_of(folder).summary_metadata
        content = {
            name: summary[name].plugin_data.content for name in summary if name.startswith("_hparams_")
        }
        start = metadata.parse_session_start_info_plugin_data(content["_hparams_/session_start_info"])
        end = metadata.parse_session_end_info_plugin_data(content["_hparams_/session_end_info"])
        shown = metadata.parse_experiment_plugin_data(content["_hparams_/experiment"])
        found[folder.name[-16:]] = (start.hparams["model.width"].number_value, end.status)
    assert found == {"a" * 16: (8.0, 1), "b" * 16: (16.0, 1), "c" * 16: (8.0, 2)}, "1 success, 2 failure"
    differ = [info.name for info in shown.hparam_infos if info.differs]
    assert differ == ["model.width"]
    metrics = {metric.display_name for metric in shown.metric_infos}
    assert {"test_error", "train_gflops"} <= metrics


def test_a_second_call_replaces_what_the_first_wrote_and_keeps_the_rest(swept: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    assert main.main(["tensorboard", str(swept), "-o", str(out)]) == 0
    (folder,) = out.glob(f"*{'a' * 16}")
    (folder / "mine.txt").write_text("kept")
    (folder / "events.out.tfevents.1.elsewhere").write_text("of a live tracker, say")
    before = sorted(path.name for path in out.iterdir())
    assert main.main(["tensorboard", str(swept), "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == before
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert (folder / "mine.txt").read_text() == "kept"
    assert not (swept / "tensorboard").exists()


@pytest.mark.parametrize("shape", ["no records", "a file", "a live tracker"])
def test_what_cannot_be_written_is_refused_in_one_line(
    swept: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    arguments = ["tensorboard", str(swept)]
    said = {"no records": "no records here", "a file": "this is a file", "a live tracker": "still writes"}
    if shape == "no records":
        arguments = ["tensorboard", str(tmp_path)]
    elif shape == "a file":
        (tmp_path / "taken").write_text("")
        arguments += ["-o", str(tmp_path / "taken")]
    else:
        monkeypatch.setattr(liveness, "any_running", lambda directory: True)
    assert main.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said[shape] in line
    assert not (swept / "tensorboard").exists()


def test_as_json(swept: Path, capsys: Any) -> None:
    (swept / "records" / "damaged.json").write_text("{")
    assert main.main(["tensorboard", str(swept), "--json", "-"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["folder"] == str(swept / "tensorboard")
    assert len(written["runs"]) == 3
    assert [entry["run_id"] for entry in written["left_out"]] == ["damaged"]
