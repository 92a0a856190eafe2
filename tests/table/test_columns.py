"""Columns of tables from elsewhere: each threshold from both sides, each name that is and is not a share."""

import numpy as np
import pandas as pd
import pytest

from isoflop.table import columns, grouping


@pytest.mark.parametrize(
    ("name", "share", "accuracy"),
    [
        ("test_error", True, False),
        ("err", True, False),
        ("top1_errs", True, False),
        ("errors", False, False),
        ("terror", True, False),
        ("errand", False, False),
        ("val_acc", True, True),
        ("top-5", True, True),
        ("top_15", False, False),
        ("accuracy", True, True),
        ("accent", False, False),
        ("error of accuracy", True, False),
        ("mean squared error", False, False),
        ("rms_error", False, False),
        ("l2_error", False, False),
        ("test_loss", False, False),
    ],
)
def test_names_of_shares_and_accuracies(name, share, accuracy):
    assert columns.is_share(name) == share
    assert columns.is_accuracy(name) == accuracy


def y_warnings(y, name="test_error", x=None):
    x = np.arange(1.0, len(y) + 1) if x is None else np.asarray(x, dtype=float)
    return columns.warnings_of_y("x", x, name, np.asarray(y, dtype=float), pd.RangeIndex(1, len(y) + 1))


def test_a_y_that_rises_beyond_a_rank_correlation_of_one_half_gives_a_warning():
    # Ranks of y against 1 to 4: (2, 1, 4, 3) correlate by 0.6, (1, 4, 2, 3) by 0.4, (3, 1, 2, 4) by 0.4.
    (said,) = y_warnings([0.2, 0.1, 0.4, 0.3])
    assert "rank correlation 0.60" in said
    assert y_warnings([0.1, 0.4, 0.2, 0.3]) == []
    assert y_warnings([0.4, 0.3, 0.2, 0.1]) == []


def test_a_rank_correlation_of_exactly_one_half_gives_none():
    # (2, 1, 3) against 1 to 3: 1 - 6 x 2 / 24 = 0.5.
    assert y_warnings([0.2, 0.1, 0.3]) == []


def test_ranks_need_three_x_and_two_y():
    assert y_warnings([0.1, 0.2]) == []
    assert y_warnings([0.1, 0.2, 0.3], x=[1, 1, 2]) == []
    assert y_warnings([0.1, 0.1, 0.1]) == []
    assert y_warnings([0.1, 0.2, 0.2]) != []
    assert y_warnings([0.1, 0.2, np.nan, 0.3]) != [], "rows where either is unknown are left out"


@pytest.mark.parametrize(("largest", "refused"), [(1.0, False), (1.01, True)])
def test_an_error_above_one_is_per_cent(largest, refused):
    y = [largest, 0.5, 0.2]
    if not refused:
        assert y_warnings(y) == []
        return
    with pytest.raises(ValueError, match=r"test_error is 1.01 in row 1: is it in per cent"):
        y_warnings(y)


@pytest.mark.parametrize(
    ("top", "cure"), [(0.9, "--y '1 - val_acc'$"), (90.0, "--y '100 - val_acc' --y-unit percent$")]
)
def test_an_accuracy_that_rises_at_all_is_refused_with_the_cure(top, cure):
    with pytest.raises(ValueError, match=cure):
        y_warnings([0.3 * top, 0.1 * top, 0.9 * top, 0.8 * top], name="val_acc")
    assert y_warnings([0.9, 0.5, 0.3, 0.2], name="val_acc") == []


def test_x_without_a_logarithm_is_counted_from_zero():
    said = columns.warnings_of_x("C", np.array([1.0, 0.0, -2.0, 3.0]), pd.RangeIndex(2, 6))
    assert said == [
        "C is at or below 0 in 2 of 4 rows, first in row 3: they have no logarithm and are left out"
    ]
    assert columns.warnings_of_x("C", np.array([1e-9, 1.0]), pd.RangeIndex(2)) == []
    (said_of_name,) = columns.warnings_of_x("log10 flops", np.array([1.0]), pd.RangeIndex(1))
    assert "sounds like a logarithm" in said_of_name
    assert columns.warnings_of_x("catalog", np.array([1.0]), pd.RangeIndex(1)) == []


@pytest.mark.parametrize(
    ("value", "number"),
    [("1e3", 1000.0), (" 2 ", 2.0), (3, 3.0), ("1_000", None), (True, None), ("x", None), (10**400, np.inf)],
)
def test_numbers_as_people_write_them(value, number):
    assert columns.number(value) == number


@pytest.mark.parametrize("value", [None, "", "NaN", "n/a", " null ", "#N/A"])
def test_unknown_numbers(value):
    assert np.isnan(columns.number(value))


@pytest.mark.parametrize(
    ("value", "label"), [(64.0, "64"), (0.5, "0.5"), ("a", "a"), (None, None), (np.nan, None)]
)
def test_labels(value, label):
    assert columns.label(value) == label


def test_a_long_cell_is_cut_in_the_message():
    for length, shown in ((30, "x" * 30), (31, "x" * 27 + "...")):
        with pytest.raises(ValueError, match=rf"row 7: y is '{shown}', not a number: leave"):
            columns.numbers(pd.Series(["x" * length, 1.0], index=[7, 8], name="y"))


def test_scales_are_a_hundredth_wide_from_their_least_x():
    x = np.array([1.0, 1.0099, 1.0101, 1.02, 1.0202, 5.0])
    assert grouping.distinct_scales(x).tolist() == [0, 0, 1, 1, 1, 2]
    assert grouping.distinct_scales(x[::-1]).tolist() == [2, 1, 1, 1, 0, 0]
    assert grouping.distinct_scales(np.array([0.0, 0.0, 1.0])).tolist() == [0, 0, 1]


def test_a_rank_correlation_is_over_the_rows_where_both_are_known():
    """Without the rows of an unknown x or y, 1 to 4 rise with 1 to 4."""
    y = [1.0, 2.0, 3.0, 4.0, 0.5, np.nan]
    (said,) = y_warnings(y, name="y", x=[1, 2, 3, 4, np.nan, 0])
    assert "rank correlation 1.00" in said
