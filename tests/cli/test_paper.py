"""isoflop paper on the command line."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isoflop.cli import dialect, main, paper


def _stderr(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["published", "--y", "e"], "--y needs a FILE of models"),
        (["published", "none.csv"], "say --x COLUMN of the compute and --y COLUMN of the error"),
        (["published", "none.csv", "--y", "e", "--x", "c"], "no such file"),
        (["published", "--resamples", "5"], "at least 100"),
        (["implications", "nowhere"], "nowhere: no such file or folder"),
        (["implications", "."], "no fit.json here: run isoflop fit . --save"),
        (["implications", ".", "--x", "c"], "no fit.json here"),
        (["implications", "--cost", "paper"], "has neither dollars_per_gpu_hour nor grams_co2_per_kwh"),
        (["implications", "--cost", "us_2023_"], "did you mean us_2023"),
        (["implications", "--cost", "us_2023", "--cost", "eu_2023"], "grams_co2_per_kwh is priced twice"),
        (["growth", "--window", "2019-2012"], "the earlier first"),
        (["growth", "--csv", "none.csv"], "no such file"),
        (["overparameterised", "nowhere"], "no records folder here"),
        (["language", "nowhere"], "no records folder here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["paper", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in _stderr(capsys)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main.main(["paper", "growth", "--out", str(taken)]) == 2
    assert "a file: give a folder" in _stderr(capsys)


def test_growth_of_a_users_table_and_then_the_claims(tmp_path, capsys):
    table = tmp_path / "mine.csv"
    rows = [f"m{i},{2012 + i // 2}-{1 + 6 * (i % 2):02d}-01,{1e15 * 4 ** (i / 2)}" for i in range(16)]
    table.write_text("\n".join(["System,Publication date,Training compute (FLOP)", *rows]))
    out = tmp_path / "out"
    arguments = ["--csv", str(table), "--window", "2012-2019", "--out", str(out)]
    assert main.main(["paper", "growth", *arguments, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rates"][0]["times_a_year"]["value"] == pytest.approx(4, rel=0.01)
    assert not out.exists(), "printed as JSON it is a question, which writes nothing"
    assert main.main(["paper", "growth", *arguments]) == 0
    assert main.main(["paper", "claims", "--out", str(out)]) == 0
    assert "disagrees: The compute of the largest models grew tenfold a year" in capsys.readouterr().out
    names = {p.name for p in out.iterdir()}
    assert {"growth.json", "growth.csv", "claims.json", "claims.csv", "index.html", "figures"} <= names
    assert f"--csv {table} --window 2012-2019" in (out / "index.html").read_text()


MODELS = [(1.2, 61.3), (2.9, 52.0), (7.5, 44.9), (16, 39.1), (41, 33.2), (90, 29.4), (310, 24.5), (900, 20.6)]


@pytest.fixture
def models(tmp_path: Path) -> str:
    """A table of models, errors in per cent, with a name's letters as the family."""
    rows = [f"{'ab'[i % 2]}{i},{x},{y}" for i, (x, y) in enumerate(MODELS)]
    path = tmp_path / "models.csv"
    path.write_text("\n".join(["name,compute,error", *rows]))
    return str(path)


def test_old_names_of_options_are_read_for_one_release(models, tmp_path, capsys):
    """The same result, and one line for each old name."""
    new = ["published", models, "--x", "compute", "--y", "error", "--y-unit", "percent", "--resamples", "100"]
    old = [
        "published",
        "--csv",
        models,
        "--compute",
        "compute",
        "--error",
        "error",
        "--error-unit",
        "percent",
    ]
    results = []
    for arguments in (new, [*old, "--resamples", "100"]):
        dialect._warn.cache_clear()
        assert main.main(["paper", *arguments, "--json", "-", "--out", str(tmp_path / "out")]) == 0
        printed = capsys.readouterr()
        results.append(json.loads(printed.out))
    assert results[0] == results[1]
    lines = printed.err.splitlines()
    assert [line.split()[1] for line in lines] == ["--csv", "--compute", "--error", "--error-unit"]
    assert "--error is now called --y" in printed.err


def test_implications_of_a_table_are_those_of_its_lines(models, tmp_path, capsys):
    """log10 C = log10 x_max + (log10 1/target - log10 1/e) / b, in GFLOPs: 1 PFLOP is 10^6 of them."""
    axes = ["--x", "compute", "--y", "error", "--y-unit", "percent", "--target", "0.1"]
    arguments = ["implications", models, *axes, "--json", "-", "--out", str(tmp_path / "out")]
    assert main.main(["paper", *arguments]) == 2
    assert "say --x-unit, such as FLOP" in _stderr(capsys)
    assert main.main(["paper", *arguments, "--x-unit", "PFLOP"]) == 0
    bills = [b for b in json.loads(capsys.readouterr().out)["bills"] if b["source"] == "models: models.csv"]
    b, a = np.polyfit([math.log10(x) for x, _ in MODELS], [-math.log10(y / 100) for _, y in MODELS], 1)
    (polynomial,) = [each for each in bills if each["form"] == "polynomial"]
    assert polynomial["log10_gflops"] == pytest.approx(6 + (1 - a) / b, abs=1e-3)
    assert polynomial["log10_dollars_today"] is not None
    assert main.main(["paper", *arguments, "--x-unit", "GMAC", "--x-label", "compute of one pass"]) == 0
    bills = [b for b in json.loads(capsys.readouterr().out)["bills"] if b["source"] == "models: models.csv"]
    assert {each["per"] for each in bills} == {"one pass"}
    assert {each["log10_dollars_today"] for each in bills} == {None}, "a pass is no training"


@pytest.mark.slow
def test_nothing_of_the_paper_imports_torch():
    """The page is written on a laptop without torch."""
    names = "published, growth, implications, overparameterised, language, claims, saved, torchvision_weights"
    code = (
        f"import sys; from isoflop.paper import {names}; from isoflop.paper.theory import simulate; "
        "torchvision_weights.read_models(); assert not {'torch', 'torchvision'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[1])


def test_the_small_sweep_s_bills_are_fitted_by_the_two_forms_of_the_paper() -> None:
    fitted = paper._laws(Path(__file__).parents[2] / "results/digits-cpu")
    (report,) = fitted.reports
    assert [law.law for law in report.fits] == ["power_law_ols", "exponential"]
