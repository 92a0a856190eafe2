"""Parametrization: from a parameter's role and the model's size to its init, learning rate and decay.

`standard` keeps one learning rate for all and the initialisation of each family. `mup` makes the best
learning rate the same for every width, and for every depth where there are residual branches; `completep`
differs from it in the factors of depth alone. Both are the standard parametrization at `base_width` and
`base_depth`, but for the readout, which starts at zero. With m = width / base_width and
d = depth / base_depth, the factors on the base values are

    role (what grows with the width)          init std   lr: SGD   AdamW   Muon
    input, bias, gain, embedding, depthwise   1          m         1       1
    hidden (both sides)                       m^-1/2     1         1/m     m^-1/2
    readout (its inputs)                      0          1/m       1/m     1/m
    bias of the readout (nothing)             0          1         1       1

- Width: Yang and Hu 2021; Yang et al. 2022 (Tensor Programs V), Table 3, the form without output
  multipliers. A readout of zero is their Appendix D.2: the limit of its 1/m at initialisation, without the
  noise of a small network's random outputs; hence the mup column of a base shape differs there alone.
- Convolutions: what grows is channels; fan-in is channels x kernel. A depthwise kernel sees one channel, so
  its fan-in stays k x k and it is a set of vectors.
- Normalisation acts on each channel (batch) or on all (layer) and leaves coordinates of order one as they
  are, so the table holds. A convolution before a batch norm ignores the scale of its weights in the forward
  pass but not in its steps: the init column still matters there.
- Depth: a residual branch is multiplied by d^-1/2; its parameters' learning rate is multiplied by d^-1/2 for
  AdamW and Muon, whose steps do not shrink with the gradient, and by 1 for SGD (Yang et al. 2023, Tensor
  Programs VI; Bordelon et al. 2023). It is a limit of large depth, near for vit and slower for resnet, whose
  rectifiers after the additions let the gradient grow. mlp has no branches, and in convmixer every other
  convolution is outside of them: there the depth changes nothing, and the learning rate is not claimed to
  transfer over it.
- CompleteP (Dey et al. 2025, Table 1 at alpha = 1), for transformers, is mup with another exponent of depth.
  Where a branch is multiplied by d^-alpha and its weights move by D, d blocks move the stream by
  d^(1-alpha) D, which must not depend on d. A step of AdamW or Muon is as long as its rate, so that is
  multiplied by d^(alpha-1); a gradient is itself d^-alpha, so SGD's rate is multiplied by d^(2 alpha-1).
  mup has alpha = 1/2, as above; completep has alpha = 1: branches times 1/d, rates times 1, and d for SGD.
- AdamW's epsilon, under completep alone, is multiplied as the gradients are: by 1/m but for the readout
  (theirs too: it has an output multiplier), and by 1/d on branches. It does so on the parts that Muon leaves
  to AdamW as well.
- Attention: logits are divided by sqrt(head_width) in both. The 1/head_width of mup differs from it by a
  constant, as a width has more heads and not wider ones.
- Muon: an orthogonal step times 0.2 sqrt(max(fan_in, fan_out)) (match_rms_adamw, Liu et al. 2025) has a
  spectral norm that grows as sqrt(m); feature learning asks for sqrt(fan_out / fan_in), here a constant
  (Yang, Simon and Bernstein 2023): hence m^-1/2. What is no hidden matrix is AdamW's. On
  convolutions it is near, not exact: pre-activations of a small resnet moved with a slope of up to 0.17 over
  widths 1x to 8x (0.3 to 0.5 in standard), less with a small batch; an mlp's were flat, a vit's within 0.11.
- Weight decay: lr x decay is held (independent decay: Wortsman et al. 2023; Wang and Aitchison 2024), so the
  decay is divided by the factor of the learning rate; so too for SGD, whose decay is also multiplied by lr.
  Biases, gains and embeddings do not decay. CompleteP's table is the same, but that embeddings decay.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal, TypedDict, Unpack

from torch import nn

from isoflop.config import ModelConfig

Parametrization = Literal["standard", "mup", "completep"]
RoleKind = Literal[
    "input", "hidden", "readout", "bias", "readout_bias", "gain", "embedding", "depthwise", "plain"
]
Optimizer = Literal["sgd", "adamw", "muon"]

UNDECAYED = ("bias", "readout_bias", "gain", "embedding")


@dataclasses.dataclass(frozen=True)
class Role:
    """Role of one parameter in its model, from which its initialisation, rate and decay follow.

    fan_in and fan_out count kernel positions. The standard init std is gain / sqrt(fan), fan being that of
    `mode`; gain None leaves the values that the module made. `branch`: on a residual branch. `parts`: the
    matrices stacked in it along the outputs (3 in a joint query, key and value).
    """

    kind: RoleKind
    fan_in: int = 1
    fan_out: int = 1
    gain: float | None = None
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    branch: bool = False
    parts: int = 1


class Options(TypedDict, total=False):
    """The fields of a Role that do not follow from a layer's shape."""

    gain: float | None
    mode: Literal["fan_in", "fan_out"]
    branch: bool
    parts: int


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much larger than its base a model is: multiples of width and depth; both 1 in `standard`."""

    parametrization: Parametrization = "standard"
    width: float = 1.0
    depth: float = 1.0


def scale(config: ModelConfig) -> Scale:
    """Return the multiples of a configuration's base width and base depth."""
    if config.parametrization == "standard":
        return Scale()
    assert config.width is not None
    assert config.base_width is not None
    # A model of the user's own may have no depth.
    depth = 1.0 if config.depth is None or config.base_depth is None else config.depth / config.base_depth
    return Scale(config.parametrization, config.width / config.base_width, depth)


