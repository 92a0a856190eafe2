"""TensorBoard: event files are read back and compared with the record."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.config import Config
from isoflop.record import CurvePoint
from isoflop.runner import run
from isoflop.track import feed
from isoflop.track.events import Ending

pytestmark = pytest.mark.slow

pytest.importorskip(
    "tensorboardX", reason="tensorboardX is not installed: pip install 'isoflop[tensorboard]'"
)
event_accumulator: Any = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="tensorboard is not installed: pip install 'isoflop[tensorboard]'",
)


def test_a_run_reads_back_as_its_record(make_config: Callable[..., Config]) -> None:
    config = make_config("tracker=tensorboard")
    (record,) = run.run(config)
    assert feed.wait(config.directory, 60)
    (folder,) = (config.directory / "tensorboard").iterdir()
    assert folder.name == f"mlp-w8-d1-seed-0-{config.run_id}"
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    # TensorBoard keeps single precision.
    by_examples = [(e.step, e.value) for e in events.Scalars("val_error/against_examples")]
    assert by_examples == [(p.examples, pytest.approx(p.val_error, rel=1e-6)) for p in record.curve]
    by_flops = [(e.step, e.value) for e in events.Scalars("val_loss/against_train_kflops")]
    assert by_flops == [
        (round((p.train_flops or 0) / 1e3), pytest.approx(p.val_loss, rel=1e-6)) for p in record.curve
    ]
    assert record.error is not None
    (test_error,) = events.Scalars("final/test_error_against_train_kflops")
    assert test_error.value == pytest.approx(record.error.test, rel=1e-6)
    assert record.compute is not None
    assert test_error.step == round((record.compute.train_flops or 0) / 1e3)
    assert record.intervals
    trained = [(e.step, e.value) for e in events.Scalars("training/train_loss_against_examples")]
    assert trained == [(each.examples, pytest.approx(each.mean_loss, rel=1e-6)) for each in record.intervals]
    tags = events.Tags()
    assert "summary/text_summary" in tags["tensors"]
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(events.summary_metadata), (
        "for the HParams tab"
    )
    alone = [tag for tag in tags["scalars"] if len(events.Scalars(tag)) == 1]
    assert all(tag.startswith("final/") for tag in alone), "no other chart of one point"


def test_evaluations_of_a_small_run_have_steps_of_their_own(
    tmp_path: Path, make_config: Callable[..., Config]
) -> None:
    """Half a MFLOP, half a millisecond and a tenth of a millijoule apart, and 1e21 FLOPs beside them."""
    flops = [500e3, 1000e3, 1500e3, 1e21]
    curve = [
        CurvePoint(step, 32 * step, 5e-4 * step, 0.1, 0.5, used, None, 1e-4 * step, None)
        for step, used in enumerate(flops, 1)
    ]
    tensorboard_run = importlib.import_module("isoflop.track.tensorboard_run")  # imports tensorboardX
    tracker = tensorboard_run.TensorboardTracker()
    config = dataclasses.replace(make_config("tracker=tensorboard"), out=str(tmp_path))
    tracker.begin(feed.run_info(config, 1))
    for point in curve:
        tracker.point(point, point.step)
    tracker.end(Ending((), ()))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    for axis, steps in {
        "train_kflops": [500, 1000, 1500, pytest.approx(1e18)],
        "energy_microjoules": [100, 200, 300, 400],
        "train_microseconds": [500, 1000, 1500, 2000],
    }.items():
        assert [e.step for e in events.Scalars(f"val_loss/against_{axis}")] == steps
