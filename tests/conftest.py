"""What all rooms' tests share: a tiny cell, a record, the rebuilt image sets."""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import hypothesis
import numpy as np
import pandas as pd
import pytest
import torch

from isoflop import config
from isoflop import record as records
from isoflop.config import compose
from isoflop.table import aggregate

torch.set_num_threads(1)
if not torch.cuda.is_available():
    # Read when Triton is first imported, so before any test: its kernels then run on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")
SHARED = Path(__file__).parents[1] / "../shared"
MakeConfig = Callable[..., config.Config]
TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


@pytest.fixture(autouse=True)
def no_ceilings_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in tests read no cache of this machine."""
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))


@functools.cache
def composed(*overrides: str) -> config.Config:
    return compose.compose_config(overrides, None)


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """make_config("model.width=8", ...) -> a Config that trains for half a second and writes to tmp_path."""

    def make(*overrides: str) -> config.Config:
        tiny = (*TINY, "meter.idle_seconds=0", "meter.window_seconds=0")
        return dataclasses.replace(composed(*tiny, *overrides), out=str(tmp_path / "out"))

    return make


@pytest.fixture(scope="session")
def done_record(tmp_path_factory: pytest.TempPathFactory) -> records.Record:
    """The record of a real run of one epoch."""
    from isoflop.runner import run

    tiny = composed(*TINY, "meter.idle_seconds=0", "meter.window_seconds=0")
    return run.run(dataclasses.replace(tiny, out=str(tmp_path_factory.mktemp("one"))))[0]


@pytest.fixture(scope="session")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 and Fashion-MNIST as torchvision lays them out, rebuilt from ../shared."""
    script = SHARED / "data/sets/unpack.py"
    if not script.is_file():
        pytest.skip("../shared/data is absent: the image sets cannot be rebuilt")
    shared_by_workers = tmp_path_factory.getbasetemp().parent
    root = shared_by_workers / "image-sets"
    with (shared_by_workers / "image-sets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").is_file():
            subprocess.run([sys.executable, str(script), str(root)], check=True, capture_output=True)
            (root / "done").touch()
    return root


@pytest.fixture(scope="session")
def nvml_stub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for the NVIDIA driver's library, libnvidia-ml.so.1, compiled once a session;
    it goes into LD_LIBRARY_PATH of a process about to start."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the NVML stub with")
    folder = tmp_path_factory.mktemp("nvml-stub")
    library, source = folder / "libnvidia-ml.so.1", Path(__file__).parent / "meter/nvml_stub.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-lm"], check=True)
    return folder


@pytest.fixture(scope="session")
def language_sweep() -> ModuleType:
    """The module tests/language_sweep.py: synthetic sweeps over text with a known law."""
    path = Path(__file__).with_name("language_sweep.py")
    spec = importlib.util.spec_from_file_location("language_sweep", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["language_sweep"] = module
    spec.loader.exec_module(module)
    return module


def _table(x, y, *, seeds: int = 1, noise: float = 0.0, seed: int = 0, **columns) -> pd.DataFrame:
    """One configuration an x, `seeds` runs each; y times lognormal noise of configuration and run."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    generator = np.random.default_rng(seed)
    config = np.repeat(np.arange(len(x)), seeds)
    shared = noise * generator.standard_normal(len(x))[config]
    own = noise * generator.standard_normal(len(config))
    known = {
        "run_id": [f"run{i}" for i in range(len(config))],
        "config_id": [f"config{i}" for i in config],
        "trunk_id": [f"config{i}" for i in config],
        "seed": np.tile(np.arange(seeds, dtype=float), len(x)),
        "train_gflops": x[config],
        "test_error": y[config] * np.exp(shared + own),
        "chance_error": 0.9,
        "test_n": 10000.0,
        "device": "cpu",
        "precision": "fp32",
        "data": "toy",
        "isoflop_version": "1",
        "git_commit": "abc",
    }
    rows = pd.DataFrame(known).assign(**columns)
    text = [name for name in aggregate.COLUMNS if name in aggregate.TEXT]
    for name in aggregate.COLUMNS:
        if name not in rows:
            rows[name] = pd.Series(
                [None if name in text else np.nan] * len(rows), dtype=object if name in text else float
            )
    return rows[list(aggregate.COLUMNS)]


@pytest.fixture
def make_table() -> Callable[..., pd.DataFrame]:
    return _table
