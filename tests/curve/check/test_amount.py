"""How much was measured: each threshold from both sides."""

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import amount


def scaled(decades, scales, configs=None):
    """Runs whose compute spans so many decades in so many scales, by default one configuration a scale."""
    x = np.geomspace(1.0, 10.0**decades, scales)
    x = np.r_[x, [x[-1]] * ((configs or scales) - scales)]
    names = [f"c{i}" for i in range(len(x))]
    return pd.DataFrame({"config_id": names, "run_id": names, "train_gflops": x})


@pytest.mark.parametrize(
    ("table", "severity", "advice"),
    [
        (scaled(2.01, 5), None, None),
        (scaled(1.99, 5), "note", "at least 2 decades"),
        (scaled(2.01, 4, 5), "note", "at least 5 scales"),
        (scaled(1.51, 5), "note", "at least 2 decades"),
        (scaled(1.49, 5), "warning", "at least 2 decades"),
        (scaled(2.01, 3, 5), "note", "at least 5 scales"),
        (scaled(2.01, 2, 5), "warning", "at least 5 scales"),
        (scaled(1.6, 4, 5), "note", "at least 2 decades and 5 scales"),
        (scaled(1.6, 4, 4), "warning", "at least 2 decades and 5 scales"),
    ],
)
def test_decades_scales_and_configurations_decide_how_grave_it_is(table, severity, advice):
    outcome = amount.check_scales(table)
    assert (outcome.passed is not None) == (severity is None)
    if severity:
        (found,) = outcome.findings
        assert found.severity == severity
        assert found.what_to_do.endswith(advice)
        assert ("too little for an answer" in found.sentence) == (severity == "warning")


def test_exactly_two_decades_are_enough():
    assert amount.check_scales(scaled(2.0, 5)).passed == "2 decades of compute, 5 scales, 5 configurations"


def test_runs_without_compute_are_no_scale():
    table = scaled(2.5, 6)
    table.loc[0, "train_gflops"] = 0.0
    assert amount.check_scales(table).passed == "2 decades of compute, 5 scales, 5 configurations"
    assert amount.check_scales(table.iloc[:1]).not_checked


def seeded(*counts):
    """One configuration a count, with so many seeds."""
    rows = [(f"c{i}", f"c{i}s{s}", float(s)) for i, count in enumerate(counts) for s in range(count)]
    return pd.DataFrame(rows, columns=["config_id", "run_id", "seed"])


@pytest.mark.parametrize(
    ("counts", "severity", "listed"),
    [
        ((3, 3), None, ()),
        ((2, 3), "note", ("c0",)),
        ((2, 2), "note", ()),  # every configuration: none is listed
        ((1, 3), "note", ("c0",)),
        ((1, 2, 3), "note", ("c0",)),
        ((1, 1), "warning", ()),
    ],
)
def test_seeds_are_counted_by_configuration(counts, severity, listed):
    outcome = amount.check_seeds(seeded(*counts))
    assert (outcome.passed is not None) == (severity is None)
    if severity:
        (found,) = outcome.findings
        assert found.severity == severity
        assert tuple(s.name for s in found.subjects) == listed
        assert ("luck and size cannot be separated" in found.sentence) == (min(counts) == 1)
