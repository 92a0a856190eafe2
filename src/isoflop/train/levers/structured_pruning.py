"""Structured pruning: a trained network loses its least channels, and what is left is trained again.

Channels that depend on each other (an output of one layer is the input of the next, and both ends of a
residual stream have the same channels) are removed together, as a group: the dependency graph of Fang et al.
2023 (DepGraph), by torch-pruning. The groups whose weights have the least L2 norm go. The share is the same
in every hidden layer, so the shapes that are left follow from those of the dense network and not from its
weights, and dense kernels run them: no mask, no sparse format.

A layer of n channels keeps floor(n (1 - prune_share)); a vit so many heads too, whole ones. Pixels and
classes stay. Rates and initialisation under mup and completep remain those of the dense width.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import torch
from torch import nn

from isoflop import extras
from isoflop.config import Config, ConfigError
from isoflop.train.levers import prior_state
from isoflop.train.levers.base import InferenceWork, Lever
from isoflop.train.models import vit
from isoflop.train.parametrize import Role

FAMILIES = ("mlp", "resnet", "convmixer", "vit")


def kept(size: int, share: float) -> int:
    """Return how many of `size` channels, or heads, are left after a share of them is removed."""
    return int(size * (1 - share))


class StructuredPruning(Lever):
    """Trains, from the weights of the dense network, the same network without its least channels."""

    def __init__(self, config: Config, prior_weights: Path | None = None) -> None:
        super().__init__(config, prior_weights)
        self._dense_parameters: int | None = None

    def check(self, device: torch.device) -> None:
        """Refuse families whose channels cannot be removed, and shares that leave none.

        Raises:
            MissingExtraError: torch-pruning is not installed.
            ConfigError: the family or the share; the message says which and what to change.
        """
        extras.check("lever.kind=structured_pruning", "torch_pruning")
        model, share = self.config.model, self._share
        if model.family not in FAMILIES:
            raise ConfigError(
                f"lever.kind=structured_pruning cannot prune model={model.name}: use {', '.join(FAMILIES)}"
            )
        assert model.width is not None
        if kept(model.width, share) < 1:
            raise ConfigError(
                f"lever.prune_share={share} leaves none of the {model.width} channels of model.width: "
                "set it lower"
            )
        if model.head_width is not None and kept(model.width // model.head_width, share) < 1:
            heads = model.width // model.head_width
            raise ConfigError(
                f"lever.prune_share={share} leaves none of the {heads} heads of model.width={model.width}: "
                "set it, or model.head_width, lower"
            )

    @property
    def _share(self) -> float:
        assert self.config.lever.prune_share is not None
        return self.config.lever.prune_share

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the pruned network, which on a real device begins from the weights trained before.

        Raises:
            ConfigError: the dense network was not trained, on a real device.
        """
        device = next(model.parameters()).device
        self._dense_parameters = sum(p.numel() for p in model.parameters())
        if device.type == "meta":
            # Tracing needs values. Equal ones do: what is left of each layer does not depend on them.
            model = copy.deepcopy(model).to_empty(device="cpu")
            with torch.no_grad():
                for tensor in (*model.parameters(), *model.buffers()):
                    tensor.fill_(1)
        else:
            model.load_state_dict(prior_state.load(self.config, self.prior_weights, model))
        _prune(model, input_shape, self._share)
        _tag_shapes(model)
        return model.to(device)

    def inference(self, model: nn.Module, flops: float | None) -> InferenceWork:
        """Return what the smaller network costs: all that is left of it is executed."""
        assert self._dense_parameters is not None, "transform comes before inference"
        left = sum(p.numel() for p in model.parameters())
        return InferenceWork(flops, flops, left / self._dense_parameters)


def _prune(model: nn.Module, input_shape: tuple[int, ...], share: float) -> None:
    """Remove a share of every hidden layer's channels, those of the least L2 norm, in place."""
    import torch_pruning

    training = model.training
    model.eval()  # tracing runs the network, which must not move the statistics of its batch norms
    example = torch.zeros(2, *input_shape, device=next(model.parameters()).device)
    heads = {
        module.query_key_value: module.output.in_features // module.head_width
        for module in model.modules()
        if isinstance(module, vit.Attention)
    }
    pruner = torch_pruning.BasePruner(
        model,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=share,
        head_pruning_ratio=_head_share(max(heads.values(), default=1), share),
        num_heads=heads,
        prune_num_heads=True,
        prune_head_dims=False,  # the width of a head is an attribute of the network
        ignored_layers=[model.get_submodule("readout")],
        unwrapped_parameters=[
            (module.position, 1) for module in model.modules() if isinstance(module, vit.ViT)
        ],
    )
    pruner.step()
    model.train(training)
    model.zero_grad(set_to_none=True)


def _head_share(heads: int, share: float) -> float:
    """Return the share of which torch-pruning leaves `kept` heads: it rounds up how many it removes."""
    return (heads - kept(heads, share) - 0.5) / heads


def _tag_shapes(model: nn.Module) -> None:
    """Tag the parameters anew with the sizes that their layers have now; kinds stay as they are."""
    for module in model.modules():
        roles: dict[str, Role] = vars(module).get("roles", {})
        if isinstance(module, nn.Linear | nn.Conv2d):
            positions = module.weight[0, 0].numel()
            fan_in, fan_out = (module.weight.shape[side] * positions for side in (1, 0))
            roles["weight"] = dataclasses.replace(roles["weight"], fan_in=fan_in, fan_out=fan_out)
            if "bias" in roles:
                roles["bias"] = dataclasses.replace(roles["bias"], fan_out=fan_out)
        elif isinstance(module, vit.ViT):
            width = module.position.shape[1]
            roles["position"] = dataclasses.replace(roles["position"], fan_out=width)
