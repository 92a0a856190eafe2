"""The section on over-parameterisation in practice: a sweep in which data and width grow together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoflop.paper.bending import said
from isoflop.paper.overparameterised import RMS, MeasuredExponent, OverparameterisedResult, exponent
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text import ruled
from isoflop.report.text.numerals import estimate, number, percent, plural
from isoflop.table.axis import capital

NAME = "overparameterised"
_AXES = (
    ("train_n", "Training examples"),
    ("parameters", "Parameters"),
    ("train_gflops", "Training compute (GFLOPs)"),
)
_NAMES = {RMS: "RMS error", "test_error": "classification error", "test_loss": "loss"} | {
    x: title.lower() for x, title in _AXES
}
_NAMES["train_gflops"] = "training compute"


def section(result: OverparameterisedResult, folder: Path) -> PaperSection:
    """Draw figures/overparameterised.* in `folder` and return the section."""
    caption = _caption(result)
    drawing = paper_drawing.draw(NAME, "Data and width", caption, lambda f: _paint(f, result), (9.6, 3.6))
    canvas.write((drawing,), folder)
    paragraphs = (
        f"{plural(result.runs, 'run')} of {plural(result.configs, 'shape')} on {result.data} "
        f"({result.device}), in "
        f"which parameters grow as the {number(result.parameters_per_example)}th power of the examples. "
        f"The argument "
        "of the paper: cost is at least data × parameters, so n², and the error falls at best as n^−1/2; "
        "hence k "
        "times better takes k² data and k⁴ compute.",
        _judged(result),
        _beside(result),
        f"A training costs as much as {estimate(result.queries_per_training)} queries of the trained model "
        f"(geometric "
        "mean over runs): beyond that many, answering is the larger burden.",
    )
    return PaperSection(
        name=NAME,
        title="Over-parameterisation in practice",
        paragraphs=paragraphs,
        tables=(_exponents(result), _shapes(result), *paper_drawing.excluded_table(result.excluded, "run")),
        figures=(NAME,),
        found=(),
        captions=(drawing.caption,),
    )


def _judged(result: OverparameterisedResult) -> str:
    """Return the paragraph on what the argument bounds: the root mean square error."""
    compute, data = (exponent(result, RMS, x) for x in ("train_gflops", "train_n"))
    ruling = f"{capital(result.limit.claim)}: {result.limit.answer}. {capital(ruled.because(result.limit))}."
    if compute is None or data is None:
        return f"{ruling} The argument is of root mean square error."
    return (
        f"Measured: k times less root mean square error of the predicted probabilities takes "
        f"{_times(data)} data and {_times(compute)} compute{said(compute.lack_of_fit)}. {ruling} "
        "The exponent belongs to this task and would differ on another."
    )


def _times(measured: MeasuredExponent) -> str:
    """Return what k times less takes, such as k^8.7."""
    return "no known power of k of the" if measured.alpha is None else f"k^{number(measured.alpha.value)}"


def _beside(result: OverparameterisedResult) -> str:
    """Return the paragraph on classification error, which the argument does not bound."""
    compute = exponent(result, "test_error", "train_gflops")
    assert compute is not None
    return (
        f"The classification error falls as compute to the power −{estimate(compute.exponent)}, so that k "
        f"times less takes {_times(compute)} compute{said(compute.lack_of_fit)}. It is what "
        "the paper measured in practice, and not what the argument bounds: a probability may be far off "
        "where the class is right."
    )


def _exponents(result: OverparameterisedResult) -> SectionTable:
    rows = tuple(
        (
            f"{_NAMES[e.y]} against {_NAMES[e.x]}",
            estimate(e.exponent) + (", rejected" if e.lack_of_fit and e.lack_of_fit.rejected else ""),
            number(e.theory) if e.y == RMS else "–",
            e.bound or "–",
            "–" if e.alpha is None else estimate(e.alpha),
            percent(e.r_squared),
        )
        for e in result.exponents
    )
    columns = ("What", "b (95% over shapes)", "Bound", "The bound", "alpha = 1/b", "R²")
    return SectionTable("y = A x^−b", columns, rows)


def _shapes(result: OverparameterisedResult) -> SectionTable:
    rows = tuple(
        (
            p.label,
            str(p.seeds),
            number(p.train_n),
            number(p.parameters),
            number(p.train_gflops),
            f"{percent(p.test_error)} ({percent(p.test_error_low)} to {percent(p.test_error_high)})",
            percent(p.test_rms_probability_error),
            number(p.test_loss),
        )
        for p in result.places
    )
    columns = (
        "Shape",
        "Seeds",
        "Examples",
        "Parameters",
        "GFLOPs",
        "Test error (range of seeds)",
        "RMS error",
        "Test loss",
    )
    return SectionTable("The shapes", columns, rows)


def _caption(result: OverparameterisedResult) -> str:
    is_judged = exponent(result, RMS, "train_gflops") is not None
    bound = (
        "root mean square error of the predicted probabilities, with the bound's slope through the middle "
        "(dashed), and test error"
    )
    return (
        f"{bound.capitalize() if is_judged else 'Test error'} of {plural(result.configs, 'shape')} against "
        "training examples, parameters and training compute, all axes logarithmic; solid lines are the fits."
    )


def _paint(figure: Figure, result: OverparameterisedResult) -> None:
    panels = figure.subplots(1, len(_AXES), sharey=True)
    error = np.array([100 * p.test_error for p in result.places])
    rms = np.array([100 * (p.test_rms_probability_error or np.nan) for p in result.places])
    shown = [(RMS, rms, "#D55E00", "s"), ("test_error", error, "#0072B2", "o")]
    for axes, (name, title) in zip(panels, _AXES, strict=True):
        x = np.array([getattr(p, name) for p in result.places])
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = (
            [100 * getattr(p, f"test_error_{end}") for p in result.places] for end in ("low", "high")
        )
        axes.vlines(x, low, high, color="#0072B2", lw=1.2, zorder=3)
        for y, values, colour, marker in shown:
            measured = exponent(result, y, name)
            if measured is not None:
                _paint_series(axes, x, values, measured, colour, marker)
        axes.set_xlabel(title)
        axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
        canvas.log_ticks(axes.xaxis, float(x.min()), float(x.max()), sparse=True)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    known = np.concatenate([error, rms[np.isfinite(rms)]])
    canvas.log_ticks(panels[0].yaxis, float(known.min()), float(known.max()))
    panels[0].set_ylabel("Error (%)")


def _paint_series(
    axes: Axes, x: np.ndarray, y: np.ndarray, measured: MeasuredExponent, colour: str, marker: str
) -> None:
    """Draw one outcome of the shapes in a panel: points, the fit, and the bound where it applies.

    Args:
        axes: the panel.
        x, y: values (n,) of the shapes, y in percent.
        measured: the fitted exponent.
        colour, marker: of the points.
    """
    axes.plot(x, y, marker, color=colour, ms=5, zorder=4)
    middle_x, middle_y = np.exp(np.log(x).mean()), np.exp(np.log(y).mean())
    ends = np.array([x.min(), x.max()])
    name = _NAMES[measured.y]
    lines: list[tuple[float, Any, str]] = [
        (measured.exponent.value, "-", f"{name}, b = {number(measured.exponent.value, 2)}")
    ]
    if measured.y == RMS:
        lines.append((measured.theory, (0, (4, 2.5)), f"bound, b = {measured.theory:g}"))
    for slope, dashes, label in lines:
        axes.plot(ends, middle_y * (ends / middle_x) ** -slope, ls=dashes, color=colour, lw=1.5, label=label)
