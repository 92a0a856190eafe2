#!/usr/bin/env python3
"""One small residual network of torchvision, at four widths, through each way to record a loop.

usage: python scripts/recorder_check.py [OUT] [--data NAME] [--parts bare,lightning] [--seconds 110] [--tiny]

The parts are a bare loop, a Lightning Trainer, a Hugging Face Trainer and an Accelerate loop: same network,
data, optimizer and schedule in all. Data stay on the device, in bf16 on a GPU. Each run leaves
its record in OUT as soon as it is done. A framework that is not installed is left out with a line; so is a
width for which the time of its part is used up, an equal share of --seconds. --tiny rehearses on a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, ResNet

import isoflop
from isoflop import Recorder
from isoflop.config import compose
from isoflop.record import Record
from isoflop.train.data import ImageSet, load

WIDTHS, EPOCHS, BATCH, PEAK_LR = (8, 16, 32, 64), 6, 512, 0.2
TINY_WIDTHS, TINY_EXAMPLES = (2, 4), 256
PARTS = ("bare", "lightning", "transformers", "accelerate")


def network(width: int, channels: int, classes: int) -> nn.Module:
    """Return torchvision's ResNet of four one-block stages for small images; `width` channels at first."""
    net: Any = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=classes)
    net.inplanes = width
    net.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    net.bn1, net.maxpool = nn.BatchNorm2d(width), nn.Identity()
    net.layer1 = net._make_layer(BasicBlock, width, 1)
    net.layer2 = net._make_layer(BasicBlock, 2 * width, 1, stride=2)
    net.layer3 = net._make_layer(BasicBlock, 4 * width, 1, stride=2)
    net.layer4 = net._make_layer(BasicBlock, 8 * width, 1, stride=2)
    net.fc = nn.Linear(8 * width, classes)
    built: nn.Module = net
    return built


class Batches:
    """Batches of a part that lies on the device: shuffled anew each epoch, or in order; images normalized."""

    def __init__(
        self, images: Tensor, labels: Tensor, batch: int, *, shuffled: bool, named: bool = False
    ) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch
        self.dataset = range(len(labels))  # what a trainer asks for the number of examples
        self._draw = torch.Generator(device="cpu").manual_seed(0) if shuffled else None
        self._named = named

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.labels)
        order = torch.arange(count) if self._draw is None else torch.randperm(count, generator=self._draw)
        for rows in torch.split(order.to(self.labels.device), self.batch_size):
            images, labels = self.images[rows], self.labels[rows]
            yield {"images": images, "labels": labels} if self._named else (images, labels)


