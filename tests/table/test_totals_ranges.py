"""What the numbers of a row of totals may be: both sides of each tolerance and of each range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from isoflop.table import totals

VALUES = np.array([1.0, 2.0, 2.0, 9.0])


@pytest.mark.parametrize(
    ("kind", "values", "low", "high"),
    [
        ("sum", VALUES, 1.0, math.inf),
        ("sum", np.array([-1.0, 2.0]), -math.inf, math.inf),
        ("sum", np.array([0.0, 2.0]), 0.0, math.inf),
        ("std", VALUES, 0.0, 8.0),
        ("count", VALUES, 0.0, 4.0),
        ("mean", VALUES, 1.0, 9.0),
        ("max", VALUES, 1.0, 9.0),
        ("25%", VALUES, 1.0, 9.0),
    ],
)
def test_the_range_of_each_kind(kind: str, values: np.ndarray, low: float, high: float) -> None:
    assert totals._range(kind, values) == (low, high)


@pytest.mark.parametrize(
    ("kind", "amounts"),
    [
        ("sum", [14.0, 3.5]),
        ("mean", [3.5]),
        ("median", [2.0]),
        ("min", [1.0]),
        ("max", [9.0]),
        ("count", [4.0]),
        ("75%", [3.75]),
        ("0%", [1.0]),
        ("100%", [9.0]),
    ],
)
def test_the_amounts_of_each_kind(kind: str, amounts: list[float]) -> None:
    assert totals._amounts(kind, VALUES) == amounts


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        *((word, "sum") for word in ("Total", "totals:", "Grand total", "sub-total", "SUM", "subtotal")),
        *((word, "mean") for word in ("mean", "Average", " avg. ")),
        *(
            (word, "std")
            for word in ("std", "Std. Dev.", "stddev", "stdev", "st_dev", "SD", "standard deviation")
        ),
        *(("median", "median"), ("50%", "median"), ("25%", "25%"), ("2.5%", "2.5%")),
        *(("min", "min"), ("Minimum", "min"), ("max", "max"), ("Maximum", "max"), ("count", "count")),
        *((word, None) for word in ("run 1", "totally", "25", "%", "", None, 3.0)),
    ],
)
def test_words_that_name_a_total(cell: object, kind: str | None) -> None:
    assert totals._kind(cell) == kind


def fits(x: float, y: float, kind: str, *, exact: bool) -> bool:
    above = pd.DataFrame({"x": VALUES, "y": 10 * VALUES})
    return totals._fits(pd.Series({"x": x, "y": y}), above, kind, ("x", "y"), exact=exact)


@pytest.mark.parametrize(
    ("share", "equal"), [(0.9e-3, True), (1.1e-3, False), (-0.9e-3, True), (-1.1e-3, False)]
)
def test_a_value_that_was_rounded_is_equal_within_a_thousandth(share: float, equal: bool) -> None:
    assert fits(14 * (1 + share), 140.0, "sum", exact=True) == equal
    assert fits(14.0, 140 * (1 + share), "sum", exact=True) == equal, "both axes count"


@pytest.mark.parametrize(
    ("x", "possible"), [(1.0, True), (0.999, False), (9.0, True), (9.1, False), (5.0, True)]
)
def test_a_mean_lies_between_the_least_and_the_largest(x: float, possible: bool) -> None:
    assert fits(x, 35.0, "mean", exact=False) == possible
    assert not fits(x, 35.0, "mean", exact=True)


def test_an_axis_without_a_value_says_nothing() -> None:
    assert fits(14.0, math.nan, "sum", exact=True)
    assert not fits(math.nan, math.nan, "sum", exact=True), "nothing was judged"
    assert fits(math.nan, math.nan, "sum", exact=False)
    above = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    row = pd.Series({"x": 3.0, "y": 3.0})
    assert not totals._fits(row, above, "sum", ("x", "y"), exact=True), "of two rows nothing is a sum"


@pytest.mark.parametrize(("share", "is_one"), [(0.0, True), (0.9e-9, True), (1.2e-9, False)])
def test_without_a_name_the_sum_is_exact(share: float, is_one: bool) -> None:
    above = pd.DataFrame({"x": VALUES, "y": VALUES})
    row = pd.Series({"x": 14 * (1 + share), "y": 14.0})
    assert totals._sums_up(row, above, ("x", "y"), means_count=True) == is_one
    assert totals._sums_up(row, above, ("x", "y"), means_count=False) == is_one


@pytest.mark.parametrize(
    ("x", "y", "with_names", "without"),
    [
        (14.0, 14.0, True, True),
        (14.0, 3.5, True, False),
        (3.5, 14.0, True, False),
        (3.5, 3.5, True, False),
        (14.0, 5.0, False, False),
        (5.0, 14.0, False, False),
    ],
)
def test_means_count_only_in_a_row_that_lacks_its_name(
    x: float, y: float, with_names: bool, without: bool
) -> None:
    above, row = pd.DataFrame({"x": VALUES, "y": VALUES}), pd.Series({"x": x, "y": y})
    assert totals._sums_up(row, above, ("x", "y"), means_count=True) == with_names
    assert totals._sums_up(row, above, ("x", "y"), means_count=False) == without


def test_a_mean_of_x_that_is_an_x_above_is_a_run() -> None:
    """The middle of a grid, repeated at the end."""
    above = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    row = pd.Series({"x": 2.0, "y": 2.0})
    assert not totals._sums_up(row, above, ("x", "y"), means_count=True)


# ---- which rows are looked at


def found(rows: Sequence[tuple[object, ...]], *names: str, seed: str | None = None) -> tuple[list[int], int]:
    """Rows that are taken for totals, counted from 1, and how many are doubted."""
    raw = pd.DataFrame(rows, columns=list(names), index=range(1, len(rows) + 1), dtype=object)
    result = totals.find(raw, "x", "y", seed)
    return sorted(result.rows), len(result.doubts)


RUNS: list[tuple[object, ...]] = [("a", 1.0, 4.0), ("b", 2.0, 3.0), ("c", 4.0, 2.0)]


def test_a_table_of_three_rows_has_no_totals() -> None:
    total = ("Total", 3.0, 7.0)
    assert found([*RUNS[:2], total], "name", "x", "y") == ([], 0)
    assert found([*RUNS, ("Total", 7.0, 9.0)], "name", "x", "y") == ([4], 0)


def test_only_a_word_that_no_row_above_has_names_a_total() -> None:
    rows = [("mean", 1.0, 4.0), ("sum", 2.0, 3.0), ("c", 4.0, 2.0), ("Mean", 7 / 3, 3.0)]
    assert found(rows, "name", "x", "y") == ([], 0)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("name", True),
        ("run", True),
        ("Model", True),
        ("experiment id", True),
        ("pooling", False),
        ("runner", False),
    ],
)
def test_a_possible_total_is_believed_in_a_column_of_row_names(header: str, taken: bool) -> None:
    """2.5 and 2.9 are between the least and the largest, and not the means."""
    rows = [*RUNS, ("mean", 2.5, 2.9)]
    assert found(rows, header, "x", "y") == (([4], 0) if taken else ([], 1))
    assert found([*RUNS, ("mean", 7 / 3, 3.0)], header, "x", "y") == ([4], 0), "proved by its numbers"


def test_names_that_repeat_are_no_row_names() -> None:
    rows = [("a", 1.0, 4.0), ("a", 2.0, 3.0), ("c", 4.0, 2.0), ("mean", 2.5, 2.9)]
    assert found(rows, "name", "x", "y") == ([], 1)


def test_one_total_that_is_proved_proves_the_others_of_its_column() -> None:
    rows = [*RUNS, ("mean", 7 / 3, 3.0), ("std", 1.0, 0.5)]
    assert found(rows, "pooling", "x", "y") == ([4, 5], 0)


def test_a_doubt_says_which_row_and_why() -> None:
    raw = pd.DataFrame(
        [*RUNS, ("mean", 99.0, 2.9)], columns=["name", "x", "y"], index=[1, 2, 3, 4], dtype=object
    )
    result = totals.find(raw, "x", "y")
    assert result.rows == {}
    (doubt,) = result.doubts
    assert doubt == (
        "row 4 is kept as a run: name is mean, which its numbers do not bear out: "
        "remove the row if it is none"
    )
    raw.loc[4, "x"] = 2.0
    assert totals.find(raw, "x", "y").rows == {4: "a row of totals: name is mean (rename it if it is a run)"}


def test_rows_without_names_are_looked_at_together_if_something_in_them_is_empty() -> None:
    rows: list[tuple[object, ...]] = [*RUNS, (None, 7.0, 9.0)]
    assert found(rows, "name", "x", "y") == ([4], 0)
    assert found([row[1:] for row in rows], "x", "y") == ([4], 0), "nothing could be empty: sums alone count"
    assert found([row[1:] for row in [*RUNS, (None, 7.0, 3.0)]], "x", "y") == ([], 0)


def test_a_seed_that_is_given_or_so_called_makes_a_row_a_run() -> None:
    seeds = [(0, 1.0, 4.0), (1, 2.0, 3.0), (2, 4.0, 2.0), (3, 7.0, 9.0)]
    assert found(seeds, "seed", "x", "y") == ([], 0)
    assert found(seeds, "s", "x", "y", seed="s") == ([], 0)
    assert found([*seeds[:3], (None, 7.0, 9.0)], "seed", "x", "y") == ([4], 0)
