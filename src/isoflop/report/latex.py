"""LaTeX tables of a fit for a paper: parameters, laws and runs, with booktabs.

Each file is a table to be read by \\input inside a table environment; runs.tex, which may be longer than a
page, is a longtable. Numbers and intervals are in math mode, and all text is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isoflop import __version__, record
from isoflop.curve.result import Estimate, FitFile, FitReport, Interval, LawFit
from isoflop.report.figures import style
from isoflop.report.text import law_tables, misfit, tables
from isoflop.report.text.law_tables import LawRow
from isoflop.report.text.numerals import UNKNOWN, number
from isoflop.report.text.tables import Listed

FOLDER = "latex"
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "×": r"$\times$",
    "²": "$^2$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}
SYMBOLS = {
    "paper_alpha": r"\alpha = 1/b",
    "inverse_alpha": r"R^2/b",
    "local_alpha_at_x_max": r"\alpha(x_{\max})",
}
"""Parameter -> its symbol where that is more than letters with an index."""
SUPERSCRIPTS = {ord(raised): plain for raised, plain in zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)}
NUMBER = re.compile(r"[-−×<]?\s?[\d.,]*\d(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|[eE][-+]?\d+)?|∞")
LATIN_END = 0x180
"""Letters below are those of Western and Central European languages, which pdfLaTeX sets."""
FORMULAS = {
    "power_law_ols": r"$\log_{10}(1/y) = a + b \log_{10} x$",
    "power_law": r"$y = A x^{-b}$",
    "power_law_floor": r"$y = E + A x^{-b}$",
    "exponential": r"$1/y = a + b \log_{10} x$",
    "m3": r"$y = A (1/x + 1/x_0)^b$",
    "m4": r"$(y - E) / (e_0 - y)^k = A x^{-b}$",
    "broken_power_law": r"$y = E + A x^{-b_0} (1 + (x/d)^{1/f})^{(b_0 - b_1) f}$",
}
"""Law -> its formula where LaTeX sets it better than the plain text of LawFit.formula."""


def text(plain: object) -> str:
    """Return plain text escaped for LaTeX. Letters that pdfLaTeX does not know lose accents, or are `?`."""
    return "".join(ESCAPES.get(each) or _known(each) for each in str(plain))


def _known(letter: str) -> str:
    if ord(letter) < LATIN_END and letter.isprintable():
        return letter
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return "".join(ESCAPES.get(each, each) for each in bare) or "?"


def math(value: float | None, digits: int = 3) -> str:
    """Return a number in math mode, such as $1.23 \\times 10^{9}$; a dash where it is unknown."""
    return entry(number(value, digits))


def entry(shown: str) -> str:
    """Return an entry of a table: a number of numerals in math mode, and anything else as text."""
    if not NUMBER.fullmatch(shown):
        return text(shown)
    return f"${_set(shown)}$"


def _set(shown: str) -> str:
    """Return a number of numerals as it stands in math mode."""
    if shown == "∞":
        return r"\infty"
    power = re.fullmatch(r"(.*) × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", shown)
    if power is not None:
        return rf"{_set(power[1])} \times 10^{{{power[2].translate(SUPERSCRIPTS)}}}"
    power = re.fullmatch(r"(.*)[eE]\+?(-?)0*(\d+)", shown)
    if power is not None:
        return rf"{_set(power[1])} \times 10^{{{power[2]}{power[3]}}}"
    return shown.replace(",", "{,}").replace("×", r"{\times}")


def interval(bounds: Interval) -> str:
    """Return an interval in math mode; an unbounded end is infinite."""
    ends = (
        _set(number(end)) if end is not None else sign
        for end, sign in ((bounds.low, r"-\infty"), (bounds.high, r"\infty"))
    )
    return f"$[{', '.join(ends)}]$"


def symbol(name: str) -> str:
    """Return a parameter's name in math mode."""
    if name in SYMBOLS:
        return f"${SYMBOLS[name]}$"
    letters = re.fullmatch(r"([A-Za-z])_?([0-9]*)", name)
    if letters is not None:
        return f"${letters[1]}_{{{letters[2]}}}$" if letters[2] else f"${letters[1]}$"
    return text(name.replace("_", " "))


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, long: bool = False) -> str:
    """Return a booktabs table.

    Args:
        columns: (letter of the alignment, title in LaTeX) of each.
        rows: entries in LaTeX.
        long: whether it may go over pages (longtable), with its head repeated.
    """
    kind, letters = "longtable" if long else "tabular", "".join(letter for letter, _ in columns)
    head = " & ".join(title for _, title in columns) + r" \\"
    lines = [rf"\begin{{{kind}}}{{@{{}}{letters}@{{}}}}", r"\toprule", head, r"\midrule"]
    lines += [r"\endhead", r"\bottomrule", r"\endfoot"] if long else []
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, *([] if long else [r"\bottomrule"]), rf"\end{{{kind}}}", ""])


