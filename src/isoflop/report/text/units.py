"""Amounts in the unit that reads well: grams to tonnes, Wh to TWh, cents to billions, GFLOPs to YFLOPs.

Columns, axes and JSON keep the base units of their names; these are for sentences, cards and bills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from isoflop.report.text.numerals import UNKNOWN, number

JOULES_PER_WATT_HOUR = 3600.0
Steps = tuple[tuple[float, str], ...]

_GRAMS: Steps = ((1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t"))
_JOULES: Steps = tuple(
    [(1.0, "J")]
    + [(JOULES_PER_WATT_HOUR * 1000.0**i, name) for i, name in enumerate(("Wh", "kWh", "MWh", "GWh", "TWh"))]
)
_DOLLARS: Steps = (
    (1e-2, "cents"),
    (1.0, "dollars"),
    (1e4, "thousand dollars"),
    (1e6, "million dollars"),
    (1e9, "billion dollars"),
)
_GFLOPS: Steps = tuple((1e-3 * 1000.0**i, f"{prefix}FLOPs") for i, prefix in enumerate("MGTPEZY"))
_THOUSANDS = {"thousand dollars": 1e3}
"""Units that begin later than at one of them: 1,230 dollars reads better than 1.23 thousand."""
STEPS: dict[str, list[tuple[float, float, str]]] = {
    name: [(least, _THOUSANDS.get(unit, least), unit) for least, unit in steps]
    for name, steps in (("gflops", _GFLOPS), ("joules", _JOULES), ("grams", _GRAMS), ("dollars", _DOLLARS))
}
"""For scripts of a page: base unit -> (least value written in a unit, its size, its name), ascending."""


def _in_unit(value: float | None, steps: Steps, digits: int) -> str:
    """Return a value with the largest unit that leaves at least one of it, the smallest one below that.

    Args:
        value: in the base unit; None or NaN where it is unknown.
        steps: (least value in the base unit, name) of the units, ascending.
        digits: significant digits.
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if value == 0:
        return f"0 {next(name for size, name in steps if size == 1.0)}"
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # 999.9 g are 1.00 kg
    size, name = next((step for step in reversed(steps) if rounded >= step[0]), steps[0])
    return f"{number(value / _THOUSANDS.get(name, size), digits)} {name}"


def grams(value: float | None, digits: int = 3) -> str:
    """Return grams as mg, g, kg or tonnes: 1.23 kg."""
    return _in_unit(value, _GRAMS, digits)


def joules(value: float | None, digits: int = 3) -> str:
    """Return joules as J below 1 Wh, else as Wh to TWh: 45.6 kWh."""
    return _in_unit(value, _JOULES, digits)


def dollars(value: float | None, digits: int = 3) -> str:
    """Return dollars in cents, dollars, thousands, millions or billions: 45.6 thousand dollars."""
    return _in_unit(value, _DOLLARS, digits)


def gflops(value: float | None, digits: int = 3) -> str:
    """Return GFLOPs as MFLOPs to YFLOPs: 7.89 PFLOPs."""
    return _in_unit(value, _GFLOPS, digits)


_OF_COLUMNS = {
    "train_gflops": ("Training compute", _GFLOPS),
    "energy_joules": ("Energy", _JOULES),
    "net_joules": ("Above idle", _JOULES),
    "grams_co2": ("CO2", _GRAMS),
}
"""Column of a table -> its title and units."""


_READS_WELL = (1e-3, 1e5)
"""A column whose numbers lie in between needs no prefix."""


def of_column(column: str, values: Sequence[float], title: str, scale: float) -> tuple[str, float]:
    """Return the title and the scale of a table's column: as given, or where that would take many zeros, in
    the unit that suits its middle value.

    Args:
        column: its name; one that is not of this module's amounts keeps its title and scale.
        values: in the base unit, unknown ones as NaN.
        title: with the base unit.
        scale: to the unit of the title.
    """
    known = sorted(value for value in values if value > 0)
    low, high = _READS_WELL
    if column not in _OF_COLUMNS or not known or (known[0] >= low and known[-1] < high):
        return title, scale
    (what, steps), middle = _OF_COLUMNS[column], known[len(known) // 2]
    size, name = next((step for step in reversed(steps) if middle >= step[0]), steps[0])
    return f"{what} ({name})", 1.0 / size
