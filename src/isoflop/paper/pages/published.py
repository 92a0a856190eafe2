"""The section on published models: the cloud, its lines, the forms, the trend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isoflop.paper import facts, forms, regression
from isoflop.paper.bending import said
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.published import PublishedResult
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import estimate, interval, number, percent

NAME = "published"
UNITS = {"forward_gflops": "Compute of one pass (GFLOPs)"}
_LINES = (("mean", "-"), ("median", (0, (5, 2))), ("best 10%", (0, (1, 1.2))))


def section(result: PublishedResult, folder: Path) -> PaperSection:
    """Draw figures/published.* in `folder` and return the section."""
    drawing = paper_drawing.draw(NAME, "Error against compute", _caption(result), lambda f: _paint(f, result))
    canvas.write((drawing,), folder)
    mean = result.exponents[0]
    value, low, high = facts.IMAGENET_ALPHA
    paragraphs = [
        f"{result.count} models of {result.families} families ({result.source}). A family is "
        f"{result.family_rule}; intervals resample whole families, since the models of one are not "
        f"independent.",
        f"Error falls with the {number(mean.alpha.value)}th root of {_compute(result)} "
        f"({interval(mean.alpha.interval)}){said(mean.lack_of_fit)}. "
        "The paper's figure for ImageNet, per network pass, is about "
        f"{value:g} ({low:g} to {high:g}) [M]. Regressing compute on error instead would "
        f"give "
        f"{number(mean.inverse_alpha.value if mean.inverse_alpha else None)}: the scatter alone (R² "
        f"{percent(mean.r_squared)}) makes the two directions differ, and only the first predicts error.",
        _forms_paragraph(result),
    ]
    if result.trend is not None:
        trend = result.trend
        paragraphs.append(
            f"Years matter beside compute: from {trend.first_year:.0f} to {trend.last_year:.0f} the error "
            f"at equal "
            f"compute fell to {estimate(trend.error_ratio_a_year)} of itself each year, and the compute "
            f"for an equal "
            f"error to {estimate(trend.compute_ratio_a_year)}. At a fixed year alpha is "
            f"{estimate(trend.alpha_at_fixed_year)}."
        )
    else:
        paragraphs.append(f"No trend over time: {result.trend_reason}.")
    return PaperSection(
        name=NAME,
        title="Published models: error against compute",
        paragraphs=tuple(paragraphs),
        tables=(_exponents(result), _forms(result), *paper_drawing.excluded_table(result.excluded, "model")),
        figures=(NAME,),
        found=(),
        captions=(drawing.caption,),
    )


def _compute(result: PublishedResult) -> str:
    return UNITS.get(result.compute_name, result.compute_name).lower().replace("gflops", "GFLOPs")


def _forms_paragraph(result: PublishedResult) -> str:
    better = result.forms.better
    answer = (
        "neither form predicts the larger models better"
        if better == "neither"
        else f"the {better} form predicts the larger models better"
    )
    return (
        f"R² cannot choose between the paper's two forms, as it is taken on two scales. Fitted to the "
        f"smaller and "
        f"asked for the larger models (up to {number(result.forms.horizon)} times the compute fitted), "
        f"{answer}: "
        f"the difference in root mean square ln error is {estimate(result.forms.difference, 2)}."
    )


def _exponents(result: PublishedResult) -> SectionTable:
    rows = tuple(
        (
            each.line,
            estimate(each.alpha) + (", rejected" if each.lack_of_fit and each.lack_of_fit.rejected else ""),
            estimate(each.inverse_alpha) if each.inverse_alpha else "–",
            estimate(each.slope),
            percent(each.r_squared),
        )
        for each in result.exponents
    )
    columns = ("Line", "alpha = 1/b (95%)", "Other direction, R²/b", "b", "R²")
    return SectionTable("log₁₀(1/error) = a + b log₁₀ compute", columns, rows)


def _forms(result: PublishedResult) -> SectionTable:
    rows = tuple(
        (
            each.form,
            f"{percent(each.r_squared)} of {each.r_squared_of}",
            number(each.log10_rmse),
            estimate(each.extrapolation_rmse),
        )
        for each in result.forms.scores
    )
    columns = (
        "Form",
        "R², each on its own scale",
        "log₁₀ RMSE of error, all models",
        "ln RMSE on larger models",
    )
    return SectionTable("Which form predicts larger models from smaller ones", columns, rows)


def _caption(result: PublishedResult) -> str:
    coloured = ", coloured by year" if any(y is not None for y in result.models.year) else ""
    return (
        f"{result.count} published models{coloured}: error from {percent(result.error_least)} to "
        f"{percent(result.error_most)} against {_compute(result)} from {number(result.compute_least)} to "
        f"{number(result.compute_most)}, both axes logarithmic, with three straight lines and the "
        f"exponential form."
    )


def _paint(figure: Figure, result: PublishedResult) -> None:
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    compute, error = np.array(result.models.compute), 100 * np.array(result.models.error)
    years = np.array([np.nan if y is None else y for y in result.models.year])
    known = np.isfinite(years)
    axes.scatter(compute[~known], error[~known], s=14, c=style.MUTED, alpha=0.45, linewidths=0, zorder=3)
    if known.any():
        cloud = axes.scatter(
            *(compute[known], error[known]),
            **{"s": 20, "c": years[known], "cmap": "viridis", "linewidths": 0, "zorder": 3},
        )
        bar = figure.colorbar(cloud, ax=axes, pad=0.02)
        bar.set_label("Year of publication")
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    grid = np.geomspace(compute.min(), compute.max(), 100)
    for (line, dashes), exponent in zip(_LINES, result.exponents, strict=True):
        height = 100 * 10 ** -(exponent.intercept + exponent.slope.value * np.log10(grid))
        name = f"Power law, {line}: alpha {number(exponent.alpha.value)}"
        colour = style.law_colour(forms.LAW_OF_FORM["polynomial"])
        axes.plot(grid, height, color=colour, lw=1.5, ls=dashes, label=name, zorder=4)
    bent = regression.least_squares(np.log10(compute), 100 / error, np.ones((1, len(error))))
    height = 100 * forms.error_at("exponential", bent.at(0) + bent.slope * np.log10(grid))
    axes.plot(grid, height, color=style.law_colour("exponential"), lw=1.5, label="Exponential form", zorder=4)
    canvas.log_ticks(axes.xaxis, float(compute.min()), float(compute.max()))
    canvas.log_ticks(axes.yaxis, float(error.min()), float(error.max()))
    axes.set_xlabel(UNITS.get(result.compute_name, result.compute_name))
    axes.set_ylabel("Error (%)")
    axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")
