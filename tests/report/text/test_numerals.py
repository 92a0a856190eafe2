import math

import pytest

from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import numerals


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (12345.0, "12,300"),
        (999.6, "1,000"),
        (0.01234, "0.0123"),
        (1.234e9, "1.23 × 10⁹"),
        (9.996e8, "1.00 × 10⁹"),
        (-2.5e-7, "-2.50 × 10⁻⁷"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (1.7976931348623157e308, "1.80 × 10³⁰⁸"),
        (-1.797e308, "-1.80 × 10³⁰⁸"),
        (5e-324, "4.94 × 10⁻³²⁴"),
    ],
)
def test_numbers_have_three_digits_and_a_readable_magnitude(value, words):
    assert numerals.number(value) == words


def test_compact_numbers_can_be_read_back():
    for value in (1.5e-7, 0.25, 123456.0, 3e12):
        assert float(numerals.compact(value)) == pytest.approx(value, rel=1e-3)
        assert float(numerals.padded(value).replace(",", "")) == pytest.approx(value, rel=1e-3)
    assert numerals.padded(25.0) == "25.00"
    assert numerals.padded(1234.0) == "1,234"
    assert numerals.padded(3e12) == "3,000,000,000,000", "never as a power of ten"
    assert numerals.padded(math.nan) == "–"
    assert numerals.padded(1e308).startswith("100,000,")


def test_unbounded_sides_are_named():
    assert numerals.interval(Interval(1.0, 2.0)) == "1.00 to 2.00"
    assert numerals.interval(Interval(1.0, None)) == "above 1.00"
    assert numerals.interval(Interval(None, 2.0)) == "below 2.00"
    assert numerals.interval(Interval(None, None)) == "unbounded"
    assert numerals.estimate(Estimate("b", 0.5, Interval(0.4, None), "1")) == "0.500 (above 0.400)"


def test_shares_durations_and_counts_in_words():
    assert numerals.percent(0.0325) == "3.25%"
    assert numerals.seconds(12.34) == "12.3 s"
    assert numerals.seconds(600) == "10.0 min"
    assert numerals.seconds(36000) == "10.0 h"
    assert numerals.plural(1, "run") == "1 run"
    assert numerals.plural(1200, "run") == "1,200 runs"


def test_a_number_that_falls_short_reads_as_less():
    assert numerals.short_of(math.log10(30), 1.5) == "1.48"
    assert numerals.short_of(1.4, 1.5) == "1.4"
    assert numerals.short_of(1.49999, 1.5) == "1.49999"
