"""What a heartbeat says of a run, for those who look on: the latest evaluation, compute and power so far."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isoflop.config import Config
from isoflop.record import heartbeat
from isoflop.runner import run

pytestmark = pytest.mark.slow


def test_a_heartbeat_has_the_latest_evaluation_and_what_was_spent(
    make_config: Callable[..., Config], stop_after: Callable[[int], None]
) -> None:
    config = make_config("schedule.epochs=3", "schedule.evaluations=6", "meter.cpu_watts=65")
    stop_after(40)
    seen = []
    (record,) = run.run(config, watch=lambda point, steps: seen.append(point))
    assert record.state == "interrupted"
    found = heartbeat.last(config.directory, config.run_id)
    assert found is not None
    beat = found[0]
    assert seen
    assert (beat.val_error, beat.val_loss, beat.of_text) == (seen[-1].val_error, seen[-1].val_loss, False)
    assert beat.steps_done > seen[-1].step > 0
    each = (seen[-1].train_flops or 0.0) / seen[-1].step
    assert beat.train_flops == pytest.approx(beat.steps_done * each)
    assert beat.watts == 65.0
