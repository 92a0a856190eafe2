"""A lever of one's own: `apply` is given the network and returns the one to train (docs/levers.md)."""

from __future__ import annotations

from torch import nn


def apply(model: nn.Module, share: float = 0.1) -> nn.Module:
    """Drop a share of the inputs at random in training (Srivastava et al. 2014).

    `share` may be set by lever.arguments.share=0.2.
    """
    return nn.Sequential(nn.Dropout(share), model)
