"""A comparison of levers in rows, the same on the terminal, in Python and on the page."""

from __future__ import annotations

from isoflop.curve.compare.result import Difference, GainAt, Moved
from isoflop.curve.estimate import Interval
from isoflop.curve.levers.result import LeverRow, LeversReport, OnAxis, Ratio
from isoflop.report.text.numerals import UNKNOWN, interval, number, percent, plural
from isoflop.table import levers, target

MOVES: dict[Moved, str] = {
    "cannot be told": "not told",
    "factor": "A",
    "exponent": "b",
    "irreducible error": "E",
    "exponent and irreducible error": "b and E",
    "shape": "b or E",
}
"""What moves, as a cell has it."""
COLUMNS = (
    *("Lever", "Gain (×), own training", "Gain (×), prior work in", "Moves"),
    *("Change of b", "b seen from", "Inference time (×)"),
)
"""Titles of `cells`."""
TIME, RUN = "inference_seconds", "inference_gflops_per_example"
RATIO_NAMES = {
    levers.OWN: "Training FLOPs",
    levers.TOTAL: "Training and prior FLOPs",
    "train_seconds": "Training time",
    "energy_joules": "Training energy",
    "total_joules": "Training and prior energy",
    RUN: "Inference FLOPs, as run",
    levers.NOMINAL: "Inference FLOPs, zeros left out",
    TIME: "Inference time",
    "inference_joules": "Inference energy",
}
"""Column -> title of its ratio."""

Cell = tuple[str, ...]
"""Lines of one cell: a value, its interval, and how it changes with scale."""


def heading(report: LeversReport) -> str:
    """Return what is compared with what."""
    runs, configs = plural(report.runs, "run"), plural(report.configurations, "configuration")
    count = plural(len(report.levers), "lever")
    return f"{report.y}: {count} against the baseline ({runs} of {configs})"


def legend(report: LeversReport) -> tuple[str, ...]:
    """Return how the table is to be read."""
    noun = target.quantity(report.y).noun
    an = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    share, power = f"{100 * report.level:g}%", f"{100 * report.power:g}%"
    return (
        f"Gain: training compute that the baseline needs for {an} over what the lever needs; above 1 the "
        f"lever needs less. At the middle of the {noun}s in common, its {share} interval, and from the "
        f"largest {noun} → to the least. Prior work is what a run needs beside its own training.",
        f"Moves: scale A alone, exponent b, or irreducible {noun} E. b seen from: the smallest change of b "
        f"that would have been seen with {power} power. Inference time: seconds of an example over the "
        "baseline's at the same width, depth and seed.",
    )


def cells(report: LeversReport) -> tuple[tuple[Cell, ...], ...]:
    """Return a row a lever."""
    return tuple(_cells(row) for row in report.levers)


def _cells(row: LeverRow) -> tuple[Cell, ...]:
    named = (row.lever, f"({row.settings})") if row.settings else (row.lever,)
    time = _ratio(row.ratio(TIME))
    if row.own is None:
        why = "too few" if row.in_common < levers.LEAST_IN_COMMON else "not compared"
        return named, (UNKNOWN,), (UNKNOWN,), (why,), (UNKNOWN,), (UNKNOWN,), time
    b = row.own.b
    return (
        named,
        _gain(row.own),
        _gain(row.total),
        (MOVES[row.own.moved],),
        (f"{b.value:+.3f}", signed(b.interval)),
        (_seen(b),),
        time,
    )


def _gain(of: OnAxis | None) -> Cell:
    if of is None or of.middle is None or of.largest is None or of.least is None:
        return (UNKNOWN,)
    return _value(of.middle), interval(of.middle.interval, 2), _ends(of.largest, of.least)


def _value(at: GainAt) -> str:
    return number(at.gain)


def _ends(largest: GainAt, least: GainAt) -> str:
    return f"{number(largest.gain, 2)} → {number(least.gain, 2)}"


def signed(bounds: Interval) -> str:
    """Return an interval of a difference, which may hold 0."""
    if bounds.low is None or bounds.high is None:
        return interval(bounds)
    return f"{bounds.low:.3f} to {bounds.high:.3f}"


def _seen(of: Difference) -> str:
    return "none" if of.smallest_seen is None else f"{of.smallest_seen:.3f}"


def _ratio(of: Ratio | None) -> Cell:
    return (UNKNOWN,) if of is None else (number(of.value), interval(of.interval, 2))


def rows(report: LeversReport) -> tuple[tuple[str, ...], ...]:
    """Return the rows of `cells`, each cell in one line."""
    return tuple(
        (row.name, *(_one_line(cell) for cell in of_row[1:]))
        for row, of_row in zip(report.levers, cells(report), strict=True)
    )


def _one_line(cell: Cell) -> str:
    value, *bounds = cell
    return f"{value} ({'; '.join(bounds)})" if bounds else value


def ratio_columns(report: LeversReport) -> tuple[str, ...]:
    """Return the titles of `ratio_rows`: of those ratios that any lever has."""
    titles = {report.y: target.quantity(report.y).title} | RATIO_NAMES
    return "Lever over baseline (×)", "Pairs", "Weights kept", *(titles[name] for name in _known(report))


def ratio_rows(report: LeversReport) -> tuple[tuple[str, ...], ...]:
    """Return a row a lever: its ratios to the baseline at equal width, depth and seed."""
    known = _known(report)
    return tuple(
        (
            row.name,
            str(row.in_common),
            percent(row.density),
            *(_one_line(_ratio(row.ratio(name))) for name in known),
        )
        for row in report.levers
    )


def _known(report: LeversReport) -> list[str]:
    known = {each.column for row in report.levers for each in row.ratios}
    return [name for name in (report.y, *RATIO_NAMES) if name in known]


def missing(report: LeversReport) -> tuple[str, ...]:
    """Return a line for each lever whose curves are not compared, or that was not trained."""
    return (
        *(f"not compared: {row.name}: {row.reason}" for row in report.levers if row.reason is not None),
        *(
            f"not compared with prior work counted in: {row.name}: {row.total_reason}"
            for row in report.levers
            if row.reason is None and row.total_reason is not None
        ),
        *(f"left out: {each.lever}: {each.why}" for each in report.left_out),
    )
