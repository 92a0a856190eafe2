"""Amounts in units that read well."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from isoflop.report.text import units


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (units.grams, 0.0123, "12.3 mg"),
        (units.grams, 999.4, "999 g"),
        (units.grams, 999.96, "1.00 kg"),
        (units.grams, 1.5e6, "1.50 t"),
        (units.grams, None, "–"),
        (units.grams, math.nan, "–"),
        (units.grams, 0.0, "0 g"),
        (units.joules, 100.0, "100 J"),
        (units.joules, 3600.0, "1.00 Wh"),
        (units.joules, 3.6e6, "1.00 kWh"),
        (units.joules, 5.4e12, "1.50 GWh"),
        (units.dollars, 0.123, "12.3 cents"),
        (units.dollars, 1.0, "1.00 dollars"),
        (units.dollars, 9990.0, "9,990 dollars"),
        (units.dollars, 12_300.0, "12.3 thousand dollars"),
        (units.dollars, 4.5e6, "4.50 million dollars"),
        (units.gflops, 0.5, "500 MFLOPs"),
        (units.gflops, 4.89e7, "48.9 PFLOPs"),
        (units.gflops, 3e15, "3.00 YFLOPs"),
    ],
)
def test_an_amount_is_written_in_the_largest_unit_of_which_there_is_one(
    show: Callable[[float | None], str], value: float | None, text: str
) -> None:
    assert show(value) == text
