"""The section of the page on levers: each against the baseline, where a folder holds more than one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from isoflop.curve.compare.contrast import Settings
from isoflop.curve.levers import compare
from isoflop.report.figures import levers as drawing
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import lever_lines, lever_sentences
from isoflop.report.text.lever_lines import RatioTable
from isoflop.table import levers

MIXED = (
    "What it took, the bill and the lists of configurations and runs on this page are those of the baseline; "
    "table.csv holds all runs."
)


@dataclasses.dataclass(frozen=True)
class LeversPanel:
    """The section: what it says, its figure and two tables; or why there is no comparison.

    Attributes:
        lines: sentences.
        drawing: the curves and gains; None where nothing could be compared.
        columns, rows: a row a lever: gain, what moves, and what could be seen.
        ratios: tables of ratios to the baseline at equal width, depth and seed.
        legend: how the tables are to be read.
        missing: levers that are not compared, or were not trained.
        warnings: what to beware of.
    """

    lines: tuple[str, ...]
    drawing: Drawing | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    ratios: tuple[RatioTable, ...] = ()
    legend: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _resamples(rows: pd.DataFrame, level: float) -> int:
    return max(Settings().resamples, compare.least_resamples(levers.arms(rows).nunique() - 1, level))


def levers_panel(rows: pd.DataFrame | None, directory: Path | None, level: float) -> LeversPanel | None:
    """Compare the levers of a sweep, by the resamples that `isoflop levers` takes without an option.

    None where a page has no levers beside the baseline.

    Args:
        rows: the runs of all arms; None where there is one.
        directory: the folder of the sweep; None for a table of one's own.
        level: of the intervals.
    """
    if rows is None:
        return None
    try:
        runs = compare.of_table(rows, "" if directory is None else directory.resolve().name, directory)
        report = compare.compare(runs, Settings(resamples=_resamples(rows, level), level=level))
    except ValueError as error:
        return LeversPanel((f"Runs differ in their lever, but nothing could be compared: {error}.", MIXED))
    said = [*report.warnings, *(f"{row.name}: {each}" for row in report.levers for each in row.warnings)]
    return LeversPanel(
        lines=(*lever_sentences.sentences(report), MIXED),
        drawing=drawing.draw(report) if report.own is not None else None,
        columns=lever_lines.COLUMNS,
        rows=lever_lines.rows(report),
        ratios=lever_lines.ratio_tables(report),
        legend=lever_lines.legend(report),
        missing=lever_lines.missing(report),
        warnings=tuple(dict.fromkeys(said)),
    )
