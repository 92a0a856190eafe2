"""Expressions over columns: what they compute, and that nothing but arithmetic of columns is evaluated."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.table import derived, evaluate, expression

TABLE = pd.DataFrame(
    {
        "x": [1.0, 2.0, 3.0, np.nan],
        "n": ["1e3", "2e3", "", "4e3"],
        "train/loss": [4.0, 3.0, 2.0, 1.0],
        "config.width": [8, 16, 32, 64],
        "Model Size": [1.0, 2.0, 3.0, 4.0],
        "lambda": [0.1, 0.2, 0.3, 0.4],
        "µ": [1.0, 2.0, 3.0, 4.0],
        "outlier": ["True", "false", "False", None],
        "done": [True, False, True, True],
        "flag": [1.0, 0.0, np.nan, 1.0],
        "family": ["mlp", "vit", "mlp", None],
        "a": [5.0, 5.0, 5.0, 5.0],
        "b": [2.0, 2.0, 2.0, 2.0],
        "a-b": [7.0, 7.0, 7.0, 7.0],
    }
)


def numbers(text, table=TABLE):
    return evaluate.numbers(expression.parse(text, table.columns, "x"), table)


def truths(text, table=TABLE):
    """One letter a row: t, f, or ? where that is unknown."""
    held = evaluate.truths(expression.parse(text, table.columns, "where"), table)
    assert not (held.true & held.false).any()
    return "".join("t" if t else "f" if f else "?" for t, f in zip(held.true, held.false, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6 * x * n", [6e3, 24e3, np.nan, np.nan]),
        ("1 - x / 4", [0.75, 0.5, 0.25, np.nan]),
        ("-x ** 2 + 1", [0.0, -3.0, -8.0, np.nan]),
        ("train/loss * 2", [8.0, 6.0, 4.0, 2.0]),
        ("`train/loss` - 1", [3.0, 2.0, 1.0, 0.0]),
        ("width / 8", [1.0, 2.0, 4.0, 8.0]),
        ("config.width / 8", [1.0, 2.0, 4.0, 8.0]),
        ("Model Size * 1e9", [1e9, 2e9, 3e9, 4e9]),
        ("lambda + µ", [1.1, 2.2, 3.3, 4.4]),
        ("`a-b` + 0", [7.0] * 4),
        ("a - b", [3.0] * 4),
        ("x / 0", [np.inf, np.inf, np.inf, np.nan]),
        ("9 ** 9 ** 9 ** x", [np.inf, np.inf, np.inf, np.nan]),
        ("1_000 * x", [1e3, 2e3, 3e3, np.nan]),
    ],
)
def test_arithmetic_of_columns(text, expected):
    np.testing.assert_allclose(numbers(text), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x > 1", "ftt?"),
        ("1 < x <= 2", "ftf?"),
        ("x > 2 or family == 'mlp'", "tft?"),
        ("x > 2 and family == 'mlp'", "fft?"),
        ("not x > 1", "tff?"),
        ("not outlier", "ftt?"),
        ("outlier == 'True'", "tff?"),
        ("outlier == 1", "tff?"),
        ("outlier == False", "ftt?"),
        ("done and x < 3", "tff?"),
        ("flag", "tf?t"),
        ("family in ['mlp', 'gpt']", "tft?"),
        ("family not in (mlp,)", "ftf?"),
        ("x in [1, 3]", "tft?"),
        ("family == vit", "ftf?"),
        ("family > 'n'", "ftf?"),
        ("'vit' == family", "ftf?"),
        ("width == 16 or False", "ftff"),
        ("outlier or True", "tttt"),
        ("x > 5 and family == 'x'", "fff?"),
    ],
)
def test_conditions_in_three_valued_logic(text, expected):
    assert truths(text) == expected


@given(st.text(alphabet="xab()[]{}'\"`.,:=<>!&|~^%#@\\ \n0123456789andortifl_*+-/", max_size=40))
def test_any_text_is_a_value_or_one_line(text):
    try:
        held = evaluate.truths(expression.parse(text, TABLE.columns, "where"), TABLE)
    except ValueError:
        return  # any other error fails the test
    assert not (held.true & held.false).any()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "an empty expression"),
        ("y > 1", "no column y: did you mean"),
        ("log10(x) > 1", r"log10\(x\): a call is not taken"),
        ("__import__('os').system('true')", "a call is not taken"),
        ("x.real > 1", r"no column x.real; x.real: an attribute is not taken"),
        ("x.__class__.__mro__", "an attribute is not taken"),
        ("x[0] > 1", "an index is not taken"),
        ("[v for v in x]", "only arithmetic"),
        ("lambda: 1", "not an expression"),
        ("x if a else b", "only arithmetic"),
        ("(x := 1) > 0", "compare by ==|only arithmetic"),
        ("f'{x}' == 'a'", "not an expression|no column f"),
        ("x = 1", "compare by =="),
        ("x > 1 & a < 2", "write and for &"),
        ("x > 10^6", r"write \*\* for a power"),
        ("~x", "write not for ~"),
        ("x > 1,000", "a number has no comma"),
        ("x == None", "None is no number or text"),
        ("x > 1j", "1j is no number"),
        ("x > 1 # note", "# begins nothing"),
        ("family == 'mlp", "' is not closed"),
        ("`nope` > 1", "no column nope"),
        ("a-b > 1", "a-b is a column, and may be an expression of a and b"),
        ("family * 2 > 1", "family holds text: arithmetic takes numbers"),
        ("family > 3", "family holds text: compare it by == or != with a text in quotes"),
        ("x == mlp", "no column mlp: .* and x holds numbers, not text like mlp"),
        ("outlier == 'maybe'", "outlier holds true and false, not text like 'maybe'"),
        ("x + 1", r"x \+ 1 is a number, not a condition: compare it"),
        ("x", "x is a number, not a condition"),
        ("family", "family is text, not a condition"),
        ("outlier + 1 > 0", "outlier is a condition: arithmetic takes numbers"),
        ("outlier > a", "true and false have no order"),
        ("family in 'mlp'", "in takes a list"),
        ("x in []", "in takes a list"),
        ("-" * 300 + "x > 1", "too deeply nested"),
        ("(" * 900 + "x" + ")" * 900, "nested|not an expression"),
        ("x > " + "1" * 3000, "longer than"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(text, match):
    with pytest.raises(ValueError, match=match) as error:
        truths(text)
    assert str(error.value).startswith("--where ")
    assert "\n" not in str(error.value)


def test_a_condition_is_no_number_and_a_number_needs_a_column():
    with pytest.raises(ValueError, match="--x x > 1: a condition, where a number is asked for"):
        derived.resolve(TABLE, "x > 1", "x")
    with pytest.raises(ValueError, match="no column is named"):
        derived.resolve(TABLE, "6 * 7", "x")


def test_a_name_is_a_column_first_and_an_expression_of_it_a_new_column():
    assert derived.resolve(TABLE, "train/loss", "y") == (TABLE, "train/loss")
    assert derived.resolve(TABLE, "`Model Size`", "y") == (TABLE, "Model Size")
    assert derived.resolve(TABLE, "a-b", "y") == (TABLE, "a-b")
    table, name = derived.resolve(TABLE, "2  * x", "y")
    assert name == "2 * x"
    assert table[name].tolist()[:3] == [2.0, 4.0, 6.0]
    assert table["2 * x_reason"].tolist() == [None, None, None, "x is unknown"]
    assert derived.behind(table, name) == {"2 * x", "x"}
    assert derived.behind(table, "x") == {"x"}


def test_a_calculated_column_is_never_taken_for_counted_errors():
    table, name = derived.resolve(TABLE.assign(test_error=0.5), "2 * test_error", "y")
    assert name == "(2 * test_error)"
    assert derived.behind(table, name) == {name, "test_error"}


def test_a_hundred_thousand_rows_are_one_pass():
    table = pd.DataFrame(
        {"x": np.arange(1e5), "word": np.array(["a", "b"], dtype=object)[np.arange(100000) % 2]}
    )
    assert truths("word == 'a' and x < 10", table).count("t") == 5
