"""Loops of other projects for bench_loop.py; each imports its framework when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import precision, state, step
from isoflop.train.data import ImageSet, Part
from isoflop.train.data.stream import batches

READY = 64
"""Batches gathered beforehand and shown in turn."""
UNTIMED = 2
"""First steps of a framework's run that are not timed."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What all contestants train."""

    config: Config
    data: ImageSet
    device: torch.device

    @property
    def mixed(self) -> bool:
        """Whether the step runs under bf16 autocast."""
        return precision.resolve(self.config.precision.compute, self.device) == "bf16"

    @property
    def autocast(self) -> torch.autocast:
        """The step's precision as a context."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    @property
    def memory_format(self) -> torch.memory_format:
        """That of our own trainer."""
        last = self.config.precision.channels_last and self.config.model.family != "mlp"
        return torch.channels_last if last else torch.contiguous_format

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches gathered and normalised before any clock starts."""
        stream = batches(self.data, self.config.optim.batch_size, 0, self.memory_format)
        return itertools.cycle([(x.clone(), y.clone()) for x, y in itertools.islice(stream, READY)])

    def synchronise(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Stopwatch:
    """Seconds from the first timed step of a framework's run to its end."""

    def __init__(self, task: Task) -> None:
        self._task, self.seconds = task, 0.0

    def start(self) -> None:
        """The first timed step begins."""
        self._task.synchronise()
        self._began = time.perf_counter()

    def stop(self) -> None:
        """The last step is done."""
        self._task.synchronise()
        self.seconds = time.perf_counter() - self._began


class Endless:
    """Batches as a framework's loader; `show` makes them what its step takes."""

    def __init__(self, stream: Iterator[tuple[Tensor, Tensor]], show: Callable[[Any], Any]) -> None:
        self._stream, self._show = stream, show

    def __iter__(self) -> Iterator[Any]:
        return map(self._show, self._stream)

    def __len__(self) -> int:
        return 10**9


def accelerate(task: Task, model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[int], float]:
    """Hugging Face accelerate: its prepared model and optimizer, its backward."""
    made = importlib.import_module("accelerate").Accelerator(
        cpu=task.device.type == "cpu", mixed_precision="bf16" if task.mixed else "no"
    )
    model, optimizer = made.prepare(model, optimizer)
    stream = task.batches()

    def take(number: int) -> float:
        task.synchronise()
        began = time.perf_counter()
        for images, labels in itertools.islice(stream, number):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            made.backward(loss)
            optimizer.step()
        task.synchronise()
        return time.perf_counter() - began

    return take


def lightning(task: Task, model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[int], float]:
    """Lightning's Trainer without logger, progress bar, checkpoints and validation."""
    lightning: Any = importlib.import_module("lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    watch, stream = Stopwatch(task), task.batches()

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer

    class Watch(lightning.Callback):  # type: ignore[misc]
        def on_train_batch_start(self, *of: Any) -> None:
            if of[-1] == UNTIMED:
                watch.start()

        def on_train_end(self, *_: Any) -> None:
            watch.stop()

    module = Module()

    def take(number: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_steps=number + UNTIMED,
                accelerator="gpu" if task.device.type == "cuda" else "cpu",
                devices=1,
                precision="bf16-mixed" if task.mixed else "32-true",
                callbacks=[Watch()],
                logger=False,
                barebones=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, Endless(stream, tuple))
        return watch.seconds

    return take


def transformers(task: Task, model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[int], float]:
    """Hugging Face's Trainer without logging, saving, gradient clipping and progress bar."""
    hf: Any = importlib.import_module("transformers")
    hf.logging.set_verbosity_error()
    watch, stream = Stopwatch(task), task.batches()

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.model(images)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    class Trainer(hf.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return Endless(stream, lambda batch: {"images": batch[0], "labels": batch[1]})

    class Watch(hf.TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, _: Any, progress: Any, *__: Any, **___: Any) -> None:
            if progress.global_step == UNTIMED:
                watch.start()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            watch.stop()

    network = Network()
    folder = tempfile.mkdtemp()

    def take(number: int) -> float:
        arguments = hf.TrainingArguments(
            output_dir=folder,
            max_steps=number + UNTIMED,
            per_device_train_batch_size=task.config.optim.batch_size,
            use_cpu=task.device.type == "cpu",
            bf16=task.mixed,
            max_grad_norm=0.0,
            lr_scheduler_type="constant",
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = Trainer(
                network, arguments, train_dataset=[0], optimizers=(optimizer, constant), callbacks=[Watch()]
            )
            trainer.remove_callback(hf.PrinterCallback)
            trainer.train()
        return watch.seconds

    return take


AIRBENCH_BATCH, AIRBENCH_EPOCHS, AIRBENCH_IMAGES = 1024, 9.9, 50_000


def airbench(
    device: torch.device, random: ImageSet, kind: step.EngineKind
) -> tuple[Callable[[int], float], Callable[[int], float], int]:
    """(airbench94's whole training, our steps on its network, number of steps), on random images.

    Both take batches of 1024 and augment by crops and flips, in half precision (theirs fp16, ours bf16 under
    autocast with fp32 weights). They also make the whitening layer and look ahead every fifth step; ours
    averages the weights at every step, by the engine `kind`.
    """
    theirs: Any = importlib.import_module("airbench")
    draw = torch.Generator().manual_seed(0)
    shape = (AIRBENCH_IMAGES, 32, 32, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
    labels = torch.randint(0, 10, (AIRBENCH_IMAGES,), generator=draw)
    folder = tempfile.mkdtemp()
    (Path(folder) / "cifar10").mkdir()
    for name, number in (("train", AIRBENCH_IMAGES), ("test", 2000)):
        stored = {
            "images": images[:number],
            "labels": labels[:number],
            "classes": [str(i) for i in range(10)],
        }
        torch.save(stored, Path(folder) / "cifar10" / f"{name}.pt")
    os.chdir(folder)
    total = math.ceil(AIRBENCH_IMAGES // AIRBENCH_BATCH * AIRBENCH_EPOCHS)

    def their_training(_: int) -> float:
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        theirs.train94(verbose=False)
        torch.cuda.synchronize(device)
        return time.perf_counter() - began

    part = Part(images.permute(0, 3, 1, 2).contiguous().to(device), labels.to(device))
    data = dataclasses.replace(random, train=part)
    return their_training, _our_steps(theirs.make_net94().float(), data, device, total, kind), total


def _our_steps(
    model: nn.Module, data: ImageSet, device: torch.device, total: int, kind: step.EngineKind
) -> Callable[[int], float]:
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        state.trained(model), lr=1e-3, momentum=0.85, nesterov=True, weight_decay=1e-3, fused=True
    )
    for group in optimizer.param_groups:
        group["peak_lr"] = 1e-3
    state.moments(model, [optimizer])
    average = state.Average(model, 0.99)
    autocast = torch.autocast("cuda", torch.bfloat16)
    loss_sum = torch.zeros((), device=device)
    parts = step.Parts(model, (optimizer,), average, loss_sum, autocast, label_smoothing=0.2)
    stream = batches(data, AIRBENCH_BATCH, 0, torch.channels_last, augment="crop_flip")
    engine = step.engine(kind, parts, stream, total)
    step.prepare_seconds(engine, stream, device)

    def take(number: int) -> float:
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        engine.advance(stream, (1.0,) * number)
        torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return take
