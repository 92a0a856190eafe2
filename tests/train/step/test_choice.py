"""Which engine is taken, why, and what happens where it cannot be compiled."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from isoflop.config import Config
from isoflop.train import data, schedule, step
from isoflop.train.loop import Trainer
from isoflop.train.step import Choice, Workload, compiler

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLAIN = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0))
DROPPING = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
WIDE = Workload(1.99e12, 1.45e10, 10_000, cached=False)
MakeConfig = Callable[..., Config]


def test_the_engine_follows_the_device_and_the_model() -> None:
    assert step.choose("auto", CPU, PLAIN, work=WIDE).kind == "eager"
    assert step.choose("auto", CUDA, PLAIN).kind == "graph"
    assert step.choose("auto", CUDA, DROPPING, work=WIDE).kind == "eager"
    assert step.choose("auto", CUDA, PLAIN, work=WIDE, one_process=False).kind == "eager"
    assert step.choose("graph", CUDA, DROPPING).kind == "graph"
    assert step.choose("compile", CPU, PLAIN) == Choice("compile", "launch.step=compile")
    for name in ("graph", "compiled_graph"):
        assert step.choose(name, CUDA, PLAIN).fallback is None
        with pytest.raises(ValueError, match=rf"launch\.step={name} needs a GPU"):
            step.choose(name, CPU, PLAIN)


def test_auto_compiles_where_that_saves_time_and_says_so() -> None:
    wide = step.choose("auto", CUDA, PLAIN, work=WIDE)
    assert (wide.kind, wide.fallback) == ("compiled_graph", "graph")
    assert wide.why == (
        "compiling is predicted to save 29.5 s over 10000 steps and to take 17 s on an empty "
        "cache: it pays from 5757 steps"
    )
    few = step.choose("auto", CUDA, PLAIN, work=Workload(1.99e12, 1.45e10, 2000, cached=False))
    assert (few.kind, few.fallback) == ("graph", None)
    assert step.choose("auto", CUDA, PLAIN, work=Workload(1.99e12, 1.45e10, 2000, cached=True)).kind == (
        "compiled_graph"
    )
    unknown = step.choose("auto", CUDA, PLAIN, work=Workload(None, None, 10_000, cached=True))
    assert unknown == Choice("graph", "what compiling would save is unknown")


def test_a_deterministic_run_does_not_ask_what_a_cache_holds() -> None:
    assert step.choose("auto", CUDA, PLAIN, work=WIDE, deterministic=True).kind == "graph"


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("Failed to find C compiler.\nmore lines")


@pytest.mark.slow
def test_a_step_that_cannot_be_compiled_is_taken_as_a_plain_one(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed attempt reads batches: the weights afterwards are the plain engine's all the same."""
    monkeypatch.setattr(compiler, "COMPILER", broken)
    config = make_config("model=resnet", "model.width=2", "optim=sgd", "optim.ema_decay=0.9")
    plain, fallen = (
        Trainer(config, data.sets.load(config.data, CPU), 6, CPU, kind=kind)
        for kind in ("static", "compiled_static")
    )
    with pytest.raises(ValueError, match=r"compiled_static: the step cannot be compiled .*C compiler"):
        fallen.warm_up()
    fallen = Trainer(config, data.sets.load(config.data, CPU), 6, CPU, kind="compiled_static")
    fallen.choice = Choice("compiled_static", "predicted", fallback="static")
    for each in (plain, fallen):
        each.warm_up()
        each.advance(6, schedule.learning_rates(config.schedule, 6))
    assert fallen.kind == "static"
    assert fallen.choice.why.startswith("compiled_static was tried first and failed: ")
    assert "Failed to find C compiler." in fallen.choice.why
    assert "\n" not in fallen.choice.why
    assert fallen.compile_seconds > 0
    for a, b in zip(plain.model.state_dict().values(), fallen.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_device_without_memory_is_not_asked_again(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    config = make_config("model=mlp")
    made = Trainer(config, data.sets.load(config.data, CPU), 6, CPU, kind="compiled_static")
    made.choice = Choice("compiled_static", "predicted", fallback="static")
    monkeypatch.setattr(compiler, "compiled", lambda _: full)
    with pytest.raises(torch.OutOfMemoryError):
        made.warm_up()


def test_the_cache_is_the_users_and_remembers_shapes(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(compiler.CACHE_VARIABLE, "")
    config = make_config("model=resnet", "seed=1")
    key = compiler.shape_key(config, (1, 8, 8), 10, CPU)
    assert not compiler.is_cached(key)
    compiler.mark_cached(key)
    assert compiler.is_cached(key)
    assert compiler.keep_cache() == tmp_path / "cache" / "inductor"
    same = make_config("model=resnet", "seed=2", "optim.lr=1", "schedule.epochs=3", "data.fraction=0.5")
    assert compiler.shape_key(same, (1, 8, 8), 10, CPU) == key
    for shape, classes in (((1, 8, 8), 11), ((1, 4, 16), 10)):
        assert compiler.shape_key(config, shape, classes, CPU) != key
    for change in ("model.width=4", "optim.batch_size=16", "precision=bf16", "optim.label_smoothing=0.1"):
        changed = make_config("model=resnet", change)
        assert compiler.shape_key(changed, (1, 8, 8), 10, CPU) != key, change
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path / "other"))
    assert not compiler.is_cached(key)
    assert compiler.keep_cache() == tmp_path / "other"


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path / "file" / "below"))
    assert compiler.keep_cache() is None
    compiler.mark_cached("x")
    assert not compiler.is_cached("x")


def test_a_cache_folder_without_locks_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path / "of-the-cluster"))
    assert compiler.keep_cache() is None
    assert compiler.CACHE_VARIABLE not in os.environ  # so that torch chooses one of its own
    assert list((tmp_path / "of-the-cluster").iterdir()) == []
