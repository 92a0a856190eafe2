"""A comparison of levers in rows, the same on the terminal, in Python and on the page."""

from __future__ import annotations

import dataclasses

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
SAME = 1e-6
"""Width of an interval, over its middle, below which it is that of one value."""
COLUMNS = (
    *("Lever", "Gain (×), own training", "Gain (×), prior work in", "Moves"),
    *("Change of b", "b seen from", "Inference time (×)"),
)
"""Titles of `cells`."""
TIME, RUN = "inference_seconds_per_example", "inference_gflops_per_example"
TRAINING = {
    levers.OWN: "FLOPs",
    levers.TOTAL: "FLOPs with prior work",
    "train_seconds": "Time",
    "energy_joules": "Energy",
    "total_joules": "Energy with prior work",
}
INFERENCE = {
    RUN: "FLOPs, as run",
    levers.NOMINAL: "FLOPs, zeros left out",
    TIME: "Time",
    "inference_joules_per_example": "Energy",
}
"""Column -> title of its ratio to the baseline, in training and for an example that is answered."""

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
    named = (row.lever, f"({row.settings})") if row.name != row.lever else (row.lever,)
    time = _ratio(row.ratio(TIME))
    if row.own is None:
        why = "too few" if row.in_common < levers.LEAST_IN_COMMON else "see below"
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
    return _value(of.middle), _between(of.middle.interval), _ends(of.largest, of.least)


def _value(at: GainAt) -> str:
    return number(at.gain)


def _ends(largest: GainAt, least: GainAt) -> str:
    return f"{_short(largest.gain)} → {_short(least.gain)}"


def _between(bounds: Interval) -> str:
    """Return an interval of ratios, which has little room in a cell."""
    if bounds.low is None or bounds.high is None:
        return interval(bounds, 2)
    return f"{_short(bounds.low)} to {_short(bounds.high)}"


def _short(value: float | None) -> str:
    """Return a ratio with two decimals, or two digits where that is less or more."""
    return f"{value:.2f}" if value is not None and 0.1 <= value < 10 else number(value, 2)


def signed(bounds: Interval) -> str:
    """Return an interval of a difference, which may hold 0."""
    if bounds.low is None or bounds.high is None:
        return interval(bounds)
    return f"{bounds.low:.3f} to {bounds.high:.3f}"


def _seen(of: Difference) -> str:
    return "none" if of.smallest_seen is None else f"{of.smallest_seen:.3f}"


def _ratio(of: Ratio | None) -> Cell:
    return (UNKNOWN,) if of is None else (number(of.value), _between(of.interval))


def rows(report: LeversReport) -> tuple[tuple[str, ...], ...]:
    """Return the rows of `cells`, each cell in one line."""
    return tuple(
        (row.name, *(_one_line(cell) for cell in of_row[1:]))
        for row, of_row in zip(report.levers, cells(report), strict=True)
    )


def _one_line(cell: Cell) -> str:
    value, *bounds = cell
    return f"{value} ({'; '.join(bounds)})" if bounds else value


@dataclasses.dataclass(frozen=True)
class RatioTable:
    """Ratios of levers to the baseline at equal width, depth and seed."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def ratio_tables(report: LeversReport) -> tuple[RatioTable, ...]:
    """Return the ratios of training, with that of the error, and those of inference; only what is known."""
    noun = target.quantity(report.y).title
    training = _ratio_table(report, "Training, lever over baseline (×)", {report.y: noun} | TRAINING)
    return training, _ratio_table(report, "Inference, lever over baseline (×)", INFERENCE, density=True)


def _ratio_table(
    report: LeversReport, title: str, titles: dict[str, str], *, density: bool = False
) -> RatioTable:
    """Return one table.

    Args:
        report: all of it.
        title: of the table.
        titles: of the ratios, by column.
        density: whether the share of weights that are not zero stands beside them.
    """
    known = {each.column for row in report.levers for each in row.ratios}
    shown = {column: name for column, name in titles.items() if column in known}
    kept = ("Weights not zero",) if density else ()
    made = tuple(
        (
            row.name,
            str(row.in_common),
            *((percent(row.density),) if density else ()),
            *(_with_interval(row.ratio(column)) for column in shown),
        )
        for row in report.levers
    )
    return RatioTable(title, ("Lever", "Pairs", *kept, *shown.values()), made)


def _with_interval(of: Ratio | None) -> str:
    """Return a ratio with its interval, without it where all pairs have the same."""
    if of is None:
        return UNKNOWN
    low, high = of.interval.low, of.interval.high
    if low is not None and high is not None and high - low < SAME * of.value:
        return number(of.value)
    return f"{number(of.value)} ({interval(of.interval)})"


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
