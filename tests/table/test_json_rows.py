"""JSON whose rows have names: the columns that are asked for decide; rows deeper inside are pointed to."""

import json
from pathlib import Path

import pandas as pd
import pytest

from isoflop.table import external

FLOPS, ERRORS, NAMES = [1e3, 1e4, 1e5, 1e6], [0.4, 0.3, 0.2, 0.1], ["a", "b", "c", "d"]
FRAME = pd.DataFrame({"flops": FLOPS, "error": ERRORS}, index=NAMES)


def read(tmp_path: Path, text: str, x: str = "flops", y: str = "error") -> external.ExternalRuns:
    path = tmp_path / "runs.json"
    path.write_text(text)
    return external.read_runs(path, x=x, y=y)


@pytest.mark.parametrize("orient", ["columns", "index"])
def test_the_names_asked_for_decide(tmp_path: Path, orient: str) -> None:
    runs = read(tmp_path, FRAME.to_json(orient=orient))  # type: ignore[call-overload]
    assert runs.table["flops"].tolist() == FLOPS
    assert runs.table["error"].tolist() == ERRORS
    assert runs.table["name"].tolist() == NAMES


def test_a_run_that_lacks_y_is_a_row_too(tmp_path: Path) -> None:
    rows = {f"run{i}": {"flops": x, "error": y} for i, (x, y) in enumerate(zip(FLOPS, ERRORS, strict=True))}
    runs = read(tmp_path, json.dumps(rows | {"run9": {"flops": 1e7}}))
    assert runs.table["flops"].tolist() == [*FLOPS, 1e7]


def test_columns_that_are_called_by_numbers(tmp_path: Path) -> None:
    """Rows and columns are numbered: `64` is in the outer names only."""
    text = json.dumps({"64": {"1": 0.5, "2": 0.4, "3": 0.3}, "128": {"1": 0.4, "2": 0.3, "3": 0.2}})
    assert read(tmp_path, text, "64", "128").table["64"].tolist() == [0.5, 0.4, 0.3]
    text = json.dumps(
        {"1": {"64": 0.5, "128": 0.4}, "2": {"64": 0.4, "128": 0.3}, "3": {"64": 0.3, "128": 0.2}}
    )
    assert read(tmp_path, text, "64", "128").table["64"].tolist() == [0.5, 0.4, 0.3]


@pytest.mark.parametrize("x", ["flops", "config.flops"])
def test_one_run_of_wandb_stays_one_row(tmp_path: Path, x: str) -> None:
    text = json.dumps({"config": {"flops": 1e3}, "summary": {"error": 0.5}, "files": [{"name": "a"}]})
    assert len(read(tmp_path, text, x).table) == 1


def test_the_totals_of_a_described_frame_are_left_out(tmp_path: Path) -> None:
    runs = read(tmp_path, pd.concat([FRAME, FRAME.describe()]).to_json())
    assert runs.table["flops"].tolist() == FLOPS
    assert len(runs.excluded) == 8


@pytest.mark.parametrize("more", [{"meta": {"version": 1}}, {"meta": 1}, {}])
def test_rows_deeper_inside_are_pointed_to(tmp_path: Path, more: dict[str, object]) -> None:
    text = json.dumps(more | {"runs": FRAME.to_dict("records")})
    with pytest.raises(
        ValueError, match=r"runs\.json: the objects are in the part runs: give that list alone: a"
    ):
        read(tmp_path, text)
