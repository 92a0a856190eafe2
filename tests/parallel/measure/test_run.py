"""Two real processes: what they leave, and what a second call leaves out. No speed-up is tested."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isoflop.config import Config, ConfigError, compose
from isoflop.parallel import scaling
from isoflop.parallel.measure import jobs, run, worker
from isoflop.parallel.measure.jobs import Ask, Assignment, Device
from isoflop.record import RecordError, parallel
from isoflop.record.parallel import ParallelRecord
from isoflop.runner import rank, supervisor
from isoflop.runner.request import RunRequest
from isoflop.runner.task import Task
from isoflop.train.distributed import SINGLE

ASK = Ask((1, 2), scalings=("strong",), seconds=0.005, rows=65, side=16)
DEVICE = Device("cpu", "processor", 2)
OVERRIDES = ("model=resnet", "model.width=2", "model.depth=1", "optim.batch_size=16", "launch.threads=1")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, tuple[ParallelRecord, ...]]:
    """Everything, measured here for one worker, and on two real processes, with timings of milliseconds."""
    composed = compose.compose_config((*OVERRIDES, "launch.device=cpu"), None)
    folder = tmp_path_factory.mktemp("measured")
    config = dataclasses.replace(composed, out=str(folder / "out"))
    alone = worker.Worker(_task(config, folder), config, torch.device("cpu"), SINGLE)
    for job in jobs.jobs(ASK, config, DEVICE, 1):
        alone.measure(job, Assignment(config.out, (job,), ASK.repeats, ASK.seconds))
    return config, run.measure(config, ASK, DEVICE, lambda line: None)


def _task(config: Config, folder: Path) -> Task:
    return Task.of(config, RunRequest(), "a test", folder)


pytestmark = pytest.mark.slow


def test_the_parts_of_every_timing_add_up_to_the_wall_time(measured) -> None:
    _, records = measured
    assert [(record.payload, record.workers) for record in records] == [
        *((payload, 1) for payload in ASK.payloads),
        *((payload, 2) for payload in ASK.payloads),
    ]
    for record in records:
        assert len(record.wall_seconds) == len(record.split) == ASK.repeats
        for timing in record.split:
            parts = timing.compute_seconds + timing.communication_seconds + timing.waiting_seconds
            assert parts == pytest.approx(timing.wall_seconds, rel=1e-9)
            assert (timing.communication_seconds > 0) == (record.workers > 1)
        assert record.backend == ("gloo" if record.workers > 1 else "none")


def test_the_bytes_of_training_are_those_of_gradients_and_running_statistics(measured) -> None:
    from isoflop.train import models

    config, records = measured
    model = models.build(config.model, (1, 8, 8), 10, seed=0, device=torch.device("cpu"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    statistics = sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point())
    one, two = (record for record in records if record.payload == "training")
    assert statistics > 0
    assert two.exchanged_bytes_per_step == 4 * (parameters + statistics)
    assert one.exchanged_bytes_per_step == one.exchanges_per_step == 0
    assert two.steps == one.steps
    assert two.flops_per_step == one.flops_per_step


def test_the_bytes_of_the_other_payloads_are_counted_by_hand(measured) -> None:
    _, records = measured
    of_two = {record.payload: record for record in records if record.workers == 2}
    # Of B each worker hands over its own rows or takes in the other's.
    assert of_two["matmul"].exchanged_bytes_per_step == 4 * 65 * 65
    assert of_two["matmul"].exchanges_per_step == 2
    # A plane to the one neighbour and two numbers, and one number more at the start of each solution.
    iterations = of_two["cg"].steps
    restarts = -(-iterations // 50)
    assert of_two["cg"].exchanged_bytes_per_step == pytest.approx(4 * (16 * 16 + 2 + restarts / iterations))


def test_two_processes_find_what_one_does(measured) -> None:
    _, records = measured
    residuals = {(record.payload, record.workers): record.residual for record in records}
    # Of single precision: a product of 65 terms, a solution after 50 iterations.
    assert max(residuals["matmul", workers] for workers in (1, 2)) < 1e-5
    assert max(residuals["cg", workers] for workers in (1, 2)) < 1e-5
    assert residuals["training", 2] is None


def test_what_is_measured_is_not_measured_again(measured, monkeypatch: pytest.MonkeyPatch) -> None:
    config, records = measured
    started: list[tuple[str, int]] = []

    def start(config: Config, missing, ask: Ask) -> None:
        started.extend((job.payload, job.workers) for job in missing)
        assert all(job.steps == records[0].steps for job in missing if job.payload == "training")

    monkeypatch.setattr(run, "_start", start)
    assert run.measure(config, ASK, DEVICE, print) == records
    assert started == []
    lost = records[3]
    path = parallel.path_of(config.directory, lost.payload, lost.scaling, lost.workers, lost.group_id)
    path.rename(path.with_suffix(".kept"))
    try:
        with pytest.raises(FileNotFoundError):
            run.measure(config, ASK, DEVICE, print)
    finally:
        path.with_suffix(".kept").rename(path)
    assert started == [("training", 2)]


def test_the_records_of_a_folder_are_read_back_and_compared(measured) -> None:
    config, records = measured
    assert parallel.read_all(config.directory) == tuple(
        sorted(records, key=lambda r: (ASK.payloads.index(r.payload), r.workers))
    )
    assert [group.payload for group in scaling.groups(records)] == list(ASK.payloads)


def test_a_worker_that_fails_leaves_its_reason(
    make_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is run here as torchrun would run it; its failure reaches the user as one line."""
    config = make_config("data=mnist", "data.root=nowhere", "data.download=false")

    @contextlib.contextmanager
    def torchrun(config: Config, task: Path, module: str) -> Iterator[SimpleNamespace]:
        assert module == worker.__name__
        yield SimpleNamespace(wait=lambda: worker.main("train", str(task)))

    monkeypatch.setattr(supervisor, "torchrun", torchrun)
    monkeypatch.setattr(rank, "die_with_parent", lambda number: None)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    only = dataclasses.replace(ASK, payloads=("training",))
    with pytest.raises(ConfigError, match="nowhere"):
        run.measure(config, only, DEVICE, print)
    monkeypatch.setattr(worker, "prepare", lambda config, device, **rest: 1 / 0)
    with pytest.raises(run.MeasuringError, match="with 1 worker: ZeroDivisionError: division by zero: run"):
        run.measure(config, only, DEVICE, print)
    monkeypatch.setattr(worker, "_leave", lambda path, error: None)
    with pytest.raises(run.MeasuringError, match=r"died \(exit code 1\): run it again"):
        run.measure(config, only, DEVICE, print)
    assert parallel.read_all(config.directory) == ()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"{", "damaged"),
        (b'{"schema": 1}', "not a record of isoflop parallel"),
        (b'{"schema": 9}', "schema 9 of isoflop parallel is newer than this isoflop reads"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, payload: bytes, message: str) -> None:
    path = tmp_path / "parallel" / "cg-strong-1-0.json"
    path.parent.mkdir()
    path.write_bytes(payload)
    with pytest.raises(RecordError, match=message) as caught:
        parallel.read_all(tmp_path)
    assert str(path) in str(caught.value)
