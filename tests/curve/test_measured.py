"""Optima outside what was measured: judged by the range of their quantity, marked where they are printed."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from isoflop.cli.terminal import joint_table
from isoflop.curve import measured
from isoflop.curve.measured import MeasuredRange, MeasuredRegion
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import fit_lines, numerals

RANGE = MeasuredRange.of("parameters", [3e6, 1e6, 6.9e9])


def best(value):
    return RANGE.judge(Estimate("optimal_parameters", value, Interval(1e5, 1e11), "parameters"))


@pytest.mark.parametrize(
    ("value", "outside"),
    [
        (1e6, None),
        (6.9e9, None),
        (6.9e9 * (1 + 1e-12), None),
        (1.24e10, "above the largest parameters measured, 6.9e+09"),
        (9.9e5, "below the smallest parameters measured, 1e+06"),
    ],
)
def test_a_value_is_judged_by_the_range_measured(value, outside):
    assert best(value).outside == outside
    assert best(value).measured == MeasuredRange("parameters", 1e6, 6.9e9)


@pytest.mark.parametrize("printed", [numerals.estimate, fit_lines.estimate, joint_table.interval])
def test_every_printed_estimate_outside_has_the_mark_behind_its_value(printed):
    assert printed(best(1.24e10)).partition(" (")[0].endswith(measured.MARK)
    assert measured.MARK not in printed(best(1e9))
    assert measured.MARK not in printed(Estimate("E", 1.24e10, Interval(None, None), "y"))


def test_the_footnote_names_each_range_once_and_only_where_a_mark_stands():
    assert measured.footnote([best(1e9), Estimate("E", 1.0, Interval(None, None), "y")]) is None
    note = measured.footnote([best(1.24e10), best(2e10), best(1e9)])
    assert note == "* outside what was measured (in all: parameters 1e+06 to 6.9e+09): extrapolated"


def region(compute, size):
    return MeasuredRegion.of("C", np.asarray(compute, dtype=float), {"N": np.asarray(size, dtype=float)})


def test_an_optimum_is_judged_by_the_sizes_trained_with_about_its_compute():
    """Sizes 1 to 4 at compute 1, 100 to 400 at 1e4; between the budgets they go on from one to the other."""
    measured_there = region([1, 1, 1, 1e4, 1e4], [1, 4, 2, 400, 100])
    for compute, least, largest in ((1, 1, 4), (1e4, 100, 400), (1e2, 10, 40)):
        (found,) = measured_there.at(compute)
        assert found.at == f"C {compute:.4g}"
        # A window of 25% of compute either way, along which sizes grow as its root.
        assert least * 1.25**-0.5 * 0.999 < found.least <= least * 1.001
        assert largest * 0.999 < found.largest < largest * 1.25**0.5 * 1.001
    (overall,) = measured_there.at(1e6)
    assert (overall.least, overall.largest) == pytest.approx((1, 400))
    assert overall.at is None
    assert measured_there.compute.outside(1e6) == "above the largest C measured, 1e+04"
    assert measured_there.at(1e2)[0].outside(80) == (
        f"above the largest N measured at C 100, {measured_there.at(1e2)[0].largest:.4g}"
    )


def test_a_budget_whose_compute_scatters_is_one():
    """The run of the largest compute alone is no range: those a little below it count too."""
    (found,) = region(1e6 * (1 + 0.02 * np.arange(9)), np.arange(1, 10)[::-1]).at(1e6 * 1.16)
    assert (found.least, found.largest) == pytest.approx((1, 9))


@pytest.mark.parametrize("seed", range(3))
def test_the_edges_are_those_of_the_convex_hull(seed):
    points = np.random.default_rng(seed).standard_normal((60, 2))
    made = region(*np.exp(points.T)).edges[0]
    hull = points[ConvexHull(points).vertices]
    assert {tuple(np.round(p, 9)) for p in np.concatenate(made)} == {tuple(np.round(p, 9)) for p in hull}
