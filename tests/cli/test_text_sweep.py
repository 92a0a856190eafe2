"""A sweep of language models on the command line: its quantity is bits per byte, without options."""

import dataclasses
import json
import re
from pathlib import Path

import msgspec
import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.cli.terminal import console
from isoflop.sweep import held_out as sweep_held_out
from isoflop.table import aggregate, held_out

pytestmark = pytest.mark.slow

FEW = ("--resamples", "100")
LAW = {"E": 1.2, "exponent_parameters": 0.35, "exponent_data": 0.35}
"""Of tests/conftest.py."""


@pytest.fixture
def folder(text_sweep):
    return str(text_sweep())


def said(capsys, *arguments):
    assert main.main(list(arguments)) == output.DONE
    return capsys.readouterr().out


def as_json(capsys, *arguments):
    return json.loads(said(capsys, *arguments, "--json", "-"))


def test_fit_is_of_bits_per_byte_over_four_resources(folder, capsys):
    fits = as_json(capsys, "fit", folder, *FEW)
    assert [report["y"] for report in fits["reports"]] == ["test_bits_per_byte"] * 4
    assert [report["x"] for report in fits["reports"]] == [
        *("train_gflops", "examples_seen", "energy_joules", "train_seconds")
    ]
    assert fits["unfitted"] == [], "nobody asked for dollars"
    law = next(fit for fit in fits["reports"][0]["fits"] if fit["law"] == "power_law_floor")
    assert law["parameters"][0]["unit"] == "bits a byte"
    warnings = " ".join(fits["reports"][0]["warnings"])
    assert "batch sizes" not in warnings, "they follow a rule"
    assert "epochs" not in warnings


def test_any_column_can_be_x(folder, capsys):
    (report,) = as_json(capsys, "fit", folder, "--x", "examples_seen", *FEW)["reports"]
    assert (report["x"], report["y"]) == ("examples_seen", "test_bits_per_byte")


def test_the_joint_law_is_found_again_in_parameters_without_embeddings(folder, capsys):
    fit = as_json(capsys, "fit", folder, "--law", "chinchilla", *FEW)
    assert fit["y"] == "test_bits_per_byte"
    assert fit["resources"] == ["parameters_without_embeddings", "examples_seen"]
    found = {each["name"]: each["value"] for each in fit["parameters"]}
    for name, value in LAW.items():
        assert found[name] == pytest.approx(value, rel=0.1), name


def test_isoflop_profiles_are_of_bits_per_byte(folder, capsys):
    fit = as_json(capsys, "fit", folder, "--isoflop", "parameters_without_embeddings", *FEW)
    assert fit["y"] == "test_bits_per_byte"
    assert any(budget["optimum"] for budget in fit["budgets"])


def test_the_table_of_a_text_sweep_is_recognised_as_a_file(folder, capsys):
    said(capsys, "aggregate", folder)
    (report,) = as_json(capsys, "fit", f"{folder}/table.csv", *FEW)["reports"]
    assert (report["x"], report["y"]) == ("train_gflops", "test_bits_per_byte")


@pytest.fixture
def wide(monkeypatch):
    """A terminal in which no heading is wrapped."""
    monkeypatch.setattr(console.OUT, "width", 160)


@pytest.mark.usefixtures("wide")
def test_aggregate_shows_bits(folder, capsys):
    shown = said(capsys, "aggregate", folder)
    assert "bits a byte" in shown
    assert "%" not in shown


def test_check_skips_chance_and_knows_that_nothing_was_read_twice(folder, capsys):
    shown = said(capsys, "check", folder)
    assert "the loss of text has no level of guessing" in shown
    assert "no byte was read twice" in shown
    assert "batch sizes" not in shown


def test_both_domains_in_one_folder_are_refused_by_all_that_fit(folder, done_record, error_line):
    records.write(done_record, Path(folder))
    for arguments in (("fit",), ("report",), ("check",), ("fit", "--law", "chinchilla")):
        verb, *options = arguments
        assert main.main([verb, folder, *options]) == output.INPUT
        assert "1 runs on images and" in error_line()
    assert not (Path(folder) / "fit.json").exists()


@pytest.mark.usefixtures("wide")
def test_aggregate_shows_both_domains_apart(folder, done_record, capsys):
    records.write(done_record, Path(folder))
    shown = said(capsys, "aggregate", folder)
    assert "bits a byte" in shown
    assert "test error" in shown


def test_one_run_is_shown_in_bits(folder, capsys):
    path = next((Path(folder) / "records").iterdir())
    console.show_run(records.read(path))
    shown = capsys.readouterr().out
    assert re.search(r"gpt w\d+ d\d: test loss \d\.\d{3} bits a byte at", shown)
    assert re.search(r"test loss \d\.\d{3} bits a byte, standard error over documents 0\.014", shown)
    assert "%" not in shown


def test_held_out_runs_are_predicted_and_judged_in_bits(text_sweep, capsys):
    """The largest budget is declared, the others are fitted: prediction and judgement are of bits.

    Each is predicted by the joint law at its own size and bytes, not by its compute.
    """
    folder = text_sweep(budgets=(1e10, 1e11, 1e12, 1e13), depths=(1,))
    rows = aggregate.aggregate(folder).rows
    held = rows[rows["train_gflops"] > 5000]
    declaration = held_out.Declaration(tuple(held["run_id"]), (), "now", "0", None, "no checkout")
    sha = held_out.sha256(declaration)
    written = held_out.HeldOutFile(held_out.SCHEMA, declaration, sha, None, "not yet", None)
    (folder / held_out.FILE).write_bytes(msgspec.json.encode(written))
    resources = ["parameters_without_embeddings", "examples_seen"]
    prediction = sweep_held_out._predict(folder, sha, held[["run_id", "train_gflops", *resources]])
    assert prediction.reason is None
    assert prediction.law_reason is None
    assert (prediction.law, prediction.resources) == ("chinchilla", tuple(resources))
    assert [each.resources for each in prediction.points] == [
        tuple(row) for row in held[resources].to_numpy()
    ]
    (said_of_one, *_) = sweep_held_out.lines(prediction)
    assert re.match(
        r"predicted \w+ by the joint law chinchilla: test loss \d\.\d{3} bits a byte at", said_of_one
    )
    assert (prediction.x, prediction.y) == ("train_gflops", "test_bits_per_byte")
    by_id = held.set_index("run_id")["test_bits_per_byte"]
    inside = sum(each.new_low < by_id[each.run_id] < each.new_high for each in prediction.points)
    assert inside >= 0.8 * len(held)
    assert all(each.y == pytest.approx(by_id[each.run_id], rel=0.03) for each in prediction.points)
    kept = dataclasses.replace(
        written, prediction=prediction, prediction_reason=None, prediction_sha256=held_out.sha256(prediction)
    )
    (folder / held_out.FILE).write_bytes(msgspec.json.encode(kept))
    report = as_json(capsys, "fit", str(folder), *FEW)["reports"][0]
    assert report["held_out"]["runs"] == len(held)
    assert report["held_out"]["inside_new_run_interval"] == inside
    assert report["held_out"]["law"] == "chinchilla"
    assert "by the joint law chinchilla" in report["held_out"]["expression"]
    assert report["held_out"]["rows"][0]["y"] == pytest.approx(by_id[report["held_out"]["rows"][0]["run_id"]])
