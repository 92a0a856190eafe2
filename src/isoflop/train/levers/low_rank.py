"""Low rank: every hidden matrix trained as the product of two thin ones.

A matrix W [out, in] becomes B A with A [r, in], B [out, r] and r = rank_share x min(out, in), wherever that
spares work: r (out + in) < out in. A k x k convolution is the matrix [out, in k k]: it becomes one of k x k
to r channels, with its stride and padding, and a 1 x 1 one (Wang et al. 2021, Pufferfish). The product starts
as the best approximation of rank r of the W that was drawn, shared equally by both factors: with W = U S V^T,
A = sqrt(S) V^T and B = U sqrt(S) of the r largest singular values (Khodak et al. 2021, spectral
initialisation).

Parametrization. All four sides grow with the width, r as well since it is a share, so both factors are hidden
matrices: A of fan-in `in`, B of fan-in r. The singular values of a W whose entries have a standard deviation
of 1/sqrt(in) do not depend on the width, so entries of A start at the order of 1/sqrt(in) and those of B, of
columns of U, at 1/sqrt(out), which is 1/sqrt(r) up to a constant: what mup asks of a hidden matrix. Both
therefore take its multipliers of the learning rate with m = width / base_width: 1 for SGD, 1/m for AdamW,
m^-1/2 for Muon (parametrize.py), and depth's on branches. What does not carry over from the dense network is
the best rate at the base: a step of the product, B dA + dB A, is not one of W.

A joint query, key and value is factored as one matrix: A is shared by the three and is one matrix, B is three
stacked ones (role.parts), which Muon takes one by one. Each factor decays as a hidden matrix does, which
bounds the nuclear norm of the product; Khodak et al.'s Frobenius decay, of the product itself, is not taken.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isoflop.config import ConfigError
from isoflop.train import parametrize
from isoflop.train.levers.base import Lever
from isoflop.train.parametrize import Role

Layer = nn.Linear | nn.Conv2d


class LowRank(Lever):
    """Hidden matrices as products of two (kind low_rank)."""

    def check(self, device: torch.device) -> None:
        """Refuse torchvision's models, whose hidden matrices are not known. Raises ConfigError."""
        if self.config.model.family == "torchvision":
            raise _no_roles(self.config.model.name)

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return `model` with its hidden matrices factored, in place.

        Raises:
            ConfigError: the parameters carry no roles, or no matrix of the network would cost less as two.
        """
        share = self.config.lever.rank_share
        assert share is not None
        if not parametrize.has_roles(model):
            raise _no_roles(self.config.model.name)
        if factor(model, share) == 0:
            raise ConfigError(
                f"lever.rank_share={share} spares no work in any hidden matrix of {self.config.model.label}: "
                "set it lower, or take a deeper model if this has no hidden matrix"
            )
        return model


def _no_roles(name: str) -> ConfigError:
    return ConfigError(
        f"lever low_rank needs to know the hidden matrices, and the parameters of {name} carry no roles: "
        "take mlp, resnet, convmixer, vit or gpt, or tag them (docs/custom_model.md)"
    )


def factor(model: nn.Module, share: float) -> int:
    """Replace in `model` every hidden layer that costs less as two, and return how many layers that were.

    Args:
        model: a network whose parameters carry roles.
        share: rank as a share of the smaller side of the matrix.
    """
    # Made once for each layer: a layer that is used in two places stays one layer.
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, nn.Linear | nn.Conv2d) and child not in made:
                rank = _rank(child, share)
                if rank is not None:
                    made[child] = factored(child, rank)
            if child in made:
                setattr(parent, name, made[child])
    return len(made)


def _rank(layer: Layer, share: float) -> int | None:
    """Return the rank of a layer's factors; None where it is no hidden matrix, or two would not cost less."""
    role = _role(layer)
    if role is None or role.kind != "hidden" or (isinstance(layer, nn.Conv2d) and layer.groups > 1):
        return None
    rows, columns = layer.weight.flatten(1).shape
    rank = max(1, round(share * min(rows, columns)))
    return rank if rank * (rows + columns) < rows * columns else None


def factored(layer: Layer, rank: int) -> nn.Sequential:
    """Return two layers of the given rank that stand for `layer`, which becomes the first of them.

    At full rank they compute the same function. On the meta device only shapes count.

    Args:
        layer: a linear layer, or a convolution without groups, whose weight has a role. The factors are on
            the same branch, and the second has its parts.
        rank: at most the smaller side of its matrix.
    """
    role, weight, bias = _role(layer), layer.weight, layer.bias
    assert role is not None
    right, left = spectral(weight.detach().flatten(1), rank)
    second = _pointwise(layer, rank, left)
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = rank
    else:
        layer.out_features = rank
    layer.weight, layer.bias = nn.Parameter(right.view(rank, *weight.shape[1:])), None
    second.bias = bias
    parametrize.tag_layer(layer, "hidden", branch=role.branch)
    parametrize.tag_layer(second, "hidden", branch=role.branch, parts=role.parts)
    return nn.Sequential(layer, second)


def _pointwise(layer: Layer, rank: int, matrix: Tensor) -> Layer:
    """Return a layer of `matrix` [out, rank] that mixes the channels of each position, without bias."""
    # On the meta device, where a layer draws nothing: its own draw would move the ambient generator.
    with torch.device("meta"):
        if isinstance(layer, nn.Conv2d):
            convolution = nn.Conv2d(rank, len(matrix), 1, bias=False)
            convolution.weight = nn.Parameter(matrix[..., None, None])
            return convolution
        linear = nn.Linear(rank, len(matrix), bias=False)
    linear.weight = nn.Parameter(matrix)
    return linear


def spectral(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return A [rank, in] and B [out, rank] with B A the best approximation of `matrix` of that rank.

    Decomposed on the CPU, as all weights are drawn there. Of a zero matrix only B is zero: were both, no
    gradient would ever reach them.
    """
    if matrix.is_meta:
        return matrix.new_empty(rank, matrix.shape[1]), matrix.new_empty(len(matrix), rank)
    left, values, right = torch.linalg.svd(matrix.cpu(), full_matrices=False)
    root = values[:rank].sqrt()
    right_root = root if values[0] > 0 else torch.ones_like(root)
    first, second = right_root[:, None] * right[:rank], left[:, :rank] * root
    # LAPACK returns matrices by columns.
    return first.contiguous().to(matrix), second.contiguous().to(matrix)


def _role(layer: nn.Module) -> Role | None:
    """Return the role of a layer's weight."""
    role: Role | None = vars(layer).get("roles", {}).get("weight")
    return role
