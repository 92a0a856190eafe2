"""Per cent, shares and labels by the names and values of columns, and what a message offers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.table import columns, number_text


def y_warnings(y: list[float], name: str, **settings: object) -> list[str]:
    x, rows = np.arange(1.0, len(y) + 1), pd.RangeIndex(11, 11 + len(y))
    return columns.warnings_of_y("C", x, name, np.array(y), rows, **settings)  # type: ignore[arg-type]


# ---- per cent


@pytest.mark.parametrize(
    ("name", "percent", "without"),
    [
        ("error (%)", True, "error"),
        ("error [pct]", True, "error"),
        ("error_percent", True, "error"),
        ("Percentage wrong", True, " wrong"),
        ("% wrong", True, " wrong"),
        ("top5%", False, "top5%"),
        ("error at 5 %", False, "error at 5 %"),
        ("percentile", False, "percentile"),
        ("pctl", False, "pctl"),
        ("error", False, "error"),
    ],
)
def test_names_of_percentages(name: str, percent: bool, without: str) -> None:
    assert columns.is_percentage(name) is percent
    assert columns.without_percent(name) == without


@pytest.mark.parametrize(("largest", "refused"), [(0.0, False), (0.01, True), (1.0, True), (1.01, False)])
def test_a_percentage_of_at_most_one_may_be_a_fraction(largest: float, refused: bool) -> None:
    if not refused:
        columns.refuse_small_percentages("error_pct", largest)
        return
    with pytest.raises(
        ValueError, match=rf"^error_pct is called a percentage but is at most {largest:g}: say"
    ):
        columns.refuse_small_percentages("error_pct", largest)
    columns.refuse_small_percentages("error", largest)


@pytest.mark.parametrize(
    ("name", "calculated", "refused"),
    [
        ("test_error", False, True),
        ("error_pct", False, True),
        ("test_loss", False, False),
        ("100 - acc", True, True),
        ("(100.0 - acc)", True, True),
        ("1 - acc", True, False),
        ("2 * error", True, False),
    ],
)
def test_values_above_one_are_per_cent_where_a_share_is_meant(
    name: str, calculated: bool, refused: bool
) -> None:
    y = [0.9, 40.0, 0.2]
    if not refused:
        assert y_warnings(y, name, calculated=calculated) == []
        return
    message = (
        r" is 40 in row 12: is it in per cent\? Say --y-unit percent "
        r"\(an error rate is a fraction unless its unit is said\)$"
    )
    with pytest.raises(ValueError, match=message):
        y_warnings(y, name, calculated=calculated)
    assert y_warnings(y, name, calculated=calculated, unit="percent") == []
    assert y_warnings([1.0, 0.5, 0.2], name if "pct" not in name else "error", calculated=calculated) == []


@pytest.mark.parametrize(("least", "refused"), [(-1.0, False), (-1.5, True)])
def test_one_less_an_accuracy_in_per_cent_is_far_below_zero(least: float, refused: bool) -> None:
    y = [-0.5, least, -0.9]
    if not refused:
        assert y_warnings(y, "1 - acc", calculated=True) == []
        return
    message = r"^1 - acc is -1\.5 in row 12: is acc in per cent\? Say --y '100 - acc' --y-unit percent$"
    with pytest.raises(ValueError, match=message):
        y_warnings(y, "1 - acc", calculated=True)
    assert y_warnings(y, "1 - acc", calculated=True, unit="fraction") == []
    assert y_warnings(y, "2 - acc", calculated=True) == []
    assert y_warnings(y, "1 - acc") == []


def test_an_accuracy_says_its_cure_in_its_unit() -> None:
    rising = [0.2, 0.5, 0.9]
    with pytest.raises(
        ValueError, match=r"^val_acc rises with C: it looks like an accuracy\. .* '1 - val_acc'$"
    ):
        y_warnings(rising, "val_acc")
    with pytest.raises(ValueError, match=r"such as --y '100 - val_acc'$"):
        y_warnings(rising, "val_acc", unit="percent")
    with pytest.raises(ValueError, match=r"such as --y '100 - val_acc' --y-unit percent$"):
        y_warnings([20.0, 50.0, 90.0], "val_acc", unit="fraction")
    assert y_warnings(rising[::-1], "val_acc") == []


def test_infinite_values_are_no_largest() -> None:
    assert y_warnings([np.inf, 0.9, 0.5, 0.2], "test_error") == []


# ---- names


def test_weights_and_biases_prefixes_are_looked_through() -> None:
    names = ["summary.loss", "config.lr", "summary_metrics.top", "config.width.value", "lr.value"]
    for name, found in {
        "loss": ["summary.loss"],
        "lr": ["config.lr"],
        "top": ["summary_metrics.top"],
        "width": ["config.width.value"],
        "lr.value": ["lr.value"],
        "depth": [],
    }.items():
        assert columns.matches(name, names) == found
    assert columns.matches("a", ["config.a", "summary.a"]) == ["summary.a", "config.a"]
    table = pd.DataFrame(columns=["config.a", "summary.a", "width"])
    with pytest.raises(ValueError, match=r"^--x a is several columns: give one of summary\.a, config\.a$"):
        columns.find(table, "a", "x")
    with pytest.raises(ValueError, match=r"^--y widht: no such column: did you mean width\?$"):
        columns.find(table, "widht", "y")
    assert columns.nearest("a", []) == "there are none"


# ---- numbers and text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "y"], "row 8 repeats the header: remove that line"),
        (["a", "b"], "row 7: y is 'a', not a number, nor is any other row's: choose a column of numbers"),
        (["1", "b"], "row 8: y is 'b', not a number: leave the cell empty where the value is unknown"),
        (["", "1x"], "row 8: y is '1x', not a number: write it as a plain number"),
        (["nan", "b"], "row 8: y is 'b', not a number, nor is any other row's"),
    ],
)
def test_the_first_cell_that_is_no_number_is_named(values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        columns.numbers(pd.Series(values, index=[7, 8], name="y"))


def test_what_holds_text_shows_the_cell_that_may_be_meant_as_a_number() -> None:
    table = pd.DataFrame({"a": ["x", "1,5"], "b": ["x", "y"], "c": [None, "1,5"]})
    assert columns.holds_text(table, "a").startswith("a holds text ('1,5', not a number: write it with a")
    assert columns.holds_text(table, "b") == "b holds text"
    assert columns.holds_text(table, "c").startswith("c holds text ('1,5'")


def test_a_column_of_numbers_becomes_floats_and_any_other_stays() -> None:
    assert columns.if_numbers(pd.Series(["1", "", None])).tolist()[0] == 1.0
    for values in (["1", "x"], [None, None], [True, False]):
        series = pd.Series(values, dtype=object)
        assert columns.if_numbers(series) is series


@pytest.mark.parametrize(
    ("value", "label"),
    [("none", "none"), ("NA", "NA"), ("nan", None), ("", None), (" null ", None), (2.0, "2"), (2.5, "2.5")],
)
def test_none_and_na_may_be_words(value: object, label: str | None) -> None:
    assert columns.label(value) == label


def test_unknown_is_not_zero_and_text_is_not_unknown() -> None:
    assert columns.number("none") != columns.number("none"), "NaN"
    assert columns.number("1e400") == np.inf
    assert columns.number([1]) is None
    assert columns.no_number("a" * 31) == f"'{'a' * 27}...', not a number: {number_text.hint('a' * 31)}"


@pytest.mark.parametrize(
    ("cell", "cure"),
    [
        ("1,500", "write it with a decimal point, 1.500, or, if the comma marks thousands, 1500"),
        ("0,500", "write it with a decimal point, 0.500"),
        ("-0,500", "write it with a decimal point, -0.500"),
        ("1,50", "write it with a decimal point, 1.50"),
        ("1,5000", "write it with a decimal point, 1.5000"),
        ("1,500 E-3", "write it with a decimal point, 1.500e-3, or, if the comma marks thousands, 1500e-3"),
        ("12.5 %", "give fractions: divide by 100 (12.5% is 0.125)"),
        ("-1.234.567,5e3", "write it without marks between thousands, -1234567.5e3"),
        ("1.234.567", "write it without marks between thousands, 1234567"),
        ("-10^3", "write it as a plain number, such as 1500000 or 1.5e6, without units or other signs"),
        ("10**-3", "write it with an exponent, 1e-3"),
        ("-1.5 x 10^3", "write it with an exponent, -1.5e3"),
        ("\u22121", "write it with an ASCII minus sign, -1"),
    ],
)
def test_what_to_write_instead(cell: str, cure: str) -> None:
    assert number_text.hint(cell) == cure
