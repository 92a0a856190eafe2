"""Data derived from compute and parameters, and the error of guessing that a user names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.joint import resources
from isoflop.curve.joint.resources import DERIVED, ResourceTable


def of(**columns):
    names = {"n": "N", "compute": "C"} | {name: name for name in columns if name == "d"}
    return ResourceTable(pd.DataFrame(columns), names, (), "loss", ())


def test_data_are_compute_over_six_parameters():
    runs = resources._with_data(of(C=[6e6, 12e6, 6e6], N=[1e3, 1e3, 0.0]), ("n", "d"))
    assert runs.column["d"] == DERIVED
    assert runs.table[DERIVED].tolist()[:2] == [1000.0, 2000.0]
    assert np.isnan(runs.table[DERIVED][2]), "without parameters there is no number of examples"
    assert runs.warnings == ("data is C / (6 N): 6 FLOPs per parameter and token, C in FLOP",)


def test_data_that_are_known_or_not_needed_are_left_alone():
    known = of(C=[6e6], N=[1e3], d=[5.0])
    assert resources._with_data(known, ("n", "d")) is known
    bare = of(C=[6e6], N=[1e3])
    assert resources._with_data(bare, ("n",)) is bare


@pytest.mark.parametrize(("chance", "allowed"), [(1.0, True), (0.001, True), (0.0, False), (1.001, False)])
def test_the_error_of_guessing_lies_above_zero_and_at_most_at_one(chance, allowed):
    table = pd.DataFrame({"test_error": [0.1, 0.2]})
    if allowed:
        named = resources._with_chance(table, "test_error", chance)
        assert named["chance_error"].tolist() == [chance, chance]
    else:
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            resources._with_chance(table, "test_error", chance)
    with pytest.raises(ValueError, match="for it only"):
        resources._with_chance(table, "test_loss", 0.9)
    assert resources._with_chance(table, "test_loss", None) is table


def test_companions_are_sizes_above_zero_that_are_not_fitted_themselves():
    assert resources.companions(of(C=[1.0, 1.0], N=[1.0, 2.0])) == ("N",)
    assert resources.companions(of(C=[1.0, 1.0], N=[0.0, 2.0])) == ()
    fitted = ResourceTable(pd.DataFrame({"N": [1.0]}), {"n": "N"}, ("N",), "loss", ())
    assert resources.companions(fitted) == ()


def test_guessing_is_known_where_all_rows_agree_on_it():
    def chance(values, y="test_error"):
        return ResourceTable(pd.DataFrame({"chance_error": values}), {}, (), y, ()).chance

    assert chance([0.9, 0.9, np.nan]) == 0.9
    assert chance([0.9, 0.8]) is None
    assert chance([np.nan]) is None
    assert chance([0.9], "test_loss") is None
    assert ResourceTable(pd.DataFrame({"a": [1]}), {}, (), "test_error", ()).chance is None


def test_the_options_of_a_law_come_in_its_order():
    assert resources.options_of("chinchilla") == ("n", "d")
    with pytest.raises(ValueError, match="no such law"):
        resources.options_of("nonsense")
    with pytest.raises(
        ValueError, match="it is a law in one resource: say --laws power_law, with --x and --y"
    ):
        resources.options_of("power_law")


def chosen(columns, needed=("n", "d"), **options):
    raw = pd.DataFrame({name: [1.0] for name in columns})
    return resources._choose(raw, Path("runs.csv"), needed, options)


def test_a_table_of_n_d_c_and_loss_alone_is_known_by_its_names():
    assert chosen(["C", "N", "D", "loss"]) == {"n": "N", "d": "D", "compute": "C", "y": "loss"}
    with pytest.raises(ValueError, match="say --n and --d"):
        chosen(["C", "N", "D", "loss", "width"])
    with pytest.raises(ValueError, match="say --n and --d"):
        chosen(["N", "D", "loss"])


def test_data_need_no_column_where_compute_and_parameters_have_one():
    columns = ["flops", "size", "error", "extra"]
    names = {"n": "size", "y": "error"}
    assert chosen(columns, **names, compute="flops") == {"n": "size", "y": "error", "compute": "flops"}
    with pytest.raises(
        ValueError, match=r"say --d \(or --compute\): the columns are flops, size, error, extra"
    ):
        chosen(columns, **names)
    with pytest.raises(ValueError, match="say --d:"):
        chosen(columns, needed=("width", "d"), width="size", y="error")
    assert chosen(columns, **names, d="extra", compute=None)["d"] == "extra"


def written(tmp_path, seeds=2):
    """A table of another's: sizes at two budgets, rows that differ by seed alone, and no column of data."""
    rows = [
        {"N": n, "FLOP": c, "loss": 2 + 1e3 / n + s / 100, "seed": s}
        for n in (1e6, 2e6, 4e6)
        for c in (1e15, 1e16)
        for s in range(seeds)
    ]
    path = tmp_path / "runs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


OPTIONS = {"n": "N", "d": None, "compute": "FLOP", "y": "loss"}


@pytest.mark.parametrize(("needed", "configs"), [(("n", "d"), 6), (("n",), 3)])
def test_seeds_of_equal_size_and_compute_are_one_configuration(tmp_path, needed, configs):
    """Where the data follow from the compute, runs of other compute saw other data."""
    read = resources.read_resources(written(tmp_path), needed, OPTIONS, seed="seed")
    assert read.table["config_id"].nunique() == configs
    assert set(read.table.groupby("config_id").size()) == {12 // configs}


def test_a_column_of_data_tells_configurations_apart_in_place_of_compute(tmp_path):
    path = written(tmp_path)
    table = pd.read_csv(path).assign(D=1e9, tokens=lambda t: t["FLOP"] / 6e6)
    table.to_csv(path, index=False)
    read = resources.read_resources(path, ("n", "d"), OPTIONS | {"d": "D"}, seed="seed")
    assert read.table["config_id"].nunique() == 3
    read = resources.read_resources(path, ("n", "d"), OPTIONS | {"d": "tokens"}, seed="seed")
    assert read.table["config_id"].nunique() == 6
