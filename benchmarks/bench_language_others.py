"""Loops of other projects for bench_language.py: nanoGPT's script and transformers' Trainer."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import pickle
import runpy
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import models, precision
from isoflop.train.data import TextSet

UNTIMED = 2
"""First steps of a turn that are not timed."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What all contestants train.

    Attributes:
        config, data, device: the run, and the text on its device.
        folder: empty, for files of theirs.
        clock: returns seconds.
    """

    config: Config
    data: TextSet
    device: torch.device
    folder: Path
    clock: Callable[[], float]

    @property
    def mixed(self) -> bool:
        """Whether the step runs under bf16 autocast."""
        return precision.resolve(self.config.precision.compute, self.device) == "bf16"

    @property
    def rows(self) -> int:
        """Windows of a batch."""
        return self.config.optim.batch_size // self.data.context

    @property
    def betas(self) -> tuple[float, float]:
        """Those of AdamW."""
        assert self.config.optim.betas is not None
        return self.config.optim.betas

    def tokens(self) -> Tensor:
        """Return the training text, on the host."""
        return self.data.tokens[: self.data.train_tokens].cpu()

    def network(self) -> nn.Module:
        """Return a new network, on the device."""
        config, data = self.config, self.data
        return models.build(config.model, data.input_shape, data.classes, seed=0, device=self.device).train()


class Stopwatch:
    """Seconds from the end of the UNTIMED-th step of an optimizer to `stop()`."""

    def __init__(self, task: Task) -> None:
        self._task, self._steps, self._began = task, 0, float("nan")

    def watch(self, optimizer: torch.optim.Optimizer) -> None:
        """Count the steps of `optimizer`, until the watch has started."""
        self._steps = 0

        def count(*_: Any) -> None:
            self._steps += 1
            if self._steps == UNTIMED:
                hook.remove()
                self._began = self._now()

        hook = optimizer.register_step_post_hook(count)

    def stop(self) -> float:
        """Return the seconds so far."""
        return self._now() - self._began

    def _now(self) -> float:
        if self._task.device.type == "cuda":
            torch.cuda.synchronize(self._task.device)
        return self._task.clock()


def nanogpt(task: Task, checkout: Path) -> Callable[[int], float]:
    """nanoGPT's train.py, run whole once a turn, with our network in the place of `model.py`'s.

    Its evaluation and printing happen once, before the timed steps. Its AdamW is fused, on a CPU too, where
    it would take the slower one that is not.
    """
    folder = task.folder
    tokens = task.tokens().numpy().astype(np.uint16)
    tokens.tofile(folder / "train.bin")
    tokens[: 2 * task.data.context].tofile(folder / "val.bin")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": task.data.classes}))
    watch = Stopwatch(task)
    optim = task.config.optim
    options = {
        "out_dir": folder,
        "dataset": folder,
        "eval_interval": 10**9,
        "eval_iters": 1,
        "log_interval": 10**9,
        "gradient_accumulation_steps": 1,
        "batch_size": task.rows,
        "block_size": task.data.context,
        "learning_rate": optim.lr,
        "weight_decay": optim.weight_decay,
        "beta1": task.betas[0],
        "beta2": task.betas[1],
        "grad_clip": optim.clip_norm,
        "device": task.device.type,
        "dtype": "bfloat16" if task.mixed else "float32",
        "compile": False,
    }
    stand_in = nanogpt_model(task, watch)

    def take(number: int) -> float:
        # It takes max_iters + 1 steps.
        set_to = options | {"max_iters": number + UNTIMED - 1}
        arguments = ["train.py", *(f"--{key}={value}" for key, value in set_to.items())]
        with standing_in(stand_in, arguments, checkout), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runpy.run_path("train.py")
            return watch.stop()

    return take


def nanogpt_model(task: Task, watch: Stopwatch) -> types.ModuleType:
    """Return what train.py imports as `model`: our network with the methods that train.py calls."""

    class GPT(nn.Module):
        def __init__(self, config: types.SimpleNamespace) -> None:
            super().__init__()
            self.config, self.network = config, task.network()

        def forward(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.network(tokens)
            return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

        def configure_optimizers(
            self, weight_decay: float, learning_rate: float, betas: tuple[float, float], _: str
        ) -> torch.optim.Optimizer:
            matrices = [p for p in self.parameters() if p.dim() >= 2]
            vectors = [p for p in self.parameters() if p.dim() < 2]
            groups = [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ]
            made = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
            watch.watch(made)
            return made

    module = types.ModuleType("model")
    vars(module).update(GPT=GPT, GPTConfig=types.SimpleNamespace)
    return module


@contextlib.contextmanager
def standing_in(model: types.ModuleType, arguments: list[str], folder: Path) -> Iterator[None]:
    """Within, a script in `folder` sees `arguments`, imports `model` as that, and prints nothing."""
    modules, argv = sys.modules, sys.argv
    sys.argv, modules["model"] = arguments, model
    try:
        with (
            contextlib.chdir(folder),
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            yield
    finally:
        sys.argv = argv
        del modules["model"]


class Windows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Windows of `context` bytes of a text, beside the bytes after them, as people write it."""

    def __init__(self, tokens: Tensor, context: int) -> None:
        self._tokens, self._context = tokens, context

    def __len__(self) -> int:
        return (len(self._tokens) - 1) // self._context

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        at = index * self._context
        window = self._tokens[at : at + self._context + 1].long()
        return {"input_ids": window[:-1], "labels": window[1:]}


def hf(task: Task) -> Callable[[int], float]:
    """transformers' Trainer with its defaults, but for logging, saving and the settings that all share."""
    transformers: Any = importlib.import_module("transformers")
    transformers.logging.set_verbosity_error()
    watch = Stopwatch(task)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = task.network()

        def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.network(input_ids)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
            return {"loss": loss, "logits": logits}

    class Trainer(transformers.Trainer):  # type: ignore[misc]
        def create_optimizer(self, *of: Any, **named: Any) -> torch.optim.Optimizer:
            made: torch.optim.Optimizer = super().create_optimizer(*of, **named)
            watch.watch(made)
            return made

    network, windows, optim = Network(), Windows(task.tokens(), task.data.context), task.config.optim

    def take(number: int) -> float:
        arguments = transformers.TrainingArguments(
            output_dir=str(task.folder),
            max_steps=number + UNTIMED,
            per_device_train_batch_size=task.rows,
            optim="adamw_torch_fused",
            learning_rate=optim.lr,
            weight_decay=optim.weight_decay,
            adam_beta1=task.betas[0],
            adam_beta2=task.betas[1],
            max_grad_norm=optim.clip_norm,
            use_cpu=task.device.type == "cpu",
            bf16=task.mixed,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = Trainer(network, arguments, train_dataset=windows)
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
            return watch.stop()

    return take
