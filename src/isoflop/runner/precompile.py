"""Compiling the step of a shape ahead of the runs that need it: into the cache, without training."""

from __future__ import annotations

import contextlib

import torch

from isoflop.config import Config
from isoflop.runner.prepare import prepare
from isoflop.runner.workload import workload
from isoflop.train import models, step
from isoflop.train.loop import deterministic, resolve_precision
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
    prepared = prepare(config, torch.device("cpu"))
    data, work = prepared.data, workload(config, prepared, device, runs)
    model = models.build(config.model, data.image_shape, data.classes, seed=0, device=torch.device("cpu"))
    launch = config.launch
    choice = step.choose(launch.step, device, model, work=work, deterministic=launch.deterministic)
    key = compiler.shape_key(config, device)
    if choice.kind != "compiled_graph" or compiler.is_cached(key):
        return False
    compile_step(config, data.image_shape, data.classes, device)
    compiler.mark_cached(key)
    return True


def compile_step(
    config: Config, image_shape: tuple[int, int, int], classes: int, device: torch.device
) -> None:
    """Compile what a Trainer of this configuration compiles, graph for graph, and run nothing of it.

    Args:
        config: the run.
        image_shape: channels, height and width.
        classes: classes of the data.
        device: where the step will run.

    Raises:
        CompileError: the compiler failed.
    """
    compiler.keep_cache()
    last = config.precision.channels_last and config.model.family != "mlp"
    layout = torch.channels_last if last else torch.contiguous_format
    with deterministic(config.launch.deterministic):
        model = models.build(config.model, image_shape, classes, seed=0, device=device)
        model = model.to(memory_format=layout).train()
        # Strides are part of the graph, and those of a single channel are only set where memory is made.
        shape = (config.optim.batch_size, *image_shape)
        images = torch.empty(shape, device=device, memory_format=layout).zero_()
        labels = torch.zeros(config.optim.batch_size, dtype=torch.int64, device=device)
        mixed = resolve_precision(config.precision.compute, device) == "bf16"
        passes = loss_function(model, config.optim.label_smoothing)
        with torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext():
            compiler.compile_into_cache(passes, images, labels)
