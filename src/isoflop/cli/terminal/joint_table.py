"""A law in several resources on the terminal: parameters, best split of compute, held-out rows, warnings."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.cli.terminal.left_out import MOST_NAMED, show_excluded
from isoflop.curve import measured
from isoflop.curve.joint.data_grid import GrowthPath
from isoflop.curve.joint.laws import UNIQUE
from isoflop.curve.joint.result import Allocation, JointFit, JointHeldOut
from isoflop.curve.result import Estimate
from isoflop.report.text.notes import Note
from isoflop.report.text.numerals import factor, plural

HELD = 1e-12
"""Relative spread over resamples below which a parameter was held fixed, as a known chance level is."""
_SPLIT = ("a = beta / (alpha + beta)", "b = alpha / (alpha + beta)")
"""The exponents of the optimal parameters and data in compute, as Hoffmann et al. 2022 call them."""


def show(fit: JointFit, out: Console, *, every_note: bool = True) -> None:
    """Print the fit, 100 columns wide; of its notes the first five unless `every_note`."""

    def line(text: str) -> None:
        out.print(text, markup=False)

    columns = " and ".join(
        column if column == role else f"{column} ({role})"
        for column, role in zip(fit.resources, fit.roles, strict=True)
    )
    line(f"{fit.law}: {fit.y} against {columns}")
    line(
        f"{plural(fit.points, 'row')} of {plural(fit.configs, 'configuration')}; {fit.formula}; {fit.source}"
    )
    out.print(_parameters(fit))
    line(
        f"least sum of Huber's loss of ln {fit.y} beyond {fit.delta:.3g}: {fit.objective:.9g}; off by "
        f"{factor(fit.log10_rmse * math.log(10))} in the sample (root mean square)"
    )
    if fit.allocation is not None:
        _show_split(fit, fit.allocation, out)
    if fit.growth is not None:
        _show_growth(fit, fit.growth, out)
    if fit.held_out is not None:
        _show_held_out(fit.held_out, f"{100 * fit.level:g}%", out)
    show_excluded(fit.excluded, out)
    notes.show([Note(warning) for warning in fit.warnings], every=every_note, out=out)


def interval(estimate: Estimate) -> str:
    """Return `0.292 (0.15, 0.44)`, with ? for an unknown end and a star outside what was measured."""
    low, high = (
        "?" if end is None else _short(end) for end in (estimate.interval.low, estimate.interval.high)
    )
    return f"{_short(estimate.value)}{measured.mark(estimate)} ({low}, {high})"


def show_footnote(estimates: Iterable[Estimate], out: Console) -> None:
    """Print what the star means, where one of the estimates has it."""
    if note := measured.footnote(estimates):
        out.print(note, markup=False)


def _short(value: float) -> str:
    """Return three significant digits, as 2010 rather than 2.01e+03."""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if 100 <= value < 99950 else text


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    """Return a table of text; brackets are escaped, since rich would read them as markup."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    return table


def _parameters(fit: JointFit) -> Table:
    """Return a table of the law's parameters with intervals and standard errors."""
    rows = []
    for each in fit.parameters:
        spread = fit.standard_errors[each.name]
        low, high = ("?" if end is None else f"{end:.4g}" for end in (each.interval.low, each.interval.high))
        held = spread is not None and spread < HELD * each.value
        error = "-" if held else "unknown" if spread is None else f"{spread:.3g}"
        ends = "held" if held else f"{low} to {high}"
        rows.append((each.name, f"{each.value:.5g}", ends, error, each.unit))
    return _table(("parameter", "value", f"{100 * fit.level:g}% interval", "s.e.", "unit"), rows)


def _show_split(fit: JointFit, split: Allocation, out: Console) -> None:
    """Print how the optimum of each resource grows with compute, and its value at the rows' largest compute
    and beyond."""
    product = " x ".join(
        role if power == 1 else f"{role}^{power:g}"
        for role, power in zip(fit.roles, split.powers, strict=False)
    )
    out.print(
        f"best split of {split.compute_unit} = {split.factor:.4g} {product} ({split.basis}):", markup=False
    )
    for i, each in enumerate(split.exponents):
        named = f", {_SPLIT[i]}" if len(fit.roles) == 2 else ""
        named = ", at the largest compute of the rows" if UNIQUE in fit.roles else named
        out.print(f"  {fit.roles[i]} as compute to the power {interval(each)}{named}", markup=False)
    names = [each.name.removeprefix("optimal_").replace("_", " ") for each in split.optima[0].best]
    rows = [(f"{at.compute:.4g}", *(interval(each) for each in at.best)) for at in split.optima]
    out.print(_table((split.compute_unit, *names), rows))
    show_footnote([each for at in split.optima for each in at.best], out)
    beyond = split.optima[-1].compute / split.optima[0].compute
    if beyond > 1:
        out.print(f"the last line is {beyond:.3g} times the largest of the rows: extrapolated", markup=False)


def _show_growth(fit: JointFit, growth: GrowthPath, out: Console) -> None:
    """Print the best size for each amount of data, and the path on which parameters grow with the data."""
    rows = [
        (
            f"{data:.4g}",
            interval(best),
            f"{at.parameters:.4g}{'' if at.outside is None else measured.MARK}",
            interval(at.error),
        )
        for data, best, at in zip(growth.data, growth.best, growth.path, strict=True)
    ]
    out.print(_table((fit.resources[1], "best parameters", "on the paper's path", f"{fit.y} there"), rows))
    show_footnote(growth.best, out)
    out.print(
        f"best parameters as {fit.resources[1]} to the power {interval(growth.growth)}; on the paper's path "
        f"(parameters in proportion, {growth.parameters_per_example:.3g} a unit) {fit.y} falls as compute to "
        f"the power -b, b = {interval(growth.exponent)}: k times less takes k^{interval(growth.alpha)} "
        "compute",
        markup=False,
    )


def _show_held_out(held: JointHeldOut, level: str, out: Console) -> None:
    """Print the held-out rows beside their predictions, and how far off these are."""
    rows = []
    for row in held.rows[:MOST_NAMED]:
        known = row.low is not None and row.high is not None
        ends = f"{row.low:.4g} to {row.high:.4g}" if known else "unknown"
        rows.append((row.row, f"{row.y:.4g}", f"{row.predicted:.4g}", ends))
    out.print(_table(("held out", "seen", "predicted", f"{level}, new run"), rows))
    if len(held.rows) > MOST_NAMED:
        out.print(f"and {len(held.rows) - MOST_NAMED} more, see --json", markup=False)
    inside = "" if held.inside is None else f"; {held.inside} of {len(held.rows)} inside"
    out.print(
        f"{plural(len(held.rows), 'row')} held out: off by {factor(held.log_rmse)}{inside}", markup=False
    )