def init_std(role: Role, scale: Scale) -> float | None:
    """Return the standard deviation of the initial values; 0 for zeros, None to keep the module's own."""
    if role.kind == "bias":
        return 0.0
    if role.kind in ("readout", "readout_bias") and scale.parametrization != "standard":
        return 0.0
    if role.gain is None:
        return None
    std = role.gain / math.sqrt(role.fan_in if role.mode == "fan_in" else role.fan_out)
    if role.kind == "input" and role.mode == "fan_out":
        return std * math.sqrt(scale.width)  # the base's value: the fan-out grows, the fan-in does not
    return std


def lr_multiplier(role: Role, scale: Scale, optimizer: Optimizer) -> float:
    """Return the factor on the base learning rate: the table of this module, and depth on branches."""
    depth = _depth_lr_multiplier(scale, optimizer) if role.branch else 1.0
    match role.kind:
        case "hidden":
            return (
                depth * {"sgd": 1.0, "adamw": 1 / scale.width, "muon": 1 / math.sqrt(scale.width)}[optimizer]
            )
        case "readout":
            return depth / scale.width
        case "readout_bias" | "plain":
            return depth
        case "input" | "bias" | "gain" | "embedding" | "depthwise":
            return depth * (scale.width if optimizer == "sgd" else 1.0)


def _depth_lr_multiplier(scale: Scale, optimizer: Optimizer) -> float:
    """Return d^(alpha - 1) for steps that do not shrink with the gradient, and d^(2 alpha - 1) for SGD."""
    if scale.parametrization == "completep":
        return scale.depth if optimizer == "sgd" else 1.0
    return 1.0 if optimizer == "sgd" else branch_multiplier(scale)


def epsilon_multiplier(role: Role, scale: Scale, optimizer: Optimizer) -> float:
    """Return the factor on AdamW's epsilon, which is how gradients of the role scale under completep.

    1 where AdamW does not update the role, and under the other parametrizations.
    """
    muons = optimizer == "muon" and role.kind == "hidden"
    if scale.parametrization != "completep" or optimizer == "sgd" or muons:
        return 1.0
    depth = branch_multiplier(scale) if role.branch else 1.0
    return depth if role.kind in ("readout", "readout_bias") else depth / scale.width


def weight_decay_multiplier(role: Role, scale: Scale, optimizer: Optimizer) -> float:
    """Return the factor on the base weight decay, which holds lr x decay over sizes; 0 for no decay."""
    return 0.0 if role.kind in UNDECAYED else 1 / lr_multiplier(role, scale, optimizer)


def branch_multiplier(scale: Scale) -> float:
    """Return the factor on the output of each residual branch before it is added: d^-1/2, or d^-1."""
    return 1 / scale.depth if scale.parametrization == "completep" else 1 / math.sqrt(scale.depth)


def tag(module: nn.Module, **roles: Role) -> None:
    """Give a module's own parameters their roles, by name. A deep copy of the module keeps them."""
    vars(module)["roles"] = vars(module).get("roles", {}) | roles


def tag_layer(layer: nn.Linear | nn.Conv2d, kind: RoleKind, **options: Unpack[Options]) -> None:
    """Tag the weight and, if it has one, the bias of a linear layer or convolution."""
    weight = layer.weight
    positions = weight[0, 0].numel()
    fan_in, fan_out = weight.shape[1] * positions, weight.shape[0] * positions
    tag(layer, weight=Role(kind, fan_in, fan_out, **options))
    if layer.bias is not None:
        bias: RoleKind = "readout_bias" if kind == "readout" else "bias"
        tag(layer, bias=Role(bias, fan_out=fan_out, branch=options.get("branch", False)))


def tag_norm(
    norm: nn.LayerNorm | nn.RMSNorm | nn.BatchNorm2d, *, branch: bool = False, zero: bool = False
) -> None:
    """Tag the gain and, if it has one, the bias of a normalisation; with `zero` the gain starts at 0."""
    tag(norm, weight=Role("gain", gain=0.0 if zero else None, branch=branch))
    if not isinstance(norm, nn.RMSNorm):
        tag(norm, bias=Role("bias", branch=branch))


def roles(model: nn.Module) -> dict[str, Role]:
    """Return the role of each parameter, in the order of `named_parameters`.

    Raises:
        LookupError: a parameter has no role; it is named.
    """
    return dict(_roles(model))


def _roles(model: nn.Module) -> Iterator[tuple[str, Role]]:
    for path, module in model.named_modules():
        tagged: dict[str, Role] = vars(module).get("roles", {})
        for name, _ in module.named_parameters(prefix=path, recurse=False):
            own = name.rpartition(".")[2]
            if own not in tagged:
                raise LookupError(
                    f"parameter {name} has no role: tag it where {type(module).__name__} is made"
                )
            yield name, tagged[own]


def has_roles(model: nn.Module) -> bool:
    """Return whether any parameter of the model was given a role (`tag`)."""
    tagged = (vars(module).get("roles") for module in model.modules())
    return any(isinstance(role, Role) for each in tagged if isinstance(each, dict) for role in each.values())


def plain_roles(model: nn.Module) -> dict[str, Role]:
    """Return the role `plain` for every parameter: one rate, all of it decayed. For torchvision's models, and
    those of the user's own that carry no roles."""
    return {name: Role("plain") for name, _ in model.named_parameters()}


def initialise(model: nn.Module, scale: Scale) -> None:
    """Draw the initial values, in the order of the parameters, from the ambient generator.

    Raises:
        LookupError: a parameter has no role.
    """
    role_of = roles(model)
    for name, parameter in model.named_parameters():
        std = init_std(role_of[name], scale)
        if std:
            nn.init.normal_(parameter, 0.0, std)
        elif std is not None:
            nn.init.zeros_(parameter)
