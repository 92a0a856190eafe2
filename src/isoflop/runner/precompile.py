"""Compiling the step of a shape ahead of the runs that need it: into the cache, without training."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from isoflop.config import Config
from isoflop.runner.prepare import prepare
from isoflop.runner.workload import workload
from isoflop.train import models, precision, step
from isoflop.train.loop import FLAT, deterministic
from isoflop.train.step import compiler
from isoflop.train.step.parts import loss_function


def compile_ahead(config: Config, runs: int, device: torch.device) -> bool:
    """Compile the step of a run into the cache if the run would choose that; return whether it was compiled.

    Args:
        config: a run of the shape.
        runs: runs of the sweep that share the shape.
        device: the GPU that they are trained on.

    Raises:
        ValueError: the run's input cannot be used.
        CompileError: the compiler failed; the run will find out by itself and fall back.
    """
    if config.lever.kind != "settings":
        return False  # its network, or its loss, is made by the run itself
    prepared = prepare(config, torch.device("cpu"))
    data, work = prepared.data, workload(config, prepared, device, runs)
    model = models.build(config.model, data.input_shape, data.classes, seed=0, device=torch.device("cpu"))
    launch = config.launch
    choice = step.choose(launch.step, device, model, work=work, deterministic=launch.deterministic)
    key = compiler.shape_key(config, data.input_shape, data.classes, device)
    if choice.kind != "compiled_graph" or compiler.is_cached(key):
        return False
    compile_step(config, data.input_shape, data.classes, device)
    compiler.mark_cached(key)
    return True


def compile_step(config: Config, input_shape: tuple[int, ...], classes: int, device: torch.device) -> None:
    """Compile what a Trainer of this configuration compiles, graph for graph, and run nothing of it.

    Args:
        config: the run.
        input_shape: sizes of an image, or of a window.
        classes: number of logits.
        device: where the step will run.

    Raises:
        CompileError: the compiler failed.
    """
    compiler.keep_cache()
    last = config.precision.channels_last and config.model.family not in FLAT
    compute = config.precision.compute
    layout = torch.channels_last if last else torch.contiguous_format
    with deterministic(config.launch.deterministic, compute):
        model = models.build(config.model, input_shape, classes, seed=0, device=device)
        model = (model.to(memory_format=layout) if last else model).train()
        model = precision.converted(model, compute)
        inputs, targets = _example_batch(config, input_shape, layout, device)
        mixed = precision.resolve(compute, device) in precision.MIXED
        passes = loss_function(model, config.optim.label_smoothing, of_bytes=config.data.is_text)
        with torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext():
            compiler.compile_into_cache(passes, inputs, targets)


def _example_batch(
    config: Config, input_shape: tuple[int, ...], layout: torch.memory_format, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of a step's sizes, types and strides, all zero."""
    shape = (config.batch_rows, *input_shape)
    if config.data.is_text:
        return tuple(torch.zeros(2, *shape, dtype=torch.int64, device=device).unbind())  # type: ignore[return-value]
    # Strides are part of the graph, and those of a single channel are only set where memory is made.
    images = torch.empty(shape, device=device, memory_format=layout).zero_()
    return images, torch.zeros(config.batch_rows, dtype=torch.int64, device=device)
