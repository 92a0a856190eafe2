"""Early exit: classifiers on the way through a network, at which examples leave that they are sure of.

After each stage but the last a head of its own reads the class (BranchyNet, Teerapittayanon et al. 2016):
after every hidden layer of mlp, after the first two stages of resnet, and half-way through the blocks of
convmixer and vit. A head is made like the network's own readout: the mean over positions where there are any,
behind a layer norm in vit, and a linear layer. Its inputs are channels, which grow with the width: it has the
role of a readout, with that role's initialisation and rate (parametrize.py).

All heads are trained at once in one forward pass: loss = cross-entropy of the last head + exit_weight x mean
cross-entropy of the exits (MSDNet, Huang et al. 2018, weights all heads alike). What is scored at a point
computes stage by stage, for the examples that are left; an example's logits are those of the first head whose
largest softmax probability is at least exit_confidence, or of the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from isoflop.config import ConfigError
from isoflop.train.levers.base import Examples, InferenceWork, Lever
from isoflop.train.levers.exits import cut, exit_heads
from isoflop.train.step.parts import LossFunction

NEEDS_TWO_BLOCKS = ("mlp", "convmixer", "vit")
"""Families whose `depth` counts what an exit follows; a resnet has three stages whatever its depth."""


class EarlyExit(Lever):
    """Heads on the way, and examples that leave there (kind early_exit)."""

    def check(self, device: torch.device) -> None:
        """Refuse models that have no place for an exit, and several processes. Raises ConfigError."""
        model, name = self.config.model, self.config.lever.name
        if self.config.launch.processes > 1:
            raise ConfigError(
                f"lever={name} counts the exits of one process: set launch.devices=1 and launch.nodes=1"
            )
        if model.family == "gpt":
            raise ConfigError(f"lever={name} is for models of images: take lever=none for gpt")
        if model.family not in (*NEEDS_TWO_BLOCKS, "resnet"):
            raise ConfigError(
                f"lever={name} needs to know the blocks of the network, and those of {model.name} are not "
                "known: take mlp, resnet, convmixer or vit"
            )
        if model.family in NEEDS_TWO_BLOCKS and model.depth == 1:
            raise ConfigError(
                f"lever={name}: no exit comes before the last of 1 layer: set model.depth=2 or more"
            )

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the network with its exits; what was drawn of it stays as it is.

        Raises:
            ConfigError: as `check`.
        """
        device = next(model.parameters()).device
        self.check(device)
        parts = cut(model)
        heads = exit_heads(parts, classes, self.config, device)
        return WithExits(parts.stages, [*heads, parts.last_head], input_shape)

    def training_loss(self, model: nn.Module, plain: LossFunction) -> LossFunction:
        """Return cross-entropy of the last head + exit_weight x mean over the exits of theirs.

        `plain` is not asked, as it would take a forward pass of its own.
        """
        weight, smoothing = self.config.lever.exit_weight, self.config.optim.label_smoothing
        assert weight is not None

        def loss_of_all(images: Tensor, labels: Tensor) -> Tensor:
            *exits, last = (
                F.cross_entropy(each, labels, label_smoothing=smoothing) for each in model(images)
            )
            return last + weight * torch.stack(exits).mean()

        return loss_of_all

    def finish(self, model: nn.Module, examples: Examples) -> nn.Module:
        """Return the network whose examples leave as soon as a head is sure of them."""
        assert isinstance(model, WithExits)
        assert self.config.lever.exit_confidence is not None
        return Leaving(model, self.config.lever.exit_confidence)

    def inference(self, model: nn.Module, flops: float | None) -> InferenceWork:
        """Return the FLOPs that were executed for an example, on average over those scored so far.

        What an example costs that leaves at a head is all stages and heads up to it. None where `flops`, the
        counted work of the network without its exits, is unknown, or nothing was scored.
        """
        assert isinstance(model, Leaving)
        executed = None if flops is None else model.flops_per_example()
        return InferenceWork(executed, executed, 1.0)


class WithExits(nn.Module):
    """A network cut into stages, with a head after each; the last head is the network's own.

    In training mode it returns the logits [B, classes] of every head, in order, so that all are trained (and
    counted as training FLOPs). In evaluation mode it returns those of the last head, and computes no other.

    Attributes:
        stages: each takes what the one before returns, the first the images.
        heads: of as many; each takes what its stage returns.
        input_shape: sizes of an image.
    """

    def __init__(
        self, stages: Sequence[nn.Module], heads: Sequence[nn.Module], input_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.stages, self.heads = nn.ModuleList(stages), nn.ModuleList(heads)
        self.input_shape = input_shape

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits: of all heads in training mode, of the last one in evaluation mode."""
        x, logits = images, []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            if self.training:
                logits.append(head(x))
        if self.training:
            return tuple(logits)
        last: Tensor = self.heads[-1](x)
        return last


class Leaving(nn.Module):
    """Images [B, ...] -> logits [B, classes], each image's from the first head that is confident of it.

    The examples that remain after a head are gathered into a smaller batch, so that the later stages do less
    work. How many remain the host has to know, and waits for the device: once a head and batch.

    Attributes:
        left: int64 [heads], on the device: how many examples left at each head in all batches so far.

    Args:
        network: trained, with exits.
        confidence: largest softmax probability from which an example leaves.
    """

    left: Tensor

    def __init__(self, network: WithExits, confidence: float) -> None:
        super().__init__()
        self.network, self.confidence = network, confidence
        device = next(network.parameters()).device
        self.register_buffer("left", torch.zeros(len(network.heads), dtype=torch.int64, device=device))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of normalised images, and count where they left."""
        x, answer = images, torch.empty(0)
        rows = torch.arange(len(images), device=images.device)  # of the batch: those that remain
        last = len(self.network.heads) - 1
        for position, (stage, head) in enumerate(zip(self.network.stages, self.network.heads, strict=True)):
            x = stage(x)
            logits = head(x)
            # A later head overwrites what the first ones said of an example that remains.
            if position:
                answer[rows] = logits
            else:
                answer = logits
            if position == last:
                self.left[position] += len(rows)
                break
            stays = logits.float().softmax(1).amax(1) < self.confidence
            self.left[position] += len(rows) - stays.sum()
            rows, x = rows[stays], x[stays]
            if not len(rows):
                break
        return answer

    def flops_per_example(self) -> float | None:
        """Return the mean over all examples so far of what was executed for them; None without examples."""
        left = self.left.tolist()
        executed = sum(n * each for n, each in zip(left, flops_to_exits(self.network), strict=True))
        return executed / sum(left) if sum(left) else None


def flops_to_exits(network: WithExits) -> tuple[int, ...]:
    """Return the FLOPs of one example that leaves at each head: of the stages and heads up to it.

    Matrix products, convolutions and attention, 2 per MAC, as everywhere (docs/flops.md). Each part is run
    once on a zero image; attention is written out, as the fused kernels of some devices have no formula.
    """
    device = next(network.parameters()).device
    training = network.training
    x, total, totals = torch.zeros(1, *network.input_shape, device=device), 0, []
    network.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        for stage, head in zip(network.stages, network.heads, strict=True):
            with FlopCounterMode(display=False) as counter:
                x = stage(x)
                head(x)
            total += counter.get_total_flops()
            totals.append(total)
    network.train(training)
    return tuple(totals)
