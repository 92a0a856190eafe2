"""What a lever may change of a run: its network, its loss, its steps, and what is scored at a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from isoflop.config import Config
from isoflop.train.inference_work import InferenceWork as InferenceWork
from isoflop.train.step.parts import LossFunction

ForwardFlops = Callable[[Config], float | None]
"""Counted FLOPs of a forward pass of one example of the run that a configuration describes."""
Examples = Callable[[], Iterator[Tensor]]
"""Batches of normalised training examples, as the network takes them, in a fixed order."""


class Masks:
    """Weights that are held at zero from a step on: `apply` follows each update of the weights.

    The masks are tensors that stay where they are and hold ones before `from_step`, so that a captured step
    reads them.

    Args:
        weights: (weight, what is kept of it as a tensor of its shape) of each weight that is pruned.
        from_step: the step before which nothing is masked.
    """

    def __init__(self, weights: Sequence[tuple[Tensor, Tensor]], from_step: int) -> None:
        self._kept = [kept.to(weight) for weight, kept in weights]
        self._weights = [weight.detach() for weight, _ in weights]
        self._masks = [torch.ones_like(weight) for weight in self._weights]
        self.from_step = from_step

    def at(self, step: int) -> None:
        """Mask, or not, for the steps from `step` on; from `from_step` on the weights are zeroed at once."""
        on = step >= self.from_step
        for mask, kept in zip(self._masks, self._kept, strict=True):
            mask.copy_(kept) if on else mask.fill_(1.0)
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Zero what is masked at present."""
        for weight, mask in zip(self._weights, self._masks, strict=True):
            weight.mul_(mask)


class Lever:
    """A lever that changes nothing but settings: the base of all others.

    A hook that a lever has no use for stays as it is here. `prior_weights` is the file of the network that
    was trained before (config/prior.py), None where the lever needs none or only shapes are asked for.

    Attributes:
        config: the run.
        prior_weights: as passed.
    """

    def __init__(self, config: Config, prior_weights: Path | None = None) -> None:
        self.config, self.prior_weights = config, prior_weights

    @property
    def transforms(self) -> bool:
        """Whether the network that is trained is other than that of config.model."""
        return type(self).transform is not Lever.transform

    @property
    def finishes(self) -> bool:
        """Whether what is scored at a point is other than the trained network."""
        return type(self).finish is not Lever.finish

    def check(self, device: torch.device) -> None:
        """Refuse a device or a model that cannot have this lever. Raises ConfigError."""

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the network that is trained, made of one whose initial weights are drawn.

        Also called on the meta device, where shapes alone count: they must not depend on weights. Parameters
        carry roles (train/parametrize.py), new ones as well. May change `model` in place.

        Args:
            model: the network of config.model.
            input_shape: sizes of an image, or (context,).
            classes: number of logits.
        """
        return model

    def training_loss(self, model: nn.Module, plain: LossFunction) -> LossFunction:
        """Return the loss of a training step.

        Args:
            model: what the step calls, which may be a wrapper of the network.
            plain: the loss without a lever, cross-entropy of `model`.
        """
        return plain

    def extra_train_flops_per_example(self, forward_flops: ForwardFlops) -> float | None:
        """Return FLOPs of a training example beside those of the network itself; None where unknown."""
        return 0.0

    def masks(self, model: nn.Module, steps: int) -> Masks | None:
        """Return which weights of `model` are held at zero, and from which of `steps` on."""
        return None

    def finish(self, model: nn.Module, examples: Examples) -> nn.Module:
        """Return what is scored at a point, made of a copy of the trained network, which may be changed."""
        return model

    def inference(self, model: nn.Module, flops: float | None) -> InferenceWork:
        """Return what a finished network costs an example, after it was scored on the test part.

        Args:
            model: what `finish` returned.
            flops: counted FLOPs of a forward pass of the network that was trained.
        """
        return InferenceWork(flops, flops, 1.0)
