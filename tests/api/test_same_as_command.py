"""The API gives what the command line gives, number for number: of a path, of load, of a frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import isoflop

DIGITS = Path(__file__).parents[2] / "results/digits-cpu"
LAWS = "power_law,power_law_floor"
AXES: dict[str, Any] = {"x": "flops", "y": "error", "group": "shape", "seed": "seed"}
OPTIONS = tuple(word for name, value in AXES.items() for word in (f"--{name}", value))
Command = Callable[..., Any]


def test_a_file_is_fitted_alike_by_its_path_its_rows_and_the_command(csv: Path, by_command: Command) -> None:
    expected = by_command("fit", csv, *OPTIONS, "--laws", LAWS, "--resamples", 100, "--level", 90)
    for runs in (csv, str(csv), isoflop.load(csv)):
        fitted = isoflop.fit(runs, **AXES, laws=LAWS, resamples=100, level=0.9)
        assert json.loads(fitted.to_json()) == expected


def test_a_frame_of_no_file_has_the_same_numbers(own: pd.DataFrame, csv: Path) -> None:
    of_file = isoflop.fit(csv, **AXES, laws=LAWS, resamples=100)
    of_frame = isoflop.fit(own, **AXES, laws=LAWS.split(","), resamples=100)
    assert of_frame.report == of_file.report
    assert of_frame.result.source == "data frame"
    shuffled = own.set_index("shape")  # a named index is a column
    assert isoflop.fit(shuffled, **AXES, laws=LAWS, resamples=100).parameters.equals(of_file.parameters)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"where": "recipe == 'old'"}, ("--where", "recipe == 'old'")),
        ({"hold_out": "flops > 2e15"}, ("--hold-out", "flops > 2e15")),
        ({"frontier": True}, ("--frontier",)),
        ({"quantile": 0.3}, ("--quantile", "0.3")),
        ({"fix": {"E": 0.04}}, ("--fix", "E=0.04")),
        ({"wild": True, "seed_of_resamples": 7}, ("--wild", "--seed-of-resamples", "7")),
        ({"chance": 0.9, "counts": 10000}, ("--chance", "0.9", "--counts", "10000")),
    ],
)
def test_each_argument_is_the_option_of_its_name(
    csv: Path, by_command: Command, arguments: dict[str, Any], options: tuple[str, ...]
) -> None:
    expected = by_command("fit", csv, *OPTIONS, "--laws", LAWS, "--resamples", 100, *options)
    fitted = isoflop.fit(csv, **AXES, laws=LAWS, resamples=100, **arguments)
    assert json.loads(fitted.to_json()) == expected


@pytest.mark.slow
def test_a_sweep_is_fitted_alike_on_all_its_axes(by_command: Command) -> None:
    expected = by_command("fit", DIGITS, "--resamples", 100)
    runs = isoflop.load(DIGITS)
    assert json.loads(isoflop.fit(runs, resamples=100).to_json()) == expected
    assert len(expected["reports"]) > 1


def test_rows_of_a_sweep_that_are_chosen_in_pandas_are_those_of_where(by_command: Command) -> None:
    runs = isoflop.load(DIGITS)
    chosen = isoflop.fit(runs[runs["depth"] < 3], laws=LAWS, resamples=100)
    expected = by_command("fit", DIGITS, "--laws", LAWS, "--resamples", 100, "--where", "depth < 3")
    ours = json.loads(chosen.to_json())["reports"][0]
    assert ours["fits"] == expected["reports"][0]["fits"]
    assert ours["forecast"] == expected["reports"][0]["forecast"]


def test_draws_are_those_of_the_command(csv: Path, by_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "draws.csv"
    by_command("fit", csv, *OPTIONS, "--laws", LAWS, "--resamples", 100, "--draws", path)
    ours = isoflop.fit(csv, **AXES, laws=LAWS, resamples=100).draws
    pd.testing.assert_frame_equal(pd.read_csv(path), ours, check_dtype=False, rtol=1e-12)


def test_a_table_is_compared_alike(csv: Path, own: pd.DataFrame, by_command: Command) -> None:
    axes = ("--x", "flops", "--y", "error", "--seed", "seed")
    expected = by_command("compare", csv, *axes, "--by", "recipe", "--baseline", "old", "--resamples", 199)
    arguments: dict[str, Any] = {"x": "flops", "y": "error", "seed": "seed", "resamples": 199}
    of_file = isoflop.compare(csv, by="recipe", baseline="old", **arguments)
    assert json.loads(of_file.to_json()) == expected
    arms = {name: own[own["recipe"] == name] for name in ("old", "new")}
    of_frames = isoflop.compare(arms, **arguments)
    assert of_frames.verdict == of_file.verdict
    assert of_frames.gain.equals(of_file.gain)


def test_a_sweep_is_checked_alike(by_command: Command) -> None:
    expected = by_command("check", DIGITS)
    assert json.loads(isoflop.check(isoflop.load(DIGITS)).to_json()) == expected


def test_a_file_is_checked_alike(csv: Path, by_command: Command) -> None:
    expected = by_command("check", csv, *OPTIONS, "--train-loss", "error")
    assert json.loads(isoflop.check(csv, **AXES, train_loss="error").to_json()) == expected


def test_what_is_loaded_of_a_folder_is_the_table_of_aggregate() -> None:
    written = pd.read_csv(DIGITS / "table.csv")
    runs = isoflop.load(DIGITS)
    assert list(runs["run_id"]) == list(written["run_id"])
    assert runs["train_gflops"].to_numpy() == pytest.approx(written["train_gflops"].to_numpy())


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_what_is_loaded_of_a_file_has_numbers_and_words(
    own: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"runs.{suffix}"
    if suffix == "csv":
        own.to_csv(path, index=False)
    else:
        own.to_json(path, orient="records", lines=suffix == "jsonl")
    loaded = isoflop.load(path)
    assert loaded["flops"].to_numpy() == pytest.approx(own["flops"].to_numpy())
    assert list(loaded["recipe"]) == list(own["recipe"])
