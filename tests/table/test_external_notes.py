"""Notes, groups and states of others' tables: how many rows are named, which ids count, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.table import categories, external, grouping
from isoflop.table.grouping import ChosenColumns


def rows(**columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=range(1, count + 1), dtype=object)


def chosen(*group: str, seed: str | None = None, of_runs: bool = False) -> ChosenColumns:
    return ChosenColumns("x", "y", group, seed, of_runs)


@pytest.mark.parametrize(
    ("names", "text"),
    [(["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")],
)
def test_three_names_are_listed_and_the_others_counted(names: list[str], text: str) -> None:
    assert external._listed(names) == text


# ---- ids


def test_the_first_unique_column_of_ids_names_the_runs() -> None:
    assert grouping.run_ids(rows(x=[1, 2])) == ["row 1", "row 2"]
    assert grouping.run_ids(rows(name=["a", "b"], x=[1, 2])) == ["a", "b"]
    assert grouping.run_ids(rows(name=["a", "a"], Id=["p", "q"])) == ["p", "q"]
    assert grouping.run_ids(rows(name=["a", "a", "b"])) == ["a, row 1", "a, row 2", "b"]
    assert grouping.run_ids(rows(run_id=["p", None], name=["a", "b"])) == ["a", "b"], "one is unknown"
    assert grouping.run_ids(rows(run_id=["p", "q"], name=["a", "b"])) == ["p", "q"], "run_id comes first"


def ids(raw: pd.DataFrame, what: ChosenColumns, x: list[float]) -> tuple[list[str | None], list[str | None]]:
    found = grouping.ids(raw, what, np.array(x))
    return found["config_id"], found["place_id"]


def test_rows_are_configurations_of_their_own_unless_a_seed_or_a_group_says_otherwise() -> None:
    raw = rows(x=[1.0, 1.0, 2.0], w=["a", "a", "b"], s=[0, 1, 0])
    x = [1.0, 1.0, float("nan")]
    alone = ["row 1", "row 2", "row 3"]
    assert ids(raw, chosen(), x) == (alone, alone)
    by_seed = ["x 1.0", "x 1.0", "row 3"]
    assert ids(raw, chosen(seed="s"), x) == (by_seed, by_seed)
    assert ids(raw, chosen("w"), x) == (["a", "a", "b"], ["a at x 1", "a at x 1", "b at x 0"])
    assert ids(raw, chosen("w", seed="s"), x) == (["a", "a", "b"], ["a", "a", "b"])
    assert ids(raw, chosen("w", "s"), x)[0] == ["w=a, s=0", "w=a, s=1", "w=b, s=0"]


def test_ids_of_a_sweeps_table_are_kept() -> None:
    raw = rows(config_id=["a", "a"], place_id=["a@0.5", "a"], x=[1.0, 2.0])
    assert ids(raw, chosen(), [1.0, 2.0]) == (["a", "a"], ["a@0.5", "a"])
    without = rows(config_id=["a", "a"], x=[1.0, 2.0])
    assert ids(without, chosen(), [1.0, 2.0]) == (["a", "a"], ["a at x 1", "a at x 2"])
    seeds = rows(config_id=["a", "a"], x=[1.0, 2.0], seed=[0, 1])
    assert ids(seeds, chosen(), [1.0, 2.0]) == (["a", "a"], ["a", "a"])


@pytest.mark.parametrize(("ratio", "scales"), [(1.0099, 1), (1.0101, 2)])
def test_seeds_of_a_configuration_share_a_place_within_a_hundredth(ratio: float, scales: int) -> None:
    raw = rows(w=["a", "a"])
    assert len(set(ids(raw, chosen("w"), [100.0, 100 * ratio])[1])) == scales


def test_values_of_a_column_are_in_order() -> None:
    table = pd.DataFrame({"w": [10, 2, 10, None], "k": ["b", "a", "b", None], "none": [None] * 4})
    assert grouping.values(table, "w") == ("2", "10")
    assert grouping.values(table, "k") == ("b", "a")
    with pytest.raises(ValueError, match=r"^--by none: no row has a value there$"):
        grouping.values(table, "none")


@pytest.mark.parametrize(
    ("raw", "what", "notes"),
    [
        (
            rows(x=[1, 1], s=[0, 0]),
            chosen(seed="s"),
            ["1 of 2 rows have the x and the s of another row: say"],
        ),
        (rows(x=[1, 1], s=[0, 1]), chosen(seed="s"), []),
        (rows(name=["a", "a"], x=[1, 2]), chosen(), ["name has 1 values in 2 rows, and each row is taken"]),
        (
            rows(x=[1, 2], seed=[0, 1]),
            chosen(),
            ["each row is taken for a configuration of its own: say --seed"],
        ),
        (rows(x=[1, 2], seed=[0, 0]), chosen(), []),
        (
            rows(x=[1, 2], **{"config.seed": [0, 1]}),
            chosen(),
            ["each row is taken for a configuration of its"],
        ),
        (rows(config_id=["a", "b"], name=["a", "a"], seed=[0, 1]), chosen(), []),
        (rows(name=["a", "a"], seed=[0, 1]), chosen("name"), []),
    ],
)
def test_rows_that_may_belong_together_are_noted(
    raw: pd.DataFrame, what: ChosenColumns, notes: list[str]
) -> None:
    configs = [f"x {each}" for each in raw["x"]] if "x" in raw else ["a", "b"]
    said = grouping.ambiguities(raw, what, list(configs))
    assert len(said) == len(notes)
    assert all(text.startswith(note) for text, note in zip(said, notes, strict=True))


# ---- states and reasons


def test_states_are_those_of_weights_and_biases_only() -> None:
    assert external._states(rows(State=["finished", "crashed"])) == ["finished", "crashed"]
    assert external._states(rows(state=["Texas", "Ohio"])) == [None, None]
    assert external._states(rows(x=[1])) == [None]
    for state in ("finished", "crashed", "failed", "killed", "running", "preempted", "preempting", "pending"):
        assert external._states(rows(state=[state.title()])) == [state.title()]


def test_runs_that_did_not_finish_and_have_a_y_are_named() -> None:
    raw = rows(state=["finished", "crashed", "killed", "running"], x=[1, 2, 3, 4])
    y = np.array([1.0, 2.0, np.nan, 4.0])
    assert external._unfinished(raw, y) == [
        "2 of 4 rows are of runs that did not finish (row 2 is crashed, row 4 is running): "
        "x and y may not belong together"
    ]
    assert external._unfinished(raw.iloc[:1], y[:1]) == []


def test_why_a_value_is_unknown() -> None:
    raw = rows(
        y=[None, "nan", "", 1.0],
        y_reason=["it diverged", None, None, "kept"],
        state=[None, "killed", None, None],
    )
    reasons = external._reasons(raw, "y", np.array([np.nan, np.nan, np.nan, 1.0]))
    assert reasons == ["it diverged", "row 2 says nan (state killed)", "row 3 says ", "kept"]


# ---- error rates and units


@pytest.mark.parametrize(
    ("given", "option", "taken"),
    [
        (1.0, "chance", True),
        (1.01, "chance", False),
        (0.0, "chance", False),
        (1e-9, "chance", True),
        (1.0, "counts", True),
        (0.5, "counts", False),
        (2.5, "counts", False),
        ("3", "counts", True),
        ("n", "counts", True),
        ("half", "counts", False),
    ],
)
def test_chance_is_a_share_and_counts_are_whole(given: float | str, option: str, taken: bool) -> None:
    raw = rows(n=[1, 5], half=[1, 1.5])
    if taken:
        assert len(external._number_or_column(raw, given, option)) == 2
    else:
        with pytest.raises(ValueError, match=rf"^--{option} {given}: give "):
            external._number_or_column(raw, given, option)


@pytest.mark.parametrize(
    ("unit", "values", "fractions"),
    [
        ("percent", [100.0, 0.0, "12.5%"], [1.0, 0.0, 0.125]),
        ("fraction", [1.0, 0.0, 0.5], [1.0, 0.0, 0.5]),
        ("nats", [9.0, 1.0, 2.0], [9.0, 1.0, 2.0]),
        (None, [9.0, 1.0, 2.0], [9.0, 1.0, 2.0]),
        ("percent", [100.1], None),
        ("percent", [-0.1], None),
        ("fraction", [1.1], None),
        ("fraction", [-0.1], None),
    ],
)
def test_shares_are_held_as_fractions(
    unit: str | None, values: list[object], fractions: list[float] | None
) -> None:
    if fractions is not None:
        assert external._in_fractions(rows(y=values), "y", unit)["y"].tolist() == fractions
        return
    most = 100 if unit == "percent" else 1
    with pytest.raises(ValueError, match=rf"^--y-unit {unit}: y is .* in row 1, outside 0 to {most}: leave"):
        external._in_fractions(rows(y=values), "y", unit)


@pytest.mark.parametrize(
    "unit", ["%", "pct", "p.c.t", "per cent", "percentage", "frac", "fractions", "share", "ratio"]
)
def test_a_unit_that_is_nearly_one_of_shares_is_asked_about(unit: str) -> None:
    with pytest.raises(ValueError, match=r": did you mean percent or fraction\?$"):
        external._in_fractions(rows(y=[1.0]), "y", unit)


def test_an_error_rate_is_at_most_one() -> None:
    table = pd.DataFrame({"e": [1.0, 0.5], "e_reason": [None, None]})
    named, notes = external._as_error_rate(table, "e", {"test_n": np.array([5.0, 5.0])})
    assert named["test_error"].tolist() == [1.0, 0.5]
    assert named["test_n"].tolist() == [5.0, 5.0]
    assert notes == ["e is an error rate and is fitted under the name test_error"]
    with pytest.raises(ValueError, match=r"of an error rate, but e is up to 1\.5$"):
        external._as_error_rate(table.assign(e=[1.5, 0.5]), "e", {})


# ---- words


def test_words_that_are_half_the_rows_name_kinds() -> None:
    table = pd.DataFrame({"kind": list("aabbc"), "many": list("abcde"), "digits": ["1", "1", "2", "2", "2"]})
    assert categories.differing(table) == ()
    (note,) = categories.differing(pd.DataFrame({"kind": list("aabbcc"), "one": ["a"] * 6}))
    assert note.startswith("rows differ in kind (a 2, b 2, c 2): one law is fitted through all of them")


@pytest.mark.parametrize(
    "name", ["notes", "config.tags", "Created", "energy_grade", "y_reason", "git_commit"]
)
def test_columns_of_circumstances_are_not_noted(name: str) -> None:
    assert categories.differing(pd.DataFrame({name: list("aabb")})) == ()


@pytest.mark.parametrize(("value", "digits"), [(0.5, 1), (0.51234, 5), (1200.0, 2), (0.1230, 3), (5.0, 1)])
def test_significant_digits(value: float, digits: int) -> None:
    assert categories._digits(value) == digits


def same(y: list[float], **more: Any) -> tuple[str, ...]:
    count = len(y)
    table = pd.DataFrame(
        {"run_id": [f"r{i}" for i in range(count)], "x": [1.0] * 2 + [3.0] * (count - 2), "y": y}
    )
    table = table.assign(word=list("abcdefgh")[:count], **more)
    return categories.same_numbers(table, "x", "y", None)


@pytest.mark.parametrize(("y", "noted"), [(0.512, False), (0.5123, True)])
def test_equal_values_of_four_digits_are_no_coincidence(y: float, noted: bool) -> None:
    assert bool(same([y, y, 0.4])) == noted
    assert same([0.512, 0.512, 0.4], a=[1, 1, 2], b=[3, 3, 4]), "nor are they where four columns agree"


def test_repetitions_name_the_first_row_that_has_the_numbers() -> None:
    table = pd.DataFrame(
        {"run_id": list("abcdef"), "x": [1.0] * 5 + [2.0], "y": [0.51234] * 5 + [0.4], "w": list("uvwxyz")}
    )
    (note,) = categories.same_numbers(table, "x", "y", None)
    assert note.startswith(
        "4 rows hold the numbers of another under other labels (w): b and a, c and a, d and a and 1 more: "
    )
