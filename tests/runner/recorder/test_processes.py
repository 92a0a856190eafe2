"""A loop of two processes under torchrun: one record, by the main process; a rank that fails is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isoflop import record as records

pytestmark = pytest.mark.slow
LOOP = """
import sys, time
import torch, torch.distributed as dist
from torch import nn
from isoflop import Recorder

dist.init_process_group("gloo")
torch.manual_seed(0)
net = nn.parallel.DistributedDataParallel(nn.Linear(8, 4))
recorder = Recorder(sys.argv[1], name="net", data="toy", seed=0, model=net, input_shape=(8,), cpu_watts=20.0)
with recorder:
    for step in range(1, 6):
        nn.functional.mse_loss(net(torch.ones(16, 8)), torch.zeros(16, 4)).backward()
        if sys.argv[2] == "fail" and step == 3 and dist.get_rank() == 1:
            raise RuntimeError("a fault of one rank")
        recorder.log(step=step, examples=32 * step)
        if step == 4 and dist.get_rank() == 0:
            recorder.state_dict()  # by the main process alone, as checkpoints are saved
    with recorder.evaluating():
        dist.barrier()
    recorder.log(step=5, examples=160, val_error=0.25)
assert recorder.record is not None
dist.destroy_process_group()
"""


def torchrun(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    loop = folder / "loop.py"
    loop.write_text(LOOP)
    options = ["--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, str(loop), str(folder / "out"), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_two_processes_leave_one_record(tmp_path: Path) -> None:
    ended = torchrun(tmp_path, "well")
    assert ended.returncode == 0, ended.stderr
    (path,) = (tmp_path / "out/records").glob("*.json")
    record = records.read(path)
    assert records.problem(record) is None
    assert record.state == "done"
    assert record.compute is not None
    assert record.compute.train_flops == 160 * 4 * 8 * 4, "forward and weight gradient of the one layer"
    assert record.energy is not None
    assert record.time is not None
    assert record.energy.energy_joules == pytest.approx(20 * record.time.train_seconds, rel=0.05)
    assert list((tmp_path / "out/progress").iterdir()) == []


def test_the_record_names_the_process_that_failed(tmp_path: Path) -> None:
    ended = torchrun(tmp_path, "fail")
    assert ended.returncode == 1
    (path,) = (tmp_path / "out/records").glob("*.json")
    record = records.read(path)
    assert record.state == "failed"
    assert record.reason is not None
    assert record.reason.startswith("process 1: RuntimeError: a fault of one rank (traceback in ")
    assert "a fault of one rank" in (path.parents[1] / "logs" / f"{path.stem}.rank1.log").read_text()


def test_a_recorder_before_the_process_group_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isoflop import Recorder, RecorderError

    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(RecorderError, match="enter the recorder after init_process_group, or unset"),
        Recorder(tmp_path / "out", name="net", data="toy", seed=0),
    ):
        pass
    assert not (tmp_path / "out").exists()
