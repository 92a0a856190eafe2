"""isoflop paper on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop.cli import main, paper


def _stderr(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["published", "--error", "e"], "--error needs --csv"),
        (["published", "--csv", "none.csv"], "needs --error COLUMN and --compute COLUMN"),
        (["published", "--csv", "none.csv", "--error", "e", "--compute", "c"], "no such file"),
        (["published", "--resamples", "5"], "at least 100"),
        (["implications", "nowhere"], "no fit.json here: run isoflop fit nowhere --save"),
        (["implications", "--price", "us_2023"], "has no dollars_per_gpu_hour"),
        (["implications", "--grid", "aws_h100_2023"], "has no grams_co2_per_kwh"),
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
