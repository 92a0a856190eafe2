"""Rows chosen by a condition: what it means is what it says, and unknown rows are on neither side."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.table import selection

TABLE = pd.DataFrame(
    {
        "run_id": list("abcdef"),
        "train_gflops": [1e3, 1e4, 1e5, 1e6, 1e7, np.nan],
        "Model Size": [1.0, 1.0, 2.0, np.nan, 2.0, 1.0],
        "family": ["mlp", "vit", "mlp", None, "64", "mlp"],
        "bread and butter": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }
)


def sides(expression: str, table: pd.DataFrame = TABLE) -> tuple[str, str, int]:
    split = selection.split(table, expression)
    return "".join(split.fit_rows["run_id"]), "".join(split.held_rows["run_id"]), split.unknown


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("train_gflops>1e5", ("abc", "de", 1)),
        ("train_gflops>=1e5", ("ab", "cde", 1)),
        ("train_gflops<1e5", ("cde", "ab", 1)),
        ("train_gflops<=1e5", ("de", "abc", 1)),
        ("train_gflops==1e5", ("abde", "c", 1)),
        ("train_gflops!=1e5", ("c", "abde", 1)),
        ("bread and butter>4", ("abcd", "ef", 0)),
        ("family==mlp", ("be", "acf", 1)),
        ("family!=mlp", ("acf", "be", 1)),
        ("family=='64'", ("abcf", "e", 1)),
        ("Model Size>1.5 and train_gflops<1e8", ("abf", "ce", 1)),
        ("bread and butter>3 and train_gflops<1e7", ("abce", "d", 1)),
        ("1e3 < train_gflops <= 1e6", ("ae", "bcd", 1)),
        ("not family == mlp", ("acf", "be", 1)),
        ("family in [mlp, 'vit']", ("e", "abcf", 1)),
        ("family not in ['mlp']", ("acf", "be", 1)),
        ("train_gflops>1e5 or family=='mlp'", ("b", "acdef", 0)),
    ],
)
def test_each_operator_and_unknown_rows_on_neither_side(expression, expected):
    assert sides(expression) == expected


def test_a_row_that_breaks_one_condition_is_fitted_whatever_the_other_says():
    # d: size unknown but above 1e5, so neither; f: flops unknown, but size 1 breaks the rule; a, b likewise
    assert sides("train_gflops>1e4 and Model Size==2") == ("abf", "ce", 1)


def test_rows_keep_their_order_columns_and_index():
    split = selection.split(TABLE.iloc[::-1], "train_gflops>1e5")
    assert split.held_rows["run_id"].tolist() == ["e", "d"]
    pd.testing.assert_frame_equal(split.fit_rows, TABLE.loc[[2, 1, 0]])


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        ("train_gflop>1", "no column train_gflop: did you mean train_gflops"),
        ("train_gflops>1e9", r"no row is held out: train_gflops is from 1000 to 1e\+07"),
        ("train_gflops>0", r"no row is left to fit: train_gflops is from 1000 to 1e\+07"),
        ("family==resnet", "no row is held out"),
        ("family>3", "family holds text: compare it by == or !="),
        ("family==64", "family holds text: compare it by == or != with a text in quotes"),
        ("train_gflops==mlp", "train_gflops holds numbers, not text like mlp"),
        ("family == 'resnet'", "no row is held out: family is mlp, vit, 64"),
        ("train_gflops>big", "no column big"),
        ("train_gflops<inf", "no column inf"),
        ("train_gflops!=nan", "no column nan"),
    ],
)
def test_a_rule_that_cannot_split_the_table_is_refused(expression, match):
    with pytest.raises(ValueError, match=match):
        sides(expression)


def test_numbers_with_marks_between_thousands_are_named():
    table = TABLE.assign(size=[f"{i},000" for i in range(len(TABLE))])
    with pytest.raises(ValueError, match=r"size holds text \('0,000', not a number: .*\): compare it by =="):
        sides("size>3", table)


def test_a_column_without_a_known_value_splits_nothing():
    with pytest.raises(ValueError, match="no row is held out"):
        sides("x>1", TABLE.assign(x=np.nan))


@given(
    values=st.lists(st.one_of(st.integers(-3, 3), st.none()), min_size=1, max_size=12),
    bound=st.integers(-3, 3),
    sign=st.sampled_from([">", ">=", "<", "<=", "==", "!="]),
)
def test_the_sides_are_complements_among_the_known(values, bound, sign):
    table = pd.DataFrame({"run_id": range(len(values)), "x": pd.Series(values, dtype=float)})
    known = [v for v in values if v is not None]
    meets = {">": bound.__lt__, ">=": bound.__le__, "<": bound.__gt__, "<=": bound.__ge__}.get(sign)
    holds = [meets(v) if meets else (v == bound) == (sign == "==") for v in known]
    text = f"x{sign}{bound}"
    if all(holds) or not any(holds):
        with pytest.raises(ValueError, match="no row"):
            selection.split(table, text)
        return
    split = selection.split(table, text)
    assert split.held_rows["x"].tolist() == [v for v, h in zip(known, holds, strict=True) if h]
    assert split.fit_rows["x"].tolist() == [v for v, h in zip(known, holds, strict=True) if not h]
    assert split.unknown == len(values) - len(known)


def test_where_keeps_the_rows_that_are_known_to_meet_it_and_counts_the_others():
    kept, (note,) = selection.where(TABLE, "train_gflops > 1e4")
    assert "".join(kept["run_id"]) == "cde"
    assert note == "--where train_gflops > 1e4: 3 of 6 rows; 1 without a value that decides are left out"
    assert selection.where(TABLE, None) == (TABLE, ())


def test_where_that_no_row_meets_says_what_the_columns_hold():
    with pytest.raises(
        ValueError, match=r"--where .*: no row is left: train_gflops is from 1000 to 1e\+07, f"
    ):
        selection.where(TABLE, "train_gflops > 1e9 and family == 'mlp'")
