"""A sweep of language models on the command line: its quantity is bits per byte, without options."""

import json
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main, output

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
    assert [report["y"] for report in fits["reports"]] == ["test_bits_per_byte"] * 3
    assert [report["x"] for report in fits["reports"]] == ["train_gflops", "energy_joules", "train_seconds"]
    assert fits["unfitted"][0]["run_id"] == "test_bits_per_byte against dollars"
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


def test_aggregate_shows_both_domains_apart(folder, done_record, capsys):
    records.write(done_record, Path(folder))
    shown = said(capsys, "aggregate", folder)
    assert "bits a byte" in shown
    assert "test error" in shown
