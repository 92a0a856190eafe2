"""A run killed on a GPU and resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from isoflop import record as records
from isoflop.config.compose import compose_config
from isoflop.runner import checkpoint, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]
RUN = ("model=resnet", "model.width=4", "optim=sgd", "schedule.epochs=200", "meter=none")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_cell_goes_on_from_its_checkpoint(number: signal.Signals, tmp_path: Path) -> None:
    overrides = (*RUN, f"out={tmp_path}", "launch.checkpoint_seconds=0.5")
    process = subprocess.Popen([sys.executable, "-m", "isoflop", "run", *overrides])
    config = compose_config(list(overrides), None)
    limit = time.monotonic() + 120
    while not checkpoint.path_of(config).exists() and time.monotonic() < limit:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == (75 if number == signal.SIGTERM else -signal.SIGKILL)
    first_seen: list[int] = []
    (resumed,) = run.run(config, watch=lambda point, _: first_seen.append(point.step))
    assert resumed.state == "done"
    assert resumed.attempt == (2 if number == signal.SIGTERM else 1)
    assert first_seen[0] > 0
    undisturbed = compose_config([*RUN, f"out={tmp_path / 'alone'}"], None)
    (whole,) = run.run(undisturbed)
    assert resumed.error is not None
    assert whole.error is not None
    assert abs(resumed.error.test - whole.error.test) < 0.02
    assert records.read(records.path_of(tmp_path, config.run_id)) == resumed
