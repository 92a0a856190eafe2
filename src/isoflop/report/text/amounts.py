"""Values of the quantity that a sweep is judged on, as sentences and cards have them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isoflop.report.text.numerals import UNKNOWN, number, percent
from isoflop.table.target import BITS, Quantity

if TYPE_CHECKING:  # as in numerals
    from isoflop.table.axis import Axis

DECIMALS = 3
"""Of bits a byte: seeds differ in the third."""


def amount(value: float | None, quantity: Quantity, digits: int = 3) -> str:
    """Return `3.25%` for a share, `2.314 bits a byte` for a loss; `digits` are those of a percentage."""
    text = bare(value, quantity, digits)
    return text if quantity.unit in ("%", "") or text == UNKNOWN else f"{text} {quantity.unit}"


def bare(value: float | None, quantity: Quantity, digits: int = 3) -> str:
    """Return as `amount`, without the unit of a loss: for the ends of an interval."""
    if quantity.unit == "%":
        return percent(value, digits)
    if quantity.unit != BITS or value is None:
        return number(value, digits)
    return plain(value, quantity)


def of_resource(value: float, axis: Axis, digits: int = 3) -> str:
    """Return `12.3 GFLOPs`, an amount of what is on the axis of x; without a unit, with its name."""
    return f"{number(value, digits)} {axis.unit or axis.name}"


def seed_after(row: Mapping[Any, Any]) -> str:
    """Return `, seed 3` of a run, to stand behind its label; nothing where no seed is known."""
    seed = row["seed"]
    if seed is None or (isinstance(seed, float) and math.isnan(seed)):
        return ""
    return f", seed {seed:.0f}" if isinstance(seed, float) else f", seed {seed}"


def plain(value: float, quantity: Quantity) -> str:
    """Return the value in the quantity's unit, for a column that names it."""
    if quantity.unit == BITS:
        return f"{value:.{DECIMALS}f}"
    return number(quantity.scale * value)
