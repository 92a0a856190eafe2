"""What is to be reached, and what one GPU does: the options, and what --cost needs of them."""

from __future__ import annotations

import argparse
from typing import Any

from isoflop.config import ConfigError

OPTIONS = ("target", "gpu_tflops", "gpu_watts")
_NEEDS = {"device_seconds": ("--gpu-tflops", "GPU-hours"), "energy_joules": ("--gpu-watts", "kWh")}
"""Amount that a price multiplies -> the option by which FLOPs give it, and what it is called."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --target, --gpu-tflops and --gpu-watts."""
    parser.add_argument(
        "--target",
        metavar="Y",
        action="append",
        type=float,
        help="an error such as 0.05, or a loss, to say what it takes (may be repeated)",
    )
    parser.add_argument(
        "--gpu-tflops",
        metavar="V",
        type=float,
        help="TFLOP/s that one GPU sustains in training: FLOPs to GPU-hours",
    )
    parser.add_argument(
        "--gpu-watts",
        metavar="W",
        type=float,
        help="its power meanwhile: GPU-hours to kWh",
    )


def rate(options: argparse.Namespace) -> Any:
    """Return the rate (reach_panel.Rate) of --gpu-tflops and --gpu-watts, None without them.

    Raises:
        ConfigError: watts without a rate, a number that is not above 0, or a target that is none.
    """
    from isoflop.report.reach_panel import Rate

    for name in OPTIONS:
        given = getattr(options, name)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
    if options.gpu_tflops is None:
        if options.gpu_watts is not None:
            raise ConfigError("--gpu-watts needs --gpu-tflops: watts are joules only over the hours it takes")
        return None
    return Rate(options.gpu_tflops * 1e12, options.gpu_watts)


def check_priced(options: argparse.Namespace, own: Any, prices: Any, chosen: Any) -> None:
    """Refuse prices and rates that the compute of a table cannot be multiplied by.

    Args:
        options: of the command.
        own: the rows of the table (rows.Rows).
        prices: of --cost, or None.
        chosen: the rate, or None.

    Raises:
        ConfigError: x is no compute of training in a known unit, or a price is of GPU-hours or kWh and
            nothing says how many of them a FLOP takes; a target of an error above 1.
    """
    from isoflop.table import pricing

    axis, quantity = own.described.x, own.described.y
    for value in options.target or ():
        if quantity.unit == "%" and value >= 1:
            raise ConfigError(f"--target {value:g}: an error is a fraction, such as {value / 100:g}")
    if axis.flops is None and (chosen is not None or options.target):
        raise ConfigError(
            f"what a lower error takes is said in FLOPs, and {axis.column} is in no unit of compute: say "
            "--x-unit, such as FLOP or GMAC"
        )
    if axis.a_pass and chosen is not None:
        raise ConfigError(
            f"{axis.column} is the compute of one pass, not of training: leave out --gpu-tflops, or give "
            "training compute, such as --x '3.46e8 * gmacs' --x-unit GMAC --x-label 'training compute'"
        )
    for factor in prices.factors if prices is not None else ():
        if factor in pricing.AMOUNTS:
            _check_amount(options, own, prices.named[factor], pricing.AMOUNTS[factor].name)


def _check_amount(options: argparse.Namespace, own: Any, named: str, amount: str) -> None:
    """Refuse a price of what neither the table nor x tells.

    Args:
        options: of the command.
        own: the rows of the table.
        named: the set of prices.
        amount: that it multiplies, a field of pricing.Used.

    Raises:
        ConfigError: there is no such amount.
    """
    columns = {"device_seconds": ("device_seconds", "train_seconds")}.get(amount, (amount,))
    axis = own.described.x
    is_known = axis.flops is not None and not axis.a_pass
    if amount == "train_gflops":
        if not is_known:
            raise ConfigError(
                f"--cost {named} prices FLOPs of training, and {axis.column} is none in a known unit: say "
                "--x-unit, such as FLOP"
            )
        return
    if any(name in own.checked and own.checked[name].notna().any() for name in columns):
        return
    option, called = _NEEDS[amount]
    given = options.gpu_tflops if amount == "device_seconds" else options.gpu_watts
    if given is None or not is_known:
        both = "--gpu-tflops and " * (amount == "energy_joules")
        raise ConfigError(
            f"--cost {named} prices {called}, and {options.directory} holds none: say {both}{option}, or "
            "--cost paper, which prices FLOPs"
        )
