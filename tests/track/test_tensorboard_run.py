"""TensorBoard: event files are read back and compared with the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isoflop.config import Config
from isoflop.runner import run
from isoflop.track import feed

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
    by_flops = [(e.step, e.value) for e in events.Scalars("val_loss/against_train_mflops")]
    assert by_flops == [
        (round((p.train_flops or 0) / 1e6), pytest.approx(p.val_loss, rel=1e-6)) for p in record.curve
    ]
    assert record.error is not None
    (test_error,) = events.Scalars("summary/test_error")
    assert test_error.value == pytest.approx(record.error.test, rel=1e-6)
    assert "summary/text_summary" in events.Tags()["tensors"]
