"""Others' tables: rows that points.select takes, and for bad input one line that says what to change."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.curve import points
from isoflop.curve.fit import Method, fit_table
from isoflop.table import external

SCALING = Path(__file__).parents[2] / "../shared/data/scaling"
FLOPS = [1e3, 1e4, 1e5, 1e6]
ERRORS = [0.4, 0.2, 0.1, 0.05]
AXES = {"x": "flops", "y": "error"}


@pytest.fixture
def write(tmp_path):
    def written(text: str | bytes, name: str = "runs.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def read(write):
    """The Read of a file of this text."""

    def done(text: str | bytes, name: str = "runs.csv", **options) -> external.ExternalRuns:
        return external.read_runs(write(text, name), **(AXES | options))

    return done


def shared(name: str) -> Path:
    path = SCALING / name
    if not path.exists():
        pytest.skip(f"no {name} in ../shared/data/scaling")
    return path


def csv_of(separator: Any = ",", **columns: Any) -> str:
    lines = [columns, *zip(*columns.values(), strict=True)]
    return "\n".join(separator.join(map(str, line)) for line in lines) + "\n"


GOOD = csv_of(flops=FLOPS, error=ERRORS)
ROWS = [{"flops": x, "error": y} for x, y in zip(FLOPS, ERRORS, strict=True)]


def values(runs: external.ExternalRuns) -> tuple[list[float], list[float]]:
    return runs.table[runs.x].tolist(), runs.table[runs.y].tolist()


# W&B


def test_the_runs_table_of_wandb_names_runs_and_says_which_have_no_value_or_did_not_finish(read):
    text = (
        '"Name","State","Tags","flops","summary.test_error"\n'
        '"a","finished","","1000","0.4"\n"b","crashed","","10000",""\n"c","finished","","1e5","0.1"\n'
        '"d","killed","","1e6","0.05"\n"e","finished","","1e7","NaN"\n"f","finished","","1e8",".02"\n'
    )
    runs = read(text, y="test_error")
    assert (runs.x, runs.y) == ("flops", "summary.test_error")
    assert runs.table["run_id"].tolist() == list("abcdef")
    assert runs.warnings == (
        "1 of 6 rows are of runs that did not finish (d is killed): x and y may not belong together",
    )
    excluded = points.select(runs.table, runs.x, runs.y).excluded
    assert [(e.run_id, e.reason) for e in excluded] == [
        ("b", "unknown summary.test_error: row 2 is empty (state crashed)"),
        ("e", "unknown summary.test_error: row 5 says NaN (state finished)"),
    ]


def _run(name, flops, error, seed):
    return {
        "name": name,
        "state": "finished",
        "config": {"model": {"width": 8}, "flops": flops, "seed": seed},
        "summary": {"test_error": error, "_wandb": {"runtime": 3}},
    }


RUNS = [_run(f"run-{i}", x, y, i % 2) for i, (x, y) in enumerate(zip(FLOPS, ERRORS, strict=True))]


def _as_frame(runs):
    """What the public API's guide writes: mappings as Python prints them, in a CSV with pandas' index."""
    return pd.DataFrame({key: [run[key] for run in runs] for key in ("summary", "config", "name")}).to_csv()


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", "\n".join(map(json.dumps, RUNS))), ("a.json", json.dumps(RUNS)), ("a.csv", _as_frame(RUNS))],
)
def test_runs_of_wandbs_api_are_flattened_and_short_names_are_resolved(read, name, text):
    runs = read(text, name, y="test_error", seed="seed", group="model.width,config.flops")
    assert (runs.x, runs.y) == ("config.flops", "summary.test_error")
    assert values(runs) == (FLOPS, ERRORS)
    assert runs.table["run_id"].tolist() == ["run-0", "run-1", "run-2", "run-3"]
    assert runs.table["config_id"][0] == "config.model.width=8, config.flops=1000"
    assert runs.table["seed"].tolist() == [0, 1, 0, 1]
    assert runs.table["summary._wandb.runtime"].tolist() == [3] * 4


def test_nan_and_words_survive_in_mappings_that_python_printed(read):
    runs = [{**run, "summary": dict(run["summary"], model="a: nano, nan")} for run in RUNS]
    runs[1]["summary"]["test_error"] = math.nan
    runs = read(_as_frame(runs), y="test_error")
    assert runs.table["summary.test_error"].isna().tolist() == [False, True, False, False]
    assert runs.table["summary.model"].tolist() == ["a: nano, nan"] * 4


def test_a_name_that_is_in_config_and_summary_must_be_said_whole(read):
    rows = [
        {"config": {"flops": x}, "summary": {"flops": x, "error": y}}
        for x, y in zip(FLOPS, ERRORS, strict=True)
    ]
    with pytest.raises(ValueError, match=r"several columns: give one of summary\.flops, config\.flops"):
        read(json.dumps(rows), "a.json")


def test_a_chart_of_wandb_is_one_configuration_a_run(read):
    text = csv_of(
        **{
            "train_flops": [1e3, 1e4, 1e5, 1e6],
            "w8 - seed 0 - test/loss": [2.0, "", 1.5, 1.2],
            "w8 - seed 0 - test/loss__MIN": [1.9, "", 1.4, 1.1],
            "w8 - seed 0 - test/loss__MAX": [2.1, "", 1.6, 1.3],
            "w16 - test/loss": ["", 1.8, 1.4, ""],
        }
    )
    runs = read(text, x="train_flops", y="test/loss")
    assert runs.table["config_id"].tolist() == ["w8 - seed 0"] * 3 + ["w16"] * 2
    assert values(runs) == ([1e3, 1e5, 1e6, 1e4, 1e5], [2.0, 1.5, 1.2, 1.8, 1.4])
    assert runs.table["run_id"][0] == "w8 - seed 0 at train_flops 1000.0"
    assert runs.table["place_id"].is_unique
    assert runs.warnings == ()


# What belongs together


def test_rows_are_configurations_of_their_own_unless_something_is_said(read):
    runs = read(GOOD)
    assert (
        runs.table["config_id"].tolist() == runs.table["place_id"].tolist() == runs.table["run_id"].tolist()
    )
    assert "seed" not in runs.table


def test_a_seed_makes_rows_of_equal_x_one_configuration(read):
    text = csv_of(flops=FLOPS + FLOPS, error=ERRORS + [y * 1.1 for y in ERRORS], s=[0] * 4 + [1] * 4)
    runs = read(text, seed="s")
    chosen = points.select(runs.table, "flops", "error")
    assert chosen.configs == len(chosen.means.x) == 4
    assert chosen.means.repeats.tolist() == [2] * 4
    assert runs.warnings == ()


def test_rows_of_equal_x_and_seed_call_for_a_group(read):
    text = csv_of(flops=FLOPS * 2, error=[*ERRORS, 0.3, 0.15, 0.08, 0.04], s=[0] * 8, width=[1] * 4 + [2] * 4)
    assert read(text, seed="s").warnings == (
        "4 of 8 rows have the flops and the s of another row: say --group for what makes a configuration",
    )
    runs = read(text, seed="s", group="width,flops")
    assert runs.table["config_id"].nunique() == 8
    assert runs.warnings == ()


def test_a_group_with_seeds_keeps_the_seeds_of_an_axis_that_varies_between_them_together(read):
    text = csv_of(
        joules=[10, 12, 100, 130, 1000, 1100],
        error=[0.4, 0.41, 0.2, 0.19, 0.1, 0.11],
        w=list("aabbcc"),
        s=[0, 1] * 3,
    )
    chosen = points.select(read(text, x="joules", group="w", seed="s").table, "joules", "error")
    assert chosen.means.x == pytest.approx(np.sqrt([120, 13000, 1.1e6]))


def test_the_rows_of_one_run_are_several_means_of_one_configuration(read):
    text = csv_of(
        model=list("aaabbb"), flops=[1e3, 1e4, 1e5] * 2, error=[0.4, 0.2, 0.1, 0.5, 0.3, 0.2], s=[0] * 6
    )
    for options in ({"group": "model"}, {"group": "model", "seed": "s"}):
        chosen = points.select(read(text, **options).table, "flops", "error")
        assert (chosen.configs, len(chosen.means.x)) == (2, 6)


def test_repeated_names_and_unused_seeds_give_warnings(read):
    text = csv_of(name=list("aabb"), flops=FLOPS, error=ERRORS, seed=[0, 1, 0, 1])
    runs = read(text)
    assert runs.table["run_id"].tolist() == ["a, row 1", "a, row 2", "b, row 3", "b, row 4"]
    first, second = runs.warnings
    assert "name has 2 values in 4 rows" in first
    assert "say --group name" in first
    assert "say --seed seed" in second
    assert read(text, group="name", seed="seed").warnings == ()


def test_the_first_unique_id_names_the_runs(read):
    runs = read(csv_of(Name=list("aabb"), ID=["007", "1e5", "x", "y"], flops=FLOPS, error=ERRORS))
    assert runs.table["run_id"].tolist() == ["007", "1e5", "x", "y"]


@pytest.mark.parametrize("group", ["w", "w,flops"])
def test_a_row_without_its_group_is_excluded_by_name(read, group):
    text = csv_of(flops=FLOPS, error=ERRORS, w=["none", 2, "", 4])
    runs = read(text, group=group)
    reason = "w, a column of --group, is unknown: its configuration cannot be told"
    assert [(e.run_id, e.reason) for e in runs.excluded] == [("row 3", reason)]
    assert points.select(runs.table, "flops", "error").configs == 3


def test_a_group_that_no_row_has_is_refused(read):
    text = csv_of(flops=FLOPS, error=ERRORS, w=["", "nan", "", "NaN"])
    with pytest.raises(ValueError, match="--group w: no row has a value"):
        read(text, group="w")


def test_x_and_y_may_be_expressions(read):
    text = csv_of(n=[1e6, 2e6, 4e6, ""], tokens=[1e8] * 4, acc=[0.5, 0.6, 0.7, 0.8])
    runs = read(text, x="6 * n * tokens", y="1 - acc")
    assert (runs.x, runs.y) == ("6 * n * tokens", "1 - acc")
    assert runs.table["1 - acc"].tolist() == pytest.approx([0.5, 0.4, 0.3, 0.2])
    assert runs.table["6 * n * tokens"].tolist()[:3] == [6e14, 1.2e15, 2.4e15]
    assert runs.table["6 * n * tokens_reason"].tolist() == [None, None, None, "n is unknown"]
    assert runs.warnings == ()
    counted = read(text, x="n", y="1 - acc", chance=0.9)
    assert counted.y == "test_error"


def test_a_row_of_totals_is_known_by_the_columns_behind_an_expression(read):
    text = csv_of(name=[*"abcd", "Total"], n=[1e6, 2e6, 4e6, 8e6, 1.5e7], loss=[5, 4, 3.5, 3.2, 15.7])
    runs = read(text, x="6 * n", y="loss / 2")
    assert [each.run_id for each in runs.excluded] == ["row 5"]
    assert len(runs.table) == 4


def test_an_accuracy_that_is_an_expression_is_still_refused(read):
    text = csv_of(flops=FLOPS, top1_acc=[50, 60, 70, 80])
    with pytest.raises(ValueError, match="looks like an accuracy"):
        read(text, y="top1_acc / 100")
    assert read(text, y="1 - top1_acc / 100").table["1 - top1_acc / 100"].iloc[0] == 0.5


def test_where_is_read_before_y_is_judged(read):
    text = csv_of(flops=FLOPS, error=[*ERRORS[:3], 37.5], unit=["share"] * 3 + ["percent"])
    with pytest.raises(ValueError, match=r"error is 37\.5 in row 4"):
        read(text)
    runs = read(text, where="unit == 'share'")
    assert len(runs.table) == 3
    assert runs.warnings == ("--where unit == 'share': 3 of 4 rows",)


# Error rates


@pytest.mark.parametrize("counts", ["n", 500, "500"])
def test_chance_and_counts_make_y_the_test_error(read, counts):
    text = csv_of(flops=[1e2, *FLOPS, 1e7], top1_err=[0.9, *ERRORS, 0], n=[500] * 6)
    runs = read(text, y="top1_err", chance=0.9, counts=counts)
    assert runs.y == "test_error"
    assert runs.warnings == ("top1_err is an error rate and is fitted under the name test_error",)
    chosen = points.select(runs.table, runs.x, runs.y)
    assert chosen.chance == 0.9
    assert [e.run_id for e in chosen.excluded] == ["row 1"]
    assert chosen.runs.trials.tolist() == [500] * 5
    assert chosen.runs.y.tolist() == [*ERRORS, 0]


def test_chance_may_be_a_column_and_test_error_keeps_its_name(read):
    text = csv_of(flops=FLOPS, test_error=ERRORS, guess=[0.9] * 4)
    runs = read(text, y="test_error", chance="guess")
    assert runs.table["chance_error"].tolist() == [0.9] * 4
    assert runs.warnings == ()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chance": 90}, "--chance 90: give the error of guessing as a fraction"),
        ({"chance": 0}, "above 0 and at most 1"),
        ({"chance": "gess"}, "--chance gess: no such column: did you mean guess"),
        ({"counts": 0}, "--counts 0: give how many test examples"),
        ({"counts": 10.5}, "how many test examples"),
        ({"counts": "inf"}, "how many test examples"),
        ({"counts": "nan"}, "--counts nan: no number"),
        ({"counts": "word"}, "row 1: word is 'a', not a number"),
        ({"y": "err", "counts": 10}, "another column has that name: rename it"),
        ({"y": "nats", "chance": 0.9}, "of an error rate, but nats is up to 2.5"),
    ],
)
def test_chance_and_counts_that_cannot_be(read, options, match):
    text = csv_of(
        flops=FLOPS, test_error=ERRORS, err=ERRORS, guess=[0.9] * 4, word=["a"] * 4, nats=[2.5, 2, 1.5, 1]
    )
    with pytest.raises(ValueError, match=match):
        read(text, **({"y": "test_error"} | options))


# Bad input


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"x": "flop"}, "--x flop: no such column: did you mean flops"),
        ({"y": "eror"}, "--y eror: no such column: did you mean error"),
        ({"group": "flops,widht"}, "--group widht: no such column: did you mean width"),
        ({"seed": "sed"}, "--seed sed: no such column"),
        ({"x": None}, "say --x: the columns are flops, error, width"),
        ({"y": None}, "say --y: the columns are flops, error, width"),
        ({"x": "error"}, "against itself"),
        ({"group": "error"}, "error is y: group by what was chosen"),
        ({"seed": "error"}, "error is y"),
    ],
)
def test_columns_that_are_not_there_or_make_no_sense(read, options, match):
    with pytest.raises(ValueError, match=match) as error:
        read(csv_of(flops=FLOPS, error=ERRORS, width=[1, 2, 3, 4]), **options)
    assert "runs.csv" in str(error.value)


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("diverged", "row 3: error is 'diverged', not a number: leave the cell empty"),
        ("12.5%", "row 3: error is '12.5%', not a number: give fractions: divide by 100"),
        ('"0,125"', r"row 3: error is '0,125', not a number: write it with a decimal point, 0\.125$"),
        ("0.1_2", "row 3: error is '0.1_2', not a number"),
    ],
)
def test_words_where_numbers_should_be_are_named_with_the_row(read, cell, match):
    with pytest.raises(ValueError, match=match):
        read(csv_of(flops=FLOPS, error=[0.4, 0.2, cell, 0.05]))


def test_a_truth_value_is_no_number(read):
    rows = [*ROWS[:3], {"flops": 1e6, "error": True}]
    with pytest.raises(ValueError, match="row 4: error is 'True', not a number"):
        read(json.dumps(rows), "a.json")


@pytest.mark.parametrize(("cell", "said"), [("", "is empty"), ("nan", "says nan"), ("N/A", "says N/A")])
def test_unknown_values_are_excluded_by_name_with_their_reason(read, cell, said):
    runs = read(csv_of(flops=[*FLOPS, cell], error=[cell, *ERRORS]))
    reasons = {e.run_id: e.reason for e in points.select(runs.table, "flops", "error").excluded}
    assert reasons == {
        "row 1": f"unknown error: row 1 {said}",
        "row 5": f"unknown flops: row 5 {said}",
    }


def test_the_files_own_reason_comes_first(read):
    text = csv_of(flops=FLOPS, error=["", "", 0.1, 0.05], error_reason=["out of memory", "", "", ""])
    assert read(text).table["error_reason"].tolist() == ["out of memory", "row 2 is empty", None, None]


def test_infinite_and_negative_values_are_excluded_by_name(read):
    rows = [
        *ROWS,
        {"flops": math.inf, "error": 0.04},
        {"flops": -3, "error": 0.5},
        {"flops": 0, "error": 0.6},
    ]
    runs = read("\n".join(map(json.dumps, rows)), "a.jsonl")
    assert [e.run_id for e in points.select(runs.table, "flops", "error").excluded] == [
        "row 5",
        "row 6",
        "row 7",
    ]
    (warning,) = runs.warnings
    assert warning.startswith("flops is at or below 0 in 2 of 7 rows, first in row 6")


def test_numbers_beyond_64_bits_are_read(read):
    rows = [{"flops": 10**i, "error": y} for i, y in zip((19, 21, 23, 25), ERRORS, strict=True)]
    assert values(read(json.dumps(rows), "a.json"))[0] == [1e19, 1e21, 1e23, 1e25]


def test_repeated_rows_are_dropped_and_counted_and_rows_keep_their_numbers(read):
    lines = GOOD.splitlines()
    runs = read("\n".join([*lines[:3], lines[1], lines[1], *lines[3:]]))
    assert runs.table["run_id"].tolist() == ["row 1", "row 2", "row 5", "row 6"]
    assert runs.warnings == (
        "2 of 6 rows repeat an earlier one in all columns and are dropped: row 3, row 4",
    )
    assert [(each.run_id, each.reason) for each in runs.excluded] == [
        ("row 3", "repeats row 1 in all columns"),
        ("row 4", "repeats row 1 in all columns"),
    ]
    assert runs.rows == (1, 2, 5, 6)


def test_repeated_rows_with_unknown_cells_name_the_one_they_repeat(read):
    rows = [{"name": "a", "flops": 1e3, "error": math.nan}, *ROWS]
    runs = read(json.dumps([rows[0], rows[0], *ROWS]), "a.json")
    assert [(each.run_id, each.reason) for each in runs.excluded] == [
        ("row 2", "repeats row 1 in all columns")
    ]


def test_a_header_that_is_repeated_is_named(read):
    with pytest.raises(ValueError, match="row 3 repeats the header: remove that line"):
        read(csv_of(flops=[*FLOPS[:2], "flops", *FLOPS[2:]], error=[*ERRORS[:2], "error", *ERRORS[2:]]))


def test_a_column_of_words_is_not_told_to_be_emptied(read):
    with pytest.raises(ValueError, match="row 1: word is 'a', not a number, nor is any other row's: choose"):
        read(csv_of(flops=FLOPS, error=ERRORS, word=list("abcd")), y="word")


def test_the_shared_table_with_thousands_says_what_to_write():
    path = SCALING.parents[1] / "cases/thousands.csv"
    if not path.is_file():
        pytest.skip("no thousands.csv in ../shared/cases")
    with pytest.raises(ValueError, match=r"flops is '1,000,000', not a number: .*, 1000000$"):
        external.read_runs(path, x="flops", y="loss")


@pytest.mark.parametrize("name", ["error", "test/error", "top1_err", "testError", "val_error_rate"])
def test_percent_is_refused_for_an_error(read, name):
    with pytest.raises(ValueError, match=r"is 40 in row 1: is it in per cent\? Say --y-unit percent"):
        read(csv_of(**{"flops": FLOPS, name: [40, 20, 10, 5]}), y=name)


@pytest.mark.parametrize(
    "name", ["error_pct", "wer_pct", "err%", "Percent error", "pct", "error (%)", "% wer"]
)
def test_small_values_under_the_name_of_a_percentage_are_refused_with_both_cures(read, name):
    """0.4 may be 40% or 0.4%: the name says one thing and the values another."""
    cures = "--y-unit percent if these are percentages, --y-unit fraction if they are fractions$"
    for values_of in (ERRORS, [1, 0.5, 0.2, 0.1]):
        with pytest.raises(ValueError, match=cures):
            read(csv_of(**{"flops": FLOPS, name: values_of}), y=name)
    text = csv_of(**{"flops": FLOPS, name: ERRORS})
    assert values(read(text, y=name, y_unit="fraction")) == (FLOPS, ERRORS)
    assert values(read(text, y=name, y_unit="percent")) == (FLOPS, [y / 100 for y in ERRORS])


@pytest.mark.parametrize("name", ["bits (50%)", "loss at 10 %", "p50%_loss", "100%ile loss"])
def test_a_percent_sign_behind_a_number_is_no_unit(read, name):
    runs = read(csv_of(**{"flops": FLOPS, name: ERRORS}), y=name)
    assert len(runs.table) == len(FLOPS)


@pytest.mark.parametrize("name", ["error_pct", "wer_pct"])
def test_large_percentages_need_their_unit(read, name):
    text = csv_of(**{"flops": FLOPS, name: [40, 20, 10, 0.5]})
    with pytest.raises(ValueError, match=f"{name} is 40 in row 1: is it in per cent"):
        read(text, y=name)
    assert values(read(text, y=name, y_unit="percent")) == (FLOPS, [0.4, 0.2, 0.1, 0.005])


def test_percent_is_converted_after_where_and_with_its_sign(read):
    text = csv_of(flops=FLOPS, error=["40%", "20 %", "10", 5.0])
    assert values(read(text, y_unit="percent"))[1] == [0.4, 0.2, 0.1, 0.05]
    text = csv_of(flops=FLOPS, acc=[60, 80, 90, 95])
    runs = read(text, y="100 - acc", y_unit="percent", where="acc < 92")
    assert values(runs)[1] == pytest.approx([0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    ("column", "options", "match"),
    [
        ({"error": [130, 20, 10, 5]}, {"y_unit": "percent"}, "error is 130 in row 1, outside 0 to 100"),
        ({"error": [40, 20, 10, 5]}, {"y_unit": "fraction"}, "error is 40 in row 1, outside 0 to 1"),
        ({"error": ERRORS}, {"y_unit": "percents"}, "--y-unit percents: did you mean percent"),
        ({"acc": [60, 80, 90, 95]}, {"y": "100 - acc"}, "is it in per cent"),
        ({"acc": [60, 80, 90, 95]}, {"y": "1 - acc"}, "Say --y '100 - acc' --y-unit percent"),
    ],
)
def test_a_unit_that_cannot_be_is_refused(read, column, options, match):
    with pytest.raises(ValueError, match=match):
        read(csv_of(flops=FLOPS, **column), **options)


@pytest.mark.parametrize("name", ["loss", "mean_squared_error", "rmse", "mae", "perplexity"])
def test_what_is_no_share_may_exceed_1(read, name):
    assert read(csv_of(**{"flops": FLOPS, name: [40, 20, 10, 5]}), y=name).warnings == ()


@pytest.mark.parametrize("name", ["val_acc", "accuracy", "top1", "summary.top-5", "testAccuracy"])
def test_an_accuracy_is_refused_with_what_to_give(read, name):
    rising = [1 - y for y in ERRORS]
    with pytest.raises(ValueError, match=rf"looks like an accuracy.*errors, such as --y '1 - {name}'$"):
        read(csv_of(**{"flops": FLOPS, name: rising}), y=name)
    with pytest.raises(ValueError, match=rf"errors, such as --y '100 - {name}' --y-unit percent$"):
        read(csv_of(**{"flops": FLOPS, name: [100 * y for y in rising]}), y=name)


def test_a_top1_that_falls_is_taken_for_an_error(read):
    assert values(read(csv_of(flops=FLOPS, top1=ERRORS), y="top1")) == (FLOPS, ERRORS)


def test_a_y_that_rises_and_an_x_in_logarithms_give_warnings(read):
    text = csv_of(log_flops=[3, 4, 5, 6], score=[1, 2, 3, 4])
    first, second = read(text, x="log_flops", y="score").warnings
    assert "log_flops sounds like a logarithm" in first
    assert second == "score rises with log_flops (rank correlation 1.00): the laws are of what falls"


# Files that people have


def test_c_n_d_loss_is_understood_as_it_is(read):
    text = csv_of(C=FLOPS, N=[1, 2, 3, 4], D=[5, 6, 7, 8], loss=[4, 3, 2.5, 2.2])
    runs = read(text, x=None, y=None)
    assert (runs.x, runs.y) == ("C", "loss")
    assert read(text, x="N", y=None).x == "N"
    with pytest.raises(ValueError, match="say --x"):
        read(csv_of(C=FLOPS, N=[1] * 4, D=[2] * 4, loss=[4, 3, 2, 1], E=[0] * 4), x=None, y=None)


def test_our_own_table_keeps_its_ids(make_table, tmp_path):
    table = make_table(FLOPS, ERRORS, seeds=2, noise=0.01).assign(place_id=lambda t: t["config_id"] + "@0.5")
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    runs = external.read_runs(path)
    assert (runs.x, runs.y, runs.warnings) == ("train_gflops", "test_error", ())
    ids = ["run_id", "config_id", "place_id"]
    assert runs.table[ids].to_numpy().tolist() == table[ids].to_numpy().tolist()
    ours, theirs = (points.select(t, "train_gflops", "test_error") for t in (table, runs.table))
    assert theirs.means.y == pytest.approx(ours.means.y, rel=1e-15)
    assert theirs.chance == ours.chance


def test_kyo_takanos_file_is_read_and_fitted():
    runs = external.read_runs(shared("kyo_takano_cnd.csv"))
    assert (runs.x, runs.y, len(runs.table), runs.warnings) == ("C", "loss", 234, ())
    method = Method(laws=("power_law", "power_law_floor"), resamples=200, forecast=False)
    report = fit_table(runs.table, x=runs.x, y=runs.y, method=method)
    assert (report.points, report.excluded) == (234, ())


def test_the_points_of_chinchilla_are_read_by_name():
    runs = external.read_runs(shared("chinchilla_points.csv"), x="Training FLOP", y="loss")
    assert (len(runs.table), runs.warnings) == (245, ())
    assert runs.table["Model Size"][0] == pytest.approx(6795600349.289497)


def test_gemstones_rows_of_one_run_belong_together():
    path = shared("gemstones_hot.jsonl")
    (warning,) = external.read_runs(path, x="tokens", y="final_loss").warnings
    assert "run_name has 22 values in 220 rows" in warning
    runs = external.read_runs(path, x="tokens", y="final_loss", group="run_name")
    chosen = points.select(runs.table, runs.x, runs.y)
    assert (chosen.configs, len(chosen.means.x), runs.warnings) == (22, 220, ())


def test_the_language_benchmarks_repeated_rows_are_counted():
    runs = external.read_runs(shared("benchmark.lang.csv"), x="Seen Examples", y="Loss", group="Task,Model")
    warning, same = runs.warnings
    assert same.startswith(
        "1 row holds the numbers of another under other labels (Domain, Task): row 530 and row 54"
    )
    assert warning.startswith("687 of 1399 rows repeat an earlier one")
    assert runs.table["config_id"].nunique() == 20
