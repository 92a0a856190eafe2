"""Amounts with intervals: how that of a compute and that of a rate join."""

import math

import pytest

from isoflop.plan.amount import Amount, over, power, unknown


def test_two_intervals_join_as_the_root_of_their_squares() -> None:
    """0.3 decades of its own and 0.4 from a compute that it is proportional to make 0.5."""

    def at(log10: float) -> Amount:
        return Amount(10.0**log10, 10.0 ** (log10 - 0.3), 10.0 ** (log10 + 0.3))

    made = over(at, 2.0, 1.6, 2.4)
    assert made.value == pytest.approx(100.0)
    assert made.low is not None
    assert made.high is not None
    assert (math.log10(made.low), math.log10(made.high)) == pytest.approx((1.5, 2.5))


def test_an_amount_that_falls_as_compute_rises_has_its_ends_the_other_way_round() -> None:
    made = over(lambda log10: Amount(10.0**-log10, 10.0**-log10, 10.0**-log10), 2.0, 1.0, 4.0)
    assert (made.low, made.high) == pytest.approx((1e-4, 1e-1))


def test_an_open_end_of_compute_leaves_that_end_open() -> None:
    made = over(lambda log10: Amount(10.0**log10, 10.0**log10, 10.0**log10), 2.0, 1.0, None)
    assert made.low == pytest.approx(10.0)
    assert made.high is None


def test_what_no_number_holds_is_a_power_in_the_reason() -> None:
    assert power(350.0, 100.0, None) == Amount(None, 1e100, None, "10^350")
    assert over(lambda _: unknown("never"), 350.0, None, None).reason == "of 10^350 GFLOPs"
    assert over(lambda _: unknown("never"), 3.0, None, None).reason == "never"


def test_an_amount_beyond_the_floats_is_open_or_unknown_and_never_infinite() -> None:
    joules = Amount(1e300, 1e290, 1e305).times(1e9)
    assert joules.value is None
    assert joules.reason == "beyond 10^300"
    assert joules.low == pytest.approx(1e299)
    assert joules.high is None
