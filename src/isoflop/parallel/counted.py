"""A shape that no record tells of: torch counts its work, its parameters and its chain, without weights."""

from __future__ import annotations

import torch

from isoflop.config import Config, ConfigError
from isoflop.parallel import chain
from isoflop.parallel.shapes import FORWARD_SHARE, Chain, Shape, chain_of
from isoflop.runner import prepare
from isoflop.train.data import facts
from isoflop.train.data.dataset import Facts

BYTE_VALUES = 256


def shape(config: Config) -> Shape:
    """Return the shape of a configuration. No data are read where their sizes are known beforehand.

    Raises:
        ValueError: there is no such model, it cannot take such inputs, or its FLOPs cannot be trusted.
    """
    settings = config.model
    context = settings.context
    known = Facts(0, (context,), BYTE_VALUES) if context else facts(config)
    work = prepare.count_flops(settings, known.input_shape, known.classes, config.batch_rows)
    if work.train_flops_per_example is None:
        raise ConfigError(f"{settings.label}: its FLOPs are unknown: {work.reason}")
    model = prepare.weightless(settings, known.input_shape, known.classes)
    forward = work.forward_macs_per_example
    own = chain_of(settings.family, settings.depth, settings.block)
    return Shape(
        label=settings.label,
        family=settings.family_name,
        width=settings.width,
        depth=settings.depth,
        train_flops_per_example=work.train_flops_per_example,
        forward_flops_per_example=(
            work.train_flops_per_example * FORWARD_SHARE if forward is None else 2 * forward
        ),
        gradients=sum(each.numel() for each in model.parameters() if each.requires_grad),
        chain=own or _count(model, known.input_shape, text=context is not None),
        batch_size=config.optim.batch_size,
        row_size=context or 1,
    )


def _count(model: torch.nn.Module, input_shape: tuple[int, ...], *, text: bool) -> Chain | None:
    """Return the chain as torch counts it; None of a model of the user's own that cannot be run so."""
    try:
        dtype = torch.int64 if text else torch.float32
        return Chain(
            chain.count(model.eval(), torch.zeros(2, *input_shape, dtype=dtype, device="meta")), None
        )
    except Exception:  # the user's code, which may need real data
        return None
