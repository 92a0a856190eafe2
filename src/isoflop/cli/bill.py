"""The options of a bill: what is to be reached, and what one GPU does; and what --cost needs of them."""

from __future__ import annotations

import argparse
from typing import Any

from isoflop.config import ConfigError

OPTIONS = ("target", "gpu_tflops", "gpu_watts")
_NEEDS = {
    "dollars_per_gpu_hour": "gpu_tflops",
    "dollars_per_kwh": "gpu_watts",
    "grams_co2_per_kwh": "gpu_watts",
}
"""Factor of a set of prices -> the option without which FLOPs alone do not give what it multiplies."""
_CALLED = {"dollars_per_gpu_hour": "GPU-hours", "dollars_per_kwh": "kWh", "grams_co2_per_kwh": "kWh"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --target, --gpu-tflops and --gpu-watts."""
    parser.add_argument(
        "--target",
        metavar="Y",
        action="append",
        type=float,
        help="of the bill: an error such as 0.05, or a loss (may be repeated)",
    )
    parser.add_argument(
        "--gpu-tflops",
        metavar="V",
        type=float,
        help="of the bill: TFLOP/s that one GPU sustains in training, for GPU-hours",
    )
    parser.add_argument(
        "--gpu-watts", metavar="W", type=float, help="of the bill: its power meanwhile, for kWh"
    )


def rate(options: argparse.Namespace) -> Any:
    """Return the rate (bill_panel.Rate) of --gpu-tflops and --gpu-watts, None without them.

    Raises:
        ConfigError: watts without a rate, a number that is not above 0, or a target that is none.
    """
    from isoflop.report.bill_panel import Rate

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


def check_priced(options: argparse.Namespace, report: Any, prices: Any, chosen: Any) -> None:
    """Refuse prices and rates that the compute of a table cannot be multiplied by.

    Args:
        options: of the command.
        report: the fit of the main axes.
        prices: of --cost, or None.
        chosen: the rate, or None.

    Raises:
        ConfigError: x is no compute of training in a known unit, or a price is of GPU-hours or kWh and
            nothing says how many of them a FLOP takes; a target of an error above 1.
    """
    for value in options.target or ():
        if report.quantity.unit == "%" and value >= 1:
            raise ConfigError(f"--target {value:g}: an error is a fraction, such as {value / 100:g}")
    if prices is None and chosen is None and not options.target:
        return
    axis = report.resource
    if axis.flops is None:
        raise ConfigError(
            f"a bill needs compute, and {axis.column} is in no unit of it: say --x-unit, such as FLOP or GMAC"
        )
    if axis.a_pass and (prices is not None or chosen is not None):
        raise ConfigError(
            f"{axis.column} is the compute of one pass, which no price of training multiplies: leave out "
            "--cost and --gpu-tflops, or give training compute, such as --x '3.46e8 * gmacs' --x-unit GMAC "
            "--x-label 'training compute'"
        )
    for factor, needed in _NEEDS.items():
        if prices is not None and factor in prices.factors and getattr(options, needed) is None:
            option = "--gpu-tflops" + " and --gpu-watts" * (needed == "gpu_watts")
            raise ConfigError(
                f"--cost {prices.named[factor]} prices {_CALLED[factor]}, and {options.directory} holds "
                f"FLOPs only: say {option}, or --cost paper, which prices FLOPs"
            )
