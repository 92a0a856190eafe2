"""The section on language: a sweep's exponent beside the paper's language benchmarks."""

from __future__ import annotations

from pathlib import Path

from isoflop.paper.bending import said
from isoflop.paper.language import LanguageResult
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.text.numerals import estimate, number, plural

NAME = "language"


def section(result: LanguageResult, folder: Path) -> PaperSection:
    """Return the section; it draws nothing in `folder`."""
    assert folder
    best = f"No exponent along the best split of compute: {result.best_reason}."
    if result.best_exponent is not None:
        best = (
            "Along the best split of compute by the joint law they fall to the power "
            f"−{estimate(result.best_exponent)}."
        )
    span = f"{number(result.least_gflops)} to {number(result.most_gflops)} GFLOPs"
    paragraphs = (
        f"{plural(result.runs, 'run')} of {plural(result.configs, 'configuration')} on {result.data} "
        f"({result.device}), {span}. Over all runs bits a byte fall as training compute to the power "
        f"−{estimate(result.exponent)}, so that k times fewer take k^{number(result.alpha.value)} the "
        f"compute{said(result.lack_of_fit)}. {best}",
        "The paper's numbers are of other quantities: metrics of published models of all recipes on a task, "
        "against processors x peak rate x time. Bits a byte have an irreducible part, near which they fall "
        "more slowly. So the exponents are shown and not judged.",
    )
    rows = (
        ("this sweep", "bits a byte", "training FLOPs, counted", estimate(result.alpha)),
        *((each.name, each.metric, "hardware burden", number(each.alpha)) for each in result.benchmarks),
    )
    return PaperSection(
        name=NAME,
        title="Language",
        paragraphs=paragraphs,
        tables=(
            SectionTable("k times less takes k^alpha", ("What", "Falls", "Against", "alpha (95%)"), rows),
            *paper_drawing.excluded_table(result.excluded, "run"),
        ),
        figures=(),
        found=(),
    )
