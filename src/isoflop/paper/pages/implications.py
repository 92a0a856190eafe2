"""The section on implications: what lower errors would cost, under both forms and in things people know."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from isoflop.paper import facts, forms, hindsight_facts
from isoflop.paper.implications import TRUNCATED, Bill, Conversion, ImplicationsResult, equivalents
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.pages import named
from isoflop.paper.pages.drawing import power_interval, power_of_ten
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import number, percent

NAME = "implications"
GRASPED = "paper: ImageNet", 0.05
"""The bill that is put in things people know."""


def section(result: ImplicationsResult, folder: Path) -> PaperSection:
    """Draw figures/implications.* in `folder` and return the section."""
    rows = _rows(result)
    height = 1.2 + 0.24 * len(rows)
    drawing = paper_drawing.draw(NAME, "The bill", _caption(), lambda f: _paint(f, rows), (7.6, height))
    canvas.write((drawing,), folder)
    widest = max((d for d in result.disagreements if d.orders is not None), key=lambda d: d.orders or 0)
    five = next(d for d in result.disagreements if (d.source, d.error) == GRASPED)
    paragraphs = [
        f"The two forms fit alike and part beyond the data: at {_share(five.error)} error on ImageNet "
        f"they are "
        f"{five.orders:.3g} orders of magnitude apart in the paper's own table, and "
        f"{widest.orders:.3g} for "
        f"{_name(widest.source)} at {_share(widest.error)}. A bill is no better known than the form.",
        *result.notes,
        _slopes_paragraph(result),
    ]
    return PaperSection(
        name=NAME,
        title="Implications: the price of a lower error",
        paragraphs=tuple(paragraphs),
        tables=(
            _bills(result),
            _grasped(result),
            _slopes(result),
            _quoted(),
            named.table(),
            _conversions(result),
        ),
        figures=(NAME,),
        found=(),
        captions=(drawing.caption,),
    )


def _slopes_paragraph(result: ImplicationsResult) -> str:
    first = result.slopes[0]
    return (
        f"Two cells of the table give its own exponent: for {first.benchmark} alpha = {number(first.alpha)} "
        f"({number(first.alpha_range[0])} to {number(first.alpha_range[1])} for the truncation) [D], the "
        f"alpha of the "
        f"hardware burden ({number(first.alpha_of_points)} [D]), not the {facts.IMAGENET_ALPHA[0]:g} per "
        f"network "
        "pass [M] that the paper's text names."
    )


def _name(source: str) -> str:
    return (
        source.partition(": ")[2]
        if source.startswith("paper: ")
        else source.replace(": its weights' metadata", "")
    )


def _share(error: float) -> str:
    """A target as people write it: 5%, 11.5%."""
    return f"{100 * error:.4g}%"


def _ends(bill: Bill) -> str:
    if bill.interval_of == TRUNCATED:
        return "up to ten times that"
    return power_interval(bill.interval)


def _bills(result: ImplicationsResult) -> SectionTable:
    rows = tuple(
        (
            f"{_name(b.source)}, {_share(b.error)}{', a pass' if b.per == 'one pass' else ''}",
            b.form,
            power_of_ten(b.log10_gflops) if b.reason is None else f"not reached: {b.reason}",
            _ends(b),
            f"{power_of_ten(b.log10_pounds_paper)}; {power_of_ten(b.log10_pounds_today)}",
            f"{power_of_ten(b.log10_dollars_paper)}; {power_of_ten(b.log10_dollars_today)}",
            b.mark,
        )
        for b in result.bills
    )
    columns = (
        "Target",
        "Form",
        "GFLOPs",
        "Interval",
        "Pounds of CO₂: paper's; today's",
        "Dollars: paper's; today's",
        "Mark",
    )
    return SectionTable(
        "Bills. Intervals: truncation for the paper's, families or shapes for the others", columns, rows
    )


def _grasped(result: ImplicationsResult) -> SectionTable:
    source, error = GRASPED
    bills = [b for b in result.bills if (b.source, b.error) == (source, error)]
    columns = tuple(f"{b.form.capitalize()} form" for b in bills)
    counts = [equivalents(b.log10_pounds_paper, b.log10_dollars_paper) for b in bills]
    facts_of = {e.many: e for e in result.equivalents}
    rows = tuple(
        (
            f"{names[0][0]}",
            *(power_of_ten(value) for _, value in names),
            f"{facts_of[names[0][0]].source} [{facts_of[names[0][0]].mark}]",
        )
        for names in zip(*counts, strict=True)
    )
    title = f"ImageNet at {_share(error)}, by the paper's conversions, in things people know"
    return SectionTable(title, ("That many", *columns, "Source"), rows)


def _slopes(result: ImplicationsResult) -> SectionTable:
    rows = tuple(
        (
            s.benchmark,
            f"{_share(s.first_error)} to {_share(s.last_error)}",
            f"{number(s.alpha)} ({number(s.alpha_range[0])} to {number(s.alpha_range[1])})",
            f"{number(s.alpha_of_points)} ({s.points} points)",
            "–" if s.alpha_quoted is None else f"{number(s.alpha_quoted)} [S]",
        )
        for s in result.slopes
    )
    columns = (
        "Benchmark",
        "From error to error",
        "alpha from two rows (truncation)",
        "alpha of the points [D]",
        "alpha in the authors' articles",
    )
    line = hindsight_facts.LINES["WMT14 En-De"]
    undefined = (
        "WMT14 En-De",
        "no row in the table",
        "–",
        f"undefined: R² {percent(line.polynomial.r_squared, 1)} ({line.points} points)",
        "–",
    )
    return SectionTable("What the paper's table implies", columns, (*rows, undefined))


def _quoted() -> SectionTable:
    """Return the figures of the authors' articles whose points cannot be had, so that none is derived."""
    rows = tuple((each.area, each.what, f"{each.value} [{each.mark}]") for each in facts.QUOTED)
    return SectionTable(
        "Quoted, not derived: the points of these cannot be had", ("Area", "What", "Figure"), rows
    )


