"""The section on over-parameterisation in practice: a sweep in which data and width grow together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isoflop.paper.overparameterised import OverparameterisedResult, exponent
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import estimate, number, percent, plural

NAME = "overparameterised"
_AXES = (
    ("train_n", "Training examples"),
    ("parameters", "Parameters"),
    ("train_gflops", "Training compute (GFLOPs)"),
)
_NAMES = {"test_error": "error", "test_loss": "loss"} | {x: title.lower() for x, title in _AXES}
_NAMES["train_gflops"] = "training compute"


def section(result: OverparameterisedResult, folder: Path) -> PaperSection:
    """Draw figures/overparameterised.* in `folder` and return the section."""
    caption = _caption(result)
    drawing = paper_drawing.draw(NAME, "Data and width", caption, lambda f: _paint(f, result), (9.6, 3.6))
    canvas.write((drawing,), folder)
    compute, data = (exponent(result, "test_error", x) for x in ("train_gflops", "train_n"))
    assert compute is not None
    assert data is not None
    paragraphs = (
        f"{plural(result.runs, 'run')} of {plural(result.configs, 'shape')} on {result.data} "
        f"({result.device}), in "
        f"which parameters grow as the {number(result.parameters_per_example)}th power of the examples. "
        f"The argument "
        "of the paper: cost is at least data × parameters, so n², and the error falls at best as n^−1/2; "
        "hence k "
        "times better takes k² data and k⁴ compute.",
        f"Measured: k times less error takes k^{number(data.alpha.value)} data and "
        f"k^{number(compute.alpha.value)} "
        f"compute. Against compute the error falls {_against(compute.against_theory)} the bound's exponent "
        f"1/4: "
        f"{estimate(compute.exponent)}. Error here is that of classification and the loss is "
        f"cross-entropy, while "
        "the argument is of root mean square error; the exponent belongs to this task and would differ on "
        "another.",
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


def _against(answer: str) -> str:
    return {
        "slower": "more slowly than",
        "faster": "faster than",
        "not told apart": "at a rate that is not told apart from",
    }.get(answer, "at a rate without an interval, beside")


def _exponents(result: OverparameterisedResult) -> SectionTable:
    rows = tuple(
        (
            f"{_NAMES[e.y]} against {_NAMES[e.x]}",
            estimate(e.exponent),
            number(e.theory),
            e.against_theory,
            estimate(e.alpha),
            percent(e.r_squared),
        )
        for e in result.exponents
    )
    columns = ("What", "b (95% over shapes)", "Bound", "Falls", "alpha = 1/b", "R²")
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
        "Test loss",
    )
    return SectionTable("The shapes", columns, rows)


def _caption(result: OverparameterisedResult) -> str:
    return (
        f"Test error of {plural(result.configs, 'shape')} against training examples, parameters and "
        f"training compute, "
        "all axes logarithmic; the solid line is the fit, the dashed one has the bound's slope through the "
        "middle."
    )


def _paint(figure: Figure, result: OverparameterisedResult) -> None:
    panels = figure.subplots(1, len(_AXES), sharey=True)
    error = np.array([100 * p.test_error for p in result.places])
    for axes, (name, title) in zip(panels, _AXES, strict=True):
        measured = exponent(result, "test_error", name)
        assert measured is not None
        x = np.array([getattr(p, name) for p in result.places])
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = (
            [100 * getattr(p, f"test_error_{end}") for p in result.places] for end in ("low", "high")
        )
        axes.vlines(x, low, high, color="#0072B2", lw=1.2, zorder=3)
        axes.plot(x, error, "o", color="#0072B2", ms=5, zorder=4)
        middle_x, middle_y = np.exp(np.log(x).mean()), np.exp(np.log(error).mean())
        ends = np.array([x.min(), x.max()])
        for slope, dashes, colour, label in (
            (measured.exponent.value, "-", style.INK, f"fit, b = {number(measured.exponent.value, 2)}"),
            (measured.theory, (0, (4, 2.5)), "#D55E00", f"bound, b = {measured.theory:g}"),
        ):
            height = middle_y * (ends / middle_x) ** -slope
            axes.plot(ends, height, ls=dashes, color=colour, lw=1.5, label=label)
        axes.set_xlabel(title)
        axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
        canvas.log_ticks(axes.xaxis, float(x.min()), float(x.max()), sparse=True)
        axes.legend(frameon=False, fontsize=8.5, loc="lower left")
    canvas.log_ticks(panels[0].yaxis, float(error.min()), float(error.max()))
    panels[0].set_ylabel("Test error (%)")
