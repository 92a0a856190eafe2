"""Optimizers with a learning rate for each role, and the FLOPs of their steps.

The peak learning rate of a group is the configured one, times the factor of its parameters' role and the
model's size (`parametrize`), times the factor of batch size or length. Parameters of equal settings share a
group.

Batch size, where `base_batch_size` B0 is given: lr x B/B0 for SGD (Goyal et al. 2017), lr x sqrt(B/B0) for
AdamW and Muon (Malladi et al. 2022; momenta and betas are held). lr x weight decay grows as B/B0 for all, so
that weights decay by the same share an epoch (Wang and Aitchison 2024): the decay itself is held for SGD and
multiplied by sqrt(B/B0) for AdamW and Muon.

Length, where `base_steps` S0 is given: AdamW and Muon take lr x sqrt(S0/S) and decay x sqrt(S0/S) in a run of
S steps, so that the sum of lr x decay over a whole run is the same for all lengths. This is the rule of
Complete(d)P (Mlodozeniec et al. 2025, arXiv 2512.22382, table 1): sqrt(m_B/m_D) on both, with m_B and m_D the
multiples of the base's batch and data, as m_D/m_B = S/S0. It has the batch size's sqrt(B/B0) at equal data in
it, so base_batch_size must be null beside it. Their two other lines are left out, as they are for batch size:
(1 - beta) x m_B/m_D, which would exceed 1 in runs much shorter than the base, and epsilon x sqrt(m_D/m_B).
They test AdamW under a cosine; for Muon the rule is borrowed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from isoflop.config import ModelConfig, OptimConfig
from isoflop.train import clip, parametrize
from isoflop.train.parametrize import Role, Scale, epsilon_multiplier, lr_multiplier, weight_decay_multiplier

FLOPS_PER_PARAMETER = {"sgd": 8, "adamw": 14, "muon": 12}
"""Elementwise operations per parameter and step. SGD-Nesterov: decay 2, momentum 2, look-ahead 2, step 2.
AdamW: decay 1, first moment 3, second moment 4, bias correction, root and epsilon 3, step 3. Muon, beside its
matrix products: decay 1, momentum 3, look-ahead 3, norm 2, division by it 1, step 2."""

NEWTON_SCHULZ_STEPS = 5
ADAMW_EPSILON = 1e-8
"""torch's own; completep multiplies it."""


def scaled(config: OptimConfig, steps: int | None) -> tuple[float, float]:
    """Return peak learning rate and weight decay at the run's batch size and length.

    Args:
        config: gives both at the base, of which there may be none.
        steps: optimizer steps of the whole run; may be None without base_steps.
    """
    lr_factor, decay_factor = _factors(config, steps)
    return config.lr * lr_factor, config.weight_decay * decay_factor


def _factors(config: OptimConfig, steps: int | None) -> tuple[float, float]:
    """Return the factors on learning rate and weight decay: (1, 1) without a base."""
    if config.base_steps is not None:
        assert steps is not None, "the rate depends on the length of the run"
        factor = math.sqrt(config.base_steps / steps)
        return factor, factor
    if config.base_batch_size is None:
        return 1.0, 1.0
    ratio = config.batch_size / config.base_batch_size
    return (ratio, 1.0) if config.name == "sgd" else (math.sqrt(ratio), math.sqrt(ratio))


def roles_of(model: nn.Module, model_config: ModelConfig) -> dict[str, Role]:
    """Return the role of each parameter; those of models that carry none all have the role `plain`."""
    if model_config.family == "torchvision" or (
        model_config.family == "custom" and not parametrize.has_roles(model)
    ):
        return parametrize.plain_roles(model)
    return parametrize.roles(model)


def build(
    config: OptimConfig,
    model: nn.Module,
    model_config: ModelConfig,
    *,
    steps: int | None = None,
    capturable: bool = False,
) -> tuple[torch.optim.Optimizer, ...]:
    """Return the optimizers of all parameters: one, or Muon of the hidden matrices and AdamW of the rest.

    Each group carries `peak_lr` beside `lr`, which starts at the same value. The memory format of the
    parameters must not change afterwards.

    Args:
        config: name and settings.
        model: the model whose parameters are updated.
        model_config: its configuration, from which roles and size follow.
        steps: optimizer steps of the whole run, which the rates depend on with base_steps.
        capturable: make steps that can be part of a CUDA graph, with tensors on the device as `lr`.

    Raises:
        ValueError: Muon is asked for on a model whose matrices are not known.
        LookupError: a parameter of our own families has no role.
    """
    roles, scale = roles_of(model, model_config), parametrize.scale(model_config)
    if config.name == "muon" and all(role.kind == "plain" for role in roles.values()):
        raise ValueError(
            f"optim=muon needs to know the hidden matrices: take sgd or adamw for {model_config.name}"
        )
    groups = _groups(config, scaled(config, steps), model, roles, scale)
    if config.name == "sgd":
        assert config.momentum is not None
        nesterov = config.momentum > 0
        return (
            torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True),
        )
    assert config.betas is not None
    matrices = [group for group in groups if group["matrices"]]
    rest = [group for group in groups if not group["matrices"]]
    adamw = torch.optim.AdamW(rest, lr=config.lr, betas=config.betas, fused=True, capturable=capturable)
    if not matrices:
        return (adamw,)
    assert config.momentum is not None
    return MuonOfMatrices(matrices, lr=config.lr, momentum=config.momentum), adamw


