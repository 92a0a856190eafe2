"""write_report writes the page of the command: in a sweep's folder, or of a data frame elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import isoflop
from isoflop.cli import main, output

DIGITS = Path(__file__).parents[2] / "results/digits-cpu"


@pytest.mark.slow
def test_the_page_of_a_sweep_is_that_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = []
    for folder in ("command", "python"):
        (tmp_path / folder).mkdir()
        shutil.copytree(DIGITS / "records", tmp_path / folder / "sweep/records")
        monkeypatch.chdir(tmp_path / folder)
        if folder == "command":
            assert main.main(["report", "sweep", "--resamples", "100"]) == output.DONE
            capsys.readouterr()
        else:
            assert isoflop.write_report("sweep", resamples=100) == Path("sweep/index.html")
        names = ("fit.json", "table.csv", "dropped.csv", "index.html")
        pages.append([(tmp_path / folder / "sweep" / name).read_text() for name in names])
    assert pages[0] == pages[1]
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_frame_has_a_page(own: pd.DataFrame, tmp_path: Path) -> None:
    percent = own.assign(error=100 * own["error"])
    page = isoflop.write_report(
        *(percent, tmp_path / "recipes"),
        x="flops",
        y="error",
        y_unit="percent",
        y_label="top-1 error",
        seed="seed",
        resamples=100,
    )
    assert page == tmp_path / "recipes/index.html"
    text = page.read_text()
    assert "recipes" in re.findall(r"<title>(.*?)</title>", text)[0]
    assert "op-1 error (%)" in text
    fits = json.loads((tmp_path / "recipes/fit.json").read_text())
    expected = isoflop.fit(own, x="flops", y="error", seed="seed", resamples=100)
    b = [each["value"] for each in fits["reports"][0]["fits"][0]["parameters"] if each["name"] == "b"]
    assert b == pytest.approx([each.value for each in expected.report.fits[0].parameters if each.name == "b"])
    again = isoflop.write_report(
        percent, tmp_path / "recipes", x="flops", y="error", y_unit="percent", resamples=100
    )
    assert again == page


@pytest.mark.slow
def test_the_bill_of_a_file_is_that_of_the_command(
    own: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own.to_csv("mine.csv", index=False)
    words = ["--x", "flops", "--y", "error", "--cost", "us_2023", "--gpu-tflops", "400", "--gpu-watts", "700"]
    words += ["--target", "0.05", "--resamples", "100", "-o", "by_command"]
    assert main.main(["report", "mine.csv", *words]) == 0
    assert "kWh" in capsys.readouterr().out
    page = isoflop.write_report(
        *("mine.csv", "by_call"),
        x="flops",
        y="error",
        cost="us_2023",
        gpu_tflops=400,
        gpu_watts=700,
        target=[0.05],
        resamples=100,
    )
    sections = [
        re.sub(r"<code>isoflop report.*?</code>", "", file.read_text().partition("<script")[0])
        for file in (Path("by_command/index.html"), page)
    ]
    prices = [re.findall(r"[^<>]*(?:dollars|cents|kWh|CO2|CO₂)[^<>]*", text) for text in sections]
    assert prices[0] == prices[1]
    assert len(prices[0]) > 5
