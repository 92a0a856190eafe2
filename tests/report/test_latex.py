"""LaTeX tables: numbers in math mode, escaped text, and a document that compiles where there is a LaTeX."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.curve.result import FitFile, Interval
from isoflop.report import latex
from isoflop.table.aggregate import RunTable

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,longtable}
\begin{document}
\begin{table}\input{fit}\end{table}
\begin{table}\input{laws}\end{table}
\input{runs}
\end{document}
"""
HOSTILE = r"50% & $x_1$ #{~^}\ <ü α 数>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1234, "$0.123$"),
        (-2.5, "$-2.50$"),
        (12345.0, "$12{,}300$"),
        (1.5e9, r"$1.50 \times 10^{9}$"),
        (2e-7, r"$2.00 \times 10^{-7}$"),
        (float("inf"), r"$\infty$"),
        (None, "--"),
    ],
)
def test_numbers_are_in_math_mode(value: float | None, shown: str) -> None:
    assert latex.math(value) == shown


def test_intervals_are_in_math_mode_and_open_ends_are_infinite() -> None:
    assert latex.interval(Interval(0.1, 0.25)) == "$[0.100, 0.250]$"
    assert latex.interval(Interval(None, 3e7)) == r"$[-\infty, 3.00 \times 10^{7}]$"
    assert latex.interval(Interval(1.0, None)) == r"$[1.00, \infty]$"


def test_text_is_escaped_and_entries_that_are_numbers_are_not() -> None:
    assert latex.text("a_b & 5% of $2") == r"a\_b \& 5\% of \$2"
    assert latex.text("C:\\x") == r"C:\textbackslash{}x"
    assert latex.text("ü ș 数") == "ü s ?"
    assert latex.entry("1e-03") == r"$1 \times 10^{-3}$"
    assert latex.entry("mlp w8 d1") == "mlp w8 d1"
    assert latex.symbol("b0") == "$b_{0}$"
    assert latex.symbol("paper_alpha") == r"$\alpha = 1/b$"


def test_the_tables_hold_what_the_fit_says(
    make_table: Callable[..., RunTable], make_fits: Callable[..., FitFile]
) -> None:
    table = make_table()
    fits = make_fits(table)
    files = latex.files(fits, table.rows)
    assert set(files) == {"fit.tex", "laws.tex", "runs.tex"}
    for fit in fits.reports[0].fits:
        for each in fit.parameters:
            assert f"{latex.math(each.value)} & {latex.interval(each.interval)}" in files["fit.tex"]
    assert files["runs.tex"].count(r"\\") == len(table.rows) + 1
    assert all(r"\toprule" in body and r"\bottomrule" in body for body in files.values())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
@pytest.mark.slow
def test_the_tables_compile(
    make_table: Callable[..., RunTable], make_fits: Callable[..., FitFile], tmp_path: Path
) -> None:
    table = make_table()
    fits = make_fits(table)
    report = fits.reports[0]
    law = dataclasses.replace(report.fits[0], law=HOSTILE, formula=HOSTILE)
    fits = dataclasses.replace(fits, reports=(dataclasses.replace(report, fits=(law, *report.fits[1:])),))
    latex.write(fits, table.rows.assign(label=HOSTILE), tmp_path)
    folder = tmp_path / "latex"
    (folder / "main.tex").write_text(DOCUMENT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert made.returncode == 0, re.findall(r"^!.*", made.stdout, re.MULTILINE)
    assert (folder / "main.pdf").is_file()
