"""The compiler of the step's two passes, and its cache on disk, which is kept between runs and sweeps.

The cache is TORCHINDUCTOR_CACHE_DIR where that is set, else the folder `inductor` of the user's cache
folder (config/user_cache.py). Inductor keeps in it the compiled kernels and, by a hash of the traced graph,
the whole result. It does not say whether it holds a graph before the graph is traced, so each shape that was
compiled leaves an empty file of its own beside it, which is what the choice of an engine asks for.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

import isoflop
from isoflop.config import Config, user_cache
from isoflop.record import lock
from isoflop.train.step.parts import LossFunction

COMPILER = "inductor"
CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
MARKS = "isoflop-shapes"


class CompileError(Exception):
    """The compiler failed. The message is its first line."""


def compiled(loss_of: LossFunction) -> LossFunction:
    """Return `loss_of` with its two passes compiled, which happens when they are first called."""
    # A process that trains many shapes would reach the compiler's limit of variants of one function.
    torch.compiler.reset()
    _accept_fp32()
    result: LossFunction = torch.compile(loss_of, dynamic=False, backend=COMPILER)
    return result


def _accept_fp32() -> None:
    """Keep the compiler from advising TensorFloat32: precision.compute=fp32 asks for all of fp32's digits."""
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)


class _CompiledOnlyError(Exception):
    """Raised by a backend in place of returning something to run."""


def compile_into_cache(loss_of: LossFunction, inputs: Tensor, targets: Tensor) -> None:
    """Compile both passes of `loss_of` into the kept cache and run neither: the device computes nothing.

    The cache's key is a hash of the traced graph, the shapes and the versions, so that another process that
    compiles the same step finds both there.

    Raises:
        CompileError: the compiler failed.
    """
    finished = False
    # Not imported with this module: it takes a second and slows the optimizers of what compiles nothing.
    dynamo: Any = importlib.import_module("torch._dynamo")
    functorch: Any = importlib.import_module("torch._functorch.config")

    def lower(graph: Any, graph_inputs: list[Tensor]) -> Any:
        nonlocal finished
        dynamo.lookup_backend(COMPILER)(graph, graph_inputs)
        finished = True
        raise _CompiledOnlyError

    torch.compiler.reset()
    _accept_fp32()
    try:
        # The backward pass is otherwise lowered when it is first called.
        with functorch.patch(force_non_lazy_backward_lowering=True):
            torch.compile(loss_of, dynamic=False, backend=lower)(inputs, targets)
    except Exception as error:
        if not finished:
            raise CompileError(problem(error)) from error
    finally:
        torch.compiler.reset()


def problem(error: BaseException) -> str:
    """Return one line that names what went wrong in the compiler."""
    # torch wraps what a backend raised in an error whose first line says only that.
    cause = getattr(error, "inner_exception", error)
    return f"{type(cause).__name__}: {first_line(cause)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return next(iter(str(error).strip().splitlines()), "no message")


def keep_cache() -> Path | None:
    """Point the compiler of this process and its children at the kept cache, and return its folder.

    None where the folder cannot be written or, as some home folders of clusters, is on a file system without
    locks, which the compiler needs: torch then uses one of its own in /tmp, which it may not keep.
    """
    try:
        kept = Path(os.environ.get(CACHE_VARIABLE) or user_cache.folder() / "inductor")
        kept.mkdir(parents=True, exist_ok=True)
        if not lock.has_locks(kept):
            os.environ.pop(CACHE_VARIABLE, None)
            return None
    except (OSError, RuntimeError):
        return None
    os.environ[CACHE_VARIABLE] = str(kept)
    return kept


def shape_key(config: Config, input_shape: tuple[int, ...], classes: int, device: torch.device) -> str:
    """Return the name of a compiled step: model, sizes of a batch, loss, precision, versions and kind of GPU.

    Unlike Config.shape_id it does not depend on the length of the run, as the compiled passes do not.

    Args:
        config: the run.
        input_shape: sizes of an image, or of a window.
        classes: number of logits, which the data decide: 257 for a text in which every byte occurs.
        device: where the step runs.
    """
    parts = {
        "model": config.model.anywhere,
        "data": (config.data.is_text, input_shape, classes),
        "optim": (config.optim.batch_size, config.optim.label_smoothing),
        "precision": config.precision,
        "lever": None if config.lever.kind == "settings" else config.lever.settings,
        "versions": (isoflop.__version__, str(torch.__version__)),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def is_cached(key: str) -> bool:
    """Return whether a step of this `shape_key` was compiled into the cache before."""
    kept = keep_cache()
    return kept is not None and (kept / MARKS / key).exists()


def mark_cached(key: str) -> None:
    """Remember that the step of this `shape_key` is in the cache, if that can be written."""
    kept = keep_cache()
    if kept is None:
        return
    with contextlib.suppress(OSError):
        (kept / MARKS).mkdir(exist_ok=True)
        (kept / MARKS / key).touch()
