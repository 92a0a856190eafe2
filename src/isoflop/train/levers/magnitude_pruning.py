"""Iterative magnitude pruning with rewinding: the smallest weights of the last round stay at zero.

Round r takes the final weights of round r - 1 (round 0 is the dense run), keeps the largest magnitudes of
what is not zero yet, over all pruned layers together, and trains again from the seed with the others at zero
(Frankle and Carbin 2019). The first `rewind_fraction` of the steps is trained dense: they are the dense run's
own, so that what is left is rewound to where that run was then (Frankle et al. 2020; Renda et al. 2020),
without a snapshot of it.

Pruned are the weights of linear layers and convolutions but the readout's; biases, gains, embeddings and the
in-projection and out-projection of torch's own nn.MultiheadAttention stay dense. The authors' code prunes
linear layers and convolutions too, with an option for layers to leave out, which it sets to the readout for
its perceptrons and leaves open for its residual networks (github.com/facebookresearch/open_lth). The readout
stays dense here for all families: it is few weights, each of one class, and under mup it starts at zero.

The work as it is executed is the dense network's. The nominal one scales a pruned layer's by the share of its
weights that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from isoflop.config import ConfigError
from isoflop.train import parametrize
from isoflop.train.levers import prior_state
from isoflop.train.levers.base import Examples, InferenceWork, Lever, Masks

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class MagnitudePruning(Lever):
    """One round of pruning: the prior run is the round before, or the dense run."""

    transforms = False
    _kept: dict[str, Tensor] | None = None
    """Name of a pruned weight -> True where it stays; None until it is asked for."""

    def check(self, device: torch.device) -> None:
        """Refuse horizons before the pruning begins."""
        lever, cooldowns = self.config.lever, self.config.schedule.cooldowns
        assert lever.rewind_fraction is not None
        if cooldowns and cooldowns[0] <= lever.rewind_fraction:
            raise ConfigError(
                f"lever.rewind_fraction={lever.rewind_fraction}: nothing is pruned before, and the horizon "
                f"schedule.cooldowns={cooldowns[0]} ends by then: set a smaller fraction or a later horizon"
            )

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the network as it is. Raises ConfigError if it has no layer to prune."""
        self._input_shape = input_shape
        if not prunable(model):
            raise ConfigError(
                f"lever={self.config.lever.name}: {self.config.model.name} has no linear layer or "
                "convolution but the readout: set lever=none"
            )
        return model

    def masks(self, model: nn.Module, steps: int) -> Masks:
        """Return the masks of this round, which hold from the step that the weights are rewound to."""
        assert self.config.lever.rewind_fraction is not None
        kept = self._kept_weights(model)
        weights = [(layer.weight, kept[name]) for name, layer in prunable(model).items()]
        # At least the last step is pruned, however few there are.
        return Masks(weights, min(round(self.config.lever.rewind_fraction * steps), steps - 1))

    def finish(self, model: nn.Module, examples: Examples) -> nn.Module:
        """Return the network with its zeros: a moving average still has traces of the dense steps."""
        kept = self._kept_weights(model)
        with torch.no_grad():
            for name, layer in prunable(model).items():
                layer.weight.mul_(kept[name].to(layer.weight))
        return model

    def _kept_weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return which weights stay. Raises ConfigError: the last round's weights are missing."""
        if self._kept is None:
            assert self.config.lever.prune_share is not None
            state = prior_state.load(self.config, self.prior_weights, model)
            self._kept = largest(
                {name: state[name] for name in prunable(model)}, self.config.lever.prune_share
            )
        return self._kept

    def inference(self, model: nn.Module, flops: float | None) -> InferenceWork:
        """Return the dense network's FLOPs, and what is left of them and of all weights without the zeros."""
        layers = prunable(model)
        zeros = {name: int((layer.weight == 0).sum()) for name, layer in layers.items()}
        density = 1 - sum(zeros.values()) / sum(p.numel() for p in model.parameters())
        if flops is None:
            return InferenceWork(None, None, density)
        # A language model's example is a byte of the window.
        examples = self.config.model.context or 1
        macs = forward_macs(model, layers, self._input_shape, of_tokens=self.config.model.context is not None)
        skipped = sum(macs[name] * zeros[name] / layers[name].weight.numel() for name in layers)
        return InferenceWork(flops, flops - 2 * skipped / examples, density)


def prunable(model: nn.Module) -> dict[str, Layer]:
    """Return name of a weight -> its layer, in the order of the model, for the weights that are pruned.

    The readout is known by its role; in a network without roles it is taken to be the last layer. A matrix
    that also is an embedding is left out.
    """
    embedded = {
        id(each.weight) for each in model.modules() if isinstance(each, nn.Embedding | nn.EmbeddingBag)
    }
    layers = dict(_layers(model))
    if parametrize.has_roles(model):
        readout = {name for name, layer in layers.items() if _role(layer) == "readout"}
    else:
        readout = set(list(layers)[-1:])
    return {
        name: layer
        for name, layer in layers.items()
        if name not in readout and id(layer.weight) not in embedded
    }


def _layers(model: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Yield (name of the weight, layer); not torch's attention, which never calls its output layer."""
    for path, module in model.named_modules():
        inner = isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear)
        if isinstance(module, Layer) and not inner:
            yield f"{path}.weight".lstrip("."), module


def _role(layer: Layer) -> str | None:
    """Return the kind of role of a layer's weight; None where it has none."""
    role = vars(layer).get("roles", {}).get("weight")
    return role.kind if isinstance(role, parametrize.Role) else None


def largest(weights: Mapping[str, Tensor], prune_share: float) -> dict[str, Tensor]:
    """Return where the largest magnitudes of all weights together lie, as booleans of the weights' shapes.

    Of n weights that are not zero round((1 - prune_share) n) stay, at least one. Those of equal size stay in
    the order of the model, on every device.
    """
    magnitudes = torch.cat([weight.detach().cpu().flatten().abs() for weight in weights.values()])
    left = int(magnitudes.count_nonzero())
    order = magnitudes.argsort(descending=True, stable=True)
    kept = torch.zeros_like(magnitudes, dtype=torch.bool)
    kept[order[: max(1, round((1 - prune_share) * left))]] = True
    parts = torch.split(kept, [weight.numel() for weight in weights.values()])
    return {
        name: part.view(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)
    }


def forward_macs(
    model: nn.Module, layers: Mapping[str, Layer], input_shape: tuple[int, ...], *, of_tokens: bool
) -> dict[str, float]:
    """Return the MACs of each layer in a forward pass of one input, by the shapes of its outputs.

    Each output element costs as many as its row of the weight has elements: the inputs of a linear layer, or
    a kernel of the channels that it sees.

    Args:
        model: the network, whose mode is left as it is.
        layers: name -> layer of it.
        input_shape: sizes of an image, or (context,).
        of_tokens: whether the network takes integers.
    """
    macs = dict.fromkeys(layers, 0.0)

    def count(name: str, layer: Layer) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            macs[name] += output.numel() * layer.weight[0].numel()

        return layer.register_forward_hook(hook)

    device, was_training = next(model.parameters()).device, model.training
    handles = [count(name, layer) for name, layer in layers.items()]
    dtype = torch.int64 if of_tokens else torch.float32
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, dtype=dtype, device=device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return macs