class Work:
    """The data, the settings and the deadline that all parts share."""

    def __init__(self, options: argparse.Namespace) -> None:
        config = compose.compose_config([f"data={options.data}"], None)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        data = load(config, self.device)
        assert isinstance(data, ImageSet)
        self.data, self.out, self.tiny = data, Path(options.out), options.tiny
        self.widths = TINY_WIDTHS if options.tiny else WIDTHS
        self.epochs = 1 if options.tiny else EPOCHS
        self.batch = 64 if options.tiny else BATCH
        self.bf16 = self.device.type == "cuda"
        self.ends = 0.0

    def batches(self, part: str, *, named: bool = False) -> Batches:
        """Return the batches of a part; evaluation takes large ones."""
        rows = getattr(self.data, part)
        count = TINY_EXAMPLES if self.tiny else len(rows)
        images = (rows.images[:count].float() - self.data.mean) / self.data.std
        size = self.batch if part == "train" else 2000
        return Batches(images, rows.labels[:count], size, shuffled=part == "train", named=named)

    @property
    def steps(self) -> int:
        """Optimizer steps of a run."""
        return self.epochs * len(self.batches("train"))

    def recorder(self, part: str, width: int, net: nn.Module) -> Recorder:
        """Return the recorder of a run."""
        count = TINY_EXAMPLES if self.tiny else None
        return Recorder(
            self.out,
            name=f"resnet_{part}",
            width=width,
            depth=4,
            data=self.data.name,
            seed=0,
            hyperparameters={
                "optimizer": "sgd",
                "lr": PEAK_LR,
                "weight_decay": 5e-4,
                "batch_size": self.batch,
                "epochs": self.epochs,
            },
            model=net,
            input_shape=self.data.input_shape,
            train_n=count or self.data.train_n,
            val_n=count or self.data.val_n,
            test_n=count or self.data.test_n,
            classes=self.data.classes,
            chance_error=self.data.chance_error,
            precision="bf16" if self.bf16 else "fp32",
            steps=self.steps,
            again=True,
        )

    def optimizer(self, net: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return SGD with Nesterov momentum and a one-cycle schedule over all steps."""
        sgd = torch.optim.SGD(net.parameters(), PEAK_LR, momentum=0.9, weight_decay=5e-4, nesterov=True)
        return sgd, torch.optim.lr_scheduler.OneCycleLR(sgd, PEAK_LR, total_steps=self.steps + 1)

    def error(self, net: nn.Module, part: str) -> tuple[float, float]:
        """Return error and mean loss on a part."""
        net.eval()
        wrong = loss = torch.zeros((), device=self.device)
        batches = self.batches(part)
        with torch.inference_mode(), self.autocast():
            for images, labels in batches:
                logits = net(images).float()
                wrong = wrong + (logits.argmax(1) != labels).sum()
                loss = loss + functional.cross_entropy(logits, labels, reduction="sum")
        net.train()
        count = len(batches.labels)
        return float(wrong) / count, float(loss) / count

    def autocast(self) -> torch.autocast:
        """Return the precision of a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def loop(work: Work, recorder: Recorder, net: nn.Module, accelerator: Any = None) -> None:
    """Train in a loop of one's own, bare or distributed by Accelerate."""
    optimizer, schedule = work.optimizer(net)
    trained: Any = net
    if accelerator is not None:
        trained, optimizer, schedule = accelerator.prepare(net, optimizer, schedule)
        accelerator.init_trackers("recorder_check")
    step, examples, train = 0, 0, work.batches("train")
    for _ in range(work.epochs):
        total = torch.zeros((), device=work.device)
        for images, labels in train:
            with contextlib.nullcontext() if accelerator else work.autocast():
                loss = functional.cross_entropy(trained(images), labels)
            (accelerator.backward if accelerator else torch.autograd.backward)(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.detach()
            step, examples = step + 1, examples + len(labels)
        with recorder.evaluating():
            error, val_loss = work.error(net, "val")
            metrics = {"val_error": error, "val_loss": val_loss, "train_loss": float(total) / len(train)}
        if accelerator is None:
            recorder.log(step=step, examples=examples, **metrics)
        else:
            accelerator.log({"examples": examples, **metrics}, step=step)
    recorder.pause()
    test_error, test_loss = work.error(net, "test")
    recorder.log(step=step, examples=examples, test_error=test_error, test_loss=test_loss)


def bare(work: Work, width: int, net: nn.Module) -> Recorder:
    """Train in a bare loop."""
    with work.recorder("bare", width, net) as recorder:
        loop(work, recorder, net)
    return recorder


def accelerated(work: Work, width: int, net: nn.Module) -> Recorder:
    """Train in a loop that Accelerate prepares."""
    import accelerate

    from isoflop import AccelerateRecorder

    recorder = work.recorder("accelerate", width, net)
    accelerator = accelerate.Accelerator(
        cpu=work.device.type == "cpu",
        mixed_precision="bf16" if work.bf16 else "no",
        log_with=AccelerateRecorder(recorder),
        step_scheduler_with_optimizer=False,
    )
    loop(work, recorder, net, accelerator)
    accelerator.end_training()
    return recorder


def lightning(work: Work, width: int, net: nn.Module) -> Recorder:
    """Train by a Lightning Trainer."""
    import lightning.pytorch as pl

    from isoflop import LightningRecorder

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, index: int) -> Tensor:
            return functional.cross_entropy(self.net(batch[0]), batch[1])

        def _score(self, batch: Any, part: str) -> None:
            logits = self.net(batch[0]).float()
            self.log(f"{part}_acc", (logits.argmax(1) == batch[1]).float().mean(), batch_size=len(batch[1]))
            self.log(f"{part}_loss", functional.cross_entropy(logits, batch[1]), batch_size=len(batch[1]))

        def validation_step(self, batch: Any, index: int) -> None:
            self._score(batch, "val")

        def test_step(self, batch: Any, index: int) -> None:
            self._score(batch, "test")

        def configure_optimizers(self) -> Any:
            optimizer, schedule = work.optimizer(self.net)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    recorder = work.recorder("lightning", width, net)
    trainer = pl.Trainer(
        max_epochs=work.epochs,
        accelerator="gpu" if work.bf16 else "cpu",
        devices=1,
        precision="bf16-mixed" if work.bf16 else "32-true",
        callbacks=[LightningRecorder(recorder)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with recorder:
        trainer.fit(Module(), work.batches("train"), work.batches("val"))
        trainer.test(trainer.lightning_module, work.batches("test"), verbose=False)
    return recorder


class WithLoss(nn.Module):
    """A network as the Hugging Face Trainer calls it: with images and labels, for a loss and logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return loss and logits."""
        logits = self.net(images)
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits.float()}


def transformers(work: Work, width: int, net: nn.Module) -> Recorder:
    """Train by Hugging Face's Trainer."""
    import transformers as hf

    from isoflop import TransformersRecorder

    class Trainer(hf.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Batches:
            return work.batches("train", named=True)

        def get_eval_dataloader(self, dataset: Any = None) -> Batches:
            return work.batches("val", named=True)

        def get_test_dataloader(self, dataset: Any) -> Batches:
            return work.batches("test", named=True)

    arguments = hf.TrainingArguments(
        output_dir=str(work.out / "hf"),
        num_train_epochs=work.epochs,
        per_device_train_batch_size=work.batch,
        per_device_eval_batch_size=2000,
        max_grad_norm=0.0,
        bf16=work.bf16,
        use_cpu=not work.bf16,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        label_names=["labels"],
    )
    recorder = work.recorder("transformers", width, net)
    trainer = Trainer(
        WithLoss(net),
        arguments,
        train_dataset=range(len(work.batches("train").labels)),
        eval_dataset=range(len(work.batches("val").labels)),
        optimizers=work.optimizer(net),
        callbacks=[TransformersRecorder(recorder)],
        compute_metrics=lambda seen: {
            "accuracy": float((seen.predictions.argmax(1) == seen.label_ids).mean())
        },
    )
    trainer.remove_callback(hf.trainer_callback.PrinterCallback)
    with recorder:
        trainer.train()
        trainer.predict(range(len(work.batches("test").labels)))
    return recorder


RUNS: dict[str, Callable[[Work, int, nn.Module], Recorder]] = {
    "bare": bare,
    "lightning": lightning,
    "transformers": transformers,
    "accelerate": accelerated,
}
ADAPTERS = {
    "lightning": "LightningRecorder",
    "transformers": "TransformersRecorder",
    "accelerate": "AccelerateRecorder",
}


def line(record: Record) -> str:
    """Return one run in a line."""
    assert record.compute is not None
    assert record.error is not None
    assert record.time is not None
    flops, joules, test = record.compute.train_flops, record.energy, record.error.test
    return (
        f"{record.model.family} w{record.model.width}: "
        f"{'unknown' if flops is None else format(flops * 1e-9, '.4g')} training GFLOPs, "
        f"{record.energy_reason if joules is None else format(joules.energy_joules, '.4g') + ' J'}"
        f"{'' if joules is None else f' (grade {joules.grade})'}, {record.time.train_seconds:.2f} s, "
        f"test error {'unknown' if test is None else format(test, '.2%')}"
    )


def main() -> None:
    """Run the parts one after another, each until its share of the time is used up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", nargs="?", default="results/recorder")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=110.0)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in RUNS]:
        parser.error(f"--parts {unknown[0]}: give some of {', '.join(RUNS)}")
    warnings.filterwarnings("ignore")  # the trainers' own: what is said here is about the records
    logging.disable(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    began, work = time.monotonic(), Work(options)
    parts = [part for part in parts if is_installed(part)]  # which loads them, and takes seconds
    for number, part in enumerate(parts):
        now = time.monotonic()
        ends = now + (began + options.seconds - now) / (len(parts) - number)
        run_part(part, work, ends)
    print(f"{time.monotonic() - began:.0f} s in all; then: isoflop fit {work.out}; isoflop report {work.out}")


def warm_up(work: Work, net: nn.Module) -> None:
    """Take one step with a copy of the network, so that no run pays for what its process loads once."""
    images, labels = next(iter(work.batches("train")))
    with work.autocast():
        loss = functional.cross_entropy(copy.deepcopy(net)(images), labels)
    torch.autograd.backward(loss)


def is_installed(part: str) -> bool:
    """Return whether the framework of a part can be loaded; print what to install if it cannot."""
    try:
        getattr(isoflop, ADAPTERS.get(part, "Recorder"))
    except ImportError as error:
        print(f"{part}: left out: {error}", flush=True)
        return False
    return True


def run_part(part: str, work: Work, ends: float) -> None:
    """Run the widths of a part, one after the first only if it should end by `ends` on time.monotonic."""
    longest = 0.0
    for width in work.widths:
        began = time.monotonic()
        if longest and began + longest > ends:
            print(f"{part} w{width}: left out, its time is used up", flush=True)
            continue
        torch.manual_seed(0)
        net = network(width, work.data.input_shape[0], work.data.classes).to(work.device)
        warm_up(work, net)
        recorder = RUNS[part](work, width, net)
        longest = max(longest, time.monotonic() - began)
        assert recorder.record is not None
        print(line(recorder.record), flush=True)


if __name__ == "__main__":
    main()
