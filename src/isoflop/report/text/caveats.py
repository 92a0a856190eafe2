"""Caveats of a sweep's verdict, derived from the data; those about its design are checks (curve/check)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.amount import LEAST_SCALES
from isoflop.curve.language.result import OptimalTraining
from isoflop.curve.result import FitReport, Interval
from isoflop.record.binomial import Z95, wilson
from isoflop.report.text import costs, optimal_training
from isoflop.report.text.amounts import amount, bare, of_resource
from isoflop.report.text.numerals import interval, number, percent
from isoflop.report.text.trust import calibrated, disagreement
from isoflop.table import target
from isoflop.table.target import Target

STANDARD_ERROR = "test_bits_per_byte_se"
"""Column of the standard error of the test loss over documents."""
LABELS = (
    "Labels: wrong labels in the test set put a floor under every model's error; how many there are is not "
    "known here."
)
CORPUS = (
    "Corpus: training, validation and test are documents of one kind; on another kind of text the loss is "
    "higher and its law another."
)


def _test_images(rows: pd.DataFrame, examples: str = "images") -> str | None:
    one = examples.removesuffix("s")
    known = rows.dropna(subset=["test_n", "test_error"])
    if known.empty:
        return None
    best = known.sort_values("test_error").iloc[0]
    n, error = float(best["test_n"]), float(best["test_error"])
    low, high = (float(side[0]) for side in wilson(np.array([error]), np.array([n])))
    apart = Z95 * math.sqrt(2 * max(error, 1 / n) * (1 - error) / n)
    return (
        f"Test set: {n:,.0f} {examples}, so one {one} is {percent(1 / n, 2)}. The least error, "
        f"{percent(error)}, has a Wilson 95% interval of {percent(low)} to {percent(high)}. On new "
        f"test {examples} two runs near it would have to differ by {number(100 * apart, 2)} points to be "
        "told apart."
    )


def _test_text(rows: pd.DataFrame) -> str | None:
    """Return the standard error of the least loss over documents, where it is known."""
    known = finding.known(rows, target.TEST_BITS.column, STANDARD_ERROR)
    if known.empty:
        return None
    best = known.sort_values(target.TEST_BITS.column).iloc[0]
    error = float(best[STANDARD_ERROR])
    return (
        f"Test text: the least loss, {amount(float(best[target.TEST_BITS.column]), target.TEST_BITS)}, has a "
        f"standard error of {bare(error, target.TEST_BITS)} over its documents: so far it would differ on "
        "other documents of the kind. Runs are tested on the same ones, so that they differ from one "
        "another by less."
    )


def _sensitivity(rows: pd.DataFrame, y: str) -> str | None:
    """Return how far the exponent of the plain power law moves when one width is left out."""
    known = rows[(rows[y] > 0) & (rows["train_gflops"] > 0)].dropna(subset=["width"])
    slopes = {}
    for width in sorted(known["width"].unique()):
        rest = known[known["width"] != width]
        x = np.log(rest["train_gflops"].to_numpy(float))
        if len(np.unique(x)) >= LEAST_SCALES:
            slopes[width] = -float(np.polyfit(x, np.log(rest[y].to_numpy(float)), 1)[0])
    if not slopes:
        return None
    least, most = min(slopes, key=slopes.__getitem__), max(slopes, key=slopes.__getitem__)
    return (
        f"Sensitivity: leaving out one width moves the exponent b between {number(slopes[least])} (without "
        f"width {least:.0f}) and {number(slopes[most])} (without width {most:.0f})."
    )


def _fit_notes(report: FitReport) -> list[str]:
    decades = math.log10(report.x_max / report.x_min)
    notes = [
        f"Range: {number(decades, 2)} decades of {report.resource.name}, {number(report.x_min)} to "
        f"{of_resource(report.x_max, report.resource)}."
    ]
    floor = costs.floor(report)
    if floor is not None and not costs.floor_identified(report):
        quantity = report.quantity
        low, high = (
            None if side is None else quantity.scale * side
            for side in (floor.interval.low, floor.interval.high)
        )
        unit = " per cent" if quantity.unit == "%" else f" {quantity.unit}".rstrip()
        notes.append(
            f"Floor: not identified (fitted {bare(floor.value, quantity)}, {report.percent} interval "
            f"{interval(Interval(low, high))}{unit}). These data do not tell a curve that ends at a floor "
            "from one that does not."
        )
    notes.append("Extrapolation: nothing beyond the largest run was measured; there, curves are dashed.")
    notes += [note for note in (disagreement(report), calibrated(report)) if note]
    notes.append(_fitted(report))
    return notes


def _fitted(report: FitReport) -> str:
    if report.of == "frontier":
        return "Points: only the runs on the efficient frontier are fitted; the paper fits all runs."
    if report.quantile is not None:
        return (
            f"Points: laws other than the paper's two follow the {percent(report.quantile, 2)} quantile of "
            f"{report.y}, not its middle."
        )
    if report.quantity.unit == target.BITS:
        return (
            "Points: all runs are fitted, not only the most efficient ones. Where several sizes share a "
            "compute the best of them lie below this curve; IsoFLOP profiles tell them apart."
        )
    return "Points: all runs are fitted, as in the paper, not only the most efficient ones."


def caveats(
    rows: pd.DataFrame,
    report: FitReport | None,
    optimal: OptimalTraining | None = None,
    judged_on: Target | None = None,
) -> tuple[str, ...]:
    """Return what to keep in mind.

    Args:
        rows: one row a run.
        report: the fit of error or loss against training GFLOPs, if any.
        optimal: compute-optimal training, if it is the answer in place of that fit.
        judged_on: what the rows are judged on; of a sweep's, it is known.
    """
    judged_on = judged_on or target.of(rows)
    notes = (
        [_test_text(rows), CORPUS]
        if judged_on.domain == target.TEXT
        else [_test_images(rows, judged_on.examples), LABELS if judged_on.quantity.noun == "error" else None]
    )
    if optimal is not None:
        notes += optimal_training.caveats(optimal)
    elif report is not None:
        notes += [_sensitivity(rows, judged_on.y), *_fit_notes(report)]
    return tuple(note for note in notes if note)
