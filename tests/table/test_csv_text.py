"""CSV that a spreadsheet opens: formulas are marked as text, numbers stay, and all is read back equal."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pandas as pd
import pytest

import isoflop
from isoflop import record as records
from isoflop.record import Record
from isoflop.table import aggregate, csv_text, external, formats

FORMULAS = (
    *("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=1", '=HYPERLINK("x";"y")', "-", "\t5"),
    *("'=1", "-1_000"),
)
HARMLESS = ("mlp w8 d1", "a=1", "-5", "+1e3", "-0.25", "'quoted'", "'-5", "", "x -1", "-inf")


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_written_behind_an_apostrophe_and_read_back_equal(cell: str) -> None:
    assert csv_text.marked(cell) == f"'{cell}"
    assert csv_text.unmarked(csv_text.marked(cell)) == cell


@pytest.mark.parametrize("cell", HARMLESS)
def test_other_text_and_numbers_are_written_as_they_are(cell: str) -> None:
    assert csv_text.marked(cell) == cell
    assert csv_text.unmarked(cell) == cell


@hypothesis.given(st.text("'=+-@\t\r\n1e.x", max_size=6))
def test_whatever_is_marked_is_read_back_equal(cell: str) -> None:
    assert csv_text.unmarked(csv_text.marked(cell)) == cell


def test_negative_numbers_stay_numbers_beside_marked_text() -> None:
    frame = pd.DataFrame({"label": ["=1", None], "loss": [-0.5, math.nan], "@n": [1, 2]})
    assert cells(csv_text.to_csv(frame)) == [["label", "loss", "'@n"], ["'=1", "-0.5", "1"], ["", "", "2"]]


def test_a_sweep_s_tables_run_nothing_and_read_back(done_record: Record, tmp_path: Path) -> None:
    """A label, a file's name and a reason that a spreadsheet would run; the lesser error is a number."""
    assert done_record.data is not None
    data = dataclasses.replace(done_record.data, name='=HYPERLINK("http://a")')
    records.write(dataclasses.replace(done_record, data=data), tmp_path)
    reason = "+1-800 is no reason"
    lost = dataclasses.replace(
        done_record, run_id="b" * 16, state="failed", reason=reason, error=None, error_reason=reason
    )
    records.write(lost, tmp_path)
    (tmp_path / "records" / "=cmd.json").write_text("{")
    table = aggregate.aggregate(tmp_path)
    path, dropped = aggregate.write(table, tmp_path)
    for file in (path, dropped):
        for row in cells(file.read_text()):
            assert not [cell for cell in row if re.match(r"[=+@\t\r]|-(?![\d.])", cell)]
    assert formats.read_rows(path)["data"].tolist() == ['=HYPERLINK("http://a")']
    assert set(formats.read_rows(dropped)["run_id"]) == {"=cmd", "b" * 16}
    assert reason in set(formats.read_rows(dropped)["reason"])


def test_a_negative_y_of_a_table_stays_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    frame = pd.DataFrame({"name": ["=a", "-b", "c"], "flops": [1e3, 1e4, 1e5], "gain": [-0.5, -0.25, 0.1]})
    path.write_text(csv_text.to_csv(frame))
    runs = external.read_runs(path, x="flops", y="gain")
    assert runs.table["run_id"].tolist() == ["=a", "-b", "c"]
    assert runs.table["gain"].tolist() == [-0.5, -0.25, 0.1]


def test_every_csv_of_the_package_is_written_here() -> None:
    """The learning curves of track.feed hold numbers only, under names of their own."""
    writers = re.compile(r"\.to_csv\(|csv\.writer|DictWriter")
    package = Path(isoflop.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if writers.search(path.read_text().replace("csv_text.to_csv(", ""))
    }
    assert found == {"table/csv_text.py", "track/feed.py"}
