"""--cost as a user gives it: records stay as they are, and what cannot be is one line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from isoflop import record as records
from isoflop.cli import prices
from isoflop.cli.main import main
from isoflop.config import compose
from isoflop.record import Record


@pytest.fixture
def folder(tmp_path: Path, done_record: Record) -> Path:
    """A sweep's folder with one record of an hour of training."""
    assert done_record.time is not None
    hour = dataclasses.replace(done_record, time=dataclasses.replace(done_record.time, train_seconds=3600.0))
    records.write(hour, tmp_path / "sweep")
    return tmp_path / "sweep"


def test_a_finished_sweep_is_priced_and_its_records_stay_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (folder / "records").iterdir()
    before = path.read_bytes()
    assert main(["aggregate", str(folder), "--cost", "aws_h100_2023", "--cost", "us_2023"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "bill: 12.3 dollars for 1 run (CO2 unknown for 1 run: training energy unknown" in said
    assert path.read_bytes() == before
    row = pd.read_csv(folder / "table.csv").iloc[0]
    assert row["dollars"] == pytest.approx(12.29)
    assert row["dollars_factors"] == "dollars_per_gpu_hour=12.29"


def test_the_bill_is_in_the_json_of_a_query(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aggregate", str(folder), "--json", "-", "--cost", "aws_h100_2023"]) == 0
    assert json.loads(capsys.readouterr().out)["bill"]["dollars"] == pytest.approx(12.29)
    assert not (folder / "table.csv").exists()


@pytest.mark.parametrize("verb", ["aggregate", "report", "fit", "check"])
def test_an_unknown_set_is_one_line_with_the_known_ones(
    verb: str, folder: Path, error_line: Callable[[], str]
) -> None:
    assert main([verb, str(folder), "--cost", "us_1923"]) == 2
    assert "--cost us_1923: no such set of prices: did you mean us_2023? Known are" in error_line()
    assert [path.name for path in folder.iterdir()] == ["records"]


def test_a_sweep_is_told_how_finished_runs_are_priced(tmp_path: Path, done_record: Record) -> None:
    config = compose.compose_config(["cost=us_2023"], None)
    (run_id,) = config.point_ids.values()
    done = dataclasses.replace(done_record, run_id=run_id)
    records.write(done, tmp_path)
    line = prices.of_finished([config], tmp_path, ["cost=us_2023"], None)
    assert line is not None
    assert f"isoflop report {tmp_path} --cost us_2023" in line
    records.write(dataclasses.replace(done, cost=config.cost.factors), tmp_path)
    assert prices.of_finished([config], tmp_path, ["cost=us_2023"], None) is None
    none = compose.compose_config([], None)
    assert none.point_ids == config.point_ids, "a price is no part of a run's identity"
    assert prices.of_finished([none], tmp_path, [], None) is None


def test_the_price_of_a_sweep_needs_a_dry_run(here: Path, error_line: Callable[[], str]) -> None:
    assert main(["sweep", "sweep=digits", "--cost", "us_2023"]) == 2
    assert "give cost=SET" in error_line()
