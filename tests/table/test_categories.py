"""Words in which rows differ, and one measurement under two labels."""

import numpy as np
import pandas as pd
import pytest

from isoflop.table import categories

ROWS = pd.DataFrame(
    {
        "run_id": [f"r{i}" for i in range(8)],
        "x": np.geomspace(1, 128, 8),
        "loss": [5.1234, 4.2345, 3.3456, 2.9567, 2.6678, 2.4789, 2.3891, 2.3456],
        "dataset": ["c4"] * 5 + ["pile"] * 3,
        "bad": [False] * 7 + [True],
        "note": [f"note {i}" for i in range(8)],
        "size": ["1", "2"] * 4,
        "optimizer": ["adam"] * 8,
    }
)


def test_columns_of_words_that_vary_are_named_once_and_ids_and_constants_are_not():
    (note,) = categories.differing(ROWS)
    assert note.startswith("rows differ in dataset (c4 5, pile 3), bad (False 7, True 1): one law is fitted")
    assert categories.differing(ROWS, {"dataset", "bad"}) == ()


def test_words_beyond_four_are_counted():
    (note,) = categories.differing(pd.DataFrame({"data": list("aaabbccddeeff")}))
    assert "data (a 3, b 2, c 2, d 2 and 2 more)" in note


def test_a_measurement_under_two_labels_is_named():
    again = pd.concat(
        [ROWS[["run_id", "x", "loss", "dataset"]], ROWS.iloc[[2]][["run_id", "x", "loss", "dataset"]]]
    )
    again = again.reset_index(drop=True)
    again.loc[8, ["run_id", "dataset"]] = ["r2-copy", "C4"]
    (note,) = categories.same_numbers(again, "x", "loss", None)
    assert note.startswith("1 row holds the numbers of another under other labels (dataset): r2-copy and r2:")
    assert categories.same_numbers(again.iloc[:8], "x", "loss", None) == ()


@pytest.mark.parametrize("column", ["loss", "seed"])
def test_a_coarse_y_and_another_seed_are_no_repetition(column):
    rows = pd.DataFrame(
        {
            "run_id": list("abcd"),
            "x": [1.0, 1.0, 2.0, 2.0],
            "loss": [0.5, 0.5, 0.4, 0.4],
            "name": list("abcd"),
        }
    )
    if column == "seed":
        rows = rows.assign(loss=[0.51234, 0.51234, 0.41234, 0.41234], seed=["s1", "s2", "s1", "s2"])
    assert categories.same_numbers(rows, "x", "loss", "seed" if column == "seed" else None) == ()
