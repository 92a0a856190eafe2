"""isoflop aggregate and fit: records that are damaged, impossible or too few."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.record import Record

pytestmark = pytest.mark.slow

TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


@pytest.mark.parametrize(("damage", "message"), [("{", "damaged"), ('{"schema": 99}', "newer")])
def test_a_bad_record_is_named_and_the_others_still_count(
    damage: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["sweep", "seed=0,1", "sweep.name=two", *TINY]) == 0
    bad = sorted((here / "results/two/records").iterdir())[0]
    bad.write_text(damage)
    capsys.readouterr()
    assert main.main(["aggregate", "results/two"]) == 0
    shown = capsys.readouterr().out
    assert message in shown
    assert bad.stem in shown
    assert "1 points, 1 dropped" in shown
    assert bad.read_text() == damage, "aggregate must not touch records"


def spread_records(directory: Path, like: Record, gflops: list[float], errors: list[float]) -> None:
    """Records of made-up runs, one shape each."""
    assert like.compute is not None
    assert like.error is not None
    for index, (x, y) in enumerate(zip(gflops, errors, strict=True)):
        made = dataclasses.replace(
            like,
            run_id=f"{index:016x}",
            config_id=f"{index:016x}",
            compute=dataclasses.replace(like.compute, train_flops=x * 1e9),
            error=dataclasses.replace(like.error, test=y, ci_low=y * 0.9, ci_high=y * 1.1),
        )
        records.write(made, directory)


def test_fewer_than_three_scales_cannot_be_fitted(
    here: Path, done_record: Record, error_line: Callable[[], str]
) -> None:
    spread_records(here / "d", done_record, [1.0, 10.0], [0.2, 0.1])
    assert main.main(["fit", "d"]) == output.INPUT
    assert "scales" in error_line()
    assert not (here / "d/fit.json").exists()


def test_impossible_errors_are_excluded_by_name(
    here: Path, done_record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    spread_records(here / "d", done_record, [1, 10, 100, 1000, 5000], [0.4, 0.2, 0.1, 0.05, 1.7])
    assert main.main(["fit", "d", "--resamples", "100", "--json", "-"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)["reports"][0]
    assert report["points"] == 4
    assert [e["run_id"] for e in report["excluded"]] == [f"{4:016x}"]


def test_an_unknown_column_names_the_nearest(
    here: Path, done_record: Record, error_line: Callable[[], str]
) -> None:
    spread_records(here / "d", done_record, [1, 10, 100], [0.4, 0.2, 0.1])
    assert main.main(["fit", "d", "--x", "train_gflop"]) == output.INPUT
    assert "train_gflops" in error_line()


def test_an_old_name_of_a_law_is_refused_with_the_new_one(
    here: Path, done_record: Record, error_line: Callable[[], str]
) -> None:
    spread_records(here / "d", done_record, [1, 10, 100, 1000], [0.4, 0.2, 0.1, 0.05])
    assert main.main(["fit", "d", "--laws", "exponential,polynomial"]) == output.INPUT
    assert "unknown law polynomial: it is now called power_law_ols" in error_line()
