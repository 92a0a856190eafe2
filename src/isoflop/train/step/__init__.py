"""How a training step is carried out: op by op, with compiled passes, or as a CUDA graph.

All engines take the same step (loss, gradients, optimizers, moving average) on the same storage. None reads
a device value, so the host runs ahead of a GPU.
"""

from __future__ import annotations

import time

import torch

from isoflop.train.step import compiler
from isoflop.train.step.choice import Choice, choose, draws
from isoflop.train.step.compiler import CompileError
from isoflop.train.step.eager import Compiled, Eager
from isoflop.train.step.graph import Static
from isoflop.train.step.parts import GRAPHS, EngineKind, Parts, Stream
from isoflop.train.step.saving import Workload
from isoflop.train.step.several import Several

__all__ = [
    "GRAPHS",
    "Choice",
    "CompileError",
    "Compiled",
    "Eager",
    "Engine",
    "EngineKind",
    "Parts",
    "Several",
    "Static",
    "Stream",
    "Workload",
    "choose",
    "draws",
    "engine",
    "prepare_seconds",
    "prepared",
]

Engine = Eager | Static


def engine(kind: EngineKind, parts: Parts, stream: Stream, capacity: int) -> Engine:
    """Return a new engine.

    Args:
        kind: how to carry out the steps.
        parts: what the steps work on.
        stream: batches; graphs take one from it for the shapes.
        capacity: the most steps that one call of `advance` will take.
    """
    if kind in GRAPHS:
        capture, compiled = not kind.endswith("static"), kind.startswith("compiled")
        return Static(parts, next(stream), capacity, capture=capture, compiled=compiled)
    return Compiled(parts) if kind == "compile" else Eager(parts)


def prepared(
    choice: Choice,
    parts: Parts,
    stream: Stream,
    capacity: int,
    cache_key: str,
    device: torch.device,
) -> tuple[Engine, Choice]:
    """Return the engine of a choice, compiled or captured, or the choice's fallback where that fails.

    Takes real steps on real batches: the caller restores the training state.

    Args:
        choice: the engine to make, and what to do where it cannot be compiled.
        parts: what the steps work on.
        stream: batches.
        capacity: the most steps that one call of `advance` will take.
        cache_key: names the compiled step in the cache (`compiler.shape_key`).
        device: where the model lives.

    Raises:
        ValueError: the step cannot be compiled or captured, and the choice has no fallback.
    """
    kept = device.type == "cuda" and choice.kind in ("compile", "compiled_graph")
    if kept:
        compiler.keep_cache()
    made = engine(choice.kind, parts, stream, capacity)
    try:
        prepare_seconds(made, stream, device)
    except (CompileError, ValueError) as error:
        if choice.fallback is None:
            raise error if isinstance(error, ValueError) else _refusal(choice, error) from error
        problem = str(error)
    else:
        if kept:
            compiler.mark_cached(cache_key)
        return made, choice
    # Outside the handler, whose traceback holds on to the failed engine and its memory.
    del made
    return prepared(choice.instead(problem), parts, stream, capacity, cache_key, device)


def _refusal(choice: Choice, error: CompileError) -> ValueError:
    return ValueError(f"launch.step={choice.kind}: the step cannot be compiled ({error}): set it to auto")


def prepare_seconds(prepared: Engine, stream: Stream, device: torch.device) -> float:
    """Compile or capture, and return the seconds until the device had finished; 0 for op by op."""
    if type(prepared) is Eager:
        return 0.0
    began = time.perf_counter()
    prepared.prepare(stream)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
