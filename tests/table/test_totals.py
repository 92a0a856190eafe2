"""A sheet's row of totals is no run: it is left out by name, and no run is taken for one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.table import external, totals

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


@pytest.mark.parametrize(
    ("kind", "amounts"),
    [
        ("sum", [15.0, 3.0]),
        ("mean", [3.0]),
        ("median", [2.0]),
        ("50%", [2.0]),
        ("25%", [1.0]),
        ("2.5%", [1.0]),
        ("100%", [9.0]),
        ("150%", [9.0]),  # a quantile above the highest is the highest
        ("std", [float(np.std([1, 1, 2, 2, 9], ddof=1)), float(np.std([1, 1, 2, 2, 9]))]),
    ],
)
def test_what_a_total_may_be(kind: str, amounts: list[float]) -> None:
    assert totals._amounts(kind, np.array([1.0, 2.0, 2.0, 9.0, 1.0])) == pytest.approx(amounts)


def test_two_such_rows_are_both_left_out(tmp_path: Path) -> None:
    runs = read(tmp_path, "Sum,1111000,9.4", "Mean,277750,2.35")
    assert [each.run_id for each in runs.excluded] == ["row 5", "row 6"]
    assert "row 5, row 6 are rows of totals and no run: left out" in runs.warnings


@pytest.mark.parametrize(
    "last",
    [
        "r4,1e7,1.6",
        "r4,1111000,2.35",
        ",1111000,9.401",
        "total-loss,1e7,1.6",
        ",1111000,1.6",
        ",1e7,9.4",
        ",1200000,9.4",
        ",1111000,9.5",
    ],
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


def fit_rows(
    tmp_path: Path, text: str, x: str = "flops", seed: str | None = None
) -> tuple[list[float], list[str], tuple[str, ...]]:
    """Return the known x that are kept, the rows left out and the warnings."""
    path = tmp_path / "runs.csv"
    path.write_text(text)
    runs = external.read_runs(path, x=x, y="loss", seed=seed)
    kept = [value for value in runs.table[x].tolist() if np.isfinite(value)]
    return kept, [each.run_id for each in runs.excluded], runs.warnings


@pytest.mark.parametrize("header", ["pooling", "init", "name", "reduction"])
@pytest.mark.parametrize("setting", [["mean"] * 4, ["sum", "mean"] * 2, ["std", "std", "std", "mean"]])
def test_a_setting_that_is_called_as_a_total_is_kept(tmp_path: Path, header: str, setting: list[str]) -> None:
    for head, names in (header, setting), (f"run,{header}", [f"r{i},{s}" for i, s in enumerate(setting)]):
        rows = [f"{name},{x},{y}" for name, x, y in zip(names, FLOPS, LOSS, strict=True)]
        kept, left_out, _ = fit_rows(tmp_path, "\n".join([f"{head},flops,loss", *rows]))
        assert kept == list(FLOPS)
        assert left_out == []


@pytest.mark.parametrize("last", ["mean,1e7,1.6", "mean,5e5,1.7", "max,1e5,1.8"])
def test_a_setting_that_no_row_above_has_is_kept_with_a_note(tmp_path: Path, last: str) -> None:
    rows = [f"first{i // 2},{x},{y}" for i, (x, y) in enumerate(zip(FLOPS, LOSS, strict=True))]
    kept, left_out, warnings = fit_rows(tmp_path, "\n".join(["pooling,flops,loss", *rows, last]))
    assert len(kept) == 5
    assert left_out == []
    assert f"row 5 is kept as a run: pooling is {last.split(',')[0]}" in " ".join(warnings)


@pytest.mark.parametrize("last", ["mean,1e7,1.6", "total,10,1.6", "std,1e7,0.1", "count,4,5"])
def test_a_name_that_the_numbers_contradict_is_kept_with_a_note(tmp_path: Path, last: str) -> None:
    runs = read(tmp_path, last)
    assert len(runs.table) == 5
    assert "row 5 is kept as a run: name is" in " ".join(runs.warnings)


def test_a_total_of_rows_whose_names_repeat_is_left_out(tmp_path: Path) -> None:
    rows = [f"size{i // 2},{x},{y}" for i, (x, y) in enumerate(zip(FLOPS, LOSS, strict=True))]
    kept, left_out, _ = fit_rows(tmp_path, "\n".join(["size,flops,loss", *rows, "Total,1111000,9.4"]))
    assert (kept, left_out) == (list(FLOPS), ["row 5"])


@pytest.mark.parametrize("control", ["3,2.94", "3,2.9400001", "3.0,2.94"])
def test_a_control_run_that_repeats_the_middle_is_kept(tmp_path: Path, control: str) -> None:
    rows = [f"{i},{3 - 0.02 * i:.2f}" for i in (1, 2, 4, 5, 3)]
    for header, name in (("width,loss", ""), ("name,width,loss", ",")):
        first = [(f"r{i}" if name else "") + name + row for i, row in enumerate(rows)]
        text = "\n".join([header, *first, name + control]) + "\n"
        kept, left_out, _ = fit_rows(tmp_path, text, x="width")
        repeats = [] if name or control != "3,2.94" else ["row 6"]
        assert left_out == repeats
        assert len(kept) == 6 - len(repeats)


def test_the_middle_of_a_grid_run_last_is_kept(tmp_path: Path) -> None:
    """x and y are exactly the means of the rows above, and nothing in the row is empty."""
    kept, left_out, _ = fit_rows(tmp_path, "width,loss\n1,2.98\n2,2.96\n4,2.92\n5,2.9\n3,2.94\n", x="width")
    assert (len(kept), left_out) == (5, [])


def test_a_seed_in_the_row_makes_it_a_run(tmp_path: Path) -> None:
    rows = [f"{i},{x},{y}" for i, (x, y) in enumerate(zip(FLOPS, LOSS, strict=True))]
    for last, count in ("4,277750,2.35", 5), (",277750,2.35", 4):
        kept, _, _ = fit_rows(tmp_path, "\n".join(["seed,flops,loss", *rows, last]), seed="seed")
        assert len(kept) == count


@pytest.mark.parametrize("index", ["name", ""])
@pytest.mark.parametrize("names", [["0", "1", "2", "3"], ["a", "b", "c", "d"]])
def test_what_pandas_describes_is_left_out_whole(tmp_path: Path, index: str, names: list[str]) -> None:
    """Also `count`, by which an error would be more than 1 and draw the advice to divide by 100."""
    frame = pd.DataFrame({"flops": FLOPS, "loss": LOSS}, index=names)
    whole = pd.concat([frame, frame.describe(percentiles=[0.025, 0.5, 0.75])]).rename_axis(index or None)
    kept, left_out, _ = fit_rows(tmp_path, whole.to_csv())
    assert kept == list(FLOPS)
    assert left_out == [f"row {i}" for i in range(5, 13)]
    error = whole.rename(columns={"loss": "error"}) / [1, 10]
    error.loc["count"] = 4
    path = tmp_path / "error.csv"
    error.to_csv(path)
    assert len(external.read_runs(path, x="flops", y="error").table) == 4


@pytest.mark.parametrize("name", ["Std Dev", "std. dev.", "standard_deviation"])
def test_totals_with_rounded_numbers_are_left_out(tmp_path: Path, name: str) -> None:
    runs = read(tmp_path, "Mean,277750,2.35", f"{name},500000,0.5", "min,1e3,1.8", "Max,1e6,3.0")
    assert [each.run_id for each in runs.excluded] == [f"row {i}" for i in (5, 6, 7, 8)]


def test_a_remark_below_does_not_hide_the_totals(tmp_path: Path) -> None:
    runs = read(tmp_path, "Total,1111000,9.4", ",,", "exported by me,,")
    assert [each.run_id for each in runs.excluded] == ["row 5"]
    assert sorted(runs.table["flops"].dropna()) == list(FLOPS)
