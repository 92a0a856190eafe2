"""What cannot be measured is refused in one line, before anything starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isoflop.config import ConfigError
from isoflop.meter.device import ceilings
from isoflop.parallel.measure import checks, jobs, run, worker
from isoflop.parallel.measure.jobs import Ask, Device
from isoflop.record import Ceiling

CPUS, GPUS = Device("cpu", "processor", 4), Device("cuda", "NVIDIA H100 80GB HBM3", 8)


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ((1,), "--workers 1: a speed-up takes two numbers of workers or more"),
        ((1, 8), "--workers 8: this machine has 4 workers of 1 core: give at most that many"),
        ((1, 4, 2), "--workers 1,4,2: give them in increasing order, each once"),
        ((1, 2, 2), "--workers 1,2,2: give them in increasing order, each once"),
        ((2, 4), "--workers 2,4: begin with 1"),
        ((0, 1), "--workers 0,1: give numbers above 0"),
    ],
)
def test_numbers_of_workers(make_config, workers: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        checks.check_workers(Ask(workers), make_config(), CPUS, {})
    checks.check_workers(Ask((1, 2, 4)), make_config(), CPUS, {})


def test_workers_of_several_nodes_fill_them(make_config) -> None:
    config = make_config("launch=slurm", "launch.nodes=2")
    job = {"SLURM_JOB_NUM_NODES": "2"}
    checks.check_workers(Ask((1, 4, 8, 16)), config, GPUS, job)
    launch = checks.for_workers(config, GPUS, 16).launch
    assert (launch.devices, launch.nodes) == (8, 2)
    launch = checks.for_workers(config, GPUS, 4).launch
    assert (launch.devices, launch.nodes) == (4, 1)
    with pytest.raises(ConfigError, match=r"^--workers 12: a node has 8: beyond that give multiples of it"):
        checks.check_workers(Ask((1, 12)), config, GPUS, job)
    with pytest.raises(ConfigError, match=r"^--workers 17: 2 nodes have 16 GPUs"):
        checks.check_workers(Ask((1, 17)), config, GPUS, job)
    with pytest.raises(ConfigError, match=r"^launch\.nodes=2: start it in a SLURM job of as many nodes"):
        checks.check_workers(Ask((1, 4)), config, GPUS, {})


def test_it_is_not_started_by_torchrun(make_config) -> None:
    with pytest.raises(ConfigError, match="starts its workers itself"):
        checks.check_workers(Ask((1, 2)), make_config(), CPUS, {"RANK": "0", "WORLD_SIZE": "2"})


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (Ask((1, 2), repeats=4), "--repeats 4: an interval takes 5 timings or more"),
        (Ask((1, 2), seconds=0), "--seconds 0: give the length of a timing"),
        (Ask((1, 2), rows=63), "--matrix 63: give 64 rows or more"),
        (Ask((1, 2), side=15), "--grid 15: give 16 points or more along an edge"),
        (Ask((1, 20), side=19), "--grid 19: give 20 points or more along an edge"),
    ],
)
def test_sizes(ask: Ask, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        checks.check_sizes(ask)
    checks.check_sizes(Ask((1, 2), repeats=5, seconds=0.01, rows=64, side=16))


@pytest.mark.parametrize(
    ("payload", "option"), [("matmul", "--matrix 768"), ("cg", "--grid 48"), ("training", "model mlp")]
)
def test_what_does_not_fit_into_memory(
    make_config, monkeypatch: pytest.MonkeyPatch, payload: str, option: str
) -> None:
    ask = Ask((1, 2), payloads=(payload,))  # type: ignore[arg-type]
    monkeypatch.setattr(checks, "free_bytes", lambda device: 2.0**12)
    with pytest.raises(ConfigError, match=f"^{option} with --workers 1 .* GiB free: make it smaller"):
        checks.check_payloads(ask, make_config(), CPUS)
    monkeypatch.setattr(checks, "free_bytes", lambda device: None)
    checks.check_payloads(ask, make_config(), CPUS)


def test_weak_scaling_of_training_needs_the_examples_of_all_workers(make_config) -> None:
    config = make_config("optim.batch_size=500")
    strong = Ask((1, 2), payloads=("training",), scalings=("strong",))
    checks.check_payloads(strong, config, CPUS)
    with pytest.raises(ConfigError, match=r"^weak scaling to 2 workers: optim\.batch_size=1000: larger than"):
        checks.check_payloads(dataclasses.replace(strong, scalings=("weak",)), config, CPUS)


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   4096 kB\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("3000\n")
    monkeypatch.setattr(checks, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(checks, "CGROUP", tmp_path)
    assert checks.free_bytes(CPUS) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert checks.free_bytes(CPUS) == 4096 * 1024


def test_a_worker_on_a_gpu_is_the_gpu(make_config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: GPUS.name)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 2**36))
    config, device = run.machine(make_config("launch.threads=null"))
    assert device == GPUS
    assert config.launch.threads is None
    assert checks.free_bytes(device) == 2**30


def test_a_worker_on_a_processor_is_a_core(make_config) -> None:
    config, device = run.machine(make_config("launch.device=cpu", "launch.threads=null"))
    assert device.kind == "cpu"
    assert config.launch.threads == 1


@pytest.mark.parametrize(("payload", "tflops"), [("matmul", 989.4), ("cg", 66.9)])
def test_the_peak_of_a_gpu_is_the_datasheets(make_config, payload: str, tflops: float) -> None:
    peak, reason = worker.Worker._peak(
        SimpleNamespace(  # type: ignore[arg-type]
            config=make_config(),
            _device=torch.device("cuda", 0),
            _machine=SimpleNamespace(device=GPUS.name, gpu=None),
        ),
        SimpleNamespace(payload=payload),  # type: ignore[arg-type]
    )
    assert reason is None
    assert peak is not None
    assert peak.flops_per_second == tflops * 1e12


def test_the_peak_of_a_core_is_measured_or_unknown(make_config) -> None:
    of_core = SimpleNamespace(
        config=make_config(),
        _device=torch.device("cpu"),
        _machine=SimpleNamespace(cpu="processor", threads=1),
    )
    job = SimpleNamespace(payload="matmul")
    assert worker.Worker._peak(of_core, job) == (  # type: ignore[arg-type]
        None,
        "not measured for processor in fp32 with 1 thread: isoflop doctor --measure",
    )
    ceilings.store([Ceiling("processor", "fp32", 1, 5e10, 1e10, "2026-11-27")])
    peak, _ = worker.Worker._peak(of_core, job)  # type: ignore[arg-type]
    assert peak is not None
    assert peak.flops_per_second == 5e10


def test_the_default_doubles_up_to_all_workers() -> None:
    assert [jobs.doubling(most) for most in (1, 2, 6, 8)] == [(1,), (1, 2), (1, 2, 4, 6), (1, 2, 4, 8)]


def test_one_worker_is_measured_once_for_both_scalings(make_config) -> None:
    ask, config = Ask((1, 2)), make_config()
    assert [job.scaling for job in jobs.jobs(ask, config, CPUS, 1)] == ["strong"] * 3
    of_two = jobs.jobs(ask, config, CPUS, 2)
    assert [(job.payload, job.scaling) for job in of_two] == [
        (payload, scaling) for payload in jobs.PAYLOADS for scaling in jobs.SCALINGS
    ]
    assert {job.group_id for job in of_two} == {job.group_id for job in jobs.jobs(ask, config, CPUS, 1)}


@pytest.mark.parametrize("override", ["model.width=16", "optim.batch_size=64", "launch.threads=2"])
def test_measurements_of_other_work_are_not_compared(make_config, override: str) -> None:
    ask = Ask((1, 2), payloads=("training",))
    (one,), (other,) = (jobs.jobs(ask, config, CPUS, 1) for config in (make_config(), make_config(override)))
    assert one.group_id != other.group_id
    (again,) = jobs.jobs(ask, make_config("seed=3", "optim.lr=0.5"), CPUS, 1)
    assert again.group_id == one.group_id