def of_fit(report: FitReport) -> str:
    """Return the parameters of every law with their intervals."""
    rows = [row for fit in report.fits for row in _parameters(fit)]
    local = report.forecast.local_exponent if report.forecast is not None else None
    if local is not None:
        rows.append(_parameter(text(style.law_name(style.FORECAST)), "", local, "local exponent"))
    level = text(report.percent)
    titles = ("Law", "Formula", "Parameter", "Estimate", f"{level} interval", "Unit")
    letters = ("l", "l", "l", "r", "l", r"p{0.28\linewidth}")
    return table(list(zip(letters, titles, strict=True)), rows)


def _parameters(fit: LawFit) -> list[list[str]]:
    """Return the rows of a law, its name and formula in the first; a rejected law says so."""
    alpha = [fit.paper_alpha] if fit.paper_alpha is not None else []
    names = [text(style.law_name(fit.law) + misfit.mark(fit))]
    formulas = [FORMULAS.get(fit.law) or text(fit.formula.split(",")[0])]
    shown = [*fit.parameters, *alpha]
    return [
        _parameter((names if i == 0 else [""])[0], (formulas if i == 0 else [""])[0], each)
        for i, each in enumerate(shown)
    ]


def _parameter(law: str, formula: str, each: Estimate, name: str = "") -> list[str]:
    named = text(name) if name else symbol(each.name)
    return [law, formula, named, math(each.value), interval(each.interval), text(each.unit)]


def of_laws(report: FitReport) -> str:
    """Return how well each law fits and predicts ahead: the law table of the page."""
    group = law_tables.group(report)
    titles = (
        "Law",
        "$R^2$",
        r"RMSE of $\log_{10} y$",
        *map(text, group.ratios),
        "Weight",
        "$x$ to halve $y$",
    )
    letters = "l" + "r" * (len(titles) - 1)
    return table(list(zip(letters, titles, strict=True)), [_law(row) for row in group.ranks])


def _law(row: LawRow) -> list[str]:
    halving = row.halving if row.halving.startswith("×") else UNKNOWN  # a reason is a sentence
    name, *rest = (row.name, row.r_squared, row.rmse, *row.ahead, row.weight.split(" (")[0], halving)
    return [text(name), *(_with_interval(each) for each in rest)]


def _with_interval(shown: str) -> str:
    """Return an entry such as `×2.1 (1.8 to 2.5)` in math mode; other text as it is."""
    match = re.fullmatch(rf"({NUMBER.pattern}) \(({NUMBER.pattern}) to ({NUMBER.pattern})\)", shown)
    if match is None:
        return entry(shown)
    return f"${_set(match[1])}\\ [{_set(match[2])}, {_set(match[3])}]$"


def of_runs(rows: pd.DataFrame, listed: Listed | None = None) -> str:
    """Return every run with what is known of it, as on the page."""
    grid = tables.runs(rows, listed)
    columns = [("r" if column.numeric else "l", text(column.title)) for column in grid.columns]
    return table(columns, [[entry(each) for each in row] for row in grid.rows], long=True)


def files(fits: FitFile, rows: pd.DataFrame) -> dict[str, str]:
    """Return {file name: LaTeX} of a fit's first pair of axes and its runs."""
    report, listed = fits.reports[0], None
    if report.axes is not None:
        listed = tables.of_axes(report.axes)
    made = {"fit.tex": of_fit(report), "laws.tex": of_laws(report), "runs.tex": of_runs(rows, listed)}
    origin = f"% isoflop {__version__}, {report.points} runs of {report.configs} configurations"
    needs = {name: "booktabs, longtable" if name == "runs.tex" else "booktabs" for name in made}
    return {name: f"{origin}\n% \\usepackage{{{needs[name]}}}\n{body}" for name, body in made.items()}


def write(fits: FitFile, rows: pd.DataFrame, directory: Path) -> tuple[Path, ...]:
    """Write DIR/latex/fit.tex, laws.tex and runs.tex, each atomically; return their paths.

    Args:
        fits: the laws; the first pair of axes is written.
        rows: one row a run, as on the page.
        directory: where to write.

    Raises:
        OSError: disk full or not writable.
    """
    paths = []
    for name, body in files(fits, rows).items():
        paths.append(directory / FOLDER / name)
        record.write_bytes(paths[-1], body.encode())
    return tuple(paths)
