"""isoflop report FILE: the page of a table of one's own, as a sweep's folder has."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.cli import main, output
from isoflop.report.folder import LISTED

COMPUTE = (1.2, 2.9, 7.5, 16, 41, 90, 150, 310, 720, 1500, 3900, 9100)
"""PFLOP."""
AXES = ("--x", "compute", "--y", "error", "--y-unit", "percent")
FEW = ("--resamples", "100")
UNIT = ("--x-unit", "PFLOP")


@pytest.fixture
def models(here: Path) -> pd.DataFrame:
    """models.csv: 12 rows of a name, compute in PFLOP and error in per cent, 5% + 57% x^-0.19."""
    noise = np.random.default_rng(0).standard_normal(len(COMPUTE))
    error = (5 + 57 * np.array(COMPUTE) ** -0.19) * np.exp(0.01 * noise)
    frame = pd.DataFrame({"model": [f"m{i}" for i in range(12)], "compute": COMPUTE, "error": error.round(2)})
    frame.to_csv(here / "models.csv", index=False)
    return frame


def text_of(page: Path) -> str:
    """Return the visible text of a page."""
    source = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page.read_text(), flags=re.S)
    return " ".join(html.unescape(source).split())


@pytest.mark.slow
def test_the_page_of_a_file_has_what_a_folders_has(models: pd.DataFrame, here: Path) -> None:
    assert main.main(["report", "models.csv", *AXES, *UNIT, *FEW, "--y-label", "top-1 error"]) == output.DONE
    folder = here / "models"
    names = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}
    kinds = ("png", "svg", "csv")
    figures = {f"figures/{n}.{s}" for n in ("top_1", "residuals", "calibration") for s in kinds}
    figures = {name.replace("top_1", "error_compute") for name in figures}
    assert names == figures | {"index.html", "fit.json", "table.csv", "dropped.csv", LISTED}
    text = text_of(folder / "index.html")
    for words in (
        *("How top-1 error falls as compute grows: 12 runs of models.csv", "The paper claims"),
        *(
            "Are these runs valid?",
            "Keep in mind",
            "Top-1 error against compute",
            "How far to trust the curve",
        ),
        *("Residuals", "Calibration of the forecast's intervals", "What a target costs", "The laws"),
        *("1.20 to 9,100 PFLOP", "Compute (PFLOP)", "Top-1 error (%)", "SHA-256"),
        "isoflop report models.csv --x compute --y error --x-unit PFLOP --y-unit percent",
    ):
        assert words in text, words
    for wince in ("nan", "None", str(here), "No run has", "unknown"):
        assert not re.search(rf"\b{re.escape(wince)}\b", text), wince


@pytest.mark.slow
def test_the_page_shows_the_numbers_of_the_fit(
    models: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["fit", "models.csv", *AXES, *UNIT, *FEW, "--json", "-"]) == output.DONE
    fitted = json.loads(capsys.readouterr().out)
    assert main.main(["report", "models.csv", *AXES, *UNIT, *FEW]) == output.DONE
    assert json.loads((here / "models/fit.json").read_text()) == fitted
    table = pd.read_csv(here / "models/table.csv")
    assert table["error"].to_numpy() == pytest.approx(models["error"].to_numpy() / 100)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_every_format_gives_the_same_fit(models: pd.DataFrame, here: Path, ending: str) -> None:
    path = here / f"again.{ending}"
    if ending == "parquet":
        pytest.importorskip("pyarrow")
        models.to_parquet(path)
    else:
        models.to_json(path, orient="records", lines=ending == "jsonl")
    for name in ("models.csv", path.name):
        assert main.main(["report", name, *AXES, *UNIT, *FEW]) == output.DONE
    one, other = (json.loads((here / name / "fit.json").read_text()) for name in ("models", "again"))
    assert one["reports"] == other["reports"]


@pytest.mark.slow
def test_what_x_and_y_are_decides_what_is_said(here: Path) -> None:
    """A loss over tokens: no claim of the paper, no FLOPs, nothing called compute."""
    tokens = np.geomspace(1e6, 1e9, 10)
    frame = pd.DataFrame({"tokens": tokens, "val_loss": 2 + 40 * tokens**-0.3})
    frame.to_csv(here / "loss.csv", index=False)
    command = ["report", "loss.csv", "--x", "tokens", "--y", "val_loss", "--y-unit", "nats", *FEW]
    assert main.main([*command, "-o", "pages"]) == output.DONE
    text = text_of(here / "pages/index.html")
    assert "Over all runs, validation loss falls" in text or "loss falls towards" in text
    assert "Validation loss (nats)" in text
    for absent in ("The paper", "FLOP", "What a lower", "compute from the largest run"):
        assert absent not in text, absent


@pytest.mark.slow
def test_prices_follow_from_flops_and_a_chosen_gpu(models: pd.DataFrame, here: Path) -> None:
    """9,100 PFLOP at 400 TFLOP/s are 22,750 s; the runs together 15,839 PFLOP, 11.0 hours at 700 W."""
    gpu = ("--gpu-tflops", "400", "--gpu-watts", "700")
    prices = ("--cost", "us_2023", "--cost", "aws_h100_2023")
    command = ["report", "models.csv", *AXES, *UNIT, *FEW, *prices, *gpu, "--target", "0.1"]
    assert main.main(command) == output.DONE
    text = text_of(here / "models/index.html")
    hours = sum(COMPUTE) * 1e15 / 400e12 / 3600
    assert f"dollars = {hours:.1f} device-hours × 12.29 dollars an hour (aws_h100_2023)" in text
    assert f"CO2 = {hours * 0.7:.2f} kWh × 366 g a kWh (us_2023)" in text
    assert "nothing was metered" in text
    assert "Error 10%" in text
    assert "Average of the laws" in text
    assert "Time: 400 TFLOP/s whatever the size, as --gpu-tflops says. Energy: 700 W" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--x", "flops", "--y", "error"), "--x flops: no such column"),
        (
            ("--x", "compute", "--y", "error"),
            "error is 60.13 in row 1: is it in per cent? Say --y-unit percent",
        ),
        ((*AXES, "--cost", "us_23"), "no such set of prices: did you mean us_2023"),
        ((*AXES, "--cost", "paper"), "say --x-unit, such as FLOP"),
        (
            (*AXES, *UNIT, "--cost", "us_2023"),
            "--cost us_2023 prices kWh, and models.csv holds none: say --gpu",
        ),
        ((*AXES, *UNIT, "--target", "5"), "--target 5: an error is a fraction, such as 0.05"),
        ((*AXES, "--target", "0.05"), "say --x-unit, such as FLOP or GMAC"),
        ((*AXES, *UNIT, "--gpu-watts", "700"), "--gpu-watts needs --gpu-tflops"),
        ((*AXES, "-o", "sweep"), "-o sweep: this folder holds a sweep (records)"),
        ((*AXES, "-o", "models.csv"), "-o models.csv: this is a file"),
        ((*AXES, "-o", "full"), "-o full: this folder holds files and no report of isoflop"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    models: pd.DataFrame, here: Path, error_line: Callable[[], str], arguments: tuple[str, ...], message: str
) -> None:
    (here / "sweep/records").mkdir(parents=True)
    (here / "full").mkdir()
    (here / "full/notes.txt").write_text("mine")
    before = sorted(here.rglob("*"))
    assert main.main(["report", "models.csv", *arguments]) == output.INPUT
    assert message in error_line()
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "no rows"), ("compute,error\n", "no rows"), (None, "no such file or folder")],
)
def test_a_file_without_rows_is_one_line(
    here: Path, error_line: Callable[[], str], content: str | None, message: str
) -> None:
    if content is not None:
        (here / "runs.csv").write_text(content)
    assert main.main(["report", "runs.csv", *AXES]) == output.INPUT
    assert message in error_line()
    assert not (here / "runs").exists()


def test_options_of_a_table_are_refused_of_a_sweeps_folder(here: Path, error_line: Callable[[], str]) -> None:
    (here / "sweep/records").mkdir(parents=True)
    assert main.main(["report", "sweep", "--y-unit", "percent"]) == output.INPUT
    assert "--y-unit is for a table of your own: records hold it already" in error_line()


@pytest.mark.slow
def test_figures_and_tables_for_a_paper(models: pd.DataFrame, here: Path) -> None:
    paper = ("--format", "svg", "--width", "84mm", "--latex")
    assert main.main(["report", "models.csv", *AXES, *UNIT, *FEW, *paper]) == output.DONE
    made = {path.name for path in (here / "models/figures/paper").iterdir()}
    assert made == {f"{n}.{k}" for n in ("error_compute", "residuals", "calibration") for k in ("svg", "csv")}
    assert f'width="{84 / 25.4 * 72:.6g}' in (here / "models/figures/paper/residuals.svg").read_text()
    assert {path.name for path in (here / "models/latex").iterdir()} == {"fit.tex", "laws.tex", "runs.tex"}
    assert "m11" in (here / "models/latex/runs.tex").read_text()
    said = text_of(here / "models/index.html")
    assert "--width 84mm" in said, "the command that made it"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("--width", "0in"), "--width 0in: give 2in to 20in"),
        (("--format", "jpg"), "--format jpg: give pdf, svg, png"),
        (("--format", "pdf,"), "--format nothing: give pdf"),
        (("--width", "nosuch"), "nosuch"),
    ],
)
def test_bad_figures_are_refused_before_anything_is_written(
    models: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], line: str
) -> None:
    assert main.main(["report", "models.csv", *AXES, *UNIT, *FEW, *given]) == output.INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert not (here / "models").exists()
