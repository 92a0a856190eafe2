"""A sheet's row of totals is no run: it is left out by name, and no run is taken for one."""

from pathlib import Path

import numpy as np
import pytest

from isoflop.table import external

LOSS = (3.0, 2.5, 2.1, 1.8)
FLOPS = (1e3, 1e4, 1e5, 1e6)


def read(tmp_path: Path, *last: str, header: str = "name,flops,loss") -> external.ExternalRuns:
    rows = [f"r{i},{x},{y}" for i, (x, y) in enumerate(zip(FLOPS, LOSS, strict=True))]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([header, *rows, *last]) + "\n")
    return external.read_runs(path, x="flops", y="loss")


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("Total,1111000,9.4", "name is Total"),
        ("grand total:,1111000,", "name is grand total:"),
        ("Average,277750,2.35", "name is Average"),
        (",1111000,9.4", "flops and loss are sums or means of the rows above"),
        (",1111000,2.35", "flops and loss are sums or means"),
        (",277750,2.350", "flops and loss are sums or means"),
        ("5,Sum,9.4", "flops is Sum"),
    ],
)
def test_it_is_excluded_with_the_reason(tmp_path: Path, last: str, why: str) -> None:
    runs = read(tmp_path, last)
    assert runs.table["flops"].tolist() == list(FLOPS)
    assert [each.run_id for each in runs.excluded] == ["row 5"]
    assert why in runs.excluded[0].reason
    assert "row 5 is a row of totals and no run: left out" in runs.warnings


def test_two_such_rows_are_both_left_out(tmp_path: Path) -> None:
    runs = read(tmp_path, "Sum,1111000,9.4", "Mean,277750,2.35")
    assert [each.run_id for each in runs.excluded] == ["row 5", "row 6"]
    assert "row 5, row 6 are rows of totals and no run: left out" in runs.warnings


@pytest.mark.parametrize(
    "last", ["r4,1e7,1.6", "total-loss,1e7,1.6", ",1111000,1.6", ",1e7,9.4", ",1200000,9.4", ",1111000,9.5"]
)
def test_a_run_is_kept(tmp_path: Path, last: str) -> None:
    runs = read(tmp_path, last)
    assert len(runs.table) == 5
    assert runs.excluded == ()


def test_sizes_that_double_are_no_sums(tmp_path: Path) -> None:
    """From 2^0 to 2^15 the last is the sum of the others but for one part in 30,000."""
    x = 2.0 ** np.arange(16)
    path = tmp_path / "runs.csv"
    path.write_text("flops,loss\n" + "\n".join(f"{a},{3 - 0.1 * i}" for i, a in enumerate(x)))
    assert len(external.read_runs(path, x="flops", y="loss").table) == 16


def test_only_the_end_of_a_table_is_looked_at(tmp_path: Path) -> None:
    assert len(read(tmp_path, "Total,1e7,1.6", "r5,1e8,1.5").table) == 6