def _conversions(result: ImplicationsResult) -> SectionTable:
    def row(c: Conversion) -> tuple[str, ...]:
        pounds, dollars = (
            f"{power_of_ten(math.log10(value))} ({power_of_ten(math.log10(low))} to "
            f"{power_of_ten(math.log10(high))})"
            for value, (low, high) in (
                (c.flops_per_pound, c.flops_per_pound_range),
                (c.flops_per_dollar, c.flops_per_dollar_range),
            )
        )
        return (c.name, pounds, dollars, c.source)

    columns = ("Conversion", "FLOPs a pound of CO₂", "FLOPs a dollar", "Source")
    return SectionTable(
        "Conversions, with the range of their choices", columns, tuple(map(row, result.conversions))
    )


def _caption() -> str:
    return (
        "Training compute for each target: the polynomial form (filled) and the exponential form (open) of "
        "one "
        "target joined by a line, on a logarithmic axis. The line's length is what the choice of form is "
        "worth."
    )


def _rows(result: ImplicationsResult) -> list[tuple[str, Bill, Bill]]:
    rows = []
    for bill in result.bills:
        if bill.form == "polynomial":
            other = next(
                b
                for b in result.bills
                if (b.source, b.error, b.form) == (bill.source, bill.error, "exponential")
            )
            kind = "torchvision" if bill.source.startswith("models: torchvision") else _name(bill.source)
            rows.append((f"{kind}, {_share(bill.error)}", bill, other))
    return rows


def _paint(figure: Figure, rows: list[tuple[str, Bill, Bill]]) -> None:
    axes = figure.add_subplot()
    for row, (_, straight, bent) in enumerate(rows):
        known = [b.log10_gflops for b in (straight, bent) if b.log10_gflops is not None]
        if len(known) == 2:
            axes.plot(known, [row, row], color=style.MUTED, lw=1, zorder=2)
        for bill, face in ((straight, style.law_colour(forms.LAW_OF_FORM["polynomial"])), (bent, "white")):
            if bill.log10_gflops is not None:
                edge = style.law_colour(forms.LAW_OF_FORM[bill.form])
                axes.plot(bill.log10_gflops, row, "o", mfc=face, mec=edge, mew=1.5, ms=6, zorder=3)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("Training compute (GFLOPs)")
    axes.xaxis.set_major_formatter(lambda value, _: f"$10^{{{value:.0f}}}$")
    axes.grid(True, axis="x", color=style.GRID, lw=0.7, zorder=0)
    for form, face in (
        ("polynomial", style.law_colour(forms.LAW_OF_FORM["polynomial"])),
        ("exponential", "white"),
    ):
        name = f"{form.capitalize()} form"
        axes.plot(
            [], [], "o", mfc=face, mec=style.law_colour(forms.LAW_OF_FORM[form]), mew=1.5, ms=6, label=name
        )
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
