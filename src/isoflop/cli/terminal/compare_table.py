"""A comparison on the terminal: verdict, gain, differences, tests and what to beware of."""

from __future__ import annotations

import math

from rich.table import Table

from isoflop.cli.terminal.console import OUT
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.compare.result import Comparison, Contrast, Difference, GainAt
from isoflop.curve.result import Interval
from isoflop.report.text import amounts, compare_lines
from isoflop.table import target

NAMES = {"ln factor": "factor of compute", "ln y": "ratio of y"}
"""Differences of logarithms, which are shown as ratios."""


def show(comparison: Comparison) -> None:
    """Print everything that a Comparison says, 100 columns wide."""
    for line in compare_lines.heading(comparison):
        OUT.print(line, markup=False)
    for contrast in comparison.contrasts:
        _show_contrast(contrast, comparison)
    for arm in comparison.arms:
        show_excluded(arm.excluded, OUT)
    for failed in comparison.not_compared:
        OUT.print(f"not compared: {failed.run_id}: {failed.reason}", markup=False)
    for warning in dict.fromkeys(comparison.warnings):
        OUT.print(f"note: {warning}", markup=False)


def _show_contrast(contrast: Contrast, comparison: Comparison) -> None:
    OUT.print(f"\n{contrast.other} against {contrast.baseline}", style="bold", markup=False)
    for sentence in contrast.verdict:
        OUT.print(f"  {sentence}", markup=False)
    _show_gain(contrast, comparison)
    _show_differences(contrast, comparison)
    for test in contrast.tests:
        p = f"not tested: {test.reason}" if test.p is None else f"p = {test.p:.2g}"
        holm = "" if test.p is None or test.p_holm in (None, test.p) else f", {test.p_holm:.2g} by Holm"
        OUT.print(f"  null: {test.null}: {p}{holm}", markup=False)
    OUT.print(f"  {contrast.law}: {contrast.law_reason}", markup=False)
    OUT.print(f"  {_pairing(contrast)}", markup=False)
    for warning in contrast.warnings:
        OUT.print(f"  note: {warning}", markup=False)


def _show_gain(contrast: Contrast, comparison: Comparison) -> None:
    """Print the gain at some y, those beyond the runs of one arm with a mark."""
    if contrast.gain is None:
        OUT.print(f"  compute-equivalent gain unknown: {contrast.gain_reason}", markup=False)
        return
    quantity = target.quantity(comparison.y)
    share = f"{100 * comparison.level:.3g}%"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    unit = "" if quantity.unit in (quantity.column, "%") else f" ({quantity.unit})"
    for name in (
        f"  at {quantity.noun}{unit}",
        f"{contrast.baseline} needs",
        f"{contrast.other} needs",
        f"gain ({share})",
    ):
        table.add_column(name, justify="right")
    for row in contrast.gain.rows:
        mark = "" if row.inside else " *"
        at = amounts.bare(row.y, quantity) if quantity.unit == "%" else f"{row.y:.4g}"
        table.add_row(f"{at}{mark}", _needs(row.x_baseline), _needs(row.x_other), _gain(row))
    OUT.print(table)
    if not all(row.inside for row in contrast.gain.rows):
        OUT.print("  *: beyond the runs of one of the two, by its law alone", markup=False)


def _needs(x: float | None) -> str:
    return "out of reach" if x is None else f"{x:.3g}"


def _gain(row: GainAt) -> str:
    if row.gain is None:
        return "unbounded" if row.x_other is not None else "none"
    return f"{row.gain:.3g} ({_interval(row.interval)})"


def _interval(interval: Interval) -> str:
    return f"{_end(interval.low)} to {_end(interval.high)}"


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _show_differences(contrast: Contrast, comparison: Comparison) -> None:
    # Columns wrap: a narrow terminal must not cut off the last, without which "cannot be told" says little.
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("  difference of", "given", f"({100 * comparison.level:.3g}%)", "p", "could be seen"):
        table.add_column(name, overflow="fold")
    for of in contrast.differences:
        p = "" if of.p is None else f"{of.p:.2g}"
        table.add_row(f"  {NAMES.get(of.quantity, of.quantity)}", of.given, _value(of), p, _seen(of))
    OUT.print(table)


def _value(of: Difference) -> str:
    if of.quantity in NAMES:
        low, high = (None if end is None else math.exp(end) for end in (of.interval.low, of.interval.high))
        return f"{math.exp(of.value):.3g} ({_interval(Interval(low, high))})"
    return f"{of.value:+.3g} ({_interval(of.interval)})"


def _seen(of: Difference) -> str:
    """Return the smallest difference that could have been seen, of a ratio as a ratio."""
    if of.smallest_seen is None:
        return "none"
    return f"{math.exp(min(of.smallest_seen, 600.0)) if of.quantity in NAMES else of.smallest_seen:.3g}"


def _pairing(contrast: Contrast) -> str:
    """Return what was resampled, what pairs there were, and what they gained."""
    of = contrast.pairing
    pairs = f"{of.paired_configurations} configurations and {of.paired_runs} seeds pair up"
    text = f"resampled: {of.units} {of.unit} ({of.unit_reason}); {pairs}"
    if of.relative_width is None:
        return text
    change = f"{abs(1 - of.relative_width):.0%} {'less' if of.relative_width < 1 else 'more'}"
    return f"{text}, so that the error of a difference is {change}"
