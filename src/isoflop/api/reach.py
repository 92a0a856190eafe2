"""What a lower error takes: the targets, what one GPU does, and whether prices can be multiplied by it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from isoflop.api.rows import Rows
from isoflop.config import ConfigError
from isoflop.config.costs import Prices
from isoflop.report.rate import Rate
from isoflop.table import pricing

_NEEDS = {"device_seconds": ("--gpu-tflops", "GPU-hours"), "energy_joules": ("--gpu-watts", "kWh")}
"""Amount that a price multiplies -> the option by which FLOPs give it, and what it is called."""


def is_price(x: str | None) -> bool:
    """Return whether x is of dollars or CO2: prices then make a column, else they apply to what x takes."""
    return x is not None and re.search(r"\b(dollars|grams_co2)\b", x) is not None


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the page of a table says of lower errors.

    Attributes:
        target: errors as fractions, or losses, whose compute is to be said.
        gpu_tflops: TFLOP/s that one GPU sustains in training.
        gpu_watts: its power meanwhile.
    """

    target: tuple[float, ...] = ()
    gpu_tflops: float | None = None
    gpu_watts: float | None = None

    def rate(self) -> Rate | None:
        """Return what one GPU does, None where that was not chosen.

        Raises:
            ConfigError: watts without a rate, or a number that is not above 0.
        """
        named = [("target", value) for value in self.target]
        named += [(n, v) for n in ("gpu_tflops", "gpu_watts") if (v := getattr(self, n)) is not None]
        for name, value in named:
            if not 0 < value < float("inf"):
                raise ConfigError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
        if self.gpu_tflops is None:
            if self.gpu_watts is not None:
                raise ConfigError(
                    "--gpu-watts needs --gpu-tflops: watts are joules only over the hours it takes"
                )
            return None
        return Rate(self.gpu_tflops * 1e12, self.gpu_watts)

    def check(self, own: Rows, prices: Prices | None, source: Path | str) -> None:
        """Refuse prices and rates that the compute of a table cannot be multiplied by.

        Args:
            own: the rows of the table.
            prices: what they are priced by, or None.
            source: what the table is called in messages.

        Raises:
            ConfigError: x is no compute of training in a known unit, or a price is of GPU-hours or kWh and
                nothing says how many of them a FLOP takes; a target of an error above 1.
        """
        assert own.described is not None
        axis, quantity = own.described.x, own.described.y
        for value in self.target:
            if quantity.unit == "%" and value >= 1:
                raise ConfigError(f"--target {value:g}: an error is a fraction, such as {value / 100:g}")
        if axis.flops is None and (self.gpu_tflops is not None or self.target):
            raise ConfigError(
                f"what a lower error takes is said in FLOPs, and {axis.column} is in no unit of compute: say "
                "--x-unit, such as FLOP or GMAC"
            )
        if axis.a_pass and self.gpu_tflops is not None:
            raise ConfigError(
                f"{axis.column} is the compute of one pass, not of training: leave out --gpu-tflops, or give "
                "training compute, such as --x '3.46e8 * gmacs' --x-unit GMAC --x-label 'training compute'"
            )
        for factor in prices.factors if prices is not None else ():
            if prices is not None and factor in pricing.AMOUNTS:
                self._check_amount(own, prices.named[factor], pricing.AMOUNTS[factor].name, source)

    def _check_amount(self, own: Rows, named: str, amount: str, source: Path | str) -> None:
        """Refuse a price of what neither the table nor x tells.

        Args:
            own: the rows of the table.
            named: the set of prices.
            amount: that it multiplies, a field of pricing.Used.
            source: what the table is called in messages.

        Raises:
            ConfigError: there is no such amount.
        """
        assert own.described is not None
        axis = own.described.x
        is_known = axis.flops is not None and not axis.a_pass
        if amount == "train_gflops":
            if not is_known:
                raise ConfigError(
                    f"--cost {named} prices FLOPs of training, and {axis.column} has no unit of them: say "
                    "--x-unit, such as FLOP"
                )
            return
        columns = {"device_seconds": ("device_seconds", "train_seconds")}.get(amount, (amount,))
        if any(name in own.checked and own.checked[name].notna().any() for name in columns):
            return
        option, called = _NEEDS[amount]
        given = self.gpu_tflops if amount == "device_seconds" else self.gpu_watts
        if given is None or not is_known:
            both = "--gpu-tflops and " * (amount == "energy_joules")
            raise ConfigError(
                f"--cost {named} prices {called}, and {source} holds none: say {both}{option}, or "
                "--cost paper, which prices FLOPs"
            )
