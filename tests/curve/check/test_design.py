"""Checks of learning rates, chance, compute and size, repeated data, seeds, scales and mixtures."""

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import amount, chance, confounding, learning_rate, mixture, repetition


def one(outcome):
    (found,) = outcome.findings
    return found


def test_the_best_rate_at_the_edge_of_its_grid_is_named(make_healthy):
    table = make_healthy()
    assert learning_rate.check(table).passed.endswith("none at its edge")
    table.loc[table["width"] == 128, "lr_interior"] = 0.0
    found = one(learning_rate.check(table))
    assert found.severity == "warning"
    assert "at the edge of its grid for mlp w128 d1, mlp w128 d2, mlp w128 d3" in found.sentence
    assert {s.name for s in found.subjects} == {"mlp w128 d1", "mlp w128 d2", "mlp w128 d3"}


def test_one_rate_for_every_shape_is_a_warning_but_under_mup_a_note(make_healthy):
    table = make_healthy().assign(lr_interior=np.nan)
    found = one(learning_rate.check(table))
    assert (found.severity, found.subjects) == ("warning", ())
    assert "0.1 for every shape, not tuned" in found.sentence
    mup = one(learning_rate.check(table.assign(parametrization="mup")))
    assert mup.severity == "note"
    assert "carried" in mup.sentence


def grid_of(table, best):
    """Every run at three rates; validation loss is least at `best`."""
    parts = [
        table.assign(
            lr=lr,
            lr_interior=np.nan,
            val_loss=1.0 + abs(np.log(lr / best)),
            config_id=table["config_id"] + f"{lr}",
        )
        for lr in (0.05, 0.1, 0.2)
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_grid_whose_runs_are_all_in_the_table_is_searched_for_its_best(make_healthy):
    table = make_healthy(sizes=(20_000,))
    assert "inside for each" in learning_rate.check(grid_of(table, 0.1)).passed
    found = one(learning_rate.check(grid_of(table, 0.2)))
    assert "edge of its grid" in found.sentence
    assert len({s.name for s in found.subjects}) == 15


def test_rates_that_differ_but_were_not_tried_for_every_shape(make_healthy):
    table = make_healthy(sizes=(20_000,)).assign(lr_interior=np.nan)
    table.loc[table["width"] == 8, "lr"] = 0.2
    assert "not several for every shape" in one(learning_rate.check(table)).sentence


@pytest.mark.parametrize(
    ("absent", "needed"),
    [
        (["lr"], "needs lr"),
        (["width", "depth"], "needs width or depth, to tell the rates of one shape from those of another"),
        (
            ["val_loss", "val_error", "train_loss"],
            "needs val_loss, val_error or train_loss, to tell which rate is best",
        ),
    ],
)
def test_without_what_tells_the_best_rate_it_is_not_checked(make_healthy, absent, needed):
    table = grid_of(make_healthy(sizes=(20_000,)), 0.1).drop(columns=absent, errors="ignore")
    assert learning_rate.check(table).not_checked == needed


def test_runs_near_chance_are_counted_and_named(make_healthy):
    table = make_healthy(sizes=(20_000,))
    assert "0.9" in chance.check(table).passed
    table.loc[(table["width"] == 8) & (table["depth"] == 1), "test_error"] = [0.9, 0.85, 0.5]
    found = one(chance.check(table))
    assert found.sentence.startswith("2 of 45 runs are near the error of guessing (0.9), 1 of them")
    assert [s.name for s in found.subjects] == ["mlp w8 d1"]
    few = table.assign(test_error=0.5, chance_error=0.55, test_n=50)
    assert "45 of 45 runs" in one(chance.check(few)).sentence, "Wilson's interval of 50 images reaches chance"


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"examples_seen": 45_000.0, "train_n": 5_000.0}, "warning", "compute grows by size alone"),
        ({"train_n": 5_000.0}, "note", "draw on one training set of 5,000"),
    ],
)
def test_compute_confounded_with_size(make_healthy, change, severity, words):
    table = make_healthy()
    assert "vary apart" in confounding.check(table).passed
    found = one(confounding.check(table.assign(**change)))
    assert found.severity == severity
    assert words in found.sentence
    assert "floor is to be expected" in found.sentence


def test_size_and_data_that_rise_together_are_one_path(make_healthy):
    table = make_healthy()
    found = one(confounding.check(table.assign(examples_seen=20 * table["parameters"])))
    assert "rise together" in found.sentence
    of_one_size = make_healthy(widths=(8,), depths=(1,))
    assert "one size" in confounding.check(of_one_size).passed


def test_repeated_data_is_told_with_how_often(make_healthy):
    table = make_healthy()
    assert "seen 3 times" in repetition.check(table).passed
    found = one(repetition.check(table.assign(examples_seen=16 * table["train_n"])))
    assert "seen 16 times by every run" in found.sentence
    table.loc[table["train_n"] == 5_000, "examples_seen"] *= 4
    found = one(repetition.check(table))
    assert "3 to 12 times (45 of 135 runs more than 4)" in found.sentence
    assert len(found.subjects) == 15


def test_few_seeds(make_healthy):
    assert amount.check_seeds(make_healthy()).passed == "3 for each configuration"
    single = one(amount.check_seeds(make_healthy(seeds=1)))
    assert single.severity == "warning"
    assert "luck and size cannot be separated" in single.sentence
    assert "2 seeds" in one(amount.check_seeds(make_healthy(seeds=2))).sentence
    table = make_healthy(sizes=(20_000,))
    some = one(amount.check_seeds(table[~((table["width"] == 128) & (table["seed"] > 0))]))
    assert some.sentence.startswith("1 to 3 seeds")
    assert {s.name for s in some.subjects} == {"mlp w128 d1", "mlp w128 d2", "mlp w128 d3"}


def test_few_scales_and_a_short_span(make_healthy):
    assert "decades" in amount.check_scales(make_healthy()).passed
    short = one(amount.check_scales(make_healthy(widths=(8, 10), depths=(1,), sizes=(5_000,))))
    assert short.severity == "warning"
    assert "too little for an answer" in short.sentence
    assert "at least 2 decades and 5 scales" in short.what_to_do
    medium = one(amount.check_scales(make_healthy(widths=(8, 16, 32, 40, 50), depths=(1, 2), sizes=(5_000,))))
    assert medium.severity == "note"


@pytest.mark.parametrize(
    ("column", "value", "severity", "words"),
    [
        ("git_commit", "b" * 40, "warning", "mixed code versions: aaaaaaaaaa, bbbbbbbbbb"),
        ("device", "NVIDIA H100", "warning", "mixed devices: GPU, NVIDIA H100"),
        ("power_limit_watts", 500.0, "warning", "mixed power caps: 500, 700"),
        ("precision", "fp32", "note", "mixed precisions: bf16, fp32"),
    ],
)
def test_what_is_mixed_is_named_with_the_runs_that_differ(make_healthy, column, value, severity, words):
    table = make_healthy()
    table.loc[0, column] = value
    found = one(mixture.check(table))
    assert found.severity == severity
    assert words in found.sentence
    assert [s.run_ids for s in found.subjects] == [("w8d1n5000s0",)]


def test_without_provenance_nothing_is_said_to_be_alike(make_healthy):
    table = make_healthy().drop(columns=["git_commit", "isoflop_version", "device"])
    assert "git_commit" in mixture.check(table).not_checked
