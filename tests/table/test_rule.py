"""The rule of --hold-out: what it means is what it says, and unknown rows are on neither side."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.table import rule
from isoflop.table.rule import Condition

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
    split = rule.split(table, rule.parse(expression))
    return "".join(split.fit_rows["run_id"]), "".join(split.held_rows["run_id"]), split.unknown


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("train_gflops>1e5", [("train_gflops", ">", 1e5)]),
        ("  train_gflops >= 100000 ", [("train_gflops", ">=", 1e5)]),
        ("x<-.5", [("x", "<", -0.5)]),
        ("x<=1", [("x", "<=", 1.0)]),
        ("x==1 and y!=2", [("x", "==", 1.0), ("y", "!=", 2.0)]),
        ("Model Size>2e9 and train_gflops<1", [("Model Size", ">", 2e9), ("train_gflops", "<", 1.0)]),
        ("bread and butter>3 and x<1", [("bread and butter", ">", 3.0), ("x", "<", 1.0)]),
        ("family!=vit", [("family", "!=", "vit")]),
        ("family=='64'", [("family", "==", "64")]),
        ('Name == "a > b and c" and x>1', [("Name", "==", "a > b and c"), ("x", ">", 1.0)]),
        ("config.width>8", [("config.width", ">", 8.0)]),
    ],
)
def test_expressions_parse_to_their_conditions(expression, expected):
    parsed = rule.parse(expression)
    assert parsed.conditions == tuple(Condition(*each) for each in expected)
    assert parsed.expression == expression


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        *((bad, "Give a column, one of >= <= == != > <, and a number") for bad in ("", " ", "x", "x>", ">1")),
        ("x=1", "Give a column"),
        ("1<x<2", "Give a column"),
        ("x>1 or y<2", "Give a column"),
        ("x>1 and", "Give a column"),
        ("x>1 and y", "Give a column"),
        ("x>1 2", "Give a column"),
        ("__import__('os')", "Give a column"),
        ("x>big", "x > big compares with a text"),
        ("x>10**6", "compares with a text"),
        ("x<inf", "inf is no bound"),
        ("x!=nan", "nan is no bound"),
    ],
)
def test_what_is_no_expression_is_refused_with_an_example(expression, match):
    with pytest.raises(ValueError, match=match) as error:
        rule.parse(expression)
    assert "'train_gflops>1e6'" in str(error.value)
    assert "\n" not in str(error.value)


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
    ],
)
def test_each_operator_and_unknown_rows_on_neither_side(expression, expected):
    assert sides(expression) == expected


def test_a_row_that_breaks_one_condition_is_fitted_whatever_the_other_says():
    # d: size unknown but above 1e5, so neither; f: flops unknown, but size 1 breaks the rule; a, b likewise
    assert sides("train_gflops>1e4 and Model Size==2") == ("abf", "ce", 1)


def test_rows_keep_their_order_columns_and_index():
    split = rule.split(TABLE.iloc[::-1], rule.parse("train_gflops>1e5"))
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
    sign=st.sampled_from(sorted(rule.OPERATORS)),
)
def test_the_sides_are_complements_among_the_known(values, bound, sign):
    table = pd.DataFrame({"run_id": range(len(values)), "x": pd.Series(values, dtype=float)})
    known = [v for v in values if v is not None]
    meets = {">": bound.__lt__, ">=": bound.__le__, "<": bound.__gt__, "<=": bound.__ge__}.get(sign)
    holds = [meets(v) if meets else (v == bound) == (sign == "==") for v in known]
    parsed = rule.parse(f"x{sign}{bound}")
    if all(holds) or not any(holds):
        with pytest.raises(ValueError, match="no row"):
            rule.split(table, parsed)
        return
    split = rule.split(table, parsed)
    assert split.held_rows["x"].tolist() == [v for v, h in zip(known, holds, strict=True) if h]
    assert split.fit_rows["x"].tolist() == [v for v, h in zip(known, holds, strict=True) if not h]
    assert split.unknown == len(values) - len(known)
