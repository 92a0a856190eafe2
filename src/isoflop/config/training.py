"""The sections of the configuration that say how a model is trained: optim, schedule, precision."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import msgspec

from isoflop.config.setting import Count, Momentum, NonNegative, Positive, Share, takes

OPTIM_TAKES = {"sgd": ("momentum",), "adamw": ("betas",), "muon": ("momentum", "betas")}


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with Nesterov momentum, AdamW with decoupled decay, or Muon (AdamW for what is no matrix)."""

    name: Literal["sgd", "adamw", "muon"]
    """The optimizer; optim=NAME chooses it with its numbers."""
    lr: Positive
    """Peak of the learning rate, at base_batch_size and base_steps where these are set (docs/training.md)."""
    weight_decay: NonNegative
    """Weight decay: decoupled for adamw and muon, part of the gradient for sgd."""
    batch_size: Count
    """Images of a step, or bytes of text."""
    base_batch_size: Count | None
    """Batch size that lr is meant for; another batch_size scales it."""
    momentum: Momentum | None
    """Momentum, Nesterov's for sgd."""
    betas: tuple[Momentum, Momentum] | None
    """Decay rates of Adam's two moments."""
    label_smoothing: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    """Share of the target that is spread over all classes."""
    ema_decay: Momentum | None
    """Evaluate an exponential moving average of the weights with this decay; null: the weights."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together; null: no limit."""
    base_steps: Count | None = None
    """Length in steps that lr is meant for; another length scales it, by a rule that has the batch size in
    it."""

    def __post_init__(self) -> None:
        """Refuse the other optimizers' numbers, and rules for length that are not known or not needed."""
        takes(self, self.name, OPTIM_TAKES[self.name], ("momentum", "betas"))
        if self.base_steps is not None and self.name == "sgd":
            raise ValueError("base_steps: no rule is known for sgd: set it to null, or take adamw or muon")
        if self.base_steps is not None and self.base_batch_size is not None:
            raise ValueError(
                "base_steps scales the rate for the batch size too, by the number of steps: "
                "set base_batch_size to null"
            )


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Shape of the learning rate, and length by exactly one of epochs, steps and train_gflops."""

    shape: Literal["wsd", "cosine", "constant"]
    """wsd: warm-up, stable, decay; cosine: warm-up, then half a cosine to 0; constant: warm-up, then
    level."""
    epochs: Positive | None
    """Length in passes over the training part."""
    steps: Count | None
    """Length in optimizer steps."""
    train_gflops: Positive | None
    """Length in training GFLOPs."""
    warmup_fraction: Share
    """Share of the whole length in which the rate rises."""
    decay_fraction: Share
    """Share of the length of each horizon over which wsd decays at its end."""
    evaluations: Count
    """Evaluations on validation data, evenly over the length."""
    cooldowns: tuple[Annotated[float, msgspec.Meta(gt=0, le=1)], ...]
    """Horizons as shares of the length, such as [0.25,0.5,1] (wsd): one stable trunk that cools down at each,
    every one a point of its own."""
    decay_shape: Literal["linear", "one_minus_sqrt"] = "linear"
    """Shape of wsd's decay; one_minus_sqrt falls fastest at first."""

    def __post_init__(self) -> None:
        """Refuse two lengths, or none, a warm-up that runs into the decay, and horizons without a trunk."""
        if [self.epochs, self.steps, self.train_gflops].count(None) != 2:
            raise ValueError("give exactly one of epochs, steps and train_gflops; set the others to null")
        if self.warmup_fraction + self.decay_fraction > 1:
            raise ValueError("warmup_fraction + decay_fraction must not exceed 1")
        if self.cooldowns:
            self._check_cooldowns()
        if self.decay_shape != "linear" and self.shape != "wsd":
            raise ValueError(f"decay_shape={self.decay_shape} is for shape wsd: set it to linear")

    def _check_cooldowns(self) -> None:
        rising = list(self.cooldowns) == sorted(set(self.cooldowns))
        if self.shape != "wsd" or not rising or self.cooldowns[-1] != 1:
            raise ValueError("cooldowns must rise to 1, such as [0.25, 0.5, 1], and need shape wsd")
        if self.warmup_fraction > (1 - self.decay_fraction) * self.cooldowns[0]:
            raise ValueError(
                f"the cooldown to {self.cooldowns[0]} would begin inside the warm-up: give a later one"
            )


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """Number formats of the training step."""

    compute: Literal["auto", "fp32", "bf16", "tf32", "fp8"]
    """auto is fp32 on a CPU, and on a GPU bf16 autocast with fp32 weights; tf32 and fp8 need an NVIDIA GPU,
    fp8 linear layers (mlp, vit, gpt)."""
    channels_last: bool
    """Keep images as channels_last on a GPU."""