def _groups(
    config: OptimConfig,
    rates: tuple[float, float],
    model: nn.Module,
    roles: Mapping[str, Role],
    scale: Scale,
) -> list[dict[str, Any]]:
    """Return parameter groups of equal factors, in the order of the model, without frozen parameters.

    Factors and not rates tell groups apart, so that they are the same for every lr and weight decay (a
    reseeded trainer takes over only the rates). A group's `matrices` is how many Muon sees in each
    parameter, 0 where AdamW or SGD updates it; `eps` is set where it is not torch's own.

    Args:
        config: the optimizer.
        rates: peak learning rate and weight decay before the factors of roles.
        model: the model whose parameters are updated.
        roles: role of each parameter, by name.
        scale: the model's size.
    """
    groups: dict[tuple[float, float, float, int], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue  # frozen by the user
        role = roles[name]
        lr_scale = lr_multiplier(role, scale, config.name)
        decay_scale = weight_decay_multiplier(role, scale, config.name)
        epsilon_scale = epsilon_multiplier(role, scale, config.name)
        matrices = role.parts if config.name == "muon" and role.kind == "hidden" else 0
        lr, decay = rates[0] * lr_scale, rates[1] * decay_scale
        settings = {"lr": lr, "peak_lr": lr, "weight_decay": decay, "matrices": matrices}
        settings |= {} if epsilon_scale == 1 else {"eps": ADAMW_EPSILON * epsilon_scale}
        group = groups.setdefault((lr_scale, decay_scale, epsilon_scale, matrices), {"params": []} | settings)
        group["params"].append(parameter)
    return list(groups.values())


def _as_matrices(tensor: Tensor, parts: int, *, channels_last: bool) -> tuple[Tensor, ...]:
    """Return a weight [O, ...] as `parts` matrices [O / parts, the rest]: views, in its own memory order."""
    rows = tensor.permute(0, *range(2, tensor.ndim), 1) if channels_last else tensor
    return rows.reshape(len(tensor), -1).chunk(parts)


class MuonOfMatrices(torch.optim.Muon):
    """torch's Muon (Jordan et al. 2024) on 2-D views of the weights, step sizes as AdamW's (Liu et al. 2025).

    The views share the weights' memory and are given their gradients before each step. A convolution
    [O, I, k, k] is O rows of I k k, in whichever order it lies in memory: an orthogonal step does not depend
    on it. A joint query, key and value is three matrices.

    torch reads `lr` on the host, which a CUDA graph does not allow. Where it is a tensor, torch's step is
    taken from zero with learning rate 1, then scaled and added on the device: the same step, rounded once
    more.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, momentum: float) -> None:
        self._views: list[tuple[Tensor, tuple[Tensor, ...], bool]] = []
        groups_of_views = []
        for group in groups:
            views: list[Tensor] = []
            for weight in group["params"]:
                last = not weight.is_contiguous()
                matrices = _as_matrices(weight.detach(), group["matrices"], channels_last=last)
                self._views.append((weight, matrices, last))
                views.extend(matrices)
            groups_of_views.append(group | {"params": views})
        super().__init__(
            groups_of_views, lr=lr, momentum=momentum, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step of all weights that have a gradient."""
        assert closure is None
        for weight, views, last in self._views:
            assert views[0].data_ptr() == weight.data_ptr(), (
                "the weights have moved since the optimizer was made"
            )
            if weight.grad is not None:
                grads = _as_matrices(weight.grad, len(views), channels_last=last)
                for view, grad in zip(views, grads, strict=True):
                    view.grad = grad
        with contextlib.ExitStack() as stack:
            for group in self.param_groups:
                if isinstance(group["lr"], Tensor):
                    stack.enter_context(_from_zero(group))
            super().step()  # type: ignore[no-untyped-call]
        for view in (view for _, views, _ in self._views for view in views):
            view.grad = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of the weights."""
        for weight, _, _ in self._views:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.detach_().zero_()


@contextlib.contextmanager
def _from_zero(group: dict[str, Any]) -> Iterator[None]:
    """Within, the group's weights are zero and its lr is 1; at the end the step is scaled and added.

    From zero, with lr 1 and no decay, what torch's step leaves in the weights is its direction u, so
    that w <- w (1 - lr decay) + lr u can be finished with a learning rate that stays on the device.
    """
    lr, decay = group["lr"], group["weight_decay"]
    weights = [view for view in group["params"] if view.grad is not None]
    kept = [weight * (1 - lr * decay) for weight in weights]
    for weight in weights:
        weight.zero_()
    group["lr"], group["weight_decay"] = 1.0, 0.0
    yield
    group["lr"], group["weight_decay"] = lr, decay
    for weight, before in zip(weights, kept, strict=True):
        weight.mul_(lr).add_(before)


def newton_schulz_flops(rows: int, columns: int) -> int:
    """Return the FLOPs of torch's Newton-Schulz iteration on one matrix, 2 per MAC.

    With n the smaller side and k the larger, each of the 5 iterations is n x k by k x n, n x n by n x n and
    n x n by n x k: 4 n^2 k + 2 n^3.
    """
    small, large = sorted((rows, columns))
    return NEWTON_SCHULZ_STEPS * (4 * small**2 * large + 2 * small**3)


def flops_per_step(config: OptimConfig, model: nn.Module) -> float:
    """Return the FLOPs of one step: elementwise work of every parameter, Muon's matrix products, clipping.

    Raises:
        LookupError: Muon is asked for and a parameter has no role.
    """
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = clip.FLOPS_PER_PARAMETER * parameters if config.clip_norm is not None else 0
    if config.name != "muon":
        return float(total + FLOPS_PER_PARAMETER[config.name] * parameters)
    roles = parametrize.roles(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        parts = roles[name].parts
        rows = len(parameter) // parts
        if roles[name].kind == "hidden":
            total += parts * newton_schulz_flops(rows, parameter.numel() // parts // rows)
            total += FLOPS_PER_PARAMETER["muon"] * parameter.numel()
        else:
            total += FLOPS_PER_PARAMETER["adamw"] * parameter.numel()
    return float(total)
