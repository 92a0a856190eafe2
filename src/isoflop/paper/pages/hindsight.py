"""The section on hindsight: errors that have been reached since, beside what both forms demanded for them."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from isoflop.paper import forms
from isoflop.paper.hindsight import Demand, HindsightResult, Outcome
from isoflop.paper.hindsight_facts import ALLOWANCE, LARGEST_TRAINING_FLOPS
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.pages.drawing import power_of_ten
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import number, percent

NAME = "hindsight"


def section(result: HindsightResult, folder: Path) -> PaperSection:
    """Draw figures/hindsight.* in `folder` and return the section."""
    caption = (
        "Training compute that each form of 2020 demanded for an error that has been reached since: value "
        "(dot) and the way down to the lower end of its 95% interval (line). Right of the dashed line lies "
        f"more than {ALLOWANCE:g} times the largest training run known."
    )
    height = 1.4 + 0.42 * len(result.outcomes)
    drawing = paper_drawing.draw(NAME, "Hindsight", caption, lambda f: _paint(f, result), (7.6, height))
    canvas.write((drawing,), folder)
    refuted = [
        f"{each.reached.benchmark} at {percent(each.reached.error)} by the {demand.form} form"
        for each in result.outcomes
        for demand in each.demands
        if demand.ruling.answer == "disagrees"
    ]
    farthest = max(
        (
            (each, demand)
            for each in result.outcomes
            for demand in each.demands
            if demand.form == "polynomial"
        ),
        key=lambda pair: pair[1].orders,
    )
    return PaperSection(
        name=NAME,
        title="Hindsight: did the forecast of 2020 come true?",
        paragraphs=(
            "Where an error has been reached since, the compute that a form demanded for it is compared with "
            f"the largest training run known up to 2023, {number(LARGEST_TRAINING_FLOPS)} FLOP counted [D], "
            "raised "
            f"{ALLOWANCE:g} times, since the paper's burden counts peak rates. What the model itself took is "
            "not needed: it took no more than that. A form can so be refuted, and never confirmed.",
            f"Refuted: {'; '.join(refuted) or 'none'}. {_farthest(*farthest)}",
            "All of these models used data beyond the benchmark, marked in the table; so did some of the "
            "paper's. That is one way in which less compute can be enough.",
        ),
        tables=(_table(result),),
        figures=(NAME,),
        found=(),
        captions=(drawing.caption,),
    )


def _farthest(outcome: Outcome, demand: Demand) -> str:
    reached = outcome.reached
    return (
        f"The polynomial form's value for {reached.benchmark} at {percent(reached.error)} is "
        f"{power_of_ten(demand.log10_gflops)} GFLOPs, {number(demand.orders, 2)} orders of magnitude above "
        f"the largest run known, but its interval reaches down to {power_of_ten(demand.low)}: "
        f"{demand.ruling.answer}."
    )


def _table(result: HindsightResult) -> SectionTable:
    rows = tuple(
        (
            f"{each.reached.benchmark}, {percent(each.reached.error)}",
            f"{each.reached.model} ({each.reached.year})",
            each.reached.extra,
            *(
                f"{power_of_ten(d.log10_gflops)}, at least {power_of_ten(d.low)}: {d.ruling.answer}"
                for d in each.demands
            ),
            each.reached.source,
        )
        for each in result.outcomes
    )
    columns = (
        "Error reached",
        "By",
        "Extra pretraining data",
        "Polynomial form demanded, GFLOPs [D]",
        "Exponential form demanded, GFLOPs [D]",
        "Source",
    )
    return SectionTable("Errors reached since, and what was demanded for them", columns, rows)


def _paint(figure: Figure, result: HindsightResult) -> None:
    axes = figure.add_subplot()
    for row, outcome in enumerate(result.outcomes):
        for offset, demand in zip((-0.12, 0.12), outcome.demands, strict=True):
            colour = style.law_colour(forms.LAW_OF_FORM[demand.form])
            face = colour if demand.form == "polynomial" else "white"
            axes.plot([demand.low, demand.log10_gflops], [row + offset] * 2, color=colour, lw=1.6, zorder=2)
            axes.plot(demand.low, row + offset, "|", color=colour, ms=8, zorder=3)
            axes.plot(demand.log10_gflops, row + offset, "o", mfc=face, mec=colour, mew=1.5, ms=6, zorder=3)
    axes.axvline(result.log10_largest, color=style.MUTED, lw=1, zorder=1)
    axes.axvline(result.log10_limit, color=style.MUTED, lw=1.2, ls=(0, (4, 2.5)), zorder=1)
    names = [f"{o.reached.benchmark}, {percent(o.reached.error)} ({o.reached.year})" for o in result.outcomes]
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("Training compute (GFLOPs)")
    axes.xaxis.set_major_formatter(lambda value, _: f"$10^{{{value:.0f}}}$")
    axes.grid(True, axis="x", color=style.GRID, lw=0.7, zorder=0)
    for form in forms.FORMS:
        colour = style.law_colour(forms.LAW_OF_FORM[form])
        face = colour if form == "polynomial" else "white"
        axes.plot([], [], "o", mfc=face, mec=colour, mew=1.5, ms=6, label=f"{form.capitalize()} form")
    axes.plot([], [], color=style.MUTED, lw=1, label="Largest training run known")
    axes.plot([], [], color=style.MUTED, lw=1.2, ls=(0, (4, 2.5)), label=f"{ALLOWANCE:g} times that")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
