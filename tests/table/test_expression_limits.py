"""Limits of expressions, how names and words are told apart, and columns that are calculated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.table import derived, evaluate, expression


def parse(text: str, *columns: str, option: str = "x") -> expression.Expression:
    return expression.parse(text, columns, option)


def values(text: str, **columns: Any) -> list[float]:
    table = pd.DataFrame(columns)
    return evaluate.numbers(expression.parse(text, table.columns, "x"), table).tolist()


def held(text: str, **columns: Any) -> list[bool]:
    table = pd.DataFrame(columns)
    return evaluate.truths(expression.parse(text, table.columns, "where"), table).true.tolist()


# ---- limits


def test_two_thousand_characters_are_read_and_no_more() -> None:
    assert values("x" + " " * 1997 + "+1", x=[1]) == [2]
    with pytest.raises(ValueError, match=r"^--x x {29}\.\.\.: longer than 2000 characters$"):
        parse("x" + " " * 1998 + "+1", "x")


@pytest.mark.parametrize(("signs", "taken"), [(98, True), (99, False)])
def test_a_tree_of_a_hundred_levels_is_read_and_no_deeper(signs: int, taken: bool) -> None:
    """Each sign is a level; the name and what becomes of it are two more."""
    if taken:
        assert values("-" * signs + "x", x=[1]) == [1]
    else:
        with pytest.raises(ValueError, match=r"^--x -{30}\.\.\.: too deeply nested$"):
            parse("-" * signs + "x", "x")


# ---- names


def test_columns_come_in_the_order_in_which_they_are_read() -> None:
    assert parse("b * a + `c d` - a", "a", "b", "c d").columns == ("b", "a", "c d")
    assert parse("(a + b) ** (c / a)", "a", "b", "c").columns == ("a", "b", "c")
    assert parse("6 * 7", "a").columns == ()


def test_the_longest_odd_name_that_stands_there_counts() -> None:
    row: dict[str, list[object]] = {"a b": [1.0], "a b c": [5.0], "x": [2.0]}
    assert values("a b c + x", **row) == [7]
    assert values("a b + x", **row) == [3]
    assert values("x * a b", **row) == [2]


@pytest.mark.parametrize("text", ["a b_ + 1", "a bc + 1", "xa b + 1", "_a b + 1", "a b(1)"])
def test_a_part_of_a_longer_name_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an expression|a call is not taken"):
        parse(text, "a b")


def test_placeholders_are_no_names_of_columns() -> None:
    row: dict[str, list[object]] = {"c_n0": [10.0], "c__n0": [100.0], "train/loss": [1.0]}
    assert values("train/loss + c_n0 + c__n0", **row) == [111]


def test_words_of_the_language_are_columns_in_backticks_only() -> None:
    assert held("`not` > 1 and not a > 1", **{"not": [2.0], "a": [0.0]}) == [True]
    assert values("`in` + 1", **{"in": [2.0]}) == [3]
    assert values("class + 1", **{"class": [2.0]}) == [3], "a word of Python alone"


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("a", False),
        ("a1_b", False),
        ("a b", True),
        ("1a", True),
        ("µ", True),
        ("class", True),
        ("and", False),
    ],
)
def test_which_names_python_would_not_read(name: str, odd: bool) -> None:
    assert expression._is_odd(name) is odd


def test_a_name_of_several_columns_must_be_said_whole() -> None:
    available = ("summary.loss", "config.loss", "summary.acc.value")
    assert parse("acc + 1", *available).columns == ("summary.acc.value",)
    with pytest.raises(
        ValueError, match=r"^--x loss \+ 1: loss is several columns: give one of summary\.loss, config\.loss$"
    ):
        parse("loss + 1", *available)
    assert parse("summary.loss + 1", *available).columns == ("summary.loss",)


@pytest.mark.parametrize(
    ("columns", "ambiguous"),
    [
        (("a/b", "a", "b"), True),
        (("a/b", "a"), False),
        (("a.b", "a", "b"), False),
        (("a or b", "a", "b"), True),
    ],
)
def test_a_name_that_may_be_an_expression_is_asked_about(columns: tuple[str, ...], ambiguous: bool) -> None:
    text = f"{columns[0]} > 1"
    if not ambiguous:
        assert parse(text, *columns).columns == columns[:1]
        return
    with pytest.raises(ValueError, match=f"{columns[0]} is a column, and may be an expression of a and b"):
        parse(text, *columns)
    assert parse(f"`{columns[0]}` > 1", *columns).columns == columns[:1]


# ---- words behind == and !=


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("w == mlp", [True, False]),
        ("w != mlp", [False, True]),
        ("(w == mlp)", [True, False]),
        ("w == mlp and x > 0", [True, False]),
        ("w == mlp or x > 1", [True, True]),
        ("w == v", [False, True]),  # a column
        ("w == 'a-b' or w == gpt-2", [False, True]),
        ("not w == mlp", [False, True]),
        ("w in [mlp, vit]", [True, False]),
        ("w in [v, vit]", [False, True]),
        ("w in (mlp,) or w in {vit}", [True, False]),
        ("w not in ['mlp']", [False, True]),
    ],
)
def test_a_word_that_names_no_column_is_text(text: str, rows: list[bool]) -> None:
    columns: dict[str, list[object]] = {"w": ["mlp", "gpt-2"], "v": ["other", "gpt-2"], "x": [1.0, 2.0]}
    assert held(text, **columns) == rows


def test_a_number_behind_a_comparison_is_one() -> None:
    assert held("x == 1e3", x=[1000.0, 1.0]) == [True, False]
    assert held("x != -2", x=[-2.0, 1.0]) == [False, True]
    assert held("x == True", x=[1.0, 0.0]) == [True, False]


def test_an_expression_is_shown_as_it_was_written() -> None:
    parsed = parse("`c d` == mlp and w == 'two words'", "c d", "w", option="where")
    assert parsed.shown(parsed.body) == "c d == mlp and w == 'two words'"
    assert (parsed.text, parsed.option) == ("`c d` == mlp and w == 'two words'", "where")
    assert str(parsed.error("why")) == "--where `c d` == mlp and w == 'two words': why"


# ---- three values


def test_an_unknown_value_decides_only_where_it_must() -> None:
    """Kleene: true or unknown is true, false and unknown is false; else it is unknown."""
    table = pd.DataFrame({"t": [1.0], "f": [0.0], "u": [np.nan]})

    def truth(text: str) -> bool | None:
        got = evaluate.truths(expression.parse(text, table.columns, "where"), table)
        return True if got.true[0] else False if got.false[0] else None

    assert [truth(text) for text in ("t or u", "u or t", "f and u", "u and f")] == [True, True, False, False]
    assert [truth(text) for text in ("f or u", "t and u", "not u", "u == 1", "u in [1, 2]")] == [None] * 5
    assert [truth(text) for text in ("not t", "not f", "t and t", "f or f")] == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w + 1 > 0", "w holds text: arithmetic takes numbers"),
        ("'a' + 1 > 0", "'a' is text: arithmetic takes numbers"),
        ("(x > 1) + 1 > 0", r"x > 1 is a condition: arithmetic takes numbers"),
        ("w and x > 1", "w is text, not a condition: compare it, such as w == 'A'"),
        ("x + 1", r"x \+ 1 is a number, not a condition: compare it, such as x \+ 1 > 0"),
        ("b > x", "b and x: true and false have no order"),
        ("b == x", "b and x: two kinds are compared"),
        ("b == 'perhaps'", "b holds true and false, not text like 'perhaps'"),
        ("x == 'a'", "x holds numbers, not text like 'a'"),
        ("x == perhaps", "no column perhaps: did you mean .*[?] and x holds numbers, not text like perhaps"),
        ("x in 3", r"in takes a list in brackets, such as x in \['a', 'b'\]"),
    ],
)
def test_kinds_that_do_not_fit_are_named(text: str, message: str) -> None:
    table = pd.DataFrame({"x": [2.0, 3.0], "w": ["a", "b"], "b": [True, False]})
    with pytest.raises(ValueError, match=message):
        evaluate.truths(expression.parse(text, table.columns, "where"), table)


# ---- calculated columns


def test_why_a_calculated_value_is_unknown() -> None:
    table = pd.DataFrame({"a": [1.0, np.nan, np.nan, 0.0], "b": [1.0, 1.0, np.nan, 0.0]})
    made, name = derived.resolve(table, "a / b", "y")
    assert made[f"{name}_reason"].tolist() == [
        None,
        "a is unknown",
        "a is unknown",
        "not defined for these values",
    ]
    made, name = derived.resolve(table, "b - a", "y")
    assert made[f"{name}_reason"][2] == "b is unknown", "the first that is read"


def test_which_texts_calculate() -> None:
    table = pd.DataFrame({"a": [1.0], "a/b": [1.0], "loss": [2.0]})
    assert derived.calculates(table, "a * 2")
    assert not derived.calculates(table, "a/b"), "a column"
    assert not derived.calculates(table, "los")
    assert derived.stand_in(table, "loss * a", "y") == "loss"
    assert derived.stand_in(table, "a/b", "y") == "a/b"
    assert derived.stand_in(table, "`loss`", "y") == "loss"


def test_what_is_behind_a_column() -> None:
    table = pd.DataFrame({"a": [1.0], "test_error": [0.5]})
    made, name = derived.resolve(table, "2  *  test_error", "y")
    assert name == "(2 * test_error)", "shares of counted examples have that ending"
    assert derived.behind(made, name) == {name, "test_error"}
    made, name = derived.resolve(table, "test_error + a", "y")
    assert name == "test_error + a"
    assert derived.behind(made, name) == {name, "test_error", "a"}
    assert derived.behind(table, "no * such") == {"no * such"}
    assert derived.behind(table, "(test_error + a) * 2") == {"(test_error + a) * 2", "test_error", "a"}
    assert derived.behind(table, "a * (test_error)") == {"a * (test_error)", "a", "test_error"}
