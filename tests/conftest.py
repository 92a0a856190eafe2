"""What all rooms' tests share: a tiny cell, a record, the rebuilt image sets."""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import importlib.util
import itertools
import math
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

from isoflop import config, extras
from isoflop import record as records
from isoflop.config import compose
from isoflop.table import aggregate

TORCH = extras.installed("torch")
if TORCH:
    import torch

    torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)
if (
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
):  # as nohup starts it; a handler is not passed on to programs
    signal.signal(signal.SIGHUP, lambda number, frame: None)
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")
SHARED = Path(__file__).parents[1] / "../shared"
MakeConfig = Callable[..., config.Config]
WITH_TORCH = (
    *(
        "api/test_training.py",
        "gpu",
        "runner",
        "slurm",
        "train",
        "meter/flops",
        "sweep/campaign",
        "sweep/local",
        "sweep/slurm",
    ),
    *(f"meter/device/test_{name}.py" for name in ("bench", "hardware", "visible")),
    *(f"sweep/test_{name}.py" for name in ("dry_run", "held_out", "language_sweep", "manifest", "tune")),
    *(f"cli/test_{name}.py" for name in ("flops", "run", "secrets", "sweep", "text_input", "text_sweep")),
    *("api/test_training.py", "curve/check/test_text.py", "report/wandb"),
    "paper/test_torchvision_weights.py",
    "parallel/measure",
    "parallel/test_chain.py",
    *(
        f"test_{name}.py"
        for name in ("audit", "contracts", "contributing", "doctor", "flop_ledger", "mutants")
    ),
    *("test_packaging.py", "test_recipe_benchmark.py", "test_recipe_share.py"),
)
"""Folders and files of tests that train, or need a package of an extra or of dev: left out without torch."""
collect_ignore = [] if TORCH else list(WITH_TORCH)
TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked torch where it is missing."""
    if not TORCH:
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip("torch is not installed: pip install 'isoflop[train]'"))


@pytest.fixture(autouse=True)
def no_ceilings_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in tests read no cache of this machine."""
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """without("torch", ...): importing these packages fails until the test ends, as if they were missing."""

    def hide(*modules: str) -> None:
        for name in modules:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


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


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder of 90 documents of 100 to 200 letters, where the next letter depends on the one before."""
    folder = tmp_path / "books"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(90):
        steps = draw.choice([1, 2, 5], size=draw.integers(100, 200), p=[0.7, 0.2, 0.1])
        letters = (97 + np.cumsum(steps) % 26).astype(np.uint8)
        (folder / f"{number:02}.txt").write_bytes(letters.tobytes())
    return folder


LANGUAGE = (
    *("recipe=language", "model.context=8", "model.head_width=4", "optim.batch_size=64", "data=text"),
    *("schedule.epochs=null", "schedule.steps=24", "data.eval_bytes=2048"),
)


@pytest.fixture
def make_language_config(make_config: MakeConfig, books: Path) -> MakeConfig:
    """make_language_config("model.width=4", ...) -> as make_config, of a language model of `books`."""

    def make(*overrides: str) -> config.Config:
        return make_config(*LANGUAGE, f"data.path={books}", *overrides)

    return make


@pytest.fixture(scope="session")
def done_record(tmp_path_factory: pytest.TempPathFactory) -> records.Record:
    """The record of a real run of one epoch; without torch that of an earlier one, which is committed."""
    if not TORCH:
        return records.read(Path(__file__).parent / "data/record_of_a_run.json")
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


TEXT_LAW = (1.2, 19.5, 0.35, 261.0, 0.35)
"""E, A, a, B, b of the synthetic sweep on text: E + A / N^a + B / D^b bits a byte."""
CONTEXT, TRAIN_BYTES = 256, 64_000_000


def _text_record(like: records.Record, width: int, depth: int, budget: float, seed: int) -> records.Record:
    """A synthetic run of a language model: loss by TEXT_LAW, with 0.5% noise between seeds.

    Args:
        like: a finished run on images, for what is not of text.
        width, depth: of the shape.
        budget: training FLOPs.
        seed: of the noise.
    """
    size = depth * 12 * width**2 + 256 * width
    each = 6.0 * (size + 2 * depth * CONTEXT * width)
    seen = round(budget / each / CONTEXT) * CONTEXT
    floor, a, alpha, b, beta = TEXT_LAW
    noise = np.random.default_rng([seed, width, depth, int(budget // 1e9)]).normal()
    nats = (floor + a / size**alpha + b / seen**beta) * math.exp(0.005 * noise) * math.log(2)
    config_id = f"{width:03x}{depth:x}{round(math.log(budget) * 1000):08x}"
    facts = records.TextFacts(3, 70_000_000, TRAIN_BYTES, 500, 16, 16, 0, "0" * 64, None, "not its source")
    return dataclasses.replace(
        like,
        run_id=f"{config_id}{seed:04x}",
        config_id=config_id,
        trunk_id=config_id,
        horizon=1.0,
        cell={"synthetic": True},
        seed=seed,
        model=dataclasses.replace(
            like.model,
            family="gpt",
            architecture="gpt",
            width=width,
            depth=depth,
            parameters=size + 256 * width,
            parameters_without_embeddings=size,
            parameters_without_embeddings_reason=None,
        ),
        data=dataclasses.replace(
            like.data,
            name="synthetic_text",
            train_n=TRAIN_BYTES,
            val_n=1_000_000,
            test_n=1_000_000,
            classes=256,
            chance_error=255 / 256,
            input_shape=(CONTEXT,),
            passes=seen / TRAIN_BYTES,
            text=facts,
            text_reason=None,
        ),
        optim=dataclasses.replace(like.optim, lr=1e-3, batch_size=CONTEXT * round(seen**0.3 / 8)),
        error=dataclasses.replace(like.error, test=0.2 * nats, val=0.2 * nats, test_n=1_000_000),
        loss=dataclasses.replace(
            like.loss,
            test=nats,
            val=nats,
            train=0.99 * nats,
            test_document_se_nats=0.01,
            test_document_se_nats_reason=None,
        ),
        compute=dataclasses.replace(
            like.compute, examples_seen=seen, train_flops=each * seen, train_flops_per_example=each
        ),
        energy=dataclasses.replace(like.energy, energy_joules=2.0 + each * seen * 1e-11),
        time=dataclasses.replace(like.time, train_seconds=1.0 + each * seen * 1e-13),
        curve=(),
        train_loss=None,
        train_loss_reason="synthetic",
    )


def _write_text_sweep(
    folder: Path,
    *,
    budgets: tuple[float, ...] = (1e11, 4e11, 1.6e12, 6.4e12),
    widths: tuple[int, ...] = (8, 12, 16, 24, 32, 48, 64, 96, 128),
    depths: tuple[int, ...] = (1, 2),
    seeds: int = 2,
) -> Path:
    """Write the records of a synthetic sweep of language models, each byte read at most once."""
    like = records.read(Path(__file__).parent / "data/record_schema_2_gpu.json")
    for budget, width, depth, seed in itertools.product(budgets, widths, depths, range(seeds)):
        record = _text_record(like, width, depth, budget, seed)
        if record.compute.examples_seen <= TRAIN_BYTES:
            records.write(record, folder)
    return folder


@pytest.fixture(scope="session")
def make_text_sweep() -> Callable[..., Path]:
    """make_text_sweep(folder, budgets=..., ...) -> the folder, with synthetic records on text."""
    return _write_text_sweep


@pytest.fixture
def text_sweep(tmp_path: Path) -> Callable[..., Path]:
    """text_sweep(budgets=..., ...) -> a folder of its own with the records of make_text_sweep."""
    return functools.partial(_write_text_sweep, tmp_path / "synthetic-text")
