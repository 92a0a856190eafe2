"""Rows of several experiments are no one law: which columns say so, and which do not."""

import shlex

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.joint import mixture
from isoflop.curve.joint.fit import fit_joint
from isoflop.table import held_out, selection

SIZES = ("n",)


def rows(**columns):
    budget, u = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e21, 4), np.linspace(-1, 1, 9)))
    n = (budget / 6e2) ** 0.5 * np.exp(u)
    d = budget / (6 * n)
    table = pd.DataFrame({"C": budget, "n": n, "d": d, "y": 1.8 + 480 * n**-0.35 + 2100 * d**-0.37})
    return table.assign(**columns)


@pytest.mark.parametrize(
    "name", ["dataset", "data", "config.data.name", "summary.optimizer", "Model Family", "config.optim.value"]
)
def test_a_column_of_experiments_is_refused_by_its_name_and_values(name):
    half = np.where(np.arange(36) % 2, "one", "two")
    with pytest.raises(
        ValueError, match=rf"^{name} has 2 values \(one, two\).*keep the rows of one"
    ) as error:
        mixture.refuse(rows(**{name: half}), SIZES, mixed=False)
    # What the message says to type keeps the rows of one.
    words = shlex.split(str(error.value))
    kept, _ = selection.where(rows(**{name: half}), words[words.index("--where") + 1].removesuffix(","))
    assert set(kept[name]) == {"one"}
    assert words[words.index("--by") + 1].removesuffix(",") == name
    (warning,) = mixture.refuse(rows(**{name: half}), SIZES, mixed=True)
    assert warning == f"{name} has 2 values (one, two), all in one fit"


@pytest.mark.parametrize(
    "columns",
    [
        {"dataset": "one"},
        {"data": np.arange(36) * 1e9},
        {"arch": [f"net-{i}" for i in range(36)]},
        {"color": ["red", "blue"] * 18},
        {"dataset": ["one", None] * 18},
    ],
    ids=["one value", "amounts", "a name each", "another word", "unknown"],
)
def test_other_columns_are_not(columns):
    assert mixture.refuse(rows(**columns), SIZES, mixed=False) == ()


def test_rows_held_out_are_not_looked_at():
    half = np.arange(36) % 2 == 1
    table = rows(dataset=np.where(half, "one", "two"))
    table[held_out.COLUMN] = half
    assert mixture.refuse(table, SIZES, mixed=False) == ()


def test_both_methods_refuse_and_both_fit_with_a_warning():
    table = rows(optimizer=np.where(np.arange(36) % 2, "sgd", "adamw"))
    with pytest.raises(ValueError, match="optimizer has 2 values"):
        fit_joint(table, "chinchilla", ("n", "d"), "y", 0)
    with pytest.raises(ValueError, match="optimizer has 2 values"):
        fit_profiles(table, "C", SIZES, "y", resamples=0)
    law = fit_joint(table, "chinchilla", ("n", "d"), "y", 0, mixed=True)
    profiles = fit_profiles(table, "C", SIZES, "y", resamples=0, mixed=True)
    for warnings in (law.warnings, profiles.warnings):
        assert "optimizer has 2 values (adamw, sgd), all in one fit" in warnings
