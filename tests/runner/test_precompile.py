"""What is compiled ahead is what a trainer compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from isoflop.config import Config
from isoflop.runner import precompile
from isoflop.train import data
from isoflop.train.loop import Trainer
from isoflop.train.step import CompileError, Workload, compiler

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


def recorded(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> list[Any]:
    """The graphs that the compiler is given: their code, and shape, strides, type and flags of each input."""
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        facts = [(t.shape, t.stride(), t.dtype, t.requires_grad, type(t)) for t in inputs]
        settings = (torch.is_autocast_enabled("cpu"), torch.backends.cudnn.benchmark)
        graphs.append((graph.code, facts, settings))
        return graph.forward

    monkeypatch.setattr(compiler, "COMPILER", backend)
    act()
    return graphs


@pytest.mark.parametrize(
    "how",
    [
        ("model=resnet", "model.width=2", "optim=sgd", "optim.label_smoothing=0.1"),
        ("model=resnet", "model.width=2", "optim=sgd", "precision=bf16", "optim.ema_decay=0.9"),
        ("model=mlp",),
    ],
)
def test_the_graph_is_the_trainers(
    how: tuple[str, ...], make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(*how)
    digits = data.sets.load(config.data, CPU)
    ahead = recorded(
        monkeypatch, lambda: precompile.compile_step(config, digits.input_shape, digits.classes, CPU)
    )

    def train() -> None:
        from isoflop.train.loop import deterministic

        with deterministic(False):
            Trainer(config, digits, 4, CPU, kind="compiled_static").warm_up()

    assert len(ahead) == 1
    assert recorded(monkeypatch, train) == ahead


def test_only_what_a_run_would_compile_is_compiled_once(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiler.CACHE_VARIABLE, "")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    compiled: list[Config] = []
    monkeypatch.setattr(precompile, "compile_step", lambda config, *_: compiled.append(config))
    gpu, config = torch.device("cuda", 0), make_config("model=mlp")
    assert not precompile.compile_ahead(config, 3, gpu)
    wide = Workload(2e12, 1.5e10, 10_000, cached=False)
    monkeypatch.setattr(precompile, "workload", lambda *_: wide)
    assert precompile.compile_ahead(config, 3, gpu)
    assert not precompile.compile_ahead(config, 3, gpu)
    assert compiled == [config]


def test_a_failure_leaves_no_mark(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(compiler, "COMPILER", broken)
    config = make_config("model=mlp")
    with pytest.raises(CompileError, match="OSError: disk full"):
        precompile.compile_step(config, (1, 8, 8), 10, CPU)
    assert not compiler.is_cached(compiler.shape_key(config, (1, 8, 8), 10, CPU))
