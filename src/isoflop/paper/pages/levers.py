"""The section on ways to lessen the burden: a sweep's levers against its baseline."""

from __future__ import annotations

from pathlib import Path

from isoflop.paper.levers import LeversResult
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas
from isoflop.report.figures import levers as drawing
from isoflop.report.text import lever_lines, lever_sentences
from isoflop.report.text.numerals import plural

NAME = "levers"


def section(result: LeversResult, folder: Path) -> PaperSection:
    """Return the section, and write its figure to FOLDER/figures where curves are compared."""
    report = result.report
    drawn = [drawing.draw(report)] if report.own is not None else []
    canvas.write(tuple(drawn), folder)
    where = f" on {result.data}" if result.data else ""
    device = f" ({result.device})" if result.device else ""
    return PaperSection(
        name=NAME,
        title="Ways to lessen the burden",
        paragraphs=(
            "The paper lists accelerators, pruning, quantisation, distillation, architecture search and "
            "other ways to lessen the burden. Each is a lever: does it move the curve by a factor of "
            f"compute, or its exponent? Measured here: {plural(len(report.levers), 'lever')} and a baseline "
            f"over the same sizes and seeds, {plural(result.runs, 'run')}{where}{device}.",
            " ".join(lever_sentences.sentences(report)),
            *lever_lines.legend(report),
            *lever_lines.missing(report),
        ),
        tables=(
            SectionTable("Each lever against the baseline", lever_lines.COLUMNS, lever_lines.rows(report)),
            *(SectionTable(each.title, each.columns, each.rows) for each in lever_lines.ratio_tables(report)),
        ),
        figures=tuple(each.name for each in drawn),
        found=(),
        captions=tuple(each.caption for each in drawn),
    )
